//! How much a publisher may send that does not know transport-cc: told by REMB, led by loss.
//!
//! The rule is the loss-based part of Google's congestion control (draft-ietf-rmcat-gcc, 6): below 2 %
//! up by 5 %, above 10 % down by half the loss. A peer that measures by itself is not told.

/// Every such publisher starts here: a good 720p picture.
const START_BPS: u64 = 2_000_000;
const MIN_BPS: u64 = 150_000;
const MAX_BPS: u64 = 8_000_000;
/// Fewer packets than this in a round say nothing about loss.
const MEANINGFUL: u64 = 20;

/// The rate that one publisher is told.
#[derive(Debug, Clone, Copy)]
pub struct ReceiveRate {
    bps: u64,
    received: u64,
    lost: u64,
}

impl Default for ReceiveRate {
    fn default() -> Self {
        Self { bps: START_BPS, received: 0, lost: 0 }
    }
}

impl ReceiveRate {
    /// Takes totals of packets received and lost; answers the rate to tell, once a second.
    pub fn update(&mut self, received: u64, lost: u64) -> u64 {
        let got = received.saturating_sub(self.received);
        // Late arrivals may lower the total again.
        let missed = lost.saturating_sub(self.lost);
        (self.received, self.lost) = (received, lost);
        let percent = missed * 100 / (got + missed).max(1);
        if got >= MEANINGFUL && percent > 10 {
            self.bps -= self.bps * percent / 200;
        } else if got >= MEANINGFUL && percent < 2 {
            self.bps += self.bps / 20;
        }
        self.bps = self.bps.clamp(MIN_BPS, MAX_BPS);
        self.bps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_lowers_the_rate_and_its_end_raises_it_again_within_bounds() {
        let mut rate = ReceiveRate::default();
        assert_eq!(rate.update(5, 5), START_BPS, "too few packets to judge");
        let lowered = rate.update(105, 35);
        assert!(lowered < START_BPS * 9 / 10, "{lowered}");
        let mut total = 105;
        for _ in 0..200 {
            total += 100;
            rate.update(total, 35);
        }
        assert_eq!(rate.update(total + 100, 35), MAX_BPS);
        for i in 1..100 {
            rate.update(total + 100 + i * 100, 35 + i * 100);
        }
        assert_eq!(rate.update(total + 20_000, 35 + 20_000), MIN_BPS);
    }
}
