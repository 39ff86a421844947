//! Credentials that are rotated while replicas share the holds of refused ones.

use super::processes::SharedSite;
use crate::harness::eventually;

const PATH: &str = "/v1/accounts/treasury/balance";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_token_is_tried_as_soon_as_the_provider_refuses_the_old_one() {
    let shared_site = SharedSite::new(2, "").await;
    let provider = &shared_site.site.provider;
    provider.accept_token("first-token");
    let file = shared_site.site.folder.write("token", "first-token");
    shared_site.use_token(&file);
    let gateway = shared_site.replica(0).await;
    let fresh = || gateway.get_with(PATH, &[("cache-control", "no-cache")]);
    assert_eq!(fresh().await.status, 200);

    shared_site.site.folder.write("token", "second-token");
    gateway.signal("HUP");
    eventually("the newer token is refused", || async {
        fresh().await;
        !gateway.lines_of("credential_rejected").is_empty()
    })
    .await;
    assert_eq!(fresh().await.status, 200, "the old token still works");

    provider.accept_token("second-token");
    provider.refuse_token("first-token");
    let reply = fresh().await;

    assert_eq!(reply.status, 200, "{reply:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_token_does_not_hold_reads_with_another_token() {
    let shared_site = SharedSite::new(2, "").await;
    shared_site.site.provider.accept_token("second-token");
    let file = shared_site.site.folder.write("token", "first-token");
    shared_site.use_token(&file);
    let (first, second) = (shared_site.replica(0).await, shared_site.replica(1).await);
    let no_cache = [("cache-control", "no-cache")];
    first.get_with(PATH, &no_cache).await.assert_problem(502, "provider_refused_credentials");

    shared_site.site.folder.write("token", "second-token");
    second.signal("HUP");
    eventually("the token is read again", || async { !second.lines_of("config_reloaded").is_empty() }).await;
    let reply = second.get_with(PATH, &no_cache).await;

    assert_eq!(reply.status, 200, "{reply:?}");
}
