//! Listeners, TLS, connection limits and timeouts, goodbyes.
use crate::body::Out;
use crate::drain::Signs;
use crate::io::{HeadLimit, Heads, WriteLimit};
use crate::limits::{Busy, Meter, Table};
use crate::metrics::Metrics;
use crate::settings::Patience;
use arc_swap::ArcSwap;
use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// A TLS handshake takes two round trips; nobody needs longer.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Largest request head; a token is at most 2 KB of it.
const MAX_HEAD: u32 = 16 << 10;
const MAX_HEADERS: usize = 64;
const H2_STREAMS: u32 = 64;
/// Streams that a client may open and reset before we say goodbye (rapid reset, CVE-2023-44487).
const H2_PENDING_RESETS: usize = 20;
const H2_LOCAL_RESETS: usize = 256;
const H2_SEND_BUFFER: usize = 256 << 10;
const H2_PING: Duration = Duration::from_secs(20);
const H2_PONG: Duration = Duration::from_secs(10);
const BACKLOG: u32 = 4096;
/// A connection on which nothing was asked yet gets this long before a drain's goodbye: closed at
/// once, a client that has just connected would see an empty answer.
const FIRST_REQUEST: Duration = Duration::from_millis(500);

/// Who is at the other end.
pub struct Peer {
    /// Address; an IPv4 one also when it came through an IPv6 socket.
    pub ip: IpAddr,
    /// Counters of that address.
    pub meter: Arc<Meter>,
}

/// What answers requests.
pub trait App: Send + Sync + 'static {
    /// Answers one request.
    fn answer(
        self: Arc<Self>,
        peer: Arc<Peer>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Out>> + Send;
}

/// Everything that connections of one kind share.
pub struct Server<A> {
    /// What answers.
    pub app: Arc<A>,
    /// TLS, if it is spoken.
    pub tls: Option<Arc<ArcSwap<TlsAcceptor>>>,
    /// Connections left.
    pub connections: Arc<Semaphore>,
    /// Source addresses.
    pub sources: Arc<Table<IpAddr, Meter>>,
    /// Connections of one source; 0 is no limit.
    pub source_connections: u32,
    /// Timeouts.
    pub patience: Patience,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// When to stop accepting and say goodbye.
    pub drain: Signs,
}

/// Dropped by a connection or listener when it ends; the drain waits for all.
pub type Alive = mpsc::Sender<()>;

/// What a connection holds until it ends.
struct Held {
    _permit: OwnedSemaphorePermit,
    _busy: Busy<Meter>,
    _alive: Alive,
}

/// Opens a listener; another process may listen beside it (the next edge takes over before this one drains).
pub fn listener(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The address that limits count: an IPv6 subscriber has a whole /64, so that is his address.
fn source_of(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
    }
}

impl<A: App> Server<A> {
    /// Accepts until the drain closes the door.
    pub async fn listen(self: Arc<Self>, listener: TcpListener, alive: Alive) {
        let mut drain = self.drain.clone();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = drain.closing() => break,
            };
            match accepted {
                Ok((socket, peer)) => self.accept(socket, peer, &alive),
                // Out of descriptors, usually; accepting again at once would only spin.
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
        // Those who connected before the door closes would be reset with it.
        while let Some(Ok((socket, peer))) = listener.accept().now_or_never() {
            self.accept(socket, peer, &alive);
        }
    }

    fn accept(self: &Arc<Self>, socket: TcpStream, peer: SocketAddr, alive: &Alive) {
        let ip = peer.ip().to_canonical();
        let meter = self.sources.get(source_of(ip), Meter::default);
        meter.touch(crate::limits::now_ms());
        let permit = self.connections.clone().try_acquire_owned();
        let (Ok(permit), Some(busy)) = (permit, Busy::take(&meter, self.source_connections)) else {
            self.metrics.turned_away.fetch_add(1, Relaxed);
            return;
        };
        self.metrics.accepted.fetch_add(1, Relaxed);
        let _ = socket.set_nodelay(true); // fails only on a socket that is gone
        let held = Held {
            _permit: permit,
            _busy: busy,
            _alive: alive.clone(),
        };
        tokio::spawn(
            self.clone()
                .connection(socket, Arc::new(Peer { ip, meter }), held),
        );
    }

