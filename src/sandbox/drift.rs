//! Changes a balance by small amounts, as payments would. The arithmetic is in whole minor units, because a simulated
//! provider must not round either. A value in another form than the documented one does not change.

use super::{book::Balance, kind::Kind};

/// The changes of the amounts, in minor units.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    available: i128,
    blocked: i128,
}

/// The names of the fields that change: the spendable amount, the blocked amount and, if the kind reports it, their
/// sum.
struct Moving {
    available: &'static str,
    blocked: &'static str,
    total: Option<&'static str>,
}

impl Change {
    pub(super) fn random(random: &mut fastrand::Rng) -> Self {
        Self { available: random.i128(-500..=500), blocked: random.i128(-200..=200) }
    }
}

impl Moving {
    const fn of(kind: Kind) -> Self {
        match kind {
            Kind::NtxpayBr | Kind::Avista => {
                Self { available: "netBalance", blocked: "blockedBalance", total: Some("grossBalance") }
            }
            // A declared kind has no balances in the book.
            Kind::Pluggo | Kind::Declared => Self { available: "balance", blocked: "blocked", total: None },
            Kind::NtxpayMx => {
                Self { available: "availableCentavos", blocked: "pendingCentavos", total: None }
            }
        }
    }
}

/// Changes the amounts of the balance, all of them or none.
pub(super) fn drift(kind: Kind, balance: &mut Balance, change: Change) {
    let moving = Moving::of(kind);
    let scale = scale(kind, &balance.r#type);
    let read = |name| parse_minor(balance.fields.find(name)?, scale);
    let (Some(available), Some(blocked)) = (read(moving.available), read(moving.blocked)) else {
        return;
    };
    if moving.total.is_some_and(|total| read(total).is_none()) {
        return;
    }
    let available = shift(available, change.available);
    let blocked = shift(blocked, change.blocked);
    let mut write = |name, minor| balance.fields.set(name, &spell_minor(minor, scale));
    write(moving.available, available);
    write(moving.blocked, blocked);
    if let Some(total) = moving.total {
        write(total, available + blocked);
    }
}

/// The number of decimals that the provider writes: none for centavos, 8 (satoshi) for crypto, otherwise 2 (cents).
fn scale(kind: Kind, r#type: &str) -> usize {
    match (kind, r#type) {
        (Kind::NtxpayMx, _) => 0,
        (_, "CRYPTO") => 8,
        _ => 2,
    }
}

/// Adds a change to an amount, unless that would overdraw the account. An amount below zero may change in both
/// directions.
fn shift(minor: i128, change: i128) -> i128 {
    let shifted = minor + change;
    if shifted < 0 && minor >= 0 { minor } else { shifted }
}

/// Parses a plain decimal into minor units; `None` for any other text, and for more decimals than the scale.
fn parse_minor(text: &str, scale: usize) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let is_plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    // 30 digits leave room for a change in an i128, which holds 38.
    let fits = whole.len() + scale <= 30 && decimals.len() <= scale;
    if whole.is_empty() || !fits || !is_plain(whole) || !is_plain(decimals) {
        return None;
    }
    let minor: i128 = format!("{whole}{decimals:0<scale$}").parse().ok()?;
    Some(sign * minor)
}

fn spell_minor(minor: i128, scale: usize) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", minor.unsigned_abs(), width = scale + 1);
    let (whole, decimals) = digits.split_at(digits.len() - scale);
    if decimals.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{decimals}") }
}

#[cfg(test)]
mod tests {
    use super::{super::book::Book, *};

    fn drifted(kind: Kind, currency: &str, change: Change) -> String {
        let mut book = Book::of(kind);
        let balance = book.find_mut(Some(currency), None).unwrap();
        drift(kind, balance, change);
        balance.fields.to_json()
    }

    #[test]
    fn amounts_move_and_stay_consistent() {
        let change = Change { available: -91, blocked: 5 };

        assert_eq!(
            drifted(Kind::NtxpayBr, "BRL", change),
            r#"{"grossBalance":48734.04,"blockedBalance":0.05,"netBalance":48733.99}"#
        );
        assert_eq!(
            drifted(Kind::NtxpayMx, "MXN", change),
            r#"{"availableCentavos":4873399,"pendingCentavos":5,"currency":"MXN"}"#
        );
        assert_eq!(
            drifted(Kind::Pluggo, "BTC", change),
            r#"{"currency":"BTC","balance":0.12345587,"blocked":0.00100005,"reserve":0.00000000,"processing":0.00000500}"#
        );
    }

    #[test]
    fn gross_is_net_and_blocked_after_any_number_of_moves() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut book = Book::of(Kind::Avista);
        let balance = book.find_mut(None, None).unwrap();

        for _ in 0..10_000 {
            drift(Kind::Avista, balance, Change::random(&mut random));

            let minor = |name| parse_minor(balance.fields.find(name).unwrap(), 2).unwrap();
            assert_eq!(minor("grossBalance"), minor("netBalance") + minor("blockedBalance"));
            assert!(minor("netBalance") >= 0 && minor("blockedBalance") >= 0);
        }
    }

    #[test]
    fn a_value_in_another_form_does_not_change() {
        for raw in ["1e2", "\"5.00\"", "null", "", "-", "1.005", "+1", "12 ", "1.2.3"] {
            let mut book = Book::of(Kind::NtxpayBr);
            let balance = book.find_mut(None, None).unwrap();
            balance.fields.set("netBalance", raw);
            let before = balance.fields.clone();

            let change = Change { available: 1, blocked: 1 };
            drift(Kind::NtxpayBr, balance, change);

            assert_eq!(balance.fields, before, "{raw}");
        }
    }

    #[test]
    fn minor_units_survive_the_round_trip() {
        for (text, scale) in [("0.00", 2), ("-0.05", 2), ("48734.90", 2), ("0", 0), ("0.00000001", 8)] {
            let minor = parse_minor(text, scale).unwrap();

            assert_eq!(spell_minor(minor, scale), text);
        }
    }
}
