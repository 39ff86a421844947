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
