//! The state that survives a new configuration of an account or its provider.

mod renewals;
mod rotation;

use super::*;

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
