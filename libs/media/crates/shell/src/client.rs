//! The thread of a client.

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use odeon_media_core::client::{ClientCore, ClientEvent, Frame, FrameQueue};
use odeon_media_core::{ErrorClass, MediaError, sdp};

use crate::command::{Commands, Inbox, run_jobs};
use crate::socket::{ForcedLoss, SocketEgress, Waker, bind, local_address_towards, wait};

const MAX_BATCH: usize = 128;
const MAX_DATAGRAM: usize = 2_048;
const MAX_EVENTS: usize = 4_096;
const IDLE: Duration = Duration::from_secs(1);

type Job = Box<dyn FnOnce(&mut ClientCore, Instant) + Send>;

/// How to start a client.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Host to bind.
    pub bind_host: String,
    /// Frames that may wait for their reader.
    pub max_frames: usize,
    /// Bytes that may wait.
    pub max_bytes: usize,
    /// Not connected after this: closed.
    pub connect_timeout: Duration,
    /// Share of outgoing media that is dropped, for tests.
    pub forced_loss: f64,
}

struct Frames {
    queue: Mutex<(FrameQueue, bool)>,
    filled: Condvar,
}

impl Frames {
    fn lock(&self) -> MutexGuard<'_, (FrameQueue, bool)> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running client.
pub struct ClientHandle {
    commands: Commands<ClientCore>,
    events: Arc<Inbox<ClientEvent>>,
    frames: Arc<Frames>,
    thread: Mutex<Option<JoinHandle<()>>>,
    local: SocketAddr,
}

impl ClientHandle {
    /// Opens a socket and starts.
    pub fn start(settings: ClientSettings) -> Result<Self, MediaError> {
        let socket = bind(&settings.bind_host, 0)?;
        let local = socket.local_addr().map_err(|error| transport(&error.to_string()))?;
        let core = ClientCore::new(Instant::now(), local, settings.connect_timeout);
        let waker = Arc::new(Waker::new()?);
        let (commands, jobs) = Commands::new(waker.clone());
        let events = Arc::new(Inbox::new(MAX_EVENTS));
        let queue = FrameQueue::new(settings.max_frames, settings.max_bytes);
        let frames = Arc::new(Frames { queue: Mutex::new((queue, false)), filled: Condvar::new() });
        let worker = Worker {
            core,
            socket,
            waker,
            jobs,
            events: events.clone(),
            frames: frames.clone(),
            loss: ForcedLoss::new(settings.forced_loss),
            segmentation: true,
        };
        let thread = std::thread::Builder::new()
            .name("odeon-client".to_owned())
            .spawn(move || worker.run())
            .map_err(|error| transport(&error.to_string()))?;
        Ok(Self { commands, events, frames, thread: Mutex::new(Some(thread)), local })
    }

    /// Runs a command on the client's thread.
    pub fn call<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut ClientCore, Instant) -> R + Send + 'static,
    ) -> Result<R, MediaError> {
        self.commands.call(work)
    }

    /// Candidates need a real address: the one that the peer is reached from, or this machine's own.
    pub fn settle_address(&self, remote_sdp: Option<&str>) -> Result<(), MediaError> {
        if !self.local.ip().is_unspecified() {
            return Ok(());
        }
        let towards =
            remote_sdp.and_then(first_candidate).unwrap_or(SocketAddr::from(([192, 0, 2, 1], 9)));
        let ip = local_address_towards(towards).unwrap_or([127, 0, 0, 1].into());
        let local = SocketAddr::new(ip, self.local.port());
        self.call(move |core, _| core.set_local(local))
    }

    /// Waits for frames.
    pub fn recv(&self, timeout: Duration, max: usize) -> Vec<Frame> {
        let empty = |state: &mut (FrameQueue, bool)| state.0.is_empty() && !state.1;
        let waited = self.frames.filled.wait_timeout_while(self.frames.lock(), timeout, empty);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| state.0.pop()).take(max).collect()
    }

    /// Frames dropped by the queue.
    pub fn frames_dropped(&self) -> u64 {
        self.frames.lock().0.dropped()
    }

    /// Waits for events.
    pub fn poll_events(&self, timeout: Duration, max: usize) -> Vec<ClientEvent> {
        self.events.take(timeout, max).0
    }

    /// Says goodbye and ends the thread.
    pub fn close(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        let _ = self.commands.call(|core, now| core.close(now));
        let _ = thread.join();
    }
}

impl Drop for ClientHandle {
    fn drop(&mut self) {
        self.close();
    }
}

/// Whatever ends the thread, readers are not left waiting.
impl Drop for Worker {
    fn drop(&mut self) {
        self.events.close();
        self.frames.lock().1 = true;
        self.frames.filled.notify_all();
    }
}

struct Worker {
    core: ClientCore,
    socket: UdpSocket,
    waker: Arc<Waker>,
    jobs: Receiver<Job>,
    events: Arc<Inbox<ClientEvent>>,
    frames: Arc<Frames>,
    loss: ForcedLoss,
    segmentation: bool,
}

impl Worker {
    fn run(mut self) {
        let mut buffer = vec![0; MAX_DATAGRAM];
        while !self.core.is_closed() {
            run_jobs(&self.jobs, &mut self.core);
            let more = self.receive(&mut buffer);
            let now = Instant::now();
            if self.core.next_timeout().is_some_and(|at| at <= now) {
                self.core.handle_timeout(now);
            }
            self.publish();
            self.flush();
            if !more && !self.core.is_closed() {
                let patience =
                    self.core.next_timeout().map_or(IDLE, |at| at.saturating_duration_since(now));
                wait(&self.socket, &self.waker, patience.min(IDLE));
            }
        }
        self.flush();
        self.publish();
    }

    fn receive(&mut self, buffer: &mut [u8]) -> bool {
        for _ in 0..MAX_BATCH {
            let Ok((length, from)) = self.socket.recv_from(buffer) else {
                return false;
            };
            self.core.handle_datagram(Instant::now(), from, &buffer[..length]);
        }
        true
    }

    fn flush(&mut self) {
        let Self { core, socket, loss, segmentation, .. } = self;
        core.flush(&mut SocketEgress { socket, loss, segmentation });
    }

    fn publish(&mut self) {
        let mut asks = Vec::new();
        let mut filled = false;
        if let Some(first) = self.core.poll_frame() {
            let mut state = self.frames.lock();
            asks.extend(state.0.push(first));
            while let Some(frame) = self.core.poll_frame() {
                asks.extend(state.0.push(frame));
            }
            filled = true;
        }
        if filled {
            self.frames.filled.notify_one();
        }
        for mid in asks {
            let _ = self.core.request_keyframe(Instant::now(), &mid, None);
        }
        let mut first = self.core.poll_event();
        if first.is_some() {
            let core = &mut self.core;
            self.events.extend(std::iter::from_fn(|| first.take().or_else(|| core.poll_event())));
        }
    }
}

fn first_candidate(remote: &str) -> Option<SocketAddr> {
    let candidate = sdp::attribute(remote, "candidate")?;
    let mut fields = candidate.split(' ').skip(4);
    let (ip, port) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(SocketAddr::new(ip, port))
}

fn transport(detail: &str) -> MediaError {
    MediaError::new(ErrorClass::Transport, "BIND_FAILED", detail)
}
