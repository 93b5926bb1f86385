//! Asking the recorder: several addresses, patience while it restarts, bounded bodies.
use crate::cache::{Entry, Fetch, Key, refusal_for};
use crate::refusal::{ORIGIN_BUSY, ORIGIN_FAILED, ORIGIN_TIMEOUT, ORIGIN_UNAVAILABLE, Refusal};
use crate::upstream::Http;
use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use hyper::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    VARY,
};
use hyper::{Request, Response, StatusCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

/// Pause after every address failed; short against a part, long against a busy loop.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// Longest silence within a body.
const BODY_PATIENCE: Duration = Duration::from_secs(5);
/// Longest wait for one of the slots.
const SLOT_PATIENCE: Duration = Duration::from_secs(5);
/// A refusal's body is passed on up to this size.
const MAX_REFUSAL: usize = 4 << 10;
/// Headers of the origin that say something about its connection or would split the cache.
const DROPPED: [&str; 13] = [
    "connection",
    "keep-alive",
    "transfer-encoding",
    "content-length",
    "trailer",
    "upgrade",
    "te",
    "set-cookie",
    "vary",
    "via",
    "server",
    "date",
    "accept-ranges",
];

/// How patiently the origin is asked.
#[derive(Debug, Clone)]
pub struct OriginLimits {
    /// Until the head of an answer; above the 6 s for which a playlist request blocks.
    pub head_timeout: Duration,
    /// From the first failed connection; a recorder restarts in less.
    pub retry_for: Duration,
    /// Requests under way at most.
    pub slots: usize,
    /// Largest object in bytes.
    pub max_body: usize,
}

/// Counters, monotonic.
#[derive(Debug, Default)]
pub struct OriginFigures {
    /// Requests sent.
    pub requests: AtomicU64,
    /// Requests sent again after a lost connection.
    pub retries: AtomicU64,
    /// Fetches that ended without a usable answer.
    pub failures: AtomicU64,
    /// Body bytes received.
    pub bytes: AtomicU64,
}

/// The recorder behind one or more addresses.
pub struct Origin {
    http: Http,
    addresses: Vec<String>,
    /// Index of the address that answered last.
    preferred: AtomicUsize,
    slots: Semaphore,
    limits: OriginLimits,
    /// What happened so far.
    pub figures: OriginFigures,
}

/// Why one attempt brought nothing.
enum Attempt {
    /// The connection failed or broke: asking again is harmless and may help.
    Lost,
    /// Asking again would not help.
    Final(Refusal),
}

impl Origin {
    /// An origin at `addresses` (`http://host:port`, no path), asked by `http`.
    pub fn new(http: Http, addresses: Vec<String>, limits: OriginLimits) -> Arc<Self> {
        Arc::new(Origin {
            http,
            addresses,
            preferred: AtomicUsize::new(0),
            slots: Semaphore::new(limits.slots),
            limits,
            figures: OriginFigures::default(),
        })
    }

    async fn ask(&self, key: &Key, trace: Option<&HeaderValue>) -> Result<Entry, Refusal> {
        let Ok(Ok(_slot)) = timeout(SLOT_PATIENCE, self.slots.acquire()).await else {
            return Err(ORIGIN_BUSY);
        };
        let mut give_up = None;
        loop {
            let first = self.preferred.load(Relaxed);
            for step in 0..self.addresses.len() {
                let index = (first + step) % self.addresses.len();
                match self.attempt(&self.addresses[index], key, trace).await {
                    Ok(entry) => {
                        self.preferred.store(index, Relaxed);
                        return Ok(entry);
                    }
                    Err(Attempt::Final(refusal)) => return Err(refusal),
                    Err(Attempt::Lost) => self.figures.retries.fetch_add(1, Relaxed),
                };
            }
            // From the first failure on: a blocked request may have waited seconds before it was cut.
            let deadline = *give_up.get_or_insert_with(|| Instant::now() + self.limits.retry_for);
            if Instant::now() >= deadline {
                return Err(ORIGIN_UNAVAILABLE);
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    async fn attempt(
        &self,
        address: &str,
        key: &Key,
        trace: Option<&HeaderValue>,
    ) -> Result<Entry, Attempt> {
        let encoding = if key.wants_gzip() { "gzip" } else { "identity" };
        let mut request = Request::get(format!("{address}{}", key.resource()))
            .header(ACCEPT_ENCODING, encoding)
            .body(Empty::new())
            .map_err(|_| Attempt::Final(ORIGIN_FAILED))?;
        if let Some(trace) = trace {
            request.headers_mut().insert("traceparent", trace.clone());
        }
        self.figures.requests.fetch_add(1, Relaxed);
        let response = match timeout(self.limits.head_timeout, self.http.request(request)).await {
            Err(_) => return Err(Attempt::Final(ORIGIN_TIMEOUT)),
            Ok(Err(_)) => return Err(Attempt::Lost),
            Ok(Ok(response)) => response,
        };
        self.entry(key, response).await
    }

    async fn entry(&self, key: &Key, response: Response<Incoming>) -> Result<Entry, Attempt> {
        let (head, body) = response.into_parts();
        let status = head.status;
        let limit = if status == StatusCode::OK {
            self.limits.max_body
        } else {
            MAX_REFUSAL
        };
        let passes = matches!(
            status.as_u16(),
            200 | 400 | 404 | 410 | 416 | 429 | 500 | 503
        );
        if !passes {
            return Ok(Entry::refused(refusal_for(status)));
        }
        let is_json = head
            .headers
            .get(CONTENT_TYPE)
            .is_some_and(|t| t.as_bytes().starts_with(b"application/json"));
        if status != StatusCode::OK && !is_json {
            return Ok(refused_as(status));
        }
        let body = match read(body, limit).await {
            Err(Attempt::Final(_)) if status != StatusCode::OK => return Ok(refused_as(status)),
            other => other?,
        };
        self.figures.bytes.fetch_add(body.len() as u64, Relaxed);
        let mut headers = head.headers;
        clean(&mut headers, key);
        Ok(Entry {
            status,
            headers,
            body,
        })
    }
}

impl Fetch for Origin {
    fn fetch(self: Arc<Self>, key: Key, trace: Option<HeaderValue>) -> BoxFuture<'static, Entry> {
        Box::pin(async move {
            self.ask(&key, trace.as_ref())
                .await
                .unwrap_or_else(|refusal| {
                    self.figures.failures.fetch_add(1, Relaxed);
                    Entry::refused(refusal)
                })
        })
    }
}

/// Our words under the origin's status.
fn refused_as(status: StatusCode) -> Entry {
    let mut entry = Entry::refused(refusal_for(status));
    entry.status = status;
    entry
}

/// Collects a body of at most `limit` bytes.
async fn read(mut body: Incoming, limit: usize) -> Result<Bytes, Attempt> {
    let announced = body.size_hint().exact().unwrap_or(0) as usize;
    if announced > limit {
        return Err(Attempt::Final(ORIGIN_FAILED));
    }
    let mut whole = BytesMut::with_capacity(announced);
    loop {
        match timeout(BODY_PATIENCE, body.frame()).await {
            Ok(None) => return Ok(fitted(whole)),
            Ok(Some(Ok(frame))) => {
                whole.extend_from_slice(frame.data_ref().map_or(&[], |data| data))
            }
            Ok(Some(Err(_))) => return Err(Attempt::Lost),
            Err(_) => return Err(Attempt::Final(ORIGIN_TIMEOUT)),
        }
        if whole.len() > limit {
            return Err(Attempt::Final(ORIGIN_FAILED));
        }
    }
}

/// A body without announced length grew by doubling; the cache counts lengths, so it must not keep more.
fn fitted(whole: BytesMut) -> Bytes {
    if whole.capacity() > whole.len() + whole.len() / 4 {
        return Bytes::copy_from_slice(&whole);
    }
    whole.freeze()
}

/// Leaves the headers that describe the object, and adds those that every viewer needs.
fn clean(headers: &mut HeaderMap, key: &Key) {
    for name in DROPPED {
        headers.remove(name);
    }
    crate::cors::expose(headers);
    if key.asset.is_playlist() {
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    }
    headers.insert(
        HeaderName::from_static("accept-ranges"),
        HeaderValue::from_static("bytes"),
    );
    debug_assert!(headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::Asset;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::net::TcpListener;

    fn limits() -> OriginLimits {
        let seconds = Duration::from_secs;
        OriginLimits {
            head_timeout: seconds(10),
            retry_for: seconds(3),
            slots: 4,
            max_body: 1 << 20,
        }
    }

    fn origin(addresses: Vec<String>, limits: OriginLimits) -> Arc<Origin> {
        Origin::new(crate::upstream::client(None).unwrap(), addresses, limits)
    }

    fn key() -> Key {
        Key::new("/acme/ev1/v720/s1.m4s".into(), Asset::Segment, false)
    }

    /// Serves `count` connections of a listener, each answering once with its status and body.
    async fn serve(listener: TcpListener, count: usize, status: u16, body: &'static str) {
        for _ in 0..count {
            let (socket, _) = listener.accept().await.unwrap();
            let answer = service_fn(move |_| async move {
                let response = Response::builder()
                    .status(status)
                    .header("etag", "\"x\"")
                    .header("set-cookie", "a=b");
                response.body(body.to_owned())
            });
            let _ = http1::Builder::new()
                .keep_alive(false)
                .serve_connection(TokioIo::new(socket), answer)
                .await;
        }
    }

    async fn listener() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        (listener, address)
    }

    #[tokio::test]
    async fn a_good_answer_keeps_what_describes_the_object_only() {
        let (listener, address) = listener().await;
        tokio::spawn(serve(listener, 1, 200, "media"));
        let entry = origin(vec![address], limits()).fetch(key(), None).await;
        assert_eq!(
            (entry.status.as_u16(), &entry.body[..]),
            (200, &b"media"[..])
        );
        assert_eq!(entry.headers["etag"], "\"x\"");
        assert_eq!(entry.headers["access-control-allow-origin"], "*");
        assert!(!entry.headers.contains_key("set-cookie"));
    }

    #[tokio::test]
    async fn the_next_address_is_asked_when_one_refuses_connections() {
        let (dead, dead_address) = listener().await;
        drop(dead);
        let (listener, address) = listener().await;
        tokio::spawn(serve(listener, 1, 200, "media"));
        let origin = origin(vec![dead_address, address], limits());
        assert_eq!(
            origin.clone().fetch(key(), None).await.status,
            StatusCode::OK
        );
        assert_eq!(
            origin.preferred.load(Relaxed),
            1,
            "and asked first from now on"
        );
    }

    #[tokio::test]
    async fn a_connection_cut_while_waiting_is_asked_again() {
        let (listener, address) = listener().await;
        tokio::spawn(async move {
            drop(listener.accept().await.unwrap());
            serve(listener, 1, 200, "media").await;
        });
        let origin = origin(vec![address], limits());
        assert_eq!(
            origin.clone().fetch(key(), None).await.status,
            StatusCode::OK
        );
        assert_eq!(origin.figures.retries.load(Relaxed), 1);
    }

    #[tokio::test]
    async fn a_dead_origin_is_given_up_after_the_retry_time() {
        let (dead, address) = listener().await;
        drop(dead);
        let patience = OriginLimits {
            retry_for: Duration::from_millis(150),
            ..limits()
        };
        let entry = origin(vec![address], patience).fetch(key(), None).await;
        assert_eq!(entry.status, StatusCode::BAD_GATEWAY);
    }

    #[tokio::test]
    async fn statuses_that_players_act_on_pass_and_others_become_bad_gateway() {
        for (status, wanted) in [(404, 404), (400, 400), (503, 503), (302, 502), (403, 400)] {
            let (listener, address) = listener().await;
            tokio::spawn(serve(listener, 1, status, "<html>"));
            let entry = origin(vec![address], limits()).fetch(key(), None).await;
            assert_eq!(entry.status.as_u16(), wanted, "origin said {status}");
            let body: serde_json::Value = serde_json::from_slice(&entry.body).unwrap();
            assert!(body["reason"].is_string());
        }
    }

    #[tokio::test]
    async fn an_object_above_the_limit_is_refused() {
        let (listener, address) = listener().await;
        tokio::spawn(serve(listener, 1, 200, "media"));
        let small = OriginLimits {
            max_body: 4,
            ..limits()
        };
        let entry = origin(vec![address], small).fetch(key(), None).await;
        assert_eq!(entry.status, StatusCode::BAD_GATEWAY);
    }
}
