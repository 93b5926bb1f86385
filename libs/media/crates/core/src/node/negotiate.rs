//! Offers and answers of the three kinds of session.

use std::collections::HashMap;
use std::time::Instant;

use str0m::change::{SdpAnswer, SdpOffer};
use str0m::media::Direction;

use super::Sfu;
use super::commands::{mid_of, random_seed, unknown_session};
use crate::clock::PeerClock;
use crate::config::TICK;
use crate::congestion::Congestion;
use crate::error::{MediaError, Result};
use crate::event::{Id, Kind, SessionKind};
use crate::receive_rate::ReceiveRate;
use crate::sdp;
use crate::session::{Session, Slot, build_rtc};
use crate::speakers::Loudness;
use crate::track::{SessionKey, Track, TrackKey};

/// The header extension without which a peer cannot use transport-wide feedback.
const TRANSPORT_CC: &str = "transport-wide-cc-extensions";

/// Who a new session belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// Session id.
    pub session: &'a str,
    /// Event id.
    pub event: &'a str,
    /// Participant id.
    pub participant: &'a str,
}

impl Sfu {
    /// Answers a publisher's offer; a second offer of the same session renegotiates.
    pub fn answer_publish(
        &mut self,
        now: Instant,
        owner: Owner<'_>,
        offer: &str,
    ) -> Result<String> {
        let offer = sdp::force_direction(&sdp::guard(offer)?, "sendonly");
        let limit = self.config.max_tracks_per_session;
        if sdp::media_values(&offer, "mid").len() > limit {
            return Err(MediaError::limit(
                "TOO_MANY_TRACKS",
                format!("at most {limit} media lines"),
            ));
        }
        let answer = self.answer(now, owner, SessionKind::Publish, &offer)?;
        let key = self.session_ids[owner.session];
        if !offer.contains(TRANSPORT_CC)
            && let Some(session) = self.sessions.get_mut(&key)
        {
            session.receive_rate.get_or_insert((ReceiveRate::default(), now));
        }
        self.register_tracks(key, &offer, &answer, now);
        self.drain(key, now);
        self.run_dirty(now);
        Ok(answer)
    }

    /// Answers a viewer's recvonly offer; its media lines become slots.
    pub fn answer_whep(&mut self, now: Instant, owner: Owner<'_>, offer: &str) -> Result<String> {
        let offer = sdp::force_direction(&sdp::guard(offer)?, "recvonly");
        let limit = self.config.max_subscriptions_per_session;
        if sdp::media_values(&offer, "mid").len() > limit {
            return Err(MediaError::limit(
                "TOO_MANY_SUBSCRIPTIONS",
                format!("at most {limit} media lines"),
            ));
        }
        let answer = self.answer(now, owner, SessionKind::Whep, &offer)?;
        let key = self.session_ids[owner.session];
        let Some(session) = self.sessions.get_mut(&key) else {
            return Err(unknown_session(owner.session));
        };
        for (mid, _) in sdp::media_values(&answer, "mid") {
            let mid = mid_of(mid);
            let Some(media) = session.rtc.media(mid) else {
                continue;
            };
            let kind = Kind::from_str0m(media.kind());
            if session.slot_by_mid(mid).is_none() {
                session.slots.push(Slot::new(Some(mid), kind, random_seed()));
            }
        }
        session.park_streams();
        session.refresh_ready();
        self.drain(key, now);
        // One stream for all lines, so that a browser keeps lips in sync.
        let stream = sdp::token(owner.event);
        Ok(sdp::rewrite_msid(&answer, |mid| Some((stream.clone(), sdp::token(mid)))))
    }

    /// Opens a peer connection towards a subscriber.
    pub fn open_subscriber(
        &mut self,
        now: Instant,
        owner: Owner<'_>,
        hidden: bool,
        pinned: bool,
    ) -> Result<()> {
        self.check_new(owner)?;
        let mut session = self.new_session(now, owner, SessionKind::Subscribe, !pinned);
        session.hidden = hidden;
        session.pinned = pinned;
        let key = self.insert(session, now);
        self.learn_ufrags(key);
        self.drain(key, now);
        Ok(())
    }

    /// The next offer; `None` when nothing changed. It replaces a pending one.
    pub fn make_offer(&mut self, now: Instant, session: &str) -> Result<Option<String>> {
        let key = self.key_of(session, SessionKind::Subscribe)?;
        self.offer(key, now, false)
    }

