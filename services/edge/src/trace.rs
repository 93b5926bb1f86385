//! W3C trace context: a well-formed `traceparent` is passed on, anything else is dropped.
use hyper::header::{HeaderMap, HeaderValue};

/// The request's traceparent, if it is one (version 00, lower-case hex, ids not zero).
pub fn parent(headers: &HeaderMap) -> Option<&HeaderValue> {
    let value = headers.get("traceparent")?;
    is_traceparent(value.to_str().ok()?).then_some(value)
}

/// The trace id within a traceparent that [`parent`] accepted.
pub fn id(parent: &HeaderValue) -> Option<&str> {
    parent.to_str().ok()?.get(3..35)
}

fn is_traceparent(text: &str) -> bool {
    let mut fields = text.split('-');
    let mut hex = |len: usize| {
        fields
            .next()
            .filter(|f| f.len() == len && f.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
    };
    let nonzero = |f: &str| f.bytes().any(|b| b != b'0');
    let (version, trace, span, flags) = (hex(2), hex(32), hex(16), hex(2));
    version == Some("00")
        && trace.is_some_and(nonzero)
        && span.is_some_and(nonzero)
        && flags.is_some()
        && fields.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_parent_passes() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert!(is_traceparent(good));
        for wrong in [
            "",
            "00",
            &good[1..],
            &good.to_uppercase(),
            &format!("{good}-x"),
            &good.replace("00-", "ff-"),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        ] {
            assert!(!is_traceparent(wrong), "{wrong}");
        }
        let value =
            HeaderValue::from_static("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        assert_eq!(id(&value), Some("0af7651916cd43dd8448eb211c80319c"));
    }
}
