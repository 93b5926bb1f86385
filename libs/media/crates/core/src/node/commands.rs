//! What the owner can ask for, apart from negotiation.

use std::time::Instant;

use str0m::Candidate;
use str0m::media::Mid;

use super::Sfu;
use crate::config::{MAX_CANDIDATES, TICK};
use crate::error::{MediaError, Result};
use crate::event::{Id, Kind, SessionKind};
use crate::session::{Session, Slot};
use crate::track::{SessionKey, Subscriber, TrackKey};

/// Where a subscribed track will appear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The media line; unknown until it is offered.
    pub mid: Option<String>,
    /// A new offer must be made.
    pub needs_offer: bool,
}

/// A slot of a subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotInfo {
    /// The media line; unknown until it is offered.
    pub mid: Option<String>,
    /// Audio or video.
    pub kind: Kind,
    /// Its track.
    pub track: Option<Id>,
}

impl Sfu {
    /// Subscribes to a track, or changes layer and priority of a subscription.
    pub fn subscribe(
        &mut self,
        now: Instant,
        session: &str,
        track: &str,
        layer: Option<&str>,
        priority: i32,
    ) -> Result<Subscription> {
        let key = self.key_of(session, SessionKind::Subscribe)?;
        let (track_key, kind) = self.track_for(key, track, layer)?;
        let limit = self.config.max_subscriptions_per_session;
        let state = self.sessions.get_mut(&key).ok_or_else(|| unknown_session(session))?;
        let existing = state.slots.iter().position(|slot| slot.track == Some(track_key));
        let free = || state.slots.iter().position(|slot| slot.track.is_none() && slot.kind == kind);
        let index = match existing.or_else(free) {
            Some(index) => index,
            None if state.slots.len() >= limit => {
                return Err(MediaError::limit(
                    "TOO_MANY_SUBSCRIPTIONS",
                    format!("at most {limit}"),
                ));
            }
            None => {
                state.slots.push(Slot::new(None, kind, random_seed()));
                state.slots.len() - 1
            }
        };
        state.offer_wanted |= existing.is_none();
        let needs_offer = state.offer_wanted;
        self.fill(key, index, Some(track_key), layer, priority, now);
        let slot = &self.sessions[&key].slots[index];
        Ok(Subscription { mid: slot.mid.map(|mid| mid.to_string()), needs_offer })
    }

    /// Ends a subscription; true when a new offer should be made.
    pub fn unsubscribe(&mut self, now: Instant, session: &str, track: &str) -> Result<bool> {
        let key = self.key_of(session, SessionKind::Subscribe)?;
        let Some(&track) = self.track_ids.get(track) else {
            return Ok(false);
        };
        let state = self.sessions.get_mut(&key).ok_or_else(|| unknown_session(session))?;
        let Some(index) = state.slots.iter().position(|slot| slot.track == Some(track)) else {
            return Ok(false);
        };
        state.offer_wanted = true;
        self.fill(key, index, None, None, 0, now);
        self.run_dirty(now);
        Ok(true)
    }

    /// Puts a track into the index-th slot of a kind of a WHEP session.
    pub fn set_slot(
        &mut self,
        now: Instant,
        session: &str,
        kind: Kind,
        index: usize,
        track: Option<&str>,
        layer: Option<&str>,
    ) -> Result<()> {
        let key = self.key_of(session, SessionKind::Whep)?;
        let track = track.map(|track| self.track_for(key, track, layer)).transpose()?;
        if track.is_some_and(|(_, of)| of != kind) {
            return Err(MediaError::argument("CODEC_MISMATCH", "the track is of the other kind"));
        }
        let state = self.sessions.get(&key).ok_or_else(|| unknown_session(session))?;
        let mut of_kind = state.slots.iter().enumerate().filter(|(_, slot)| slot.kind == kind);
        let Some((slot, _)) = of_kind.nth(index) else {
            return Err(MediaError::not_found(
                "SLOT_NOT_FOUND",
                format!("{} slot {index}", kind.name()),
            ));
        };
        if let Some((track, _)) = track {
            self.check_codec(state, slot, track)?;
        }
        self.fill(key, slot, track.map(|(track, _)| track), layer, 0, now);
        self.run_dirty(now);
        Ok(())
    }

