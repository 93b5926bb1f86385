//! Sessions that were ended: a bounded set that forgets them as their tokens expire.
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Keys of ended sessions with the second after which none of their tokens lives.
#[derive(Debug)]
pub struct Revocations {
    capacity: usize,
    expiries: HashMap<Arc<str>, u64>,
    in_order: BTreeSet<(u64, Arc<str>)>,
    /// Revocations that were forgotten before their time, for want of room.
    pub lost: u64,
}

impl Revocations {
    /// An empty set for at most `capacity` sessions.
    pub fn new(capacity: usize) -> Self {
        Revocations {
            capacity,
            expiries: HashMap::new(),
            in_order: BTreeSet::new(),
            lost: 0,
        }
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.expiries.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.expiries.is_empty()
    }

    /// Whether the session was ended.
    pub fn contains(&self, session: &str) -> bool {
        self.expiries.contains_key(session)
    }

    /// Adds a session unless it is known; returns whether it was new.
    ///
    /// A full set forgets the one whose tokens expire soonest: it has the least time left to be
    /// abused, whereas who was ended just now is still there.
    pub fn insert(&mut self, session: Arc<str>, expires: u64) -> bool {
        if self.contains(&session) {
            return false;
        }
        if self.len() >= self.capacity
            && let Some((_, soonest)) = self.in_order.pop_first()
        {
            self.expiries.remove(&soonest);
            self.lost += 1;
        }
        self.expiries.insert(session.clone(), expires);
        self.in_order.insert((expires, session));
        true
    }

    /// Forgets those whose tokens have all expired by `now`.
    pub fn forget_expired(&mut self, now: u64) {
        while let Some((expires, _)) = self.in_order.first()
            && *expires <= now
        {
            if let Some((_, session)) = self.in_order.pop_first() {
                self.expiries.remove(&session);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(set: &Revocations, of: &[&str]) -> Vec<bool> {
        of.iter().map(|session| set.contains(session)).collect()
    }

    #[test]
    fn a_full_set_takes_new_ones_and_forgets_the_one_that_expires_soonest() {
        let mut set = Revocations::new(2);
        assert!(set.insert("long".into(), 300));
        assert!(set.insert("short".into(), 100));
        assert!(set.insert("new".into(), 200));
        assert_eq!(known(&set, &["long", "short", "new"]), [true, false, true]);
        assert_eq!((set.len(), set.lost), (2, 1));
    }

    #[test]
    fn one_that_is_known_takes_no_room_and_is_not_new() {
        let mut set = Revocations::new(2);
        set.insert("a".into(), 100);
        set.insert("b".into(), 100);
        assert!(!set.insert("a".into(), 100));
        assert_eq!((set.len(), set.lost), (2, 0));
    }

    #[test]
    fn what_expired_is_forgotten() {
        let mut set = Revocations::new(9);
        set.insert("a".into(), 100);
        set.insert("b".into(), 101);
        set.forget_expired(100);
        assert_eq!(known(&set, &["a", "b"]), [false, true]);
        set.forget_expired(101);
        assert!(set.is_empty());
    }
}
