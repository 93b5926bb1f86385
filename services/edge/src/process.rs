//! The process: builds the parts, listens, says it is ready, watches signals and files, drains.
use crate::admin::{Admin, DrainOrder};
use crate::cache::Store;
use crate::drain::{Drain, Signs};
use crate::edge::Edge;
use crate::limits::{Meter, Table};
use crate::metrics::Metrics;
use crate::net::{Alive, Server, listener};
use crate::origin::Origin;
use crate::report::{Loads, Watched};
use crate::session::Sessions;
use crate::settings::{Settings, TlsFiles};
use crate::steering::Steering;
use crate::trust::Trust;
use crate::{access, log, tls, upstream};
use arc_swap::ArcSwap;
use serde_json::json;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::interval;
use tokio_rustls::TlsAcceptor;

/// How often certificate and key files are looked at.
const FILES_EVERY: Duration = Duration::from_secs(2);
/// Connections of the private listener.
const ADMIN_CONNECTIONS: usize = 64;
/// Exit status after a second signal, as shells have it for SIGINT.
const SECOND_SIGNAL: i32 = 130;

/// Runs an edge until it was drained. The error says why it could not start.
pub async fn run(settings: Settings) -> Result<(), String> {
    // Before the ready line: a signal without a handler would end the process.
    let explain = |e| format!("signals: {e}");
    let mut signals = Signals::new().map_err(explain)?;
    let hangup = signal(SignalKind::hangup()).map_err(explain)?;
    let doors = Doors::open(&settings)?;
    let parts = Parts::new(settings)?;
    let loads = parts.loads(doors.public_url(&parts.settings)?);
    let (orders, mut ordered) = mpsc::channel(1);
    let (alive, gone) = mpsc::channel(1);
    let ready = doors.ready_line(&parts.settings, &loads)?;
    doors.serve(&parts, &loads, alive, orders);
    println!("{ready}");
    log::info("edge.ready", ready);
    crate::trust::start(&parts.trust, &loads, &parts.settings, &parts.drain);
    let (trust, tls, files) = (
        parts.trust.clone(),
        parts.tls.clone(),
        parts.settings.clone(),
    );
    tokio::spawn(watch_files(hangup, trust, tls, files));

    let order = tokio::select! {
        notice = signals.next() => Leave { notice: notice.unwrap_or(parts.settings.drain_notice), signalled: true },
        order = ordered.recv() => {
            let signalled = order.is_some_and(|order| order.exit);
            Leave { notice: parts.settings.drain_notice, signalled }
        }
    };
    leave(&parts, order, gone, &mut signals).await;
    Ok(())
}

/// How to leave.
struct Leave {
    notice: Duration,
    /// Whether the process ends after the drain; otherwise a signal still has to come.
    signalled: bool,
}

async fn leave(parts: &Parts, order: Leave, mut gone: mpsc::Receiver<()>, signals: &mut Signals) {
    log::info(
        "edge.draining",
        json!({"notice_s": order.notice.as_secs_f64()}),
    );
    let mut signalled = order.signalled;
    let everybody = async { _ = gone.recv().await };
    let drain = parts
        .drain
        .run(order.notice, parts.settings.drain_limit, everybody);
    tokio::pin!(drain);
    let clean = loop {
        tokio::select! {
            clean = &mut drain => break clean,
            _ = signals.next() => {
                if signalled {
                    std::process::exit(SECOND_SIGNAL);
                }
                signalled = true;
            }
        }
    };
    log::info("edge.drained", json!({"clean": clean}));
    if !signalled {
        signals.next().await;
    }
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The next one; SIGINT (a person at a terminal) waives the notice.
    async fn next(&mut self) -> Option<Duration> {
        tokio::select! {
            _ = self.terminate.recv() => None,
            _ = self.interrupt.recv() => Some(Duration::ZERO),
        }
    }
}

/// All parts of a running edge.
struct Parts {
    settings: Settings,
    sessions: Arc<Sessions>,
    store: Arc<Store>,
    http: upstream::Http,
    origin: Arc<Origin>,
    trust: Arc<Trust>,
    metrics: Arc<Metrics>,
    drain: Arc<Drain>,
    sources: Arc<Table<IpAddr, Meter>>,
    connections: Arc<Semaphore>,
    tls: Option<Arc<ArcSwap<TlsAcceptor>>>,
}

impl Parts {
    fn new(settings: Settings) -> Result<Self, String> {
        let sessions = Arc::new(Sessions::default());
        let trust = Trust::new(sessions.clone());
        if let Some(file) = &settings.trust.jwks {
            trust.read_file(file)?;
        }
        let http = upstream::client(settings.upstream_ca.as_deref())?;
        let (addresses, limits) = (settings.origins.clone(), settings.origin_limits.clone());
        let origin = Origin::new(http.clone(), addresses, limits);
        let acceptor = settings.tls.as_ref().map(tls::acceptor).transpose()?;
        Ok(Parts {
            store: Store::new(origin.clone(), settings.cache_bytes, settings.event_flights),
            connections: Arc::new(Semaphore::new(settings.limits.max_connections)),
            tls: acceptor.map(|acceptor| Arc::new(ArcSwap::from_pointee(acceptor))),
            metrics: Arc::default(),
            drain: Arc::default(),
            sources: Arc::default(),
            sessions,
            http,
            origin,
            trust,
            settings,
        })
    }

    fn loads(&self, public_url: String) -> Arc<Loads> {
        Loads::new(Watched {
            edge: self.settings.id.clone(),
            public_url,
            sessions: self.sessions.clone(),
            metrics: self.metrics.clone(),
            drain: self.drain.clone(),
            connections: self.connections.clone(),
            max_connections: self.settings.limits.max_connections,
            sources: self.sources.clone(),
            window: self.settings.viewer_window,
        })
    }

