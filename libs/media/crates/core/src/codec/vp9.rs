//! RFC 9628 payload descriptors.

/// Where the picture id sits in a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vp9PictureId {
    /// Its value: 7 or 15 bits.
    pub value: u16,
    /// Byte offset in the payload (always 1).
    pub offset: usize,
    /// True when it takes two bytes.
    pub long: bool,
}

const I: u8 = 0x80;
const P: u8 = 0x40;
const L: u8 = 0x20;
const B: u8 = 0x08;

/// The picture id of a payload, if it has one.
pub fn picture_id(payload: &[u8]) -> Option<Vp9PictureId> {
    let flags = *payload.first()?;
    if flags & I == 0 {
        return None;
    }
    let first = *payload.get(1)?;
    if first & 0x80 == 0 {
        return Some(Vp9PictureId { value: u16::from(first), offset: 1, long: false });
    }
    let value = u16::from(first & 0x7f) << 8 | u16::from(*payload.get(2)?);
    Some(Vp9PictureId { value, offset: 1, long: true })
}

/// A keyframe starts at the beginning of a frame that is not inter-predicted, in spatial layer 0.
pub fn starts_keyframe(payload: &[u8]) -> bool {
    let Some(&flags) = payload.first() else {
        return false;
    };
    if flags & P != 0 || flags & B == 0 {
        return false;
    }
    let id_length = match (flags & I != 0, picture_id(payload)) {
        (false, _) => 0,
        (true, None) => return false,
        (true, Some(id)) => 1 + usize::from(id.long),
    };
    if flags & L == 0 {
        return true;
    }
    payload.get(1 + id_length).is_some_and(|layer| layer >> 1 & 0x07 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyframe_is_a_frame_start_without_prediction_in_the_lowest_spatial_layer() {
        assert!(starts_keyframe(&[0x88, 0x01]));
        assert!(starts_keyframe(&[0xa8, 0x81, 0x02, 0x00]));
        assert!(!starts_keyframe(&[0xa8, 0x81, 0x02, 0x02]), "spatial layer 1");
        assert!(!starts_keyframe(&[0xc8, 0x01]), "predicted");
        assert!(!starts_keyframe(&[0x80, 0x01]), "not a start");
        assert!(!starts_keyframe(&[0xa8, 0x81]), "truncated");
    }

    #[test]
    fn picture_ids_of_both_widths_are_found() {
        let short = picture_id(&[0x80, 0x7f]).unwrap();
        assert_eq!((short.value, short.long), (0x7f, false));
        let long = picture_id(&[0x80, 0x92, 0x34]).unwrap();
        assert_eq!((long.value, long.long), (0x1234, true));
        assert_eq!(picture_id(&[0x80, 0x92]), None);
        assert_eq!(picture_id(&[0x00, 0x92]), None);
    }
}
