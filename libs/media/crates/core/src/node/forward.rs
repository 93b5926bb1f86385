//! The packet path: from a publisher's RTP to its subscribers' streams.

use std::time::Instant;

use str0m::format::{Codec as StrCodec, PayloadParams};
use str0m::media::{KeyframeRequestKind, Mid, Pt, Rid};
use str0m::rtp::{ExtensionValues, RtpPacket, RtpWrite};

use super::Sfu;
use crate::codec::{Codec, starts_keyframe};
use crate::config::MAX_LAYERS;
use crate::event::{Id, Kind, Subject, What};
use crate::rewrite::SourcePacket;
use crate::session::{Received, Session, Source};
use crate::track::{Layer, SessionKey, Subscriber, TrackKey};

/// A packet on its way to the subscribers of a track.
struct Forward<'a> {
    packet: &'a RtpPacket,
    track: TrackKey,
    layer: usize,
    codec: Codec,
    params: PayloadParams,
    keyframe: bool,
    capture_us: i64,
    wallclock: Instant,
}

/// A slot began to show another source.
#[derive(PartialEq, Eq)]
struct Switch {
    former: Option<TrackKey>,
}

/// What became of a packet at one slot.
#[derive(PartialEq, Eq)]
enum Outcome {
    Sent { first: bool, switched: Option<Switch> },
    NeedsKeyframe,
    NotWanted,
}

impl Sfu {
    pub(super) fn on_rtp(&mut self, key: SessionKey, packet: RtpPacket, now: Instant) {
        let Some(received) = self.identify(key, &packet) else {
            return;
        };
        let Some((codec, params)) = self.codec_of(key, received.track, packet.header.payload_type)
        else {
            return;
        };
        let keyframe = starts_keyframe(codec, &packet.payload);
        let Some(capture_us) = self.account(key, received, &packet, keyframe, now) else {
            return;
        };
        self.announce(key, received.track, codec, params, now);
        let Some(track) = self.tracks.get_mut(&received.track) else {
            return;
        };
        if track.muted {
            return;
        }
        let subscribers = std::mem::take(&mut track.subscribers);
        let wallclock = self.wall.instant(capture_us).map_or(now, |at| at.min(now));
        let Received { track, layer } = received;
        let forward = Forward {
            packet: &packet,
            track,
            layer,
            codec,
            params,
            keyframe,
            capture_us,
            wallclock,
        };
        let mut wants_keyframe = false;
        for &subscriber in &subscribers {
            wants_keyframe |= self.deliver(subscriber, &forward, now);
        }
        if let Some(track) = self.tracks.get_mut(&track) {
            track.subscribers = subscribers;
        }
        if wants_keyframe {
            self.request_keyframe(forward.track, layer, now);
        }
    }

    /// Sends a packet to one slot; true when the slot waits for a keyframe of this layer.
    fn deliver(&mut self, subscriber: Subscriber, forward: &Forward<'_>, now: Instant) -> bool {
        let begins = forward.keyframe && self.is_fresh(subscriber);
        if begins {
            self.settle(subscriber.session, now);
        }
        let Some(session) = self.sessions.get_mut(&subscriber.session) else {
            return false;
        };
        match session.forward(subscriber.slot, forward) {
            Outcome::NotWanted => false,
            Outcome::NeedsKeyframe => true,
            Outcome::Sent { first, switched } => {
                self.forwarded += 1;
                if begins {
                    self.settle(subscriber.session, now);
                } else {
                    self.touch(subscriber.session);
                }
                if first {
                    self.emit_for(subscriber.session, What::FirstRtp, now);
                }
                if let Some(switch) = switched {
                    self.announce_switch(subscriber, switch.former, now);
                }
                false
            }
        }
    }

    fn is_fresh(&self, subscriber: Subscriber) -> bool {
        let session = self.sessions.get(&subscriber.session);
        session.is_some_and(|session| !session.slots[subscriber.slot].declared)
    }

    /// Drives a session until it rests. A stream's first packet must leave at once: while str0m's
    /// pacer still works on something else, its first report would be made before the packet, and
    /// would map nothing.
    fn settle(&mut self, key: SessionKey, now: Instant) {
        self.drive(key, now);
    }

    fn emit_for(&mut self, key: SessionKey, what: What, now: Instant) {
        if let Some(subject) = self.sessions.get(&key).map(Session::subject) {
            self.emit(now, subject, what);
        }
    }

