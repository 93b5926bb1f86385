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

/// Watches the path of one subscriber.
#[derive(Debug, Default)]
pub(crate) struct Congestion {
    newest_bps: u64,
    since: Option<Instant>,
}

impl Congestion {
    /// Takes the newest estimate; true when the path has just collapsed below what is sent over it.
    pub(crate) fn observe(&mut self, now: Instant, newest_bps: u64, sent_bps: u64) -> bool {
        self.newest_bps = newest_bps;
        let collapsed = newest_bps < sent_bps * COLLAPSE_PERCENT / 100;
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

    #[test]
    fn an_estimate_far_below_what_is_sent_is_a_collapse_and_limits_for_a_while() {
        let start = Instant::now();
        let mut congestion = Congestion::default();
        assert!(!congestion.observe(start, 3_200_000, 1_280_000));
        assert_eq!(congestion.limit(start), None);
        assert!(congestion.observe(start, 750_000, 1_280_000));
        assert_eq!(congestion.limit(start), Some(750_000));
        assert_eq!(congestion.limit(start + HOLD), None);
    }

    #[test]
    fn meanwhile_the_newest_estimate_counts_in_both_directions() {
        let start = Instant::now();
        let mut congestion = Congestion::default();
        congestion.observe(start, 750_000, 1_280_000);
        assert!(!congestion.observe(start, 510_000, 430_000), "what is sent now fits");
        assert_eq!(congestion.limit(start), Some(510_000));
        congestion.observe(start, 900_000, 430_000);
        assert_eq!(congestion.limit(start), Some(900_000));
    }

    #[test]
    fn an_estimate_just_below_what_is_sent_is_a_spike_of_delay() {
        let start = Instant::now();
        let mut congestion = Congestion::default();
        assert!(!congestion.observe(start, 1_090_000, 1_280_000));
        assert_eq!(congestion.limit(start), None);
        assert!(!congestion.observe(start, 4_000_000, 0), "nothing is sent yet");
    }
}
