//! A new credential of an account, and the one before it.

use tokio::sync::Notify;

use super::*;
use crate::upstream::credentials::Credentials;

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
    let is_rotated = Arc::new(Notify::new());
    let refusal = Arc::clone(&is_rotated);
    let url = serve(move |head| {
        let refusal = Arc::clone(&refusal);
        async move {
            if head.contains("Bearer old") {
                refusal.notified().await;
                return b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n".to_vec();
            }
            let body = r#"{"grossBalance":1,"blockedBalance":0,"netBalance":1,"consultedAt":null}"#;
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
        }
    });
    let provider = SimulatedProvider::start(Kind::NtxpayBr).await.unwrap();
    let (metrics, upstream) = Setup::new(Kind::NtxpayBr).at(&url.await, token("old"));
    let account = Account { provider, metrics, upstream };
    let reading = account.spawn_read(0);
    until(|| account.in_flight() == 1).await;

    rotated(&account, token("new"), true);
    is_rotated.notify_one();
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
