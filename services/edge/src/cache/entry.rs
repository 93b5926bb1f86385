//! One answer of the origin, as viewers get it.
use crate::refusal::{ORIGIN_BUSY, ORIGIN_FAILED, ORIGIN_NOT_FOUND, Refusal};
use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{StatusCode, header};

/// One answer of the origin, shared by everybody.
#[derive(Debug)]
pub struct Entry {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, as viewers get them.
    pub headers: HeaderMap,
    /// Its whole body.
    pub body: Bytes,
}

impl Entry {
    /// The answer to a fetch that failed.
    pub fn refused(refusal: Refusal) -> Self {
        let mut headers = HeaderMap::new();
        crate::cors::expose(&mut headers);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = refusal.retry_after() {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_GATEWAY);
        Entry {
            status,
            headers,
            body: refusal.body().into(),
        }
    }
}

/// The refusal that stands for an origin status whose body said nothing useful.
pub fn refusal_for(status: StatusCode) -> Refusal {
    match status.as_u16() {
        404 => ORIGIN_NOT_FOUND,
        400..500 => crate::refusal::ORIGIN_REFUSED,
        503 => ORIGIN_BUSY,
        _ => ORIGIN_FAILED,
    }
}
