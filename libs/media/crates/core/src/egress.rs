//! What leaves: datagrams gathered per destination and cut into runs that one GSO send can carry.

use std::net::SocketAddr;

/// The kernel's limit is 64 KiB a send, headers included; and 64 segments (UDP_MAX_SEGMENTS).
const MAX_RUN_BYTES: usize = 60_000;
const MAX_RUN_SEGMENTS: usize = 64;

/// Datagrams of one size to one destination; only the last may be shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run<'a> {
    /// Where to.
    pub destination: SocketAddr,
    /// All datagrams, one after the other.
    pub bytes: &'a [u8],
    /// Size of every datagram but the last.
    pub segment: usize,
    /// How many datagrams.
    pub count: usize,
}

/// Where runs go: a socket, or a list in a test. Another packet path can stand here.
pub trait Egress {
    /// Sends one run with one call; false when the system refused it.
    fn send(&mut self, run: Run<'_>) -> bool;
}

/// Counters of what was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EgressCounters {
    /// Send calls.
    pub calls: u64,
    /// Datagrams.
    pub packets: u64,
    /// Bytes of UDP payload.
    pub bytes: u64,
    /// Datagrams in calls that failed.
    pub errors: u64,
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    destination: SocketAddr,
    start: usize,
    length: usize,
}

/// Gathers the datagrams of one slot of time.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    segments: Vec<Segment>,
    counters: EgressCounters,
}

impl Batch {
    /// Adds a datagram.
    pub fn push(&mut self, destination: SocketAddr, datagram: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(datagram);
        self.segments.push(Segment {
            destination,
            start,
            length: datagram.len(),
        });
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Counters since the start.
    pub fn counters(&self) -> EgressCounters {
        self.counters
    }

    /// Sends all in order, as few calls as sizes and destinations allow.
    pub fn flush(&mut self, egress: &mut dyn Egress) {
        let mut first = 0;
        while first < self.segments.len() {
            let count = self.run_length(first);
            let head = self.segments[first];
            let last = self.segments[first + count - 1];
            let bytes = &self.bytes[head.start..last.start + last.length];
            let run = Run {
                destination: head.destination,
                bytes,
                segment: head.length,
                count,
            };
            self.counters.calls += 1;
            self.counters.packets += count as u64;
            self.counters.bytes += bytes.len() as u64;
            if !egress.send(run) {
                self.counters.errors += count as u64;
            }
            first += count;
        }
        self.segments.clear();
        self.bytes.clear();
    }

    fn run_length(&self, first: usize) -> usize {
        let head = self.segments[first];
        let mut total = head.length;
        let mut count = 1;
        for next in &self.segments[first + 1..] {
            let shorter_before = self.segments[first + count - 1].length < head.length;
            let fits = next.length <= head.length && total + next.length <= MAX_RUN_BYTES;
            if next.destination != head.destination
                || shorter_before
                || !fits
                || count == MAX_RUN_SEGMENTS
            {
                break;
            }
            total += next.length;
            count += 1;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Sent(Vec<(u16, usize, usize)>);

    impl Egress for Sent {
        fn send(&mut self, run: Run<'_>) -> bool {
            self.0
                .push((run.destination.port(), run.segment, run.count));
            true
        }
    }

    fn to(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn flush(sizes: &[(u16, usize)]) -> (Vec<(u16, usize, usize)>, EgressCounters) {
        let mut batch = Batch::default();
        for &(port, size) in sizes {
            batch.push(to(port), &vec![0; size]);
        }
        let mut sent = Sent::default();
        batch.flush(&mut sent);
        assert!(batch.is_empty());
        (sent.0, batch.counters())
    }

    #[test]
    fn equal_datagrams_to_one_destination_leave_in_one_call_and_the_last_may_be_shorter() {
        let (sent, counters) = flush(&[(1, 1100), (1, 1100), (1, 1100), (1, 300)]);
        assert_eq!(sent, [(1, 1100, 4)]);
        assert_eq!(
            (counters.calls, counters.packets, counters.bytes),
            (1, 4, 3600)
        );
    }

    #[test]
    fn a_longer_datagram_or_another_destination_starts_a_new_call() {
        let (sent, _) = flush(&[(1, 100), (1, 200), (1, 50), (1, 50), (2, 50)]);
        assert_eq!(sent, [(1, 100, 1), (1, 200, 2), (1, 50, 1), (2, 50, 1)]);
    }

    #[test]
    fn a_call_stays_below_the_kernels_limits() {
        let (sent, _) = flush(&vec![(1, 1200); 60]);
        assert_eq!(sent, [(1, 1200, 50), (1, 1200, 10)]);
        let (sent, _) = flush(&vec![(1, 60); 70]);
        assert_eq!(sent, [(1, 60, 64), (1, 60, 6)]);
    }
}
