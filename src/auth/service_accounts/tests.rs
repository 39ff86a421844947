//! Tests without signatures: the order of reasons, the validity of a token, and when keys are fetched. Valid and forged
//! tokens are in `tests/api/kubernetes.rs`.

use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::SignedDuration;
use tokio::sync::Notify;

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

/// A source of keys that counts its fetches and releases each answer on request.
struct Issuer {
    accounts: Arc<ServiceAccounts>,
    fetches: Arc<AtomicUsize>,
    answer: Arc<Notify>,
}

impl Issuer {
    /// Makes an issuer whose fetches return these answers in order, then the last one for ever; `None` is a failed
    /// fetch. The first fetch has already started.
    async fn new(answers: &'static [Option<&'static str>]) -> Self {
        let (fetches, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (count, go) = (Arc::clone(&fetches), Arc::clone(&answer));
        let fetch: FetchKeys = Arc::new(move || {
            let turn = count.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
            let go = Arc::clone(&go);
            Box::pin(async move {
                go.notified().await;
                answers[turn].map(|body| body.as_bytes().to_vec()).ok_or_else(|| "down".into())
            })
        });
        let accounts = ServiceAccounts::new(Arc::new(Metrics::new("0", "0").unwrap()));
        accounts.replace(Some(settings(KeySource::Fetched(fetch))));
        let issuer = Self { accounts, fetches, answer };
        issuer.wait_for_fetches(1).await;
        issuer
    }

    async fn wait_for_fetches(&self, times: usize) {
        let fetched = async {
            while self.fetches() < times {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), fetched).await.expect("the keys are fetched");
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    /// Releases the next answer, and waits until a waiting request has it.
    async fn answered(&self) {
        self.answer.notify_one();
        self.waited().await;
    }

    /// Waits for a fetch as a request does.
    async fn waited(&self) {
        let waiting = tokio::time::timeout(Duration::from_secs(20), self.accounts.fetch_again());
        waiting.await.expect("the wait for a fetch ends");
    }

    /// Advances the time since the last fetch.
    async fn some_time_later(&self) {
        let mut fetched_at = self.accounts.fetched_at.lock().await;
        *fetched_at = fetched_at.map(|at| at.checked_sub(FETCH_INTERVAL).unwrap());
    }

    /// Why a token that names the key `ec` is refused: unknown key, or wrong signature.
    fn refusal(&self) -> AuthFailure {
        let token = token(r#"{"alg": "ES256", "kid": "ec"}"#, "{}");
        self.accounts.subject(token.as_bytes(), &[0; 32], now()).unwrap_err()
    }
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

#[tokio::test]
async fn keys_are_fetched_at_once_and_tokens_refused_until_they_arrive() {
    let issuer = Issuer::new(&[Some(KEYS)]).await;
    assert_eq!(issuer.refusal(), AuthFailure::UnknownKey);

    issuer.answered().await;

    assert_eq!((issuer.refusal(), issuer.fetches()), (AuthFailure::Signature, 1));
}

#[tokio::test]
async fn an_unknown_key_causes_a_fetch_at_most_once_in_ten_seconds() {
    let issuer = Issuer::new(&[None, None, Some(KEYS)]).await;
    issuer.answered().await;
    for _ in 0..5 {
        issuer.waited().await;
    }
    assert_eq!((issuer.refusal(), issuer.fetches()), (AuthFailure::UnknownKey, 1));

    issuer.some_time_later().await;
    issuer.answered().await;
    assert_eq!((issuer.refusal(), issuer.fetches()), (AuthFailure::UnknownKey, 2));

    issuer.some_time_later().await;
    issuer.answered().await;
    assert_eq!((issuer.refusal(), issuer.fetches()), (AuthFailure::Signature, 3));
}

#[tokio::test]
async fn all_requests_wait_for_one_fetch_and_an_abandoned_one_does_not_end_it() {
    let issuer = Issuer::new(&[None, Some(KEYS)]).await;
    issuer.answered().await;
    issuer.some_time_later().await;
    let wait = || {
        let accounts = Arc::clone(&issuer.accounts);
        tokio::spawn(async move { accounts.fetch_again().await })
    };
    let first = wait();
    issuer.wait_for_fetches(2).await;
    let others = [wait(), wait()];

    first.abort();
    issuer.answer.notify_one();
    for other in others {
        other.await.unwrap();
    }

    assert_eq!((issuer.refusal(), issuer.fetches()), (AuthFailure::Signature, 2));
}

#[tokio::test]
async fn too_many_waiting_requests_are_refused_at_once() {
    let issuer = Issuer::new(&[Some(KEYS)]).await;
    let _taken = issuer.accounts.waiting.try_acquire_many(u32::try_from(MOST_WAITING).unwrap()).unwrap();

    issuer.waited().await;

    assert_eq!(issuer.refusal(), AuthFailure::UnknownKey);
}

#[tokio::test]
async fn keys_stay_when_a_fetch_fails_or_is_empty() {
    for bad in [&[Some(KEYS), None][..], &[Some(KEYS), Some("{\"keys\": []}")], &[Some(KEYS), Some("<html>")]]
    {
        let issuer = Issuer::new(bad).await;
        issuer.answered().await;
        issuer.some_time_later().await;

        issuer.answered().await;

        assert_eq!((issuer.refusal(), issuer.fetches()), (AuthFailure::Signature, 2), "{bad:?}");
    }
}

#[tokio::test]
async fn replaced_settings_keep_the_issuers_keys_until_new_ones_arrive() {
    let issuer = Issuer::new(&[Some(KEYS), None]).await;
    issuer.answered().await;
    let old = issuer.accounts.trust.load_full().unwrap().settings.clone();

    issuer.accounts.replace(Some(KubernetesSettings { audience: "others".to_owned(), ..old.clone() }));
    assert_eq!(issuer.refusal(), AuthFailure::Signature);

    issuer.accounts.replace(Some(KubernetesSettings { issuer: "another".to_owned(), ..old }));
    assert_eq!(issuer.refusal(), AuthFailure::UnknownKey);

    issuer.accounts.replace(None);
    assert_eq!(issuer.refusal(), AuthFailure::Unknown);
}
