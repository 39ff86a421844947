//! Response bodies. `tests/api/openapi.rs` compares them with real ones, field by field.

use utoipa::openapi::schema::{
    AllOfBuilder, ArrayBuilder, KnownFormat, ObjectBuilder, SchemaFormat, SchemaType,
};
use utoipa::openapi::{Ref, RefOr, Schema, Type};

use crate::http::problem::Code;

/// Names of accounts and providers.
pub(crate) const NAME_PATTERN: &str = "^[a-z0-9][a-z0-9-]{0,62}$";
/// ISO 4217 codes, and codes of other currencies.
pub(crate) const CURRENCY_PATTERN: &str = "^[A-Z0-9]{2,10}$";
/// What providers call the kinds of their balances.
pub(crate) const TYPE_PATTERN: &str = "^[A-Z0-9_]{1,32}$";
/// An exact decimal with at least the currency's ISO 4217 digits; never an exponent, never `-0`.
const AMOUNT_PATTERN: &str = r"^-?[0-9]+(\.[0-9]+)?$";

/// Every schema with its name.
pub(crate) fn all() -> Vec<(&'static str, RefOr<Schema>)> {
    vec![
        ("Balance", balance()),
        ("Batch", batch()),
        ("BalanceError", balance_error()),
        ("Accounts", accounts()),
        ("Sufficiency", sufficiency()),
        ("Reconciliation", reconciliation()),
        ("ReconciledBalance", reconciled_balance()),
        ("Invalidated", invalidated()),
        ("Problem", problem()),
    ]
}

/// A reference to one of them.
pub(crate) fn reference(name: &str) -> Ref {
    Ref::from_schema_name(name)
}

fn balance() -> RefOr<Schema> {
    let reported = ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("The provider's money fields under its own names, their text verbatim."))
        .additional_properties(Some(ObjectBuilder::new().schema_type(Type::String)));
    object(
        "One balance: the same fields for every provider. A field that the provider does not report is null; zero is `0.00`.",
        vec![
            ("account", name("Our name for the account.").into()),
            ("provider", name("Our name for the provider.").into()),
            ("currency", currency("The currency of all amounts.").into()),
            ("type", optional(text("The configured type, as `FIAT` or `CRYPTO`."))),
            ("available", money("What can be spent now.")),
            ("blocked", optional_money("Held by operations in progress.")),
            ("reserved", optional_money("Set aside.")),
            ("processing", optional_money("Being processed.")),
            ("total", optional_money("The provider's own total, never computed.")),
            ("reported", reported.into()),
            ("observed_at", optional(instant("The provider's own timestamp."))),
            ("fetched_at", instant("When the provider was asked, by the gateway's clock.").into()),
        ],
    )
    .into()
}

fn batch() -> RefOr<Schema> {
    object(
        "Every balance that was asked for: as it is, or why it is not there.",
        vec![
            ("balances", list("Sorted by account, currency and type.", reference("Balance"))),
            ("errors", list("Likewise sorted.", reference("BalanceError"))),
            ("complete", flag("True when `errors` is empty.")),
        ],
    )
    .into()
}

fn balance_error() -> RefOr<Schema> {
    object(
        "One balance that is not served, or an account that does not exist.",
        vec![
            ("account", text("The account's name.").into()),
            ("currency", optional(text("As configured."))),
            ("type", optional(text("As configured."))),
            ("problem", reference("Problem").into()),
        ],
    )
    .into()
}

fn accounts() -> RefOr<Schema> {
    let configured = object(
        "A balance of the account; the first is the default.",
        vec![
            ("currency", optional(text("Null where only an answer tells it."))),
            ("type", optional(text("As `FIAT` or `CRYPTO`."))),
        ],
    );
    let account = object(
        "An account that the caller may see.",
        vec![
            ("account", name("Our name for it.").into()),
            ("provider", name("Our name for its provider.").into()),
            ("kind", text("The kind of the provider's interface.").into()),
            ("balances", list("As configured.", configured)),
            ("fresh_for_seconds", whole("Younger balances are served as they are.").into()),
            ("max_age_seconds", whole("Older balances are never served.").into()),
            ("enabled", flag("False when it or its provider is switched off.")),
        ],
    );
    object("The accounts that the caller may see.", vec![("accounts", list("Sorted by name.", account))])
        .into()
}

