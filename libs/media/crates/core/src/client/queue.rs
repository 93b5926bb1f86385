//! The bounded queue between the network and a decoder that may be slow.

use std::collections::{HashMap, VecDeque};

use super::Frame;
use crate::event::Kind;

#[derive(Debug, Default)]
struct Lane {
    dropped: u64,
    awaits_keyframe: bool,
}

/// Frames waiting to be decoded. What does not fit is dropped in whole groups of pictures.
#[derive(Debug)]
pub struct FrameQueue {
    frames: VecDeque<Frame>,
    lanes: HashMap<String, Lane>,
    bytes: usize,
    max_frames: usize,
    max_bytes: usize,
    dropped: u64,
}

impl FrameQueue {
    /// A queue with these bounds.
    pub fn new(max_frames: usize, max_bytes: usize) -> Self {
        Self {
            frames: VecDeque::new(),
            lanes: HashMap::new(),
            bytes: 0,
            max_frames: max_frames.max(1),
            max_bytes: max_bytes.max(1),
            dropped: 0,
        }
    }

    /// Frames dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Frames waiting.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Takes the oldest frame.
    pub fn pop(&mut self) -> Option<Frame> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.data.len();
        Some(frame)
    }

    /// Adds a frame; answers the media line whose sender should be asked for a keyframe.
    pub fn push(&mut self, mut frame: Frame) -> Option<String> {
        let full =
            self.frames.len() >= self.max_frames || self.bytes + frame.data.len() > self.max_bytes;
        let mid = frame.mid.clone();
        let mut ask = None;
        if full {
            self.drop_lane(&mid);
            let lane = self.lanes.entry(mid.clone()).or_default();
            if frame.kind == Kind::Video && !std::mem::replace(&mut lane.awaits_keyframe, true) {
                ask = Some(mid.clone());
            }
        }
        let still_full =
            self.frames.len() >= self.max_frames || self.bytes + frame.data.len() > self.max_bytes;
        let lane = self.lanes.entry(mid).or_default();
        if still_full || (lane.awaits_keyframe && !frame.keyframe) {
            lane.dropped += 1;
            self.dropped += 1;
            return ask;
        }
        lane.awaits_keyframe = false;
        frame.dropped_before = std::mem::take(&mut lane.dropped);
        frame.contiguous &= frame.dropped_before == 0;
        self.bytes += frame.data.len();
        self.frames.push_back(frame);
        ask
    }

    fn drop_lane(&mut self, mid: &str) {
        let before = self.frames.len();
        self.frames.retain(|frame| frame.mid != mid);
        let dropped = (before - self.frames.len()) as u64;
        self.bytes = self.frames.iter().map(|frame| frame.data.len()).sum();
        self.lanes.entry(mid.to_owned()).or_default().dropped += dropped;
        self.dropped += dropped;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;
    use crate::codec::Codec;

    fn frame(mid: &str, kind: Kind, keyframe: bool) -> Frame {
        Frame {
            mid: mid.to_owned(),
            track: None,
            rid: None,
            kind,
            codec: if kind == Kind::Video { Codec::Vp8 } else { Codec::Opus },
            rtp_time: 0,
            clock_rate: 90_000,
            keyframe,
            contiguous: true,
            data: Arc::from(vec![0; 100]),
            capture_us: None,
            report: None,
            received: Instant::now(),
            audio_level: None,
            sequence: (0, 0),
            dropped_before: 0,
        }
    }

    #[test]
    fn an_overflow_drops_video_up_to_the_next_keyframe_asks_once_and_counts() {
        let mut queue = FrameQueue::new(3, 1 << 20);
        for i in 0..3 {
            assert_eq!(queue.push(frame("v", Kind::Video, i == 0)), None);
        }
        assert_eq!(queue.push(frame("v", Kind::Video, false)), Some("v".to_owned()));
        assert_eq!(queue.push(frame("v", Kind::Video, false)), None);
        assert!(queue.is_empty());
        assert_eq!(queue.push(frame("v", Kind::Video, true)), None);
        let next = queue.pop().unwrap();
        assert_eq!((next.dropped_before, next.contiguous), (5, false));
        assert_eq!(queue.dropped(), 5);
    }

    #[test]
    fn one_line_that_overflows_leaves_the_other_alone() {
        let mut queue = FrameQueue::new(4, 1 << 20);
        queue.push(frame("a", Kind::Audio, true));
        for i in 0..4 {
            queue.push(frame("v", Kind::Video, i == 0));
        }
        assert_eq!(queue.pop().unwrap().mid, "a");
    }

    #[test]
    fn bytes_are_bounded_too() {
        let mut queue = FrameQueue::new(100, 250);
        queue.push(frame("v", Kind::Video, true));
        queue.push(frame("v", Kind::Video, false));
        assert_eq!(queue.push(frame("v", Kind::Video, false)), Some("v".to_owned()));
        assert_eq!(queue.len(), 0);
    }
}
