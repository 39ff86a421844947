//! Kinds of providers that the configuration declares: a request template, an optional token exchange, and a mapping of
//! pointers to amounts. Another such kind needs no code.

mod check;
mod findings;
mod kind;
mod mapping;
mod pointer;
mod reader;
mod request;
mod rows;
mod shape;
mod spot;
mod success;
mod template;
mod token;
mod understood;
mod units;
mod values;

pub use kind::{Declaration, Declared};
pub use mapping::{Case, Condition, CurrencyRule, Expected, Mapping, Part, Role, Rows};
pub use pointer::Pointer;
pub use reader::MappingReader;
pub use request::{BodyTemplate, Named, RequestTemplate};
pub use template::{RESERVED, Template, is_name};
pub use token::{IssuedToken, TokenEndpoint, TokenLife, TokenTemplate};
pub use understood::{Row, Taken, Understood};
pub use units::{Digits, Units};
pub use values::AccountValues;
