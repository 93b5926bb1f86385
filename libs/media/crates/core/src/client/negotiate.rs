//! Offers and answers of a client, and what they say about its media lines.

use std::collections::HashMap;
use std::time::Instant;

use str0m::change::{SdpAnswer, SdpOffer};
use str0m::media::{MediaKind, Mid, Rid};
use str0m::rtp::Ssrc;
use str0m::{Candidate, Input, Rtc};

use super::offer::{self, OfferOptions, SendDirection};
use super::{ClientCore, ClientMedia, Line, closed, direction_name};
use crate::codec::Codec;
use crate::config::MAX_CANDIDATES;
use crate::error::{MediaError, Result};
use crate::event::Kind;
use crate::sdp;

impl ClientCore {
    /// Offers to send or receive.
    pub fn create_offer(&mut self, now: Instant, options: &OfferOptions) -> Result<String> {
        self.check_open()?;
        if self.rtc.is_some() {
            return Err(MediaError::state("ALREADY_NEGOTIATED", "one offer per client"));
        }
        let mut rtc = offer::build(options, now)?;
        self.add_candidate_of(&mut rtc);
        let mut api = rtc.sdp_api();
        let direction = options.direction.to_str0m();
        if options.audio {
            api.add_media(
                MediaKind::Audio,
                direction,
                Some("odeon".into()),
                Some("audio".into()),
                None,
            );
        }
        if options.video.is_some() || options.direction == SendDirection::Receive {
            let (stream, track) = (Some("odeon".into()), Some("video".into()));
            api.add_media(MediaKind::Video, direction, stream, track, options.layers());
        }
        let (offer, pending) = api
            .apply()
            .ok_or_else(|| MediaError::argument("NO_MEDIA", "neither audio nor video"))?;
        self.pending = Some(pending);
        self.rtc = Some(rtc);
        self.drain(now);
        let text = offer.to_sdp_string();
        // One CNAME for all lines: receivers synchronise by it.
        Ok(sdp::rewrite_msid(&text, |mid| Some(("odeon".to_owned(), sdp::token(mid)))))
    }

    /// Takes the answer to the offer.
    pub fn set_answer(&mut self, now: Instant, answer: &str) -> Result<()> {
        self.check_open()?;
        let text = sdp::guard(answer)?;
        let parsed = SdpAnswer::from_sdp_string(&text)
            .map_err(|error| MediaError::sdp("SDP_INVALID", error.to_string()))?;
        let no_offer = || MediaError::state("NO_PENDING_OFFER", "make an offer first");
        let pending = self.pending.take().ok_or_else(no_offer)?;
        let rtc = self.rtc.as_mut().ok_or_else(no_offer)?;
        rtc.sdp_api()
            .accept_answer(pending, parsed)
            .map_err(|error| MediaError::sdp("SDP_UNSUPPORTED", error.to_string()))?;
        self.learn_lines(&text);
        self.begin(now);
        Ok(())
    }

    /// Answers an offer or a re-offer; all media is received.
    pub fn accept_offer(&mut self, now: Instant, offer: &str) -> Result<String> {
        self.check_open()?;
        let text = sdp::guard(offer)?;
        let parsed = SdpOffer::from_sdp_string(&text)
            .map_err(|error| MediaError::sdp("SDP_INVALID", error.to_string()))?;
        if self.rtc.is_none() {
            let mut rtc = offer::build(&OfferOptions::receive_all(), now)?;
            self.add_candidate_of(&mut rtc);
            self.rtc = Some(rtc);
        }
        let Some(rtc) = self.rtc.as_mut() else {
            return Err(closed());
        };
        let answer = rtc
            .sdp_api()
            .accept_offer(parsed)
            .map_err(|error| MediaError::sdp("SDP_UNSUPPORTED", error.to_string()))?;
        self.learn_lines(&text);
        self.begin(now);
        Ok(answer.to_sdp_string())
    }

    fn begin(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.negotiated, true) {
            self.created = now;
        }
        if let Some(rtc) = &mut self.rtc {
            let _ = rtc.handle_input(Input::Timeout(now));
        }
        self.drain(now);
    }

    fn learn_lines(&mut self, remote: &str) {
        let Some(rtc) = &mut self.rtc else { return };
        for (mid, msid) in sdp::media_values(remote, "msid") {
            let mid = Mid::from(mid);
            let track = msid.and_then(|msid| msid.split(' ').nth(1)).map(str::to_owned);
            match self.lines.iter_mut().find(|line| line.mid == mid) {
                Some(line) => line.track = track.or(line.track.take()),
                None if rtc.media(mid).is_some() => {
                    let parked = park(rtc, mid);
                    let line = Line {
                        mid,
                        track,
                        reports: HashMap::new(),
                        held: Vec::new(),
                        held_until: None,
                        parked,
                    };
                    self.lines.push(line);
                }
                None => {}
            }
        }
    }

    /// Takes a trickled candidate.
    pub fn add_candidate(&mut self, now: Instant, candidate: &str) -> Result<()> {
        self.check_open()?;
        if self.candidates == MAX_CANDIDATES {
            return Err(MediaError::limit(
                "TOO_MANY_CANDIDATES",
                format!("at most {MAX_CANDIDATES}"),
            ));
        }
        self.candidates += 1;
        let parsed = Candidate::from_sdp_string(candidate.trim().trim_start_matches("a="))
            .map_err(|error| MediaError::argument("INVALID_CANDIDATE", error.to_string()))?;
        if let Some(rtc) = &mut self.rtc {
            rtc.add_remote_candidate(parsed);
        }
        self.drain(now);
        Ok(())
    }

    /// Media lines in SDP order.
    pub fn medias(&self) -> Vec<ClientMedia> {
        let Some(rtc) = &self.rtc else {
            return Vec::new();
        };
        let describe = |line: &Line| {
            let media = rtc.media(line.mid)?;
            let params = rtc.codec_config().params().iter();
            let mut codecs: Vec<Codec> = params
                .filter(|params| media.remote_pts().contains(&params.pt()))
                .filter_map(|params| Codec::from_str0m(params.spec().codec))
                .collect();
            codecs.dedup();
            Some(ClientMedia {
                mid: line.mid.to_string(),
                kind: Kind::from_str0m(media.kind()),
                direction: direction_name(media.direction()),
                track: line.track.clone(),
                codecs,
            })
        };
        self.lines.iter().filter_map(describe).collect()
    }

    fn add_candidate_of(&self, rtc: &mut Rtc) {
        if let Ok(candidate) = Candidate::host(self.local, "udp") {
            rtc.add_local_candidate(candidate);
        }
    }
}

/// Takes a line's unused streams out of str0m; see `Session::park_streams` of the node.
fn park(rtc: &mut Rtc, mid: Mid) -> Vec<(Ssrc, Option<Ssrc>, Option<Rid>)> {
    let Some(media) = rtc.media(mid) else {
        return Vec::new();
    };
    let mut rids: Vec<Option<Rid>> = vec![None];
    if let str0m::media::Rids::Specific(named) = media.rids_tx() {
        rids.extend(named.iter().map(|rid| Some(*rid)));
    }
    let mut api = rtc.direct_api();
    let mut parked = Vec::new();
    for rid in rids {
        let stream = api
            .stream_tx_by_mid(mid, rid)
            .map(|stream| (stream.ssrc(), stream.rtx(), stream.rid()));
        if let Some((ssrc, rtx, rid)) = stream {
            api.remove_stream_tx(ssrc);
            parked.push((ssrc, rtx, rid));
        }
    }
    parked
}
