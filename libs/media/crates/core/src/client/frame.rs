//! A received frame.

use std::sync::Arc;
use std::time::Instant;

use str0m::media::MediaData;

use crate::clock::{PeerClock, StreamClock};
use crate::codec::Codec;
use crate::event::Kind;

/// A whole encoded frame with everything that is known of its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Media line.
    pub mid: String,
    /// Track id from the peer's msid.
    pub track: Option<String>,
    /// Simulcast layer.
    pub rid: Option<String>,
    /// Audio or video.
    pub kind: Kind,
    /// Codec.
    pub codec: Codec,
    /// Extended RTP time.
    pub rtp_time: u64,
    /// Ticks a second.
    pub clock_rate: u32,
    /// A decoder can start here.
    pub keyframe: bool,
    /// No packet was lost before it.
    pub contiguous: bool,
    /// The frame.
    pub data: Arc<[u8]>,
    /// Capture time, unix µs of the sender.
    pub capture_us: Option<i64>,
    /// The last report's NTP time (unix µs) and its RTP time, on the extended scale of `rtp_time`.
    pub report: Option<(i64, i64)>,
    /// Arrival of the first packet.
    pub received: Instant,
    /// dBov.
    pub audio_level: Option<i8>,
    /// First and last extended sequence number.
    pub sequence: (u64, u64),
    /// Frames that the queue dropped before this one.
    pub dropped_before: u64,
}

impl Frame {
    /// Converts what str0m depacketised; `None` for codecs that are not ours.
    pub(super) fn from_media(data: MediaData, track: Option<String>) -> Option<Frame> {
        let codec = Codec::from_str0m(data.params.spec().codec)?;
        let rtp_time = data.time.numer();
        let clock_rate = codec.clock_rate();
        Some(Frame {
            mid: data.mid.to_string(),
            track,
            rid: data.rid.map(|rid| rid.to_string()),
            kind: if codec.is_video() { Kind::Video } else { Kind::Audio },
            codec,
            rtp_time,
            clock_rate,
            keyframe: !codec.is_video() || data.is_keyframe(),
            contiguous: data.contiguous,
            capture_us: None,
            report: None,
            received: data.network_time,
            audio_level: data
                .ext_vals
                .audio_level
                .map(|level| if level > 0 { -level } else { level }),
            sequence: (**data.seq_range.start(), **data.seq_range.end()),
            data: data.data,
            dropped_before: 0,
        })
    }

    /// Places the frame in capture time by a sender report: NTP time (unix µs) and RTP time.
    pub(super) fn place(&mut self, (ntp_us, rtp): (i64, u32)) {
        let behind = i64::from((self.rtp_time as u32).wrapping_sub(rtp) as i32);
        self.report = Some((ntp_us, self.rtp_time as i64 - behind));
        let mut clock = StreamClock::new(self.clock_rate);
        clock.on_report(ntp_us, rtp);
        self.capture_us = clock.capture_us(PeerClock::default(), self.rtp_time as u32);
    }
}