fn sufficiency() -> RefOr<Schema> {
    object(
        "Whether a balance that was read after the request arrived covers an amount.",
        vec![
            ("sufficient", flag("Whether `available` is at least `amount`; always exact.")),
            ("amount", money("The amount asked for, padded.")),
            ("available", money("What can be spent now.")),
            (
                "shortfall",
                optional_money(
                    "What is missing, else zero. Null where it has more digits than 96 bits hold.",
                ),
            ),
            ("balance", reference("Balance").into()),
        ],
    )
    .into()
}

fn reconciliation() -> RefOr<Schema> {
    let sum = object(
        "What answered, in one currency.",
        vec![
            ("currency", currency("The currency.").into()),
            ("available", optional_money("The exact sum. Null where it has more digits than 96 bits hold.")),
            ("balances", whole("How many balances were added.").into()),
        ],
    );
    object(
        "Every balance with its state, sums, and what is missing.",
        vec![
            ("report_date", instant("When the request arrived.").into()),
            ("complete", flag("True when `errors` is empty.")),
            ("balances", list("Sorted by account, currency and type.", reference("ReconciledBalance"))),
            ("sums", list("Per currency, over what answered.", sum)),
            ("errors", list("What did not answer.", reference("BalanceError"))),
        ],
    )
    .into()
}

fn reconciled_balance() -> RefOr<Schema> {
    let alert = ObjectBuilder::new().schema_type(Type::String).enum_values(Some([
        "critical",
        "warning",
        "high",
        "high_blocked",
    ]));
    let added = object(
        "What reconciliation adds.",
        vec![
            ("status", text("`OK` when `available` is above zero.").enum_values(Some(["OK", "ALERT"])).into()),
            (
                "blocked_percentage",
                optional(
                    text("100 × blocked / total with 2 decimals, half to even. Null without a total above zero.")
                        .pattern(Some(AMOUNT_PATTERN)),
                ),
            ),
            ("alerts", list("The configured levels that the balance has passed.", alert)),
        ],
    );
    AllOfBuilder::new().item(reference("Balance")).item(added).into()
}

fn invalidated() -> RefOr<Schema> {
    object(
        "From when on a provider must have been asked.",
        vec![("not_before", instant("May be passed on as `not_before`, to this replica or another.").into())],
    )
    .into()
}

fn problem() -> RefOr<Schema> {
    let codes = Code::ALL.iter().map(|code| code.as_str());
    let always = object(
        "Why there is no answer (RFC 9457). `code` is stable; texts may change. A provider's own words are never in it.",
        vec![
            ("type", text("`urn:balance-gateway:problem:` and the code.").into()),
            ("title", text("What the code means.").into()),
            ("status", whole("The answer's status; in a list, the one it would have alone.").into()),
            ("detail", text("More about this case.").into()),
            ("code", text("For programs.").enum_values(Some(codes)).into()),
            ("request_id", text("As in `X-Request-Id`.").into()),
        ],
    );
    always
        .property("account", text("The account that it is about."))
        .property("provider", text("Its provider."))
        .property("retry_after", whole("Seconds to wait, where that helps.").minimum(Some(1)))
        .into()
}

/// An object whose fields are all required.
fn object(description: &str, fields: Vec<(&str, RefOr<Schema>)>) -> ObjectBuilder {
    let object = ObjectBuilder::new().schema_type(Type::Object).description(Some(description));
    fields.into_iter().fold(object, |object, (name, schema)| object.property(name, schema).required(name))
}

fn text(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description))
}

fn name(description: &str) -> ObjectBuilder {
    text(description).pattern(Some(NAME_PATTERN))
}

fn currency(description: &str) -> ObjectBuilder {
    text(description).pattern(Some(CURRENCY_PATTERN))
}

fn instant(description: &str) -> ObjectBuilder {
    text(description).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
}

fn whole(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).description(Some(description)).minimum(Some(0))
}

fn flag(description: &str) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::Boolean).description(Some(description)).into()
}

fn list(description: &str, items: impl Into<utoipa::openapi::schema::ArrayItems>) -> RefOr<Schema> {
    ArrayBuilder::new().items(items).description(Some(description)).into()
}

fn optional(schema: ObjectBuilder) -> RefOr<Schema> {
    schema.schema_type(SchemaType::from_iter([Type::String, Type::Null])).into()
}

fn money(description: &str) -> RefOr<Schema> {
    text(description).pattern(Some(AMOUNT_PATTERN)).into()
}

fn optional_money(description: &str) -> RefOr<Schema> {
    optional(text(description).pattern(Some(AMOUNT_PATTERN)))
}
