//! What time brings: stalls, layer choice, throttled PLIs, speakers, sessions that end.

use std::time::{Duration, Instant};

use str0m::bwe::Bitrate;

use super::Sfu;
use crate::allocate::{Demand, allocate};
use crate::config::TICK;
use crate::event::{Id, Kind, SessionKind, Subject, What};
use crate::session::{Session, Slot, Source};
use crate::track::{Layer, SessionKey, Track, TrackKey};

/// Speakers are told at most this often.
const SPEAKER_INTERVAL: Duration = Duration::from_millis(300);
/// Levels are told again this often while somebody speaks.
const SPEAKER_REFRESH: Duration = Duration::from_secs(2);
const MAX_SPEAKERS: usize = 8;
/// As often as browsers send it.
const REMB_INTERVAL: Duration = Duration::from_secs(1);

/// What was last told about an event's speakers.
#[derive(Debug, Default)]
pub(super) struct Speakers {
    order: Vec<Id>,
    told: Option<Instant>,
}

/// What a session gets and what it would take, in bits per second.
struct Ambitions {
    /// Of the layers that are forwarded, be they chosen or on their way out.
    media: u64,
    /// The sound and the lowest layer of a single picture.
    least: u64,
    /// The best of everything.
    desired: u64,
    /// Padding fills the path up to this.
    minimum: u64,
}

impl Sfu {
    pub(super) fn tick(&mut self, now: Instant) {
        self.next_tick = (!self.sessions.is_empty()).then(|| now + TICK);
        self.end_sessions(now);
        let tracks: Vec<TrackKey> = self.tracks.keys().copied().collect();
        for track in tracks {
            self.watch_track(track, now);
        }
        let subscribers: Vec<SessionKey> = self
            .sessions
            .values()
            .filter(|session| session.kind != SessionKind::Publish)
            .map(|session| session.key)
            .collect();
        for session in subscribers {
            self.choose_layers(session, now);
        }
        self.tell_rates(now);
        self.rank_speakers(now);
    }

    /// Tells publishers that do not know transport-cc what they may send (REMB).
    fn tell_rates(&mut self, now: Instant) {
        let mut told = Vec::new();
        for session in self.sessions.values_mut().filter(|session| session.connected) {
            let Some((rate, at)) = session.receive_rate.as_mut().filter(|(_, at)| *at <= now)
            else {
                continue;
            };
            *at = now + REMB_INTERVAL;
            let tracks = session.tracks.iter().filter_map(|track| self.tracks.get(track));
            let layers: Vec<&Layer> =
                tracks.filter(|track| track.kind == Kind::Video).flat_map(|t| &t.layers).collect();
            let (received, lost) = layers
                .iter()
                .fold((0, 0), |sum, layer| (sum.0 + layer.packets, sum.1 + layer.lost()));
            let bps = rate.update(received, lost);
            let Some(ssrc) = layers.first().map(|layer| layer.ssrc) else { continue };
            if let Some(stream) = session.rtc.direct_api().stream_rx(&ssrc) {
                stream.request_remb(Bitrate::from(bps));
                told.push(session.key);
            }
        }
        for key in told {
            self.touch(key);
        }
    }

    fn end_sessions(&mut self, now: Instant) {
        // ICE reports the loss 15 s after the last check; the rest of the consent time is waited here.
        let grace = self.config.consent_timeout.saturating_sub(Duration::from_secs(15));
        let connect = self.config.connect_timeout;
        let ended: Vec<(SessionKey, &str)> = self
            .sessions
            .values()
            .filter_map(|session| {
                let age = now.saturating_duration_since(session.created);
                let negotiated =
                    session.kind != SessionKind::Subscribe || session.remote_ice.is_some();
                match session.lost_at {
                    Some(at) if session.connected && now.saturating_duration_since(at) >= grace => {
                        Some((session.key, "CONSENT_EXPIRED"))
                    }
                    _ if session.connected || age < connect || !negotiated => None,
                    _ if session.ice_at.is_some() => Some((session.key, "DTLS_FAILED")),
                    _ => Some((session.key, "ICE_FAILED")),
                }
            })
            .collect();
        for (key, reason) in ended {
            self.end(key, reason, now);
        }
    }

    fn watch_track(&mut self, key: TrackKey, now: Instant) {
        let Some(track) = self.tracks.get_mut(&key) else {
            return;
        };
        let due: Vec<usize> = (0..track.layers.len())
            .filter(|&index| track.layers[index].throttle.poll(now))
            .collect();
        let stalled = track.announced && !track.is_live(now);
        let stall_changed = std::mem::replace(&mut track.stalled, stalled) != stalled;
        let names: Vec<String> =
            track.ranked_live(now).into_iter().map(|index| track.layers[index].name()).collect();
        let is_simulcast = names.iter().any(|name| !name.is_empty());
        let layers_changed = is_simulcast && track.announced && names != track.announced_layers;
        if layers_changed {
            track.announced_layers.clone_from(&names);
        }
        let id = track.id.clone();
        for layer in due {
            self.send_pli(key, layer, now);
        }
        let Some(subject) = self.tracks.get(&key).map(|track| self.track_subject(track)) else {
            return;
        };
        if stall_changed && stalled {
            self.emit(now, subject.clone(), What::TrackStalled { track: id.clone() });
        } else if stall_changed {
            self.emit(now, subject.clone(), What::TrackResumed { track: id.clone() });
        }
        if layers_changed {
            self.emit(now, subject, What::TrackLayers { track: id, layers: names });
        }
    }

