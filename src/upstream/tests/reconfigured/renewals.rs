//! The renewal of tokens ahead of time after a new configuration.

use super::*;

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

/// Tokens live 2 s and are renewed after 1 s.
#[tokio::test]
async fn a_switched_off_account_renews_no_token() {
    let account = Setup::new(Kind::NtxpayBr).with_client().start(Kind::NtxpayBr).await;
    account.provider.set_token_life(2);
    account.read(0).await.unwrap();

    let off = switched(&account, &account.upstream, false);
    until(|| off.tokens.live(clock::monotonic()).is_none()).await;
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
