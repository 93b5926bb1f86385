//! From the core's values to Python's.

use odeon_media_core as core;
use odeon_media_core::What;
use odeon_media_core::client::{self, ClientWhat};
use odeon_media_shell::{NodeReport, monotonic_ns};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::types;

pub fn node_event(event: core::NodeEvent) -> types::NodeEvent {
    let base = types::NodeEvent {
        at_ns: monotonic_ns(event.at),
        session: event.subject.session.to_string(),
        event: event.subject.event.to_string(),
        participant: event.subject.participant.to_string(),
        session_kind: event.subject.kind.map(|kind| kind.name().to_owned()),
        ..types::NodeEvent::default()
    };
    let named = |kind: &str| types::NodeEvent { kind: kind.to_owned(), ..base.clone() };
    let about = |kind: &str, track: core::Id| types::NodeEvent {
        track: Some(track.to_string()),
        ..named(kind)
    };
    match event.what {
        What::SessionConnected { created, ice, dtls } => types::NodeEvent {
            created_ns: Some(monotonic_ns(created)),
            ice_ns: Some(monotonic_ns(ice)),
            dtls_ns: Some(monotonic_ns(dtls)),
            ..named("session_connected")
        },
        What::FirstRtp => named("first_rtp"),
        What::SessionClosed { reason } => {
            types::NodeEvent { reason: Some(reason), ..named("session_closed") }
        }
        What::TrackPublished { track, mid, kind, codec, layers } => types::NodeEvent {
            mid: Some(mid),
            media_kind: Some(kind.name().to_owned()),
            codec: Some(codec.name().to_owned()),
            layers,
            ..about("track_published", track)
        },
        What::TrackLayers { track, layers } => {
            types::NodeEvent { layers, ..about("track_layers", track) }
        }
        What::TrackUnpublished { track, reason } => {
            types::NodeEvent { reason: Some(reason), ..about("track_unpublished", track) }
        }
        What::TrackStalled { track } => about("track_stalled", track),
        What::TrackResumed { track } => about("track_resumed", track),
        What::NegotiationNeeded => named("negotiation_needed"),
        What::LayerChanged { track, layer } => {
            types::NodeEvent { layer: Some(layer), ..about("layer_changed", track) }
        }
        What::SlotChanged { mid, track } => {
            types::NodeEvent { mid: Some(mid), ..about("slot_changed", track) }
        }
        What::ActiveSpeakers { speakers } => {
            let speakers =
                speakers.into_iter().map(|(who, level)| (who.to_string(), i64::from(level)));
            types::NodeEvent { speakers: speakers.collect(), ..named("active_speakers") }
        }
        What::KeyframeRequested { track, layer } => {
            types::NodeEvent { layer: Some(layer), ..about("keyframe_requested", track) }
        }
    }
}

pub fn dropped_events(count: u64) -> types::NodeEvent {
    let at_ns = monotonic_ns(std::time::Instant::now());
    types::NodeEvent {
        kind: "events_dropped".to_owned(),
        at_ns,
        count,
        ..types::NodeEvent::default()
    }
}

pub fn track_stats(track: core::TrackStats) -> types::TrackStats {
    let layers = track.layers.into_iter().map(|layer| types::LayerStats {
        layer: layer.layer,
        packets: layer.packets,
        bytes: layer.bytes,
        lost: layer.lost,
        jitter_ms: layer.jitter_ms,
        bitrate_bps: layer.bitrate_bps,
    });
    types::TrackStats {
        layers: layers.collect(),
        track: track.track.to_string(),
        event: track.event.to_string(),
        participant: track.participant.to_string(),
        session: track.session.to_string(),
        mid: track.mid,
        media_kind: track.kind.name().to_owned(),
        codec: track.codec.map(|codec| codec.name().to_owned()),
        muted: track.muted,
        subscribers: track.subscribers,
        plis_sent: track.plis_sent,
    }
}

fn slot_stats(slot: core::SlotStats) -> types::SlotStats {
    types::SlotStats {
        mid: slot.mid,
        media_kind: slot.kind.name().to_owned(),
        track: slot.track.map(|track| track.to_string()),
        layer: slot.layer,
        packets: slot.packets,
        bytes: slot.bytes,
        nacks: slot.nacks,
        plis: slot.plis,
        dropped: slot.dropped,
    }
}

