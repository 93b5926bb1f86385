//! What the node tells its owner.

use std::sync::Arc;
use std::time::Instant;

use crate::codec::Codec;

/// A short shared string: session, event, participant and track ids.
pub type Id = Arc<str>;

/// Audio or video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Audio.
    Audio,
    /// Video.
    Video,
}

impl Kind {
    /// The name used in the API.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Audio => "audio",
            Kind::Video => "video",
        }
    }

    /// Parses the name used in the API.
    pub fn parse(name: &str) -> Option<Kind> {
        match name {
            "audio" => Some(Kind::Audio),
            "video" => Some(Kind::Video),
            _ => None,
        }
    }

    pub(crate) fn from_str0m(kind: str0m::media::MediaKind) -> Kind {
        if kind.is_audio() { Kind::Audio } else { Kind::Video }
    }

    pub(crate) fn to_str0m(self) -> str0m::media::MediaKind {
        match self {
            Kind::Audio => str0m::media::MediaKind::Audio,
            Kind::Video => str0m::media::MediaKind::Video,
        }
    }
}

/// The three kinds of peer connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionKind {
    /// The client sends: WHIP, or a participant's publish connection.
    Publish,
    /// The node sends, and offers as subscriptions come and go.
    Subscribe,
    /// The node sends into the slots of a client's recvonly offer.
    Whep,
}

impl SessionKind {
    /// The name used in the API.
    pub fn name(self) -> &'static str {
        match self {
            SessionKind::Publish => "publish",
            SessionKind::Subscribe => "subscribe",
            SessionKind::Whep => "whep",
        }
    }
}

/// Whom an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Session id; empty for what concerns a whole event.
    pub session: Id,
    /// Event id.
    pub event: Id,
    /// Participant id; empty for what concerns a whole event.
    pub participant: Id,
    /// The session's kind.
    pub kind: Option<SessionKind>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEvent {
    /// When.
    pub at: Instant,
    /// Whom it concerns.
    pub subject: Subject,
    /// What it is.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// ICE and DTLS are up.
    SessionConnected { created: Instant, ice: Instant, dtls: Instant },
    /// The first RTP packet came (publish) or left (subscribe, whep).
    FirstRtp,
    /// The session ended.
    SessionClosed { reason: String },
    /// A track's first RTP came.
    TrackPublished { track: Id, mid: String, kind: Kind, codec: Codec, layers: Vec<String> },
    /// The set of live layers changed.
    TrackLayers { track: Id, layers: Vec<String> },
    /// A track ended.
    TrackUnpublished { track: Id, reason: String },
    /// No RTP for a while.
    TrackStalled { track: Id },
    /// RTP flows again.
    TrackResumed { track: Id },
    /// A subscribe session wants to offer.
    NegotiationNeeded,
    /// A subscriber gets another layer from now on.
    LayerChanged { track: Id, layer: String },
    /// A slot shows another track from now on.
    SlotChanged { mid: String, track: Id },
    /// The loudest participants, loudest first, with their level in dBov.
    ActiveSpeakers { speakers: Vec<(Id, i8)> },
    /// A PLI went to the publisher.
    KeyframeRequested { track: Id, layer: String },
}
