//! `GET /docs`: the OpenAPI document for people. The page is rendered here, so it needs no script and no viewer.

mod schema;

use std::sync::LazyLock;

use axum::response::Response;
use http::{HeaderMap, Uri};
use serde_json::Value;

use super::html::Html;
use super::openapi;
use super::page;
use crate::http::problem::{Code, Problem};

/// The policy of a page, which here also allows inline pictures.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static PAGE: LazyLock<String> = LazyLock::new(|| {
    // Texts and numbers serialise without failing.
    let document = serde_json::to_value(openapi::document()).unwrap_or_default();
    Docs(&document).write()
});

/// `GET /docs`.
pub(crate) async fn show(headers: HeaderMap) -> Response {
    page::answer(page::HTML, POLICY, PAGE.as_str(), &headers)
}

/// `GET /docs/{file}`.
pub(crate) async fn file(uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    match page::file_name(&uri) {
        "style.css" => Ok(page::answer(page::CSS, POLICY, include_str!("docs/style.css"), &headers)),
        _ => Err(Problem::new(Code::NotFound, "the page has no file of this name")),
    }
}

/// The document, as JSON.
struct Docs<'a>(&'a Value);

impl<'a> Docs<'a> {
    fn write(&self) -> String {
        let mut page = Html::default();
        let info = &self.0["info"];
        page.raw(include_str!("docs/head.html"));
        page.element("h1", text(&info["title"]));
        page.prose(text(&info["description"]));
        for tag in items(&self.0["tags"]) {
            self.write_tag(&mut page, tag);
        }
        self.write_problems(&mut page);
        self.write_headers(&mut page);
        schema::write_all(&mut page, &self.0["components"]["schemas"]);
        page.raw("</main>\n<nav aria-label=\"Contents\">\n");
        self.write_contents(&mut page);
        page.raw("</nav>\n</body>\n</html>\n");
        page.into_text()
    }

    /// Method, path and operation of each operation of a tag, in the order of the document.
    fn operations(&self, tag: &'a Value) -> impl Iterator<Item = (&'a str, &'a str, &'a Value)> {
        let paths = self.0["paths"].as_object().into_iter().flatten();
        let all = paths.flat_map(|(path, item)| {
            let operations = item.as_object().into_iter().flatten();
            operations.map(move |(method, operation)| (method.as_str(), path.as_str(), operation))
        });
        all.filter(move |(.., operation)| items(&operation["tags"]).any(|name| *name == tag["name"]))
    }

    fn write_contents(&self, page: &mut Html) {
        page.raw("<ul>\n");
        for tag in items(&self.0["tags"]) {
            page.raw("<li>").link(text(&tag["name"]), text(&tag["name"])).raw("<ul>\n");
            for (.., operation) in self.operations(tag) {
                page.raw("<li>")
                    .link(text(&operation["operationId"]), text(&operation["summary"]))
                    .raw("</li>\n");
            }
            page.raw("</ul></li>\n");
        }
        for part in ["Problems", "Headers", "Schemas"] {
            page.raw("<li>").link(part, part).raw("</li>\n");
        }
        page.raw("</ul>\n");
    }

    fn write_tag(&self, page: &mut Html, tag: &'a Value) {
        page.section(text(&tag["name"]));
        page.prose(text(&tag["description"]));
        for (method, path, operation) in self.operations(tag) {
            self.write_operation(page, method, path, operation);
        }
        page.raw("</section>\n");
    }

