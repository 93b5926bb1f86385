//! A path that suddenly bears less than is being sent, seen before the smoothed estimate admits it.
//!
//! str0m's estimates are the plain average of all of the last three seconds. After a fall that
//! average stays above the truth until the old ones have left it, and meanwhile a layer that no
//! longer fits keeps the bottleneck's queue full and loses packets. Its statistics have the newest
//! one, which is too nervous to choose layers by all the time: a spike of delay alone halves it.

use std::time::{Duration, Instant};

/// As long as estimates from before the fall weigh in the average.
const HOLD: Duration = Duration::from_secs(3);
/// The newest estimate must be this far below what is sent. The estimator answers a spike of delay
/// on a path that still delivers everything with 85 % of that, which is no collapse.
const COLLAPSE_PERCENT: u64 = 75;
/// A path that also loses this share has a full queue; without, a stall of the network that delivers
/// everything a moment later looks the same once, but not twice in a row.
const LOSS: f32 = 0.01;

/// What the statistics of an interval say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// The newest estimate.
    pub(crate) newest_bps: u64,
    /// What is sent.
    pub(crate) sent_bps: u64,
    /// Share of packets that were lost.
    pub(crate) loss: f32,
}

/// Watches the path of one subscriber.
#[derive(Debug, Default)]
pub(crate) struct Congestion {
    newest_bps: u64,
    /// The last sample was as low as in a collapse.
    low: bool,
    since: Option<Instant>,
}

impl Congestion {
    /// Takes a sample; true when the path has collapsed below what is sent over it.
    pub(crate) fn observe(&mut self, now: Instant, sample: Sample) -> bool {
        self.newest_bps = sample.newest_bps;
        let low = sample.newest_bps < sample.sent_bps * COLLAPSE_PERCENT / 100;
        let was_low = std::mem::replace(&mut self.low, low);
        let collapsed = low && (was_low || sample.loss >= LOSS);
        if collapsed {
            self.since = Some(now);
        }
        collapsed
    }

    /// What the path bears at most, for a while after a collapse. Meanwhile its queue has to drain,
    /// so nothing but media should be sent.
    pub(crate) fn limit(&self, now: Instant) -> Option<u64> {
        let held = self.since.filter(|since| now.saturating_duration_since(*since) < HOLD);
        held.map(|_| self.newest_bps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lossy(newest_bps: u64, sent_bps: u64) -> Sample {
        Sample { newest_bps, sent_bps, loss: 0.1 }
    }

    fn lossless(newest_bps: u64, sent_bps: u64) -> Sample {
        Sample { newest_bps, sent_bps, loss: 0.0 }
    }

    #[test]
    fn an_estimate_far_below_what_is_sent_is_a_collapse_and_limits_for_a_while() {
        let start = Instant::now();
        let mut congestion = Congestion::default();
        assert!(!congestion.observe(start, lossless(3_200_000, 1_280_000)));
        assert_eq!(congestion.limit(start), None);
        assert!(congestion.observe(start, lossy(750_000, 1_280_000)));
        assert_eq!(congestion.limit(start), Some(750_000));
        assert_eq!(congestion.limit(start + HOLD), None);
    }

    #[test]
    fn without_loss_one_low_estimate_is_a_stall_and_two_in_a_row_are_a_collapse() {
        let start = Instant::now();
        let mut congestion = Congestion::default();
        assert!(!congestion.observe(start, lossless(500_000, 1_280_000)));
        assert!(!congestion.observe(start, lossless(2_000_000, 1_280_000)));
        assert!(!congestion.observe(start, lossless(500_000, 1_280_000)));
        assert_eq!(congestion.limit(start), None);
        assert!(congestion.observe(start, lossless(500_000, 1_280_000)));
        assert_eq!(congestion.limit(start), Some(500_000));
    }

    #[test]
    fn meanwhile_the_newest_estimate_counts_in_both_directions() {
        let start = Instant::now();
        let mut congestion = Congestion::default();
        congestion.observe(start, lossy(750_000, 1_280_000));
        assert!(!congestion.observe(start, lossy(510_000, 430_000)), "what is sent now fits");
        assert_eq!(congestion.limit(start), Some(510_000));
        congestion.observe(start, lossless(900_000, 430_000));
        assert_eq!(congestion.limit(start), Some(900_000));
    }

    #[test]
    fn an_estimate_just_below_what_is_sent_is_a_spike_of_delay() {
        let start = Instant::now();
        let mut congestion = Congestion::default();
        assert!(!congestion.observe(start, lossy(1_090_000, 1_280_000)));
        assert_eq!(congestion.limit(start), None);
        assert!(!congestion.observe(start, lossy(4_000_000, 0)), "nothing is sent yet");
    }
}