    pub(super) fn choose_layers_of_track(&mut self, track: TrackKey, now: Instant) {
        let Some(track) = self.tracks.get(&track) else {
            return;
        };
        let sessions: Vec<SessionKey> = track.subscribers.iter().map(|s| s.session).collect();
        for session in sessions {
            self.choose_layers(session, now);
        }
    }

    /// Sets every slot's target layer by what the path bears, and asks for the keyframes needed.
    pub(super) fn choose_layers(&mut self, key: SessionKey, now: Instant) {
        self.retarget(key, false, now);
    }

    /// Makes a path fit that collapsed: what is too much stops at once, not with the next keyframe.
    /// It would arrive late and with losses, in front of that keyframe.
    pub(super) fn relieve(&mut self, key: SessionKey, now: Instant) {
        self.retarget(key, true, now);
    }

    fn retarget(&mut self, key: SessionKey, cut: bool, now: Instant) {
        let Some(session) = self.sessions.get(&key) else {
            return;
        };
        let targets = if session.pinned {
            self.pinned_targets(session, now)
        } else {
            self.fitting_targets(session, now)
        };
        let Ambitions { media, least, mut desired, mut minimum } = self.ambitions(session, now);
        if session.congestion.is_draining(now) {
            (desired, minimum) = (media, 0);
        }
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        (session.media_bps, session.least_bps) = (media, least);
        let mut wanted = Vec::new();
        for (index, target) in targets {
            let slot = &mut session.slots[index];
            if slot.target_layer == target {
                continue;
            }
            slot.target_layer = target;
            let source = slot.track.zip(target).map(|(track, layer)| Source { track, layer });
            if slot.current == source {
                // Only a layer that was still waited for is given up again.
                continue;
            }
            match source {
                Some(Source { track, layer }) => wanted.push((track, layer)),
                None => slot.current = None,
            }
            if cut {
                session.cut(index);
            }
        }
        let moved = |known: u64, wanted: u64| known.abs_diff(wanted) > wanted / 10;
        if moved(session.desired_bps, desired) || moved(session.minimum_bps, minimum) {
            (session.desired_bps, session.minimum_bps) = (desired, minimum);
            session.rtc.bwe().set_bitrate(Bitrate::from(minimum), Bitrate::from(desired));
        }
        let can_send = session.can_send();
        for (track, layer) in wanted.into_iter().filter(|_| can_send) {
            self.request_keyframe(track, layer, now);
        }
    }

