//! What forwarding needs to know of payload formats: where keyframes start, and the picture ids
//! that a decoder expects to be continuous. Nothing is decoded.

mod av1;
mod h264;
mod vp9;

use str0m::format::Codec as StrCodec;
use str0m::rtp::Vp8Descriptor;

pub use vp9::{Vp9PictureId, picture_id as vp9_picture_id};

/// A codec that the node forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// RFC 7587.
    Opus,
    /// RFC 7741.
    Vp8,
    /// RFC 9628.
    Vp9,
    /// RFC 6184.
    H264,
    /// AV1 RTP specification 1.0.
    Av1,
}

impl Codec {
    /// All codecs.
    pub const ALL: [Codec; 5] = [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1];

    /// The name used in the API.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Opus => "opus",
            Codec::Vp8 => "vp8",
            Codec::Vp9 => "vp9",
            Codec::H264 => "h264",
            Codec::Av1 => "av1",
        }
    }

    /// Parses the name used in the API.
    pub fn parse(name: &str) -> Option<Codec> {
        Codec::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// RTP clock rate.
    pub fn clock_rate(self) -> u32 {
        if self == Codec::Opus { 48_000 } else { 90_000 }
    }

    /// True for video.
    pub fn is_video(self) -> bool {
        self != Codec::Opus
    }

    pub(crate) fn from_str0m(codec: StrCodec) -> Option<Codec> {
        match codec {
            StrCodec::Opus => Some(Codec::Opus),
            StrCodec::Vp8 => Some(Codec::Vp8),
            StrCodec::Vp9 => Some(Codec::Vp9),
            StrCodec::H264 => Some(Codec::H264),
            StrCodec::Av1 => Some(Codec::Av1),
            _ => None,
        }
    }
}

/// True when an RTP payload begins a keyframe, so that a decoder can start with this packet.
///
/// Garbage is never a keyframe. Every Opus packet can be a start.
pub fn starts_keyframe(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::Opus => true,
        Codec::Vp8 => Vp8Descriptor::parse(payload)
            .is_ok_and(|descriptor| descriptor.starts_keyframe(payload)),
        Codec::Vp9 => vp9::starts_keyframe(payload),
        Codec::H264 => h264::starts_keyframe(payload),
        Codec::Av1 => av1::starts_keyframe(payload),
    }
}