fn session_stats(session: core::SessionStats) -> types::SessionStats {
    types::SessionStats {
        session: session.session.to_string(),
        event: session.event.to_string(),
        participant: session.participant.to_string(),
        kind: session.kind.name().to_owned(),
        connected: session.connected,
        hidden: session.hidden,
        pinned: session.pinned,
        packets_in: session.packets_in,
        bytes_in: session.bytes_in,
        packets_out: session.packets_out,
        bytes_out: session.bytes_out,
        rtt_ms: session.rtt.map(|rtt| rtt.as_secs_f64() * 1_000.0),
        loss_fraction: session.loss_fraction.map(f64::from),
        estimate_bps: session.estimate_bps,
        slots: session.slots.into_iter().map(slot_stats).collect(),
    }
}

pub fn node_stats(report: NodeReport) -> types::NodeStats {
    let stats = report.stats;
    types::NodeStats {
        sessions: stats.sessions.into_iter().map(session_stats).collect(),
        tracks: stats.tracks.into_iter().map(track_stats).collect(),
        packets_in: stats.packets_in,
        packets_dropped: stats.packets_dropped,
        egress_calls: stats.egress.calls,
        egress_packets: stats.egress.packets,
        egress_bytes: stats.egress.bytes,
        egress_errors: stats.egress.errors,
        forwarded_packets: stats.forwarded_packets,
        busy_ns: report.busy_ns,
    }
}

pub fn frame(py: Python<'_>, frame: client::Frame) -> types::Frame {
    types::Frame {
        data: PyBytes::new(py, &frame.data).unbind(),
        mid: frame.mid,
        track: frame.track,
        rid: frame.rid,
        kind: frame.kind.name(),
        codec: frame.codec.name(),
        rtp_time: frame.rtp_time,
        clock_rate: frame.clock_rate,
        keyframe: frame.keyframe,
        contiguous: frame.contiguous,
        capture_time_us: frame.capture_us,
        sr_ntp_us: frame.report.map(|(ntp, _)| ntp),
        sr_rtp_time: frame.report.map(|(_, rtp)| rtp),
        received_ns: monotonic_ns(frame.received),
        audio_level: frame.audio_level,
        seq_first: frame.sequence.0,
        seq_last: frame.sequence.1,
        dropped_before: frame.dropped_before,
    }
}

pub fn client_event(event: client::ClientEvent) -> types::ClientEvent {
    let base =
        types::ClientEvent { at_ns: monotonic_ns(event.at), ..types::ClientEvent::default() };
    let named = |kind: &str| types::ClientEvent { kind: kind.to_owned(), ..base.clone() };
    match event.what {
        ClientWhat::Connected { created, ice, dtls } => types::ClientEvent {
            created_ns: Some(monotonic_ns(created)),
            ice_ns: Some(monotonic_ns(ice)),
            dtls_ns: Some(monotonic_ns(dtls)),
            ..named("connected")
        },
        ClientWhat::KeyframeRequest { mid, rid } => {
            types::ClientEvent { mid: Some(mid), rid, ..named("keyframe_request") }
        }
        ClientWhat::MediaAdded { mid, kind, direction, track } => types::ClientEvent {
            mid: Some(mid),
            media_kind: Some(kind.name().to_owned()),
            direction: Some(direction.to_owned()),
            track,
            ..named("media_added")
        },
        ClientWhat::MediaChanged { mid, direction } => types::ClientEvent {
            mid: Some(mid),
            direction: Some(direction.to_owned()),
            ..named("media_changed")
        },
        ClientWhat::Bitrate { bps } => types::ClientEvent { bps: Some(bps), ..named("bitrate") },
        ClientWhat::Closed { reason } => {
            types::ClientEvent { reason: Some(reason), ..named("closed") }
        }
    }
}

pub fn client_media(media: client::ClientMedia) -> types::ClientMedia {
    types::ClientMedia {
        mid: media.mid,
        kind: media.kind.name().to_owned(),
        direction: media.direction.to_owned(),
        track: media.track,
        codecs: media.codecs.into_iter().map(|codec| codec.name().to_owned()).collect(),
    }
}

pub fn client_stats(stats: client::ClientStats, frames_dropped: u64) -> types::ClientStats {
    types::ClientStats {
        connected: stats.connected,
        frames_in: stats.frames_in,
        frames_dropped,
        packets_in: stats.packets_in,
        bytes_in: stats.bytes_in,
        packets_out: stats.egress.packets,
        bytes_out: stats.egress.bytes,
        frames_out: stats.frames_out,
        keyframe_requests_in: stats.keyframe_requests_in,
        keyframe_requests_out: stats.keyframe_requests_out,
        rtt_ms: stats.rtt.map(|rtt| rtt.as_secs_f64() * 1_000.0),
        estimate_bps: stats.estimate_bps,
    }
}
