//! When a wish for a keyframe becomes a PLI: the first after quiet at once, later ones throttled.

use std::time::{Duration, Instant};

/// Wishes this far apart do not count as a burst.
const QUIET: Duration = Duration::from_millis(200);
/// Within a burst, one PLI per this long: an encoder that did not answer yet will not answer sooner.
const INTERVAL: Duration = Duration::from_secs(1);

/// Coalesces the keyframe wishes for one encoding.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeyframeThrottle {
    last_wish: Option<Instant>,
    last_sent: Option<Instant>,
    pending: bool,
}

impl KeyframeThrottle {
    /// Somebody wants a keyframe; true when a PLI is to be sent now.
    pub fn wish(&mut self, now: Instant) -> bool {
        let quiet = self.last_wish.is_none_or(|at| now.saturating_duration_since(at) >= QUIET);
        self.last_wish = Some(now);
        if quiet || self.is_due(now) {
            self.last_sent = Some(now);
            self.pending = false;
            return true;
        }
        self.pending = true;
        false
    }

    /// A keyframe began: what was wished for before is fulfilled.
    pub fn fulfilled(&mut self) {
        self.pending = false;
    }

    /// True when a throttled wish is to be sent now.
    pub fn poll(&mut self, now: Instant) -> bool {
        if self.pending && self.is_due(now) {
            self.last_sent = Some(now);
            self.pending = false;
            return true;
        }
        false
    }

    fn is_due(&self, now: Instant) -> bool {
        self.last_sent.is_none_or(|at| now.saturating_duration_since(at) >= INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn the_first_wish_after_quiet_goes_out_at_once_and_a_burst_is_throttled() {
        let start = Instant::now();
        let mut throttle = KeyframeThrottle::default();
        assert!(throttle.wish(at(start, 0)));
        let sent = (1..100).filter(|i| throttle.wish(at(start, i * 20))).count();
        assert_eq!(sent, 1, "two seconds of wishes every 20 ms");
        assert!(throttle.wish(at(start, 1980 + 200)));
    }

    #[test]
    fn a_throttled_wish_is_sent_later_unless_a_keyframe_came() {
        let start = Instant::now();
        let mut throttle = KeyframeThrottle::default();
        throttle.wish(start);
        throttle.wish(at(start, 50));
        assert!(!throttle.poll(at(start, 500)));
        assert!(throttle.poll(at(start, 1000)));
        throttle.wish(at(start, 1050));
        throttle.wish(at(start, 1100));
        throttle.fulfilled();
        assert!(!throttle.poll(at(start, 5000)));
    }
}
