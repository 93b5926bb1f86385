//! Content steering: `steering.json` is asked of the gateway for each viewer, never cached.
use crate::answer::{Served, json};
use crate::body::Out;
use crate::refusal::{QUERY_TOO_LONG, Refusal, STEERING_UNAVAILABLE};
use crate::upstream::Http;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::HeaderValue;
use hyper::{Request, Response};
use std::time::Duration;
use tokio::time::timeout;

/// A manifest lives five seconds; a slower answer is of no use.
const PATIENCE: Duration = Duration::from_secs(3);
const MAX_QUERY: usize = 1024;
const MAX_MANIFEST: usize = 64 << 10;

/// The gateway's steering endpoint.
pub struct Steering {
    http: Http,
    gateway: String,
}

/// What a viewer asks steering for.
pub struct Question<'a> {
    /// Tenant id.
    pub tenant: &'a str,
    /// Event id.
    pub event: &'a str,
    /// The query as the player sent it (`_HLS_pathway`, `_HLS_throughput`).
    pub query: Option<&'a str>,
    /// Host by which the viewer reached this edge, without port: all edges share one.
    pub edge: &'a str,
    /// The viewer's traceparent.
    pub trace: Option<&'a HeaderValue>,
}

impl Steering {
    /// Steering by the gateway at `http://host:port`, asked by `http`.
    pub fn new(http: Http, gateway: String) -> Self {
        Steering { http, gateway }
    }

    /// Fetches the manifest. Refusals: QUERY_TOO_LONG, STEERING_UNAVAILABLE.
    pub async fn ask(&self, question: Question<'_>) -> Result<(Response<Out>, Served), Refusal> {
        let query = question.query.map(|q| format!("?{q}")).unwrap_or_default();
        if query.len() > MAX_QUERY {
            return Err(QUERY_TOO_LONG);
        }
        let uri = format!(
            "{}/steering/{}/{}{query}",
            self.gateway, question.tenant, question.event
        );
        let mut request = Request::get(uri)
            .header("odeon-edge", question.edge)
            .body(Empty::<Bytes>::new())
            .map_err(|_| STEERING_UNAVAILABLE)?;
        if let Some(trace) = question.trace {
            request.headers_mut().insert("traceparent", trace.clone());
        }
        let manifest = timeout(PATIENCE, self.manifest(request))
            .await
            .map_err(|_| STEERING_UNAVAILABLE)??;
        let mut response = json(200, manifest);
        crate::cors::expose(response.headers_mut());
        Ok((response, Served::Passed))
    }

    async fn manifest(&self, request: Request<Empty<Bytes>>) -> Result<String, Refusal> {
        let response = self
            .http
            .request(request)
            .await
            .map_err(|_| STEERING_UNAVAILABLE)?;
        if !response.status().is_success() {
            return Err(STEERING_UNAVAILABLE);
        }
        let body = Limited::new(response.into_body(), MAX_MANIFEST)
            .collect()
            .await;
        let body = body.map_err(|_| STEERING_UNAVAILABLE)?.to_bytes();
        String::from_utf8(body.to_vec()).map_err(|_| STEERING_UNAVAILABLE)
    }
}
