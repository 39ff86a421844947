//! Kinds of providers that the configuration declares: a request template, an optional token exchange, and a mapping of
//! pointers to amounts. Another such kind needs no code.

mod check;
mod found_amounts;
mod kind;
mod mapping;
mod place;
mod pointer;
mod reader;
mod request;
mod rows;
mod shape;
mod success;
mod template;
mod token;
mod understood;
mod units;
mod values;

pub use kind::{Declaration, Declared};
pub use mapping::{AmountOrSum, Case, Condition, CurrencyRule, Expected, Mapping, Role, Rows};
pub use pointer::Pointer;
pub use reader::MappingReader;
pub use request::{BodyTemplate, Named, RequestTemplate};
pub use template::{RESERVED, Template, is_name};
pub use token::{IssuedToken, TokenEndpoint, TokenLife, TokenTemplate};
pub use understood::{LocatedAmount, Row, Understood};
pub use units::{AmountUnit, Digits};
pub use values::AccountValues;
