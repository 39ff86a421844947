//! A declared kind with a token exchange over mutual TLS, as Efí, Inter and Celcoin use it.

use balance_gateway::sandbox::Operation;

use super::{BODY, CLIENT, FIRST, Form, SECOND, Site, base64, forms, new_balance, reload, script};
use crate::harness::eventually;
use crate::mutual_tls::{Authority, Presented, der, terminate};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_exchanged_renewed_and_rotated_over_mutual_tls() {
    let Form { kind, account, routes, .. } =
        forms().into_iter().find(|form| form.name == "a token by Basic").unwrap();
    let site = Site::new(&kind, BODY, "available = \"48734.91\"", account).await;
    site.provider.set_script(script(routes(FIRST)));
    site.provider.set_token_life(2);
    let (authority, presented) = (Authority::new(), Presented::default());
    let [certificate, private_key] = authority.issue("client");
    let provider = site.provider.addr().to_string();
    let port = terminate(authority.acceptor(), provider, Presented::clone(&presented)).await;
    let [ca, cert_file, key_file] =
        [("ca.pem", &authority.pem()), ("client.pem", &certificate), ("client.key", &private_key)]
            .map(|(name, pem)| site.folder.write(name, pem));
    site.rewrite(&site.provider.url(), &format!("https://localhost:{port}"));
    site.rewrite(
        "budget =",
        &format!(
            "extra_ca = {ca:?}\nclient_identity = {{ certificate = {{ file = {cert_file:?} }}, \
             private_key = {{ file = {key_file:?} }} }}\nbudget ="
        ),
    );
    let gateway = site.serve().await;

    // Each read must succeed until the provider has issued a token for this secret, and a further one to renew it.
    for secret in [FIRST, SECOND] {
        let basic = format!("Basic {}", base64(&format!("{CLIENT}:{secret}")));
        eventually("the token is issued and renewed", || async {
            let reply = new_balance(&gateway).await;
            assert_eq!((reply.status, &reply.json()["available"]), (200, &"48734.91".into()), "{reply:?}");
            let calls = site.calls(Operation::Token);
            calls.iter().filter(|call| call.header("authorization") == Some(&basic)).count() >= 2
        })
        .await;
        site.folder.write("secret", SECOND);
        site.provider.set_script(script(routes(SECOND)));
        reload(&gateway).await;
    }

    let presented = presented.lock().unwrap();
    assert!(!presented.is_empty() && presented.iter().all(|seen| *seen == der(&certificate)));
    let output = gateway.output();
    let lines = private_key.lines().filter(|line| !line.starts_with("-----"));
    for secret in lines.chain([FIRST, SECOND]) {
        assert!(!output.contains(secret), "a secret is in the log");
    }
}
