//! The load of this edge: viewers and egress per event, once a second.
use crate::drain::Drain;
use crate::limits::{Meter, Table};
use crate::log::unix_now;
use crate::metrics::Metrics;
use crate::session::Sessions;
use arc_swap::ArcSwap;
use serde::Serialize;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Source addresses are forgotten after this much silence.
const SOURCE_IDLE: Duration = Duration::from_secs(30);

/// One event's share.
#[derive(Debug, Clone, Default, Serialize, PartialEq, Eq)]
pub struct EventLoad {
    /// Tenant id.
    pub tenant: String,
    /// Event id.
    pub event: String,
    /// Sessions that asked for something within the viewer window.
    pub viewers: u32,
    /// Body bytes since the edge first saw the event.
    pub egress_bytes_total: u64,
    /// Requests let in since then.
    pub requests_total: u64,
}

/// The load at one moment.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Load {
    /// Name of the edge.
    pub edge: String,
    /// Base URL by which viewers reach it.
    pub public_url: String,
    /// Whether it is going away.
    pub draining: bool,
    /// The drain's phase.
    pub phase: &'static str,
    /// Viewers of all events.
    pub viewers: u32,
    /// Public connections.
    pub connections: usize,
    /// Body bytes since start.
    pub egress_bytes_total: u64,
    /// Requests since start.
    pub requests_total: u64,
    /// Live events, most viewers first.
    pub events: Vec<EventLoad>,
}

/// Where the figures come from.
pub struct Watched {
    /// Name of the edge.
    pub edge: String,
    /// Base URL by which viewers reach it.
    pub public_url: String,
    /// Who watches.
    pub sessions: Arc<Sessions>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Whether it is going away.
    pub drain: Arc<Drain>,
    /// Connections left.
    pub connections: Arc<Semaphore>,
    /// Connections at most.
    pub max_connections: usize,
    /// Source addresses.
    pub sources: Arc<Table<IpAddr, Meter>>,
    /// How long a session counts as a viewer.
    pub window: Duration,
}

/// Takes and keeps the present load.
pub struct Loads {
    watched: Watched,
    latest: ArcSwap<Load>,
}

impl Loads {
    /// A keeper with nothing taken yet.
    pub fn new(watched: Watched) -> Arc<Self> {
        Arc::new(Loads {
            watched,
            latest: ArcSwap::default(),
        })
    }

    /// Takes the load now, forgetting idle viewers and sources on the way.
    pub fn take(&self) -> Arc<Load> {
        let from = &self.watched;
        let live = from.sessions.sweep(from.window, unix_now());
        from.sources.sweep(SOURCE_IDLE, |_| {});
        let events: Vec<EventLoad> = live
            .into_iter()
            .map(|(figures, viewers)| EventLoad {
                tenant: figures.tenant.clone(),
                event: figures.event.clone(),
                viewers,
                egress_bytes_total: figures.egress.load(Relaxed),
                requests_total: figures.requests.load(Relaxed),
            })
            .collect();
        let load = Arc::new(Load {
            edge: from.edge.clone(),
            public_url: from.public_url.clone(),
            draining: from.drain.is_draining(),
            phase: from.drain.phase().name(),
            viewers: events.iter().map(|event| event.viewers).sum(),
            connections: from.max_connections - from.connections.available_permits(),
            egress_bytes_total: from.metrics.egress.load(Relaxed),
            requests_total: from.metrics.requests(),
            events,
        });
        self.latest.store(load.clone());
        load
    }

    /// Base URL by which viewers reach this edge.
    pub fn public_url(&self) -> &str {
        &self.watched.public_url
    }

    /// The load as it was taken last.
    pub fn latest(&self) -> Arc<Load> {
        self.latest.load_full()
    }
}
