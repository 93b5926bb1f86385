//! Refusals: a class that maps to one Python exception, a stable reason, and a sentence.

use std::fmt;

/// What kind of refusal it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The SDP cannot be used.
    Sdp,
    /// Another argument cannot be used.
    Argument,
    /// The named thing does not exist.
    NotFound,
    /// The call does not fit the state.
    State,
    /// A cap was reached.
    Limit,
    /// The socket cannot be used.
    Transport,
}

/// A refusal with a stable `reason` (UPPER_SNAKE) and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaError {
    /// The class of the refusal.
    pub class: ErrorClass,
    /// A stable UPPER_SNAKE string.
    pub reason: &'static str,
    /// A sentence for people.
    pub detail: String,
}

impl MediaError {
    /// A refusal of a class.
    pub fn new(class: ErrorClass, reason: &'static str, detail: impl Into<String>) -> Self {
        Self { class, reason, detail: detail.into() }
    }

    pub(crate) fn sdp(reason: &'static str, detail: impl Into<String>) -> Self {
        Self::new(ErrorClass::Sdp, reason, detail)
    }

    pub(crate) fn argument(reason: &'static str, detail: impl Into<String>) -> Self {
        Self::new(ErrorClass::Argument, reason, detail)
    }

    pub(crate) fn not_found(reason: &'static str, detail: impl Into<String>) -> Self {
        Self::new(ErrorClass::NotFound, reason, detail)
    }

    pub(crate) fn state(reason: &'static str, detail: impl Into<String>) -> Self {
        Self::new(ErrorClass::State, reason, detail)
    }

    pub(crate) fn limit(reason: &'static str, detail: impl Into<String>) -> Self {
        Self::new(ErrorClass::Limit, reason, detail)
    }
}

impl fmt::Display for MediaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.detail)
    }
}

impl std::error::Error for MediaError {}

/// The result of a command.
pub type Result<T> = std::result::Result<T, MediaError>;
