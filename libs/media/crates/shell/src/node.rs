//! The thread of a node.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use odeon_media_core::{ErrorClass, MediaError, NodeConfig, NodeEvent, NodeStats, Sfu};

use crate::command::{Commands, Inbox, run_jobs};
use crate::socket::{ForcedLoss, SocketEgress, Waker, bind, local_address_towards, wait};
use crate::time::wall_clock;

/// Datagrams taken before subscribers get their turn.
const MAX_BATCH: usize = 128;
/// The largest datagram that is read; media stays below an MTU.
const MAX_DATAGRAM: usize = 2_048;
const IDLE: Duration = Duration::from_secs(1);

type Job = Box<dyn FnOnce(&mut Shard, Instant) + Send>;

/// How to start a node.
#[derive(Debug, Clone)]
pub struct NodeSettings {
    /// Host to bind.
    pub bind_host: String,
    /// Port to bind; 0: any.
    pub port: u16,
    /// `host` or `host:port` put into candidates; empty: the bound address.
    pub advertise: Vec<String>,
    /// Settings of the core; its `advertise` is filled from the above.
    pub core: NodeConfig,
    /// Events that may wait for their reader.
    pub max_events: usize,
    /// Packets for one subscriber are gathered for this long, to leave in one send.
    pub slot: Duration,
    /// Share of outgoing media that is dropped, for tests.
    pub forced_loss: f64,
}

/// A core on its thread.
pub struct Shard {
    /// The core.
    pub sfu: Sfu,
    stop: bool,
}

/// A node's statistics with what only the shell knows.
#[derive(Debug, Clone)]
pub struct NodeReport {
    /// Of the core.
    pub stats: NodeStats,
    /// Time spent working.
    pub busy_ns: u64,
}

/// Events and how many were dropped before them.
pub type Timed = (Vec<NodeEvent>, u64);

/// A running node.
pub struct NodeHandle {
    commands: Commands<Shard>,
    events: Arc<Inbox<NodeEvent>>,
    busy_ns: Arc<AtomicU64>,
    thread: Mutex<Option<JoinHandle<()>>>,
    port: u16,
}

impl NodeHandle {
    /// Binds and starts.
    pub fn start(settings: NodeSettings) -> Result<Self, MediaError> {
        let socket = bind(&settings.bind_host, settings.port)?;
        let bound = socket.local_addr().map_err(|error| transport(&error.to_string()))?;
        let mut core = settings.core.clone();
        core.advertise = advertised(&settings.advertise, bound)?;
        let sfu = Sfu::new(core, wall_clock())?;
        let waker = Arc::new(Waker::new()?);
        let (commands, jobs) = Commands::new(waker.clone());
        let events = Arc::new(Inbox::new(settings.max_events));
        let busy_ns = Arc::new(AtomicU64::new(0));
        let worker = Worker {
            shard: Shard { sfu, stop: false },
            socket,
            waker,
            jobs,
            events: events.clone(),
            busy_ns: busy_ns.clone(),
            loss: ForcedLoss::new(settings.forced_loss),
            segmentation: true,
            slot: settings.slot,
            flush_at: None,
        };
        let thread = std::thread::Builder::new()
            .name("odeon-sfu".to_owned())
            .spawn(move || worker.run())
            .map_err(|error| transport(&error.to_string()))?;
        Ok(Self { commands, events, busy_ns, thread: Mutex::new(Some(thread)), port: bound.port() })
    }

    /// The UDP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs a command on the node's thread.
    pub fn call<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Sfu, Instant) -> R + Send + 'static,
    ) -> Result<R, MediaError> {
        self.commands.call(move |shard, now| work(&mut shard.sfu, now))
    }

    /// Statistics.
    pub fn stats(&self) -> Result<NodeReport, MediaError> {
        let stats = self.call(|sfu, now| sfu.stats(now))?;
        Ok(NodeReport { stats, busy_ns: self.busy_ns.load(Ordering::Relaxed) })
    }

    /// Waits for events.
    pub fn poll_events(&self, timeout: Duration, max: usize) -> Timed {
        self.events.take(timeout, max)
    }

    /// Ends all sessions and the thread.
    pub fn shutdown(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        let _ = self.commands.call(|shard, now| {
            shard.sfu.close_all(now, "SHUTDOWN");
            shard.stop = true;
        });
        let _ = thread.join();
    }
}

