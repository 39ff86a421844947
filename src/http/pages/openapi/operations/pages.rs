//! The pages for people and the document; they need no key.

use utoipa::openapi::HttpMethod;

use super::{Answer, Content, Operation, Tag};
use crate::http::openapi::headers::{self as header, Header};
use crate::http::openapi::parameters::{self as parameter, Parameter};
use crate::http::pages::page;
use crate::http::problem::Code;
use crate::http::route::Route;

/// Problems of a page or its file.
const PAGE: &[Code] = &[
    Code::ContentTooLarge,
    Code::MethodNotAllowed,
    Code::InvalidRequest,
    Code::Overloaded,
    Code::DeadlineExceeded,
    Code::Internal,
];

const PAGE_HEADERS: &[&Header] =
    &[&header::ETAG, &header::CACHE_CONTROL, &header::CONTENT_SECURITY_POLICY, &header::CONTENT_TYPE_OPTIONS];
const NOT_MODIFIED_PAGE: Answer = Answer {
    status: "304",
    description: "The browser has it.",
    content: Content::Nothing,
    headers: PAGE_HEADERS,
};
const PAGE_PARAMETERS: &[&Parameter] = &[&parameter::IF_NONE_MATCH, &parameter::REQUEST_ID];
const FILE_PARAMETERS: &[&Parameter] = &[&parameter::FILE, &parameter::IF_NONE_MATCH, &parameter::REQUEST_ID];

pub(crate) const ALL: [Operation; 5] = [
    Operation {
        route: Route::OpenApi,
        method: HttpMethod::Get,
        id: "showOpenApi",
        tag: Tag::Pages,
        summary: "This document",
        description: "OpenAPI 3.1. The command `balance-gateway openapi` prints the same.",
        parameters: PAGE_PARAMETERS,
        headers: &[],
        answers: &[
            Answer {
                status: "200",
                description: "The document.",
                content: Content::AnyJson,
                headers: PAGE_HEADERS,
            },
            NOT_MODIFIED_PAGE,
        ],
        problems: &[PAGE],
    },
    page_of(Route::Docs, "showDocs", "The documentation", "This document for people, in one page."),
    file_of(Route::DocsFile, "showDocsFile", "A file of the documentation"),
    page_of(
        Route::Dashboard,
        "showDashboard",
        "The dashboard",
        "Every balance with its age, blocked share and alerts, and what failed and why. The page asks for a caller key and keeps it in its tab's memory only.",
    ),
    file_of(Route::DashboardFile, "showDashboardFile", "A file of the dashboard"),
];

const fn page_of(
    route: Route,
    id: &'static str,
    summary: &'static str,
    description: &'static str,
) -> Operation {
    Operation {
        route,
        method: HttpMethod::Get,
        id,
        tag: Tag::Pages,
        summary,
        description,
        parameters: PAGE_PARAMETERS,
        headers: &[],
        answers: &[
            Answer {
                status: "200",
                description: "The page.",
                content: Content::Text(&[page::HTML]),
                headers: PAGE_HEADERS,
            },
            NOT_MODIFIED_PAGE,
        ],
        problems: &[PAGE],
    }
}

const fn file_of(route: Route, id: &'static str, summary: &'static str) -> Operation {
    Operation {
        route,
        method: HttpMethod::Get,
        id,
        tag: Tag::Pages,
        summary,
        description: "A style, a script or a picture; there is nothing else.",
        parameters: FILE_PARAMETERS,
        headers: &[],
        answers: &[
            Answer {
                status: "200",
                description: "The file.",
                content: Content::Text(&[page::CSS, page::JAVASCRIPT, page::SVG]),
                headers: PAGE_HEADERS,
            },
            NOT_MODIFIED_PAGE,
        ],
        problems: &[PAGE, &[Code::NotFound]],
    }
}
