//! One request: shape, host, token, limits, canonical key, shared object, answer.
use crate::answer::{self, Served, accepts_gzip};
use crate::body::Out;
use crate::cache::{Key, Lookup, Store};
use crate::directives::Directives;
use crate::drain::{Drain, Phase};
use crate::limits::{Busy, Meter, now_ms};
use crate::log::unix_now;
use crate::metrics::Metrics;
use crate::net::{App, Peer};
use crate::path::{Asset, Target};
use crate::refusal::{
    DRAINING, HOST_NOT_SERVED, METHOD_NOT_ALLOWED, Refusal, SESSION_REVOKED, SOURCE_RATE_EXCEEDED,
    STEERING_UNAVAILABLE, VIEWER_CONCURRENCY_EXCEEDED, VIEWER_RATE_EXCEEDED,
};
use crate::session::{Sessions, Viewer};
use crate::settings::Limits;
use crate::steering::{Question, Steering};
use crate::{access, cors, trace};
use hyper::body::{Body, Incoming};
use hyper::header::HOST;
use hyper::{Method, Request, Response, StatusCode};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

/// The public face; every part is shared.
pub struct Edge {
    /// Who may watch.
    pub sessions: Arc<Sessions>,
    /// What is served.
    pub store: Arc<Store>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Whether we are going away.
    pub drain: Arc<Drain>,
    /// Limits per viewer and source.
    pub limits: Limits,
    /// Hosts served; empty is any.
    pub hosts: Vec<String>,
    /// Content steering, where a gateway is known.
    pub steering: Option<Steering>,
    /// Access log.
    pub access: access::Log,
}

/// What a request turned out to be, for the access log.
#[derive(Default)]
pub struct Seen {
    /// Tenant, event and kind, once the path was understood.
    pub target: Option<(String, String, Asset)>,
    /// How the cache served it.
    pub served: Option<Served>,
    /// Why it was refused.
    pub refusal: Option<Refusal>,
}

impl App for Edge {
    async fn answer(self: Arc<Self>, peer: Arc<Peer>, request: Request<Incoming>) -> Response<Out> {
        self.handle(&peer, request).await
    }
}

impl Edge {
    /// Answers one request; never fails.
    pub async fn handle<B>(&self, peer: &Peer, request: Request<B>) -> Response<Out> {
        let (started, mut seen) = (Instant::now(), Seen::default());
        let response = self
            .respond(peer, &request, &mut seen)
            .await
            .unwrap_or_else(|refusal| {
                self.metrics.refused(refusal);
                seen.refusal = Some(refusal);
                answer::refuse(refusal)
            });
        let micros = started.elapsed().as_micros() as u64;
        self.metrics.answered(response.status().as_u16(), micros);
        self.access.note(peer, &request, &response, &seen, micros);
        response
    }

    async fn respond<B>(
        &self,
        peer: &Peer,
        request: &Request<B>,
        seen: &mut Seen,
    ) -> Result<Response<Out>, Refusal> {
        let now = now_ms();
        peer.meter.touch(now);
        if exceeds(&peer.meter, now, self.limits.source_rate) {
            return Err(SOURCE_RATE_EXCEEDED);
        }
        if !serves(&self.hosts, authority(request)) {
            return Err(HOST_NOT_SERVED);
        }
        match *request.method() {
            Method::GET | Method::HEAD => {}
            Method::OPTIONS => return Ok(preflight()),
            _ => return Err(METHOD_NOT_ALLOWED),
        }
        let target = Target::parse(request.uri().path())?;
        if self.access.is_on() {
            seen.target = Some((
                target.tenant.to_owned(),
                target.event.to_owned(),
                target.asset,
            ));
        }
        let (viewer, busy) = self.admit(&target, now)?;
        let (response, served) = match target.asset {
            Asset::Steering => self.steer(&target, request).await?,
            _ => self.serve(&target, &viewer, busy, request).await?,
        };
        seen.served = Some(served);
        self.count(&viewer, response.body().size_hint().exact().unwrap_or(0));
        Ok(response)
    }

    /// Lets a viewer in, within his limits; `now` in ms. He is busy until the unit is dropped.
    fn admit(&self, target: &Target<'_>, now: u64) -> Result<(Arc<Viewer>, Busy<Viewer>), Refusal> {
        let viewer = self
            .sessions
            .admit(target.token, target.tenant, target.event, unix_now())?
            .viewer
            .clone();
        let meter = Viewer::as_ref(&viewer);
        meter.touch(now);
        if exceeds(meter, now, self.limits.viewer_rate) {
            return Err(VIEWER_RATE_EXCEEDED);
        }
        let busy = Busy::take(&viewer, self.limits.viewer_concurrency)
            .ok_or(VIEWER_CONCURRENCY_EXCEEDED)?;
        Ok((viewer, busy))
    }

