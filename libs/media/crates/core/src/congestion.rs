//! A path that suddenly bears less than is being sent, seen before the smoothed estimate admits it.
//!
//! str0m's estimates are the plain average of all of the last three seconds. After a fall that
//! average stays above the truth until the old ones have left it, and meanwhile a layer that no
//! longer fits keeps the bottleneck's queue full and loses packets. Its statistics have the newest
//! one, which is too nervous to choose layers by all the time: a spike of delay alone halves it.
//!
//! After the fall the newest one errs downwards: the losses of the layer that is gone weigh in it
//! for seconds, and push it far below what the path delivers by then. So it says that a path has
//! collapsed and what it bore at that moment, and from then on what arrives says what is borne.

use std::time::{Duration, Instant};

/// As long as estimates from before the fall weigh in the average.
const HOLD: Duration = Duration::from_secs(3);
/// Until then the queue drains.
const DRAIN: Duration = Duration::from_secs(1);
/// Until then the share of lost packets, which is of a second, and the reports of what is in the
/// queue tell of what was sent before the fall.
const SETTLE: Duration = Duration::from_millis(1_500);
/// A queue that fits what is sent into its path has become visibly shorter by then, whatever the
/// estimates say; if not, that is too much as well.
const PATIENCE: Duration = Duration::from_millis(600);
const STANDING_PERCENT: u32 = 75;
/// The newest estimate must be this far below what is sent. The estimator answers a spike of delay
/// on a path that still delivers everything with 85 % of that, which is no collapse.
const COLLAPSE_PERCENT: u64 = 75;
/// A path that also loses this share has a full queue; without, a stall of the network that delivers
/// everything a moment later looks the same once, but not twice in a row.
const LOSS: f32 = 0.01;
/// A queue that holds packets up this much longer than an empty one is filling.
const QUEUEING: Duration = Duration::from_millis(50);
/// By so much the shortest round trip is forgotten with each sample: a route may become longer.
const FORGOTTEN: Duration = Duration::from_millis(1);
/// So long everything has to arrive in time, to prove that the path bears it.
const PROOF: Duration = Duration::from_secs(1);
/// The bitrate of a layer may wander this far without being another layer's.
const WANDERING_PERCENT: u64 = 115;

/// What the statistics of an interval say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// The newest estimate.
    pub(crate) newest_bps: u64,
    /// What is sent.
    pub(crate) sent_bps: u64,
    /// The least that could be sent: below that nothing can be given up.
    pub(crate) least_bps: u64,
    /// Share of packets that were lost; unknown while nothing is reported.
    pub(crate) loss: Option<f32>,
    /// Of the last packets.
    pub(crate) rtt: Option<Duration>,
}

/// A fall below what was sent.
#[derive(Debug, Clone, Copy)]
struct Collapse {
    at: Instant,
    /// What the path bears since.
    limit_bps: u64,
    /// How long the queue held packets up.
    queue: Duration,
}

/// A time in which everything arrived in time.
#[derive(Debug, Clone, Copy)]
struct Clean {
    since: Instant,
    /// The least that was sent meanwhile.
    sent_bps: u64,
}

/// Watches the path of one subscriber.
#[derive(Debug, Default)]
pub(crate) struct Congestion {
    collapse: Option<Collapse>,
    clean: Option<Clean>,
    /// The last sample was as low as in a collapse.
    low: bool,
    /// Of an empty queue.
    least_rtt: Option<Duration>,
}

impl Congestion {
    /// Takes a sample; true when the path has collapsed below what is sent over it.
    pub(crate) fn observe(&mut self, now: Instant, sample: Sample) -> bool {
        let queue = self.queue(sample.rtt);
        let is_queueing = queue.is_none_or(|queue| queue >= QUEUEING);
        let is_lossy = sample.loss.is_some_and(|loss| loss >= LOSS);
        self.prove(now, sample.sent_bps, sample.loss.is_some() && !is_lossy && !is_queueing);
        if let Some(collapse) = &mut self.collapse {
            collapse.limit_bps = collapse.limit_bps.max(sample.newest_bps);
        }
        let low = sample.newest_bps < sample.sent_bps * COLLAPSE_PERCENT / 100
            && (is_lossy || is_queueing);
        let was_low = std::mem::replace(&mut self.low, low);
        let can_give_way = sample.sent_bps > sample.least_bps;
        let queue = queue.unwrap_or_default();
        let collapsed =
            low && (was_low || is_lossy) && can_give_way && !self.is_settling(now, queue);
        if collapsed {
            self.collapse = Some(Collapse { at: now, limit_bps: sample.newest_bps, queue });
        }
        collapsed
    }

