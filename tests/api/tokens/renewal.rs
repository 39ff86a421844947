//! When a token is renewed: ahead of time, after a 401, or not at all.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_expires_during_load_is_renewed_ahead_and_no_caller_sees_an_error() {
    let gateway = with_provider("budget = { requests = 1000000, per = \"1m\" }\n").await;
    gateway.provider(KIND).set_token_life(2);
    let end = Instant::now() + Duration::from_secs(5);

    let load = || async {
        let mut failures = Vec::new();
        while Instant::now() < end {
            let reply = gateway.new_balance(KIND).await;
            if reply.status != 200 {
                failures.push(reply);
            }
        }
        failures
    };
    let failures: Vec<_> =
        futures_util::future::join_all((0..4).map(|_| load())).await.into_iter().flatten().collect();

    assert!(failures.is_empty(), "{failures:?}");
    let refused: Vec<_> =
        gateway.provider(KIND).calls().into_iter().filter(|call| call.status >= Some(400)).collect();
    assert!(refused.is_empty(), "{refused:?}");
    let token_calls = gateway.calls(KIND, Operation::Token);
    assert!((4..=6).contains(&token_calls.len()), "{} token calls", token_calls.len());
    for pair in token_calls.windows(2) {
        let gap = pair[1].instant.duration_since(pair[0].instant);
        assert!((Duration::from_millis(950)..Duration::from_secs(2)).contains(&gap), "{gap:?}");
    }
}

#[tokio::test]
async fn an_unused_token_is_not_renewed_ahead() {
    let gateway = with_provider("budget = { requests = 1000000, per = \"1m\" }\n").await;
    let used = Kind::Avista;
    for kind in [KIND, used] {
        gateway.provider(kind).set_token_life(2);
        gateway.balance(kind).await;
    }
    // The token was used once and is renewed once; the renewed one is not used.
    eventually("the token is renewed", || async { gateway.calls(KIND, Operation::Token).len() == 2 }).await;

    // No event shows that nothing happens, so the test waits for three renewals of another token, which is used.
    let enough = gateway.calls(used, Operation::Token).len() + 3;
    eventually("the used token is renewed", || async {
        gateway.new_balance(used).await;
        gateway.calls(used, Operation::Token).len() >= enough
    })
    .await;

    assert_eq!(gateway.calls(KIND, Operation::Token).len(), 2);
}

#[tokio::test]
async fn a_401_drops_the_token_and_is_retried_once_with_a_new_one() {
    for status in [401, 403] {
        let gateway = Harness::usual().await;
        gateway.balance(KIND).await;
        gateway.provider(KIND).clear_calls();
        if status == 401 {
            gateway.provider(KIND).expire_tokens();
        } else {
            gateway.provider(KIND).queue(Fault::on_balance(FaultKind::RefuseToken { status }));
        }

        let reply = gateway.new_balance(KIND).await;

        assert_eq!(reply.status, 200, "{reply:?}");
        let calls = gateway.provider(KIND).calls();
        let expected = [
            (Operation::Balance, Some(status)),
            (Operation::Token, Some(201)),
            (Operation::Balance, Some(200)),
        ];
        assert_eq!(statuses(&calls), expected);
        assert_ne!(calls[0].header("authorization"), calls[2].header("authorization"));
        let series = "upstream_errors_total{provider=\"ntxpay-br\",operation=\"balance\",kind=\"refused\"}";
        assert_eq!(gateway.count(series).await, 1);
    }
}

#[tokio::test]
async fn a_new_token_that_stays_refused_is_a_problem_that_is_held_for_a_second() {
    for status in [401, 403] {
        let gateway = Harness::start(Setup {
            server: "request_timeout = \"17s\"".to_owned(),
            provider: "deadline = \"8s\"\n".to_owned(),
            ..Setup::default()
        })
        .await;
        gateway.provider(KIND).queue(Fault::on_balance(FaultKind::RefuseToken { status }).times(100));

        let refused = gateway.balance(KIND).await;

        refused.assert_problem(502, "provider_refused_credentials");
        assert_eq!(retry_after(&refused), 1, "{status}");
        let calls = gateway.provider(KIND).calls().len();
        assert_eq!(calls, 5, "one token call, and balance calls with the same token after 0, 0.5, 1 and 2 s");
    }
}

#[tokio::test]
async fn a_new_token_that_is_accepted_after_two_seconds_costs_no_request() {
    let gateway = Harness::start(Setup::default()).await;
    gateway.provider(KIND).queue(Fault::on_balance(FaultKind::RefuseToken { status: 401 }).times(3));

    let served = gateway.balance(KIND).await;

    assert_eq!(served.status, 200, "{served:?}");
    assert_eq!(gateway.provider(KIND).calls().len(), 5, "one token call, and four attempts with that token");
}

#[tokio::test]
async fn renewals_caused_by_a_401_are_ten_seconds_apart() {
    let gateway = Harness::usual().await;
    gateway.balance(KIND).await;
    gateway.provider(KIND).expire_tokens();
    let renewed = gateway.new_balance(KIND).await;
    gateway.provider(KIND).expire_tokens();

    let refused = gateway.new_balance(KIND).await;
    let held = gateway.new_balance(KIND).await;

    assert_eq!(renewed.status, 200);
    refused.assert_problem(502, "provider_refused_credentials");
    held.assert_problem(502, "provider_refused_credentials");
    assert!((1..=10).contains(&retry_after(&refused)), "{refused:?}");
    assert_eq!(gateway.calls(KIND, Operation::Token).len(), 2);
    assert_eq!(gateway.calls(KIND, Operation::Balance).len(), 4);
}

#[tokio::test]
async fn a_failed_early_renewal_fails_no_request_while_the_old_token_is_valid() {
    let gateway = Harness::usual().await;
    gateway.provider(KIND).set_token_life(6);
    gateway.balance(KIND).await;
    gateway.provider(KIND).queue(Fault::on_token(FaultKind::status(500)));

    let renewals = || async { gateway.calls(KIND, Operation::Token).len() >= 3 };
    eventually("the renewal is tried again", renewals).await;
    let reply = gateway.new_balance(KIND).await;

    assert_eq!(reply.status, 200, "{reply:?}");
    let calls: Vec<_> = gateway.calls(KIND, Operation::Token).iter().map(|call| call.status).collect();
    assert_eq!(calls, [Some(201), Some(500), Some(201)]);
}
