//! From a cached object to one viewer's answer: conditions, ranges, HEAD (RFC 9110, 13 and 14).
use crate::body::{Hold, Out};
use crate::cache::Entry;
use crate::refusal::Refusal;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderName, HeaderValue, IF_NONE_MATCH, IF_RANGE, RANGE, RETRY_AFTER,
};
use hyper::{Method, Response, StatusCode};
use std::ops::Range;

/// How the cache served a request (RFC 9211).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// From memory.
    Hit,
    /// By a fetch that another request had started.
    Joined,
    /// By a fetch of its own.
    Fetched,
    /// Past the cache.
    Passed,
}

impl Served {
    /// Its name in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Served::Hit => "hit",
            Served::Joined => "joined",
            Served::Fetched => "fetched",
            Served::Passed => "passed",
        }
    }

    const fn header(self) -> HeaderValue {
        match self {
            Served::Hit => HeaderValue::from_static("odeon; hit"),
            Served::Joined => HeaderValue::from_static("odeon; fwd=uri-miss; collapsed"),
            Served::Fetched => HeaderValue::from_static("odeon; fwd=uri-miss"),
            Served::Passed => HeaderValue::from_static("odeon; fwd=bypass"),
        }
    }
}

/// A refusal as JSON, readable across origins, never stored.
pub fn refuse(refusal: Refusal) -> Response<Out> {
    let mut response = json(refusal.status, refusal.body());
    if let Some(seconds) = refusal.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    crate::cors::expose(response.headers_mut());
    response
}

/// A JSON answer that no cache keeps.
pub fn json(status: u16, body: String) -> Response<Out> {
    text(status, "application/json", body)
}

/// A text answer that no cache keeps.
pub fn text(status: u16, kind: &'static str, body: String) -> Response<Out> {
    let mut response = Response::new(Out::new(body));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Answers a GET or HEAD from an object. `hold` lives until the body was written.
pub fn from_entry(
    entry: &Entry,
    method: &Method,
    asked: &HeaderMap,
    served: Served,
    hold: impl Hold,
) -> Response<Out> {
    let mut response = Response::new(Out::default());
    *response.status_mut() = entry.status;
    *response.headers_mut() = entry.headers.clone();
    response
        .headers_mut()
        .insert(HeaderName::from_static("cache-status"), served.header());
    let size = entry.body.len();
    if entry.status == StatusCode::OK && not_modified(entry, asked) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response.headers_mut().remove(CONTENT_TYPE);
        return response;
    }
    let mut body = 0..size;
    match wanted_range(entry, method, asked) {
        Wanted::Whole => {}
        Wanted::Part(range) => {
            let span = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            insert(&mut response, CONTENT_RANGE, &span);
            body = range;
        }
        Wanted::Nothing => {
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            insert(&mut response, CONTENT_RANGE, &format!("bytes */{size}"));
            response.headers_mut().remove(CONTENT_TYPE);
            return response;
        }
    }
    if method == Method::HEAD {
        response
            .headers_mut()
            .insert(CONTENT_LENGTH, body.len().into());
    } else if !body.is_empty() {
        *response.body_mut() = Out::holding(entry.body.slice(body), hold);
    }
    response
}

fn insert(response: &mut Response<Out>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// `If-None-Match` by weak comparison (RFC 9110, 13.1.2).
fn not_modified(entry: &Entry, asked: &HeaderMap) -> bool {
    let (Some(wanted), Some(etag)) = (asked.get(IF_NONE_MATCH), entry.headers.get(ETAG)) else {
        return false;
    };
    let (Ok(wanted), Ok(etag)) = (wanted.to_str(), etag.to_str()) else {
        return false;
    };
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    wanted.trim() == "*"
        || wanted
            .split(',')
            .any(|tag| opaque(tag.trim()) == opaque(etag))
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Whole,
    Part(Range<usize>),
    Nothing,
}

/// One byte range of a GET; anything else asks for the whole, which is always allowed.
fn wanted_range(entry: &Entry, method: &Method, asked: &HeaderMap) -> Wanted {
    let Some(range) = asked.get(RANGE).and_then(|v| v.to_str().ok()) else {
        return Wanted::Whole;
    };
    if method != Method::GET || entry.status != StatusCode::OK {
        return Wanted::Whole;
    }
    if let Some(condition) = asked.get(IF_RANGE) {
        // A strong comparison; a date cannot prove byte equality either (RFC 9110, 13.1.5).
        let etag = entry.headers.get(ETAG);
        if etag != Some(condition) || condition.as_bytes().starts_with(b"W/") {
            return Wanted::Whole;
        }
    }
    parse_range(range, entry.body.len())
}

fn parse_range(text: &str, size: usize) -> Wanted {
    let Some((first, last)) = text
        .strip_prefix("bytes=")
        .and_then(|spec| spec.trim().split_once('-'))
    else {
        return Wanted::Whole;
    };
    let plain = |text: &str| text.len() <= 15 && text.bytes().all(|b| b.is_ascii_digit());
    if !plain(first) || !plain(last) {
        return Wanted::Whole; // several ranges, or no range at all
    }
    match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) if first > last => Wanted::Whole,
        (Ok(first), _) if first >= size => Wanted::Nothing,
        (Ok(first), Ok(last)) => Wanted::Part(first..last.saturating_add(1).min(size)),
        (Ok(first), Err(_)) => Wanted::Part(first..size),
        (Err(_), Ok(0)) => Wanted::Nothing,
        (Err(_), Ok(_)) if size == 0 => Wanted::Nothing,
        (Err(_), Ok(tail)) => Wanted::Part(size.saturating_sub(tail)..size),
        (Err(_), Err(_)) => Wanted::Whole,
    }
}