    fn announce_switch(&mut self, subscriber: Subscriber, former: Option<TrackKey>, now: Instant) {
        let Some(session) = self.sessions.get(&subscriber.session) else {
            return;
        };
        let slot = &session.slots[subscriber.slot];
        let (Some(source), Some(mid)) = (slot.current.clone(), slot.mid) else {
            return;
        };
        let Some(track) = self.tracks.get(&source.track) else { return };
        let (id, layer) = (track.id.clone(), track.layers[source.layer].name());
        if former != Some(source.track) {
            if let Some(former) = former {
                self.forget_subscriber(former, subscriber.session, subscriber.slot);
            }
            let what = What::SlotChanged { mid: mid.to_string(), track: id.clone() };
            self.emit_for(subscriber.session, what, now);
        }
        if !layer.is_empty() {
            self.emit_for(subscriber.session, What::LayerChanged { track: id, layer }, now);
        }
    }

    /// Finds the track and layer of a packet by its SSRC, learning new ones.
    fn identify(&mut self, key: SessionKey, packet: &RtpPacket) -> Option<Received> {
        let session = self.sessions.get_mut(&key)?;
        let ssrc = packet.header.ssrc;
        if let Some(received) = session.received.get(&ssrc) {
            return Some(*received);
        }
        let (mid, rid) = {
            let mut api = session.rtc.direct_api();
            let stream = api.stream_rx(&ssrc)?;
            (stream.mid(), stream.rid())
        };
        let track_key = *session
            .tracks
            .iter()
            .find(|key| self.tracks.get(key).is_some_and(|track| track.mid == mid))?;
        let track = self.tracks.get_mut(&track_key)?;
        let rate = if track.kind == Kind::Audio { 48_000 } else { 90_000 };
        let layer = match track.layers.iter().position(|layer| layer.rid == rid) {
            Some(index) => {
                // The publisher changed its SSRC: another start of sequence numbers and time.
                session.received.remove(&track.layers[index].ssrc);
                track.layers[index] = Layer::new(rid, ssrc, rate);
                index
            }
            None if track.layers.len() < MAX_LAYERS => {
                track.layers.push(Layer::new(rid, ssrc, rate));
                track.layers.len() - 1
            }
            None => return None,
        };
        let received = Received { track: track_key, layer };
        session.received.insert(ssrc, received);
        self.restart_slots_on(received);
        Some(received)
    }

    /// Slots on a layer whose numbers start anew must start a new run, with a keyframe.
    fn restart_slots_on(&mut self, received: Received) {
        let Some(track) = self.tracks.get(&received.track) else {
            return;
        };
        for subscriber in &track.subscribers {
            let Some(session) = self.sessions.get_mut(&subscriber.session) else {
                continue;
            };
            let slot = &mut session.slots[subscriber.slot];
            let source = Source { track: received.track, layer: received.layer };
            if slot.current.as_ref() == Some(&source) {
                slot.current = None;
            }
        }
    }

    fn codec_of(&self, key: SessionKey, track: TrackKey, pt: Pt) -> Option<(Codec, PayloadParams)> {
        let track = self.tracks.get(&track)?;
        if let Some((known, params)) = track.params
            && known == pt
        {
            return Some((track.codec?, params));
        }
        let session = self.sessions.get(&key)?;
        let params = session.rtc.codec_config().params().iter().find(|params| params.pt() == pt)?;
        let codec = Codec::from_str0m(params.spec().codec)?;
        (codec.is_video() == (track.kind == Kind::Video)).then_some((codec, *params))
    }

    /// Counts a packet and answers its capture time.
    fn account(
        &mut self,
        key: SessionKey,
        received: Received,
        packet: &RtpPacket,
        keyframe: bool,
        now: Instant,
    ) -> Option<i64> {
        let peer = self.sessions.get(&key)?.clock;
        let arrival_us = self.wall.unix_us(packet.timestamp);
        let track = self.tracks.get_mut(&received.track)?;
        let timestamp = packet.header.timestamp;
        let layer = &mut track.layers[received.layer];
        layer.count(now, *packet.seq_no, timestamp, packet.payload.len(), arrival_us);
        layer.clock.on_packet(arrival_us, timestamp);
        if keyframe {
            layer.throttle.fulfilled();
        }
        let capture = layer.clock.capture_us(peer, timestamp);
        if let Some(level) = packet.header.ext_vals.audio_level {
            track.loudness.observe(now, if level > 0 { -level } else { level });
        }
        capture
    }