    fn write_operation(&self, page: &mut Html, method: &str, path: &str, operation: &Value) {
        page.raw("<article id=\"").text(text(&operation["operationId"])).raw("\">\n<h3>");
        page.text(text(&operation["summary"])).raw("</h3>\n<p class=\"request\"><b>");
        page.text(&method.to_uppercase()).raw("</b> ").element("code", path).raw("</p>\n");
        page.prose(text(&operation["description"]));
        page.raw("<table>\n<caption>Parameters</caption>\n");
        for parameter in items(&operation["parameters"]) {
            let parameter = self.resolved(parameter);
            let place = text(&parameter["in"]).to_owned();
            let place = if parameter["required"] == true { place + ", required" } else { place };
            page.raw("<tr><th scope=\"row\">").element("code", text(&parameter["name"]));
            page.element("small", &place).raw("</th><td>").prose(text(&parameter["description"]));
            page.raw("</td></tr>\n");
        }
        page.raw("</table>\n<table>\n<caption>Answers</caption>\n");
        for (status, answer) in operation["responses"].as_object().into_iter().flatten() {
            write_answer(page, status, answer);
        }
        page.raw("</table>\n");
        let example = operation.pointer("/responses/200/content/application~1json/example");
        if let Some(example) = example {
            page.raw("<details><summary>An answer</summary>").json(example).raw("</details>\n");
        }
        page.raw("</article>\n");
    }

    fn write_problems(&self, page: &mut Html) {
        page.section("Problems");
        page.raw("<table>\n");
        for (code, example) in self.0["components"]["examples"].as_object().into_iter().flatten() {
            let problem = &example["value"];
            page.raw("<tr id=\"problem-").text(code).raw("\"><th scope=\"row\">").element("code", code);
            page.element("small", &problem["status"].to_string()).raw("</th><td>");
            page.prose(&format!("{}.", text(&problem["title"])));
            page.raw("<details><summary>An answer</summary>").json(problem).raw("</details></td></tr>\n");
        }
        page.raw("</table>\n</section>\n");
    }

    fn write_headers(&self, page: &mut Html) {
        page.section("Headers");
        page.raw("<table>\n");
        for (name, header) in self.0["components"]["headers"].as_object().into_iter().flatten() {
            let example = &header["example"];
            let example = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
            page.raw("<tr><th scope=\"row\">").element("code", name).raw("</th><td>");
            page.prose(text(&header["description"]))
                .raw("<p>")
                .element("code", &example)
                .raw("</p></td></tr>\n");
        }
        page.raw("</table>\n</section>\n");
    }

    /// Resolves a reference.
    fn resolved<'v>(&'v self, value: &'v Value) -> &'v Value {
        let pointer = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
        pointer.and_then(|pointer| self.0.pointer(pointer)).unwrap_or(value)
    }
}

fn write_answer(page: &mut Html, status: &str, answer: &Value) {
    page.raw("<tr><th scope=\"row\">").text(status).raw("</th><td>");
    if let Some(examples) = answer.pointer("/content/application~1problem+json/examples") {
        page.raw("<p>");
        for code in examples.as_object().into_iter().flat_map(|examples| examples.keys()) {
            page.link(&format!("problem-{code}"), code).raw(" ");
        }
        page.raw("</p>");
    } else {
        page.prose(text(&answer["description"]));
        let schema = &answer["content"]["application/json"]["schema"];
        if let Some(name) = schema::name_of(schema) {
            page.raw("<p>").link(&format!("schema-{name}"), name).raw("</p>");
        }
    }
    page.raw("</td></tr>\n");
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_every_part_of_the_document() {
        let document = serde_json::to_value(openapi::document()).unwrap();
        let names = |part: &str| document["components"][part].as_object().unwrap().keys().cloned();
        let paths = document["paths"].as_object().unwrap().keys().cloned();
        let parameters = document["components"]["parameters"].as_object().unwrap().values();
        let parameters = parameters.map(|parameter| parameter["name"].as_str().unwrap().to_owned());
        let all = paths.chain(names("schemas")).chain(names("headers")).chain(names("examples"));

        for name in all.chain(parameters) {
            assert!(PAGE.contains(&format!(">{name}<")), "{name}");
        }
    }

    #[test]
    fn every_link_leads_somewhere_on_the_page() {
        for part in PAGE.split("href=\"#").skip(1) {
            let (target, _) = part.split_once('"').unwrap();

            assert!(PAGE.contains(&format!("id=\"{target}\"")), "{target}");
        }
    }
}
