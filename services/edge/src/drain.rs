//! Going away: said first, done later.
//!
//! `Serving → Notice → Closing → LastCall`. In Notice the edge serves everybody but is not ready and
//! reports that it drains, so that balancers and content steering move viewers. Closing stops
//! accepting and says goodbye (GOAWAY, `Connection: close`); blocked requests still end by
//! themselves. LastCall, a second before the hard deadline, ends those that have not.
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

/// Before the deadline, blocked requests are told to go elsewhere this long.
const LAST_CALL: Duration = Duration::from_secs(1);

/// How far the drain went; later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Not draining.
    Serving,
    /// Not ready, still serving.
    Notice,
    /// Not accepting, connections end after their present requests.
    Closing,
    /// Requests that still wait are refused.
    LastCall,
}

impl Phase {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Serving => "serving",
            Phase::Notice => "notice",
            Phase::Closing => "closing",
            Phase::LastCall => "last_call",
        }
    }
}

/// The phase, shared.
#[derive(Debug)]
pub struct Drain(watch::Sender<Phase>);

impl Default for Drain {
    fn default() -> Self {
        Drain(watch::channel(Phase::Serving).0)
    }
}

impl Drain {
    /// The present phase.
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Whether a drain has begun.
    pub fn is_draining(&self) -> bool {
        self.phase() > Phase::Serving
    }

    /// Moves on to a phase; never back.
    pub fn advance(&self, to: Phase) {
        self.0.send_if_modified(|phase| {
            let later = to > *phase;
            *phase = to.max(*phase);
            later
        });
    }

    /// Returns once `phase` is reached.
    pub async fn reached(&self, phase: Phase) {
        let mut seen = self.0.subscribe();
        // The sender lives in self, so the channel cannot close while we wait.
        let _ = seen.wait_for(|now| *now >= phase).await;
    }

    /// A receiver for loops that watch the phase themselves.
    pub fn watch(&self) -> watch::Receiver<Phase> {
        self.0.subscribe()
    }

    /// Goes through the phases: `notice`, then at most `limit` until `gone` resolves.
    ///
    /// Returns whether everybody left before the deadline.
    pub async fn run(
        &self,
        notice: Duration,
        limit: Duration,
        gone: impl Future<Output = ()>,
    ) -> bool {
        self.advance(Phase::Notice);
        sleep(notice).await;
        self.advance(Phase::Closing);
        let deadline = Instant::now() + limit;
        let call = deadline
            .checked_sub(LAST_CALL.min(limit / 2))
            .unwrap_or(deadline);
        tokio::pin!(gone);
        tokio::select! {
            () = &mut gone => return true,
            () = sleep_until(call) => self.advance(Phase::LastCall),
        }
        tokio::select! {
            () = &mut gone => true,
            () = sleep_until(deadline) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    const NOTICE: Duration = Duration::from_secs(15);
    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn phases_follow_each_other_and_the_deadline_is_hard() {
        let drain = Arc::new(Drain::default());
        assert!(!drain.is_draining());
        let (mine, start) = (drain.clone(), Instant::now());
        let run =
            tokio::spawn(async move { mine.run(NOTICE, LIMIT, std::future::pending()).await });
        let mut times = Vec::new();
        for phase in [Phase::Notice, Phase::Closing, Phase::LastCall] {
            drain.reached(phase).await;
            times.push(start.elapsed().as_secs());
        }
        assert_eq!(times, [0, 15, 24]);
        assert!(!run.await.unwrap(), "somebody stayed");
        assert_eq!(start.elapsed().as_secs(), 25);
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_as_soon_as_everybody_left() {
        let (drain, start) = (Drain::default(), Instant::now());
        let gone = sleep(Duration::from_secs(3));
        assert!(drain.run(Duration::ZERO, LIMIT, gone).await);
        assert_eq!(start.elapsed().as_secs(), 3);
        assert_eq!(drain.phase(), Phase::Closing);
    }

    #[test]
    fn a_phase_is_never_taken_back() {
        let drain = Drain::default();
        drain.advance(Phase::Closing);
        drain.advance(Phase::Notice);
        assert_eq!(drain.phase(), Phase::Closing);
    }
}
