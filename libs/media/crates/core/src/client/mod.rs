//! A WebRTC client for encoded frames: receives whole frames with their capture time, sends frames.

mod frame;
mod negotiate;
mod offer;
mod queue;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::bwe::BweKind;
use str0m::change::SdpPendingOffer;
use str0m::media::{Direction, KeyframeRequestKind, MediaData, MediaTime, Mid, Rid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::Ssrc;
use str0m::{Event, IceConnectionState, Input, Output, Rtc};

pub use frame::Frame;
pub use offer::{OfferOptions, SendDirection};
pub use queue::FrameQueue;

use crate::clock::system_time_us;
use crate::codec::Codec;
use crate::egress::{Batch, Egress, EgressCounters};
use crate::error::{MediaError, Result};
use crate::event::Kind;
use crate::route::is_stun;

/// The node's first report follows the first packet at once; a sender without reports costs this once.
const REPORT_PATIENCE: Duration = Duration::from_millis(100);

/// Something that happened to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientEvent {
    /// When.
    pub at: Instant,
    /// What.
    pub what: ClientWhat,
}

/// What happened to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientWhat {
    /// ICE and DTLS are up.
    Connected { created: Instant, ice: Instant, dtls: Instant },
    /// The peer wants a keyframe.
    KeyframeRequest { mid: String, rid: Option<String> },
    /// A media line was added by the peer.
    MediaAdded { mid: String, kind: Kind, direction: &'static str, track: Option<String> },
    /// A media line's direction changed.
    MediaChanged { mid: String, direction: &'static str },
    /// What the peer can take.
    Bitrate { bps: u64 },
    /// The connection ended.
    Closed { reason: String },
}

/// One media line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientMedia {
    /// Its id.
    pub mid: String,
    /// Audio or video.
    pub kind: Kind,
    /// Seen from this side.
    pub direction: &'static str,
    /// From the peer's msid.
    pub track: Option<String>,
    /// Negotiated codecs.
    pub codecs: Vec<Codec>,
}

/// Counters of a client.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ClientStats {
    /// Connected now.
    pub connected: bool,
    /// Frames received.
    pub frames_in: u64,
    /// Datagrams received.
    pub packets_in: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Frames sent.
    pub frames_out: u64,
    /// Keyframe requests of the peer.
    pub keyframe_requests_in: u64,
    /// Keyframe requests to the peer.
    pub keyframe_requests_out: u64,
    /// Round trip.
    pub rtt: Option<Duration>,
    /// What the peer can take.
    pub estimate_bps: Option<u64>,
    /// What was sent.
    pub egress: EgressCounters,
}

/// One frame to send.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Media line.
    pub mid: String,
    /// Simulcast layer.
    pub rid: Option<String>,
    /// Encoded frame: H.264 as Annex B.
    pub payload: Vec<u8>,
    /// RTP time in the codec's clock rate.
    pub rtp_time: u64,
    /// When it was captured.
    pub captured: Instant,
    /// dBov.
    pub audio_level: Option<i8>,
}

struct Line {
    mid: Mid,
    track: Option<String>,
    /// The last sender report of each layer: NTP time (unix µs) and RTP time.
    reports: HashMap<Option<Rid>, (i64, u32)>,
    /// The first frames, waiting for the report that comes right behind them.
    held: Vec<Frame>,
    held_until: Option<Instant>,
    /// Streams not yet used, kept out of str0m so that it reports nothing about them.
    parked: Vec<(Ssrc, Option<Ssrc>, Option<Rid>)>,
}

/// The client.
pub struct ClientCore {
    rtc: Option<Rtc>,
    local: SocketAddr,
    created: Instant,
    connect_timeout: Duration,
    ice_at: Option<Instant>,
    dtls_at: Option<Instant>,
    closed: bool,
    negotiated: bool,
    lines: Vec<Line>,
    pending: Option<SdpPendingOffer>,
    candidates: usize,
    events: VecDeque<ClientEvent>,
    frames: VecDeque<Frame>,
    batch: Batch,
    due: Option<Instant>,
    stats: ClientStats,
}

