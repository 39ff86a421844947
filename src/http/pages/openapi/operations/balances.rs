//! The operations that show balances.

use utoipa::openapi::HttpMethod;

use super::{ACCOUNT, ALWAYS, CHOICE, Content, DocumentedAnswer, Operation, READ, Tag};
use crate::http::openapi::headers::{self as header, Header};
use crate::http::openapi::parameters as parameter;
use crate::http::problem::Code;
use crate::http::route::Route;

/// Headers of answers with one balance.
const SINGLE: &[&Header] = &[&header::CACHE_CONTROL, &header::AGE, &header::ETAG, &header::CACHE_STATUS];

pub(crate) const ALL: [Operation; 5] = [
    Operation {
        route: Route::Balance,
        method: HttpMethod::Get,
        id: "showBalance",
        tag: Tag::Balances,
        summary: "One balance",
        description: "A fresh balance is served from memory. An older one, up to 60 seconds, is served at once while a refresh runs in the background. Otherwise the gateway reads it from the provider, and concurrent requests share that call. With `Cache-Control` a caller can demand a newer balance; if that causes a read, it costs one unit of the caller's `forced` limit.",
        parameters: &[
            &parameter::ACCOUNT,
            &parameter::CURRENCY,
            &parameter::TYPE,
            &parameter::NOT_BEFORE,
            &parameter::CACHE_CONTROL,
            &parameter::PREFER,
            &parameter::IF_NONE_MATCH,
            &parameter::REQUEST_ID,
        ],
        headers: &[],
        answers: &[
            DocumentedAnswer {
                status: "200",
                description: "The balance.",
                content: Content::Json {
                    schema: "Balance",
                    example: include_str!("../examples/balance.json"),
                },
                headers: SINGLE,
            },
            DocumentedAnswer {
                status: "304",
                description: "The caller already has this body.",
                content: Content::Nothing,
                headers: SINGLE,
            },
        ],
        problems: &[ALWAYS, ACCOUNT, CHOICE, READ, &[Code::NotCached]],
    },
    Operation {
        route: Route::Sufficiency,
        method: HttpMethod::Get,
        id: "checkSufficiency",
        tag: Tag::Balances,
        summary: "Before a payment",
        description: "Whether the balance covers an amount: the check right before a payment. The gateway always sends a new read after the request arrived. It ignores `Cache-Control`, and a failed read is an error, never an older balance.\n\nA balance was true at the moment of the read. Another payment may still spend the money first.",
        parameters: &[
            &parameter::ACCOUNT,
            &parameter::AMOUNT,
            &parameter::CURRENCY,
            &parameter::TYPE,
            &parameter::PREFER,
            &parameter::REQUEST_ID,
        ],
        headers: &[],
        answers: &[DocumentedAnswer {
            status: "200",
            description: "The comparison and the balance that it used.",
            content: Content::Json {
                schema: "Sufficiency",
                example: include_str!("../examples/sufficiency.json"),
            },
            headers: &[&header::CACHE_CONTROL, &header::AGE],
        }],
        problems: &[ALWAYS, ACCOUNT, CHOICE, READ, &[Code::ProviderLags]],
    },
    Operation {
        route: Route::Balances,
        method: HttpMethod::Get,
        id: "listBalances",
        tag: Tag::Balances,
        summary: "All balances",
        description: "Every balance that the caller may see, or those of the named accounts, read in parallel. A balance that cannot be served is an item of `errors` with the problem that it would have alone. Costs one unit of the caller's limit per balance.",
        parameters: &[
            &parameter::ACCOUNTS,
            &parameter::PROVIDER,
            &parameter::NOT_BEFORE,
            &parameter::CACHE_CONTROL,
            &parameter::PREFER,
            &parameter::REQUEST_ID,
        ],
        headers: &[],
        answers: &[DocumentedAnswer {
            status: "200",
            description: "The balances, and the reason for each missing one.",
            content: Content::Json { schema: "Batch", example: include_str!("../examples/balances.json") },
            headers: &[&header::CACHE_CONTROL, &header::AGE],
        }],
        problems: &[ALWAYS],
    },
    Operation {
        route: Route::Reconciliation,
        method: HttpMethod::Get,
        id: "reconcile",
        tag: Tag::Balances,
        summary: "The reconciliation report",
        description: "Every balance, read after the request arrived, with its status, its alerts, and exact sums per currency. With `max-age`, `min-fresh`, `only-if-cached` or `not_before`, a cached balance that satisfies the demand is enough: use `max-age=60` for dashboards. `Accept: text/csv` returns a table (RFC 4180) without sums. Costs one unit of the caller's limit per balance.",
        parameters: &[
            &parameter::ACCOUNTS,
            &parameter::NOT_BEFORE,
            &parameter::CACHE_CONTROL,
            &parameter::PREFER,
            &parameter::REQUEST_ID,
        ],
        headers: &[&header::VARY],
        answers: &[DocumentedAnswer {
            status: "200",
            description: "The report.",
            content: Content::JsonOrCsv {
                schema: "Reconciliation",
                example: include_str!("../examples/reconciliation.json"),
                csv: include_str!("../examples/reconciliation.csv"),
            },
            headers: &[&header::CACHE_CONTROL, &header::AGE, &header::CONTENT_DISPOSITION],
        }],
        problems: &[ALWAYS, &[Code::NotAcceptable]],
    },
    Operation {
        route: Route::Events,
        method: HttpMethod::Get,
        id: "followBalances",
        tag: Tag::Balances,
        summary: "Balances as they change",
        description: "A stream of server-sent events. It begins with the current state of every balance that the caller may see, or of those that are chosen as in `/v1/balances`. Then each newer balance is an event, whichever read it comes from.\n\n- `balance`: one `ReconciledBalance`.\n- `problem`: one `BalanceError`, when a read failed and the last event of this balance was not a problem with the same code.\n- `bye`: the gateway ends the stream, at `max_connection_age`, before it stops, or when the caller may now see other balances. Connect again: the new stream begins with the current state.\n\nA slow client gets the newest event of each balance. Costs one unit of the caller's limit per balance when it opens, and nothing after. A caller has at most `streams` of them open; another one is refused with 429.",
        parameters: &[
            &parameter::ACCOUNTS,
            &parameter::PROVIDER,
            &parameter::REFRESH,
            &parameter::PREFER,
            &parameter::REQUEST_ID,
        ],
        headers: &[],
        answers: &[DocumentedAnswer {
            status: "200",
            description: "The events. `data` is always one line of JSON.",
            content: Content::Events(include_str!("../examples/events.txt")),
            headers: &[&header::CACHE_CONTROL, &header::X_ACCEL_BUFFERING],
        }],
        problems: &[ALWAYS],
    },
];
