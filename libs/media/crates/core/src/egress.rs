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
    stream: u32,
    start: usize,
    length: usize,
}

/// Gathers the datagrams of one slot of time.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    segments: Vec<Segment>,
    gathered: Vec<u8>,
    counters: EgressCounters,
}

impl Batch {
    /// Adds a datagram.
    pub fn push(&mut self, destination: SocketAddr, datagram: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(datagram);
        self.segments.push(Segment {
            destination,
            stream: stream_of(datagram),
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

    /// Sends all, in as few calls as sizes and destinations allow.
    ///
    /// Each stream keeps its order; streams of one destination may change places, so that packets of
    /// one size that str0m interleaves still leave together.
    pub fn flush(&mut self, egress: &mut dyn Egress) {
        let mut waiting: Vec<Segment> = std::mem::take(&mut self.segments);
        let mut run = Vec::with_capacity(MAX_RUN_SEGMENTS);
        while !waiting.is_empty() {
            take_run(&mut waiting, &mut run);
            self.send_run(&run, egress);
        }
        self.segments = waiting;
        self.bytes.clear();
    }

    fn send_run(&mut self, run: &[Segment], egress: &mut dyn Egress) {
        let (Some(head), Some(last)) = (run.first(), run.last()) else {
            return;
        };
        let in_place = run.windows(2).all(|pair| pair[0].start + pair[0].length == pair[1].start);
        self.gathered.clear();
        if !in_place {
            for segment in run {
                let bytes = &self.bytes[segment.start..segment.start + segment.length];
                self.gathered.extend_from_slice(bytes);
            }
        }
        let bytes = if in_place {
            &self.bytes[head.start..last.start + last.length]
        } else {
            &self.gathered[..]
        };
        let count = run.len();
        self.counters.calls += 1;
        self.counters.packets += count as u64;
        self.counters.bytes += bytes.len() as u64;
        let run = Run { destination: head.destination, bytes, segment: head.length, count };
        if !egress.send(run) {
            self.counters.errors += count as u64;
        }
    }
}

/// Moves the next run out of `waiting`: equal sizes to one destination, then one shorter.
fn take_run(waiting: &mut Vec<Segment>, run: &mut Vec<Segment>) {
    run.clear();
    let head = waiting[0];
    let mut total = 0;
    let mut shorter = None;
    // Streams with a packet that stays behind: their later packets must stay behind too.
    let mut held: Vec<u32> = Vec::new();
    let mut kept = 0;
    for index in 0..waiting.len() {
        let segment = waiting[index];
        let room = run.len() + 1 < MAX_RUN_SEGMENTS && total + 2 * head.length <= MAX_RUN_BYTES;
        let joins = segment.destination == head.destination
            && segment.length == head.length
            && (room || run.is_empty())
            && !held.contains(&segment.stream);
        if joins {
            total += segment.length;
            run.push(segment);
            continue;
        }
        if segment.destination == head.destination {
            let may_end = segment.length < head.length && !held.contains(&segment.stream);
            if may_end && shorter.is_none() {
                shorter = Some(kept);
            }
            held.push(segment.stream);
        }
        waiting[kept] = segment;
        kept += 1;
    }
    waiting.truncate(kept);
    if let Some(position) = shorter {
        run.push(waiting.remove(position));
    }
}

/// What must keep its order: one RTP stream, or all else together.
fn stream_of(datagram: &[u8]) -> u32 {
    match datagram {
        [first, second, ..] if (128..192).contains(first) && !(192..=223).contains(second) => {
            datagram
                .get(8..12)
                .map_or(0, |ssrc| u32::from_be_bytes([ssrc[0], ssrc[1], ssrc[2], ssrc[3]]))
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Sent(Vec<(u16, usize, usize)>);

    impl Egress for Sent {
        fn send(&mut self, run: Run<'_>) -> bool {
            self.0.push((run.destination.port(), run.segment, run.count));
            true
        }
    }

    fn to(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn rtp(ssrc: u8, size: usize) -> Vec<u8> {
        let mut datagram = vec![ssrc; size];
        datagram[..2].copy_from_slice(&[0x80, 96]);
        datagram
    }

    fn flush(sizes: &[(u16, usize)]) -> (Vec<(u16, usize, usize)>, EgressCounters) {
        let mut batch = Batch::default();
        for &(port, size) in sizes {
            batch.push(to(port), &rtp(1, size));
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
        assert_eq!((counters.calls, counters.packets, counters.bytes), (1, 4, 3600));
    }

    #[test]
    fn a_longer_datagram_or_another_destination_starts_a_new_call() {
        let (sent, _) = flush(&[(1, 100), (1, 200), (1, 50), (1, 50), (2, 50)]);
        assert_eq!(sent, [(1, 100, 1), (1, 200, 2), (1, 50, 1), (2, 50, 1)]);
    }

    #[test]
    fn a_call_stays_below_the_kernels_limits_with_room_for_a_shorter_last() {
        let (sent, _) = flush(&[(1, 1200); 60]);
        assert_eq!(sent, [(1, 1200, 49), (1, 1200, 11)]);
        let (sent, _) = flush(&[(1, 60); 70]);
        assert_eq!(sent, [(1, 60, 63), (1, 60, 7)]);
    }

    #[test]
    fn interleaved_streams_leave_together_and_each_keeps_its_order() {
        let mut batch = Batch::default();
        for (ssrc, size) in
            [(1, 1000), (2, 90), (1, 1000), (3, 1000), (1, 300), (3, 1000), (1, 1000)]
        {
            batch.push(to(1), &rtp(ssrc, size));
        }
        let mut sent = Sent::default();
        batch.flush(&mut sent);
        // The last packet of stream 1 comes after its shorter one.
        assert_eq!(sent.0, [(1, 1000, 5), (1, 300, 1), (1, 1000, 1)]);
    }
}
