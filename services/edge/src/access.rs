//! Access log: a sample of the requests, one JSON line each, never a token.
use crate::body::Out;
use crate::edge::Seen;
use crate::log;
use crate::net::Peer;
use crate::trace;
use hyper::body::Body;
use hyper::{Request, Response};
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Which requests are logged.
pub struct Log {
    /// One of this many; 0 is none.
    every: u64,
    count: AtomicU64,
}

impl Log {
    /// Logs a fraction (0 to 1) of the requests, evenly.
    pub fn new(fraction: f64) -> Self {
        let every = if fraction > 0.0 {
            (1.0 / fraction).round().max(1.0) as u64
        } else {
            0
        };
        Log {
            every,
            count: AtomicU64::new(0),
        }
    }

    /// Whether anything is logged at all.
    pub fn is_on(&self) -> bool {
        self.every > 0
    }

    /// Notes a request, if it is in the sample.
    pub fn note<B>(
        &self,
        peer: &Peer,
        request: &Request<B>,
        answer: &Response<Out>,
        seen: &Seen,
        micros: u64,
    ) {
        if self.every == 0 || !self.count.fetch_add(1, Relaxed).is_multiple_of(self.every) {
            return;
        }
        // Not the path: it starts with the token. What was understood of it says enough.
        let target = seen.target.as_ref();
        log::info(
            "edge.request",
            json!({
                "method": request.method().as_str(),
                "tenant": target.map(|t| &t.0),
                "live_event": target.map(|t| &t.1),
                "asset": target.map(|t| t.2.name()),
                "status": answer.status().as_u16(),
                "reason": seen.refusal.map(|r| r.reason),
                "cache": seen.served.map(|s| s.name()),
                "bytes": answer.body().size_hint().exact(),
                "duration_us": micros,
                "pii.source": peer.ip.to_string(),
                "trace_id": trace::parent(request.headers()).and_then(trace::id),
            }),
        );
    }
}
