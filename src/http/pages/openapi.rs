//! The OpenAPI 3.1 document, generated from the tables in this folder and from the error codes.

mod answers;
mod headers;
mod operations;
mod parameters;
mod schemas;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::response::Response;
use http::HeaderMap;
use serde_json::Value;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::path::OperationBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Components, ComponentsBuilder, Info, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Paths,
    SecurityRequirement, ServerBuilder, Tag as DescribedTag,
};

use super::page;
use operations::{Operation, Tag};

/// The name of the only security scheme.
const BEARER: &str = "callerKey";
/// A real answer for each code.
const PROBLEMS: &str = include_str!("openapi/examples/problems.json");

/// Made on first use: it takes a millisecond, and most processes never need it.
static JSON: LazyLock<String> = LazyLock::new(|| {
    // Texts and numbers serialise without failing.
    document().to_pretty_json().map(|json| json + "\n").unwrap_or_default()
});

/// The document as JSON.
#[must_use]
pub fn json() -> &'static str {
    &JSON
}

/// `GET /openapi.json`.
pub(crate) async fn show(headers: HeaderMap) -> Response {
    page::answer(page::JSON, page::POLICY, json(), &headers)
}

/// The document.
pub(crate) fn document() -> OpenApi {
    let mut paths = Paths::new();
    for operation in operations::all() {
        let methods = vec![operation.method.clone()];
        paths.add_path_operation(operation.route.pattern(), methods, describe(operation));
    }
    OpenApiBuilder::new()
        .info(info())
        .servers(Some([ServerBuilder::new().url("/").build()]))
        .paths(paths)
        .components(Some(components()))
        .tags(Some(tags()))
        .build()
}

fn info() -> Info {
    InfoBuilder::new()
        .title("Balance Gateway")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(include_str!("openapi/description.md")))
        .license(Some(LicenseBuilder::new().name("MIT").identifier(Some("MIT")).build()))
        .build()
}

fn tags() -> Vec<DescribedTag> {
    let tag =
        |tag: Tag, description| TagBuilder::new().name(tag.name()).description(Some(description)).build();
    vec![
        tag(Tag::Balances, "The balances of the accounts."),
        tag(
            Tag::Accounts,
            "The accounts that the caller may see, and the invalidation of their cached balances.",
        ),
    ]
}

fn describe(operation: &Operation) -> OperationBuilder {
    let described = OperationBuilder::new()
        .operation_id(Some(operation.id))
        .tag(operation.tag.name())
        .summary(Some(operation.summary))
        .description(Some(operation.description))
        .responses(answers::of(operation));
    let described = operation
        .parameters
        .iter()
        .fold(described, |described, parameter| described.parameter_ref(parameter.reference()));
    described.security(SecurityRequirement::new::<_, [&str; 0], &str>(BEARER, []))
}

fn components() -> Components {
    let key = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A caller key, as the command `new-key` makes them."))
        .build();
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas::all())
        .security_scheme(BEARER, SecurityScheme::Http(key));
    let components = parameters::ALL.iter().fold(components, |components, parameter| {
        components.parameter(parameter.component, parameter.describe())
    });
    let components = headers::ALL
        .iter()
        .fold(components, |components, header| components.header(header.name, header.describe()));
    let examples: BTreeMap<String, Value> = serde_json::from_str(PROBLEMS).unwrap_or_default();
    let components = examples.into_iter().fold(components, |components, (code, problem)| {
        let title = problem["title"].as_str().unwrap_or_default().to_owned();
        components.example(code, ExampleBuilder::new().summary(title).value(Some(problem)))
    });
    components.build()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::problem::Code;
    use crate::http::route::{self, Route};

    #[test]
    fn every_route_for_callers_is_described_and_no_page() {
        let document = document();
        let described: BTreeSet<_> = document.paths.paths.keys().map(String::as_str).collect();
        let routes = Route::ALL.iter().filter(|route| route::needs_caller(route.pattern()));

        assert_eq!(described, routes.map(|route| route.pattern()).collect());
    }

    #[test]
    fn every_code_has_its_example_with_its_own_title_and_status() {
        let examples: BTreeMap<String, Value> = serde_json::from_str(PROBLEMS).unwrap();

        assert_eq!(examples.len(), Code::ALL.len());
        for code in Code::ALL {
            let example = &examples[code.as_str()];
            assert_eq!(example["title"], code.title());
            assert_eq!(example["status"], code.status().as_u16());
            assert_eq!(example["code"], code.as_str());
        }
    }

    #[test]
    fn every_code_and_parameter_belongs_to_an_operation() {
        let problems = operations::all().flat_map(|operation| operation.problems.iter().copied().flatten());
        let codes: BTreeSet<_> = problems.map(|code| code.as_str()).collect();
        let used = operations::all().flat_map(|operation| operation.parameters);
        let used: BTreeSet<_> = used.map(|parameter| parameter.component).collect();

        // No operation has a path that does not exist.
        let expected = Code::ALL.iter().filter(|code| **code != Code::NotFound);
        assert_eq!(codes, expected.map(|code| code.as_str()).collect());
        assert_eq!(used, parameters::ALL.iter().map(|parameter| parameter.component).collect());
    }
}
