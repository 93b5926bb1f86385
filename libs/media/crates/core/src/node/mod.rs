//! The forwarding unit: sessions, tracks, and the loop body that a shell drives.
//!
//! A shell calls `handle_datagram` for what arrived, `handle_timeout` when `next_timeout` is due, and
//! `flush` to send; commands (`commands.rs`) may come in between. Nothing here waits or reads a clock.

mod commands;
mod forward;
mod negotiate;
mod snapshot;
mod timers;
mod upkeep;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::bwe::BweKind;
use str0m::config::DtlsCert;
use str0m::net::{Protocol, Receive};
use str0m::{Event, IceConnectionState, Input, Output};

use crate::clock::{WallClock, system_time_us};
use crate::config::{MAX_ADDRESSES, NodeConfig};
use crate::congestion::Sample;
use crate::dtls::crypto;
use crate::egress::{Batch, Egress};
use crate::error::{ErrorClass, MediaError, Result};
use crate::event::{Id, NodeEvent, SessionKind, Subject, What};
use crate::route::{Routes, is_stun, request_ufrag};
use crate::session::Session;
use crate::track::{SessionKey, Track, TrackKey};
use timers::Timers;

pub use commands::{SlotInfo, Subscription};
pub use negotiate::Owner;

/// str0m asks to be called again at once while its pacer works; this many times without output is a bug.
const MAX_IDLE_POLLS: usize = 64;

/// The forwarding unit.
pub struct Sfu {
    config: NodeConfig,
    wall: WallClock,
    cert: DtlsCert,
    sessions: HashMap<SessionKey, Session>,
    session_ids: HashMap<Id, SessionKey>,
    tracks: HashMap<TrackKey, Track>,
    track_ids: HashMap<Id, TrackKey>,
    routes: Routes,
    timers: Timers,
    dirty: Vec<SessionKey>,
    events: VecDeque<NodeEvent>,
    batch: Batch,
    next_key: u64,
    next_tick: Option<Instant>,
    speakers: HashMap<Id, upkeep::Speakers>,
    packets_in: u64,
    packets_dropped: u64,
    forwarded: u64,
}

impl Sfu {
    /// A node without sessions. `wall` pairs the monotonic clock with unix time.
    pub fn new(config: NodeConfig, wall: WallClock) -> Result<Self> {
        let cert = crypto().dtls_provider.generate_certificate();
        let no_cert = || MediaError::new(ErrorClass::Transport, "NO_CERTIFICATE", "no certificate");
        Ok(Self {
            config,
            wall,
            cert: cert.ok_or_else(no_cert)?,
            sessions: HashMap::new(),
            session_ids: HashMap::new(),
            tracks: HashMap::new(),
            track_ids: HashMap::new(),
            routes: Routes::default(),
            timers: Timers::default(),
            dirty: Vec::new(),
            events: VecDeque::new(),
            batch: Batch::default(),
            next_key: 1,
            next_tick: None,
            speakers: HashMap::new(),
            packets_in: 0,
            packets_dropped: 0,
            forwarded: 0,
        })
    }

    /// When `handle_timeout` is to be called next; `None` while there is nothing to do.
    pub fn next_timeout(&self) -> Option<Instant> {
        match (self.timers.next(), self.next_tick) {
            (Some(timer), Some(tick)) => Some(timer.min(tick)),
            (timer, tick) => timer.or(tick),
        }
    }

    /// The next event for the owner.
    pub fn poll_event(&mut self) -> Option<NodeEvent> {
        self.events.pop_front()
    }

    /// True when `flush` would send something.
    pub fn wants_flush(&self) -> bool {
        !self.dirty.is_empty() || !self.batch.is_empty()
    }

    /// Writes and sends what was gathered: all for one subscriber together.
    pub fn flush(&mut self, now: Instant, egress: &mut dyn Egress) {
        self.run_dirty(now);
        self.batch.flush(egress);
    }

