//! The private listener: health, metrics, figures, and what an operator may do.
use crate::answer::{json, text};
use crate::body::Out;
use crate::cache::Store;
use crate::drain::{Drain, Phase};
use crate::log;
use crate::metrics::{Metrics, Page};
use crate::net::{App, Peer};
use crate::origin::Origin;
use crate::path::is_id;
use crate::report::Loads;
use crate::session::{Revocation, Sessions};
use crate::token::is_session_id;
use crate::trust::Trust;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use hyper::{Method, Request, Response};
use serde::Deserialize;
use serde_json::{Value, json as value};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

const MAX_BODY: usize = 1 << 20;
const BODY_PATIENCE: Duration = Duration::from_secs(5);

/// A drain asked for over the private listener; `exit` ends the process after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub struct DrainOrder {
    /// Whether the process ends after the drain; else it waits for its SIGTERM.
    #[serde(default)]
    pub exit: bool,
}

/// The private face.
pub struct Admin {
    /// Who watches.
    pub sessions: Arc<Sessions>,
    /// What is served.
    pub store: Arc<Store>,
    /// Where it comes from.
    pub origin: Arc<Origin>,
    /// Sources of keys and revocations.
    pub trust: Arc<Trust>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Load.
    pub loads: Arc<Loads>,
    /// Whether we are going away.
    pub drain: Arc<Drain>,
    /// Bearer token of POSTs.
    pub token: Option<String>,
    /// Drains are asked for here.
    pub orders: mpsc::Sender<DrainOrder>,
}

#[derive(Deserialize)]
struct RevokeOrder {
    tenant: String,
    sid: String,
    #[serde(default)]
    expires: u64,
}

#[derive(Deserialize)]
struct PurgeOrder {
    tenant: String,
    #[serde(default)]
    event: String,
}

type Failure = (u16, &'static str, &'static str);
const BAD_ORDER: Failure = (
    400,
    "ORDER_INVALID",
    "The JSON body is not what this path takes.",
);

impl App for Admin {
    async fn answer(self: Arc<Self>, _: Arc<Peer>, request: Request<Incoming>) -> Response<Out> {
        let (head, body) = request.into_parts();
        let done = match head.method {
            Method::GET | Method::HEAD => self.get(head.uri.path()),
            Method::POST => match self.may_post(&head.headers) {
                Ok(()) => self.post(head.uri.path(), body).await,
                Err(failure) => Err(failure),
            },
            _ => Err((405, "METHOD_NOT_ALLOWED", "GET and POST are served here.")),
        };
        done.unwrap_or_else(|(status, reason, message)| {
            json(
                status,
                format!("{}\n", value!({"reason": reason, "message": message})),
            )
        })
    }
}

impl Admin {
    fn get(&self, path: &str) -> Result<Response<Out>, Failure> {
        match path {
            "/livez" => Ok(text(200, "text/plain", "alive\n".into())),
            "/readyz" => Ok(self.readiness()),
            "/metrics" => Ok(text(200, "text/plain; version=0.0.4", self.page())),
            "/stats" => Ok(json(200, format!("{}\n", self.stats()))),
            _ => Err((404, "NOT_FOUND", "There is nothing here.")),
        }
    }

    /// Ready once tokens can be verified, until a drain begins or, for its pool, until content steering
    /// moved viewers. Nothing else: a lost origin, auth or NATS must not empty every Service.
    fn readiness(&self) -> Response<Out> {
        let (status, word) = match (self.drain.is_away(), self.sessions.key_count()) {
            (true, _) => (503, "draining\n"),
            (false, 0) => (503, "no keys yet\n"),
            (false, _) => (200, "ready\n"),
        };
        text(status, "text/plain", word.into())
    }

    /// POSTs change something: they need the token, if one is set, and a content type that no page
    /// of a browser on this machine can send without asking first.
    fn may_post(&self, headers: &HeaderMap) -> Result<(), Failure> {
        let is_json = headers
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
        if !is_json {
            return Err((415, "CONTENT_TYPE_INVALID", "Send application/json."));
        }
        let Some(token) = &self.token else {
            return Ok(());
        };
        let given = headers
            .get(AUTHORIZATION)
            .and_then(|v| v.as_bytes().strip_prefix(b"Bearer "));
        match given.map(|given| verify_slices_are_equal(given, token.as_bytes())) {
            Some(Ok(())) => Ok(()),
            _ => Err((
                401,
                "UNAUTHENTICATED",
                "The bearer token of the private listener is missing or wrong.",
            )),
        }
    }

    async fn post(&self, path: &str, body: Incoming) -> Result<Response<Out>, Failure> {
        let body = timeout(BODY_PATIENCE, Limited::new(body, MAX_BODY).collect()).await;
        let body = body
            .map_err(|_| BAD_ORDER)?
            .map_err(|_| BAD_ORDER)?
            .to_bytes();
        let done = match path {
            "/revoke" => self.revoke(&body)?,
            "/purge" => self.purge(&body)?,
            "/drain" => self.start_drain(&body)?,
            _ => return Err((404, "NOT_FOUND", "There is nothing here.")),
        };
        Ok(json(200, format!("{done}\n")))
    }

