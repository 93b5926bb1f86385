//! Snapshots for people and load reports.

use std::time::Duration;

use crate::codec::Codec;
use crate::egress::EgressCounters;
use crate::event::{Id, Kind, SessionKind};

/// One received encoding.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerStats {
    /// RID, or empty.
    pub layer: String,
    /// Packets received, retransmissions included once.
    pub packets: u64,
    /// Payload bytes.
    pub bytes: u64,
    /// Packets missing.
    pub lost: u64,
    /// RFC 3550 jitter.
    pub jitter_ms: f64,
    /// Measured bitrate.
    pub bitrate_bps: u64,
}

/// One published track.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackStats {
    /// Track id.
    pub track: Id,
    /// Event id.
    pub event: Id,
    /// Participant id.
    pub participant: Id,
    /// Publishing session.
    pub session: Id,
    /// Media line.
    pub mid: String,
    /// Audio or video.
    pub kind: Kind,
    /// Known once a packet came.
    pub codec: Option<Codec>,
    /// Not forwarded.
    pub muted: bool,
    /// Lowest first.
    pub layers: Vec<LayerStats>,
    /// Slots that get it.
    pub subscribers: usize,
    /// PLIs sent to the publisher.
    pub plis_sent: u64,
}

/// One outgoing stream.
#[derive(Debug, Clone, PartialEq)]
pub struct SlotStats {
    /// Media line.
    pub mid: String,
    /// Audio or video.
    pub kind: Kind,
    /// Subscribed track.
    pub track: Option<Id>,
    /// Layer forwarded now.
    pub layer: Option<String>,
    /// Packets written, without retransmissions.
    pub packets: u64,
    /// Payload bytes written.
    pub bytes: u64,
    /// NACKs received.
    pub nacks: u64,
    /// PLIs and FIRs received.
    pub plis: u64,
    /// Packets not forwarded (wrong codec, late).
    pub dropped: u64,
}

/// One peer connection.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionStats {
    /// Session id.
    pub session: Id,
    /// Event id.
    pub event: Id,
    /// Participant id.
    pub participant: Id,
    /// Its kind.
    pub kind: SessionKind,
    /// ICE and DTLS are up and consent is fresh.
    pub connected: bool,
    /// Not counted as a participant.
    pub hidden: bool,
    /// Exempt from bandwidth estimation.
    pub pinned: bool,
    /// Datagrams received.
    pub packets_in: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Datagrams sent.
    pub packets_out: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Round trip by RTCP.
    pub rtt: Option<Duration>,
    /// Loss that the peer reported for what it gets.
    pub loss_fraction: Option<f32>,
    /// Bandwidth estimate.
    pub estimate_bps: Option<u64>,
    /// Outgoing streams.
    pub slots: Vec<SlotStats>,
}

/// The node.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NodeStats {
    /// Peer connections.
    pub sessions: Vec<SessionStats>,
    /// Published tracks.
    pub tracks: Vec<TrackStats>,
    /// Datagrams received.
    pub packets_in: u64,
    /// Datagrams of unknown or unvalidated senders, and garbage.
    pub packets_dropped: u64,
    /// RTP packets written to subscribers.
    pub forwarded_packets: u64,
    /// What was sent.
    pub egress: EgressCounters,
}
