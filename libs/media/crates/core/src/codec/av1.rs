//! AV1 RTP payloads (AV1 RTP specification 1.0, 4.4).

/// The N bit of the aggregation header marks the first packet of a coded video sequence.
pub fn starts_keyframe(payload: &[u8]) -> bool {
    payload.len() > 1 && payload[0] & 0x08 != 0 && payload[0] & 0x80 == 0
}

#[cfg(test)]
mod tests {
    use super::starts_keyframe;

    #[test]
    fn a_keyframe_has_the_n_bit_and_does_not_continue_a_fragment() {
        assert!(starts_keyframe(&[0x18, 0x0a]));
        assert!(!starts_keyframe(&[0x10, 0x32]));
        assert!(!starts_keyframe(&[0x88, 0x0a]));
        assert!(!starts_keyframe(&[0x08]));
    }
}
