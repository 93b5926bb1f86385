#![no_main]
//! RTP payloads: finding keyframes and picture ids never panics.

use libfuzzer_sys::fuzz_target;
use odeon_media_core::codec::{Codec, starts_keyframe, vp9_picture_id};

fuzz_target!(|payload: &[u8]| {
    for codec in Codec::ALL {
        let _ = starts_keyframe(codec, payload);
    }
    let _ = vp9_picture_id(payload);
});
