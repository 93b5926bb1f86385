//! Plain values handed to Python.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

macro_rules! values {
    ($($(#[$meta:meta])* $name:ident { $($field:ident: $kind:ty),* $(,)? })*) => {$(
        $(#[$meta])*
        #[pyclass(frozen, get_all, module = "odeon_media._core")]
        #[derive(Debug, Clone, Default)]
        pub struct $name { $(pub $field: $kind),* }

        #[pymethods]
        impl $name {
            fn __repr__(&self) -> String {
                format!("{self:?}")
            }
        }
    )*};
}

values! {
    /// Something happened in the node.
    NodeEvent {
        kind: String,
        at_ns: i64,
        session: String,
        event: String,
        participant: String,
        session_kind: Option<String>,
        track: Option<String>,
        mid: Option<String>,
        media_kind: Option<String>,
        codec: Option<String>,
        layers: Vec<String>,
        layer: Option<String>,
        reason: Option<String>,
        speakers: Vec<(String, i64)>,
        count: u64,
        created_ns: Option<i64>,
        ice_ns: Option<i64>,
        dtls_ns: Option<i64>,
    }
    /// Where a subscribed track will appear.
    Subscription { mid: Option<String>, needs_offer: bool }
    /// One received encoding of a track.
    LayerStats { layer: String, packets: u64, bytes: u64, lost: u64, jitter_ms: f64, bitrate_bps: u64 }
    /// One published track.
    TrackStats {
        track: String,
        event: String,
        participant: String,
        session: String,
        mid: String,
        media_kind: String,
        codec: Option<String>,
        muted: bool,
        layers: Vec<LayerStats>,
        subscribers: usize,
        plis_sent: u64,
    }
    /// One outgoing stream of a subscriber.
    SlotStats {
        mid: String,
        media_kind: String,
        track: Option<String>,
        layer: Option<String>,
        packets: u64,
        bytes: u64,
        nacks: u64,
        plis: u64,
        dropped: u64,
    }
    /// One peer connection.
    SessionStats {
        session: String,
        event: String,
        participant: String,
        kind: String,
        connected: bool,
        hidden: bool,
        pinned: bool,
        packets_in: u64,
        bytes_in: u64,
        packets_out: u64,
        bytes_out: u64,
        rtt_ms: Option<f64>,
        loss_fraction: Option<f64>,
        estimate_bps: Option<u64>,
        slots: Vec<SlotStats>,
    }
    /// A snapshot of the node.
    NodeStats {
        sessions: Vec<SessionStats>,
        tracks: Vec<TrackStats>,
        packets_in: u64,
        packets_dropped: u64,
        egress_calls: u64,
        egress_packets: u64,
        egress_bytes: u64,
        egress_errors: u64,
        forwarded_packets: u64,
        busy_ns: u64,
    }
    /// Something happened to a client.
    ClientEvent {
        kind: String,
        at_ns: i64,
        mid: Option<String>,
        rid: Option<String>,
        media_kind: Option<String>,
        direction: Option<String>,
        track: Option<String>,
        bps: Option<u64>,
        reason: Option<String>,
        created_ns: Option<i64>,
        ice_ns: Option<i64>,
        dtls_ns: Option<i64>,
    }
    /// One media line of a client.
    ClientMedia { mid: String, kind: String, direction: String, track: Option<String>, codecs: Vec<String> }
    /// Counters of a client.
    ClientStats {
        connected: bool,
        frames_in: u64,
        frames_dropped: u64,
        packets_in: u64,
        bytes_in: u64,
        packets_out: u64,
        bytes_out: u64,
        frames_out: u64,
        keyframe_requests_in: u64,
        keyframe_requests_out: u64,
        rtt_ms: Option<f64>,
        estimate_bps: Option<u64>,
    }
}

/// One received encoded frame.
#[pyclass(frozen, get_all, module = "odeon_media._core")]
pub struct Frame {
    pub mid: String,
    pub track: Option<String>,
    pub rid: Option<String>,
    pub kind: &'static str,
    pub codec: &'static str,
    pub rtp_time: u64,
    pub clock_rate: u32,
    pub keyframe: bool,
    pub contiguous: bool,
    pub data: Py<PyBytes>,
    pub capture_time_us: Option<i64>,
    pub sr_ntp_us: Option<i64>,
    pub sr_rtp_time: Option<i64>,
    pub received_ns: i64,
    pub audio_level: Option<i8>,
    pub seq_first: u64,
    pub seq_last: u64,
    pub dropped_before: u64,
}

#[pymethods]
impl Frame {
    fn __repr__(&self) -> String {
        let Self { mid, codec, rtp_time, keyframe, capture_time_us, .. } = self;
        format!(
            "Frame(mid={mid:?}, codec={codec:?}, rtp_time={rtp_time}, keyframe={keyframe}, capture_time_us={capture_time_us:?})"
        )
    }
}
