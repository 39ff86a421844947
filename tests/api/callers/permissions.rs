//! Accounts that a caller may not read.

use super::*;

/// An answer about an account, without its name and without the parts that differ per request.
fn told(reply: &Reply, account: &str) -> (u16, Vec<(String, String)>, String) {
    let own = ["date", "ratelimit"];
    let headers =
        reply.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let mut headers: Vec<_> = headers.filter(|(name, _)| !own.contains(&name.as_str())).collect();
    headers.sort();
    (reply.status, headers, reply.body.replace(account, "ACCOUNT"))
}

#[tokio::test]
async fn a_forbidden_account_looks_exactly_like_an_unknown_one() {
    let gateway = with_some().await;
    gateway.get("/v1/balances").await;
    let asked = gateway.provider(Kind::Avista).calls().len();
    // All have the same length: one exists but is forbidden, one does not exist, one would be allowed.
    let [hidden, unknown, absent] = ["avista-demo", "avista-nope", "ntxpay-nope"];
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"] {
        for rest in [
            "",
            "/",
            "/balance",
            "/balance/",
            "/balance?currency=EUR",
            "/balance?type=NONE",
            "/balance?x=1",
            "/balance?not_before=x",
            "/invalidate",
            "/invalidate?x=1",
            "/nothing",
            "/balance/deeper",
        ] {
            for (headers, body) in [
                (vec![], 0),
                (vec![("cache-control", "no-cache")], 0),
                (vec![("cache-control", "only-if-cached"), ("prefer", "wait=0")], 0),
                (vec![("if-none-match", "*")], 4096),
                (vec![], 5000),
            ] {
                let ask = async |account: &str| {
                    let path = format!("/v1/accounts/{account}{rest}");
                    let mut request =
                        gateway.request(method, &path, Some(SOME_KEY)).header("x-request-id", "same");
                    for (name, value) in &headers {
                        request = request.header(*name, *value);
                    }
                    let request = if body > 0 { request.body("x".repeat(body)) } else { request };
                    Reply::read(request.send().await.unwrap()).await
                };

                let (hidden_reply, unknown_reply, absent_reply) =
                    (ask(hidden).await, ask(unknown).await, ask(absent).await);

                let expected = told(&unknown_reply, unknown);
                let what = format!("{method} {rest} {headers:?} {body}");
                assert_eq!(told(&hidden_reply, hidden), expected, "{what}");
                assert_eq!(told(&absent_reply, absent), expected, "{what}");
                if method == "HEAD" {
                    assert_eq!(hidden_reply.status, 404, "{what}");
                } else {
                    hidden_reply.assert_problem(404, "account_not_found");
                    assert_eq!(hidden_reply.json()["account"], hidden);
                    assert_eq!(hidden_reply.json().get("provider"), None);
                }
            }
        }
    }
    assert_eq!(gateway.provider(Kind::Avista).calls().len(), asked);
}

#[tokio::test]
async fn lists_and_batches_show_only_the_callers_accounts() {
    let gateway = with_some().await;
    let ask = async |path: &str| gateway.send("GET", path, Some(SOME_KEY), &[("x-request-id", "same")]).await;

    let accounts = ask("/v1/accounts").await.json();
    let all = ask("/v1/balances").await.json();
    let hidden = ask("/v1/balances?account=avista-demo").await;
    let unknown = ask("/v1/balances?account=avista-nope").await;
    let hidden_provider = ask("/v1/balances?provider=avista").await;
    let unknown_provider = ask("/v1/balances?provider=nobody").await;

    let names = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|item| item["account"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&accounts["accounts"]), ["ntxpay-br-demo", "ntxpay-mx-demo"]);
    assert_eq!(names(&all["balances"]), ["ntxpay-br-demo", "ntxpay-mx-demo"]);
    assert_eq!((&all["errors"], &all["complete"]), (&json!([]), &json!(true)));
    assert_eq!(told(&hidden, "avista-demo"), told(&unknown, "avista-nope"));
    assert_eq!(hidden.json()["errors"][0]["problem"]["code"], "account_not_found");
    assert_eq!(told(&hidden_provider, ""), told(&unknown_provider, ""));
    assert_eq!(hidden_provider.json(), json!({"balances": [], "errors": [], "complete": true}));
    assert!(gateway.provider(Kind::Avista).calls().is_empty());
}

#[tokio::test]
async fn a_forbidden_account_costs_as_much_as_an_unknown_one() {
    record("secrets", SOME_KEY);
    let further = format!(
        "[callers.some]\nkeys_sha256 = [\"{}\"]\naccounts = [\"ntxpay-*\"]\n\
         limit = {{ requests = 10, per = \"1m\", burst = 10 }}\n",
        digest(SOME_KEY)
    );
    let gateway = Harness::start(Setup { further, ..Setup::default() }).await;
    let mut left = Vec::new();
    for path in [
        "/v1/accounts/avista-demo/balance",
        "/v1/accounts/avista-nope/balance",
        "/v1/balances?account=pluggo-demo&account=avista-demo",
        "/v1/balances?account=pluggo-nope&account=avista-nope",
    ] {
        let reply = gateway.send("GET", path, Some(SOME_KEY), &[]).await;

        left.push(units(&reply, "ratelimit", "caller")["r"]);
    }
    assert_eq!(left, [9, 8, 6, 4]);
}

#[tokio::test]
async fn an_empty_account_name_is_404() {
    let gateway = Harness::usual().await;
    for (method, path) in [("GET", "/v1/accounts//balance"), ("POST", "/v1/accounts//invalidate")] {
        gateway.send(method, path, Some(KEY), &[]).await.assert_problem(404, "account_not_found");
    }
}
