//! Credentials that are rotated while replicas share the holds of refused ones.

use super::processes::Ground;
use crate::harness::eventually;

const PATH: &str = "/v1/accounts/treasury/balance";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_token_is_tried_as_soon_as_the_provider_refuses_the_old_one() {
    let ground = Ground::new(2, "").await;
    let provider = &ground.site.provider;
    provider.accept_token("first-token");
    let file = ground.site.folder.write("token", "first-token");
    ground.use_token(&file);
    let gateway = ground.replica(0).await;
    let fresh = || gateway.get_with(PATH, &[("cache-control", "no-cache")]);
    assert_eq!(fresh().await.status, 200);

    ground.site.folder.write("token", "second-token");
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
