//! Going away: said first, done later.
//!
//! `Serving → Notice → Closing → LastCall`. In Notice the edge serves everybody but is not ready and
//! reports that it drains, so that balancers and content steering move viewers. Closing stops
//! accepting and says goodbye (GOAWAY, `Connection: close`); blocked requests still end by
//! themselves. LastCall, a second before the hard deadline, ends those that have not.
//!
//! A drain of the edge's pool is another thing: the retreat, which can be taken back and refuses nobody.
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

/// What a drain of its pool makes of the edge. Unlike a phase it is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retreat {
    /// Nobody asked for one.
    Staying,
    /// It reports that it drains, so that content steering moves viewers; nothing else changes.
    Asked,
    /// Not ready, and connections end after their present requests. Whoever comes is served.
    Away,
}

/// The phase and the retreat, shared.
#[derive(Debug)]
pub struct Drain {
    phase: watch::Sender<Phase>,
    retreat: watch::Sender<Retreat>,
}

impl Default for Drain {
    fn default() -> Self {
        Drain {
            phase: watch::channel(Phase::Serving).0,
            retreat: watch::channel(Retreat::Staying).0,
        }
    }
}

/// What those hear who act on a drain; it must not outlive the drain.
#[derive(Debug, Clone)]
pub struct Signs {
    phase: watch::Receiver<Phase>,
    retreat: watch::Receiver<Retreat>,
}

impl Signs {
    /// Returns when nobody is let in any more.
    pub async fn closing(&mut self) {
        let _ = self.phase.wait_for(|phase| *phase >= Phase::Closing).await;
    }

    /// Whether connections are to end after their present requests.
    pub fn is_goodbye(&self) -> bool {
        *self.phase.borrow() >= Phase::Closing || *self.retreat.borrow() == Retreat::Away
    }

    /// Returns when connections are to end after their present requests.
    pub async fn goodbye(&mut self) {
        tokio::select! {
            _ = self.phase.wait_for(|phase| *phase >= Phase::Closing) => {}
            _ = self.retreat.wait_for(|retreat| *retreat == Retreat::Away) => {}
        }
    }

    /// Returns after the next change.
    pub async fn moved(&mut self) {
        tokio::select! {
            Ok(()) = self.phase.changed() => {}
            Ok(()) = self.retreat.changed() => {}
            else => std::future::pending().await,
        }
    }
}

impl Drain {
    /// The present phase.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// The present retreat.
    pub fn retreat(&self) -> Retreat {
        *self.retreat.borrow()
    }

    /// Whether viewers should go elsewhere, for good or for a while.
    pub fn is_draining(&self) -> bool {
        self.phase() > Phase::Serving || self.retreat() != Retreat::Staying
    }

    /// Whether balancers should send nobody here any more.
    pub fn is_away(&self) -> bool {
        self.phase() > Phase::Serving || self.retreat() == Retreat::Away
    }

    /// Retreats, or comes back.
    pub fn set_retreat(&self, to: Retreat) {
        self.retreat
            .send_if_modified(|retreat| std::mem::replace(retreat, to) != to);
    }

    /// Moves on to a phase; never back.
    pub fn advance(&self, to: Phase) {
        self.phase.send_if_modified(|phase| {
            let later = to > *phase;
            *phase = to.max(*phase);
            later
        });
    }

    /// Returns once `phase` is reached.
    pub async fn reached(&self, phase: Phase) {
        let mut seen = self.phase.subscribe();
        // The sender lives in self, so the channel cannot close while we wait.
        let _ = seen.wait_for(|now| *now >= phase).await;
    }

    /// For loops that act on it.
    pub fn watch(&self) -> Signs {
        Signs {
            phase: self.phase.subscribe(),
            retreat: self.retreat.subscribe(),
        }
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

    #[tokio::test]
    async fn a_retreat_is_said_before_it_is_done_and_is_taken_back() {
        let drain = Drain::default();
        let mut signs = drain.watch();
        drain.set_retreat(Retreat::Asked);
        assert!(drain.is_draining() && !drain.is_away(), "balancers wait");
        drain.set_retreat(Retreat::Away);
        assert!(drain.is_away());
        signs.goodbye().await;
        assert_eq!(drain.phase(), Phase::Serving, "the door stays open");
        drain.set_retreat(Retreat::Staying);
        assert!(!drain.is_draining() && !drain.is_away());
    }

    #[test]
    fn a_phase_is_never_taken_back() {
        let drain = Drain::default();
        drain.advance(Phase::Closing);
        drain.advance(Phase::Notice);
        assert_eq!(drain.phase(), Phase::Closing);
    }
}
