//! Playback tokens: ES256 only, key by `kid` from the trust set, claims by strict types.
//!
//! Pure: no clock, no cache. `session.rs` remembers verified tokens and knows revocations.
use crate::refusal::{
    Refusal, TOKEN_EXPIRED, TOKEN_INVALID, TOKEN_NOT_YET_VALID, TOKEN_SCOPE, TOKEN_SESSION,
};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

const ISSUER: &str = "odeon";
const AUDIENCE: &str = "odeon:playback";
/// An issuer's clock may run ahead of ours by this much.
const NOT_BEFORE_LEEWAY_S: u64 = 5;
/// Longest `kid` that is looked up.
const MAX_KID: usize = 128;
/// Keys beyond this many are not taken from a set.
const MAX_KEYS: usize = 64;

/// The claims of a verified token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Tenant id.
    pub tenant: String,
    /// Event id.
    pub event: String,
    /// Session id: what is revoked, limited and counted.
    pub session: String,
    /// Unix second from which on the token is dead.
    pub expires: u64,
    /// Unix second before which it is not valid.
    pub not_before: u64,
}

impl Claims {
    /// Checks the times, also of a remembered token. Refusals: TOKEN_EXPIRED, TOKEN_NOT_YET_VALID.
    pub fn check_times(&self, now: u64) -> Result<(), Refusal> {
        if now >= self.expires {
            return Err(TOKEN_EXPIRED);
        }
        if now + NOT_BEFORE_LEEWAY_S < self.not_before {
            return Err(TOKEN_NOT_YET_VALID);
        }
        Ok(())
    }

    /// Checks that the token is for what the path names. Refusal: TOKEN_SCOPE.
    pub fn check_scope(&self, tenant: &str, event: &str) -> Result<(), Refusal> {
        if self.tenant == tenant && self.event == event {
            Ok(())
        } else {
            Err(TOKEN_SCOPE)
        }
    }
}

/// Public keys by `kid`.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: BTreeMap<String, (String, ParsedPublicKey)>,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: String,
    kid: String,
    x: String,
    y: String,
    alg: Option<String>,
    r#use: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
    crit: Option<Value>,
    jwk: Option<Value>,
    jku: Option<Value>,
    x5u: Option<Value>,
    x5c: Option<Value>,
}

#[derive(Deserialize)]
struct Payload {
    iss: String,
    aud: Audience,
    exp: u64,
    #[serde(default)]
    nbf: u64,
    #[serde(default)]
    tenant: Value,
    #[serde(default)]
    event: Value,
    #[serde(default)]
    sid: Value,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn has(&self, wanted: &str) -> bool {
        match self {
            Audience::One(one) => one == wanted,
            Audience::Many(many) => many.iter().any(|one| one == wanted),
        }
    }
}

impl KeySet {
    /// Parses a JSON Web Key Set (RFC 7517). Keys that are not ES256 signing keys are left out.
    pub fn from_jwks(json: &str) -> Result<Self, String> {
        let set: Jwks = serde_json::from_str(json).map_err(|e| format!("not a key set: {e}"))?;
        let keys = set.keys.into_iter().take(MAX_KEYS).filter_map(|key| {
            let key: Jwk = serde_json::from_value(key).ok()?;
            let public = es256_key(&key)?;
            Some((key.kid, (key.x + "." + &key.y, public)))
        });
        Ok(KeySet {
            keys: keys.collect(),
        })
    }

    /// This set and another one; a `kid` of both is taken from this one.
    pub fn union(&self, other: &KeySet) -> KeySet {
        let both = other.keys.iter().chain(&self.keys);
        KeySet {
            keys: both.map(|(kid, key)| (kid.clone(), key.clone())).collect(),
        }
    }

    /// How many keys it holds.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no token can be verified.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether every key of `old` is still here, unchanged.
    pub fn keeps_all_of(&self, old: &KeySet) -> bool {
        old.keys
            .iter()
            .all(|(kid, key)| self.keys.get(kid).is_some_and(|mine| mine.0 == key.0))
    }

    /// Verifies signature, issuer, audience and the shape of the claims; the caller checks times and scope.
    ///
    /// Refusals: TOKEN_INVALID, TOKEN_SCOPE (no event), TOKEN_SESSION.
    pub fn verify(&self, token: &str) -> Result<Claims, Refusal> {
        let (signed, signature) = token.rsplit_once('.').ok_or(TOKEN_INVALID)?;
        let (header, payload) = signed.split_once('.').ok_or(TOKEN_INVALID)?;
        let header: Header = decode(header)?;
        let foreign_key = header.jwk.is_some()
            || header.jku.is_some()
            || header.x5u.is_some()
            || header.x5c.is_some();
        if header.alg != "ES256"
            || header.crit.is_some()
            || foreign_key
            || header.kid.len() > MAX_KID
        {
            return Err(TOKEN_INVALID);
        }
        let (_, key) = self.keys.get(&header.kid).ok_or(TOKEN_INVALID)?;
        let signature = B64.decode(signature).map_err(|_| TOKEN_INVALID)?;
        key.verify_sig(signed.as_bytes(), &signature)
            .map_err(|_| TOKEN_INVALID)?;
        claims(decode(payload)?)
    }
}

