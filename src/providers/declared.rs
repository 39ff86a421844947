//! Kinds of providers that the configuration declares: a request template, an optional token exchange, and a mapping of
//! pointers to amounts. No code is needed for a further one.

mod mapping;
mod pointer;
mod reader;
mod request;
mod rows;
mod shape;
mod template;
mod token;
mod units;
mod values;

mod kind;

pub use kind::{Declaration, Declared};
pub use mapping::{Case, Condition, CurrencyRule, Expected, Mapping, Part, Role, Rows};
pub use pointer::Pointer;
pub use reader::{MappingReader, Row, Taken, Understood};
pub use request::{BodyTemplate, Named, RequestTemplate};
pub use template::{RESERVED, Template, is_name};
pub use token::{IssuedToken, TokenEndpoint, TokenLife, TokenTemplate};
pub use units::{Digits, Units};
pub use values::AccountValues;
