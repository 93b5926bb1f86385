//! A published track and its layers.

use std::time::{Duration, Instant};

use str0m::format::PayloadParams;
use str0m::media::{Mid, Pt, Rid};
use str0m::rtp::Ssrc;

use crate::clock::StreamClock;
use crate::codec::Codec;
use crate::config::STALL;
use crate::event::{Id, Kind};
use crate::keyframe::KeyframeThrottle;
use crate::speakers::Loudness;

/// Identifies a track within the node; never reused.
pub(crate) type TrackKey = u64;
/// Identifies a session within the node; never reused.
pub(crate) type SessionKey = u64;

const RATE_WINDOW: Duration = Duration::from_millis(500);

/// Bits per second, measured over half a second and smoothed.
#[derive(Debug, Default)]
pub(crate) struct RateMeter {
    since: Option<Instant>,
    bytes: u64,
    bps: Option<u64>,
}

impl RateMeter {
    pub(crate) fn add(&mut self, now: Instant, bytes: usize) {
        let since = *self.since.get_or_insert(now);
        self.bytes += bytes as u64;
        let elapsed = now.saturating_duration_since(since);
        if elapsed >= RATE_WINDOW {
            let measured = (self.bytes as f64 * 8.0 / elapsed.as_secs_f64()) as u64;
            self.bps = Some(self.bps.map_or(measured, |bps| (bps + measured) / 2));
            self.since = Some(now);
            self.bytes = 0;
        }
    }

    pub(crate) fn bps(&self) -> u64 {
        self.bps.unwrap_or(0)
    }
}

/// One received encoding: the only one of a track, or a simulcast layer.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) rid: Option<Rid>,
    pub(crate) ssrc: Ssrc,
    pub(crate) clock: StreamClock,
    pub(crate) throttle: KeyframeThrottle,
    pub(crate) rate: RateMeter,
    pub(crate) last_packet: Option<Instant>,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    first_sequence: u64,
    max_sequence: u64,
    jitter_ticks: f64,
    last_transit: Option<i64>,
}

impl Layer {
    pub(crate) fn new(rid: Option<Rid>, ssrc: Ssrc, rate: u32) -> Self {
        Self {
            rid,
            ssrc,
            clock: StreamClock::new(rate),
            throttle: KeyframeThrottle::default(),
            rate: RateMeter::default(),
            last_packet: None,
            packets: 0,
            bytes: 0,
            first_sequence: 0,
            max_sequence: 0,
            jitter_ticks: 0.0,
            last_transit: None,
        }
    }

    /// The RID, or an empty name for a track without simulcast.
    pub(crate) fn name(&self) -> String {
        self.rid.map(|rid| rid.to_string()).unwrap_or_default()
    }

    pub(crate) fn is_live(&self, now: Instant) -> bool {
        self.last_packet.is_some_and(|at| now.saturating_duration_since(at) < STALL)
    }

    /// Counts a packet; jitter as RFC 3550, 6.4.1.
    pub(crate) fn count(
        &mut self,
        now: Instant,
        sequence: u64,
        timestamp: u32,
        bytes: usize,
        arrival_us: i64,
    ) {
        if self.packets == 0 {
            self.first_sequence = sequence;
        }
        self.packets += 1;
        self.bytes += bytes as u64;
        self.max_sequence = self.max_sequence.max(sequence);
        self.last_packet = Some(now);
        self.rate.add(now, bytes);
        let arrival_ticks = arrival_us / 1_000 * i64::from(self.clock.rate()) / 1_000;
        let transit = i64::from((arrival_ticks as u32).wrapping_sub(timestamp));
        if let Some(last) = self.last_transit {
            let difference = f64::from((transit as u32).wrapping_sub(last as u32) as i32).abs();
            if difference < f64::from(self.clock.rate()) {
                self.jitter_ticks += (difference - self.jitter_ticks) / 16.0;
            }
        }
        self.last_transit = Some(transit);
    }

    pub(crate) fn lost(&self) -> u64 {
        if self.packets == 0 {
            return 0;
        }
        (self.max_sequence + 1).saturating_sub(self.first_sequence).saturating_sub(self.packets)
    }

    pub(crate) fn jitter_ms(&self) -> f64 {
        self.jitter_ticks * 1_000.0 / f64::from(self.clock.rate())
    }
}

/// A slot that gets a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subscriber {
    pub(crate) session: SessionKey,
    pub(crate) slot: usize,
}

/// A published track.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) key: TrackKey,
    pub(crate) id: Id,
    pub(crate) session: SessionKey,
    pub(crate) event: Id,
    pub(crate) participant: Id,
    pub(crate) mid: Mid,
    pub(crate) kind: Kind,
    pub(crate) codec: Option<Codec>,
    pub(crate) params: Option<(Pt, PayloadParams)>,
    pub(crate) layers: Vec<Layer>,
    /// RIDs in the order of the offer, to rank layers.
    pub(crate) rid_order: Vec<String>,
    pub(crate) announced_layers: Vec<String>,
    pub(crate) muted: bool,
    pub(crate) announced: bool,
    pub(crate) stalled: bool,
    pub(crate) subscribers: Vec<Subscriber>,
    pub(crate) loudness: Loudness,
    pub(crate) plis_sent: u64,
}

impl Track {
    pub(crate) fn layer_named(&self, name: &str) -> Option<usize> {
        self.layers.iter().position(|layer| layer.name() == name)
    }

    /// Live layers, lowest first.
    pub(crate) fn ranked_live(&self, now: Instant) -> Vec<usize> {
        let mut live: Vec<usize> =
            (0..self.layers.len()).filter(|&index| self.layers[index].is_live(now)).collect();
        live.sort_by_key(|&index| self.rank(index));
        live
    }

    fn rank(&self, index: usize) -> usize {
        let name = self.layers[index].name();
        rank_of(&name, &self.rid_order)
    }

    pub(crate) fn is_live(&self, now: Instant) -> bool {
        self.layers.iter().any(|layer| layer.is_live(now))
    }
}

/// Well-known RID names tell their order; others are taken as offered, lowest first.
fn rank_of(name: &str, offered: &[String]) -> usize {
    const KNOWN: [&[&str]; 5] = [
        &["q", "h", "f"],
        &["l", "m", "h"],
        &["lo", "mid", "hi"],
        &["low", "medium", "high"],
        &["low", "mid", "high"],
    ];
    for names in KNOWN {
        if offered.iter().all(|rid| names.contains(&rid.as_str())) {
            return names.iter().position(|known| *known == name).unwrap_or(names.len());
        }
    }
    offered.iter().position(|rid| rid == name).unwrap_or(offered.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_rank_by_well_known_names_whatever_the_offered_order() {
        let offered: Vec<String> = ["f", "h", "q"].map(String::from).to_vec();
        assert!(rank_of("q", &offered) < rank_of("h", &offered));
        assert!(rank_of("h", &offered) < rank_of("f", &offered));
        let own: Vec<String> = ["small", "big"].map(String::from).to_vec();
        assert!(rank_of("small", &own) < rank_of("big", &own));
    }

    #[test]
    fn the_rate_meter_smooths_over_windows() {
        let start = Instant::now();
        let mut meter = RateMeter::default();
        for i in 0..=100u64 {
            meter.add(start + Duration::from_millis(i * 10), 125);
        }
        assert!((95_000..110_000).contains(&meter.bps()), "{}", meter.bps());
    }
}
