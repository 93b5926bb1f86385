//! Handling of SDP text around str0m: caps before parsing, directions, msid, ICE fragments.

use crate::error::{MediaError, Result};

/// A browser's offer with 10 simulcast tracks is about 40 KiB.
pub const MAX_SDP_BYTES: usize = 64 * 1024;
/// Lines beyond this are an attack, not a call.
pub const MAX_SDP_LINES: usize = 2_000;
/// m-lines beyond this are refused.
pub const MAX_SDP_MEDIA: usize = 128;
const MAX_LINE_BYTES: usize = 4_096;

/// Refuses what is too large or not text, and gives every line its CRLF.
pub fn guard(sdp: &str) -> Result<String> {
    if sdp.len() > MAX_SDP_BYTES {
        let detail = format!("{} bytes, at most {MAX_SDP_BYTES} are read", sdp.len());
        return Err(MediaError::sdp("SDP_TOO_LARGE", detail));
    }
    let lines: Vec<&str> = sdp.lines().filter(|line| !line.is_empty()).collect();
    if lines.len() > MAX_SDP_LINES || lines.iter().any(|line| line.len() > MAX_LINE_BYTES) {
        return Err(MediaError::sdp("SDP_TOO_MANY_LINES", format!("{} lines", lines.len())));
    }
    let media = lines.iter().filter(|line| line.starts_with("m=")).count();
    if media == 0 {
        return Err(MediaError::sdp("SDP_NO_MEDIA", "there is no m-line"));
    }
    if media > MAX_SDP_MEDIA {
        return Err(MediaError::sdp("SDP_TOO_MANY_LINES", format!("{media} m-lines")));
    }
    if sdp.contains('\0') || !sdp.starts_with("v=0") {
        return Err(MediaError::sdp("SDP_INVALID", "it does not start with v=0"));
    }
    Ok(join(lines))
}

/// Turns `a=sendrecv` into the one direction that the session has.
pub fn force_direction(sdp: &str, direction: &str) -> String {
    let mut in_media = false;
    let mut has_direction = true;
    let mut out = Vec::new();
    for line in sdp.lines() {
        if line.starts_with("m=") {
            close_media(&mut out, in_media && !has_direction, direction);
            in_media = !line.starts_with("m=application");
            has_direction = false;
        }
        has_direction |= is_direction(line);
        if line == "a=sendrecv" && in_media {
            out.push(format!("a={direction}"));
        } else {
            out.push(line.to_owned());
        }
    }
    close_media(&mut out, in_media && !has_direction, direction);
    join(out)
}

fn close_media(out: &mut Vec<String>, missing: bool, direction: &str) {
    if missing {
        out.push(format!("a={direction}"));
    }
}

fn is_direction(line: &str) -> bool {
    matches!(line, "a=sendrecv" | "a=sendonly" | "a=recvonly" | "a=inactive")
}

/// The value of `a=<name>:<value>` in each media section, in order, beside its mid.
pub fn media_values<'a>(sdp: &'a str, name: &str) -> Vec<(&'a str, Option<&'a str>)> {
    sections(sdp)
        .map(|section| {
            let mid = attribute(section, "mid").unwrap_or("");
            (mid, attribute(section, name))
        })
        .collect()
}

fn sections(sdp: &str) -> impl Iterator<Item = &str> {
    let mut starts: Vec<usize> = Vec::new();
    let mut offset = 0;
    for line in sdp.split_inclusive('\n') {
        if line.starts_with("m=") {
            starts.push(offset);
        }
        offset += line.len();
    }
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([sdp.len()]).collect();
    starts.into_iter().zip(ends).map(move |(start, end)| &sdp[start..end])
}

/// The first `a=<name>:<value>` of a text.
pub fn attribute<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':'))
}

/// Rewrites each media section's msid, so that a browser groups tracks by participant.
///
/// `msid` answers (stream, track) for a mid; sections without an answer stay as they are.
pub fn rewrite_msid(sdp: &str, msid: impl Fn(&str) -> Option<(String, String)>) -> String {
    let mids: Vec<&str> = media_values(sdp, "mid").into_iter().map(|(mid, _)| mid).collect();
    let mut section = None;
    let mut out = Vec::new();
    for line in sdp.lines() {
        if line.starts_with("m=") {
            section = Some(section.map_or(0, |index: usize| index + 1));
        }
        let wanted = section.and_then(|index| msid(mids.get(index)?));
        match (&wanted, line.strip_prefix("a=ssrc:").and_then(|rest| rest.split_once(' '))) {
            (Some((stream, track)), _) if line.starts_with("a=msid:") => {
                out.push(format!("a=msid:{stream} {track}"));
            }
            (Some((stream, _)), Some((ssrc, value))) if value.starts_with("cname:") => {
                out.push(format!("a=ssrc:{ssrc} cname:{stream}"));
            }
            (Some((stream, track)), Some((ssrc, value))) if value.starts_with("msid:") => {
                out.push(format!("a=ssrc:{ssrc} msid:{stream} {track}"));
            }
            _ => out.push(line.to_owned()),
        }
    }
    join(out)
}