    /// Tells the owner of a track's first packet.
    fn announce(
        &mut self,
        key: SessionKey,
        track: TrackKey,
        codec: Codec,
        params: PayloadParams,
        now: Instant,
    ) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        let subject = session.subject();
        if !std::mem::replace(&mut session.first_rtp, true) {
            self.emit(now, subject.clone(), What::FirstRtp);
        }
        let Some(state) = self.tracks.get_mut(&track) else {
            return;
        };
        if state.params.is_none_or(|(pt, _)| pt != params.pt()) {
            state.codec = Some(codec);
            state.params = Some((params.pt(), params));
        }
        if state.announced {
            return;
        }
        state.announced = true;
        let layers = if state.rid_order.is_empty() { Vec::new() } else { state.rid_order.clone() };
        let what = What::TrackPublished {
            track: state.id.clone(),
            mid: state.mid.to_string(),
            kind: state.kind,
            codec,
            layers,
        };
        self.emit(now, subject, what);
        self.choose_layers_of_track(track, now);
    }

    pub(super) fn on_report(
        &mut self,
        key: SessionKey,
        mid: Mid,
        rid: Option<Rid>,
        (ntp_us, rtp): (i64, u32),
        now: Instant,
    ) {
        // Some encoders send a report before they know the time (NTP 0).
        if ntp_us <= 0 {
            return;
        }
        let arrival_us = self.wall.unix_us(now);
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        session.clock.observe(ntp_us, arrival_us);
        for track in &session.tracks {
            let Some(track) = self.tracks.get_mut(track).filter(|track| track.mid == mid) else {
                continue;
            };
            if let Some(layer) = track.layers.iter_mut().find(|layer| layer.rid == rid) {
                layer.clock.on_report(ntp_us, rtp);
            }
        }
    }

    pub(super) fn on_keyframe_request(&mut self, key: SessionKey, mid: Mid, now: Instant) {
        let Some(session) = self.sessions.get(&key) else {
            return;
        };
        let Some(slot) = session.slot_by_mid(mid).map(|index| &session.slots[index]) else {
            return;
        };
        if let Some(Source { track, layer }) = slot.current.clone() {
            self.request_keyframe(track, layer, now);
        }
    }

    /// Asks the publisher for a keyframe, coalesced and throttled.
    pub(super) fn request_keyframe(&mut self, track: TrackKey, layer: usize, now: Instant) {
        let Some(state) = self.tracks.get_mut(&track) else {
            return;
        };
        if state.kind == Kind::Audio || state.muted {
            return;
        }
        if state.layers.get_mut(layer).is_some_and(|layer| layer.throttle.wish(now)) {
            self.send_pli(track, layer, now);
        }
    }

    pub(super) fn send_pli(&mut self, track: TrackKey, layer: usize, now: Instant) {
        let Some(state) = self.tracks.get_mut(&track) else {
            return;
        };
        let (publisher, ssrc) = (state.session, state.layers[layer].ssrc);
        let (id, name): (Id, String) = (state.id.clone(), state.layers[layer].name());
        state.plis_sent += 1;
        let Some(session) = self.sessions.get_mut(&publisher) else {
            return;
        };
        let subject: Subject = session.subject();
        if let Some(stream) = session.rtc.direct_api().stream_rx(&ssrc) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
        self.touch(publisher);
        self.emit(now, subject, What::KeyframeRequested { track: id, layer: name });
    }

    /// A subscriber just became able to receive: ask for the keyframes that its slots need.
    pub(super) fn ask_for_slots(&mut self, key: SessionKey, now: Instant) {
        self.choose_layers(key, now);
        let Some(session) = self.sessions.get(&key).filter(|session| session.can_send()) else {
            return;
        };
        let waiting: Vec<(TrackKey, usize)> = session
            .slots
            .iter()
            .filter(|slot| slot.ready && slot.kind == Kind::Video)
            .filter_map(|slot| Some((slot.track?, slot.target_layer?, slot.current.clone())))
            .filter(|(track, layer, current)| {
                current.as_ref() != Some(&Source { track: *track, layer: *layer })
            })
            .map(|(track, layer, _)| (track, layer))
            .collect();
        for (track, layer) in waiting {
            self.request_keyframe(track, layer, now);
        }
    }
}

impl Session {
    fn forward(&mut self, index: usize, forward: &Forward<'_>) -> Outcome {
        if !self.can_send() || !self.slots[index].ready {
            return Outcome::NotWanted;
        }
        let source = Source { track: forward.track, layer: forward.layer };
        let slot = &mut self.slots[index];
        let is_current = slot.current.as_ref() == Some(&source);
        if !is_current {
            let is_target =
                slot.track == Some(forward.track) && slot.target_layer == Some(forward.layer);
            if !is_target {
                return Outcome::NotWanted;
            }
            if !forward.keyframe {
                return Outcome::NeedsKeyframe;
            }
        }
        let Some(pt) = self.payload_type(index, forward) else {
            self.slots[index].dropped += 1;
            return Outcome::NotWanted;
        };
        let slot = &mut self.slots[index];
        let former = slot.current.as_ref().map(|source| source.track);
        if !is_current {
            slot.rewriter.restart();
            slot.current = Some(source);
        }
        if !self.write(index, pt, forward) {
            self.slots[index].dropped += 1;
            return Outcome::NotWanted;
        }
        let first = !std::mem::replace(&mut self.first_rtp, true);
        Outcome::Sent { first, switched: (!is_current).then_some(Switch { former }) }
    }

