//! The state that survives a new configuration of an account or its provider.

use super::*;
use crate::upstream::credentials::Credentials;

/// The account as it is, with another credential.
fn rotated(account: &Account, credential: Credential, keeps_identity: bool) -> Arc<Upstream> {
    let upstream = &account.upstream;
    let settings = UpstreamSettings {
        account: upstream.account.clone(),
        provider: Arc::clone(&upstream.provider),
        credential,
        selectors: upstream.balances.iter().map(|balance| balance.selector.clone()).collect(),
        max_age: upstream.max_age,
        shared: None,
        is_enabled: true,
    };
    upstream.reconfigured(settings, keeps_identity)
}

fn token(text: &str) -> Credential {
    Credential::Static(Authorisation::Bearer(text.into()))
}

fn client(account: &Account, secret: &str) -> Credential {
    let id = account.provider.credentials().client_id.into();
    Credential::Client(ClientCredentials { id, secret: secret.into(), certificate: None })
}

#[tokio::test]
async fn a_refused_static_token_falls_back_to_the_old_one_in_the_same_read() {
    let account = Account::new(Kind::NtxpayBr).await;
    account.read(0).await.unwrap();

    let upstream = rotated(&account, token("not known there"), true);
    let answer = upstream.read(0, ReadRequest::alone(Priority::Demanded)).await.result;

    assert!(Arc::ptr_eq(&upstream, &account.upstream), "nothing else changed");
    assert!(answer.is_ok(), "{answer:?}");
    assert!(upstream.is_credential_rejected());
    let ok = ("balance", Some(200));
    assert_eq!(account.calls(), [ok, ("balance", Some(401)), ok]);
    account.read(0).await.unwrap();
    assert_eq!(account.calls().len(), 4, "the refused one is tried again only after a minute");
}

#[tokio::test]
async fn a_refused_secret_falls_back_to_the_old_one_for_the_next_token() {
    let account = Setup::new(Kind::NtxpayBr).with_client().start(Kind::NtxpayBr).await;
    account.read(0).await.unwrap();

    let upstream = rotated(&account, client(&account, "not known there"), true);
    upstream.read(0, ReadRequest::alone(Priority::Demanded)).await.result.unwrap();
    assert!(!upstream.is_credential_rejected(), "the live token stays in use");
    account.provider.expire_tokens();
    upstream.read(0, ReadRequest::alone(Priority::Demanded)).await.result.unwrap();

    assert!(upstream.is_credential_rejected());
    let (ok, token) = (("balance", Some(200)), |status| ("token", Some(status)));
    let renewed = [("balance", Some(401)), token(401), token(201), ok];
    assert_eq!(account.calls(), [&[token(201), ok, ok], &renewed[..]].concat());
}