    /// Takes one datagram. What is not from a validated address or a valid STUN request is dropped.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        self.packets_in += 1;
        let Some(key) = self.route(now, from, datagram) else {
            self.packets_dropped += 1;
            return;
        };
        let destination = self.local_address();
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        let Ok(receive) = Receive::new(Protocol::Udp, from, destination, datagram) else {
            self.packets_dropped += 1;
            return;
        };
        session.packets_in += 1;
        session.bytes_in += datagram.len() as u64;
        let taken = contained(|| session.rtc.handle_input(Input::Receive(now, receive)));
        match taken {
            Some(Ok(())) => {}
            Some(Err(_)) => self.packets_dropped += 1,
            None => return self.finish(key, "INTERNAL", now),
        }
        // Subscribers are written in `flush`, so that a burst reaches each of them as one burst.
        self.drain(key, now);
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(key) = self.timers.pop_due(now) {
            self.touch(key);
        }
        self.run_dirty(now);
        if self.next_tick.is_some_and(|at| at <= now) {
            self.tick(now);
            self.run_dirty(now);
        }
    }

    fn route(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Option<SessionKey> {
        if !is_stun(datagram) {
            return self.routes.by_address(from);
        }
        let key = self.routes.by_ufrag(&request_ufrag(datagram)?)?;
        let destination = self.local_address();
        let receive = Receive::new(Protocol::Udp, from, destination, datagram).ok()?;
        let session = self.sessions.get_mut(&key)?;
        if !session.rtc.accepts(&Input::Receive(now, receive)) {
            return None;
        }
        if !session.addresses.contains(&from) {
            if session.addresses.len() == MAX_ADDRESSES {
                let oldest = session.addresses.remove(0);
                self.routes.release(oldest, key);
            }
            session.addresses.push(from);
        }
        self.routes.claim(from, key);
        Some(key)
    }

    fn local_address(&self) -> SocketAddr {
        self.config.advertise.first().copied().unwrap_or(SocketAddr::from(([127, 0, 0, 1], 9)))
    }

    /// Marks a session to be driven by `run_dirty`.
    fn touch(&mut self, key: SessionKey) {
        if let Some(session) = self.sessions.get_mut(&key)
            && !session.dirty
        {
            session.dirty = true;
            self.dirty.push(key);
        }
    }

    fn run_dirty(&mut self, now: Instant) {
        while let Some(key) = self.dirty.pop() {
            self.drive(key, now);
        }
    }

    /// Lets one session do what is due and hands out what it made.
    fn drive(&mut self, key: SessionKey, now: Instant) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        session.dirty = false;
        if contained(|| session.rtc.handle_input(Input::Timeout(now))).is_none() {
            return self.finish(key, "INTERNAL", now);
        }
        self.drain(key, now);
    }

    fn drain(&mut self, key: SessionKey, now: Instant) {
        let mut idle = 0;
        loop {
            let Some(session) = self.sessions.get_mut(&key) else {
                return;
            };
            let output = contained(|| session.rtc.poll_output());
            let Some(output) = output else { return self.finish(key, "INTERNAL", now) };
            match output {
                Ok(Output::Transmit(transmit)) => {
                    idle = 0;
                    self.transmit(key, transmit.destination, &transmit.contents);
                }
                Ok(Output::Event(event)) => {
                    idle = 0;
                    self.on_event(key, event, now);
                }
                Ok(Output::Timeout(at)) => {
                    if !session.rtc.is_alive() {
                        return self.finish(key, "CLIENT_CLOSED", now);
                    }
                    if at > now || idle == MAX_IDLE_POLLS {
                        self.timers.schedule(key, at.max(now + Duration::from_millis(1)));
                        return;
                    }
                    idle += 1;
                    let _ = session.rtc.handle_input(Input::Timeout(now));
                }
                Err(_) => {
                    let reason =
                        if session.dtls_at.is_none() { "DTLS_FAILED" } else { "PROTOCOL_ERROR" };
                    return self.finish(key, reason, now);
                }
            }
        }
    }

    fn transmit(&mut self, key: SessionKey, destination: SocketAddr, datagram: &[u8]) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        // Without consent only answers to connectivity checks may leave (RFC 7675, 5.1).
        if session.lost_at.is_some() && !is_stun(datagram) {
            return;
        }
        session.packets_out += 1;
        session.bytes_out += datagram.len() as u64;
        self.batch.push(destination, datagram);
    }

    fn on_event(&mut self, key: SessionKey, event: Event, now: Instant) {
        match event {
            Event::RtpPacket(packet) => self.on_rtp(key, packet, now),
            Event::SenderFeedback(feedback) => {
                let info = feedback.sender_info;
                // A report before the first packet maps nothing.
                if info.sender_packet_count == 0 {
                    return;
                }
                let ntp = system_time_us(info.ntp_time);
                self.on_report(
                    key,
                    feedback.mid,
                    feedback.rid,
                    (ntp, info.rtp_time.numer() as u32),
                    now,
                );
            }
            Event::KeyframeRequest(request) => self.on_keyframe_request(key, request.mid, now),
            Event::IceConnectionStateChange(state) => self.on_ice(key, state, now),
            Event::Connected => self.on_connected(key, now),
            Event::EgressBitrateEstimate(kind) => self.on_estimate(key, &kind, now),
            Event::PeerStats(stats) => {
                let Some(session) = self.sessions.get_mut(&key) else {
                    return;
                };
                session.rtt = stats.rtt.or(session.rtt);
                session.loss = stats.egress_loss_fraction.or(session.loss);
                let sample = stats.bwe_tx.map(|newest| Sample {
                    newest_bps: newest.as_u64(),
                    sent_bps: session.media_bps,
                    least_bps: session.least_bps,
                    loss: stats.egress_loss_fraction,
                    rtt: stats.rtt,
                });
                if sample.is_some_and(|sample| session.congestion.observe(now, sample)) {
                    self.relieve(key, now);
                }
            }
            Event::MediaEgressStats(stats) => {
                if let Some(session) = self.sessions.get_mut(&key)
                    && let Some(index) = session.slot_by_mid(stats.mid)
                {
                    session.slots[index].nacks = stats.nacks;
                    session.slots[index].plis = stats.plis + stats.firs;
                }
            }
            _ => {}
        }
    }

    fn on_ice(&mut self, key: SessionKey, state: IceConnectionState, now: Instant) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        match state {
            IceConnectionState::Connected | IceConnectionState::Completed => {
                session.ice_at.get_or_insert(now);
                session.lost_at = None;
            }
            IceConnectionState::Disconnected => {
                session.lost_at.get_or_insert(now);
            }
            _ => {}
        }
    }

    fn on_connected(&mut self, key: SessionKey, now: Instant) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        session.dtls_at = Some(now);
        session.connected = true;
        let (created, ice) = (session.created, *session.ice_at.get_or_insert(now));
        let subject = session.subject();
        self.emit(now, subject, What::SessionConnected { created, ice, dtls: now });
        self.ask_for_slots(key, now);
    }

    fn on_estimate(&mut self, key: SessionKey, kind: &BweKind, now: Instant) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        match kind {
            BweKind::Twcc { estimate, can_probe } => {
                session.twcc_bps = can_probe.then_some(estimate.as_u64());
            }
            BweKind::Remb { estimate, .. } => session.remb = Some((estimate.as_u64(), now)),
            _ => {}
        }
        self.choose_layers(key, now);
    }

    fn emit(&mut self, at: Instant, subject: Subject, what: What) {
        self.events.push_back(NodeEvent { at, subject, what });
    }

    /// Removes a session and all that hangs on it.
    fn finish(&mut self, key: SessionKey, reason: &str, now: Instant) {
        let Some(session) = self.sessions.remove(&key) else {
            return;
        };
        self.session_ids.remove(&session.id);
        self.timers.remove(key);
        for address in &session.addresses {
            self.routes.release(*address, key);
        }
        for ufrag in &session.ufrags {
            self.routes.remove_ufrag(ufrag);
        }
        for track in &session.tracks {
            self.remove_track(*track, reason, now);
        }
        for (index, slot) in session.slots.iter().enumerate() {
            let shown = slot.current.as_ref().map(|source| source.track);
            for track in [slot.track, shown].into_iter().flatten() {
                self.forget_subscriber(track, key, index);
            }
        }
        self.emit(now, session.subject(), What::SessionClosed { reason: reason.to_owned() });
        if self.sessions.is_empty() {
            self.next_tick = None;
        }
    }

    fn remove_track(&mut self, track: TrackKey, reason: &str, now: Instant) {
        let Some(track) = self.tracks.remove(&track) else {
            return;
        };
        self.track_ids.remove(&track.id);
        for subscriber in &track.subscribers {
            let Some(session) = self.sessions.get_mut(&subscriber.session) else {
                continue;
            };
            let slot = &mut session.slots[subscriber.slot];
            if slot.current.as_ref().is_some_and(|source| source.track == track.key) {
                slot.current = None;
            }
            if slot.track != Some(track.key) {
                continue;
            }
            slot.track = None;
            slot.target_layer = None;
            session.offer_wanted |= session.kind == SessionKind::Subscribe;
            if session.kind == SessionKind::Subscribe {
                let subject = session.subject();
                self.emit(now, subject, What::NegotiationNeeded);
            }
        }
        if track.announced {
            let subject = self.track_subject(&track);
            let what =
                What::TrackUnpublished { track: track.id.clone(), reason: reason.to_owned() };
            self.emit(now, subject, what);
        }
    }

    fn track_subject(&self, track: &Track) -> Subject {
        let session = self.sessions.get(&track.session);
        Subject {
            session: session.map_or_else(|| Arc::from(session_of(&track.id)), |s| s.id.clone()),
            event: track.event.clone(),
            participant: track.participant.clone(),
            kind: Some(SessionKind::Publish),
        }
    }

    fn forget_subscriber(&mut self, track: TrackKey, session: SessionKey, slot: usize) {
        if let Some(track) = self.tracks.get_mut(&track) {
            track.subscribers.retain(|s| !(s.session == session && s.slot == slot));
        }
    }
}

/// Runs one step of one connection; a panic inside (a bug that a peer may have found) costs that
/// connection alone, which is removed, and not the node with everybody on it.
fn contained<T>(step: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(step)).ok()
}

/// Track ids are `<session>.<mid>`.
fn session_of(track: &str) -> &str {
    track.rsplit_once('.').map_or(track, |(session, _)| session)
}
