//! Every form of authentication that a kind can declare: tokens, renewals and rotations.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_form_of_authentication_reads_renews_and_survives_a_rotation() {
    for Form { name, kind, account, routes, has_token } in forms() {
        let site = Site::new(&kind, BODY, "available = \"48734.91\"", account).await;
        site.provider.set_script(script(routes(FIRST)));
        let gateway = site.serve().await;

        let reply = gateway.get(&gateway.api, ACCOUNT).await.unwrap();
        assert_eq!(
            (reply.status, &reply.json()["available"]),
            (200, &"48734.91".into()),
            "{name}: {reply:?}"
        );
        assert_eq!(site.calls(Operation::Token).len(), usize::from(has_token), "{name}");

        if has_token {
            site.provider.expire_tokens();
            assert_eq!(
                new_balance(&gateway).await.status,
                200,
                "{name}: a token that expired early is renewed"
            );
            assert_eq!(site.calls(Operation::Token).len(), 2, "{name}");
        }

        // The new secret arrives before the provider accepts it: the old one stays in use.
        site.folder.write("secret", SECOND);
        reload(&gateway).await;
        assert_eq!(
            new_balance(&gateway).await.status,
            200,
            "{name}: the old secret is used while the new one is refused"
        );
        // A live token is used until it expires; every other form tries the new secret first.
        let is_refused = site.calls(Operation::Balance).iter().any(|call| call.status == Some(401));
        assert!(has_token || is_refused, "{name}: the new secret was tried");
        let output = gateway.output();
        for secret in [FIRST, SECOND, CLIENT] {
            assert!(!output.contains(secret), "{name}: a secret is in the log");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_secret_is_used_at_once() {
    for Form { name, kind, account, routes, has_token } in forms() {
        let site = Site::new(&kind, BODY, "available = \"48734.91\"", account).await;
        site.provider.set_script(script(routes(FIRST)));
        let gateway = site.serve().await;
        assert_eq!(gateway.get(&gateway.api, ACCOUNT).await.unwrap().status, 200, "{name}");

        site.folder.write("secret", SECOND);
        site.provider.set_script(script(routes(SECOND)));
        reload(&gateway).await;
        if has_token {
            site.provider.expire_tokens();
        }

        let reply = new_balance(&gateway).await;
        assert_eq!(reply.status, 200, "{name}: {reply:?}");
    }
}
