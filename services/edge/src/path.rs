//! The shape of a public URL path, by allow-list: `/t/<token>/<tenant>/<event>/<path>`.
use crate::refusal::{PATH_INVALID, Refusal, TOKEN_MISSING, TOKEN_TOO_LONG};

/// Longest token that is looked at; ours are about 400 characters.
pub const MAX_TOKEN: usize = 2048;

/// What kind of object a path names; decides its time to live and which directives it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asset {
    /// `main.m3u8`: the multivariant playlist.
    Multivariant,
    /// `<track>/index.m3u8`: a media playlist, the only one that takes delivery directives.
    Playlist,
    /// `<track>/init-<epoch>.mp4`.
    Init,
    /// `<track>/s<msn>.m4s`.
    Segment,
    /// `<track>/p<msn>.<part>.m4s`.
    Part,
    /// `steering.json`: asked of the gateway, never cached.
    Steering,
}

impl Asset {
    /// Whether this is a playlist of either kind (text, offered gzipped).
    pub const fn is_playlist(self) -> bool {
        matches!(self, Asset::Multivariant | Asset::Playlist)
    }

    /// Its name in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Asset::Multivariant => "multivariant",
            Asset::Playlist => "playlist",
            Asset::Init => "init",
            Asset::Segment => "segment",
            Asset::Part => "part",
            Asset::Steering => "steering",
        }
    }
}

/// A parsed path; every field is a slice of the request's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// The token, not verified yet.
    pub token: &'a str,
    /// Tenant id.
    pub tenant: &'a str,
    /// Event id.
    pub event: &'a str,
    /// `/<tenant>/<event>/<path>`: what the origin is asked for and what all viewers share.
    pub resource: &'a str,
    /// What it names.
    pub asset: Asset,
}

impl<'a> Target<'a> {
    /// Parses a request path. Refusals: TOKEN_MISSING, TOKEN_TOO_LONG, PATH_INVALID.
    pub fn parse(path: &'a str) -> Result<Self, Refusal> {
        let rest = path.strip_prefix("/t/").ok_or(TOKEN_MISSING)?;
        let (token, resource) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        match token.len() {
            0 => return Err(TOKEN_MISSING),
            1..=MAX_TOKEN => {}
            _ => return Err(TOKEN_TOO_LONG),
        }
        let mut steps = resource.split('/').skip(1);
        let (tenant, event) = (steps.next().unwrap_or(""), steps.next().unwrap_or(""));
        let asset = match (steps.next(), steps.next(), steps.next()) {
            (Some(file), None, None) => event_file(file),
            (Some(track), Some(file), None) if is_id(track) => track_file(file),
            _ => None,
        };
        match asset {
            Some(asset) if is_id(tenant) && is_id(event) => Ok(Target {
                token,
                tenant,
                event,
                resource,
                asset,
            }),
            _ => Err(PATH_INVALID),
        }
    }
}

/// Tenant, event and track ids: `[a-z0-9][a-z0-9-]{0,62}`.
pub fn is_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    (1..=63).contains(&bytes.len())
        && plain(bytes[0])
        && bytes.iter().all(|&b| plain(b) || b == b'-')
}

fn event_file(file: &str) -> Option<Asset> {
    match file {
        "main.m3u8" => Some(Asset::Multivariant),
        "steering.json" => Some(Asset::Steering),
        _ => None,
    }
}

fn track_file(file: &str) -> Option<Asset> {
    if file == "index.m3u8" {
        return Some(Asset::Playlist);
    }
    if let Some(epoch) = file
        .strip_prefix("init-")
        .and_then(|f| f.strip_suffix(".mp4"))
    {
        return is_number(epoch).then_some(Asset::Init);
    }
    let name = file.strip_suffix(".m4s")?;
    if let Some(msn) = name.strip_prefix('s') {
        return is_number(msn).then_some(Asset::Segment);
    }
    let (msn, part) = name.strip_prefix('p')?.split_once('.')?;
    (is_number(msn) && is_number(part)).then_some(Asset::Part)
}

