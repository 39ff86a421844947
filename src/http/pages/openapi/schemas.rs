//! The bodies of the answers. `tests/api/openapi.rs` compares them with real ones, field by field.

use utoipa::openapi::schema::{
    AllOfBuilder, ArrayBuilder, KnownFormat, ObjectBuilder, SchemaFormat, SchemaType,
};
use utoipa::openapi::{Ref, RefOr, Schema, Type};

use crate::http::problem::Code;

/// Names of accounts and providers.
pub(crate) const NAME_PATTERN: &str = "^[a-z0-9][a-z0-9-]{0,62}$";
/// ISO 4217 codes, and the codes of currencies outside it.
pub(crate) const CURRENCY_PATTERN: &str = "^[A-Z0-9]{2,10}$";
/// The providers' names for types of balances.
pub(crate) const TYPE_PATTERN: &str = "^[A-Z0-9_]{1,32}$";
/// An exact decimal with at least the currency's ISO 4217 digits; never an exponent, never `-0`.
const AMOUNT_PATTERN: &str = r"^-?[0-9]+(\.[0-9]+)?$";

/// Every schema with its name.
pub(crate) fn all() -> Vec<(&'static str, RefOr<Schema>)> {
    vec![
        ("Balance", balance()),
        ("Batch", batch()),
        ("BalanceError", balance_error()),
        ("AccountList", accounts()),
        ("Sufficiency", sufficiency()),
        ("Reconciliation", reconciliation()),
        ("ReconciledBalance", reconciled_balance()),
        ("Invalidated", invalidated()),
        ("Problem", problem()),
    ]
}

/// A reference to a schema.
pub(crate) fn reference(name: &str) -> Ref {
    Ref::from_schema_name(name)
}

fn balance() -> RefOr<Schema> {
    let reported = ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("The provider's money fields under its own names, with their original text."))
        .additional_properties(Some(ObjectBuilder::new().schema_type(Type::String)));
    object(
        "One balance: the same fields for every provider. A field that the provider does not report is null; zero is `0.00`.",
        vec![
            ("account", name("Our name for the account.").into()),
            ("provider", name("Our name for the provider.").into()),
            ("currency", currency("The currency of all amounts.").into()),
            ("type", optional(text("The configured type, such as `FIAT` or `CRYPTO`."))),
            ("available", money("The amount that can be spent now.")),
            ("blocked", optional_money("Blocked by operations in progress.")),
            ("reserved", optional_money("Set aside.")),
            ("processing", optional_money("Being processed.")),
            ("total", optional_money("The provider's own total, never computed.")),
            ("reported", reported.into()),
            ("observed_at", optional(instant("The provider's own timestamp."))),
            ("fetched_at", instant("When the read was sent, by the gateway's clock.").into()),
        ],
    )
    .into()
}

fn batch() -> RefOr<Schema> {
    object(
        "Every requested balance, or the reason why it is missing.",
        vec![
            ("balances", list("Sorted by account, currency and type.", reference("Balance"))),
            ("errors", list("Sorted the same way.", reference("BalanceError"))),
            ("complete", flag("True when `errors` is empty.")),
        ],
    )
    .into()
}

fn balance_error() -> RefOr<Schema> {
    object(
        "A balance that cannot be served, or an unknown account.",
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
            ("currency", optional(text("Null if the currency is known only from the provider's answer."))),
            ("type", optional(text("Such as `FIAT` or `CRYPTO`."))),
        ],
    );
    let account = object(
        "An account that the caller may see.",
        vec![
            ("account", name("Our name for the account.").into()),
            ("provider", name("Our name for its provider.").into()),
            ("kind", text("The kind of the provider's API.").into()),
            ("balances", list("As configured.", configured)),
            (
                "fresh_for_seconds",
                whole("Balances younger than this are served from memory without a refresh.").into(),
            ),
            ("max_age_seconds", whole("Balances older than this are never served.").into()),
            ("enabled", flag("False if the account or its provider is switched off.")),
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
            ("amount", money("The requested amount, padded.")),
            ("available", money("The amount that can be spent now.")),
            ("shortfall", optional_money("The missing amount, or zero. Null if it needs more than 96 bits.")),
            ("balance", reference("Balance").into()),
        ],
    )
    .into()
}

fn reconciliation() -> RefOr<Schema> {
    let sum = object(
        "The sum of one currency.",
        vec![
            ("currency", currency("The currency.").into()),
            ("available", optional_money("The exact sum. Null if it needs more than 96 bits.")),
            ("balances", whole("The number of balances in the sum.").into()),
        ],
    );
    object(
        "Every balance with its status, the sums, and the missing balances.",
        vec![
            ("report_date", instant("When the request arrived.").into()),
            ("complete", flag("True when `errors` is empty.")),
            ("balances", list("Sorted by account, currency and type.", reference("ReconciledBalance"))),
            ("sums", list("Per currency, over the balances that were read.", sum)),
            ("errors", list("The missing balances.", reference("BalanceError"))),
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
        "The fields that reconciliation adds.",
        vec![
            ("status", text("`OK` when `available` is above zero.").enum_values(Some(["OK", "ALERT"])).into()),
            (
                "blocked_percentage",
                optional(
                    text("100 × blocked / total with 2 decimals, half to even. Null without a total above zero.")
                        .pattern(Some(AMOUNT_PATTERN)),
                ),
            ),
            ("alerts", list("The configured alert levels that the balance has reached.", alert)),
        ],
    );
    AllOfBuilder::new().item(reference("Balance")).item(added).into()
}

fn invalidated() -> RefOr<Schema> {
    object(
        "The moment of the invalidation.",
        vec![("not_before", instant("Pass it as `not_before` to this replica or another.").into())],
    )
    .into()
}

fn problem() -> RefOr<Schema> {
    let codes = Code::ALL.iter().map(|code| code.as_str());
    let always = object(
        "An error (RFC 9457). `code` is stable; texts may change. It never contains a provider's own text.",
        vec![
            ("type", text("`urn:balance-gateway:problem:` and the code.").into()),
            ("title", text("The meaning of the code.").into()),
            ("status", whole("The HTTP status; in a list, the status that it would have alone.").into()),
            ("detail", text("Details of this case.").into()),
            ("code", text("A stable code for programs.").enum_values(Some(codes)).into()),
            ("request_id", text("As in `X-Request-Id`.").into()),
        ],
    );
    always
        .property("account", text("The account concerned."))
        .property("provider", text("Its provider."))
        .property("retry_after", whole("Seconds to wait before a retry.").minimum(Some(1)))
        .into()
}

/// An object whose fields are always present.
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
