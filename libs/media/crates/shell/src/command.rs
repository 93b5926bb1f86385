//! Commands to a thread that owns a core, and bounded queues back from it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use odeon_media_core::{ErrorClass, MediaError};

use crate::socket::Waker;

/// Callers beyond this wait for their turn.
const MAX_WAITING: usize = 256;

type Job<T> = Box<dyn FnOnce(&mut T, Instant) + Send>;

/// Runs what callers asked for; a command that panics costs its caller an error and nothing else.
pub(crate) fn run_jobs<T>(jobs: &Receiver<Job<T>>, core: &mut T) {
    while let Ok(job) = jobs.try_recv() {
        let _ = catch_unwind(AssertUnwindSafe(|| job(core, Instant::now())));
    }
}

/// The callers' end.
pub(crate) struct Commands<T> {
    jobs: SyncSender<Job<T>>,
    waker: Arc<Waker>,
}

impl<T: 'static> Commands<T> {
    pub(crate) fn new(waker: Arc<Waker>) -> (Self, Receiver<Job<T>>) {
        let (jobs, receiver) = sync_channel(MAX_WAITING);
        (Self { jobs, waker }, receiver)
    }

    /// Runs a function on the thread and waits for its answer.
    pub(crate) fn call<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut T, Instant) -> R + Send + 'static,
    ) -> Result<R, MediaError> {
        let (answer, answered) = sync_channel(1);
        let job: Job<T> = Box::new(move |core, now| {
            let _ = answer.send(work(core, now));
        });
        self.jobs.send(job).map_err(|_| closed())?;
        self.waker.wake();
        // The thread goes on after a command that panicked; its answer never comes.
        answered
            .recv()
            .map_err(|_| MediaError::new(ErrorClass::State, "INTERNAL", "the command failed"))
    }
}

pub(crate) fn closed() -> MediaError {
    MediaError::new(ErrorClass::State, "CLOSED", "it is shut down")
}

/// A bounded queue that one reader waits on.
pub(crate) struct Inbox<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    capacity: usize,
}

struct State<T> {
    items: VecDeque<T>,
    dropped: u64,
    closed: bool,
}

impl<T> Inbox<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        let state = State { items: VecDeque::new(), dropped: 0, closed: false };
        Self { state: Mutex::new(state), filled: Condvar::new(), capacity: capacity.max(1) }
    }

    /// Adds items; what does not fit is counted.
    pub(crate) fn extend(&self, items: impl Iterator<Item = T>) {
        let mut state = self.lock();
        for item in items {
            if state.items.len() < self.capacity {
                state.items.push_back(item);
            } else {
                state.dropped += 1;
            }
        }
        drop(state);
        self.filled.notify_one();
    }

    /// Ends all waiting, now and later.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    /// Waits for items; answers them and how many were dropped since the last call.
    pub(crate) fn take(&self, timeout: Duration, max: usize) -> (Vec<T>, u64) {
        let waiting =
            |state: &mut State<T>| state.items.is_empty() && state.dropped == 0 && !state.closed;
        let (mut state, _) = self
            .filled
            .wait_timeout_while(self.lock(), timeout, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        let count = max.min(state.items.len());
        let items = state.items.drain(..count).collect();
        (items, std::mem::take(&mut state.dropped))
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inbox_is_bounded_and_says_what_it_dropped() {
        let inbox = Inbox::new(2);
        inbox.extend(0..5);
        assert_eq!(inbox.take(Duration::ZERO, 10), (vec![0, 1], 3));
        assert_eq!(inbox.take(Duration::ZERO, 10), (vec![], 0));
        inbox.close();
        assert_eq!(inbox.take(Duration::from_secs(60), 10), (vec![], 0));
    }
}
