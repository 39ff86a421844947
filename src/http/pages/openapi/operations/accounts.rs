//! The operations on accounts.

use utoipa::openapi::HttpMethod;

use super::{ACCOUNT, ALWAYS, CHOICE, Content, DocumentedAnswer, Operation, Tag};
use crate::http::openapi::headers as header;
use crate::http::openapi::parameters as parameter;
use crate::http::route::Route;

pub(crate) const ALL: [Operation; 2] = [
    Operation {
        route: Route::Accounts,
        method: HttpMethod::Get,
        id: "listAccounts",
        tag: Tag::Accounts,
        summary: "The accounts",
        description: "The accounts that the caller may see, as configured. No provider is called.",
        parameters: &[&parameter::PREFER, &parameter::REQUEST_ID],
        headers: &[],
        answers: &[DocumentedAnswer {
            status: "200",
            description: "The accounts.",
            content: Content::Json {
                schema: "AccountList",
                example: include_str!("../examples/accounts.json"),
            },
            headers: &[&header::CACHE_CONTROL],
        }],
        problems: &[ALWAYS],
    },
    Operation {
        route: Route::Invalidate,
        method: HttpMethod::Post,
        id: "invalidate",
        tag: Tag::Accounts,
        summary: "After a payment",
        description: "For a caller that has just paid: from now on, the account (or the chosen balance) is only served from reads after this moment. If such a read fails, a request without a demand still gets the last balance within 60 seconds, labelled `stale-if-error`. A request with the returned `not_before` never gets an older one.",
        parameters: &[
            &parameter::ACCOUNT,
            &parameter::CURRENCY,
            &parameter::TYPE,
            &parameter::PREFER,
            &parameter::REQUEST_ID,
        ],
        headers: &[],
        answers: &[DocumentedAnswer {
            status: "200",
            description: "The moment.",
            content: Content::Json {
                schema: "Invalidated",
                example: include_str!("../examples/invalidated.json"),
            },
            headers: &[&header::CACHE_CONTROL],
        }],
        problems: &[ALWAYS, ACCOUNT, CHOICE],
    },
];