#[tokio::test]
async fn a_replaced_token_that_is_refused_falls_back_to_the_newest_in_the_same_read() {
    let url = serve(|head| {
        if head.contains("Bearer old") {
            (SECOND, b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n".to_vec())
        } else {
            let body = r#"{"grossBalance":1,"blockedBalance":0,"netBalance":1,"consultedAt":null}"#;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            (Duration::ZERO, [head, body.to_owned()].concat().into_bytes())
        }
    });
    let provider = SimulatedProvider::start(Kind::NtxpayBr).await.unwrap();
    let (metrics, upstream) = Setup::new(Kind::NtxpayBr).at(&url.await, token("old"));
    let account = Account { provider, metrics, upstream };
    let reading = account.spawn_read(0);
    until(|| account.in_flight() == 1).await;

    rotated(&account, token("new"), true);
    let answer = reading.await.unwrap().result;

    assert!(answer.is_ok(), "{answer:?}");
    assert!(!account.upstream.is_credential_rejected());
    account.read(0).await.unwrap();
}

#[tokio::test]
async fn a_trial_that_is_throttled_holds_the_account() {
    let account = Setup::new(Kind::NtxpayBr).with_client().start(Kind::NtxpayBr).await;
    let upstream = rotated(&account, client(&account, "not known there"), true);
    account.read(0).await.unwrap();
    let Credentials::Client(rotation) = &*upstream.credentials else { unreachable!() };
    let (now, minute) = (clock::now().monotonic, SECOND * 60);
    let newest = rotation.choose(now + minute);
    assert!(rotation.refused(&newest, now.checked_sub(minute).unwrap()).is_some(), "its next trial is due");
    account.queue([Fault::on_token(asking_for_time(429, "20"))]);

    account.read(0).await.unwrap();

    until(|| upstream.holds.held(clock::now().monotonic).is_some()).await;
    let told = UpstreamError::Throttled(Some(SECOND * 20));
    assert_eq!(account.error(0).await, told);
}

async fn until(condition: impl Fn() -> bool) {
    let end = clock::now().monotonic + LONGEST_WAIT;
    while !condition() {
        assert!(clock::now().monotonic < end, "the condition was not met in time");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_credential_that_is_put_back_ends_the_rotation() {
    let account = Account::new(Kind::NtxpayBr).await;
    let good = account.provider.credentials().token;
    account.read(0).await.unwrap();
    rotated(&account, token("not known there"), true);
    account.read(0).await.unwrap();
    assert!(account.upstream.is_credential_rejected());

    rotated(&account, token(&good), true);
    account.read(0).await.unwrap();

    assert!(!account.upstream.is_credential_rejected());
    assert_eq!(account.calls().len(), 4, "one of them refused");
}

#[tokio::test]
async fn a_changed_secret_ends_the_hold_and_resets_the_breaker() {
    let account = Account::new(Kind::NtxpayBr).await;
    account.queue([Fault::on_balance(FaultKind::RefuseToken { status: 401 })]);
    assert_eq!(account.error(0).await, UpstreamError::Refused);
    assert_eq!(account.error(0).await, UpstreamError::Refused);
    assert_eq!(account.calls().len(), 1, "the second was held");

    let good = account.provider.credentials().token;
    let upstream = rotated(&account, token(&format!("{good}-rotated")), true);
    let answer = upstream.read(0, ReadRequest::alone(Priority::Demanded)).await.result;

    assert!(answer.is_ok(), "called again, with the new token and then with the old one: {answer:?}");
    assert_eq!(account.calls().len(), 3);
}

#[tokio::test]
async fn a_new_identity_keeps_only_the_budget_and_the_holds() {
    let account = Setup::new(Kind::NtxpayBr).with_client().start(Kind::NtxpayBr).await;
    account.read(0).await.unwrap();
    let spent = account.upstream.budget_limit() - account.upstream.budget_remaining();
    let throttled = UpstreamError::Throttled(None);
    let now = clock::now().monotonic;
    account.upstream.holds.begin(throttled, throttled.hold(), now, now);

    let secret = account.provider.credentials().client_secret;
    let upstream = rotated(&account, client(&account, &secret), false);

    assert!(upstream.token_expiry().is_none());
    assert_eq!(upstream.budget_limit() - upstream.budget_remaining(), spent);
    assert_eq!(
        upstream.read(0, ReadRequest::alone(Priority::Demanded)).await.result.unwrap_err().error,
        throttled
    );
}

#[tokio::test]
async fn a_provider_with_other_settings_keeps_only_unchanged_limits() {
    let mut setup = Setup::new(Kind::NtxpayBr);
    setup.settings.breaker.failures = 1;
    let account = setup.start(Kind::NtxpayBr).await;
    account.queue([Fault::on_balance(FaultKind::status(500))]);
    account.error(0).await;
    let old = &account.upstream.provider;
    assert_eq!(old.breaker_state(), BreakerState::Open);

    let same = old.reconfigured(old.settings.clone(), None).unwrap();
    let settings = ProviderSettings { retries: 3, ..old.settings.clone() };
    let other = old.reconfigured(settings, None).unwrap();
    let settings = ProviderSettings { max_concurrency: 7, ..old.settings.clone() };
    let narrower = old.reconfigured(settings, None).unwrap();

    assert!(Arc::ptr_eq(old, &same));
    assert_eq!(other.breaker_state(), BreakerState::Closed);
    assert!(Arc::ptr_eq(&other.slots, &old.slots) && Arc::ptr_eq(&other.reserve, &old.reserve));
    assert_eq!(narrower.slots.available_permits(), 7);
}

/// The credential before a rotation is kept for the place that it was meant for.
#[tokio::test]
async fn an_old_secret_is_not_tried_at_another_token_endpoint() {
    let account = Setup::new(Kind::NtxpayBr).with_client().start(Kind::NtxpayBr).await;
    account.read(0).await.unwrap();
    let elsewhere = SimulatedProvider::start(Kind::NtxpayBr).await.unwrap();
    let old = &account.upstream.provider;
    let token_endpoint = format!("{}/api/auth/token", elsewhere.url());
    let settings = ProviderSettings { token_endpoint, ..old.settings.clone() };
    let provider = old.reconfigured(settings, None).unwrap();

    let upstream = account.upstream.reconfigured(
        UpstreamSettings {
            account: account.upstream.account.clone(),
            provider,
            credential: client(&account, "not known there"),
            selectors: selectors(Kind::NtxpayBr),
            max_age: MaxAge::CEILING,
            shared: None,
            is_enabled: true,
        },
        true,
    );
    upstream.tokens.drop_refused(&upstream.tokens.live(clock::now().monotonic).unwrap());
    let failure = upstream.read(0, ReadRequest::alone(Priority::Demanded)).await.result.unwrap_err();

    assert_eq!(failure.error, UpstreamError::Refused);
    let bodies: Vec<String> = elsewhere.calls().into_iter().map(|call| call.body).collect();
    assert_eq!(bodies.len(), 1, "the old secret was tried, too: {bodies:?}");
    assert!(bodies[0].contains("not known there"));
}

/// The account as it is, but switched on or off.
fn switched(account: &Account, upstream: &Arc<Upstream>, is_enabled: bool) -> Arc<Upstream> {
    let secret = account.provider.credentials().client_secret;
    let settings = UpstreamSettings {
        account: upstream.account.clone(),
        provider: Arc::clone(&upstream.provider),
        credential: client(account, &secret),
        selectors: selectors(Kind::NtxpayBr),
        max_age: upstream.max_age,
        shared: None,
        is_enabled,
    };
    upstream.reconfigured(settings, true)
}

/// Lives of 2 s, renewed after 1 s.
#[tokio::test]
async fn a_switched_off_account_renews_no_token() {
    let account = Setup::new(Kind::NtxpayBr).with_client().start(Kind::NtxpayBr).await;
    account.provider.set_token_life(2);
    account.read(0).await.unwrap();

    let off = switched(&account, &account.upstream, false);
    tokio::time::sleep(SECOND * 2).await;
    let calls = account.calls();
    let on = switched(&account, &off, true);
    on.read(0, ReadRequest::alone(Priority::Demanded)).await.result.unwrap();

    let (ok, token) = (("balance", Some(200)), ("token", Some(201)));
    assert_eq!(calls, [token, ok]);
    assert_eq!(account.calls(), [token, ok, token, ok]);
}

#[tokio::test]
async fn a_token_of_a_running_read_is_renewed_ahead_after_a_reload() {
    let mut setup = Setup::new(Kind::NtxpayBr).with_client();
    setup.settings.retries = 0;
    let account = setup.start(Kind::NtxpayBr).await;
    account.provider.set_token_life(2);
    account.queue([Fault::on_token(FaultKind::Delay { ms: 200 })]);
    let reading = account.spawn_read(0);
    until(|| account.in_flight() == 1).await;

    let settings = ProviderSettings { retries: 7, ..account.upstream.provider.settings.clone() };
    let provider = account.upstream.provider.reconfigured(settings, None).unwrap();
    let secret = account.provider.credentials().client_secret;
    let upstream = account.upstream.reconfigured(
        UpstreamSettings {
            account: account.upstream.account.clone(),
            provider,
            credential: client(&account, &secret),
            selectors: selectors(Kind::NtxpayBr),
            max_age: MaxAge::CEILING,
            shared: None,
            is_enabled: true,
        },
        true,
    );
    reading.await.unwrap().result.unwrap();
    let Account { provider, upstream: old, .. } = account;
    drop(old);

    provider.wait_for_calls(3).await;

    assert!(upstream.token_expiry().is_some());
    assert!(provider.calls()[2].path_and_query.ends_with("/token"), "renewed ahead");
}
