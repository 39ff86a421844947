//! The issuer's keys: fetched, rotated, unreachable, hostile.

use super::*;

#[tokio::test]
async fn keys_are_fetched_at_start_with_the_configured_ca_and_token() {
    let (key, authority) = (Key::rsa("rsa"), Authority::new());
    let server = Server::start(Behaviour::Answer(200, jwks(&[&key])), Some(authority.acceptor())).await;
    let (folder, port) = (Folder::new(), server.address.port());
    let ca = folder.write("ca.crt", &authority.pem());
    let url = format!("https://localhost:{port}/openid/v1/jwks");
    let source = |ca: &str| format!("{{ url = \"{url}\", {ca} token = {{ env = \"ISSUER_TOKEN\" }} }}");

    let trusting = gateway(&source(&format!("ca = {ca:?},"))).await;
    let suspicious = gateway(&source("")).await;

    let token = key.sign(&claims(CHECKOUT));
    assert_eq!(ask(&trusting, &token).await.status, 200);
    assert!(server.last_head().starts_with("GET /openid/v1/jwks HTTP/1.1\r\n"));
    assert!(server.last_head().contains("authorization: Bearer t0k3n-0f-th3-g4t3w4y\r\n"));
    ask(&suspicious, &token).await.assert_problem(401, "unauthenticated");
    assert_eq!((failures(&suspicious, "unknown_key").await, server.requests()), (1, 1));
}

#[tokio::test]
async fn keys_that_could_not_be_fetched_at_start_are_fetched_with_the_next_token() {
    let (key, server) = (Key::ec("ec"), Server::start(Behaviour::Answer(503, String::new()), None).await);
    let gateway = gateway_with_url(&server).await;
    let (token, begun) = (key.sign(&claims(CHECKOUT)), Instant::now());

    assert_eq!(gateway.operations("/readyz").await.status, 200);
    ask(&gateway, &token).await.assert_problem(401, "unauthenticated");
    assert_eq!(failures(&gateway, "unknown_key").await, 1);
    assert_eq!(ask(&gateway, KEY).await.status, 200);

    server.set(Behaviour::Answer(200, jwks(&[&key])));
    until_accepted(&gateway, &token).await;
    assert!(begun.elapsed() >= Duration::from_secs(9), "{:?}", begun.elapsed());
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn rotated_keys_are_fetched_and_old_ones_kept_while_the_fetch_fails() {
    let (old, new) = (Key::ec("old"), Key::rsa("new"));
    let server = Server::start(Behaviour::Answer(200, jwks(&[&old])), None).await;
    let gateway = gateway_with_url(&server).await;
    let (first, second) = (old.sign(&claims(CHECKOUT)), old.sign(&with(&claims(CHECKOUT), "jti", json!(2))));
    let rotated = new.sign(&claims(CHECKOUT));
    assert_eq!(ask(&gateway, &first).await.status, 200);

    ask(&gateway, &rotated).await.assert_problem(401, "unauthenticated");
    server.set(Behaviour::Answer(200, jwks(&[&new])));
    for token in [&first, &second] {
        assert_eq!(ask(&gateway, token).await.status, 200);
    }
    until_accepted(&gateway, &rotated).await;

    // Tokens of the removed key are refused, also those verified before.
    for token in [&first, &second] {
        ask(&gateway, token).await.assert_problem(401, "unauthenticated");
    }
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn a_hostile_issuer_affects_no_other_caller() {
    let key = Key::ec("ec");
    let good = Server::start(Behaviour::Answer(200, jwks(&[&key])), None).await;
    let set = jwks(&[&key]);
    let padded = format!("{}{set}", " ".repeat(64 * 1024));
    let token = key.sign(&claims(CHECKOUT));
    for behaviour in [
        Behaviour::Hang,
        Behaviour::Endless,
        Behaviour::Redirect(format!("http://{}/", good.address)),
        Behaviour::Answer(200, padded),
        Behaviour::Answer(200, "<html>".to_owned()),
        Behaviour::Answer(200, "[".repeat(10_000)),
        Behaviour::Answer(
            200,
            r#"{"keys": [{"kid": "ec", "kty": "EC", "crv": "P-256", "x": "", "y": ""}]}"#.to_owned(),
        ),
        Behaviour::Answer(404, set),
    ] {
        let server = Server::start(behaviour.clone(), None).await;
        let gateway = gateway_with_url(&server).await;
        let asked = Instant::now();

        assert_eq!(ask(&gateway, KEY).await.status, 200);
        assert!(asked.elapsed() < Duration::from_secs(2));
        ask(&gateway, &token).await.assert_problem(401, "unauthenticated");

        assert!(asked.elapsed() < Duration::from_secs(5), "{behaviour:?} {:?}", asked.elapsed());
        assert_eq!(server.requests(), 1, "{behaviour:?}");
    }
    assert_eq!(good.requests(), 0);
}

#[tokio::test]
async fn a_changed_key_file_is_read_again() {
    let (old, new) = (Key::ec("old"), Key::rsa("new"));
    let site = Site::new("").await;
    let file = site.folder.write("jwks.json", &jwks(&[&old]));
    let text = fs::read_to_string(&site.config).unwrap();
    let section = format!(
        "[auth.kubernetes]\nissuer = \"{NAME}\"\naudience = \"{AUDIENCE}\"\njwks = {{ file = {file:?} }}\n\
         [callers.checkout]\nservice_account = \"{CHECKOUT}\"\naccounts = [\"*\"]\n"
    );
    site.folder.write("gateway.toml", &[text, section].concat());
    let gateway = site.serve().await;
    let status = async |token: &str| {
        let request = gateway.client.get(format!("http://{}/v1/accounts", gateway.api)).bearer_auth(token);
        Reply::read(request.send().await.unwrap()).await.status
    };
    let (first, second) = (old.sign(&claims(CHECKOUT)), new.sign(&claims(CHECKOUT)));
    assert_eq!((status(&first).await, status(&second).await), (200, 401));

    site.folder.write("jwks.json", "{}");
    eventually("the unreadable file is logged", || async { gateway.lines_of("config_unread").len() == 1 })
        .await;
    assert_eq!(gateway.logged("config_unread").await[0]["key"], "auth.kubernetes.jwks");
    assert_eq!(status(&first).await, 200);

    site.folder.write("jwks.json", &jwks(&[&new]));
    eventually("the file is read again", || async { gateway.lines_of("config_reloaded").len() >= 2 }).await;
    assert_eq!((status(&first).await, status(&second).await), (401, 200));
}

/// The gateway fetches keys at most every ten seconds, and only for a request.
async fn until_accepted(gateway: &Harness, token: &str) {
    let is_accepted = || async {
        let reply = ask(gateway, token).await;
        if reply.status == 200 { Ok(()) } else { Err(reply) }
    };
    // Fewer than 20 in ten seconds, so that none is throttled.
    let pause = Duration::from_millis(700);
    retry_every(pause, Duration::from_secs(20), is_accepted).await.expect("the token is accepted");
}