    fn revoke(&self, body: &Bytes) -> Result<Value, Failure> {
        let order: RevokeOrder = serde_json::from_slice(body).map_err(|_| BAD_ORDER)?;
        if !is_id(&order.tenant) || !is_session_id(&order.sid) {
            return Err(BAD_ORDER);
        }
        self.trust.revoke([Revocation {
            tenant: order.tenant,
            session: order.sid,
            expires: order.expires,
        }]);
        Ok(value!({"revoked": self.sessions.revoked_count().0}))
    }

    fn purge(&self, body: &Bytes) -> Result<Value, Failure> {
        let order: PurgeOrder = serde_json::from_slice(body).map_err(|_| BAD_ORDER)?;
        if !is_id(&order.tenant) || !(order.event.is_empty() || is_id(&order.event)) {
            return Err(BAD_ORDER);
        }
        let purged = self.store.purge(&order.tenant, &order.event);
        log::info(
            "cache.purged",
            value!({"tenant": order.tenant, "live_event": order.event, "objects": purged}),
        );
        Ok(value!({"purged": purged}))
    }

    fn start_drain(&self, body: &Bytes) -> Result<Value, Failure> {
        let order = match body.is_empty() {
            true => DrainOrder::default(),
            false => serde_json::from_slice(body).map_err(|_| BAD_ORDER)?,
        };
        // Not ready before the answer is out, so that whoever asked can rely on it.
        self.drain.advance(Phase::Notice);
        let _ = self.orders.try_send(order); // full: one was asked for already
        Ok(value!({"phase": self.drain.phase().name()}))
    }

    fn stats(&self) -> Value {
        let (objects, bytes) = self.store.sweep();
        let (cache, origin) = (&self.store.figures, &self.origin.figures);
        value!({
            "load": &*self.loads.latest(),
            "cache": {
                "objects": objects,
                "bytes": bytes,
                "flights": self.store.flights(),
                "hits": cache.hits.load(Relaxed),
                "joined": cache.joined.load(Relaxed),
                "fetched": cache.fetched.load(Relaxed),
                "stale": cache.stale.load(Relaxed),
            },
            "origin": {
                "requests": origin.requests.load(Relaxed),
                "retries": origin.retries.load(Relaxed),
                "failures": origin.failures.load(Relaxed),
                "bytes": origin.bytes.load(Relaxed),
            },
            "trust": {
                "keys": self.sessions.key_count(),
                "revoked": self.sessions.revoked_count().0,
                "auth_up": self.trust.auth_up.load(Relaxed),
                "nats_up": self.trust.nats_up.load(Relaxed),
            },
        })
    }

    fn page(&self) -> String {
        let mut page = Page::default();
        self.metrics.write(&mut page);
        self.count_fetching(&mut page);
        self.gauge_state(&mut page);
        page.0
    }

    fn count_fetching(&self, page: &mut Page) {
        let (cache, origin) = (&self.store.figures, &self.origin.figures);
        for (name, help, count) in [
            (
                "cache_hits_total",
                "Requests answered from memory.",
                &cache.hits,
            ),
            (
                "cache_joined_total",
                "Requests that joined a fetch.",
                &cache.joined,
            ),
            ("cache_fetched_total", "Fetches started.", &cache.fetched),
            (
                "cache_stale_total",
                "Failed fetches answered with older objects.",
                &cache.stale,
            ),
            (
                "origin_requests_total",
                "Requests to the origin.",
                &origin.requests,
            ),
            (
                "origin_retries_total",
                "Origin connections lost.",
                &origin.retries,
            ),
            (
                "origin_failures_total",
                "Fetches without a usable answer.",
                &origin.failures,
            ),
            (
                "origin_bytes_total",
                "Body bytes from the origin.",
                &origin.bytes,
            ),
            (
                "trust_revocations_total",
                "Revocations learnt.",
                &self.trust.revocations,
            ),
        ] {
            page.counter(name, help, count.load(Relaxed));
        }
        let lost = self.sessions.revoked_count().1;
        page.counter(
            "trust_revocations_lost_total",
            "Revocations that did not fit.",
            lost,
        );
        page.counter("log_dropped_total", "Log lines dropped.", log::dropped());
    }

    fn gauge_state(&self, page: &mut Page) {
        let (objects, bytes) = self.store.sweep();
        let load = self.loads.latest();
        let up = |flag: &AtomicBool| u64::from(flag.load(Relaxed));
        for (name, help, value) in [
            ("cache_objects", "Objects held.", objects),
            ("cache_bytes", "Bytes held.", bytes),
            (
                "cache_flights",
                "Fetches under way.",
                self.store.flights() as u64,
            ),
            (
                "viewers",
                "Sessions of all events within the viewer window.",
                load.viewers.into(),
            ),
            ("events", "Events with sessions.", load.events.len() as u64),
            (
                "connections",
                "Public connections.",
                load.connections as u64,
            ),
            (
                "draining",
                "1 while it drains.",
                self.drain.is_draining().into(),
            ),
            (
                "trust_keys",
                "Signing keys known.",
                self.sessions.key_count() as u64,
            ),
            (
                "trust_revoked",
                "Revoked sessions known.",
                self.sessions.revoked_count().0 as u64,
            ),
            (
                "trust_auth_up",
                "1 while auth's stream stands.",
                up(&self.trust.auth_up),
            ),
            (
                "trust_nats_up",
                "1 while NATS is connected.",
                up(&self.trust.nats_up),
            ),
        ] {
            page.gauge(name, help, value);
        }
    }
}
