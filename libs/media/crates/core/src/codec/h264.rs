//! RFC 6184 payloads.

const IDR: u8 = 5;
const SPS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// A keyframe starts with its SPS or, where parameter sets are not repeated, with an IDR slice.
pub fn starts_keyframe(payload: &[u8]) -> bool {
    let Some(&header) = payload.first() else {
        return false;
    };
    match header & 0x1f {
        IDR | SPS => true,
        STAP_A => aggregate_starts_keyframe(&payload[1..]),
        FU_A => payload.get(1).is_some_and(|fu| fu & 0x80 != 0 && matches!(fu & 0x1f, IDR | SPS)),
        _ => false,
    }
}

fn aggregate_starts_keyframe(mut rest: &[u8]) -> bool {
    while let [high, low, body @ ..] = rest {
        let size = usize::from(u16::from_be_bytes([*high, *low]));
        let Some(unit) = body.get(..size) else {
            return false;
        };
        if unit.first().is_some_and(|header| matches!(header & 0x1f, IDR | SPS)) {
            return true;
        }
        rest = &body[size..];
    }
    false
}

#[cfg(test)]
mod tests {
    use super::starts_keyframe;

    #[test]
    fn keyframes_start_with_sps_or_idr_alone_aggregated_or_fragmented() {
        assert!(starts_keyframe(&[0x67, 0x42]));
        assert!(starts_keyframe(&[0x65]));
        assert!(starts_keyframe(&[0x78, 0, 2, 0x67, 0x42, 0, 1, 0x68]));
        assert!(starts_keyframe(&[0x78, 0, 1, 0x09, 0, 1, 0x67]));
        assert!(starts_keyframe(&[0x7c, 0x85, 0]));
    }

    #[test]
    fn other_units_later_fragments_and_truncated_aggregates_do_not_start_one() {
        for payload in
            [&[][..], &[0x61], &[0x7c], &[0x7c, 0x05], &[0x7c, 0x81], &[0x78, 0, 9, 0x67]]
        {
            assert!(!starts_keyframe(payload), "{payload:02x?}");
        }
    }
}
