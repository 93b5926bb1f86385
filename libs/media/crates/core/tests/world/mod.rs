//! A node and clients in virtual time: no socket, no clock, no thread.
#![allow(dead_code)]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use odeon_media_core::client::{
    ClientCore, ClientEvent, ClientWhat, Frame, OfferOptions, Outgoing, SendDirection,
};
use odeon_media_core::codec::Codec;
use odeon_media_core::{
    Egress, EgressCounters, Kind, NodeConfig, NodeEvent, Owner, Run, SessionStats, Sfu, WallClock,
    What, system_time_us,
};

const STEP: Duration = Duration::from_millis(1);

pub fn node_address() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 7000))
}

/// Datagrams of one flush, one entry per send call.
#[derive(Default)]
pub struct Sends(pub Vec<(SocketAddr, usize, Vec<u8>)>);

impl Egress for Sends {
    fn send(&mut self, run: Run<'_>) -> bool {
        self.0.push((run.destination, run.segment, run.bytes.to_vec()));
        true
    }
}

impl Sends {
    fn datagrams(self) -> impl Iterator<Item = (SocketAddr, Vec<u8>)> {
        self.0.into_iter().flat_map(|(to, segment, bytes)| {
            let cut: Vec<Vec<u8>> = bytes.chunks(segment).map(<[u8]>::to_vec).collect();
            cut.into_iter().map(move |datagram| (to, datagram))
        })
    }
}

/// The way between the node and one client.
#[derive(Clone)]
pub struct Link {
    /// One way.
    pub delay: Duration,
    /// Every n-th media datagram towards the client is lost; 0: none.
    pub drop_down: u64,
    /// Every n-th media datagram towards the node is lost; 0: none.
    pub drop_up: u64,
    /// Towards the client, in bits per second, with a queue of 200 ms.
    pub down_bps: Option<u64>,
    /// Nothing passes.
    pub dead: bool,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(5),
            drop_down: 0,
            drop_up: 0,
            down_bps: None,
            dead: false,
        }
    }
}

/// A client of the world.
pub struct Peer {
    pub core: ClientCore,
    pub address: SocketAddr,
    pub link: Link,
    pub frames: Vec<(Instant, Frame)>,
    pub events: Vec<ClientEvent>,
    pub counts: EgressCounters,
    free_at: Instant,
    down: u64,
    up: u64,
}

impl Peer {
    pub fn mid(&self, kind: Kind) -> String {
        self.core.medias().into_iter().find(|media| media.kind == kind).expect("a line").mid
    }

    pub fn pictures(&self) -> Vec<&Frame> {
        self.frames.iter().map(|(_, frame)| frame).filter(|f| f.kind == Kind::Video).collect()
    }

    pub fn sounds(&self) -> Vec<&Frame> {
        self.frames.iter().map(|(_, frame)| frame).filter(|f| f.kind == Kind::Audio).collect()
    }

    pub fn keyframe_requests(&self) -> usize {
        let asked = |event: &&ClientEvent| matches!(event.what, ClientWhat::KeyframeRequest { .. });
        self.events.iter().filter(asked).count()
    }
}

struct Flying {
    at: Instant,
    to_node: bool,
    peer: usize,
    bytes: Vec<u8>,
}

/// A node, its clients, and the time.
pub struct World {
    pub now: Instant,
    pub start: Instant,
    pub sfu: Sfu,
    pub peers: Vec<Peer>,
    pub events: Vec<NodeEvent>,
    /// Send calls of the node: destination, segment size, bytes.
    pub sends: Vec<(SocketAddr, usize, Vec<u8>)>,
    pub wall: WallClock,
    flying: VecDeque<Flying>,
}