impl ClientCore {
    /// A client whose socket has this address.
    pub fn new(now: Instant, local: SocketAddr, connect_timeout: Duration) -> Self {
        Self {
            rtc: None,
            local,
            created: now,
            connect_timeout,
            ice_at: None,
            dtls_at: None,
            closed: false,
            negotiated: false,
            lines: Vec::new(),
            pending: None,
            candidates: 0,
            events: VecDeque::new(),
            frames: VecDeque::new(),
            batch: Batch::default(),
            due: None,
            stats: ClientStats::default(),
        }
    }

    /// The address that goes into candidates; it can change until the first offer or answer.
    pub fn set_local(&mut self, local: SocketAddr) {
        if self.rtc.is_none() {
            self.local = local;
        }
    }

    /// Asks the peer for a keyframe.
    pub fn request_keyframe(&mut self, now: Instant, mid: &str, rid: Option<&str>) -> Result<()> {
        let unknown = || MediaError::not_found("MID_NOT_FOUND", mid);
        let rtc = self.rtc.as_mut().ok_or_else(unknown)?;
        let mut writer = rtc.writer(Mid::from(mid)).ok_or_else(unknown)?;
        if writer.request_keyframe(rid.map(Rid::from), KeyframeRequestKind::Pli).is_ok() {
            self.stats.keyframe_requests_out += 1;
        }
        let _ = rtc.handle_input(Input::Timeout(now));
        self.drain(now);
        Ok(())
    }

    /// Sends a frame; false while not connected.
    pub fn send(&mut self, now: Instant, frame: Outgoing) -> Result<bool> {
        self.check_open()?;
        let unknown = || MediaError::not_found("MID_NOT_FOUND", frame.mid.clone());
        let mid = Mid::from(frame.mid.as_str());
        let rid = frame.rid.as_deref().map(Rid::from);
        let Some(line) = self.lines.iter_mut().find(|line| line.mid == mid) else {
            return Err(unknown());
        };
        let Some(rtc) = self.rtc.as_mut() else {
            return Err(unknown());
        };
        if !self.stats.connected {
            return Ok(false);
        }
        unpark(rtc, line, rid);
        let writer = rtc.writer(mid).ok_or_else(unknown)?;
        let params =
            writer.payload_params().find(|params| Codec::from_str0m(params.spec().codec).is_some());
        let Some(params) = params.copied() else {
            return Err(MediaError::argument(
                "CODEC_MISMATCH",
                "the peer accepted no codec for this line",
            ));
        };
        let writer = if let Some(rid) = rid { writer.rid(rid) } else { writer };
        let writer = match frame.audio_level {
            Some(level) => writer.audio_level(level, level > -50),
            None => writer,
        };
        let time = MediaTime::new(frame.rtp_time, params.spec().clock_rate);
        writer
            .write(params.pt(), frame.captured.min(now), time, frame.payload)
            .map_err(|error| MediaError::argument("UNKNOWN_LAYER", error.to_string()))?;
        self.stats.frames_out += 1;
        let _ = rtc.handle_input(Input::Timeout(now));
        self.drain(now);
        Ok(true)
    }

