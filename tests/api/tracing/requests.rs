//! Spans of requests: their parents, refusals, and what they must not hold.

use super::*;

#[tokio::test]
async fn a_request_span_is_a_child_of_the_callers_span() {
    let collector = Collector::start().await;
    let gateway = collector.gateway("0", "").await;

    let headers = [("traceparent", &*parent("01")), ("tracestate", "congo=t61,rojo=00f0")];
    let reply = gateway.get_with(BRAZIL, &headers).await;
    let spans = collector.spans_of(gateway).await;

    assert_eq!(reply.status, 200);
    let [request] = *spans.requests() else { panic!("{:?}", spans.0) };
    assert_eq!((&*hex(&request.trace_id), &*hex(&request.parent_span_id)), (TRACE, PARENT));
    assert_eq!(request.trace_state, "congo=t61,rojo=00f0");
    assert_eq!(request.name, "GET /v1/accounts/{account}/balance");
    assert!(request.start_time_unix_nano > 0 && request.start_time_unix_nano < request.end_time_unix_nano);
    assert!(request.status.is_none());
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/v1/accounts/{account}/balance"),
        ("http.response.status_code", "200"),
        ("balance_gateway.caller", "all"),
        ("balance_gateway.account", "ntxpay-br-demo"),
        ("balance_gateway.outcome", "miss"),
        ("balance_gateway.request_id", reply.header("x-request-id")),
        ("error.type", ""),
    ] {
        assert_eq!(attribute(request, key), value, "{key}");
    }
}

#[tokio::test]
async fn a_parents_sampling_decision_overrides_the_configured_share() {
    for (sample, flags, is_sent) in
        [("1", Some("00"), false), ("0", Some("01"), true), ("1", None, true), ("0", None, false)]
    {
        let collector = Collector::start().await;
        let gateway = collector.gateway(sample, "").await;

        let parent = flags.map(parent);
        let headers: Vec<_> = parent.iter().map(|parent| ("traceparent", &**parent)).collect();
        let reply = gateway.get_with(BRAZIL, &headers).await;
        let spans = collector.spans_of(gateway).await;

        assert_eq!(reply.status, 200);
        // The request, the read, a token and a balance.
        assert_eq!(spans.0.len(), if is_sent { 4 } else { 0 }, "{sample} {flags:?} {:?}", spans.0);
    }
}

#[tokio::test]
async fn a_malformed_parent_is_ignored() {
    let collector = Collector::start().await;
    let gateway = collector.gateway("1", "").await;

    let malformed = format!("00-{}-{PARENT}-00", TRACE.to_uppercase());
    let headers = [("traceparent", &*malformed), ("tracestate", "congo=t61")];
    let reply = gateway.get_with(BRAZIL, &headers).await;
    let spans = collector.spans_of(gateway).await;

    assert_eq!(reply.status, 200);
    let [request] = *spans.requests() else { panic!("{:?}", spans.0) };
    assert!(request.parent_span_id.is_empty() && request.trace_state.is_empty());
    assert_ne!(hex(&request.trace_id), TRACE);
}

#[tokio::test]
async fn a_refused_request_has_a_span_and_a_page_has_none() {
    let collector = Collector::start().await;
    let gateway = collector.gateway("1", "").await;

    gateway.send("GET", "/v1/accounts/other/balance", Some("bgk_unknown"), &[]).await;
    gateway.send("BREW", "/v1/nothing", Some(KEY), &[]).await;
    gateway.send("GET", "/nothing", None, &[]).await;
    let spans = collector.spans_of(gateway).await;

    let [unknown, nothing] = *spans.requests() else { panic!("{:?}", spans.0) };
    assert_eq!(attribute(unknown, "http.response.status_code"), "401");
    assert_eq!(attribute(unknown, "balance_gateway.account"), "");
    assert_eq!(attribute(unknown, "error.type"), "unauthenticated");
    assert_eq!((&*nothing.name, &*attribute(nothing, "balance_gateway.caller")), ("_OTHER", "all"));
    assert!(unknown.status.is_none());
}

#[tokio::test]
async fn providers_get_no_trace_context_and_the_collector_no_amount_or_secret() {
    let collector = Collector::start().await;
    let gateway = collector.gateway("1", "").await;

    let parent = parent("01");
    let headers = [("traceparent", &*parent), ("tracestate", "congo=t61"), ("baggage", "user=1")];
    let reply = gateway.get_with("/v1/balances", &headers).await;
    let calls: Vec<_> = Kind::ALL.iter().flat_map(|kind| gateway.provider(*kind).calls()).collect();
    let secrets = Kind::ALL.map(|kind| gateway.provider(kind).credentials());
    let spans = collector.spans_of(gateway).await;

    assert_eq!(reply.json()["complete"], true);
    assert!(calls.len() > Kind::ALL.len());
    for call in calls {
        for name in ["traceparent", "tracestate", "baggage"] {
            assert_eq!(call.header(name), None, "{call:?}");
        }
    }
    let sent = format!("{:?}", spans.0);
    assert!(sent.contains("pluggo-demo"), "{sent}");
    for credentials in secrets {
        for secret in [credentials.client_secret, credentials.token, credentials.api_key] {
            assert!(!sent.contains(&secret), "{sent}");
        }
    }
    for hidden in [KEY, "48734", "20000.25", "1250.75", "310.2", "0.12345678"] {
        assert!(!sent.contains(hidden), "{hidden} in {sent}");
    }
}
