//! Objects, and one shared origin fetch per key however many viewers want it.
//!
//! A task of its own fetches and waiters hold a watch channel, so a viewer who leaves never cancels
//! what the others wait for. moka only stores (its `get_with` can be cancelled with its initiator).
mod entry;
mod flights;
mod key;

pub use entry::{Entry, refusal_for};
pub use flights::Flight;
pub use key::{Key, NEGATIVE_TTL};

use crate::limits::lock;
use crate::refusal::{ORIGIN_BUSY, Refusal};
use ahash::RandomState;
use flights::Flights;
use futures_util::future::BoxFuture;
use hyper::header::HeaderValue;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Bookkeeping of an entry, in bytes, on top of key and body.
const ENTRY_OVERHEAD: usize = 900;
/// Brings an object from where it is kept.
pub trait Fetch: Send + Sync {
    /// Fetches; failures come as refused entries. `trace` is the traceparent of the first who asked.
    fn fetch(self: Arc<Self>, key: Key, trace: Option<HeaderValue>) -> BoxFuture<'static, Entry>;
}

struct Stored {
    entry: Arc<Entry>,
    fresh_until: Instant,
    usable_until: Instant,
}

struct Expiry;

impl moka::Expiry<Arc<str>, Arc<Stored>> for Expiry {
    fn expire_after_create(
        &self,
        _: &Arc<str>,
        v: &Arc<Stored>,
        _: std::time::Instant,
    ) -> Option<Duration> {
        Some(v.usable_until.saturating_duration_since(Instant::now()))
    }

    fn expire_after_update(
        &self,
        _: &Arc<str>,
        v: &Arc<Stored>,
        _: std::time::Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(v.usable_until.saturating_duration_since(Instant::now()))
    }
}

/// What the store has for a request.
pub enum Lookup {
    /// A fresh object.
    Hit(Arc<Entry>),
    /// A fetch under way, joined (true) or started (false) by this request.
    Wait(Flight, bool),
}

/// Counters of the store, monotonic.
#[derive(Debug, Default)]
pub struct CacheFigures {
    /// Requests answered from memory.
    pub hits: AtomicU64,
    /// Requests that joined a fetch under way.
    pub joined: AtomicU64,
    /// Fetches started.
    pub fetched: AtomicU64,
    /// Fetches that failed and were answered with an older object.
    pub stale: AtomicU64,
}

/// The coalescing cache.
pub struct Store {
    objects: moka::sync::Cache<Arc<str>, Arc<Stored>, RandomState>,
    flights: Mutex<Flights>,
    origin: Arc<dyn Fetch>,
    flights_per_event: usize,
    /// What happened so far.
    pub figures: CacheFigures,
}

/// Takes a flight off the board even if its fetch panics; waiters then see a closed channel.
struct Landing {
    store: Arc<Store>,
    key: Key,
}

impl Drop for Landing {
    fn drop(&mut self) {
        lock(&self.store.flights).end(&self.key);
    }
}

impl Store {
    /// A store of at most `bytes`, with at most `flights_per_event` fetches of one event at a time.
    pub fn new(origin: Arc<dyn Fetch>, bytes: u64, flights_per_event: usize) -> Arc<Self> {
        let objects = moka::sync::Cache::builder()
            .max_capacity(bytes)
            .weigher(|key: &Arc<str>, v: &Arc<Stored>| {
                (v.entry.body.len() + key.len() + ENTRY_OVERHEAD)
                    .try_into()
                    .unwrap_or(u32::MAX)
            })
            // TinyLFU would refuse new parts when full, and new parts are what everybody wants.
            .eviction_policy(moka::policy::EvictionPolicy::lru())
            .expire_after(Expiry)
            .build_with_hasher(RandomState::new());
        let (flights, figures) = (Mutex::default(), CacheFigures::default());
        Arc::new(Store {
            objects,
            flights,
            origin,
            flights_per_event,
            figures,
        })
    }

    fn fresh(&self, key: &Key) -> Option<Arc<Entry>> {
        let stored = self.objects.get(&key.text)?;
        (Instant::now() < stored.fresh_until).then(|| stored.entry.clone())
    }

    /// Finds an object, joins the fetch that brings it, or starts one. Refusal: ORIGIN_BUSY.
    pub fn get(
        self: &Arc<Self>,
        key: &Key,
        trace: Option<&HeaderValue>,
    ) -> Result<Lookup, Refusal> {
        if let Some(entry) = self.fresh(key) {
            self.figures.hits.fetch_add(1, Relaxed);
            return Ok(Lookup::Hit(entry));
        }
        let mut flights = lock(&self.flights);
        if let Some(flight) = flights.of(key) {
            self.figures.joined.fetch_add(1, Relaxed);
            return Ok(Lookup::Wait(flight, true));
        }
        if let Some(entry) = self.fresh(key) {
            self.figures.hits.fetch_add(1, Relaxed);
            return Ok(Lookup::Hit(entry)); // landed between the look and the lock
        }
        let started = flights.start(key, self.flights_per_event);
        let (landed, flight) = started.ok_or(ORIGIN_BUSY)?;
        drop(flights);
        self.figures.fetched.fetch_add(1, Relaxed);
        let landing = Landing {
            store: self.clone(),
            key: key.clone(),
        };
        tokio::spawn(self.clone().fly(landing, landed, trace.cloned()));
        Ok(Lookup::Wait(flight, false))
    }

