//! What a client offers, and the str0m instance for it.

use std::time::{Duration, Instant};

use str0m::Rtc;
use str0m::media::{Direction, Simulcast, SimulcastLayer};

use crate::codec::Codec;
use crate::error::{MediaError, Result};

/// H.264 constrained baseline, level 3.1: what every receiver decodes.
const CONSTRAINED_BASELINE: u32 = 0x42_e01f;
const MAX_LAYERS: usize = 4;

/// Sending or receiving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendDirection {
    /// To the peer.
    Send,
    /// From the peer.
    Receive,
}

impl SendDirection {
    pub(super) fn to_str0m(self) -> Direction {
        match self {
            SendDirection::Send => Direction::SendOnly,
            SendDirection::Receive => Direction::RecvOnly,
        }
    }
}

/// What a client offers.
#[derive(Debug, Clone)]
pub struct OfferOptions {
    /// Video codec; `None`: no video to send, or all codecs to receive.
    pub video: Option<Codec>,
    /// An audio line.
    pub audio: bool,
    /// Sending or receiving.
    pub direction: SendDirection,
    /// RIDs, lowest layer first.
    pub simulcast: Vec<String>,
    /// Profile and level of H.264 that is sent.
    pub h264_profile_level_id: Option<u32>,
}

impl OfferOptions {
    /// Everything, to receive.
    pub fn receive_all() -> Self {
        Self {
            video: None,
            audio: true,
            direction: SendDirection::Receive,
            simulcast: Vec::new(),
            h264_profile_level_id: None,
        }
    }

    pub(super) fn layers(&self) -> Option<Simulcast> {
        if self.simulcast.is_empty() {
            return None;
        }
        let mut simulcast = Simulcast::new();
        for rid in &self.simulcast {
            simulcast.add_send_layer(SimulcastLayer::new(rid));
        }
        Some(simulcast)
    }
}

pub(super) fn build(options: &OfferOptions, now: Instant) -> Result<Rtc> {
    let simple = |rid: &String| {
        (1..=8).contains(&rid.len()) && rid.chars().all(|c| c.is_ascii_alphanumeric())
    };
    if options.simulcast.len() > MAX_LAYERS || !options.simulcast.iter().all(simple) {
        return Err(MediaError::argument("UNKNOWN_LAYER", "at most 4 RIDs of 8 letters or digits"));
    }
    if options.video == Some(Codec::Opus) {
        return Err(MediaError::argument("UNKNOWN_CODEC", "opus is not a video codec"));
    }
    let mut config = Rtc::builder()
        .set_crypto_provider(crate::dtls::crypto())
        .set_dtls_version(str0m::config::DtlsVersion::Dtls12)
        .set_stats_interval(Some(Duration::from_secs(1)))
        .set_rtcp_report_interval_audio(Duration::from_secs(1))
        .set_rtcp_report_interval_video(Duration::from_secs(1));
    if let Some(video) = options.video {
        config = config
            .enable_vp8(video == Codec::Vp8)
            .enable_vp9(video == Codec::Vp9)
            .enable_av1(video == Codec::Av1)
            .enable_h264(false);
        if video == Codec::H264 {
            let profile = options.h264_profile_level_id.unwrap_or(CONSTRAINED_BASELINE);
            config.codec_config().add_h264(108.into(), Some(109.into()), true, profile);
        }
    }
    Ok(config.build(now))
}