    /// (mid, kind, track) of a subscriber's slots, in SDP order.
    pub fn slots(&self, session: &str) -> Result<Vec<SlotInfo>> {
        let key = self.session_ids.get(session).ok_or_else(|| unknown_session(session))?;
        let slots = self.sessions[key].slots.iter().map(|slot| SlotInfo {
            mid: slot.mid.map(|mid| mid.to_string()),
            kind: slot.kind,
            track: slot.track.and_then(|track| Some(self.tracks.get(&track)?.id.clone())),
        });
        Ok(slots.collect())
    }

    /// Stops or resumes forwarding of a track.
    pub fn mute(&mut self, now: Instant, track: &str, muted: bool) -> Result<()> {
        let key = self.track_key(track)?;
        let Some(state) = self.tracks.get_mut(&key) else {
            return Err(unknown_track(track));
        };
        if std::mem::replace(&mut state.muted, muted) == muted {
            return Ok(());
        }
        let subscribers = state.subscribers.clone();
        for Subscriber { session, slot } in subscribers {
            if let Some(session) = self.sessions.get_mut(&session) {
                session.slots[slot].current = None;
            }
            if !muted {
                self.ask_for_slots(session, now);
            }
        }
        self.run_dirty(now);
        Ok(())
    }

    /// Takes a trickled candidate. An ICE-lite agent sends no checks, so it is only validated.
    pub fn add_candidate(&mut self, session: &str, candidate: &str) -> Result<()> {
        let key = *self.session_ids.get(session).ok_or_else(|| unknown_session(session))?;
        let Some(state) = self.sessions.get_mut(&key) else {
            return Err(unknown_session(session));
        };
        if state.candidates == MAX_CANDIDATES {
            return Err(MediaError::limit(
                "TOO_MANY_CANDIDATES",
                format!("at most {MAX_CANDIDATES}"),
            ));
        }
        state.candidates += 1;
        let text = candidate.trim().trim_start_matches("a=");
        let hidden = text.split(' ').nth(4).is_some_and(|host| host.ends_with(".local"));
        if text.is_empty() || text == "end-of-candidates" || hidden {
            return Ok(());
        }
        if text.len() > 512 || Candidate::from_sdp_string(text).is_err() {
            return Err(MediaError::argument("INVALID_CANDIDATE", "it does not parse"));
        }
        Ok(())
    }

    /// The credentials that the client sent last.
    pub fn remote_ice(&self, session: &str) -> Result<Option<(String, String)>> {
        let key = self.session_ids.get(session).ok_or_else(|| unknown_session(session))?;
        Ok(self.sessions[key].remote_ice.clone())
    }

    /// This side's credentials.
    pub fn local_ice(&mut self, session: &str) -> Result<(String, String)> {
        let key = self.session_ids.get(session).ok_or_else(|| unknown_session(session))?;
        let Some(state) = self.sessions.get_mut(key) else {
            return Err(unknown_session(session));
        };
        let creds = state.rtc.direct_api().local_ice_credentials();
        Ok((creds.ufrag, creds.pass))
    }

    /// Ends a session; false when there is none.
    pub fn close(&mut self, now: Instant, session: &str, reason: &str) -> bool {
        let Some(&key) = self.session_ids.get(session) else {
            return false;
        };
        self.end(key, reason, now);
        true
    }

    /// Ends all sessions: their peers are told.
    pub fn close_all(&mut self, now: Instant, reason: &str) {
        let keys: Vec<SessionKey> = self.sessions.keys().copied().collect();
        for key in keys {
            self.end(key, reason, now);
        }
    }