impl World {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut NodeConfig)) -> Self {
        Self::with_skew(0, change)
    }

    /// A node whose wall clock is ahead of its peers' by so many µs.
    pub fn with_skew(skew_us: i64, change: impl FnOnce(&mut NodeConfig)) -> Self {
        let now = Instant::now();
        let unix_us = system_time_us(SystemTime::now());
        let wall = WallClock::new(now, unix_us + skew_us);
        let mut config = NodeConfig::new(vec![node_address()]);
        change(&mut config);
        Self {
            now,
            start: now,
            sfu: Sfu::new(config, wall).expect("a node"),
            peers: Vec::new(),
            events: Vec::new(),
            sends: Vec::new(),
            wall,
            flying: VecDeque::new(),
        }
    }

    pub fn ms(&self) -> u64 {
        (self.now - self.start).as_millis() as u64
    }

    pub fn join(&mut self) -> usize {
        let index = self.peers.len();
        let address = SocketAddr::from(([10, 0, 1, 1], 20_000 + index as u16));
        self.peers.push(Peer {
            core: ClientCore::new(self.now, address, Duration::from_secs(15)),
            address,
            link: Link::default(),
            frames: Vec::new(),
            events: Vec::new(),
            counts: EgressCounters::default(),
            free_at: self.now,
            down: 0,
            up: 0,
        });
        index
    }

    /// A publisher of one video codec and audio, connected.
    pub fn publisher(&mut self, name: &str, codec: Codec, simulcast: &[&str]) -> usize {
        let peer = self.join();
        let options = OfferOptions {
            video: Some(codec),
            audio: true,
            direction: SendDirection::Send,
            simulcast: simulcast.iter().map(|rid| (*rid).to_owned()).collect(),
            h264_profile_level_id: None,
        };
        let offer = self.peers[peer].core.create_offer(self.now, &options).expect("an offer");
        let owner = Owner { session: name, event: "ev", participant: name };
        let answer = self.sfu.answer_publish(self.now, owner, &offer).expect("an answer");
        self.peers[peer].core.set_answer(self.now, &answer).expect("accepted");
        self.run_until("the publisher connects", |world| world.peers[peer].core.stats().connected);
        peer
    }

    /// A stage subscriber of all tracks, connected.
    pub fn subscriber(&mut self, name: &str, pinned: bool) -> usize {
        let peer = self.join();
        let owner = Owner { session: name, event: "ev", participant: name };
        self.sfu.open_subscriber(self.now, owner, false, pinned).expect("opened");
        for track in self.sfu.track_stats(Some("ev")) {
            self.sfu.subscribe(self.now, name, &track.track, None, 0).expect("subscribed");
        }
        self.negotiate(name, peer);
        self.run_until("the subscriber connects", |world| world.peers[peer].core.stats().connected);
        peer
    }

    pub fn negotiate(&mut self, name: &str, peer: usize) {
        let offer = self.sfu.make_offer(self.now, name).expect("known").expect("an offer");
        let answer = self.peers[peer].core.accept_offer(self.now, &offer).expect("an answer");
        self.sfu.apply_answer(self.now, name, &answer).expect("applied");
    }

    /// A WHEP viewer with one slot of each kind, connected.
    pub fn viewer(&mut self, name: &str) -> usize {
        let peer = self.join();
        let options = OfferOptions::receive_all();
        let offer = self.peers[peer].core.create_offer(self.now, &options).expect("an offer");
        let owner = Owner { session: name, event: "ev", participant: "" };
        let answer = self.sfu.answer_whep(self.now, owner, &offer).expect("an answer");
        self.peers[peer].core.set_answer(self.now, &answer).expect("accepted");
        self.run_until("the viewer connects", |world| world.peers[peer].core.stats().connected);
        peer
    }

    pub fn track(&self, session: &str, kind: Kind) -> String {
        let tracks = self.sfu.track_stats(Some("ev"));
        let of = tracks.into_iter().find(|track| *track.session == *session && track.kind == kind);
        of.expect("a track").track.to_string()
    }

    pub fn session(&self, name: &str) -> Option<SessionStats> {
        self.sfu.stats(self.now).sessions.into_iter().find(|session| *session.session == *name)
    }

    /// Lets one millisecond pass.
    pub fn step(&mut self) {
        self.now += STEP;
        self.land();
        if self.sfu.next_timeout().is_some_and(|at| at <= self.now) {
            self.sfu.handle_timeout(self.now);
        }
        for index in 0..self.peers.len() {
            let peer = &mut self.peers[index];
            if peer.core.next_timeout().is_some_and(|at| at <= self.now) {
                peer.core.handle_timeout(self.now);
            }
            let mut sends = Sends::default();
            peer.core.flush(&mut sends);
            while let Some(event) = peer.core.poll_event() {
                peer.events.push(event);
            }
            while let Some(frame) = peer.core.poll_frame() {
                peer.frames.push((self.now, frame));
            }
            for (_, bytes) in sends.datagrams() {
                self.up(index, bytes);
            }
        }
        self.flush_node();
        while let Some(event) = self.sfu.poll_event() {
            self.events.push(event);
        }
    }

    pub fn run(&mut self, ms: u64) {
        for _ in 0..ms {
            self.step();
        }
    }

    pub fn run_until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        for _ in 0..60_000 {
            if done(self) {
                return;
            }
            self.step();
        }
        panic!("a minute passed before {what}");
    }

    /// Streams video at 30 fps and audio at 50 pps from publishers for some time.
    pub fn stream(&mut self, sources: &mut [Source], ms: u64) {
        for _ in 0..ms {
            for source in sources.iter_mut() {
                source.tick(self);
            }
            self.step();
        }
    }

    fn flush_node(&mut self) {
        if !self.sfu.wants_flush() {
            return;
        }
        let mut sends = Sends::default();
        self.sfu.flush(self.now, &mut sends);
        self.sends.extend(sends.0.iter().cloned());
        for (to, bytes) in sends.datagrams() {
            if let Some(index) = self.peers.iter().position(|peer| peer.address == to) {
                self.down(index, bytes);
            }
        }
    }

    fn up(&mut self, index: usize, bytes: Vec<u8>) {
        let peer = &mut self.peers[index];
        peer.up += u64::from(is_media(&bytes));
        let lost =
            is_media(&bytes) && peer.link.drop_up > 0 && peer.up.is_multiple_of(peer.link.drop_up);
        if lost || peer.link.dead {
            return;
        }
        let at = self.now + peer.link.delay;
        self.flying.push_back(Flying { at, to_node: true, peer: index, bytes });
    }

    fn down(&mut self, index: usize, bytes: Vec<u8>) {
        let peer = &mut self.peers[index];
        peer.down += u64::from(is_media(&bytes));
        let lost = is_media(&bytes)
            && peer.link.drop_down > 0
            && peer.down.is_multiple_of(peer.link.drop_down);
        if lost || peer.link.dead {
            return;
        }
        let mut at = self.now;
        if let Some(bps) = peer.link.down_bps {
            let begin = peer.free_at.max(self.now);
            if begin - self.now > Duration::from_millis(200) {
                return;
            }
            at = begin + Duration::from_secs_f64(bytes.len() as f64 * 8.0 / bps as f64);
            peer.free_at = at;
        }
        at += peer.link.delay;
        self.flying.push_back(Flying { at, to_node: false, peer: index, bytes });
    }

    fn land(&mut self) {
        let due: Vec<Flying>;
        (due, self.flying) = {
            let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.flying)
                .into_iter()
                .partition(|flying| flying.at <= self.now);
            (due, later.into())
        };
        for Flying { to_node, peer, bytes, .. } in due {
            if to_node {
                self.sfu.handle_datagram(self.now, self.peers[peer].address, &bytes);
            } else {
                self.peers[peer].core.handle_datagram(self.now, node_address(), &bytes);
            }
        }
    }

    pub fn closed_because(&self, session: &str) -> Option<String> {
        self.events.iter().find_map(|event| match &event.what {
            What::SessionClosed { reason } if *event.subject.session == *session => {
                Some(reason.clone())
            }
            _ => None,
        })
    }

    pub fn count(&self, wanted: impl Fn(&What) -> bool) -> usize {
        self.events.iter().filter(|event| wanted(&event.what)).count()
    }
}