/// Whether a viewer takes gzip; all who do share one variant.
pub fn accepts_gzip(asked: &HeaderMap) -> bool {
    let mut best = None;
    for value in asked
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|v| v.to_str().ok())
    {
        for item in value.split(',') {
            let mut fields = item.split(';').map(str::trim);
            let coding = fields.next().unwrap_or("");
            let refused = fields.any(|f| {
                f.strip_prefix("q=")
                    .is_some_and(|q| q.parse::<f32>() == Ok(0.0))
            });
            if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") {
                return !refused;
            }
            if coding == "*" {
                best = Some(!refused);
            }
        }
    }
    best.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use proptest::prelude::*;

    fn entry() -> Entry {
        let mut headers = HeaderMap::new();
        headers.insert(ETAG, HeaderValue::from_static("\"abc\""));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("video/mp4"));
        Entry {
            status: StatusCode::OK,
            headers,
            body: "0123456789".into(),
        }
    }

    fn ask(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect()
    }

    async fn get(pairs: &[(HeaderName, &'static str)]) -> (u16, HeaderMap, Vec<u8>) {
        let response = from_entry(&entry(), &Method::GET, &ask(pairs), Served::Hit, ());
        let (head, body) = response.into_parts();
        (
            head.status.as_u16(),
            head.headers,
            body.collect().await.unwrap().to_bytes().to_vec(),
        )
    }

    #[tokio::test]
    async fn a_known_etag_is_answered_without_a_body() {
        for tags in ["\"abc\"", "W/\"abc\"", "\"x\", \"abc\"", "*"] {
            let (status, headers, body) = get(&[(IF_NONE_MATCH, tags)]).await;
            assert_eq!((status, body.len()), (304, 0), "{tags}");
            assert_eq!(headers[ETAG], "\"abc\"");
        }
        assert_eq!(get(&[(IF_NONE_MATCH, "\"abcd\"")]).await.0, 200);
    }

    #[tokio::test]
    async fn one_range_is_cut_out() {
        for (range, span, body) in [
            ("bytes=2-4", "bytes 2-4/10", "234"),
            ("bytes=8-", "bytes 8-9/10", "89"),
            ("bytes=-3", "bytes 7-9/10", "789"),
            ("bytes=-30", "bytes 0-9/10", "0123456789"),
            ("bytes=5-99", "bytes 5-9/10", "56789"),
        ] {
            let (status, headers, got) = get(&[(RANGE, range)]).await;
            assert_eq!((status, &got[..]), (206, body.as_bytes()), "{range}");
            assert_eq!(headers[CONTENT_RANGE], span);
        }
    }

    #[tokio::test]
    async fn a_range_beyond_the_end_is_refused_and_a_senseless_one_ignored() {
        for range in ["bytes=10-", "bytes=10-12", "bytes=-0"] {
            let (status, headers, _) = get(&[(RANGE, range)]).await;
            assert_eq!(status, 416, "{range}");
            assert_eq!(headers[CONTENT_RANGE], "bytes */10");
        }
        for range in [
            "bytes=4-2",
            "bytes=1-2,4-5",
            "items=1-2",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=+1-2",
        ] {
            assert_eq!(get(&[(RANGE, range)]).await.0, 200, "{range}");
        }
    }

    #[tokio::test]
    async fn if_range_holds_for_the_same_strong_etag_only() {
        let range = (RANGE, "bytes=0-0");
        assert_eq!(get(&[range.clone(), (IF_RANGE, "\"abc\"")]).await.0, 206);
        assert_eq!(get(&[range.clone(), (IF_RANGE, "\"old\"")]).await.0, 200);
        assert_eq!(get(&[range, (IF_RANGE, "W/\"abc\"")]).await.0, 200);
    }

    #[tokio::test]
    async fn head_says_the_length_and_sends_nothing() {
        let response = from_entry(&entry(), &Method::HEAD, &HeaderMap::new(), Served::Hit, ());
        assert_eq!(response.headers()[CONTENT_LENGTH], "10");
        assert!(
            response
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes()
                .is_empty()
        );
    }

    #[test]
    fn encodings_come_down_to_gzip_or_identity() {
        for (value, wanted) in [
            ("gzip, deflate, br", true),
            ("br;q=1.0, gzip;q=0.8", true),
            ("GZIP", true),
            ("*", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000, *", false),
            ("identity", false),
            ("", false),
            ("br", false),
        ] {
            let asked: HeaderMap = [(ACCEPT_ENCODING, HeaderValue::from_static(value))]
                .into_iter()
                .collect();
            assert_eq!(accepts_gzip(&asked), wanted, "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    proptest! {
        #[test]
        fn no_range_reaches_beyond_the_body(text in "bytes=[0-9]{0,17}-[0-9]{0,17}|[ -~]{0,40}", size in 0usize..50) {
            if let Wanted::Part(range) = parse_range(&text, size) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }
    }
}
