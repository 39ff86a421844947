//! Spans of reads, and the links of the requests that waited for them.

use super::*;

#[tokio::test]
async fn a_read_is_a_separate_trace_with_its_attempts() {
    let collector = Collector::start().await;
    let gateway = collector.gateway("1", "").await;
    gateway.provider(Kind::NtxpayBr).queue(Fault::on_balance(FaultKind::status(500)));
    gateway.provider(Kind::NtxpayBr).queue(Fault::on_balance(FaultKind::status(503)));

    gateway.get(BRAZIL).await;
    let spans = collector.spans_of(gateway).await;

    let ([request], [read]) = (&*spans.requests(), &*spans.reads()) else { panic!("{:?}", spans.0) };
    assert_eq!(links(request), [context(read)]);
    assert_ne!(request.trace_id, read.trace_id);
    assert!(read.parent_span_id.is_empty() && read.links.is_empty());
    assert_eq!(attribute(read, "balance_gateway.provider"), "ntxpay-br");
    assert_eq!(attribute(read, "balance_gateway.account"), "ntxpay-br-demo");
    let attempts = [("token", ""), ("balance", "status")];
    assert_eq!(spans.attempts(read), attempts.map(|(a, b)| (a.to_owned(), b.to_owned())));
    assert_eq!(attribute(read, "error.type"), "status");
    assert_eq!(attribute(request, "error.type"), "provider_error");
    assert_eq!(attribute(request, "balance_gateway.outcome"), "error");
    for span in [request, read] {
        assert_eq!(span.status.as_ref().unwrap().code(), StatusCode::Error);
    }
}

#[tokio::test]
async fn three_callers_link_to_the_one_read_they_waited_for() {
    let collector = Collector::start().await;
    let gateway = collector.gateway("1", "").await;
    gateway.provider(Kind::NtxpayBr).queue(Fault::on_balance(FaultKind::Delay { ms: 2_000 }));

    let asking = [(); 3].map(|()| begin(&gateway, &[]));
    in_flight(&gateway, 3).await;
    gateway.provider(Kind::NtxpayBr).end_delays();
    for task in asking {
        assert_eq!(task.await.unwrap().status, 200);
    }
    let spans = collector.spans_of(gateway).await;

    let [read] = *spans.reads() else { panic!("{:?}", spans.0) };
    let linked: Vec<_> = spans.requests().into_iter().map(links).collect();
    assert_eq!(linked, vec![vec![context(read)]; 3]);
}

#[tokio::test]
async fn a_read_of_an_unsampled_request_is_exported_for_a_sampled_waiter() {
    let collector = Collector::start().await;
    let gateway = collector.gateway("0", "").await;
    gateway.provider(Kind::NtxpayBr).queue(Fault::on_balance(FaultKind::Delay { ms: 2_000 }));

    let leader = begin(&gateway, &[]);
    gateway.provider(Kind::NtxpayBr).wait_for_calls(2).await;
    let waiters = ["01", "00", "01"].map(|flags| begin(&gateway, &[("traceparent", &parent(flags))]));
    in_flight(&gateway, 4).await;
    gateway.provider(Kind::NtxpayBr).end_delays();
    leader.await.unwrap();
    for task in waiters {
        assert_eq!(task.await.unwrap().status, 200);
    }
    let spans = collector.spans_of(gateway).await;

    let [read] = *spans.reads() else { panic!("{:?}", spans.0) };
    let linked: Vec<_> = spans.requests().into_iter().map(links).collect();
    assert_eq!(linked, vec![vec![context(read)]; 2]);
    assert_eq!(spans.attempts(read).len(), 2);
}

#[tokio::test]
async fn a_request_that_stops_waiting_is_linked_to_its_read() {
    let collector = Collector::start().await;
    let gateway = collector.gateway("0", "").await;
    gateway.provider(Kind::NtxpayBr).queue(Fault::on_balance(FaultKind::Delay { ms: 2_000 }));

    let staying = begin(&gateway, &[]);
    gateway.provider(Kind::NtxpayBr).wait_for_calls(2).await;
    let headers = [("traceparent", &*parent("01")), ("prefer", "wait=0")];
    gateway.get_with(BRAZIL, &headers).await.assert_problem(504, "deadline_exceeded");
    gateway.provider(Kind::NtxpayBr).end_delays();
    assert_eq!(staying.await.unwrap().status, 200);
    let spans = collector.spans_of(gateway).await;

    let ([request], [read]) = (&*spans.requests(), &*spans.reads()) else { panic!("{:?}", spans.0) };
    assert_eq!(links(request), [context(read)]);
    assert_eq!(attribute(request, "error.type"), "deadline_exceeded");
}

#[tokio::test]
async fn an_abandoned_request_has_a_span_and_a_link() {
    let collector = Collector::start().await;
    let gateway = collector.gateway("0", "").await;
    gateway.provider(Kind::NtxpayBr).queue(Fault::on_balance(FaultKind::Delay { ms: 2_000 }));

    let staying = begin(&gateway, &[]);
    gateway.provider(Kind::NtxpayBr).wait_for_calls(2).await;
    let leaving = begin(&gateway, &[("traceparent", &parent("01")), ("x-request-id", "leaving")]);
    in_flight(&gateway, 2).await;
    leaving.abort();
    in_flight(&gateway, 1).await;
    gateway.provider(Kind::NtxpayBr).end_delays();
    assert_eq!(staying.await.unwrap().status, 200);
    let spans = collector.spans_of(gateway).await;

    let ([request], [read]) = (&*spans.requests(), &*spans.reads()) else { panic!("{:?}", spans.0) };
    assert_eq!(links(request), [context(read)]);
    assert_eq!(request.name, "GET /v1/accounts/{account}/balance");
    assert_eq!(attribute(request, "balance_gateway.request_id"), "leaving");
    assert_eq!(attribute(request, "error.type"), "abandoned");
    assert_eq!(attribute(request, "http.response.status_code"), "");
    assert_eq!(request.status.as_ref().unwrap().code(), StatusCode::Error);
}

#[tokio::test]
async fn a_hit_has_no_link_and_a_batch_has_one_per_read() {
    let collector = Collector::start().await;
    let gateway = collector.gateway("1", "").await;

    gateway.get("/v1/balances").await;
    gateway.get(BRAZIL).await;
    let spans = collector.spans_of(gateway).await;

    let [batch, hit] = *spans.requests() else { panic!("{:?}", spans.0) };
    assert_eq!((batch.links.len(), spans.reads().len()), (6, 6));
    assert_eq!(attribute(hit, "balance_gateway.outcome"), "hit");
    assert!(hit.links.is_empty());
}