fn is_media(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| (128..192).contains(first))
}

/// A pretended encoder: its frames have the size and the headers of real ones.
pub struct Source {
    pub peer: usize,
    pub codec: Codec,
    /// RID (or none) and bytes per frame.
    pub layers: Vec<(Option<String>, usize)>,
    pub fps: u64,
    pub keyframe_every: u64,
    pub audio_level: i8,
    pub answers_plis: bool,
    pub keyframes_sent: usize,
    wants: Vec<bool>,
    seen_events: usize,
    video: u64,
    audio: u64,
    began: Option<u64>,
}

impl Source {
    pub fn new(peer: usize, codec: Codec) -> Self {
        Self {
            peer,
            codec,
            layers: vec![(None, 2_500)],
            fps: 30,
            keyframe_every: u64::MAX,
            audio_level: -20,
            answers_plis: true,
            keyframes_sent: 0,
            wants: vec![false],
            seen_events: 0,
            video: 0,
            audio: 0,
            began: None,
        }
    }

    pub fn simulcast(peer: usize, codec: Codec, layers: &[(&str, usize)]) -> Self {
        let layers: Vec<_> =
            layers.iter().map(|(rid, size)| (Some((*rid).to_owned()), *size)).collect();
        Self { wants: vec![false; layers.len()], layers, ..Self::new(peer, codec) }
    }