impl Drop for NodeHandle {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// Whatever ends the thread, a reader is not left waiting.
impl Drop for Worker {
    fn drop(&mut self) {
        self.events.close();
    }
}

struct Worker {
    shard: Shard,
    socket: UdpSocket,
    waker: Arc<Waker>,
    jobs: Receiver<Job>,
    events: Arc<Inbox<NodeEvent>>,
    busy_ns: Arc<AtomicU64>,
    loss: ForcedLoss,
    segmentation: bool,
    slot: Duration,
    /// When what was gathered leaves.
    flush_at: Option<Instant>,
}

impl Worker {
    fn run(mut self) {
        let mut buffer = vec![0; MAX_DATAGRAM];
        loop {
            let start = Instant::now();
            run_jobs(&self.jobs, &mut self.shard);
            let more = self.receive(&mut buffer);
            self.pass_time();
            self.publish();
            let end = Instant::now();
            self.busy_ns.fetch_add((end - start).as_nanos() as u64, Ordering::Relaxed);
            if self.shard.stop {
                break;
            }
            if !more {
                wait(&self.socket, &self.waker, self.patience(end));
            }
        }
        self.flush();
        self.publish();
    }

    /// Takes what arrived; true when there may be more.
    fn receive(&mut self, buffer: &mut [u8]) -> bool {
        for _ in 0..MAX_BATCH {
            let Ok((length, from)) = self.socket.recv_from(buffer) else {
                return false;
            };
            self.shard.sfu.handle_datagram(Instant::now(), from, &buffer[..length]);
        }
        true
    }

    fn pass_time(&mut self) {
        let now = Instant::now();
        if self.shard.sfu.next_timeout().is_some_and(|at| at <= now) {
            self.shard.sfu.handle_timeout(now);
        }
        if !self.shard.sfu.wants_flush() {
            return;
        }
        let flush_at = *self.flush_at.get_or_insert(now + self.slot);
        if flush_at <= now {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.flush_at = None;
        let Self { shard, socket, loss, segmentation, .. } = self;
        shard.sfu.flush(Instant::now(), &mut SocketEgress { socket, loss, segmentation });
    }

    fn publish(&mut self) {
        let mut first = self.shard.sfu.poll_event();
        if first.is_some() {
            let sfu = &mut self.shard.sfu;
            self.events.extend(std::iter::from_fn(|| first.take().or_else(|| sfu.poll_event())));
        }
    }

    fn patience(&self, now: Instant) -> Duration {
        let next = match (self.shard.sfu.next_timeout(), self.flush_at) {
            (Some(timeout), Some(flush)) => Some(timeout.min(flush)),
            (timeout, flush) => timeout.or(flush),
        };
        next.map_or(IDLE, |at| at.saturating_duration_since(now).min(IDLE))
    }
}

fn transport(detail: &str) -> MediaError {
    MediaError::new(ErrorClass::Transport, "BIND_FAILED", detail)
}

fn advertised(names: &[String], bound: SocketAddr) -> Result<Vec<SocketAddr>, MediaError> {
    if names.is_empty() {
        let reachable = if bound.ip().is_unspecified() {
            // No packet is sent: connecting a UDP socket only chooses a route.
            local_address_towards(SocketAddr::from(([192, 0, 2, 1], 9)))
                .unwrap_or([127, 0, 0, 1].into())
        } else {
            bound.ip()
        };
        return Ok(vec![SocketAddr::new(reachable, bound.port())]);
    }
    names
        .iter()
        .map(|name| {
            let address = name.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, bound.port()));
            address.or_else(|_| name.parse()).map_err(|_| {
                MediaError::new(
                    ErrorClass::Argument,
                    "INVALID_ADDRESS",
                    format!("{name} is no address"),
                )
            })
        })
        .collect()
}
