//! The only place that reads clocks.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use odeon_media_core::WallClock;

struct Anchor {
    wall: WallClock,
    base: Instant,
    base_monotonic_ns: i64,
}

fn anchor() -> &'static Anchor {
    static ANCHOR: OnceLock<Anchor> = OnceLock::new();
    ANCHOR.get_or_init(|| {
        let base = Instant::now();
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `now` is a valid timespec to write to; CLOCK_MONOTONIC always exists on Linux.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
        Anchor {
            wall: WallClock::new(base, unix.as_micros() as i64),
            base,
            base_monotonic_ns: now.tv_sec * 1_000_000_000 + now.tv_nsec,
        }
    })
}

/// The process's pairing of monotonic and unix time, made once: media time must not step.
pub fn wall_clock() -> WallClock {
    anchor().wall
}

/// An instant on the scale of Python's `time.monotonic_ns()`.
pub fn monotonic_ns(at: Instant) -> i64 {
    let anchor = anchor();
    match at.checked_duration_since(anchor.base) {
        Some(after) => anchor.base_monotonic_ns + after.as_nanos() as i64,
        None => anchor.base_monotonic_ns - (anchor.base - at).as_nanos() as i64,
    }
}

/// The instant of a unix time (µs); now for what lies before the machine's start.
pub fn unix_us_to_instant(unix_us: i64) -> Instant {
    anchor().wall.instant(unix_us).unwrap_or_else(Instant::now)
}