    fn tick(&mut self, world: &mut World) {
        let began = *self.began.get_or_insert(world.ms());
        let elapsed = world.ms() - began;
        self.read_events(world);
        while self.video * 1000 < elapsed * self.fps {
            self.send_video(world);
            self.video += 1;
        }
        while self.audio * 20 < elapsed {
            self.send_audio(world);
            self.audio += 1;
        }
    }

    fn read_events(&mut self, world: &World) {
        let events = &world.peers[self.peer].events;
        for event in &events[self.seen_events..] {
            if let ClientWhat::KeyframeRequest { rid, .. } = &event.what {
                let layer = self.layers.iter().position(|(of, _)| of == rid);
                if let Some(layer) = layer.filter(|_| self.answers_plis) {
                    self.wants[layer] = true;
                }
            }
        }
        self.seen_events = events.len();
    }

    fn send_video(&mut self, world: &mut World) {
        let mid = world.peers[self.peer].mid(Kind::Video);
        for layer in 0..self.layers.len() {
            let due = self.video.is_multiple_of(self.keyframe_every);
            let keyframe = std::mem::take(&mut self.wants[layer]) || due;
            self.keyframes_sent += usize::from(keyframe);
            let (rid, size) = self.layers[layer].clone();
            let size = if keyframe { size * 3 } else { size };
            let payload = picture(self.codec, keyframe, size);
            let rtp_time = self.video * 90_000 / self.fps;
            self.send(world, mid.clone(), rid, payload, rtp_time, None);
        }
    }

    fn send_audio(&mut self, world: &mut World) {
        let mid = world.peers[self.peer].mid(Kind::Audio);
        let level = Some(self.audio_level);
        self.send(world, mid, None, vec![0xfc; 80], self.audio * 960, level);
    }

    fn send(
        &self,
        world: &mut World,
        mid: String,
        rid: Option<String>,
        payload: Vec<u8>,
        rtp_time: u64,
        audio_level: Option<i8>,
    ) {
        let now = world.now;
        let frame = Outgoing { mid, rid, payload, rtp_time, captured: now, audio_level };
        world.peers[self.peer].core.send(now, frame).expect("sent");
    }
}

/// A picture that depacketises; its content means nothing.
pub fn picture(codec: Codec, keyframe: bool, size: usize) -> Vec<u8> {
    let mut bytes = match codec {
        Codec::Vp8 if keyframe => vec![0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00],
        Codec::Vp8 => vec![0x11, 0, 0],
        Codec::H264 if keyframe => {
            let mut start = vec![0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 0x8c, 0x68, 0x05, 0x00];
            start.extend([0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80, 0, 0, 0, 1, 0x65]);
            start
        }
        Codec::H264 => vec![0, 0, 0, 1, 0x41],
        other => panic!("no picture of {other:?}"),
    };
    bytes.resize(size.max(bytes.len() + 1), 0x5a);
    bytes
}