    fn write(&mut self, index: usize, pt: Pt, forward: &Forward<'_>) -> bool {
        let slot = &mut self.slots[index];
        let (Some(ssrc), Some(mid)) = (slot.ssrc, slot.mid) else {
            return false;
        };
        let packet = forward.packet;
        let rewritten = slot.rewriter.rewrite(SourcePacket {
            sequence: *packet.seq_no,
            timestamp: packet.header.timestamp,
            capture_us: forward.capture_us,
            codec: forward.codec,
            payload: &packet.payload,
        });
        let Some(rewritten) = rewritten else {
            return false;
        };
        let mut api = self.rtc.direct_api();
        if !std::mem::replace(&mut slot.declared, true) {
            // Bursts leave at once: what one subscriber gets in a slot is one send.
            api.declare_stream_tx(ssrc, slot.rtx, mid, None).set_unpaced(true);
        }
        let Some(stream) = api.stream_tx(&ssrc) else {
            return false;
        };
        slot.packets += 1;
        slot.bytes += rewritten.payload.len() as u64;
        let sequence = rewritten.sequence.into();
        let mut write =
            RtpWrite::new(pt, sequence, rewritten.timestamp, forward.wallclock, rewritten.payload)
                .marker(packet.header.marker)
                .nackable(slot.kind == Kind::Video)
                .ext_vals(extensions(&packet.header.ext_vals));
        if let Some(patch) = rewritten.vp8 {
            write = write.vp8_patch(patch);
        }
        stream.write_rtp(write);
        true
    }

    fn payload_type(&mut self, index: usize, forward: &Forward<'_>) -> Option<Pt> {
        let known = (forward.track, forward.packet.header.payload_type);
        if let Some(pt) = self.slots[index].payload_types.get(&known) {
            return *pt;
        }
        let pt = self.matching_payload_type(index, &forward.params);
        self.slots[index].payload_types.insert(known, pt);
        pt
    }

    /// The subscriber's payload type for a publisher's format.
    ///
    /// H.264 prefers the same profile; another profile with the same packetization is tried rather than
    /// nothing, since decoders go by the stream's own parameter sets.
    pub(super) fn matching_payload_type(&self, index: usize, source: &PayloadParams) -> Option<Pt> {
        let media = self.rtc.media(self.slots[index].mid?)?;
        let accepted = media.remote_pts();
        let wanted = source.spec();
        let score = |params: &PayloadParams| -> Option<u32> {
            let spec = params.spec();
            if spec.codec != wanted.codec || !accepted.contains(&params.pt()) {
                return None;
            }
            if spec.codec != StrCodec::H264 {
                return Some(u32::from(spec.format == wanted.format));
            }
            let mode =
                |format: &str0m::format::FormatParams| format.packetization_mode.unwrap_or(0);
            if mode(&spec.format) < mode(&wanted.format) {
                return None;
            }
            let profile = |format: &str0m::format::FormatParams| {
                format.profile_level_id.unwrap_or(0x42_0000) >> 8
            };
            let same_profile = profile(&spec.format) == profile(&wanted.format);
            let same_idc = profile(&spec.format) >> 8 == profile(&wanted.format) >> 8;
            Some(4 * u32::from(same_profile) + 2 * u32::from(same_idc))
        };
        let params = self.rtc.codec_config().params();
        let scored = params.iter().filter_map(|params| Some((score(params)?, params.pt())));
        // The first of equals: `max_by_key` alone would take the last.
        scored
            .fold(None, |best: Option<(u32, Pt)>, next| match best {
                Some(best) if best.0 >= next.0 => Some(best),
                _ => Some(next),
            })
            .map(|(_, pt)| pt)
    }
}

/// Only what a receiver of another connection can use; ids of lines and layers are per connection.
fn extensions(source: &ExtensionValues) -> ExtensionValues {
    ExtensionValues {
        audio_level: source.audio_level,
        voice_activity: source.voice_activity,
        video_orientation: source.video_orientation,
        ..ExtensionValues::default()
    }
}