fn es256_key(key: &Jwk) -> Option<ParsedPublicKey> {
    let for_us = key.kty == "EC"
        && key.crv == "P-256"
        && key.alg.as_deref().is_none_or(|alg| alg == "ES256")
        && key.r#use.as_deref().is_none_or(|r#use| r#use == "sig")
        && (1..=MAX_KID).contains(&key.kid.len());
    let (x, y) = (B64.decode(&key.x).ok()?, B64.decode(&key.y).ok()?);
    if !for_us || x.len() != 32 || y.len() != 32 {
        return None;
    }
    // Uncompressed point, SEC 1 section 2.3.3.
    let point = [&[4][..], &x, &y].concat();
    ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).ok()
}

fn decode<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, Refusal> {
    let json = B64.decode(part).map_err(|_| TOKEN_INVALID)?;
    serde_json::from_slice(&json).map_err(|_| TOKEN_INVALID)
}

fn claims(payload: Payload) -> Result<Claims, Refusal> {
    if payload.iss != ISSUER || !payload.aud.has(AUDIENCE) || payload.exp == 0 {
        return Err(TOKEN_INVALID);
    }
    let (Value::String(tenant), Value::String(event)) = (payload.tenant, payload.event) else {
        return Err(TOKEN_SCOPE);
    };
    let Value::String(session) = payload.sid else {
        return Err(TOKEN_SESSION);
    };
    if !is_session_id(&session) {
        return Err(TOKEN_SESSION);
    }
    Ok(Claims {
        tenant,
        event,
        session,
        expires: payload.exp,
        not_before: payload.nbf,
    })
}