    /// Tells the peer (RTCP BYE, DTLS close), then removes the session.
    pub(super) fn end(&mut self, key: SessionKey, reason: &str, now: Instant) {
        if let Some(session) = self.sessions.get_mut(&key)
            && session.rtc.close().is_ok()
        {
            let mut goodbye = Vec::new();
            // A few datagrams at most; the bound is against a close that never drains.
            for _ in 0..32 {
                match session.rtc.poll_output() {
                    Ok(str0m::Output::Transmit(transmit)) => goodbye.push(transmit),
                    Ok(str0m::Output::Event(_)) => {}
                    _ => break,
                }
            }
            for transmit in goodbye {
                self.transmit(key, transmit.destination, &transmit.contents);
            }
        }
        self.finish(key, reason, now);
        self.run_dirty(now);
    }

    /// Changes what a slot is to show.
    fn fill(
        &mut self,
        key: SessionKey,
        slot: usize,
        track: Option<TrackKey>,
        layer: Option<&str>,
        priority: i32,
        now: Instant,
    ) {
        let Some(state) = self.sessions.get_mut(&key) else {
            return;
        };
        let state = &mut state.slots[slot];
        let former = std::mem::replace(&mut state.track, track);
        state.wanted_layer = layer.map(str::to_owned);
        state.priority = priority;
        if former != track {
            state.target_layer = None;
            let shown = state.current.as_ref().map(|source| source.track);
            if track.is_none() {
                state.current = None;
            }
            // What is shown goes on until the new track's keyframe.
            for left in [former, shown].into_iter().flatten() {
                let stays = track.is_some() && shown == Some(left);
                if !stays && Some(left) != track {
                    self.forget_subscriber(left, key, slot);
                }
            }
            let subscriber = Subscriber { session: key, slot };
            if let Some(track) = track.and_then(|track| self.tracks.get_mut(&track))
                && !track.subscribers.contains(&subscriber)
            {
                track.subscribers.push(subscriber);
            }
        }
        self.ask_for_slots(key, now);
        self.next_tick.get_or_insert(now + TICK);
    }

    fn check_codec(&self, session: &Session, slot: usize, track: TrackKey) -> Result<()> {
        let Some(params) = self.tracks.get(&track).and_then(|track| track.params) else {
            return Ok(());
        };
        match session.matching_payload_type(slot, &params.1) {
            Some(_) => Ok(()),
            None => Err(MediaError::argument(
                "CODEC_MISMATCH",
                "the viewer did not offer this track's codec",
            )),
        }
    }

    fn track_for(
        &self,
        session: SessionKey,
        track: &str,
        layer: Option<&str>,
    ) -> Result<(TrackKey, Kind)> {
        let key = self.track_key(track)?;
        let state = &self.tracks[&key];
        if self.sessions[&session].event != state.event {
            return Err(MediaError::state("TRACK_OF_OTHER_EVENT", track));
        }
        let known = |name: &str| {
            state.rid_order.iter().any(|rid| rid == name) || state.layer_named(name).is_some()
        };
        match layer {
            Some(name) if !known(name) => Err(MediaError::argument("UNKNOWN_LAYER", name)),
            _ => Ok((key, state.kind)),
        }
    }

    fn track_key(&self, track: &str) -> Result<TrackKey> {
        self.track_ids.get(track).copied().ok_or_else(|| unknown_track(track))
    }

    pub(super) fn key_of(&self, session: &str, kind: SessionKind) -> Result<SessionKey> {
        let key = *self.session_ids.get(session).ok_or_else(|| unknown_session(session))?;
        if self.sessions[&key].kind == kind {
            return Ok(key);
        }
        let detail = format!("{session} is not a {} session", kind.name());
        Err(MediaError::state("WRONG_SESSION_KIND", detail))
    }
}

pub(super) fn unknown_session(session: &str) -> MediaError {
    MediaError::not_found("SESSION_NOT_FOUND", session)
}

fn unknown_track(track: &str) -> MediaError {
    MediaError::not_found("TRACK_NOT_FOUND", track)
}

/// A random start for sequence numbers and time (RFC 3550, 5.1), from str0m's generator.
pub(super) fn random_seed() -> u32 {
    *str0m::rtp::Ssrc::new()
}

/// The media line of a textual mid.
pub(super) fn mid_of(text: &str) -> Mid {
    Mid::from(text)
}
