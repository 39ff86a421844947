//! The pages and their files as a browser loads them: without a key, with the policy, and cached by `ETag`.

use crate::harness::Harness;

/// The exact documented policy.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[tokio::test]
async fn every_page_needs_no_key_loads_nothing_else_and_is_cached_by_etag() {
    let gateway = Harness::usual().await;
    let of_docs = POLICY.replace("img-src 'self'", "img-src 'self' data:");

    for (path, content_type, policy) in [
        ("/openapi.json", "application/json", POLICY),
        ("/docs", "text/html; charset=utf-8", &of_docs),
        ("/docs/style.css", "text/css; charset=utf-8", &of_docs),
        ("/dashboard", "text/html; charset=utf-8", POLICY),
        ("/dashboard/style.css", "text/css; charset=utf-8", POLICY),
        ("/dashboard/script.js", "text/javascript; charset=utf-8", POLICY),
        ("/dashboard/rows.js", "text/javascript; charset=utf-8", POLICY),
        ("/dashboard/icon.svg", "image/svg+xml", POLICY),
    ] {
        let page = gateway.send("GET", path, None, &[]).await;
        let head = gateway.send("HEAD", path, None, &[]).await;
        let again = gateway.send("GET", path, None, &[("if-none-match", page.header("etag"))]).await;
        let other = gateway.send("GET", path, None, &[("if-none-match", "\"x\"")]).await;

        assert_eq!((page.status, page.header("content-type")), (200, content_type), "{path}");
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{path}");
        assert_eq!((other.status, &other.body), (200, &page.body), "{path}");
        for reply in [&page, &head, &again] {
            assert_eq!(reply.header("content-security-policy"), policy, "{path}");
            assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
            assert_eq!(reply.header("cache-control"), "no-cache", "{path}");
            assert_eq!(reply.header("etag"), page.header("etag"), "{path}");
        }
    }
}

#[tokio::test]
async fn no_other_file_is_served_beside_the_pages() {
    let gateway = Harness::usual().await;

    for path in ["/dashboard/", "/dashboard/index.html", "/dashboard/%ff", "/docs/style.css/x", "//"] {
        gateway.send("GET", path, None, &[]).await.assert_problem(404, "not_found");
    }
    let posted = gateway.send("POST", "/dashboard", None, &[]).await;
    posted.assert_problem(405, "method_not_allowed");
    assert_eq!(posted.header("allow"), "GET,HEAD");
}
