//! JSON and CSV: the same figures, and the choice between them.

use super::*;

#[tokio::test]
async fn csv_and_json_hold_the_same_figures() {
    let setup = Setup {
        further: format!("{ALERTS}{SWITCHED_OFF}"),
        has_static_tokens: true,
        secrets: vec![("NTXPAY_BR_CLIENT_ID", "c".to_owned())],
        ..Setup::default()
    };
    let gateway = Harness::start(setup).await;
    for (kind, currency, field, raw) in [
        (Kind::NtxpayBr, "BRL", "netBalance", "79228162514264337593543950335"),
        (Kind::Avista, "BRL", "netBalance", "-0.0000000000000000000000000001"),
        (Kind::Pluggo, "BTC", "balance", "9007199254740993.00000001"),
        (Kind::Pluggo, "USD", "reserve", "1e2"),
        (Kind::NtxpayMx, "MXN", "availableCentavos", "-1"),
    ] {
        gateway.provider(kind).set_field(currency, None, field, raw);
    }
    gateway.get(PATH).await;
    // Both forms come from the same snapshots.
    let all = "?account=alerted&account=avista-demo&account=ntxpay-br-demo&account=ntxpay-mx-demo\
               &account=off-itself&account=pluggo-demo&account=nobody";
    let from_memory = ("cache-control", "max-age=60");
    let report = gateway.get_with(&format!("{PATH}{all}"), &[from_memory]).await;

    let table = gateway.get_with(&format!("{PATH}{all}"), &[from_memory, ("accept", "text/csv")]).await;

    assert_eq!(compare(&report, &table), 9);
    assert_eq!(table.header("content-type"), "text/csv; charset=utf-8; header=present");
    assert_eq!((table.header("cache-control"), table.header("vary")), ("no-store", "Accept"));
    assert!(table.header("age").parse::<u64>().unwrap() >= 1);
    assert!(table.body.starts_with("account,provider,currency,type,available,"));
    assert!(
        table.body.contains(",critical high high_blocked,") || table.body.contains(",high,"),
        "{table:?}"
    );
    assert!(table.body.contains("\r\nnobody,,,,,,,,,,,,,,account_not_found\r\n"), "{table:?}");
    assert!(table.body.contains("\r\noff-itself,ntxpay-br,BRL,,,,,,,,,,,,disabled\r\n"), "{table:?}");
}

#[tokio::test]
async fn a_name_chosen_by_the_caller_never_becomes_a_formula() {
    let gateway = Harness::usual().await;
    for (name, cell) in
        [("%3D1%2B1", "%3D1%2B1"), ("%2B1", "%2B1"), ("-1", "%2D1"), ("%40x", "%40x"), ("%09%3D1", "%09%3D1")]
    {
        let path = format!("{PATH}?account={name}");

        let table = gateway.get_with(&path, &[("accept", "text/csv")]).await;

        let row = table.body.lines().nth(1).unwrap();
        assert_eq!(row, format!("{cell},,,,,,,,,,,,,,account_not_found"));
    }
}

#[tokio::test]
async fn accept_chooses_json_or_csv() {
    let gateway = Harness::usual().await;
    for (accept, form) in [
        ("*/*", "application/json"),
        ("text/*", "text/csv; charset=utf-8; header=present"),
        ("text/csv;q=0.5, application/json;q=0.4", "text/csv; charset=utf-8; header=present"),
        ("text/csv, application/json", "application/json"),
        ("text/csv;q=0, */*", "application/json"),
    ] {
        let headers = [("accept", accept), ("cache-control", "max-age=60")];

        let reply = gateway.get_with(BRAZIL, &headers).await;
        let head = gateway.send("HEAD", BRAZIL, Some(KEY), &headers).await;

        assert_eq!((reply.status, reply.header("content-type")), (200, form), "{accept}");
        assert_eq!(
            (head.status, head.header("content-type"), head.body.as_str()),
            (200, form, ""),
            "{accept}"
        );
    }
    for accept in ["text/html", "application/json;q=0", "application/xml, */*;q=0"] {
        let refused = gateway.get_with(BRAZIL, &[("accept", accept)]).await;

        refused.assert_problem(406, "not_acceptable");
        assert_eq!(refused.header("vary"), "Accept");
    }
    // Only this path evaluates Accept.
    assert_eq!(gateway.get_with("/v1/balances", &[("accept", "text/html")]).await.status, 200);
}
