//! Clocks without reading one: conversions between monotonic instants and unix time, and the
//! mapping of RTP time to capture time that sender reports give (RFC 3550, 6.4.1).

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A sender report further from our clock than this is taken as a wrong clock, not as delay.
const PLAUSIBLE_TRANSIT_US: i64 = 500_000;

/// A pair of a monotonic instant and the unix time it was taken at.
#[derive(Debug, Clone, Copy)]
pub struct WallClock {
    base: Instant,
    base_unix_us: i64,
}

impl WallClock {
    /// Pairs an instant with the unix time (µs) at that instant.
    pub fn new(base: Instant, base_unix_us: i64) -> Self {
        Self { base, base_unix_us }
    }

    /// Unix µs of an instant.
    pub fn unix_us(&self, at: Instant) -> i64 {
        match at.checked_duration_since(self.base) {
            Some(after) => self.base_unix_us + after.as_micros() as i64,
            None => self.base_unix_us - (self.base - at).as_micros() as i64,
        }
    }

    /// The instant of a unix time (µs); `None` before the machine's monotonic clock began.
    pub fn instant(&self, unix_us: i64) -> Option<Instant> {
        let offset = unix_us - self.base_unix_us;
        let distance = Duration::from_micros(offset.unsigned_abs());
        if offset >= 0 { self.base.checked_add(distance) } else { self.base.checked_sub(distance) }
    }
}

/// Unix µs of a `SystemTime`; negative before 1970.
pub fn system_time_us(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_micros() as i64,
        Err(before) => -(before.duration().as_micros() as i64),
    }
}

/// Brings one peer's wall clock onto ours.
///
/// Reports whose time is a plausible transit before their arrival are trusted as they are, so that
/// machines with good clocks keep the true capture time. A clock that is off is shifted by the
/// smallest difference seen, one shift for all streams of the peer, so that lip sync survives.
#[derive(Debug, Clone, Copy, Default)]
pub struct PeerClock {
    shift_us: i64,
}

impl PeerClock {
    /// Takes a report's NTP time and its arrival (both unix µs); true when the shift changed.
    pub fn observe(&mut self, ntp_us: i64, arrival_us: i64) -> bool {
        let transit = arrival_us - ntp_us - self.shift_us;
        if (0..=PLAUSIBLE_TRANSIT_US).contains(&transit) {
            return false;
        }
        self.shift_us = arrival_us - ntp_us;
        true
    }

    /// The peer's time (unix µs) on our clock.
    pub fn to_local(self, ntp_us: i64) -> i64 {
        ntp_us + self.shift_us
    }
}

/// Maps one RTP stream's time to its peer's wall clock.
#[derive(Debug, Clone, Copy)]
pub struct StreamClock {
    rate: u32,
    report: Option<(i64, u32)>,
    arrival: Option<(i64, u32)>,
}

impl StreamClock {
    /// A clock of `rate` ticks per second.
    pub fn new(rate: u32) -> Self {
        Self { rate: rate.max(1), report: None, arrival: None }
    }

    /// Ticks per second.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Takes a sender report.
    pub fn on_report(&mut self, ntp_us: i64, rtp: u32) {
        self.report = Some((ntp_us, rtp));
    }

    /// True once a sender report came.
    pub fn has_report(&self) -> bool {
        self.report.is_some()
    }

    /// Takes a packet's arrival; the earliest one relative to its RTP time is kept.
    pub fn on_packet(&mut self, arrival_us: i64, rtp: u32) {
        let expected = self.arrival.map(|anchor| self.project(anchor, rtp));
        if expected.is_none_or(|expected| arrival_us < expected) {
            self.arrival = Some((arrival_us, rtp));
        }
    }

    /// Capture time (unix µs, our clock) of an RTP time: by report, else by arrival.
    pub fn capture_us(&self, peer: PeerClock, rtp: u32) -> Option<i64> {
        match self.report {
            Some(anchor) => Some(peer.to_local(self.project(anchor, rtp))),
            None => self.arrival.map(|anchor| self.project(anchor, rtp)),
        }
    }

    fn project(&self, anchor: (i64, u32), rtp: u32) -> i64 {
        let ticks = i64::from(rtp.wrapping_sub(anchor.1) as i32);
        anchor.0 + ticks * 1_000_000 / i64::from(self.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_clock_is_trusted_and_a_wrong_one_is_shifted_once_for_the_peer() {
        let mut good = PeerClock::default();
        assert!(!good.observe(1_000_000, 1_040_000));
        assert_eq!(good.to_local(5), 5);

        let mut wrong = PeerClock::default();
        assert!(wrong.observe(1_000_000, 301_000_000));
        assert_eq!(wrong.to_local(1_000_000), 301_000_000);
        assert!(wrong.observe(2_000_000, 301_990_000), "an earlier arrival lowers the shift");
        assert!(!wrong.observe(3_000_000, 303_100_000));
    }

    #[test]
    fn capture_time_follows_the_report_across_a_wrap_of_rtp_time() {
        let mut clock = StreamClock::new(90_000);
        clock.on_report(10_000_000, u32::MAX - 44_999);
        assert_eq!(clock.capture_us(PeerClock::default(), 45_000), Some(11_000_000));
        assert_eq!(clock.capture_us(PeerClock::default(), u32::MAX - 89_999), Some(9_500_000));
    }

    #[test]
    fn without_a_report_the_earliest_arrival_counts() {
        let mut clock = StreamClock::new(1_000);
        clock.on_packet(50_000, 0);
        clock.on_packet(55_000, 10);
        clock.on_packet(90_000, 20);
        assert_eq!(clock.capture_us(PeerClock::default(), 20), Some(65_000));
    }
}
