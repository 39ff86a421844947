//! When the keys of an issuer are fetched, and which keys stay.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::*;

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
