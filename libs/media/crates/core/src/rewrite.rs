//! Makes packets of changing sources look like one stream to a decoder: continuous sequence
//! numbers, a timeline that follows capture time, continuous VP8/VP9 picture ids.

use std::sync::Arc;

use str0m::rtp::{Vp8Descriptor, Vp8Patch};

use crate::codec::{Codec, vp9_picture_id};

const PICTURE_ID_MASK: u16 = 0x7fff;

/// One packet of a source, as far as rewriting cares.
#[derive(Debug, Clone, Copy)]
pub struct SourcePacket<'a> {
    /// Extended sequence number.
    pub sequence: u64,
    /// RTP time.
    pub timestamp: u32,
    /// Capture time, unix µs on our clock.
    pub capture_us: i64,
    /// Its codec.
    pub codec: Codec,
    /// Its payload.
    pub payload: &'a Arc<[u8]>,
}

/// The packet to send.
#[derive(Debug)]
pub struct RewrittenPacket {
    /// Extended sequence number.
    pub sequence: u64,
    /// RTP time.
    pub timestamp: u32,
    /// Payload: shared with the source unless it had to be changed.
    pub payload: Arc<[u8]>,
    /// VP8 changes, applied while the packet is written.
    pub vp8: Option<Vp8Patch>,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    first_sequence: u64,
    sequence_offset: i64,
    timestamp_offset: u32,
    picture_offset: u16,
    tl0_offset: u8,
    key_offset: u8,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    sequence: u64,
    timestamp: u32,
    capture_us: i64,
    picture: u16,
    tl0: u8,
    key: u8,
}

/// State of one outgoing stream.
#[derive(Debug)]
pub struct Rewriter {
    rate: u32,
    first_sequence: u64,
    first_timestamp: u32,
    run: Option<Run>,
    last: Option<Last>,
}

impl Rewriter {
    /// A stream that starts at the given (random) sequence number, below 65536, and time.
    pub fn new(rate: u32, first_sequence: u16, first_timestamp: u32) -> Self {
        Self {
            rate,
            first_sequence: u64::from(first_sequence),
            first_timestamp,
            run: None,
            last: None,
        }
    }

    /// The next packet starts a new run: another source, another layer, or after a pause.
    pub fn restart(&mut self) {
        self.run = None;
    }

    /// The packet to send, or `None` for one from before the run began.
    pub fn rewrite(&mut self, packet: SourcePacket<'_>) -> Option<RewrittenPacket> {
        let run = match self.run {
            Some(run) => run,
            None => *self.run.insert(self.start_run(&packet)),
        };
        if packet.sequence < run.first_sequence {
            return None;
        }
        let sequence = packet.sequence.checked_add_signed(run.sequence_offset)?;
        let timestamp = packet.timestamp.wrapping_add(run.timestamp_offset);
        let (payload, vp8, pictures) = rewrite_payload(&packet, &run);
        self.remember(sequence, timestamp, packet.capture_us, pictures);
        Some(RewrittenPacket { sequence, timestamp, payload, vp8 })
    }

    fn start_run(&self, packet: &SourcePacket<'_>) -> Run {
        let source = pictures(packet.codec, packet.payload);
        let Some(last) = self.last else {
            return Run {
                first_sequence: packet.sequence,
                sequence_offset: self.first_sequence as i64 - packet.sequence as i64,
                timestamp_offset: self.first_timestamp.wrapping_sub(packet.timestamp),
                picture_offset: 0,
                tl0_offset: 0,
                key_offset: 0,
            };
        };
        let timestamp = last.timestamp.wrapping_add(self.ticks_since(&last, packet.capture_us));
        Run {
            first_sequence: packet.sequence,
            sequence_offset: last.sequence as i64 + 1 - packet.sequence as i64,
            timestamp_offset: timestamp.wrapping_sub(packet.timestamp),
            picture_offset: last.picture.wrapping_add(1).wrapping_sub(source.picture),
            tl0_offset: last.tl0.wrapping_add(1).wrapping_sub(source.tl0),
            key_offset: last.key.wrapping_add(1).wrapping_sub(source.key),
        }
    }

    /// RTP time passes as capture time does, and at least one tick, so that it never repeats.
    fn ticks_since(&self, last: &Last, capture_us: i64) -> u32 {
        let elapsed = (capture_us - last.capture_us).clamp(0, 3_600_000_000);
        let ticks = elapsed * i64::from(self.rate) / 1_000_000;
        u32::try_from(ticks).unwrap_or(1).max(1)
    }