    async fn fly(
        self: Arc<Self>,
        landing: Landing,
        landed: watch::Sender<Option<Arc<Entry>>>,
        trace: Option<HeaderValue>,
    ) {
        let key = landing.key.clone();
        let entry = self.origin.clone().fetch(key.clone(), trace).await;
        let entry = self.keep(&key, Arc::new(entry));
        // Off the board only after it is stored: nobody may find neither object nor flight.
        drop(landing);
        let _ = landed.send(Some(entry)); // nobody left to hear is fine
    }

    fn keep(&self, key: &Key, entry: Arc<Entry>) -> Arc<Entry> {
        let now = Instant::now();
        if entry.status.is_server_error() {
            let old = self.objects.get(&key.text);
            if let Some(old) =
                old.filter(|old| old.entry.status.is_success() && now < old.usable_until)
            {
                self.figures.stale.fetch_add(1, Relaxed);
                return old.entry.clone();
            }
        }
        let (fresh, grace) = if entry.status.is_success() {
            key.lifetimes()
        } else {
            (NEGATIVE_TTL, Duration::ZERO)
        };
        let fresh_until = now + fresh;
        let stored = Stored {
            entry: entry.clone(),
            fresh_until,
            usable_until: fresh_until + grace,
        };
        self.objects.insert(key.text.clone(), Arc::new(stored));
        entry
    }

    /// Drops every object of an event, or with `event` empty of a tenant; returns how many.
    pub fn purge(&self, tenant: &str, event: &str) -> usize {
        let prefix = if event.is_empty() {
            format!("/{tenant}/")
        } else {
            format!("/{tenant}/{event}/")
        };
        let doomed: Vec<_> = self
            .objects
            .iter()
            .map(|(key, _)| key)
            .filter(|key| key.starts_with(&prefix))
            .collect();
        doomed
            .iter()
            .for_each(|key| self.objects.invalidate(&**key));
        doomed.len()
    }

    /// Runs moka's pending work; returns objects and bytes held.
    pub fn sweep(&self) -> (u64, u64) {
        self.objects.run_pending_tasks();
        (self.objects.entry_count(), self.objects.weighted_size())
    }

    /// Fetches under way.
    pub fn flights(&self) -> usize {
        lock(&self.flights).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::Asset;
    use bytes::Bytes;
    use hyper::StatusCode;
    use hyper::header::HeaderMap;
    use std::sync::atomic::AtomicUsize;
    use tokio::sync::Semaphore;

    /// Answers once the test lets it, with whatever status the test set.
    struct Gate {
        open: Semaphore,
        asked: AtomicUsize,
        status: Mutex<StatusCode>,
    }

    impl Gate {
        fn new() -> Arc<Self> {
            let (open, asked) = (Semaphore::new(0), AtomicUsize::new(0));
            Arc::new(Gate {
                open,
                asked,
                status: Mutex::new(StatusCode::OK),
            })
        }
    }

    impl Fetch for Gate {
        fn fetch(self: Arc<Self>, key: Key, _: Option<HeaderValue>) -> BoxFuture<'static, Entry> {
            let n = self.asked.fetch_add(1, Relaxed);
            Box::pin(async move {
                self.open.acquire().await.unwrap().forget();
                assert!(!key.resource().contains("panic"), "as asked");
                let status = *lock(&self.status);
                Entry {
                    status,
                    headers: HeaderMap::new(),
                    body: format!("{n}").into(),
                }
            })
        }
    }

    fn key(path: &str) -> Key {
        let asset = if path.contains("m3u8") {
            Asset::Playlist
        } else {
            Asset::Part
        };
        Key::new(format!("/acme/ev1/v720/{path}"), asset, false)
    }

    async fn body(store: &Arc<Store>, path: &str) -> (StatusCode, Bytes) {
        let entry = match store.get(&key(path), None).unwrap() {
            Lookup::Hit(entry) => entry,
            Lookup::Wait(mut flight, _) => flight.landed().await,
        };
        (entry.status, entry.body.clone())
    }