/// Session ids: `[A-Za-z0-9_-]{1,40}`.
pub fn is_session_id(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
    use proptest::prelude::*;
    use serde_json::json;

    /// Signs tokens with a key made on the spot.
    pub(crate) struct Signer {
        pair: EcdsaKeyPair,
        kid: &'static str,
    }

    impl Signer {
        pub(crate) fn new(kid: &'static str) -> Self {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
            Signer { pair, kid }
        }

        pub(crate) fn jwks(&self) -> String {
            let point = self.pair.public_key().as_ref();
            let (x, y) = (B64.encode(&point[1..33]), B64.encode(&point[33..]));
            json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": self.kid, "alg": "ES256", "x": x, "y": y}]})
                .to_string()
        }

        pub(crate) fn sign(&self, header: &Value, payload: &str) -> String {
            let signed = format!("{}.{}", B64.encode(header.to_string()), B64.encode(payload));
            let signature = self
                .pair
                .sign(&SystemRandom::new(), signed.as_bytes())
                .unwrap();
            format!("{signed}.{}", B64.encode(signature))
        }

        pub(crate) fn token(&self, changes: Value) -> String {
            let mut payload = json!({
                "iss": "odeon", "aud": "odeon:playback", "sub": "viewer", "tenant": "acme", "event": "ev1",
                "sid": "s1", "exp": 2_000_000_000u64, "iat": 1_000_000_000u64,
            });
            for (name, value) in changes.as_object().unwrap() {
                payload[name] = value.clone();
            }
            self.sign(
                &json!({"alg": "ES256", "kid": self.kid}),
                &payload.to_string(),
            )
        }
    }

    fn verify(signer: &Signer, token: &str) -> Result<Claims, Refusal> {
        KeySet::from_jwks(&signer.jwks()).unwrap().verify(token)
    }

    #[test]
    fn a_good_token_yields_its_claims() {
        let signer = Signer::new("k1");
        let claims = verify(&signer, &signer.token(json!({"nbf": 1_500_000_000u64}))).unwrap();
        assert_eq!(
            (&*claims.tenant, &*claims.event, &*claims.session),
            ("acme", "ev1", "s1")
        );
        assert_eq!(claims.check_times(1_600_000_000), Ok(()));
        assert_eq!(claims.check_times(2_000_000_000), Err(TOKEN_EXPIRED));
        assert_eq!(
            claims.check_times(1_499_999_995),
            Ok(()),
            "clocks may differ by the leeway"
        );
        assert_eq!(claims.check_times(1_499_999_994), Err(TOKEN_NOT_YET_VALID));
        assert_eq!(claims.check_scope("acme", "ev2"), Err(TOKEN_SCOPE));
        assert_eq!(claims.check_scope("acm", "eev1"), Err(TOKEN_SCOPE));
    }

    #[test]
    fn an_audience_may_be_a_list() {
        let signer = Signer::new("k1");
        assert!(
            verify(
                &signer,
                &signer.token(json!({"aud": ["x", "odeon:playback"]}))
            )
            .is_ok()
        );
        assert_eq!(
            verify(&signer, &signer.token(json!({"aud": ["x"]}))),
            Err(TOKEN_INVALID)
        );
    }

    #[test]
    fn claims_of_wrong_type_or_value_are_refused() {
        let signer = Signer::new("k1");
        let cases = [
            (json!({"iss": "other"}), TOKEN_INVALID),
            (json!({"aud": "odeon:api"}), TOKEN_INVALID),
            (json!({"exp": -1}), TOKEN_INVALID),
            (json!({"exp": 0}), TOKEN_INVALID),
            (json!({"exp": "2000000000"}), TOKEN_INVALID),
            (json!({"exp": 2e9}), TOKEN_INVALID),
            (json!({"exp": null}), TOKEN_INVALID),
            (json!({"nbf": "x"}), TOKEN_INVALID),
            (json!({"tenant": null}), TOKEN_SCOPE),
            (json!({"tenant": ["acme"]}), TOKEN_SCOPE),
            (json!({"event": 1}), TOKEN_SCOPE),
            (json!({"sid": null}), TOKEN_SESSION),
            (json!({"sid": ""}), TOKEN_SESSION),
            (json!({"sid": "a".repeat(41)}), TOKEN_SESSION),
            (json!({"sid": "a/b"}), TOKEN_SESSION),
        ];
        for (changes, refusal) in cases {
            assert_eq!(
                verify(&signer, &signer.token(changes.clone())),
                Err(refusal),
                "{changes}"
            );
        }
    }

    #[test]
    fn headers_that_name_another_key_or_algorithm_are_refused() {
        let signer = Signer::new("k1");
        let payload = r#"{"iss":"odeon","aud":"odeon:playback","tenant":"a","event":"e","sid":"s","exp":2000000000}"#;
        assert!(
            verify(
                &signer,
                &signer.sign(&json!({"alg": "ES256", "kid": "k1"}), payload)
            )
            .is_ok()
        );
        for header in [
            json!({"alg": "ES256"}),
            json!({"alg": "ES256", "kid": "k2"}),
            json!({"alg": "ES256", "kid": 1}),
            json!({"alg": "none", "kid": "k1"}),
            json!({"alg": "es256", "kid": "k1"}),
            json!({"alg": "HS256", "kid": "k1"}),
            json!({"alg": "ES256", "kid": "k1", "crit": ["exp"]}),
            json!({"alg": "ES256", "kid": "k1", "jwk": {}}),
            json!({"alg": "ES256", "kid": "k1", "jku": "https://x"}),
            json!({"alg": "ES256", "kid": "k1", "x5u": "https://x"}),
        ] {
            assert_eq!(
                verify(&signer, &signer.sign(&header, payload)),
                Err(TOKEN_INVALID),
                "{header}"
            );
        }
        let twice = r#"{"iss":"odeon","aud":"odeon:playback","tenant":"a","event":"e","sid":"s","exp":1,"exp":2000000000}"#;
        let header = json!({"alg": "ES256", "kid": "k1"});
        assert_eq!(
            verify(&signer, &signer.sign(&header, twice)),
            Err(TOKEN_INVALID),
            "duplicate claim"
        );
    }

    #[test]
    fn another_signers_token_is_refused_under_the_same_kid() {
        let (ours, theirs) = (Signer::new("k1"), Signer::new("k1"));
        assert_eq!(verify(&ours, &theirs.token(json!({}))), Err(TOKEN_INVALID));
    }

    #[test]
    fn four_hundred_signatures_all_verify() {
        // Signatures with leading zeros or odd padding are where encoders go wrong.
        let signer = Signer::new("k1");
        let keys = KeySet::from_jwks(&signer.jwks()).unwrap();
        for n in 0..400 {
            assert!(
                keys.verify(&signer.token(json!({"sid": format!("s{n}")})))
                    .is_ok()
            );
        }
    }

    #[test]
    fn a_key_set_keeps_es256_keys_only() {
        let good: Value = serde_json::from_str(&Signer::new("k1").jwks()).unwrap();
        let mut keys = good["keys"].as_array().unwrap().clone();
        let mut other = keys[0].clone();
        other["use"] = json!("enc");
        keys.extend([
            other,
            json!({"kty": "oct", "k": "AAAA", "kid": "h"}),
            json!(7),
        ]);
        assert_eq!(
            KeySet::from_jwks(&json!({"keys": keys}).to_string())
                .unwrap()
                .len(),
            1
        );
        assert!(KeySet::from_jwks("[]").is_err());
    }

    #[test]
    fn a_set_that_lost_or_changed_a_key_says_so() {
        let (a, b) = (Signer::new("a"), Signer::new("b"));
        let (a, b) = (
            KeySet::from_jwks(&a.jwks()).unwrap(),
            KeySet::from_jwks(&b.jwks()).unwrap(),
        );
        let both = a.union(&b);
        assert_eq!(both.len(), 2);
        assert!(both.keeps_all_of(&a) && !a.keeps_all_of(&both));
        let changed = KeySet::from_jwks(&Signer::new("a").jwks()).unwrap();
        assert!(!changed.keeps_all_of(&a));
    }

    proptest! {
        #[test]
        fn no_text_panics_or_passes(token in "[A-Za-z0-9_.-]{0,200}") {
            let keys = KeySet::from_jwks(&Signer::new("k1").jwks()).unwrap();
            prop_assert!(keys.verify(&token).is_err());
        }
    }
}