    fn count(&self, viewer: &Viewer, bytes: u64) {
        self.metrics.egress.fetch_add(bytes, Relaxed);
        viewer.event.egress.fetch_add(bytes, Relaxed);
        viewer.event.requests.fetch_add(1, Relaxed);
    }

    async fn serve<B>(
        &self,
        target: &Target<'_>,
        viewer: &Arc<Viewer>,
        busy: Busy<Viewer>,
        request: &Request<B>,
    ) -> Result<(Response<Out>, Served), Refusal> {
        let mut resource = target.resource.to_owned();
        if let (Asset::Playlist, Some(query)) = (target.asset, request.uri().query()) {
            Directives::parse(query)?.append_to(&mut resource);
        }
        let asked = request.headers();
        let key = Key::new(
            resource,
            target.asset,
            target.asset.is_playlist() && accepts_gzip(asked),
        );
        let (entry, served) = match self.store.get(&key, trace::parent(asked))? {
            Lookup::Hit(entry) => (entry, Served::Hit),
            Lookup::Wait(mut flight, joined) => {
                let entry = tokio::select! {
                    entry = flight.landed() => entry,
                    () = viewer.until_revoked() => return Err(SESSION_REVOKED),
                    () = self.drain.reached(Phase::LastCall) => return Err(DRAINING),
                };
                if viewer.is_revoked() {
                    return Err(SESSION_REVOKED); // while the request was blocked
                }
                (
                    entry,
                    if joined {
                        Served::Joined
                    } else {
                        Served::Fetched
                    },
                )
            }
        };
        Ok((
            answer::from_entry(&entry, request.method(), asked, served, busy),
            served,
        ))
    }

    async fn steer<B>(
        &self,
        target: &Target<'_>,
        request: &Request<B>,
    ) -> Result<(Response<Out>, Served), Refusal> {
        let steering = self.steering.as_ref().ok_or(STEERING_UNAVAILABLE)?;
        let host = authority(request).map(host_name).unwrap_or_default();
        let question = Question {
            tenant: target.tenant,
            event: target.event,
            query: request.uri().query(),
            edge: &host.to_ascii_lowercase(),
            trace: trace::parent(request.headers()),
        };
        steering.ask(question).await
    }
}

fn exceeds(meter: &Meter, now: u64, limit: u32) -> bool {
    let rate = meter.rate.hit(now);
    limit > 0 && rate > limit
}

fn preflight() -> Response<Out> {
    let mut response = Response::new(Out::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    cors::allow(response.headers_mut());
    response
}

/// Host and port as the viewer sees them: `:authority` of h2, an absolute URL, or `Host`.
fn authority<B>(request: &Request<B>) -> Option<&str> {
    let uri = request
        .uri()
        .authority()
        .map(|authority| authority.as_str());
    uri.or_else(|| request.headers().get(HOST)?.to_str().ok())
}

/// Whether a host is among those served; `*.example.org` stands for any name below it.
fn serves(hosts: &[String], authority: Option<&str>) -> bool {
    if hosts.is_empty() {
        return true;
    }
    let name = authority
        .map(host_name)
        .unwrap_or_default()
        .to_ascii_lowercase();
    !name.is_empty()
        && hosts.iter().any(|host| match host.strip_prefix('*') {
            Some(tail) => name.len() > tail.len() && name.ends_with(tail),
            None => *host == name,
        })
}

/// The authority without its port and without a final dot; IPv6 literals keep their brackets.
fn host_name(authority: &str) -> &str {
    let authority = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let end = match authority.rfind(']') {
        Some(at) => at + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    authority[..end].trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_matched_by_name_without_port_or_case() {
        let hosts = [
            "live.example.org".to_owned(),
            "*.cdn.example.org".to_owned(),
            "[::1]".to_owned(),
        ];
        for good in [
            "live.example.org",
            "LIVE.example.org:8443",
            "live.example.org.",
            "a.cdn.example.org",
            "[::1]:8",
        ] {
            assert!(serves(&hosts, Some(good)), "{good}");
        }
        for wrong in [
            "example.org",
            "cdn.example.org",
            ".cdn.example.org.evil",
            "live.example.org.evil",
            "",
        ] {
            assert!(!serves(&hosts, Some(wrong)), "{wrong}");
        }
        assert!(!serves(&hosts, None));
        assert!(serves(&[], None), "no list, no check");
    }
}
