//! Request parameters: in path, query and headers.

use serde_json::Value;
use utoipa::openapi::path::{Parameter as Described, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ArrayBuilder, KnownFormat, ObjectBuilder, SchemaFormat};
use utoipa::openapi::{Ref, RefOr, Required, Schema, Type};

use super::schemas::{CURRENCY_PATTERN, NAME_PATTERN, TYPE_PATTERN};

/// A plain decimal above zero. It uses no look-ahead, because some languages of generated clients lack it. The gateway
/// accepts every match of at most 28 characters.
const POSITIVE_PATTERN: &str = r"^([0-9]*[1-9][0-9]*(\.[0-9]+)?|[0-9]+\.[0-9]*[1-9][0-9]*)$";

/// A parameter of some operations.
pub(crate) struct Parameter {
    /// The name of the parameter among the components of the document.
    pub(crate) component: &'static str,
    location: Location,
    name: &'static str,
    schema: ValueForm,
    example: Option<&'static str>,
    description: &'static str,
}

#[derive(Clone, Copy)]
enum Location {
    Path,
    Query,
    RequiredQuery,
    Head,
}

/// The form of a value.
#[derive(Clone, Copy)]
enum ValueForm {
    Text,
    Texts,
    Pattern(&'static str),
    Instant,
    Amount,
    Seconds,
}

pub(crate) const ACCOUNT: Parameter = Parameter {
    component: "Account",
    location: Location::Path,
    name: "account",
    schema: ValueForm::Pattern(NAME_PATTERN),
    example: Some("ntxpay-br-demo"),
    description: "The name of an account, as in `/v1/accounts`. The answer is the same for an unknown account and for one that the caller may not see.",
};
pub(crate) const CURRENCY: Parameter = Parameter {
    component: "Currency",
    location: Location::Query,
    name: "currency",
    schema: ValueForm::Pattern(CURRENCY_PATTERN),
    example: None,
    description: "Chooses the account's first balance in this currency; exact and case-sensitive. Without it: the first balance.",
};
pub(crate) const TYPE: Parameter = Parameter {
    component: "Type",
    location: Location::Query,
    name: "type",
    schema: ValueForm::Pattern(TYPE_PATTERN),
    example: None,
    description: "Chooses the account's first balance of this type, such as `FIAT` or `CRYPTO`.",
};
pub(crate) const NOT_BEFORE: Parameter = Parameter {
    component: "NotBefore",
    location: Location::Query,
    name: "not_before",
    schema: ValueForm::Instant,
    example: None,
    description: "The read must have been sent after this instant (RFC 3339), as `invalidate` returns it. It is valid on every replica.",
};
pub(crate) const ACCOUNTS: Parameter = Parameter {
    component: "Accounts",
    location: Location::Query,
    name: "account",
    schema: ValueForm::Texts,
    example: None,
    description: "Only these accounts; may be repeated. Without it: every enabled account that the caller may see.",
};
pub(crate) const PROVIDER: Parameter = Parameter {
    component: "Provider",
    location: Location::Query,
    name: "provider",
    schema: ValueForm::Text,
    example: None,
    description: "Only the accounts of this provider.",
};
pub(crate) const REFRESH: Parameter = Parameter {
    component: "Refresh",
    location: Location::Query,
    name: "refresh",
    schema: ValueForm::Seconds,
    example: None,
    description: "While the stream is open, each balance is read again when it is this many seconds old. Cut to the range from the account's `fresh_for` to its `max_age`; the default is 30.",
};
pub(crate) const AMOUNT: Parameter = Parameter {
    component: "Amount",
    location: Location::RequiredQuery,
    name: "amount",
    schema: ValueForm::Amount,
    example: Some("150.00"),
    description: "The amount to pay: a plain decimal above 0 of at most 28 digits, without sign, exponent or separators.",
};
pub(crate) const CACHE_CONTROL: Parameter = Parameter {
    component: "CacheControl",
    location: Location::Head,
    name: "Cache-Control",
    schema: ValueForm::Text,
    example: None,
    description: "The caller's demand on freshness: `no-cache` or `max-age=0` for a read sent after this request arrived, `max-age=N`, `min-fresh=N`, `only-if-cached`, and with any of them `stale-if-error[=N]`. Without a demand, a balance is at most 60 seconds old. Other directives are ignored.",
};
pub(crate) const PREFER: Parameter = Parameter {
    component: "Prefer",
    location: Location::Head,
    name: "Prefer",
    schema: ValueForm::Text,
    example: None,
    description: "`wait=N` (RFC 7240): the caller's own deadline in seconds. After it, the read continues and its result is cached for the next request.",
};
pub(crate) const IF_NONE_MATCH: Parameter = Parameter {
    component: "IfNoneMatch",
    location: Location::Head,
    name: "If-None-Match",
    schema: ValueForm::Text,
    example: None,
    description: "The `ETag` of an earlier answer: 304 if the body is still the same.",
};
pub(crate) const REQUEST_ID: Parameter = Parameter {
    component: "RequestId",
    location: Location::Head,
    name: "X-Request-Id",
    schema: ValueForm::Text,
    example: None,
    description: "Used if it has 1 to 64 characters of `A-Z a-z 0-9 . _ -`; otherwise the gateway makes one.",
};

/// Every parameter.
pub(crate) const ALL: [&Parameter; 12] = [
    &ACCOUNT,
    &CURRENCY,
    &TYPE,
    &NOT_BEFORE,
    &ACCOUNTS,
    &PROVIDER,
    &REFRESH,
    &AMOUNT,
    &CACHE_CONTROL,
    &PREFER,
    &IF_NONE_MATCH,
    &REQUEST_ID,
];

impl Parameter {
    pub(crate) fn reference(&self) -> Ref {
        Ref::new(format!("#/components/parameters/{}", self.component))
    }

    pub(crate) fn describe(&self) -> Described {
        let (location, required) = match self.location {
            Location::Path => (ParameterIn::Path, Required::True),
            Location::Query => (ParameterIn::Query, Required::False),
            Location::RequiredQuery => (ParameterIn::Query, Required::True),
            Location::Head => (ParameterIn::Header, Required::False),
        };
        ParameterBuilder::new()
            .name(self.name)
            .parameter_in(location)
            .required(required)
            .description(Some(self.description))
            .schema(Some(self.schema.describe()))
            .example(self.example.map(Value::from))
            .build()
    }
}

impl ValueForm {
    fn describe(self) -> RefOr<Schema> {
        let text = || ObjectBuilder::new().schema_type(Type::String);
        match self {
            Self::Text => text().into(),
            Self::Texts => ArrayBuilder::new().items(text()).into(),
            Self::Pattern(pattern) => text().pattern(Some(pattern)).into(),
            Self::Instant => text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))).into(),
            Self::Seconds => ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).into(),
            Self::Amount => text().pattern(Some(POSITIVE_PATTERN)).max_length(Some(28)).into(),
        }
    }
}