    /// What the path bore when it collapsed or has shown to bear since; for a while after a collapse
    /// it counts instead of the average.
    pub(crate) fn limit(&self, now: Instant) -> Option<u64> {
        self.collapse.filter(|_| self.is_within(HOLD, now)).map(|collapse| collapse.limit_bps)
    }

    /// True while a queue has to drain, so that nothing but media should be sent.
    pub(crate) fn is_draining(&self, now: Instant) -> bool {
        self.is_within(DRAIN, now)
    }

    /// What the path certainly bears, as it does: less need not be believed.
    pub(crate) fn proven(&self, now: Instant) -> Option<u64> {
        let clean = self.clean.filter(|clean| elapsed(now, clean.since) >= PROOF);
        clean.map(|clean| clean.sent_bps * WANDERING_PERCENT / 100)
    }

    fn is_settling(&self, now: Instant, queue: Duration) -> bool {
        let stands = self.collapse.is_some_and(|collapse| {
            queue >= QUEUEING && queue * 100 >= collapse.queue * STANDING_PERCENT
        });
        self.is_within(if stands { PATIENCE } else { SETTLE }, now)
    }

    fn is_within(&self, time: Duration, now: Instant) -> bool {
        self.collapse.is_some_and(|collapse| elapsed(now, collapse.at) < time)
    }

    /// How long the queue holds packets up.
    fn queue(&mut self, rtt: Option<Duration>) -> Option<Duration> {
        let rtt = rtt?;
        let least = self.least_rtt.map_or(rtt, |least| rtt.min(least + FORGOTTEN));
        self.least_rtt = Some(least);
        Some(rtt - least)
    }

    fn prove(&mut self, now: Instant, sent_bps: u64, is_clean: bool) {
        let run = self.clean.filter(|run| sent_bps * 100 <= run.sent_bps * WANDERING_PERCENT);
        let run = run.map_or(Clean { since: now, sent_bps }, |run| Clean {
            since: run.since,
            sent_bps: run.sent_bps.min(sent_bps),
        });
        self.clean = is_clean.then_some(run);
    }
}