    /// Applies the answer to the pending offer.
    pub fn apply_answer(&mut self, now: Instant, session: &str, answer: &str) -> Result<()> {
        let key = self.key_of(session, SessionKind::Subscribe)?;
        let text = sdp::guard(answer)?;
        let answer = SdpAnswer::from_sdp_string(&text)
            .map_err(|error| MediaError::sdp("SDP_INVALID", error.to_string()))?;
        let remote = sdp::ice_credentials(&text)?;
        let Some(state) = self.sessions.get_mut(&key) else {
            return Err(unknown_session(session));
        };
        let Some(pending) = state.pending.take() else {
            return Err(MediaError::state("NO_PENDING_OFFER", session));
        };
        state.unpark_streams();
        let applied = state.rtc.sdp_api().accept_answer(pending, answer);
        state.park_streams();
        state.refresh_ready();
        applied.map_err(|error| MediaError::sdp("SDP_UNSUPPORTED", error.to_string()))?;
        if state.remote_ice.replace(remote).is_none() {
            // The connect timeout runs from here: before, the client had nothing to connect to.
            state.created = now;
        }
        self.learn_ufrags(key);
        self.drain(key, now);
        self.ask_for_slots(key, now);
        self.run_dirty(now);
        Ok(())
    }

    /// Restarts ICE: for publish and whep by the client's fragment, for subscribe by a new offer.
    pub fn ice_restart(
        &mut self,
        now: Instant,
        session: &str,
        fragment: Option<&str>,
    ) -> Result<String> {
        let key = *self.session_ids.get(session).ok_or_else(|| unknown_session(session))?;
        let Some(state) = self.sessions.get(&key) else {
            return Err(unknown_session(session));
        };
        if state.kind == SessionKind::Subscribe {
            let offer = self.offer(key, now, true)?;
            return offer.ok_or_else(|| MediaError::state("NO_PENDING_OFFER", session));
        }
        let fragment =
            fragment.ok_or_else(|| MediaError::sdp("SDP_INVALID", "a fragment is needed"))?;
        if fragment.len() > sdp::MAX_SDP_BYTES {
            return Err(MediaError::sdp("SDP_TOO_LARGE", "the fragment"));
        }
        let (ufrag, password) = sdp::ice_credentials(fragment)?;
        let offer = sdp::with_ice_credentials(&state.last_offer, &ufrag, &password);
        let answer = self.reoffer(key, &offer)?;
        self.drain(key, now);
        sdp::fragment(&answer)
    }

    fn answer(
        &mut self,
        now: Instant,
        owner: Owner<'_>,
        kind: SessionKind,
        offer: &str,
    ) -> Result<String> {
        if let Some(&key) = self.session_ids.get(owner.session) {
            let state = &self.sessions[&key];
            let same = state.kind == kind
                && *state.event == *owner.event
                && *state.participant == *owner.participant;
            if !same || kind == SessionKind::Whep {
                return Err(MediaError::state("SESSION_EXISTS", owner.session));
            }
            return self.reoffer(key, offer);
        }
        self.check_new(owner)?;
        let parsed = parse_offer(offer)?;
        let remote = sdp::ice_credentials(offer)?;
        let mut session = self.new_session(now, owner, kind, kind == SessionKind::Whep);
        let answer = session
            .rtc
            .sdp_api()
            .accept_offer(parsed)
            .map_err(|error| MediaError::sdp("SDP_UNSUPPORTED", error.to_string()))?;
        session.last_offer = offer.to_owned();
        session.remote_ice = Some(remote);
        let key = self.insert(session, now);
        self.learn_ufrags(key);
        Ok(answer.to_sdp_string())
    }

    fn reoffer(&mut self, key: SessionKey, offer: &str) -> Result<String> {
        let parsed = parse_offer(offer)?;
        let remote = sdp::ice_credentials(offer)?;
        let Some(state) = self.sessions.get_mut(&key) else {
            return Err(unknown_session(""));
        };
        state.unpark_streams();
        let answer = state.rtc.sdp_api().accept_offer(parsed);
        state.park_streams();
        state.refresh_ready();
        let answer =
            answer.map_err(|error| MediaError::sdp("SDP_UNSUPPORTED", error.to_string()))?;
        state.last_offer = offer.to_owned();
        state.remote_ice = Some(remote);
        self.learn_ufrags(key);
        Ok(answer.to_sdp_string())
    }

