//! Tokens without valid signatures: the order of reasons, the validity of a token, and usable keys. Valid and forged
//! tokens are in `tests/api/kubernetes.rs`.

mod fetches;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::SignedDuration;

use super::*;

const KEYS: &str = r#"{"keys": [{"kty": "EC", "crv": "P-256", "kid": "ec",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

fn now() -> Timestamp {
    "2026-11-21T07:00:00Z".parse().unwrap()
}

fn part(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// An unsigned token.
fn token(header: &str, claims: &str) -> String {
    format!("{}.{}.{}", part(header), part(claims), part("no signature"))
}

fn settings(keys: KeySource) -> KubernetesSettings {
    KubernetesSettings { issuer: "issuer".to_owned(), audience: "us".to_owned(), keys }
}

fn verified(not_before: f64, expires: f64) -> token::Verified {
    token::Verified { subject: "somebody".into(), not_before, expires }
}

#[test]
fn the_first_reason_in_order_is_returned() {
    let keys = Jwks::parse(KEYS.as_bytes()).unwrap();
    let expected = settings(KeySource::Known(keys.clone()));
    let two_parts = token("{}", "{}").rsplit_once('.').unwrap().0.to_owned();
    for (token, reason) in [
        ("a key".to_owned(), AuthFailure::Unknown),
        (two_parts, AuthFailure::Unknown),
        (format!("{}.x", token("{}", "{}")), AuthFailure::Unknown),
        ("..".to_owned(), AuthFailure::Malformed),
        ("a.b.c".to_owned(), AuthFailure::Malformed),
        (token("{}", "[]"), AuthFailure::Malformed),
        (token("[]", "{}"), AuthFailure::Malformed),
        (token("{}", "{}") + "=", AuthFailure::Malformed),
        (token(r#"{"alg": "ES256", "kid": "ec", "crit": ["x"]}"#, "{}"), AuthFailure::Malformed),
        (token("{}", "{}"), AuthFailure::Algorithm),
        (token(r#"{"alg": "none"}"#, "{}"), AuthFailure::Algorithm),
        (format!("{}.{}.", part(r#"{"alg": "none", "kid": "ec"}"#), part("{}")), AuthFailure::Algorithm),
        (token(r#"{"alg": "HS256", "kid": "ec"}"#, "{}"), AuthFailure::Algorithm),
        (token(r#"{"alg": "ES384", "kid": "ec"}"#, "{}"), AuthFailure::Algorithm),
        (token(r#"{"alg": 1, "kid": "ec"}"#, "{}"), AuthFailure::Algorithm),
        (token(r#"{"alg": "ES256"}"#, "{}"), AuthFailure::UnknownKey),
        (token(r#"{"alg": "ES256", "kid": "other"}"#, "{}"), AuthFailure::UnknownKey),
        (token(r#"{"alg": "RS256", "kid": "ec"}"#, "{}"), AuthFailure::Algorithm),
        (token(r#"{"alg": "ES256", "kid": "ec"}"#, "{}"), AuthFailure::Signature),
    ] {
        let read = Token::parse(token.as_bytes()).and_then(|token| token.verify(&keys, &expected));

        assert_eq!(read.unwrap_err(), reason, "{token}");
    }
}

#[test]
fn a_token_is_valid_from_nbf_to_exp_with_30_seconds_of_tolerance() {
    let seconds = now().as_duration().as_secs_f64();
    let token = verified(seconds, seconds + 100.0);
    for (after, reason) in [
        (-30_001, Some(AuthFailure::NotYetValid)),
        (-30_000, None),
        (129_999, None),
        (130_000, Some(AuthFailure::Expired)),
    ] {
        let refused = token.at(now() + SignedDuration::from_millis(after)).err();

        assert_eq!(refused, reason, "{after}");
    }
    assert_eq!(verified(0.0, f64::NEG_INFINITY).at(now()), Err(AuthFailure::Expired));
    assert_eq!(verified(f64::INFINITY, seconds + 1.0).at(now()), Err(AuthFailure::NotYetValid));
}

#[test]
fn remembered_tokens_are_bounded_and_expired_ones_are_dropped_first() {
    let seconds = now().as_duration().as_secs_f64();
    let (tokens, most) = (VerifiedTokens::default(), 10_000_u64);
    let digest = |n: u64| {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&n.to_le_bytes());
        digest
    };
    tokens.keep(digest(0), verified(0.0, seconds), now());
    for n in 1..most {
        tokens.keep(digest(n), verified(0.0, seconds - 100.0), now());
    }

    tokens.keep(digest(most), verified(0.0, seconds), now());
    assert!(tokens.find(&digest(0)).is_some() && tokens.find(&digest(most)).is_some());
    assert!(tokens.find(&digest(1)).is_none());

    for n in most..3 * most {
        tokens.keep(digest(n), verified(0.0, seconds), now());
    }
    assert!((0..3 * most).filter(|n| tokens.find(&digest(*n)).is_some()).count() <= 10_000);
}

#[test]
fn a_key_set_keeps_only_keys_that_verify_tokens() {
    let key = |more: &str| KEYS.replace(r#""kid": "ec""#, more);
    for (text, read) in [
        (KEYS.to_owned(), Ok("ec")),
        (key(r#""kid": "ec", "use": "sig", "alg": "ES256", "x5t": "y", "further": [1]"#), Ok("ec")),
        (key(r#""kid": "ec", "use": "enc""#), Err(jwks::JwksError::Empty)),
        (key(r#""kid": "ec", "alg": "ES384""#), Err(jwks::JwksError::Empty)),
        (key(r#""kid": "ec", "alg": "RS256""#), Err(jwks::JwksError::Empty)),
        (key(r#""kid": """#), Err(jwks::JwksError::Empty)),
        (key(r#""kid": 1"#), Err(jwks::JwksError::Empty)),
        (key(r#""alg": "ES256""#), Err(jwks::JwksError::Empty)),
        (KEYS.replace("P-256", "P-384"), Err(jwks::JwksError::Empty)),
        (r#"{"keys": [{"kty": "oct", "kid": "ec", "k": "AAAA"}]}"#.to_owned(), Err(jwks::JwksError::Empty)),
        (r#"{"keys": [1, {"kty": 2}, {}]}"#.to_owned(), Err(jwks::JwksError::Empty)),
        (r#"{"keys": []}"#.to_owned(), Err(jwks::JwksError::Empty)),
        ("{}".to_owned(), Err(jwks::JwksError::Unreadable)),
        ("<html>".to_owned(), Err(jwks::JwksError::Unreadable)),
    ] {
        let keys = Jwks::parse(text.as_bytes());

        assert_eq!(
            keys.as_ref().map(|keys| keys.find("ec").is_some()),
            read.as_ref().map(|_| true),
            "{text}"
        );
    }
}
