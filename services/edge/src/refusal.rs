//! Every reason for which the edge refuses a request: one table, one stable name each.

/// A refusal as a client sees it: an HTTP status, a stable reason and a sentence for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status code.
    pub status: u16,
    /// Stable UPPER_SNAKE name that programs act on.
    pub reason: &'static str,
    /// A sentence for people; may change at any time.
    pub message: &'static str,
}

macro_rules! refusals {
    ($($name:ident $status:literal $message:literal)*) => {
        $(
            #[doc = $message]
            pub const $name: Refusal =
                Refusal { status: $status, reason: stringify!($name), message: $message };
        )*
        /// All refusals, in the order of the metric that counts them.
        pub const ALL: &[Refusal] = &[$($name),*];
    };
}

refusals! {
    METHOD_NOT_ALLOWED 405 "Only GET, HEAD and OPTIONS are served here."
    HOST_NOT_SERVED 421 "This edge does not serve the host that was asked for."
    PATH_INVALID 400 "The path is not one that a playlist of this service names."
    DIRECTIVE_INVALID 400 "A delivery directive is malformed, repeated, or _HLS_part comes without _HLS_msn."
    QUERY_TOO_LONG 400 "The query is longer than any player sends."
    TOKEN_MISSING 401 "The path does not start with /t/ and a playback token."
    TOKEN_TOO_LONG 401 "The playback token is longer than 2048 characters."
    TOKEN_INVALID 401 "The playback token is malformed or not signed by a known key."
    TOKEN_EXPIRED 401 "The playback token has expired."
    TOKEN_NOT_YET_VALID 401 "The playback token is not valid yet."
    TOKEN_SCOPE 403 "The playback token is for another tenant or event."
    TOKEN_SESSION 403 "The playback token carries no valid session id."
    SESSION_REVOKED 403 "The session was revoked."
    SOURCE_RATE_EXCEEDED 429 "Too many requests from this address."
    VIEWER_RATE_EXCEEDED 429 "Too many requests from this session."
    VIEWER_CONCURRENCY_EXCEEDED 429 "Too many requests at once from this session."
    NO_KEYS 503 "The edge has not learnt the signing keys yet."
    DRAINING 503 "The edge is going away; ask again elsewhere."
    ORIGIN_NOT_FOUND 404 "There is no such object."
    ORIGIN_REFUSED 400 "The origin refused the request."
    ORIGIN_BUSY 503 "Too many requests to the origin are under way."
    ORIGIN_UNAVAILABLE 502 "The origin cannot be reached."
    ORIGIN_FAILED 502 "The origin's answer could not be used."
    ORIGIN_TIMEOUT 504 "The origin did not answer in time."
    STEERING_UNAVAILABLE 503 "Content steering cannot be reached; stay where you are."
}

impl Refusal {
    /// Seconds after which asking again makes sense, for the statuses that promise one.
    pub const fn retry_after(self) -> Option<u32> {
        match self.status {
            429 | 503 => Some(1),
            _ => None,
        }
    }

    /// The JSON body: `{"reason": …, "message": …}`.
    pub fn body(self) -> String {
        format!(
            "{{\"reason\":\"{}\",\"message\":\"{}\"}}\n",
            self.reason, self.message
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_valid_json_and_named_once() {
        let mut names = std::collections::HashSet::new();
        for refusal in ALL {
            let body: serde_json::Value = serde_json::from_str(&refusal.body()).unwrap();
            assert_eq!(body["reason"], refusal.reason);
            assert!(names.insert(refusal.reason));
            assert!((400..600).contains(&refusal.status));
        }
    }
}