/// Keeps the characters that an msid may have (RFC 8830: token characters), 64 at most.
pub fn token(text: &str) -> String {
    let allowed = |c: &char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`{|}~".contains(*c);
    let kept: String = text.chars().filter(allowed).take(64).collect();
    if kept.is_empty() { "-".to_owned() } else { kept }
}

/// ICE credentials found in an SDP or in a `trickle-ice-sdpfrag` (RFC 8840).
pub fn ice_credentials(text: &str) -> Result<(String, String)> {
    let ufrag = attribute(text, "ice-ufrag");
    let password = attribute(text, "ice-pwd");
    match (ufrag, password) {
        (Some(ufrag), Some(password)) if is_ice(ufrag, 4) && is_ice(password, 22) => {
            Ok((ufrag.to_owned(), password.to_owned()))
        }
        _ => Err(MediaError::sdp("SDP_INVALID", "no valid a=ice-ufrag and a=ice-pwd")),
    }
}

fn is_ice(text: &str, shortest: usize) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "+/-_=".contains(c);
    (shortest..=256).contains(&text.len()) && text.chars().all(allowed)
}

/// The same SDP with other ICE credentials and without candidates.
pub fn with_ice_credentials(sdp: &str, ufrag: &str, password: &str) -> String {
    let lines = sdp.lines().filter(|line| !line.starts_with("a=candidate:")).map(|line| {
        if line.starts_with("a=ice-ufrag:") {
            format!("a=ice-ufrag:{ufrag}")
        } else if line.starts_with("a=ice-pwd:") {
            format!("a=ice-pwd:{password}")
        } else {
            line.to_owned()
        }
    });
    join(lines.collect::<Vec<_>>())
}

/// The `trickle-ice-sdpfrag` of an answer: credentials, first mid and candidates.
pub fn fragment(answer: &str) -> Result<String> {
    let (ufrag, password) = ice_credentials(answer)?;
    let mut out = vec![
        "a=ice-lite".to_owned(),
        format!("a=ice-ufrag:{ufrag}"),
        format!("a=ice-pwd:{password}"),
    ];
    if let Some(media) = answer.lines().find(|line| line.starts_with("m=")) {
        out.push(media.to_owned());
    }
    if let Some(mid) = attribute(answer, "mid") {
        out.push(format!("a=mid:{mid}"));
    }
    out.extend(answer.lines().filter(|line| line.starts_with("a=candidate:")).map(str::to_owned));
    out.push("a=end-of-candidates".to_owned());
    Ok(join(out))
}

fn join<S: AsRef<str>>(lines: Vec<S>) -> String {
    let mut out = String::new();
    for line in lines {
        out.push_str(line.as_ref());
        out.push_str("\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\no=- 1 2 IN IP4 0.0.0.0\nm=audio 9 X 111\na=mid:0\na=sendrecv\na=ice-ufrag:abcd\n\
        a=ice-pwd:0123456789012345678901\na=candidate:1 1 udp 1 10.0.0.1 5 typ host\nm=video 9 X 96\na=mid:1\n\
        a=msid:s t\na=ssrc:7 cname:x\n";

    #[test]
    fn oversized_and_strange_texts_are_refused_with_their_reason() {
        let reason = |text: &str| guard(text).unwrap_err().reason;
        assert_eq!(reason(&"a".repeat(MAX_SDP_BYTES + 1)), "SDP_TOO_LARGE");
        assert_eq!(reason(&format!("v=0\n{}", "a=x\n".repeat(3_000))), "SDP_TOO_MANY_LINES");
        assert_eq!(reason(&format!("v=0\nm=x\na={}", "y".repeat(5_000))), "SDP_TOO_MANY_LINES");
        assert_eq!(reason(&format!("v=0\n{}", "m=audio\n".repeat(200))), "SDP_TOO_MANY_LINES");
        assert_eq!(reason("v=0\n"), "SDP_NO_MEDIA");
        assert_eq!(reason("hello\nm=audio\n"), "SDP_INVALID");
    }

    #[test]
    fn line_ends_become_crlf() {
        assert_eq!(guard("v=0\nm=audio\n\n").unwrap(), "v=0\r\nm=audio\r\n");
    }

    #[test]
    fn sendrecv_and_a_missing_direction_become_the_sessions_direction() {
        let forced = force_direction(OFFER, "sendonly");
        assert_eq!(forced.matches("a=sendonly").count(), 2);
        assert!(!forced.contains("a=sendrecv"));
    }

    #[test]
    fn msid_and_cname_follow_the_participant() {
        let changed =
            rewrite_msid(OFFER, |mid| (mid == "1").then(|| ("alice".into(), "cam".into())));
        assert!(changed.contains("a=msid:alice cam\r\n"));
        assert!(changed.contains("a=ssrc:7 cname:alice\r\n"));
    }

    #[test]
    fn an_ice_fragment_is_read_and_written() {
        let (ufrag, password) = ice_credentials(OFFER).unwrap();
        assert_eq!((ufrag.as_str(), password.len()), ("abcd", 22));
        let changed = with_ice_credentials(OFFER, "wxyz", &"p".repeat(24));
        assert!(changed.contains("a=ice-ufrag:wxyz") && !changed.contains("candidate"));
        let frag = fragment(OFFER).unwrap();
        assert!(frag.contains("a=mid:0\r\na=candidate:1 1 udp"));
        assert!(ice_credentials("a=ice-ufrag:ab\na=ice-pwd:short").is_err());
    }

    #[test]
    fn values_are_read_per_media_section() {
        assert_eq!(media_values(OFFER, "msid"), [("0", None), ("1", Some("s t"))]);
    }
}
