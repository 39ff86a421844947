//! The pages for people: the dashboard, the documentation, and the OpenAPI document that it shows.

pub(super) mod dashboard;
pub(super) mod docs;
pub(super) mod html;
pub mod openapi;
mod page;