    fn offer(&mut self, key: SessionKey, now: Instant, restart: bool) -> Result<Option<String>> {
        let labels = self.labels(key);
        let Some(state) = self.sessions.get_mut(&key) else {
            return Err(unknown_session(""));
        };
        if !state.offer_wanted && state.pending.is_none() && !restart {
            return Ok(None);
        }
        // What was pending is offered again together with what is new.
        state.pending = None;
        state.unpark_streams();
        let mut api = state.rtc.sdp_api();
        for slot in &mut state.slots {
            let wanted =
                if slot.track.is_some() { Direction::SendOnly } else { Direction::Inactive };
            let relabelled = slot.track.is_some() && slot.offered != slot.track;
            match slot.mid.filter(|_| slot.ssrc.is_some() || slot.ready) {
                Some(mid) => {
                    if relabelled {
                        // Another track on a line in use: only its msid changes, which str0m sees as no change.
                        api.set_direction(mid, Direction::Inactive);
                    }
                    api.set_direction(mid, wanted);
                }
                None if slot.track.is_some() => {
                    let kind = slot.kind.to_str0m();
                    slot.mid = Some(api.add_media(kind, Direction::SendOnly, None, None, None));
                }
                None => {}
            }
            slot.offered = slot.track;
        }
        let restarted = restart.then(|| api.ice_restart(true));
        let applied = api.apply();
        state.park_streams();
        state.offer_wanted = false;
        let Some((offer, pending)) = applied else {
            return Ok(None);
        };
        state.pending = Some(pending);
        if let Some(creds) = restarted {
            state.ufrags.push(creds.ufrag.clone());
            self.routes.add_ufrag(&creds.ufrag, key);
        }
        let state = &self.sessions[&key];
        let by_mid: HashMap<String, (String, String)> = state
            .slots
            .iter()
            .filter_map(|slot| Some((slot.mid?.to_string(), labels.get(&slot.track?)?.clone())))
            .collect();
        let text = sdp::rewrite_msid(&offer.to_sdp_string(), |mid| by_mid.get(mid).cloned());
        self.drain(key, now);
        Ok(Some(text))
    }

    /// msid (stream, track) of everything that a session subscribes to.
    fn labels(&self, key: SessionKey) -> HashMap<TrackKey, (String, String)> {
        let Some(session) = self.sessions.get(&key) else {
            return HashMap::new();
        };
        let tracks = session.slots.iter().filter_map(|slot| self.tracks.get(&slot.track?));
        tracks
            .map(|track| (track.key, (sdp::token(&track.participant), sdp::token(&track.id))))
            .collect()
    }

    fn check_new(&self, owner: Owner<'_>) -> Result<()> {
        if !is_session_id(owner.session) {
            return Err(MediaError::argument("INVALID_SESSION_ID", owner.session));
        }
        if self.session_ids.contains_key(owner.session) {
            return Err(MediaError::state("SESSION_EXISTS", owner.session));
        }
        let limit = self.config.max_sessions;
        if self.sessions.len() >= limit {
            return Err(MediaError::limit("TOO_MANY_SESSIONS", format!("at most {limit}")));
        }
        Ok(())
    }

    fn new_session(
        &mut self,
        now: Instant,
        owner: Owner<'_>,
        kind: SessionKind,
        bwe: bool,
    ) -> Session {
        let key = self.new_key();
        Session {
            key,
            id: Id::from(owner.session),
            event: Id::from(owner.event),
            participant: Id::from(owner.participant),
            kind,
            hidden: false,
            pinned: false,
            rtc: build_rtc(&self.config, &self.cert, bwe, now),
            created: now,
            ice_at: None,
            dtls_at: None,
            first_rtp: false,
            connected: false,
            lost_at: None,
            addresses: Vec::new(),
            ufrags: Vec::new(),
            dirty: false,
            pending: None,
            offer_wanted: false,
            last_offer: String::new(),
            remote_ice: None,
            candidates: 0,
            received: HashMap::new(),
            tracks: Vec::new(),
            slots: Vec::new(),
            clock: PeerClock::default(),
            twcc_bps: None,
            congestion: Congestion::default(),
            remb: None,
            receive_rate: None,
            media_bps: 0,
            least_bps: 0,
            desired_bps: 0,
            minimum_bps: 0,
            rtt: None,
            loss: None,
            packets_in: 0,
            bytes_in: 0,
            packets_out: 0,
            bytes_out: 0,
        }
    }

    fn new_key(&mut self) -> u64 {
        self.next_key += 1;
        self.next_key
    }

    fn insert(&mut self, session: Session, now: Instant) -> SessionKey {
        let key = session.key;
        self.session_ids.insert(session.id.clone(), key);
        self.sessions.insert(key, session);
        self.next_tick.get_or_insert(now + TICK);
        key
    }

