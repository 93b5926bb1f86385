//! `SfuNode`.

use std::time::{Duration, Instant};

use odeon_media_core::{ErrorClass, Kind, MediaError, NodeConfig, Owner, Sfu};
use odeon_media_shell::{NodeHandle, NodeSettings};
use pyo3::prelude::*;

use crate::convert;
use crate::errors::raise;
use crate::types::{NodeEvent, NodeStats, Subscription, TrackStats};

/// A selective forwarding unit on one UDP port and one thread.
#[pyclass(frozen, module = "odeon_media._core")]
pub struct SfuNode {
    node: NodeHandle,
}

impl SfuNode {
    /// Runs a command without the GIL.
    fn call<R: Send + 'static>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Sfu, Instant) -> Result<R, MediaError> + Send + 'static,
    ) -> PyResult<R> {
        let done = py.detach(|| self.node.call(work).and_then(|result| result));
        done.map_err(|error| raise(py, &error))
    }
}

fn kind_of(py: Python<'_>, kind: &str) -> PyResult<Kind> {
    let unknown = || MediaError::new(ErrorClass::Argument, "UNKNOWN_KIND", kind);
    Kind::parse(kind).ok_or_else(|| raise(py, &unknown()))
}

#[pymethods]
impl SfuNode {
    #[new]
    #[pyo3(signature = (bind_host="127.0.0.1", port=0, advertise=Vec::new(), *, max_sessions=2000,
        max_tracks_per_session=16, max_subscriptions_per_session=64, max_events_queued=10000,
        connect_timeout_ms=15000, consent_timeout_ms=30000, initial_estimate_bps=4_000_000, slot_us=1000,
        forced_loss=0.0))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        bind_host: &str,
        port: u16,
        advertise: Vec<String>,
        max_sessions: usize,
        max_tracks_per_session: usize,
        max_subscriptions_per_session: usize,
        max_events_queued: usize,
        connect_timeout_ms: u64,
        consent_timeout_ms: u64,
        initial_estimate_bps: u64,
        slot_us: u64,
        forced_loss: f64,
    ) -> PyResult<Self> {
        let core = NodeConfig {
            advertise: Vec::new(),
            max_sessions,
            max_tracks_per_session,
            max_subscriptions_per_session,
            connect_timeout: Duration::from_millis(connect_timeout_ms),
            consent_timeout: Duration::from_millis(consent_timeout_ms),
            initial_estimate_bps,
        };
        let settings = NodeSettings {
            bind_host: bind_host.to_owned(),
            port,
            advertise,
            core,
            max_events: max_events_queued,
            slot: Duration::from_micros(slot_us),
            forced_loss,
        };
        let started = py.detach(|| NodeHandle::start(settings));
        Ok(Self { node: started.map_err(|error| raise(py, &error))? })
    }

    #[getter]
    fn port(&self) -> u16 {
        self.node.port()
    }

    fn answer_publish(
        &self,
        py: Python<'_>,
        session: String,
        event: String,
        participant: String,
        offer_sdp: String,
    ) -> PyResult<String> {
        self.call(py, move |sfu, now| {
            let owner = Owner { session: &session, event: &event, participant: &participant };
            sfu.answer_publish(now, owner, &offer_sdp)
        })
    }

    #[pyo3(signature = (session, event, participant, *, hidden=false, pinned=false))]
    fn open_subscriber(
        &self,
        py: Python<'_>,
        session: String,
        event: String,
        participant: String,
        hidden: bool,
        pinned: bool,
    ) -> PyResult<()> {
        self.call(py, move |sfu, now| {
            let owner = Owner { session: &session, event: &event, participant: &participant };
            sfu.open_subscriber(now, owner, hidden, pinned)
        })
    }

    #[pyo3(signature = (session, track, *, layer=None, priority=0))]
    fn subscribe(
        &self,
        py: Python<'_>,
        session: String,
        track: String,
        layer: Option<String>,
        priority: i32,
    ) -> PyResult<Subscription> {
        let work = move |sfu: &mut Sfu, now| {
            sfu.subscribe(now, &session, &track, layer.as_deref(), priority)
        };
        let subscription = self.call(py, work)?;
        Ok(Subscription { mid: subscription.mid, needs_offer: subscription.needs_offer })
    }

    fn unsubscribe(&self, py: Python<'_>, session: String, track: String) -> PyResult<bool> {
        self.call(py, move |sfu, now| sfu.unsubscribe(now, &session, &track))
    }

    fn make_offer(&self, py: Python<'_>, session: String) -> PyResult<Option<String>> {
        self.call(py, move |sfu, now| sfu.make_offer(now, &session))
    }

    fn apply_answer(&self, py: Python<'_>, session: String, sdp: String) -> PyResult<()> {
        self.call(py, move |sfu, now| sfu.apply_answer(now, &session, &sdp))
    }

    fn answer_whep(
        &self,
        py: Python<'_>,
        session: String,
        event: String,
        participant: String,
        offer_sdp: String,
    ) -> PyResult<String> {
        self.call(py, move |sfu, now| {
            let owner = Owner { session: &session, event: &event, participant: &participant };
            sfu.answer_whep(now, owner, &offer_sdp)
        })
    }

    #[pyo3(signature = (session, kind, track, *, index=0, layer=None))]
    fn set_slot(
        &self,
        py: Python<'_>,
        session: String,
        kind: &str,
        track: Option<String>,
        index: usize,
        layer: Option<String>,
    ) -> PyResult<()> {
        let kind = kind_of(py, kind)?;
        self.call(py, move |sfu, now| {
            sfu.set_slot(now, &session, kind, index, track.as_deref(), layer.as_deref())
        })
    }

    #[allow(clippy::type_complexity)]
    fn slots(
        &self,
        py: Python<'_>,
        session: String,
    ) -> PyResult<Vec<(Option<String>, &'static str, Option<String>)>> {
        let slots = self.call(py, move |sfu, _| sfu.slots(&session))?;
        let convert = |slot: odeon_media_core::SlotInfo| {
            (slot.mid, slot.kind.name(), slot.track.map(|track| track.to_string()))
        };
        Ok(slots.into_iter().map(convert).collect())
    }

    fn mute(&self, py: Python<'_>, track: String, muted: bool) -> PyResult<()> {
        self.call(py, move |sfu, now| sfu.mute(now, &track, muted))
    }

    fn add_candidate(&self, py: Python<'_>, session: String, candidate: String) -> PyResult<()> {
        self.call(py, move |sfu, _| sfu.add_candidate(&session, &candidate))
    }

    fn remote_ice(&self, py: Python<'_>, session: String) -> PyResult<Option<(String, String)>> {
        self.call(py, move |sfu, _| sfu.remote_ice(&session))
    }

    fn local_ice(&self, py: Python<'_>, session: String) -> PyResult<(String, String)> {
        self.call(py, move |sfu, _| sfu.local_ice(&session))
    }

    #[pyo3(signature = (session, sdpfrag=None))]
    fn ice_restart(
        &self,
        py: Python<'_>,
        session: String,
        sdpfrag: Option<String>,
    ) -> PyResult<String> {
        self.call(py, move |sfu, now| sfu.ice_restart(now, &session, sdpfrag.as_deref()))
    }

    #[pyo3(signature = (session, reason="CLOSED"))]
    fn close(&self, py: Python<'_>, session: String, reason: &str) -> PyResult<bool> {
        let reason = reason.to_owned();
        self.call(py, move |sfu, now| Ok(sfu.close(now, &session, &reason)))
    }

    fn stats(&self, py: Python<'_>) -> PyResult<NodeStats> {
        let report = py.detach(|| self.node.stats());
        Ok(convert::node_stats(report.map_err(|error| raise(py, &error))?))
    }

    #[pyo3(signature = (event=None))]
    fn tracks(&self, py: Python<'_>, event: Option<String>) -> PyResult<Vec<TrackStats>> {
        let tracks = self.call(py, move |sfu, _| Ok(sfu.track_stats(event.as_deref())))?;
        Ok(tracks.into_iter().map(convert::track_stats).collect())
    }

    #[pyo3(signature = (timeout_ms, max=256))]
    fn poll_events(&self, py: Python<'_>, timeout_ms: u64, max: usize) -> Vec<NodeEvent> {
        let (events, dropped) =
            py.detach(|| self.node.poll_events(Duration::from_millis(timeout_ms), max));
        let lost = (dropped > 0).then(|| convert::dropped_events(dropped));
        events.into_iter().map(convert::node_event).chain(lost).collect()
    }

    fn shutdown(&self, py: Python<'_>) {
        py.detach(|| self.node.shutdown());
    }
}
