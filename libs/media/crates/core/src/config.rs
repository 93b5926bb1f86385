//! Settings of a node. Every cap protects the other sessions of the node.

use std::net::SocketAddr;
use std::time::Duration;

/// Settings of a node.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Addresses put into candidates; the first is the one that packets are taken to arrive at.
    pub advertise: Vec<SocketAddr>,
    /// Peer connections at once.
    pub max_sessions: usize,
    /// Media lines that one publisher may have.
    pub max_tracks_per_session: usize,
    /// Slots of one subscriber.
    pub max_subscriptions_per_session: usize,
    /// A session that is not connected after this is closed.
    pub connect_timeout: Duration,
    /// A connected session without consent (RFC 7675) for this long is closed. Media stops earlier,
    /// when ICE says so (15 s).
    pub consent_timeout: Duration,
    /// What the bandwidth estimate of a subscriber starts at.
    pub initial_estimate_bps: u64,
}

impl NodeConfig {
    /// Defaults for a node reachable at these addresses.
    pub fn new(advertise: Vec<SocketAddr>) -> Self {
        Self {
            advertise,
            max_sessions: 2_000,
            max_tracks_per_session: 16,
            max_subscriptions_per_session: 64,
            connect_timeout: Duration::from_secs(15),
            consent_timeout: Duration::from_secs(30),
            initial_estimate_bps: 4_000_000,
        }
    }
}

/// Trickled candidates that one session may send.
pub(crate) const MAX_CANDIDATES: usize = 64;
/// Source addresses that one session may have validated at once.
pub(crate) const MAX_ADDRESSES: usize = 8;
/// Simulcast layers that one track may have.
pub(crate) const MAX_LAYERS: usize = 4;
/// How often layers, speakers and stalls are looked at.
pub(crate) const TICK: Duration = Duration::from_millis(50);
/// No RTP for this long makes a track stalled, and a layer dead for choosing.
pub(crate) const STALL: Duration = Duration::from_secs(2);
