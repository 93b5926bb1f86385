//! No token and no key set panics, and nothing that was not signed passes.
#![no_main]
use libfuzzer_sys::fuzz_target;
use odeon_edge::token::KeySet;
use std::sync::LazyLock;

/// The example key of RFC 7515, appendix A.3; nobody here has its private half.
static KEYS: LazyLock<KeySet> = LazyLock::new(|| {
    let (x, y) = (
        "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    );
    let json =
        format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","kid":"k","x":"{x}","y":"{y}"}}]}}"#);
    KeySet::from_jwks(&json).unwrap_or_default()
});

fuzz_target!(|text: &str| {
    assert_eq!(KEYS.len(), 1);
    assert!(KEYS.verify(text).is_err());
    let _ = KeySet::from_jwks(text);
});
