//! One heap of wake-ups: only what is due is woken.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Instant;

use crate::track::SessionKey;

/// Wake-up times of sessions.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, SessionKey)>>,
    /// When each session is due, and the earliest entry that the heap holds for it.
    due: HashMap<SessionKey, (Instant, Instant)>,
}

impl Timers {
    /// Wakes a session at this time instead of the former one.
    pub(super) fn schedule(&mut self, session: SessionKey, at: Instant) {
        let queued = self.due.get(&session).map(|(_, queued)| *queued);
        // A later entry is made when the earlier one fires: most sessions move their time on with every packet.
        let queued = match queued {
            Some(queued) if queued <= at => queued,
            _ => {
                self.heap.push(Reverse((at, session)));
                at
            }
        };
        self.due.insert(session, (at, queued));
    }

    /// Forgets a session.
    pub(super) fn remove(&mut self, session: SessionKey) {
        self.due.remove(&session);
    }

    /// The next time that something may be due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// A session that is due.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<SessionKey> {
        while let Some(Reverse((at, session))) = self.heap.peek().copied() {
            if at > now {
                return None;
            }
            self.heap.pop();
            match self.due.get(&session).copied() {
                Some((due, queued)) if queued == at && due > now => {
                    self.heap.push(Reverse((due, session)));
                    self.due.insert(session, (due, due));
                }
                Some((_, queued)) if queued == at => {
                    self.due.remove(&session);
                    return Some(session);
                }
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_session_wakes_at_its_latest_schedule_only_and_once() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::default();
        timers.schedule(1, at(10));
        timers.schedule(1, at(30));
        timers.schedule(2, at(20));
        timers.schedule(2, at(5));
        assert_eq!(timers.pop_due(at(5)), Some(2));
        assert_eq!(timers.pop_due(at(20)), None);
        assert_eq!(timers.pop_due(at(30)), Some(1));
        assert_eq!(timers.pop_due(at(1000)), None);
        timers.schedule(3, at(40));
        timers.remove(3);
        assert_eq!(timers.pop_due(at(50)), None);
    }
}