    fn subscribed<'a>(
        &'a self,
        session: &'a Session,
    ) -> impl Iterator<Item = (usize, &'a Slot, &'a Track)> {
        session.slots.iter().enumerate().filter_map(|(index, slot)| {
            let track = self.tracks.get(&slot.track?)?;
            Some((index, slot, track))
        })
    }

    fn pinned_targets(&self, session: &Session, now: Instant) -> Vec<(usize, Option<usize>)> {
        self.subscribed(session)
            .map(|(index, slot, track)| {
                let named = slot.wanted_layer.as_deref().and_then(|name| track.layer_named(name));
                // A named layer that is dead for a while falls back, so that the programme goes on.
                let live = named
                    .filter(|&layer| track.layers[layer].is_live(now) || track.layers.len() == 1);
                let best = track.ranked_live(now).last().copied();
                (index, live.or(best).or(slot.target_layer).or(only_layer(track)))
            })
            .collect()
    }

    fn fitting_targets(&self, session: &Session, now: Instant) -> Vec<(usize, Option<usize>)> {
        let mut targets = Vec::new();
        let (mut demands, mut choices) = (Vec::new(), Vec::new());
        let mut audio_bps = 0;
        for (index, slot, track) in self.subscribed(session) {
            if slot.kind == Kind::Audio {
                audio_bps += track.layers.first().map_or(0, |layer| layer.rate.bps());
                targets.push((index, only_layer(track)));
                continue;
            }
            let layers = undominated(track, capped(track, slot.wanted_layer.as_deref(), now));
            if layers.is_empty() {
                targets.push((index, slot.target_layer.or(only_layer(track))));
                continue;
            }
            demands.push(Demand {
                priority: slot.priority,
                layers: layers.iter().map(|&layer| track.layers[layer].rate.bps()).collect(),
                current: slot
                    .target_layer
                    .and_then(|at| layers.iter().position(|&layer| layer == at)),
            });
            choices.push((index, layers));
        }
        let budget = session.estimate(now).map_or(u64::MAX, |bps| bps.saturating_sub(audio_bps));
        for (chosen, (index, layers)) in allocate(budget, &demands).into_iter().zip(choices) {
            targets.push((index, chosen.map(|at| layers[at])));
        }
        targets
    }

    /// What the session would take if it could (the best of everything), and what the next step up of
    /// any picture needs: padding fills the path up to that, so that the estimate can tell whether
    /// it bears it.
    fn ambitions(&self, session: &Session, now: Instant) -> Ambitions {
        let (mut media, mut current, mut best, mut step) = (0, 0, 0, 0);
        let (mut sound, mut picture) = (0, None);
        for (_, slot, track) in self.subscribed(session) {
            let bps = |layer: usize| track.layers.get(layer).map_or(0, |layer| layer.rate.bps());
            let layers = undominated(track, capped(track, slot.wanted_layer.as_deref(), now));
            let now_bps = slot.target_layer.map_or(0, bps);
            let lowest = layers.first().map_or(now_bps, |&layer| bps(layer));
            match slot.kind {
                Kind::Audio => sound += lowest,
                Kind::Video => picture = Some(picture.map_or(lowest, |least| lowest.min(least))),
            }
            let above = layers.iter().map(|&layer| bps(layer)).find(|&other| other > now_bps);
            media += slot.current.as_ref().map_or(0, |source| bps(source.layer));
            current += now_bps;
            best += layers.last().map_or(now_bps, |&layer| bps(layer));
            step = match (step, above.map_or(0, |other| other - now_bps)) {
                (0, other) => other,
                (least, 0) => least,
                (least, other) => least.min(other),
            };
        }
        let minimum = if step == 0 { 0 } else { (current + step) * 5 / 4 };
        let least = sound + picture.unwrap_or(0);
        Ambitions { media, least, desired: best * 3 / 2, minimum }
    }

    fn rank_speakers(&mut self, now: Instant) {
        let mut levels: Vec<(Id, i8, Id)> = Vec::new();
        for track in self.tracks.values_mut().filter(|t| t.kind == Kind::Audio && !t.muted) {
            if let Some(level) = track.loudness.speaking(now) {
                levels.push((track.event.clone(), level, track.participant.clone()));
            }
        }
        let events: Vec<Id> = self
            .speakers
            .keys()
            .cloned()
            .chain(levels.iter().map(|(event, ..)| event.clone()))
            .collect::<std::collections::BTreeSet<Id>>()
            .into_iter()
            .collect();
        for event in events {
            let mut speakers: Vec<(Id, i8)> = levels
                .iter()
                .filter(|(of, ..)| *of == event)
                .map(|(_, level, participant)| (participant.clone(), *level))
                .collect();
            speakers.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            speakers.truncate(MAX_SPEAKERS);
            self.tell_speakers(event, speakers, now);
        }
    }

    fn tell_speakers(&mut self, event: Id, speakers: Vec<(Id, i8)>, now: Instant) {
        let state = self.speakers.entry(event.clone()).or_default();
        let order: Vec<Id> = speakers.iter().map(|(participant, _)| participant.clone()).collect();
        let since = state.told.map(|at| now.saturating_duration_since(at));
        let changed = order != state.order && since.is_none_or(|since| since >= SPEAKER_INTERVAL);
        let refresh = !order.is_empty() && since.is_none_or(|since| since >= SPEAKER_REFRESH);
        if !changed && !refresh {
            return;
        }
        let silent = order.is_empty();
        state.order = order;
        state.told = Some(now);
        if silent {
            self.speakers.remove(&event);
        }
        let nobody: Id = Id::from("");
        let subject = Subject { session: nobody.clone(), event, participant: nobody, kind: None };
        self.emit(now, subject, What::ActiveSpeakers { speakers });
    }
}

fn only_layer(track: &Track) -> Option<usize> {
    (track.layers.len() == 1 || (track.layers.is_empty() && track.rid_order.is_empty()))
        .then_some(0)
}

/// Live layers, lowest first, up to the one that the subscriber named.
fn capped(track: &Track, wanted: Option<&str>, now: Instant) -> Vec<usize> {
    let mut layers = track.ranked_live(now);
    if let Some(cap) = wanted.and_then(|name| track.layer_named(name))
        && let Some(position) = layers.iter().position(|&layer| layer == cap)
    {
        layers.truncate(position + 1);
    }
    layers
}

/// Without the layers that cost at least as much as a higher one: a publisher may name its layers
/// wrongly, or send one of them thinner than the one below.
fn undominated(track: &Track, layers: Vec<usize>) -> Vec<usize> {
    let mut least = u64::MAX;
    let mut kept: Vec<usize> = layers
        .into_iter()
        .rev()
        .filter(|&layer| {
            let bps = track.layers[layer].rate.bps();
            let useful = bps < least || least == u64::MAX;
            least = least.min(bps);
            useful
        })
        .collect();
    kept.reverse();
    kept
}