    /// STUN requests name our ufrag: it must lead to the session, the former one too for a while.
    fn learn_ufrags(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        let ufrag = session.rtc.direct_api().local_ice_credentials().ufrag;
        if session.ufrags.contains(&ufrag) {
            return;
        }
        if session.ufrags.len() > 2 {
            let oldest = session.ufrags.remove(0);
            self.routes.remove_ufrag(&oldest);
        }
        session.ufrags.push(ufrag.clone());
        self.routes.add_ufrag(&ufrag, key);
    }

    /// Tracks follow the media lines of a publisher's answer.
    fn register_tracks(&mut self, key: SessionKey, offer: &str, answer: &str, now: Instant) {
        let rids: HashMap<&str, Vec<String>> = sdp::media_values(offer, "simulcast")
            .into_iter()
            .map(|(mid, v)| (mid, send_rids(v)))
            .collect();
        let Some(session) = self.sessions.get(&key) else {
            return;
        };
        let mut live = Vec::new();
        for (text, _) in sdp::media_values(answer, "mid") {
            let Some(media) = session.rtc.media(mid_of(text)) else {
                continue;
            };
            if media.direction().is_receiving() && !media.disabled() {
                live.push((text.to_owned(), Kind::from_str0m(media.kind())));
            }
        }
        let (id, known) = (session.id.clone(), session.tracks.clone());
        for track in known {
            let gone =
                self.tracks.get(&track).is_some_and(|t| live.iter().all(|(mid, _)| *mid != *t.mid));
            if gone && let Some(session) = self.sessions.get_mut(&key) {
                session.tracks.retain(|of| *of != track);
                session.received.retain(|_, received| received.track != track);
                self.remove_track(track, "REMOVED", now);
            }
        }
        for (mid, kind) in live {
            let track_id = Id::from(format!("{id}.{mid}"));
            if !self.track_ids.contains_key(&track_id) {
                let order = rids.get(mid.as_str()).cloned().unwrap_or_default();
                self.add_track(key, track_id, &mid, kind, order);
            }
        }
    }

    fn add_track(
        &mut self,
        session: SessionKey,
        id: Id,
        mid: &str,
        kind: Kind,
        rid_order: Vec<String>,
    ) {
        let key = self.new_key();
        let Some(state) = self.sessions.get_mut(&session) else {
            return;
        };
        state.tracks.push(key);
        let track = Track {
            key,
            id: id.clone(),
            session,
            event: state.event.clone(),
            participant: state.participant.clone(),
            mid: mid_of(mid),
            kind,
            codec: None,
            params: None,
            layers: Vec::new(),
            rid_order,
            announced_layers: Vec::new(),
            muted: false,
            announced: false,
            stalled: false,
            subscribers: Vec::new(),
            loudness: Loudness::default(),
            plis_sent: 0,
        };
        self.track_ids.insert(id, key);
        self.tracks.insert(key, track);
    }
}

fn parse_offer(offer: &str) -> Result<SdpOffer> {
    SdpOffer::from_sdp_string(offer)
        .map_err(|error| MediaError::sdp("SDP_INVALID", error.to_string()))
}

/// The RIDs of `a=simulcast:send q;h,~h2;f`, alternatives and pauses aside (RFC 8853).
fn send_rids(value: Option<&str>) -> Vec<String> {
    let Some((_, streams)) = value.and_then(|value| value.split_once("send ")) else {
        return Vec::new();
    };
    let streams = streams.split(' ').next().unwrap_or("");
    let first =
        |stream: &str| stream.split(',').next().unwrap_or("").trim_start_matches('~').to_owned();
    streams.split(';').map(first).filter(|rid| !rid.is_empty()).collect()
}

fn is_session_id(id: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (1..=64).contains(&id.len()) && id.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rids_of_an_offer_are_read_in_order() {
        assert_eq!(send_rids(Some("send q;h,x;~f")), ["q", "h", "f"]);
        assert_eq!(send_rids(Some("recv a;b")), Vec::<String>::new());
        assert_eq!(send_rids(Some("recv a send b")), ["b"]);
        assert_eq!(send_rids(None), Vec::<String>::new());
    }

    #[test]
    fn session_ids_have_a_small_alphabet() {
        assert!(is_session_id("Ab_9-z"));
        assert!(!is_session_id("") && !is_session_id("a.b") && !is_session_id(&"x".repeat(65)));
    }
}
