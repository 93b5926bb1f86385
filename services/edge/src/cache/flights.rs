//! Fetches under way, each shared by everybody who wants the object.
use super::{Entry, Key};
use crate::refusal::ORIGIN_FAILED;
use ahash::RandomState;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;

type Landed = watch::Receiver<Option<Arc<Entry>>>;

/// A fetch under way.
pub struct Flight(Landed);

impl Flight {
    /// The object, once it landed.
    pub async fn landed(&mut self) -> Arc<Entry> {
        let entry = self
            .0
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|seen| seen.clone());
        // The channel closes without a value only if the fetch panicked.
        entry.unwrap_or_else(|| Arc::new(Entry::refused(ORIGIN_FAILED)))
    }
}

/// All fetches under way, and how many of each event.
#[derive(Default)]
pub(super) struct Flights {
    by_key: HashMap<Arc<str>, Landed, RandomState>,
    by_scope: HashMap<Box<str>, usize, RandomState>,
}

impl Flights {
    /// The fetch that already brings this object.
    pub(super) fn of(&self, key: &Key) -> Option<Flight> {
        self.by_key.get(&key.text).cloned().map(Flight)
    }

    /// Notes a new fetch, unless `limit` of its event are under way.
    pub(super) fn start(
        &mut self,
        key: &Key,
        limit: usize,
    ) -> Option<(watch::Sender<Option<Arc<Entry>>>, Flight)> {
        let count = self.by_scope.entry(key.scope().into()).or_insert(0);
        if *count >= limit {
            return None;
        }
        *count += 1;
        let (landed, flight) = watch::channel(None);
        self.by_key.insert(key.text.clone(), flight.clone());
        Some((landed, Flight(flight)))
    }

    /// Forgets a fetch that is over.
    pub(super) fn end(&mut self, key: &Key) {
        self.by_key.remove(&key.text);
        if let Some(count) = self.by_scope.get_mut(key.scope()) {
            *count -= 1;
            if *count == 0 {
                self.by_scope.remove(key.scope());
            }
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }
}
