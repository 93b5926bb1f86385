//! A peer connection: its str0m instance, its place in the model, its slots.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::change::SdpPendingOffer;
use str0m::media::{Direction, Mid, Pt};
use str0m::rtp::Ssrc;
use str0m::{Candidate, Rtc};

use crate::clock::PeerClock;
use crate::config::NodeConfig;
use crate::congestion::Congestion;
use crate::event::{Id, Kind, SessionKind, Subject};
use crate::receive_rate::ReceiveRate;
use crate::rewrite::Rewriter;
use crate::track::{SessionKey, TrackKey};

/// What a slot forwards or waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) track: TrackKey,
    pub(crate) layer: usize,
}

/// One outgoing stream of a subscriber; sources change, the stream goes on.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Known once the media line was offered.
    pub(crate) mid: Option<Mid>,
    pub(crate) kind: Kind,
    /// Negotiated: RTP may be sent.
    pub(crate) ready: bool,
    pub(crate) ssrc: Option<Ssrc>,
    pub(crate) rtx: Option<Ssrc>,
    /// The stream exists in str0m; not before the first packet, see `Session::park_streams`.
    pub(crate) declared: bool,
    /// The subscribed track.
    pub(crate) track: Option<TrackKey>,
    /// The track that the last offer named for this line.
    pub(crate) offered: Option<TrackKey>,
    /// What is forwarded now; it may still be the track that was subscribed before.
    pub(crate) current: Option<Source>,
    /// The layer to forward, or `None` while paused for bandwidth.
    pub(crate) target_layer: Option<usize>,
    /// The layer that the subscriber named: a cap, or the layer itself when pinned.
    pub(crate) wanted_layer: Option<String>,
    pub(crate) priority: i32,
    pub(crate) rewriter: Rewriter,
    /// Publisher's payload type → ours, filled as packets come.
    pub(crate) payload_types: HashMap<(TrackKey, Pt), Option<Pt>>,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) dropped: u64,
    pub(crate) nacks: u64,
    pub(crate) plis: u64,
}

impl Slot {
    pub(crate) fn new(mid: Option<Mid>, kind: Kind, seed: u32) -> Self {
        let rate = if kind == Kind::Audio { 48_000 } else { 90_000 };
        Self {
            mid,
            kind,
            ready: false,
            ssrc: None,
            rtx: None,
            declared: false,
            track: None,
            offered: None,
            current: None,
            target_layer: None,
            wanted_layer: None,
            priority: 0,
            // Below 32768, so that a loss at the start cannot be mistaken for a rollover (RFC 3711, 3.3.1).
            rewriter: Rewriter::new(rate, seed as u16 & 0x7fff, seed.rotate_left(13)),
            payload_types: HashMap::new(),
            packets: 0,
            bytes: 0,
            dropped: 0,
            nacks: 0,
            plis: 0,
        }
    }
}

/// A published stream seen on the wire.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received {
    pub(crate) track: TrackKey,
    pub(crate) layer: usize,
}

/// A peer connection.
pub(crate) struct Session {
    pub(crate) key: SessionKey,
    pub(crate) id: Id,
    pub(crate) event: Id,
    pub(crate) participant: Id,
    pub(crate) kind: SessionKind,
    pub(crate) hidden: bool,
    pub(crate) pinned: bool,
    pub(crate) rtc: Rtc,
    pub(crate) created: Instant,
    pub(crate) ice_at: Option<Instant>,
    pub(crate) dtls_at: Option<Instant>,
    pub(crate) first_rtp: bool,
    pub(crate) connected: bool,
    /// Since when ICE has no consent; media is held back.
    pub(crate) lost_at: Option<Instant>,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) ufrags: Vec<String>,
    pub(crate) dirty: bool,
    pub(crate) pending: Option<SdpPendingOffer>,
    pub(crate) offer_wanted: bool,
    pub(crate) last_offer: String,
    pub(crate) remote_ice: Option<(String, String)>,
    pub(crate) candidates: usize,
    pub(crate) received: HashMap<Ssrc, Received>,
    pub(crate) tracks: Vec<TrackKey>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) clock: PeerClock,
    pub(crate) twcc_bps: Option<u64>,
    pub(crate) congestion: Congestion,
    pub(crate) remb: Option<(u64, Instant)>,
    /// What a publisher without transport-cc may send, and when it is told next.
    pub(crate) receive_rate: Option<(ReceiveRate, Instant)>,
    /// Of the layers that are forwarded.
    pub(crate) media_bps: u64,
    /// Of the least that could be forwarded.
    pub(crate) least_bps: u64,
    pub(crate) desired_bps: u64,
    pub(crate) minimum_bps: u64,
    pub(crate) rtt: Option<Duration>,
    pub(crate) loss: Option<f32>,
    pub(crate) packets_in: u64,
    pub(crate) bytes_in: u64,
    pub(crate) packets_out: u64,
    pub(crate) bytes_out: u64,
}

/// A REMB older than this says nothing about now.
const REMB_LIFETIME: Duration = Duration::from_secs(5);

