//! Secrets and certificates that rotate, cannot be read, or are refused.

use super::*;

/// A folder as Kubernetes mounts a Secret: each file is a link through `..data`, and an update swaps the link `..data`.
fn mounted(folder: &Folder, generation: &str, client_secret: &str, certificate: &str) {
    let data = folder.0.join("mount").join(generation);
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("client_secret"), client_secret).unwrap();
    fs::write(data.join("client.pem"), certificate).unwrap();
    let (link, next) = (folder.0.join("mount/..data"), folder.0.join("mount/..data_tmp"));
    symlink(generation, &next).unwrap();
    fs::rename(next, link).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_and_a_certificate_rotated_by_a_swapped_link_under_load_fail_no_answer() {
    let site = site().await;
    site.provider.require_certificate(true);
    let old = site.provider.credentials().client_secret;
    let [certificate, next_certificate] = [(); 2].map(|()| {
        rcgen::generate_simple_self_signed(["gateway".to_owned()]).unwrap().cert.pem().replace("\r\n", "\n")
    });
    mounted(&site.folder, "..2026_1", &old, &certificate);
    let mount = site.folder.0.join("mount");
    for name in ["client_secret", "client.pem"] {
        symlink(format!("..data/{name}"), mount.join(name)).unwrap();
    }
    let mount = mount.display();
    let secret = format!("client_secret = {{ file = \"{}/client_secret\" }}", site.folder.0.display());
    site.rewrite(
        &secret,
        &format!(
            "client_secret = {{ file = \"{mount}/client_secret\" }}\n\
             certificate = {{ file = \"{mount}/client.pem\" }}"
        ),
    );
    let gateway = Arc::new(site.serve().await);
    let load = Load::begin(&gateway).await;

    site.provider.accept_secret(ROTATED);
    record("secrets", ROTATED);
    mounted(&site.folder, "..2026_2", ROTATED, &next_certificate);
    eventually("the change is noticed without a signal", || async { reloads(&gateway).await == [1, 0] })
        .await;
    site.provider.refuse_secret(&old);
    site.provider.expire_tokens();
    eventually("the new secret and certificate are in use", || async {
        let is_new = |call: &Call| {
            let sent = call.header("x-ssl-client-cert").unwrap_or_default();
            let sent = percent_encoding::percent_decode_str(sent).decode_utf8().unwrap();
            call.body.contains(ROTATED) && call.status == Some(201) && sent.trim() == next_certificate.trim()
        };
        site.provider.calls().iter().any(is_new)
    })
    .await;

    assert_eq!(load.end().await.failed, 0);
    assert_eq!(metric(&gateway, "credential_rejected{account=\"treasury\"}").await, Some(0.0));
    assert_eq!(gateway.logged("config_reloaded").await[0]["changed"], "accounts.treasury");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_new_secret_is_logged_and_fails_no_request() {
    let site = site().await;
    let gateway = Arc::new(site.serve().await);
    let load = Load::begin(&gateway).await;

    site.replace("client_secret", MISTYPED);
    record("secrets", MISTYPED);
    gateway.signal("HUP");
    eventually("the reload is counted", || async { reloads(&gateway).await == [1, 0] }).await;
    site.provider.expire_tokens();
    let rejected = "credential_rejected{account=\"treasury\"}";
    eventually("the new secret was refused", || async { metric(&gateway, rejected).await == Some(1.0) })
        .await;
    let status = gateway.get(&gateway.ops, "/status").await.unwrap();
    site.replace("client_secret", &site.provider.credentials().client_secret);
    eventually("the old one is back", || async { metric(&gateway, rejected).await == Some(0.0) }).await;

    assert_eq!(load.end().await.failed, 0);
    assert_eq!(status.json()["accounts"][0]["credential_rejected"], true);
    assert_eq!(gateway.logged("credential_rejected").await[0]["account"], "treasury");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreadable_secret_keeps_its_old_value_and_a_new_account_stays_off_until_its_secret_is_readable() {
    let site = site().await;
    let gateway = site.serve().await;
    balance(&gateway).await;

    site.replace("client_secret", "\n");
    change_and_reload(&gateway, &site, "[callers.all]", &site.account("second", "later")).await;
    site.provider.expire_tokens();
    let kept = gateway.client.get(format!("http://{}{PATH}", gateway.api)).bearer_auth(gateway.key);
    let kept = Reply::read(kept.header("cache-control", "no-cache").send().await.unwrap()).await;
    let waiting = gateway.get(&gateway.api, "/v1/accounts/second/balance").await.unwrap();
    site.folder.write("later", &site.provider.credentials().token);
    eventually("the new account is switched on", || async {
        gateway.get(&gateway.api, "/v1/accounts/second/balance").await.unwrap().status == 200
    })
    .await;

    assert_eq!(kept.status, 200, "{kept:?}");
    waiting.assert_problem(503, "disabled");
    assert_eq!(reloads(&gateway).await, [2, 0]);
    eventually("the log names both", || async { gateway.lines_of("config_unread").len() >= 2 }).await;
    let unread = gateway.lines_of("config_unread");
    let keys: Vec<_> = unread.iter().take(2).map(|line| line["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["accounts.treasury.client_secret", "accounts.second.token"]);
    assert!(unread[0]["file"].as_str().unwrap().ends_with("client_secret"), "{unread:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_secret_of_an_account_that_was_off_replaces_no_credential() {
    let site = site().await;
    let gateway = site.serve().await;
    change_and_reload(&gateway, &site, "[callers.all]", &site.account("second", "later")).await;

    site.folder.write("later", MISTYPED);
    record("secrets", MISTYPED);
    eventually("the new account is switched on", || async {
        gateway.get(&gateway.api, "/v1/accounts/second/balance").await.unwrap().status != 503
    })
    .await;
    let refused = gateway.get(&gateway.api, "/v1/accounts/second/balance").await.unwrap();

    refused.assert_problem(502, "provider_refused_credentials");
    assert_eq!(site.provider.calls().len(), 1, "{:?}", site.provider.calls());
    assert_eq!(metric(&gateway, "credential_rejected{account=\"second\"}").await, Some(0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_keeps_its_credential_while_an_additional_secret_is_missing() {
    let site = site().await;
    let gateway = site.serve().await;
    let before = balance(&gateway).await;
    let certificate = site.folder.0.join("client.pem").display().to_string();

    let treasury = "[accounts.treasury]";
    let further = format!("{treasury}\ncertificate = {{ file = \"{certificate}\" }}");
    change_and_reload(&gateway, &site, treasury, &further).await;
    let kept = balance(&gateway).await;
    let unread = gateway.logged("config_unread").await;
    change_and_reload(&gateway, &site, "[callers.all]", "[log]\nrequests = true\n[callers.all]").await;
    let still_kept = balance(&gateway).await;
    let pem = rcgen::generate_simple_self_signed(["gateway".to_owned()]).unwrap().cert.pem();
    site.folder.write("client.pem", &pem);
    eventually("the certificate is noticed", || async { reloads(&gateway).await == [3, 0] }).await;
    site.provider.require_certificate(true);
    site.provider.expire_tokens();
    let renewed = gateway.client.get(format!("http://{}{PATH}", gateway.api)).bearer_auth(gateway.key);
    let renewed = Reply::read(renewed.header("cache-control", "no-cache").send().await.unwrap()).await;

    assert_eq!((kept.status, &kept.body), (200, &before.body), "{kept:?}");
    assert_eq!((still_kept.status, renewed.status), (200, 200), "{still_kept:?} {renewed:?}");
    assert_eq!(unread[0]["key"], "accounts.treasury.certificate");
    assert!(unread[0]["message"].as_str().unwrap().contains("old credential is kept"), "{unread:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_client_certificate_ends_the_hold_after_a_refusal() {
    let site = site().await;
    let pair = || {
        let made = rcgen::generate_simple_self_signed(["gateway".to_owned()]).unwrap();
        [made.cert.pem(), made.signing_key.serialize_pem()]
    };
    let write = |[certificate, key]: [String; 2]| {
        [("tls.crt", certificate), ("tls.key", key)].map(|(name, pem)| site.folder.write(name, &pem))
    };
    let [certificate, key] = write(pair());
    let identity = format!(
        "{AMPLE}\nclient_identity = {{ certificate = {{ file = \"{certificate}\" }}, \
         private_key = {{ file = \"{key}\" }} }}"
    );
    site.rewrite(AMPLE, &identity);
    let gateway = site.serve().await;
    site.provider.queue(Fault::on_token(FaultKind::status(403)));
    balance(&gateway).await.assert_problem(502, "provider_refused_credentials");
    balance(&gateway).await.assert_problem(502, "provider_refused_credentials");

    write(pair());
    eventually("the reload is counted", || async { reloads(&gateway).await == [1, 0] }).await;

    assert_eq!(balance(&gateway).await.status, 200);
}