/// One to ten digits without a leading zero, so that a number has one spelling and one cache key.
fn is_number(text: &str) -> bool {
    (1..=10).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_digit())
        && (text.len() == 1 || !text.starts_with('0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn asset(path: &str) -> Result<Asset, Refusal> {
        Target::parse(&format!("/t/tok/acme/ev-1/{path}")).map(|t| t.asset)
    }

    #[test]
    fn the_forms_that_playlists_name_are_accepted() {
        assert_eq!(asset("main.m3u8"), Ok(Asset::Multivariant));
        assert_eq!(asset("v720/index.m3u8"), Ok(Asset::Playlist));
        assert_eq!(asset("v720/init-3.mp4"), Ok(Asset::Init));
        assert_eq!(asset("a128/s0.m4s"), Ok(Asset::Segment));
        assert_eq!(asset("a128/p17.5.m4s"), Ok(Asset::Part));
        assert_eq!(asset("steering.json"), Ok(Asset::Steering));
    }

    #[test]
    fn the_token_is_cut_off_and_the_rest_is_what_the_origin_is_asked_for() {
        let target = Target::parse("/t/a.b.c/acme/ev1/v720/s7.m4s").unwrap();
        assert_eq!(
            (target.token, target.tenant, target.event),
            ("a.b.c", "acme", "ev1")
        );
        assert_eq!(target.resource, "/acme/ev1/v720/s7.m4s");
    }

    #[test]
    fn everything_else_is_refused() {
        for path in [
            "",
            "x",
            "index.m3u8",
            "v720/main.m3u8",
            "v720/",
            "v720/s.m4s",
            "v720/s01.m4s",
            "v720/p1.m4s",
            "v720/p1.01.m4s",
            "v720/s-1.m4s",
            "v720/s12345678901.m4s",
            "v720/init-.mp4",
            "../ev2/main.m3u8",
            "%2e%2e/main.m3u8",
            "V720/index.m3u8",
            "-v/index.m3u8",
            "v720/s1.m4s/",
            "v720//s1.m4s",
            "v720/index.m3u8%00",
            "v720/x/index.m3u8",
            "main.m3u8/",
            "..\\main.m3u8",
        ] {
            assert_eq!(asset(path), Err(PATH_INVALID), "{path}");
        }
        assert_eq!(
            Target::parse("//t/tok/acme/ev1/main.m3u8"),
            Err(TOKEN_MISSING)
        );
        assert_eq!(Target::parse("/t//acme/ev1/main.m3u8"), Err(TOKEN_MISSING));
        assert_eq!(Target::parse("/acme/ev1/main.m3u8"), Err(TOKEN_MISSING));
        let long = format!("/t/{}/acme/ev1/main.m3u8", "x".repeat(MAX_TOKEN + 1));
        assert_eq!(Target::parse(&long), Err(TOKEN_TOO_LONG));
    }

    #[test]
    fn an_id_has_at_most_63_characters() {
        assert!(is_id(&"a".repeat(63)));
        assert!(!is_id(&"a".repeat(64)));
        assert!(!is_id(""));
    }

    proptest! {
        #[test]
        fn no_path_panics_and_what_is_accepted_is_plain(path in "[ -~]{0,120}") {
            if let Ok(target) = Target::parse(&path) {
                prop_assert!(target.resource.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-.".contains(&b)));
                prop_assert!(!target.resource.contains("..") && !target.resource.contains("//"));
            }
        }

        #[test]
        fn any_tail_under_a_scope_stays_under_it(tail in "[a-z0-9./%-]{0,40}") {
            let path = format!("/t/x.y.z/acme/ev1/{tail}");
            if let Ok(target) = Target::parse(&path) {
                prop_assert_eq!((target.tenant, target.event), ("acme", "ev1"));
            }
        }
    }
}