    async fn connection(self: Arc<Self>, socket: TcpStream, peer: Arc<Peer>, _held: Held) {
        let io = WriteLimit::new(socket, self.patience.write);
        // Boxed branches: a connection's task is as large as its largest branch otherwise.
        let Some(tls) = &self.tls else {
            return Box::pin(self.h1(io, peer)).await;
        };
        let acceptor = TlsAcceptor::clone(&tls.load());
        match timeout(HANDSHAKE, Box::pin(acceptor.accept(io))).await {
            Ok(Ok(io)) if io.get_ref().1.alpn_protocol() == Some(b"h2") => {
                Box::pin(self.h2(io, peer)).await
            }
            Ok(Ok(io)) => Box::pin(self.h1(io, peer)).await,
            _ => drop(self.metrics.handshakes_failed.fetch_add(1, Relaxed)),
        }
    }

    async fn h1<I: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&self, io: I, peer: Arc<Peer>) {
        let heads = Arc::new(Heads::default());
        let io = HeadLimit::new(io, heads.clone(), self.patience.head);
        let service = service_fn(|request| {
            let answering = heads.arrived();
            let answer = self.app.clone().answer(peer.clone(), request);
            async move {
                let mut response = answer.await;
                drop(answering);
                // A connection that came after the drain began has not been said goodbye to yet.
                if self.drain.is_goodbye() {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(CONNECTION, close);
                }
                Ok::<_, Infallible>(response)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.patience.idle)
            .max_buf_size(MAX_HEAD as usize)
            .max_headers(MAX_HEADERS)
            .serve_connection(TokioIo::new(io), service);
        self.drive(connection, Protocol::Http1, || heads.count())
            .await;
    }

    async fn h2<I: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&self, io: I, peer: Arc<Peer>) {
        let (app, requests) = (self.app.clone(), Arc::new(AtomicU64::new(0)));
        let count = requests.clone();
        let service = service_fn(move |request| {
            count.fetch_add(1, Relaxed);
            // Boxed: hyper moves the task of a stream about several times, and it is as large as this.
            let answer = Box::pin(app.clone().answer(peer.clone(), request));
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(H2_STREAMS)
            .max_header_list_size(MAX_HEAD)
            .max_pending_accept_reset_streams(H2_PENDING_RESETS)
            .max_local_error_reset_streams(H2_LOCAL_RESETS)
            .max_send_buf_size(H2_SEND_BUFFER)
            .keep_alive_interval(H2_PING)
            .keep_alive_timeout(H2_PONG)
            .serve_connection(TokioIo::new(io), service);
        self.drive(connection, Protocol::Http2, || requests.load(Relaxed))
            .await;
    }

    /// Runs a connection; says goodbye when the drain begins or, over h2, when no request came for
    /// twice the idle limit. After an idle goodbye, whoever does not read his answers is cut off.
    async fn drive<C: GracefulConnection>(
        &self,
        connection: C,
        protocol: Protocol,
        requests: impl Fn() -> u64,
    ) {
        let idle_limit = self.patience.idle * 2;
        let mut drain = self.drain.clone();
        let mut connection = pin!(connection);
        let (mut alarm, mut goodbye) = (pin!(sleep(idle_limit)), pin!(sleep(FIRST_REQUEST)));
        let (mut state, mut last) = (State::Open, 0);
        loop {
            tokio::select! {
                biased;
                _ = connection.as_mut() => return,
                () = drain.goodbye(), if state == State::Open => {
                    if requests() == 0 {
                        state = State::Leaving;
                        goodbye.as_mut().reset(Instant::now() + FIRST_REQUEST);
                    } else {
                        state = State::SaidGoodbye;
                        connection.as_mut().graceful_shutdown();
                    }
                }
                () = goodbye.as_mut(), if state == State::Leaving => {
                    state = State::SaidGoodbye;
                    connection.as_mut().graceful_shutdown();
                }
                () = alarm.as_mut(), if protocol == Protocol::Http2 => {
                    if state == State::CutSoon {
                        return;
                    }
                    let now = requests();
                    if now == last {
                        state = State::CutSoon;
                        connection.as_mut().graceful_shutdown();
                    }
                    last = now;
                    let next = if state == State::CutSoon { self.patience.write } else { idle_limit };
                    alarm.as_mut().reset(Instant::now() + next);
                }
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

/// How far the end of a connection is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The drain began; the goodbye is due.
    Leaving,
    SaidGoodbye,
    /// The goodbye was said because of idleness; the alarm ends it.
    CutSoon,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_an_ipv4_address_or_an_ipv6_network() {
        let source = |text: &str| source_of(text.parse().unwrap()).to_string();
        assert_eq!(source("192.0.2.7"), "192.0.2.7");
        assert_eq!(source("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(source("2001:db8:1:2::1"), source("2001:db8:1:2:ffff::1"));
        assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
    }
}
