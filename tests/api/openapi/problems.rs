//! Requests that are answered with a problem.

use balance_gateway::sandbox::{Fault, FaultKind, Kind};

use super::{BRAZIL, NO_OPERATION, Request};
use crate::harness::{Harness, Reply, SWITCHED_OFF, Setup, digest};

/// A further account of a provider.
const SECOND: &str = "[accounts.second]\nprovider = \"ntxpay-br\"\ntoken = { env = \"NTXPAY_BR_TOKEN\" }\n";
const SLOW: &str = "slow-caller-with-a-single-unit";

/// A request that is answered with a problem, and the faults that cause it.
pub(super) struct Case {
    pub(super) code: &'static str,
    setup: Setup,
    faults: Vec<FaultKind>,
    pub(super) request: Request,
    /// Requests that are sent and answered first.
    first: Option<Request>,
    /// Requests that are sent first and not yet answered.
    meanwhile: Option<Request>,
}

impl Case {
    fn new(code: &'static str, request: Request) -> Self {
        Self { code, setup: Setup::default(), faults: Vec::new(), request, first: None, meanwhile: None }
    }

    fn after(code: &'static str, faults: Vec<FaultKind>) -> Self {
        let setup = Setup {
            provider: "retries = 0\nconnect_timeout = \"200ms\"\nattempt_timeout = \"300ms\"\n".into(),
            has_static_tokens: true,
            ..Setup::default()
        };
        Self { setup, faults, ..Self::new(code, Request::balance(BRAZIL)) }
    }

    fn with_provider(self, provider: &str, further: &str) -> Self {
        let setup = Setup { provider: provider.into(), further: further.into(), ..self.setup };
        Self { setup, ..self }
    }

    pub(super) async fn answer(&self) -> Reply {
        let gateway = Harness::start(self.setup.clone()).await;
        for fault in &self.faults {
            gateway.provider(Kind::NtxpayBr).queue(Fault::on_balance(fault.clone()));
        }
        if let Some(first) = self.first {
            first.send(&gateway).await;
        }
        let Some(meanwhile) = self.meanwhile else { return self.request.send(&gateway).await };
        let (_, reply) = tokio::join!(meanwhile.send(&gateway), async {
            gateway.provider(Kind::NtxpayBr).wait_for_calls(1).await;
            self.request.send(&gateway).await
        });
        reply
    }
}

pub(super) fn status(status: u16) -> FaultKind {
    FaultKind::Status { status, retry_after: None, body: None }
}

/// One request for each code that a request can cause: all but `internal`.
pub(super) fn problems() -> Vec<Case> {
    let of_slow = Request { key: Some(SLOW), ..Request::balance(BRAZIL) };
    let slow_caller = format!(
        "[callers.slow]\nkeys_sha256 = [\"{}\"]\naccounts = [\"*\"]\n\
         limit = {{ requests = 60, per = \"1m\", burst = 1 }}\n",
        digest(SLOW)
    );
    let with = |further: &str| Setup { further: further.into(), ..Setup::default() };
    let headers = |headers| Request { headers, ..Request::balance(BRAZIL) };
    vec![
        Case::new("invalid_request", Request::balance("/v1/accounts/ntxpay-br-demo/balance?amount=1")),
        Case::new("unsupported_currency", Request::balance("/v1/accounts/pluggo-demo/balance?currency=JPY")),
        Case::new("unsupported_type", Request::balance("/v1/accounts/pluggo-demo/balance?type=SAVINGS")),
        Case::new("unauthenticated", Request { key: None, ..Request::balance(BRAZIL) }),
        Case::new("account_not_found", Request::balance("/v1/accounts/unknown/balance")),
        Case::new("not_found", Request::get(NO_OPERATION, "/v1/unknown")),
        Case::new("method_not_allowed", Request { method: "PUT", ..Request::balance(BRAZIL) }),
        Case {
            request: Request {
                headers: &[("accept", "application/pdf")],
                ..Request::get("/v1/reconciliation", "/v1/reconciliation")
            },
            ..Case::new("not_acceptable", Request::balance(BRAZIL))
        },
        Case::new("content_too_large", Request { body: LARGE, ..Request::balance(BRAZIL) }),
        Case { setup: with(&slow_caller), first: Some(of_slow), ..Case::new("rate_limited", of_slow) },
        Case::after("provider_unreachable", vec![FaultKind::Reset]),
        Case::after("provider_error", vec![status(500)]),
        Case::after("provider_invalid_response", vec![FaultKind::Body { text: "{}".into() }]),
        Case::after("provider_refused_credentials", vec![status(401)]),
        Case::after("provider_busy", vec![status(429)]),
        Case {
            first: Some(Request::balance(BRAZIL)),
            request: Request::balance("/v1/accounts/second/balance"),
            ..Case::after("provider_suspended", vec![status(500)])
                .with_provider("retries = 0\nbreaker = { failures = 1, cooldown = \"10s\" }\n", SECOND)
        },
        Case::new("budget_exhausted", Request::balance(BRAZIL))
            .with_provider("budget = { requests = 1, per = \"1m\" }\n", ""),
        Case {
            setup: with(SWITCHED_OFF),
            ..Case::new("disabled", Request::balance("/v1/accounts/off-itself/balance"))
        },
        Case {
            setup: Setup { secrets: vec![("PAYPAL", "s3cret".to_owned())], ..with(LAGGING) },
            ..Case::new(
                "provider_lags",
                Request::get(
                    "/v1/accounts/{account}/sufficiency",
                    "/v1/accounts/paypal-br/sufficiency?amount=1",
                ),
            )
        },
        Case {
            setup: Setup { server: "max_in_flight = 1\n".into(), ..Setup::default() },
            meanwhile: Some(Request::balance(BRAZIL)),
            faults: vec![FaultKind::Delay { ms: 300 }],
            ..Case::new("overloaded", Request::balance(BRAZIL))
        },
        Case::after("provider_timeout", vec![FaultKind::StallHead]),
        Case::new("deadline_exceeded", headers(&[("prefer", "wait=0")])),
        Case::new("not_cached", headers(&[("cache-control", "only-if-cached")])),
    ]
}

/// An account whose provider says that its figures lag.
const LAGGING: &str = concat!(
    include_str!("../../../config/kinds/paypal.toml"),
    r#"
[providers.paypal]
kind = "paypal"
base_url = "http://127.0.0.1:1"
budget = { requests = 30, per = "1m" }
[accounts.paypal-br]
provider = "paypal"
secrets = { client_id = { env = "PAYPAL" }, client_secret = { env = "PAYPAL" } }
balances = [{ currency = "BRL" }]
"#
);

/// Longer than the limit of a request body.
const LARGE: &str = match std::str::from_utf8(&[b'x'; 4097]) {
    Ok(text) => text,
    Err(_) => unreachable!(),
};