    fn remember(&mut self, sequence: u64, timestamp: u32, capture_us: i64, pictures: Pictures) {
        if self.last.is_some_and(|last| sequence <= last.sequence) {
            return;
        }
        let Pictures { picture, tl0, key } = pictures;
        self.last = Some(Last { sequence, timestamp, capture_us, picture, tl0, key });
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Pictures {
    picture: u16,
    tl0: u8,
    key: u8,
}

fn pictures(codec: Codec, payload: &[u8]) -> Pictures {
    match codec {
        Codec::Vp8 => Vp8Descriptor::parse(payload).map_or(Pictures::default(), |d| Pictures {
            picture: d.picture_id().unwrap_or(0),
            tl0: d.tl0_pic_idx().unwrap_or(0),
            key: d.key_idx().unwrap_or(0),
        }),
        Codec::Vp9 => Pictures {
            picture: vp9_picture_id(payload).map_or(0, |id| id.value),
            ..Pictures::default()
        },
        _ => Pictures::default(),
    }
}

fn rewrite_payload(
    packet: &SourcePacket<'_>,
    run: &Run,
) -> (Arc<[u8]>, Option<Vp8Patch>, Pictures) {
    let source = pictures(packet.codec, packet.payload);
    let wanted = Pictures {
        picture: source.picture.wrapping_add(run.picture_offset) & PICTURE_ID_MASK,
        tl0: source.tl0.wrapping_add(run.tl0_offset),
        key: source.key.wrapping_add(run.key_offset) & 0x1f,
    };
    if run.picture_offset & PICTURE_ID_MASK == 0
        && run.tl0_offset == 0
        && run.key_offset & 0x1f == 0
    {
        return (packet.payload.clone(), None, source);
    }
    match packet.codec {
        Codec::Vp8 => (packet.payload.clone(), vp8_patch(packet.payload, wanted), wanted),
        Codec::Vp9 => (vp9_patched(packet.payload, wanted.picture), None, wanted),
        _ => (packet.payload.clone(), None, wanted),
    }
}

fn vp8_patch(payload: &[u8], wanted: Pictures) -> Option<Vp8Patch> {
    let descriptor = Vp8Descriptor::parse(payload).ok()?;
    let mut patch = descriptor.patch();
    if descriptor.picture_id().is_some() {
        patch = patch.picture_id(wanted.picture);
    }
    if descriptor.tl0_pic_idx().is_some() {
        patch = patch.tl0_pic_idx(wanted.tl0);
    }
    if descriptor.key_idx().is_some() {
        patch = patch.key_idx(wanted.key);
    }
    // A 7-bit picture id has no room for the offset: it wraps within its 7 bits.
    patch.build().or_else(|_| descriptor.patch().picture_id(wanted.picture & 0x7f).build()).ok()
}

fn vp9_patched(payload: &Arc<[u8]>, picture: u16) -> Arc<[u8]> {
    let Some(id) = vp9_picture_id(payload) else {
        return payload.clone();
    };
    let mut bytes = payload.to_vec();
    if id.long {
        bytes[id.offset] = 0x80 | (picture >> 8) as u8;
        bytes[id.offset + 1] = picture as u8;
    } else {
        bytes[id.offset] = picture as u8 & 0x7f;
    }
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(
        payload: &Arc<[u8]>,
        codec: Codec,
        sequence: u64,
        timestamp: u32,
        ms: i64,
    ) -> SourcePacket<'_> {
        SourcePacket { sequence, timestamp, capture_us: ms * 1000, codec, payload }
    }

    #[test]
    fn a_source_keeps_its_gaps_and_its_own_time_steps() {
        let opus: Arc<[u8]> = Arc::from(&b"x"[..]);
        let mut rewriter = Rewriter::new(48_000, 100, 5_000);
        let first = rewriter.rewrite(packet(&opus, Codec::Opus, 70_000, 9_600, 0)).unwrap();
        let third = rewriter.rewrite(packet(&opus, Codec::Opus, 70_002, 11_520, 41)).unwrap();
        let second = rewriter.rewrite(packet(&opus, Codec::Opus, 70_001, 10_560, 20)).unwrap();
        assert_eq!((first.sequence, second.sequence, third.sequence), (100, 101, 102));
        assert_eq!((first.timestamp, second.timestamp, third.timestamp), (5_000, 5_960, 6_920));
    }

    #[test]
    fn another_source_continues_the_numbers_and_capture_time() {
        let h264: Arc<[u8]> = Arc::from(&[0x65u8][..]);
        let mut rewriter = Rewriter::new(90_000, 0, 0);
        rewriter.rewrite(packet(&h264, Codec::H264, 10, 1_000, 0)).unwrap();
        rewriter.restart();
        let next = rewriter.rewrite(packet(&h264, Codec::H264, 900, 77, 40)).unwrap();
        assert_eq!((next.sequence, next.timestamp), (1, 3_600));
        assert!(
            rewriter.rewrite(packet(&h264, Codec::H264, 899, 70, 39)).is_none(),
            "from before the switch"
        );
        rewriter.restart();
        let earlier = rewriter.rewrite(packet(&h264, Codec::H264, 5, 5, 10)).unwrap();
        assert_eq!((earlier.sequence, earlier.timestamp), (2, 3_601), "time never runs backwards");
    }

    #[test]
    fn vp8_picture_ids_continue_over_a_switch_at_their_width() {
        let key = |id: u16| -> Arc<[u8]> {
            Arc::from(vec![0x90, 0xe0, 0x80 | (id >> 8) as u8, id as u8, 7, 0, 0])
        };
        let mut rewriter = Rewriter::new(90_000, 0, 0);
        let payload = key(0x7fff);
        assert!(rewriter.rewrite(packet(&payload, Codec::Vp8, 1, 0, 0)).unwrap().vp8.is_none());
        rewriter.restart();
        let payload = key(0x1234);
        let next = rewriter.rewrite(packet(&payload, Codec::Vp8, 50, 0, 33)).unwrap();
        let expected = Vp8Descriptor::parse(&payload).unwrap().patch().picture_id(0).tl0_pic_idx(8);
        assert_eq!(next.vp8, expected.build().ok());
    }

    #[test]
    fn vp9_picture_ids_continue_too() {
        let mut rewriter = Rewriter::new(90_000, 0, 0);
        let first: Arc<[u8]> = Arc::from(&[0x88, 0x80, 0x05, 0xff][..]);
        rewriter.rewrite(packet(&first, Codec::Vp9, 1, 0, 0)).unwrap();
        rewriter.restart();
        let other: Arc<[u8]> = Arc::from(&[0x88, 0x92, 0x34, 0xff][..]);
        let next = rewriter.rewrite(packet(&other, Codec::Vp9, 9, 0, 33)).unwrap();
        assert_eq!(&*next.payload, &[0x88, 0x80, 0x06, 0xff]);
    }
}
