//! The body of a request of a declared kind.

use super::texts::NamedTexts;
use crate::config::reader::{Read, Section};
use crate::providers::declared::BodyTemplate;

/// Reads `form` or `json`, or neither.
pub(super) fn read_body(section: &mut Section<'_>) -> Read<BodyTemplate> {
    let form: Read<Option<NamedTexts>> = section.optional("form");
    let json: Read<Option<NamedTexts>> = section.optional("json");
    match (form?, json?) {
        (None, None) => Ok(BodyTemplate::Empty),
        (Some(form), None) => Ok(BodyTemplate::Form(form.0)),
        (None, Some(json)) => Ok(BodyTemplate::Json(json.0)),
        (Some(_), Some(_)) => Err(section.wrong("json", "not together with form, expected one of them")),
    }
}