    #[tokio::test]
    async fn three_hundred_waiters_cause_one_fetch() {
        let gate = Gate::new();
        let store = Store::new(gate.clone(), 1 << 20, 8);
        let waiters: Vec<_> = (0..300)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { body(&store, "p1.0.m4s").await.1 })
            })
            .collect();
        tokio::task::yield_now().await;
        gate.open.add_permits(1);
        for waiter in waiters {
            assert_eq!(waiter.await.unwrap(), "0");
        }
        assert_eq!(gate.asked.load(Relaxed), 1);
    }

    #[tokio::test]
    async fn a_leaving_client_never_cancels_what_others_wait_for() {
        let gate = Gate::new();
        let store = Store::new(gate.clone(), 1 << 20, 8);
        let Ok(Lookup::Wait(first, false)) = store.get(&key("p1.0.m4s"), None) else {
            panic!("a flight")
        };
        let Ok(Lookup::Wait(mut second, true)) = store.get(&key("p1.0.m4s"), None) else {
            panic!("joined")
        };
        drop(first);
        gate.open.add_permits(1);
        assert_eq!(second.landed().await.body, "0");
        assert_eq!(gate.asked.load(Relaxed), 1);
    }

    #[tokio::test]
    async fn even_when_all_leave_the_object_is_kept_for_the_next() {
        let gate = Gate::new();
        let store = Store::new(gate.clone(), 1 << 20, 8);
        drop(store.get(&key("p1.0.m4s"), None));
        gate.open.add_permits(1);
        while store.flights() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(
            store.get(&key("p1.0.m4s"), None),
            Ok(Lookup::Hit(_))
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn a_playlist_is_fresh_for_a_moment_and_a_part_for_long() {
        let gate = Gate::new();
        gate.open.add_permits(10);
        let store = Store::new(gate.clone(), 1 << 20, 8);
        for path in ["index.m3u8", "index.m3u8?_HLS_msn=1", "p1.0.m4s"] {
            body(&store, path).await;
        }
        let hit = |path| matches!(store.get(&key(path), None), Ok(Lookup::Hit(_)));
        tokio::time::advance(Duration::from_millis(140)).await;
        assert!(hit("index.m3u8"));
        tokio::time::advance(Duration::from_millis(20)).await;
        assert!(!hit("index.m3u8") && hit("index.m3u8?_HLS_msn=1"));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!hit("index.m3u8?_HLS_msn=1") && hit("p1.0.m4s"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_origin_is_hidden_by_the_last_good_object() {
        let gate = Gate::new();
        gate.open.add_permits(10);
        let store = Store::new(gate.clone(), 1 << 20, 8);
        assert_eq!(body(&store, "index.m3u8").await.1, "0");
        *lock(&gate.status) = StatusCode::BAD_GATEWAY;
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(
            body(&store, "index.m3u8").await,
            (StatusCode::OK, "0".into())
        );
        assert_eq!(store.figures.stale.load(Relaxed), 1);
        assert_eq!(
            body(&store, "p9.0.m4s").await.0,
            StatusCode::BAD_GATEWAY,
            "nothing old to show"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_remembered_for_a_quarter_second() {
        let gate = Gate::new();
        gate.open.add_permits(10);
        *lock(&gate.status) = StatusCode::NOT_FOUND;
        let store = Store::new(gate.clone(), 1 << 20, 8);
        body(&store, "p9.0.m4s").await;
        body(&store, "p9.0.m4s").await;
        assert_eq!(gate.asked.load(Relaxed), 1);
        tokio::time::advance(Duration::from_millis(260)).await;
        body(&store, "p9.0.m4s").await;
        assert_eq!(gate.asked.load(Relaxed), 2);
    }

    #[tokio::test]
    async fn one_event_cannot_take_all_fetches() {
        let store = Store::new(Gate::new(), 1 << 20, 2);
        let held = [
            store.get(&key("p1.0.m4s"), None),
            store.get(&key("p1.1.m4s"), None),
        ];
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(store.get(&key("p1.2.m4s"), None).err(), Some(ORIGIN_BUSY));
        let other = Key::new("/acme/ev2/v720/p1.2.m4s".into(), Asset::Part, false);
        assert!(store.get(&other, None).is_ok());
    }

    #[tokio::test]
    async fn a_fetch_that_panics_fails_its_waiters_and_frees_its_key() {
        let gate = Gate::new();
        gate.open.add_permits(1);
        let store = Store::new(gate.clone(), 1 << 20, 1);
        assert_eq!(body(&store, "panic.m4s").await.0, StatusCode::BAD_GATEWAY);
        assert_eq!(store.flights(), 0);
        gate.open.add_permits(1);
        assert_eq!(body(&store, "p1.0.m4s").await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn a_purge_drops_one_event_only() {
        let gate = Gate::new();
        gate.open.add_permits(10);
        let store = Store::new(gate, 1 << 20, 8);
        body(&store, "p1.0.m4s").await;
        assert_eq!(store.purge("acme", "ev"), 0);
        assert_eq!(store.purge("acme", "ev1"), 1);
        assert!(matches!(
            store.get(&key("p1.0.m4s"), None),
            Ok(Lookup::Wait(..))
        ));
    }
}