fn elapsed(now: Instant, since: Instant) -> Duration {
    now.saturating_duration_since(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Audio and two layers: 133 and 430, or 1 280 kb/s.
    fn sample(newest_bps: u64, sent_bps: u64) -> Sample {
        let rtt = Some(Duration::from_millis(20));
        Sample { newest_bps, sent_bps, least_bps: 133_000, loss: Some(0.0), rtt }
    }

    fn lossy(newest_bps: u64, sent_bps: u64) -> Sample {
        Sample { loss: Some(0.1), ..sample(newest_bps, sent_bps) }
    }

    fn late(newest_bps: u64, sent_bps: u64) -> Sample {
        Sample { rtt: Some(Duration::from_millis(150)), ..sample(newest_bps, sent_bps) }
    }

    /// Of a path that has borne its load so far.
    fn settled(start: Instant) -> Congestion {
        let mut congestion = Congestion::default();
        assert!(!congestion.observe(start, sample(3_200_000, 1_280_000)));
        congestion
    }

    #[test]
    fn an_estimate_far_below_what_is_sent_is_a_collapse_and_limits_for_a_while() {
        let start = Instant::now();
        let mut congestion = settled(start);
        assert_eq!(congestion.limit(start), None);
        assert!(congestion.observe(start, lossy(750_000, 1_280_000)));
        assert_eq!(congestion.limit(start), Some(750_000));
        assert!(congestion.is_draining(start) && !congestion.is_draining(start + DRAIN));
        assert_eq!(congestion.limit(start + HOLD), None);
    }

    #[test]
    fn without_loss_one_low_estimate_is_a_stall_and_two_in_a_row_are_a_collapse() {
        let start = Instant::now();
        let mut congestion = settled(start);
        assert!(!congestion.observe(start, late(500_000, 1_280_000)));
        assert!(!congestion.observe(start, sample(2_000_000, 1_280_000)));
        assert!(!congestion.observe(start, late(500_000, 1_280_000)));
        assert_eq!(congestion.limit(start), None);
        assert!(congestion.observe(start, late(500_000, 1_280_000)));
        assert_eq!(congestion.limit(start), Some(500_000));
    }

    #[test]
    fn a_low_estimate_is_no_collapse_while_everything_arrives_in_time() {
        let start = Instant::now();
        let mut congestion = settled(start);
        for _ in 0..3 {
            assert!(!congestion.observe(start, sample(180_000, 430_000)));
        }
    }

    #[test]
    fn right_after_a_collapse_a_fall_further_down_tells_of_what_is_gone() {
        let start = Instant::now();
        let mut congestion = settled(start);
        assert!(congestion.observe(start, lossy(550_000, 1_280_000)));
        let soon = start + SETTLE / 2;
        assert!(!congestion.observe(soon, lossy(180_000, 430_000)));
        assert_eq!(congestion.limit(soon), Some(550_000));
        let later = start + SETTLE;
        assert!(congestion.observe(later, lossy(180_000, 430_000)), "it does not fit either");
        assert_eq!(congestion.limit(later), Some(180_000));
    }

    #[test]
    fn a_queue_that_does_not_get_shorter_is_a_collapse_again_sooner() {
        let start = Instant::now();
        let mut congestion = settled(start);
        let lost = Some(0.1);
        assert!(congestion.observe(start, Sample { loss: lost, ..late(700_000, 1_280_000) }));
        let standing = Sample { loss: lost, ..late(150_000, 430_000) };
        let draining = Sample { rtt: Some(Duration::from_millis(110)), ..standing };
        let later = start + PATIENCE;
        assert!(!congestion.observe(later - Duration::from_millis(1), standing));
        assert!(!congestion.observe(later, draining));
        assert!(congestion.observe(later, standing));
    }

    #[test]
    fn a_path_that_bears_more_again_is_limited_by_that() {
        let start = Instant::now();
        let mut congestion = settled(start);
        congestion.observe(start, lossy(550_000, 1_280_000));
        congestion.observe(start, sample(900_000, 430_000));
        assert_eq!(congestion.limit(start), Some(900_000));
    }

    #[test]
    fn nothing_collapses_when_there_is_nothing_lower_to_go_to() {
        let start = Instant::now();
        let mut congestion = settled(start);
        assert!(!congestion.observe(start, lossy(80_000, 133_000)));
        assert_eq!(congestion.limit(start), None);
    }

    #[test]
    fn an_estimate_just_below_what_is_sent_is_a_spike_of_delay() {
        let start = Instant::now();
        let mut congestion = settled(start);
        assert!(!congestion.observe(start, lossy(1_090_000, 1_280_000)));
        assert_eq!(congestion.limit(start), None);
        assert!(!congestion.observe(start, lossy(4_000_000, 0)), "nothing is sent yet");
    }

    #[test]
    fn what_arrives_in_time_for_a_second_is_proven_until_something_is_late_or_lost() {
        let start = Instant::now();
        let end = start + PROOF;
        for bad in [lossy(180_000, 430_000), late(180_000, 430_000)] {
            let mut congestion = Congestion::default();
            congestion.observe(start, sample(180_000, 430_000));
            congestion.observe(end, sample(180_000, 420_000));
            assert_eq!(congestion.proven(end - Duration::from_millis(1)), None);
            assert_eq!(congestion.proven(end), Some(483_000), "420 kb/s, give or take");
            congestion.observe(end, bad);
            assert_eq!(congestion.proven(end), None);
        }
    }

    #[test]
    fn a_layer_that_is_new_has_to_prove_itself_and_so_has_a_path_without_reports() {
        let start = Instant::now();
        let end = start + PROOF;
        let mut congestion = Congestion::default();
        congestion.observe(start, sample(900_000, 133_000));
        congestion.observe(end, sample(900_000, 430_000));
        assert_eq!(congestion.proven(end), None);
        let mut congestion = Congestion::default();
        let unreported = Sample { loss: None, ..sample(900_000, 430_000) };
        congestion.observe(start, unreported);
        congestion.observe(end, unreported);
        assert_eq!(congestion.proven(end), None);
    }

    #[test]
    fn a_route_that_became_longer_is_no_queue_for_ever() {
        let start = Instant::now();
        let mut congestion = settled(start);
        for _ in 0..100 {
            congestion.observe(start, late(900_000, 430_000));
        }
        assert!(congestion.proven(start + PROOF).is_some());
    }
}