    /// Takes a datagram.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        self.stats.packets_in += 1;
        self.stats.bytes_in += datagram.len() as u64;
        let Some(rtc) = &mut self.rtc else { return };
        let Ok(receive) = Receive::new(Protocol::Udp, from, self.local, datagram) else {
            return;
        };
        let input = Input::Receive(now, receive);
        // Media and handshake count only from where the peer is known to be.
        if (is_stun(datagram) || self.ice_at.is_some()) && rtc.accepts(&input) {
            let _ = rtc.handle_input(input);
        }
        self.drain(now);
    }

    /// When `handle_timeout` is to be called.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        let waited = now.saturating_duration_since(self.created);
        if self.negotiated && self.dtls_at.is_none() && waited >= self.connect_timeout {
            let reason = if self.ice_at.is_some() { "DTLS_FAILED" } else { "ICE_FAILED" };
            return self.finish(now, reason);
        }
        self.release_held(now);
        if let Some(rtc) = &mut self.rtc {
            let _ = rtc.handle_input(Input::Timeout(now));
        }
        self.drain(now);
    }

    /// Says goodbye.
    pub fn close(&mut self, now: Instant) {
        if let Some(rtc) = &mut self.rtc
            && rtc.close().is_ok()
        {
            for _ in 0..32 {
                match rtc.poll_output() {
                    Ok(Output::Transmit(transmit)) => {
                        self.batch.push(transmit.destination, &transmit.contents)
                    }
                    Ok(Output::Event(_)) => {}
                    _ => break,
                }
            }
        }
        self.finish(now, "CLOSED");
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// The next received frame.
    pub fn poll_frame(&mut self) -> Option<Frame> {
        self.frames.pop_front()
    }

    /// Sends what was gathered.
    pub fn flush(&mut self, egress: &mut dyn Egress) {
        self.batch.flush(egress);
    }

    /// Counters.
    pub fn stats(&self) -> ClientStats {
        ClientStats { egress: self.batch.counters(), ..self.stats }
    }

    /// True once ended.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    fn check_open(&self) -> Result<()> {
        if self.closed { Err(closed()) } else { Ok(()) }
    }

    fn finish(&mut self, now: Instant, reason: &str) {
        self.stats.connected = false;
        self.due = None;
        if let Some(rtc) = &mut self.rtc {
            rtc.disconnect();
        }
        if !std::mem::replace(&mut self.closed, true) {
            self.emit(now, ClientWhat::Closed { reason: reason.to_owned() });
        }
    }

    fn emit(&mut self, at: Instant, what: ClientWhat) {
        self.events.push_back(ClientEvent { at, what });
    }

    fn drain(&mut self, now: Instant) {
        let mut idle = 0;
        loop {
            let Some(rtc) = self.rtc.as_mut().filter(|_| !self.closed) else {
                return;
            };
            match rtc.poll_output() {
                Ok(Output::Transmit(transmit)) => {
                    idle = 0;
                    self.batch.push(transmit.destination, &transmit.contents);
                }
                Ok(Output::Event(event)) => {
                    idle = 0;
                    self.on_event(event, now);
                }
                Ok(Output::Timeout(at)) => {
                    if !rtc.is_alive() {
                        return self.finish(now, "CLOSED_BY_PEER");
                    }
                    if at > now || idle == 64 {
                        let soon = now + Duration::from_millis(1);
                        // Once a second at least, for the connect timeout.
                        let held = self.lines.iter().filter(|line| !line.held.is_empty());
                        let release = held.filter_map(|line| line.held_until).min().unwrap_or(at);
                        self.due = Some(at.min(release).clamp(soon, now + Duration::from_secs(1)));
                        return;
                    }
                    idle += 1;
                    let _ = rtc.handle_input(Input::Timeout(now));
                }
                Err(error) => {
                    let reason =
                        if self.dtls_at.is_none() { "DTLS_FAILED" } else { "PROTOCOL_ERROR" };
                    let _ = error;
                    return self.finish(now, reason);
                }
            }
        }
    }

    fn on_event(&mut self, event: Event, now: Instant) {
        match event {
            Event::MediaData(data) => self.on_media(data, now),
            Event::SenderFeedback(feedback) => {
                let (info, mid, rid) = (feedback.sender_info, feedback.mid, feedback.rid);
                let ntp_us = system_time_us(info.ntp_time);
                if ntp_us > 0 && info.sender_packet_count > 0 {
                    self.on_report(mid, rid, (ntp_us, info.rtp_time.numer() as u32));
                }
            }
            Event::IceConnectionStateChange(state) => self.on_ice(state, now),
            Event::Connected => {
                self.dtls_at = Some(now);
                self.stats.connected = true;
                let ice = *self.ice_at.get_or_insert(now);
                self.emit(now, ClientWhat::Connected { created: self.created, ice, dtls: now });
            }
            Event::KeyframeRequest(request) => {
                self.stats.keyframe_requests_in += 1;
                let (mid, rid) = (request.mid.to_string(), request.rid.map(|rid| rid.to_string()));
                self.emit(now, ClientWhat::KeyframeRequest { mid, rid });
            }
            Event::MediaAdded(added) => {
                let track = self
                    .lines
                    .iter()
                    .find(|line| line.mid == added.mid)
                    .and_then(|l| l.track.clone());
                let (mid, kind) = (added.mid.to_string(), Kind::from_str0m(added.kind));
                let direction = direction_name(added.direction);
                self.emit(now, ClientWhat::MediaAdded { mid, kind, direction, track });
            }
            Event::MediaChanged(changed) => {
                let (mid, direction) = (changed.mid.to_string(), direction_name(changed.direction));
                self.emit(now, ClientWhat::MediaChanged { mid, direction });
            }
            Event::EgressBitrateEstimate(kind) => {
                let (BweKind::Twcc { estimate, .. } | BweKind::Remb { estimate, .. }) = kind else {
                    return;
                };
                self.stats.estimate_bps = Some(estimate.as_u64());
                self.emit(now, ClientWhat::Bitrate { bps: estimate.as_u64() });
            }
            Event::PeerStats(stats) => {
                let path =
                    stats.selected_candidate_pair.and_then(|pair| pair.current_round_trip_time);
                self.stats.rtt = stats.rtt.or(path).or(self.stats.rtt);
            }
            _ => {}
        }
    }

    fn on_media(&mut self, data: MediaData, now: Instant) {
        self.stats.frames_in += 1;
        let (mid, rid) = (data.mid, data.rid);
        let Some(line) = self.lines.iter_mut().find(|line| line.mid == mid) else {
            return;
        };
        let Some(mut frame) = Frame::from_media(data, line.track.clone()) else {
            return;
        };
        if let Some(report) = line.reports.get(&rid) {
            frame.place(*report);
            self.frames.push_back(frame);
            return;
        }
        line.held.push(frame);
        line.held_until.get_or_insert(now + REPORT_PATIENCE);
        self.release_held(now);
    }

    fn on_report(&mut self, mid: Mid, rid: Option<Rid>, report: (i64, u32)) {
        let Some(line) = self.lines.iter_mut().find(|line| line.mid == mid) else {
            return;
        };
        line.reports.insert(rid, report);
        for mut frame in line.held.drain(..) {
            frame.place(report);
            self.frames.push_back(frame);
        }
    }

    /// A sender without reports is heard all the same, without capture times.
    fn release_held(&mut self, now: Instant) {
        for line in self.lines.iter_mut().filter(|line| line.held_until.is_some_and(|at| at <= now))
        {
            self.frames.extend(line.held.drain(..));
        }
    }

    fn on_ice(&mut self, state: IceConnectionState, now: Instant) {
        match state {
            IceConnectionState::Connected | IceConnectionState::Completed => {
                self.ice_at.get_or_insert(now);
            }
            IceConnectionState::Disconnected if self.stats.connected => {
                self.finish(now, "ICE_DISCONNECTED")
            }
            _ => {}
        }
    }
}

fn closed() -> MediaError {
    MediaError::state("CLOSED", "the client is closed")
}

fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::SendOnly => "sendonly",
        Direction::RecvOnly => "recvonly",
        Direction::SendRecv => "sendrecv",
        Direction::Inactive => "inactive",
    }
}

fn unpark(rtc: &mut Rtc, line: &mut Line, rid: Option<Rid>) {
    if let Some(position) = line.parked.iter().position(|(_, _, of)| *of == rid) {
        let (ssrc, rtx, rid) = line.parked.remove(position);
        rtc.direct_api().declare_stream_tx(ssrc, rtx, line.mid, rid);
    }
}
