//! Rates, concurrency and the tables of those who are counted (viewers, source addresses).
use ahash::RandomState;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds on a monotonic clock that starts well above zero.
pub fn now_ms() -> u64 {
    START.elapsed().as_millis() as u64 + 100_000
}

/// Locks a mutex whose data is valid whatever a panicking holder did.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Events in a sliding second, in one word: second (32) | this one (16) | the previous one (16).
#[derive(Debug, Default)]
pub struct Rate(AtomicU64);

impl Rate {
    /// Counts one event at `now` (ms) and returns the estimate for the last 1000 ms, itself included.
    pub fn hit(&self, now: u64) -> u32 {
        let (second, left) = ((now / 1000) & 0xffff_ffff, 1000 - now % 1000);
        let mut old = self.0.load(Relaxed);
        loop {
            let (seen, this, previous) = (old >> 32, old >> 16 & 0xffff, old & 0xffff);
            let (this, previous) = match second.wrapping_sub(seen) {
                0 => (this, previous),
                1 => (0, this),
                _ => (0, 0),
            };
            let this = (this + 1).min(0xffff);
            let new = second << 32 | this << 16 | previous;
            match self.0.compare_exchange_weak(old, new, Relaxed, Relaxed) {
                Ok(_) => return (this + previous * left / 1000) as u32,
                Err(now) => old = now,
            }
        }
    }
}

/// The counters of one viewer or one source address.
#[derive(Debug, Default)]
pub struct Meter {
    /// Requests in the last second.
    pub rate: Rate,
    busy: AtomicU32,
    seen: AtomicU64,
}

impl Meter {
    /// Notes that it was active at `now` (ms).
    pub fn touch(&self, now: u64) {
        self.seen.store(now, Relaxed);
    }

    /// Whether it was active within `idle` ms before `now`, or holds something.
    pub fn is_live(&self, now: u64, idle: u64) -> bool {
        now.saturating_sub(self.seen.load(Relaxed)) <= idle || self.busy.load(Relaxed) > 0
    }

    /// How many units are held.
    pub fn busy(&self) -> u32 {
        self.busy.load(Relaxed)
    }
}

impl AsRef<Meter> for Meter {
    fn as_ref(&self) -> &Meter {
        self
    }
}

/// One unit of concurrency, given back when dropped.
#[derive(Debug)]
pub struct Busy<V: AsRef<Meter>>(Arc<V>);

impl<V: AsRef<Meter>> Busy<V> {
    /// Takes a unit unless `limit` are held already; a limit of 0 is none.
    pub fn take(owner: &Arc<V>, limit: u32) -> Option<Self> {
        let meter = V::as_ref(owner);
        let held = meter.busy.fetch_add(1, Relaxed) + 1;
        let unit = Busy(owner.clone());
        (limit == 0 || held <= limit).then_some(unit)
    }
}

impl<V: AsRef<Meter>> Drop for Busy<V> {
    fn drop(&mut self) {
        V::as_ref(&self.0).busy.fetch_sub(1, Relaxed);
    }
}

type Shard<K, V> = Mutex<HashMap<K, Arc<V>, RandomState>>;

/// A sharded map that hands out shared entries and forgets those nobody uses.
pub struct Table<K, V> {
    hash: RandomState,
    shards: Vec<Shard<K, V>>,
}

impl<K: Hash + Eq, V: AsRef<Meter>> Default for Table<K, V> {
    fn default() -> Self {
        Table {
            hash: RandomState::new(),
            shards: (0..32).map(|_| Mutex::default()).collect(),
        }
    }
}

impl<K: Hash + Eq, V: AsRef<Meter>> Table<K, V> {
    /// The entry of a key, made when it is new.
    pub fn get(&self, key: K, make: impl FnOnce() -> V) -> Arc<V> {
        let shard = self.hash.hash_one(&key) as usize % self.shards.len();
        lock(&self.shards[shard])
            .entry(key)
            .or_insert_with(|| Arc::new(make()))
            .clone()
    }

    /// Visits every entry; one shard is locked at a time.
    pub fn each(&self, mut visit: impl FnMut(&Arc<V>)) {
        for shard in &self.shards {
            lock(shard).values().for_each(&mut visit);
        }
    }

    /// Drops entries that are idle and that nobody holds; visits those that are live.
    pub fn sweep(&self, idle: Duration, mut live: impl FnMut(&V)) {
        let (now, idle) = (now_ms(), idle.as_millis() as u64);
        for shard in &self.shards {
            lock(shard).retain(|_, entry| {
                let is_live = V::as_ref(entry).is_live(now, idle);
                if is_live {
                    live(entry);
                }
                is_live || Arc::strong_count(entry) > 1
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_counts_a_sliding_second() {
        let rate = Rate::default();
        for n in 1..=10 {
            assert_eq!(rate.hit(100_000), n);
        }
        assert_eq!(
            rate.hit(101_500),
            1 + 5,
            "half of the previous second still counts"
        );
        assert_eq!(rate.hit(103_000), 1, "two seconds later nothing does");
    }

    #[test]
    fn a_rate_saturates_instead_of_spilling_into_its_neighbour() {
        let rate = Rate::default();
        (0..70_000).for_each(|_| _ = rate.hit(100_999));
        assert_eq!(rate.hit(100_999), 0xffff);
    }

    #[test]
    fn concurrency_is_given_back_when_the_unit_is_dropped() {
        let meter = Arc::new(Meter::default());
        let first = Busy::take(&meter, 1);
        assert!(first.is_some());
        assert!(Busy::take(&meter, 1).is_none());
        assert_eq!(meter.busy(), 1, "a refused one holds nothing");
        drop(first);
        assert!(Busy::take(&meter, 1).is_some());
        assert!(Busy::take(&meter, 0).is_some(), "zero is no limit");
    }

    #[test]
    fn a_table_forgets_the_idle_and_keeps_the_held() {
        let table: Table<u8, Meter> = Table::default();
        let held = table.get(1, Meter::default);
        drop(table.get(2, Meter::default));
        let mut live = 0;
        table.sweep(Duration::ZERO, |_| live += 1);
        let mut kept = 0;
        table.each(|_| kept += 1);
        assert_eq!((live, kept), (0, 1));
        assert!(Arc::ptr_eq(&held, &table.get(1, Meter::default)));
    }
}
