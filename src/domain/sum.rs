//! Sums of amounts, one for each currency.

use std::collections::BTreeMap;

use super::amount::Amount;
use super::currency::Currency;
use super::exact_sum::ExactSum;

/// The sum of the amounts of one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurrencySum {
    /// How many amounts were added.
    pub count: usize,
    /// Their sum; `None` if 96 bits cannot hold it.
    pub total: Option<Amount>,
}

/// Adds amounts exactly, per currency.
#[must_use]
pub fn sums(amounts: impl IntoIterator<Item = Amount>) -> BTreeMap<Currency, CurrencySum> {
    let mut sums: BTreeMap<Currency, (usize, ExactSum)> = BTreeMap::new();
    for amount in amounts {
        let (count, sum) = sums.entry(amount.currency()).or_default();
        (*count, *sum) = (*count + 1, sum.plus(amount.value()));
    }
    let finished = |(currency, (count, sum)): (Currency, (usize, ExactSum))| {
        let total = sum.total().map(|value| Amount::new(value, currency));
        (currency, CurrencySum { count, total })
    };
    sums.into_iter().map(finished).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGEST: &str = "79228162514264337593543950335";

    /// The sums as text, `null` for a sum that does not fit.
    fn shown(amounts: &[(&str, &str)]) -> Vec<String> {
        let amount =
            |(text, code): &(&str, &str)| Amount::parse(text, Currency::parse(code).unwrap()).unwrap();
        let show = |(currency, sum): (Currency, CurrencySum)| {
            let total = sum.total.map_or("null".to_owned(), |total| total.to_string());
            format!("{currency} {total} of {}", sum.count)
        };
        sums(amounts.iter().map(amount)).into_iter().map(show).collect()
    }

    #[test]
    fn each_currency_has_its_own_sum() {
        let amounts = [("1.50", "BRL"), ("0.1", "BTC"), ("2.5", "BRL"), ("-7", "JPY")];

        assert_eq!(shown(&amounts), ["BRL 4.00 of 2", "BTC 0.1 of 1", "JPY -7 of 1"]);
        assert!(shown(&[]).is_empty());
    }

    #[test]
    fn a_sum_keeps_every_digit_or_is_none() {
        for (amounts, expected) in [
            (&["9007199254740993.01", "0.02"][..], "9007199254740993.03"),
            (&["0.1", "0.2", "-0.3"], "0.00"),
            (&["1.5", "-2.25"], "-0.75"),
            (&["-1.5", "2.25"], "0.75"),
            (&["0.00000001", "0.00000001"], "0.00000002"),
            (&["1.000", "1"], "2.000"),
            (&[LARGEST, "0.00"], "79228162514264337593543950335.00"),
            (&["7922816251426433759354395033.4", "0.1"], "7922816251426433759354395033.50"),
            (&["7922816251426433759354395033.5", "0.1"], "null"),
            (&[LARGEST, "0.1"], "null"),
            (&[LARGEST, "1"], "null"),
            (&[LARGEST, LARGEST], "null"),
            (&["0.0000000000000000000000000001", "10"], "null"),
            (&["0.0000000000000000000000000001", "1"], "1.0000000000000000000000000001"),
        ] {
            let amounts: Vec<_> = amounts.iter().map(|text| (*text, "BRL")).collect();

            assert_eq!(shown(&amounts), [format!("BRL {expected} of {}", amounts.len())], "{amounts:?}");
        }
    }

    #[test]
    fn a_sum_is_exact_although_an_intermediate_sum_is_too_large() {
        let minus = format!("-{LARGEST}");
        let mut amounts =
            [(LARGEST, "BRL"), ("0.01", "BRL"), (LARGEST, "BRL"), (&minus, "BRL"), (&minus, "BRL")];
        for _ in 0..amounts.len() {
            amounts.rotate_left(1);

            assert_eq!(shown(&amounts), ["BRL 0.01 of 5"], "{amounts:?}");
        }
    }
}
