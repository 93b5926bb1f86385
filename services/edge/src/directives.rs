//! LL-HLS delivery directives in one canonical order (draft-pantos-hls-rfc8216bis, 6.2.5).
//!
//! Viewers then share cache keys whatever order, zeros or unknown parameters their players send.
use crate::refusal::{DIRECTIVE_INVALID, Refusal};
use std::fmt::Write;

/// `_HLS_msn` may have nine digits: 63 years of two-second segments.
const MSN_DIGITS: usize = 9;
const PART_DIGITS: usize = 4;

/// The delivery directives of a media playlist request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Directives {
    /// `_HLS_msn`: answer once this media sequence number exists.
    pub msn: Option<u32>,
    /// `_HLS_part`: answer once this part of it exists.
    pub part: Option<u32>,
    /// `_HLS_skip`: answer with a delta update.
    pub skip: Option<Skip>,
}

/// What a delta update may leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// `YES`: old segments.
    Segments,
    /// `v2`: old segments and date ranges.
    SegmentsAndDateRanges,
}

impl Directives {
    /// Parses a query; unknown parameters are dropped.
    ///
    /// Refusal: DIRECTIVE_INVALID for a malformed or repeated directive, or `_HLS_part` alone.
    pub fn parse(query: &str) -> Result<Self, Refusal> {
        let mut out = Directives::default();
        for (name, value) in query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        {
            let repeated = match name {
                "_HLS_msn" => out.msn.replace(number(value, MSN_DIGITS)?).is_some(),
                "_HLS_part" => out.part.replace(number(value, PART_DIGITS)?).is_some(),
                "_HLS_skip" => out.skip.replace(skip(value)?).is_some(),
                _ => false,
            };
            if repeated {
                return Err(DIRECTIVE_INVALID);
            }
        }
        if out.part.is_some() && out.msn.is_none() {
            return Err(DIRECTIVE_INVALID);
        }
        Ok(out)
    }

    /// Whether the origin holds the answer back until something exists.
    pub const fn blocks(&self) -> bool {
        self.msn.is_some()
    }

    /// Appends the canonical query, if any, to a resource.
    pub fn append_to(&self, resource: &mut String) {
        let mut mark = '?';
        let mut add = |name: &str, value: &dyn std::fmt::Display| {
            // Writing into a String cannot fail.
            let _ = write!(resource, "{mark}{name}={value}");
            mark = '&';
        };
        self.msn.iter().for_each(|v| add("_HLS_msn", v));
        self.part.iter().for_each(|v| add("_HLS_part", v));
        self.skip.iter().for_each(|v| match v {
            Skip::Segments => add("_HLS_skip", &"YES"),
            Skip::SegmentsAndDateRanges => add("_HLS_skip", &"v2"),
        });
    }
}

fn number(text: &str, digits: usize) -> Result<u32, Refusal> {
    let plain = (1..=digits).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if plain {
        text.parse().map_err(|_| DIRECTIVE_INVALID)
    } else {
        Err(DIRECTIVE_INVALID)
    }
}

fn skip(text: &str) -> Result<Skip, Refusal> {
    match text {
        "YES" => Ok(Skip::Segments),
        "v2" => Ok(Skip::SegmentsAndDateRanges),
        _ => Err(DIRECTIVE_INVALID),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical(query: &str) -> Result<String, Refusal> {
        let mut out = String::new();
        Directives::parse(query)?.append_to(&mut out);
        Ok(out)
    }

    #[test]
    fn order_zeros_and_unknown_parameters_do_not_split_the_cache() {
        let wanted = Ok("?_HLS_msn=7&_HLS_part=2&_HLS_skip=YES".to_owned());
        assert_eq!(canonical("_HLS_msn=7&_HLS_part=2&_HLS_skip=YES"), wanted);
        assert_eq!(
            canonical("_HLS_skip=YES&x=1&_HLS_part=02&&_HLS_msn=0007&utm=%20"),
            wanted
        );
        assert_eq!(canonical(""), Ok(String::new()));
        assert_eq!(canonical("x=1"), Ok(String::new()));
        assert_eq!(canonical("_HLS_skip=v2"), Ok("?_HLS_skip=v2".to_owned()));
    }

    #[test]
    fn malformed_directives_are_refused() {
        for query in [
            "_HLS_msn=abc",
            "_HLS_part=1",
            "_HLS_msn=1&_HLS_part=x",
            "_HLS_msn=1&_HLS_msn=2",
            "_HLS_skip=NO",
            "_HLS_msn=-1",
            "_HLS_msn=+1",
            "_HLS_msn=1234567890",
            "_HLS_msn=",
            "_HLS_msn",
            "_HLS_msn=1&_HLS_part=12345",
            "_HLS_msn=%31",
            "_HLS_skip=YES&_HLS_skip=YES",
            "_HLS_msn=1 ",
        ] {
            assert_eq!(Directives::parse(query), Err(DIRECTIVE_INVALID), "{query}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_a_fixed_point(query in "(_HLS_(msn|part|skip)(=[0-9YESv]{0,4})?&?){0,4}|[ -~]{0,80}") {
            if let Ok(first) = canonical(&query) {
                let again = canonical(first.trim_start_matches('?'));
                prop_assert_eq!(again, Ok(first));
            }
        }
    }
}
