//! `Client`.

use std::time::{Duration, Instant};

use odeon_media_core::client::{ClientCore, OfferOptions, Outgoing, SendDirection};
use odeon_media_core::codec::Codec;
use odeon_media_core::{ErrorClass, MediaError};
use odeon_media_shell::{ClientHandle, ClientSettings, unix_us_to_instant};
use pyo3::prelude::*;

use crate::convert;
use crate::errors::{raise, unknown_codec};
use crate::types::{ClientEvent, ClientMedia, ClientStats, Frame};

/// A WebRTC client for encoded media.
#[pyclass(frozen, module = "odeon_media._core")]
pub struct Client {
    client: ClientHandle,
}

impl Client {
    fn call<R: Send + 'static>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut ClientCore, Instant) -> Result<R, MediaError> + Send + 'static,
    ) -> PyResult<R> {
        let done = py.detach(|| self.client.call(work).and_then(|result| result));
        done.map_err(|error| raise(py, &error))
    }

    fn settle(&self, py: Python<'_>, remote_sdp: Option<&str>) -> PyResult<()> {
        let settled = py.detach(|| self.client.settle_address(remote_sdp));
        settled.map_err(|error| raise(py, &error))
    }
}

fn argument(py: Python<'_>, reason: &'static str, detail: &str) -> PyErr {
    raise(py, &MediaError::new(ErrorClass::Argument, reason, detail))
}

#[pymethods]
impl Client {
    #[new]
    #[pyo3(signature = (bind_host="127.0.0.1", *, max_queued_frames=512, max_queued_bytes=67_108_864,
        connect_timeout_ms=15000, forced_loss=0.0))]
    fn new(
        py: Python<'_>,
        bind_host: &str,
        max_queued_frames: usize,
        max_queued_bytes: usize,
        connect_timeout_ms: u64,
        forced_loss: f64,
    ) -> PyResult<Self> {
        let settings = ClientSettings {
            bind_host: bind_host.to_owned(),
            max_frames: max_queued_frames,
            max_bytes: max_queued_bytes,
            connect_timeout: Duration::from_millis(connect_timeout_ms),
            forced_loss,
        };
        let started = py.detach(|| ClientHandle::start(settings));
        Ok(Self { client: started.map_err(|error| raise(py, &error))? })
    }

    #[pyo3(signature = (*, video_codec=Some("h264"), audio=true, direction="sendonly", simulcast=None,
        h264_profile_level_id=None))]
    fn create_offer(
        &self,
        py: Python<'_>,
        video_codec: Option<&str>,
        audio: bool,
        direction: &str,
        simulcast: Option<Vec<String>>,
        h264_profile_level_id: Option<&str>,
    ) -> PyResult<String> {
        let codec = |name| Codec::parse(name).ok_or_else(|| unknown_codec(py, name));
        let profile = |text| {
            u32::from_str_radix(text, 16)
                .map_err(|_| argument(py, "UNKNOWN_CODEC", "profile-level-id is hex"))
        };
        let options = OfferOptions {
            video: video_codec.map(codec).transpose()?,
            audio,
            direction: match direction {
                "sendonly" => SendDirection::Send,
                "recvonly" => SendDirection::Receive,
                other => return Err(argument(py, "UNKNOWN_DIRECTION", other)),
            },
            simulcast: simulcast.unwrap_or_default(),
            h264_profile_level_id: h264_profile_level_id.map(profile).transpose()?,
        };
        self.settle(py, None)?;
        self.call(py, move |core, now| core.create_offer(now, &options))
    }

    fn set_answer(&self, py: Python<'_>, sdp: String) -> PyResult<()> {
        self.call(py, move |core, now| core.set_answer(now, &sdp))
    }

    fn accept_offer(&self, py: Python<'_>, sdp: String) -> PyResult<String> {
        self.settle(py, Some(&sdp))?;
        self.call(py, move |core, now| core.accept_offer(now, &sdp))
    }

    fn add_candidate(&self, py: Python<'_>, candidate: String) -> PyResult<()> {
        self.call(py, move |core, now| core.add_candidate(now, &candidate))
    }

    fn medias(&self, py: Python<'_>) -> PyResult<Vec<ClientMedia>> {
        let medias = self.call(py, |core, _| Ok(core.medias()))?;
        Ok(medias.into_iter().map(convert::client_media).collect())
    }

    #[pyo3(signature = (timeout_ms, max=64))]
    fn recv(&self, py: Python<'_>, timeout_ms: u64, max: usize) -> Vec<Frame> {
        let frames = py.detach(|| self.client.recv(Duration::from_millis(timeout_ms), max));
        frames.into_iter().map(|frame| convert::frame(py, frame)).collect()
    }

    #[pyo3(signature = (timeout_ms, max=64))]
    fn poll_events(&self, py: Python<'_>, timeout_ms: u64, max: usize) -> Vec<ClientEvent> {
        let events = py.detach(|| self.client.poll_events(Duration::from_millis(timeout_ms), max));
        events.into_iter().map(convert::client_event).collect()
    }

    #[pyo3(signature = (mid, rid=None))]
    fn request_keyframe(&self, py: Python<'_>, mid: String, rid: Option<String>) -> PyResult<()> {
        self.call(py, move |core, now| core.request_keyframe(now, &mid, rid.as_deref()))
    }

    #[pyo3(signature = (mid, payload, *, rtp_time, capture_time_us=None, rid=None, audio_level=None))]
    #[allow(clippy::too_many_arguments)]
    fn send(
        &self,
        py: Python<'_>,
        mid: String,
        payload: &[u8],
        rtp_time: u64,
        capture_time_us: Option<i64>,
        rid: Option<String>,
        audio_level: Option<i8>,
    ) -> PyResult<bool> {
        let captured = capture_time_us.map_or_else(Instant::now, unix_us_to_instant);
        let frame =
            Outgoing { mid, rid, payload: payload.to_vec(), rtp_time, captured, audio_level };
        self.call(py, move |core, now| core.send(now, frame))
    }

    fn stats(&self, py: Python<'_>) -> PyResult<ClientStats> {
        let stats = self.call(py, |core, _| Ok(core.stats()))?;
        Ok(convert::client_stats(stats, self.client.frames_dropped()))
    }

    #[getter]
    fn connected(&self, py: Python<'_>) -> bool {
        self.call(py, |core, _| Ok(core.stats().connected)).unwrap_or(false)
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.client.close());
    }
}