/// What can be sent again, as str0m has it by default.
const RTX_PACKETS: usize = 1024;
const RTX_AGE: Duration = Duration::from_secs(3);
/// Of what is sent, at most this share is sent again.
const RTX_SHARE: f32 = 0.15;

impl Session {
    pub(crate) fn subject(&self) -> Subject {
        Subject {
            session: self.id.clone(),
            event: self.event.clone(),
            participant: self.participant.clone(),
            kind: Some(self.kind),
        }
    }

    /// True while media may be sent.
    pub(crate) fn can_send(&self) -> bool {
        self.connected && self.lost_at.is_none()
    }

    /// What the path to this subscriber bears; `None` when nothing is known or asked.
    pub(crate) fn estimate(&self, now: Instant) -> Option<u64> {
        let remb = self
            .remb
            .filter(|(_, at)| now.saturating_duration_since(*at) < REMB_LIFETIME)
            .map(|(bps, _)| bps);
        let proven = self.congestion.proven(now).unwrap_or(0);
        let twcc = self.twcc_bps.map(|bps| self.congestion.limit(now).unwrap_or(bps).max(proven));
        match (twcc, remb) {
            (Some(twcc), Some(remb)) => Some(twcc.min(remb)),
            (twcc, remb) => twcc.or(remb),
        }
    }

    pub(crate) fn slot_by_mid(&self, mid: Mid) -> Option<usize> {
        self.slots.iter().position(|slot| slot.mid == Some(mid))
    }

    /// Stops a slot's present source at once, and forgets what of it could be sent again: on a path
    /// whose queue is full, packets that cannot be decoded any more only delay the next keyframe.
    pub(crate) fn cut(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        slot.current = None;
        let Some(ssrc) = slot.ssrc else { return };
        if let Some(stream) = self.rtc.direct_api().stream_tx(&ssrc) {
            stream.set_rtx_cache(RTX_PACKETS, RTX_AGE, Some(RTX_SHARE));
        }
    }

    /// Takes the streams that have not sent yet out of str0m, keeping their SSRCs.
    ///
    /// str0m reports about every stream it knows, and for one without packets it reports RTP time 0;
    /// a receiver that believes it loses lip sync. A stream declared with its first packet sends its
    /// first report right behind it, with the publisher's mapping.
    pub(crate) fn park_streams(&mut self) {
        for slot in self.slots.iter_mut().filter(|slot| !slot.declared) {
            let Some(mid) = slot.mid else { continue };
            let mut api = self.rtc.direct_api();
            while let Some((ssrc, rtx)) =
                api.stream_tx_by_mid(mid, None).map(|stream| (stream.ssrc(), stream.rtx()))
            {
                if slot.ssrc.is_none() {
                    slot.ssrc = Some(ssrc);
                    slot.rtx = rtx;
                }
                api.remove_stream_tx(ssrc);
            }
        }
    }

    /// Puts parked streams back, so that an SDP names their SSRCs.
    pub(crate) fn unpark_streams(&mut self) {
        for slot in self.slots.iter().filter(|slot| !slot.declared) {
            if let (Some(ssrc), Some(mid)) = (slot.ssrc, slot.mid)
                && self.rtc.media(mid).is_some()
            {
                self.rtc.direct_api().declare_stream_tx(ssrc, slot.rtx, mid, None);
            }
        }
    }

    /// Marks slots whose media line was accepted for sending.
    pub(crate) fn refresh_ready(&mut self) {
        for slot in &mut self.slots {
            let media = slot.mid.and_then(|mid| self.rtc.media(mid));
            slot.ready = media.is_some_and(|media| {
                !media.disabled()
                    && matches!(media.direction(), Direction::SendOnly | Direction::SendRecv)
                    && !media.remote_pts().is_empty()
            });
            slot.payload_types.clear();
        }
    }
}

const STATS: Duration = Duration::from_secs(1);
/// A path that collapses has to be noticed while its queue still fills.
const ESTIMATED_STATS: Duration = Duration::from_millis(200);

/// A str0m instance set up for forwarding.
pub(crate) fn build_rtc(
    config: &NodeConfig,
    cert: &str0m::config::DtlsCert,
    bwe: bool,
    now: Instant,
) -> Rtc {
    let estimate = bwe.then(|| str0m::bwe::Bitrate::from(config.initial_estimate_bps));
    let mut rtc = Rtc::builder()
        .set_crypto_provider(crate::dtls::crypto())
        .set_rtp_mode(true)
        .set_ice_lite(true)
        .set_dtls_cert(cert.clone())
        // 1.2 lets the server choose the SRTP profile, so AES-GCM wins over browsers' order.
        .set_dtls_version(str0m::config::DtlsVersion::Dtls12)
        .enable_bwe(estimate)
        .set_stats_interval(Some(if bwe { ESTIMATED_STATS } else { STATS }))
        .set_rtcp_report_interval_audio(Duration::from_secs(1))
        .set_rtcp_report_interval_video(Duration::from_secs(1))
        .build(now);
    for address in &config.advertise {
        if let Ok(candidate) = Candidate::host(*address, "udp") {
            rtc.add_local_candidate(candidate);
        }
    }
    rtc
}