    fn edge(&self) -> Edge {
        Edge {
            sessions: self.sessions.clone(),
            store: self.store.clone(),
            metrics: self.metrics.clone(),
            drain: self.drain.clone(),
            limits: self.settings.limits.clone(),
            hosts: self.settings.hosts.clone(),
            steering: self
                .settings
                .gateway
                .clone()
                .map(|gateway| Steering::new(self.http.clone(), gateway)),
            access: access::Log::new(self.settings.access_log),
        }
    }

    fn admin(&self, loads: &Arc<Loads>, orders: mpsc::Sender<DrainOrder>) -> Admin {
        Admin {
            sessions: self.sessions.clone(),
            store: self.store.clone(),
            origin: self.origin.clone(),
            trust: self.trust.clone(),
            metrics: self.metrics.clone(),
            loads: loads.clone(),
            drain: self.drain.clone(),
            token: self.settings.admin_token.clone(),
            orders,
        }
    }

    fn public_server(&self) -> Arc<Server<Edge>> {
        Arc::new(Server {
            app: Arc::new(self.edge()),
            tls: self.tls.clone(),
            connections: self.connections.clone(),
            sources: self.sources.clone(),
            source_connections: self.settings.limits.source_connections,
            patience: self.settings.patience.clone(),
            metrics: self.metrics.clone(),
            drain: self.drain.watch(),
        })
    }

    /// The private listener lives on during a drain and counts nobody.
    fn private_server(&self, admin: Admin, quiet: Signs) -> Arc<Server<Admin>> {
        Arc::new(Server {
            app: Arc::new(admin),
            tls: None,
            connections: Arc::new(Semaphore::new(ADMIN_CONNECTIONS)),
            sources: Arc::default(),
            source_connections: 0,
            patience: self.settings.patience.clone(),
            metrics: Arc::default(),
            drain: quiet,
        })
    }
}

/// What an edge listens on.
struct Doors {
    public: Vec<TcpListener>,
    private: TcpListener,
}

impl Doors {
    fn open(settings: &Settings) -> Result<Self, String> {
        let open = |address: &SocketAddr| listener(*address).map_err(|e| format!("{address}: {e}"));
        let public = settings.listen.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Doors {
            public,
            private: open(&settings.admin_listen)?,
        })
    }

    fn public_url(&self, settings: &Settings) -> Result<String, String> {
        if let Some(url) = &settings.public_url {
            return Ok(url.clone());
        }
        let scheme = if settings.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let address = self.public[0].local_addr().map_err(|e| e.to_string())?;
        Ok(format!("{scheme}://{address}"))
    }

    fn ready_line(&self, settings: &Settings, loads: &Loads) -> Result<serde_json::Value, String> {
        let address = |door: &TcpListener| {
            door.local_addr()
                .map(|a| a.to_string())
                .map_err(|e| e.to_string())
        };
        let listen = self
            .public
            .iter()
            .map(address)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(json!({
            "event": "ready",
            "service": "edge",
            "pid": std::process::id(),
            "id": settings.id,
            "version": env!("CARGO_PKG_VERSION"),
            "public_url": loads.public_url(),
            "listen": listen,
            "admin": format!("http://{}", address(&self.private)?),
        }))
    }

    fn serve(
        self,
        parts: &Parts,
        loads: &Arc<Loads>,
        alive: Alive,
        orders: mpsc::Sender<DrainOrder>,
    ) {
        let server = parts.public_server();
        for door in self.public {
            tokio::spawn(server.clone().listen(door, alive.clone()));
        }
        let never = Drain::default();
        let private = parts.private_server(parts.admin(loads, orders), never.watch());
        let nobody_waits = mpsc::channel(1).0;
        tokio::spawn(async move {
            private.listen(self.private, nobody_waits).await;
            drop(never);
        });
    }
}

/// Reads certificates and the key file again when they change, or on SIGHUP.
async fn watch_files(
    mut hangup: Signal,
    trust: Arc<Trust>,
    tls: Option<Arc<ArcSwap<TlsAcceptor>>>,
    settings: Settings,
) {
    let certificate = settings.tls.clone().zip(tls);
    let jwks = settings.trust.jwks.clone();
    let mut tick = interval(FILES_EVERY);
    let mut seen = [None, None];
    loop {
        let forced = tokio::select! {
            _ = hangup.recv() => true,
            _ = tick.tick() => false,
        };
        let first = seen == [None, None];
        let now = [
            files_of(&settings.tls),
            jwks.as_ref().and_then(|file| tls::changed_at([&**file])),
        ];
        let changed = |at: usize| forced || !first && now[at].is_some() && now[at] != seen[at];
        if let (Some((files, acceptor)), true) = (&certificate, changed(0)) {
            match tls::acceptor(files) {
                Ok(fresh) => {
                    acceptor.store(Arc::new(fresh));
                    log::info("tls.reloaded", json!({}));
                }
                Err(error) => log::warn("tls.kept", json!({"error": error})),
            }
        }
        if let (Some(file), true) = (&jwks, changed(1)) {
            reread(&trust, file);
        }
        seen = now;
    }
}

fn files_of(tls: &Option<TlsFiles>) -> Option<SystemTime> {
    let files = tls.as_ref()?;
    tls::changed_at([&*files.cert, &*files.key])
}

fn reread(trust: &Trust, file: &Path) {
    if let Err(error) = trust.read_file(file) {
        log::warn("trust.file_kept", json!({"error": error}));
    }
}
