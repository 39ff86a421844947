//! The schemas as tables of fields.

use serde_json::Value;

use super::{items, text};
use crate::http::pages::html::Html;

/// The name of the schema that a reference leads to.
pub(crate) fn name_of(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.strip_prefix("#/components/schemas/")
}

/// Writes every schema.
pub(crate) fn write_all(page: &mut Html, schemas: &Value) {
    page.section("Schemas");
    for (name, schema) in schemas.as_object().into_iter().flatten() {
        page.raw("<article id=\"schema-").text(name).raw("\">\n").element("h3", name);
        write(page, schema);
        page.raw("</article>\n");
    }
    page.raw("</section>\n");
}

fn write(page: &mut Html, schema: &Value) {
    if schema["description"].is_string() {
        page.prose(text(&schema["description"]));
    }
    for part in items(&schema["allOf"]) {
        write_kind(page, part);
        write(page, part);
    }
    let Some(fields) = schema["properties"].as_object() else { return };
    page.raw("<table>\n");
    for (name, field) in fields {
        page.raw("<tr><th scope=\"row\">").element("code", name).raw("<small>");
        write_kind(page, field);
        if !items(&schema["required"]).any(|required| required == name) {
            page.raw(", may be missing");
        }
        page.raw("</small></th><td>");
        write(page, field);
        write(page, &field["items"]);
        page.raw("</td></tr>\n");
    }
    page.raw("</table>\n");
}

/// Writes the type of a field, such as `string or null`, or a link to its schema.
fn write_kind(page: &mut Html, schema: &Value) {
    if let Some(name) = name_of(schema) {
        page.link(&format!("schema-{name}"), name);
        return;
    }
    let (one, several) = (std::slice::from_ref(&schema["type"]), schema["type"].as_array());
    let kinds: Vec<_> = several.map_or(one, Vec::as_slice).iter().filter_map(Value::as_str).collect();
    page.text(&kinds.join(" or "));
    if schema["items"].is_object() {
        page.raw(" of ");
        write_kind(page, &schema["items"]);
    }
    let values: Vec<_> = items(&schema["enum"]).filter_map(Value::as_str).collect();
    if !values.is_empty() {
        page.raw(": ").text(&values.join(", "));
    }
}
