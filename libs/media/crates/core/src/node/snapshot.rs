//! Statistics at a moment.

use std::time::Instant;

use super::Sfu;
use crate::session::{Session, Slot};
use crate::stats::{LayerStats, NodeStats, SessionStats, SlotStats, TrackStats};
use crate::track::Track;

impl Sfu {
    /// Everything about everybody.
    pub fn stats(&self, now: Instant) -> NodeStats {
        NodeStats {
            sessions: self
                .sessions
                .values()
                .map(|session| self.session_stats(session, now))
                .collect(),
            tracks: self.track_stats(None),
            packets_in: self.packets_in,
            packets_dropped: self.packets_dropped,
            forwarded_packets: self.forwarded,
            egress: self.batch.counters(),
        }
    }

    /// Published tracks, of one event or of all.
    pub fn track_stats(&self, event: Option<&str>) -> Vec<TrackStats> {
        let of_event = |track: &&Track| event.is_none_or(|event| *track.event == *event);
        self.tracks.values().filter(of_event).map(|track| self.one_track(track)).collect()
    }

    fn one_track(&self, track: &Track) -> TrackStats {
        TrackStats {
            track: track.id.clone(),
            event: track.event.clone(),
            participant: track.participant.clone(),
            session: self.track_subject(track).session,
            mid: track.mid.to_string(),
            kind: track.kind,
            codec: track.codec,
            muted: track.muted,
            layers: track
                .layers
                .iter()
                .map(|layer| LayerStats {
                    layer: layer.name(),
                    packets: layer.packets,
                    bytes: layer.bytes,
                    lost: layer.lost(),
                    jitter_ms: layer.jitter_ms(),
                    bitrate_bps: layer.rate.bps(),
                })
                .collect(),
            subscribers: track.subscribers.len(),
            plis_sent: track.plis_sent,
        }
    }

    fn session_stats(&self, session: &Session, now: Instant) -> SessionStats {
        SessionStats {
            session: session.id.clone(),
            event: session.event.clone(),
            participant: session.participant.clone(),
            kind: session.kind,
            connected: session.can_send(),
            hidden: session.hidden,
            pinned: session.pinned,
            packets_in: session.packets_in,
            bytes_in: session.bytes_in,
            packets_out: session.packets_out,
            bytes_out: session.bytes_out,
            rtt: session.rtt,
            loss_fraction: session.loss,
            estimate_bps: session.estimate(now),
            slots: session.slots.iter().map(|slot| self.slot_stats(slot)).collect(),
        }
    }

    fn slot_stats(&self, slot: &Slot) -> SlotStats {
        let track_of = |key| self.tracks.get(&key);
        let layer = slot.current.as_ref().and_then(|source| {
            track_of(source.track)?.layers.get(source.layer).map(|layer| layer.name())
        });
        SlotStats {
            mid: slot.mid.map(|mid| mid.to_string()).unwrap_or_default(),
            kind: slot.kind,
            track: slot.track.and_then(|key| Some(track_of(key)?.id.clone())),
            layer,
            packets: slot.packets,
            bytes: slot.bytes,
            nacks: slot.nacks,
            plis: slot.plis,
            dropped: slot.dropped,
        }
    }
}
