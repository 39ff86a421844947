//! How a body of a declared kind becomes a balance.

use super::parts::{WrittenAmountOrSum, WrittenRole, WrittenUnit};
use super::texts::Conditions;
use crate::config::reader::{Read, Section};
use crate::providers::declared::{
    AmountOrSum, AmountUnit, Case, CurrencyRule, Digits, Mapping, Pointer, Role, Rows,
};

/// The parts of the kind that its roles inherit.
struct Inherited<'k> {
    rows: Option<&'k Pointer>,
    conditions: Option<&'k Conditions>,
}

pub(in crate::config) fn read(section: &mut Section<'_>) -> Read<Mapping> {
    let success: Read<Option<Conditions>> = section.optional("success");
    let status: Read<Option<Pointer>> = section.optional("status");
    let absent: Read<Option<Vec<Pointer>>> = section.optional("absent");
    let currency: Read<CurrencyRule> = section.required("currency");
    let units = read_units(section);
    let rows: Read<Option<Pointer>> = section.optional("rows");
    let conditions: Read<Option<Conditions>> = section.optional("where");
    let available: Read<WrittenRole> = section.required("available");
    let blocked: Read<Option<WrittenAmountOrSum>> = section.optional("blocked");
    let reserved: Read<Option<WrittenAmountOrSum>> = section.optional("reserved");
    let processing: Read<Option<WrittenAmountOrSum>> = section.optional("processing");
    let total: Read<Option<WrittenRole>> = section.optional("total");
    let report: Read<Option<Vec<Pointer>>> = section.optional("report");
    let observed_at: Read<Option<Pointer>> = section.optional("observed_at");
    if available.as_ref().is_ok_and(|role| role.is_optional) {
        return Err(
            section.wrong("available", "expected an amount that is not optional, as every balance needs it")
        );
    }

    let (rows, conditions) = (rows?, conditions?);
    if rows.is_none() {
        let parts = [&blocked, &reserved, &processing].into_iter().flatten().flatten();
        let in_parts = parts.flat_map(WrittenAmountOrSum::roles);
        let single = available.iter().chain(total.iter().flatten());
        if single.chain(in_parts).any(|role| role.conditions.is_some() && role.rows.is_none()) {
            return Err(section.wrong("where", "expected only together with rows, also in a single amount"));
        }
    }
    let inherited = Inherited { rows: rows.as_ref(), conditions: conditions.as_ref() };
    let part = |part: Option<WrittenAmountOrSum>| part.map(|part| inherited.part(part));
    let mapping = Mapping {
        status: status?,
        success: success?.map(|conditions| conditions.0).unwrap_or_default(),
        absent: absent?.unwrap_or_default(),
        currency: currency?,
        units: units?,
        available: inherited.role(available?),
        blocked: part(blocked?),
        reserved: part(reserved?),
        processing: part(processing?),
        total: total?.map(|role| inherited.role(role)),
        rows: inherited.rows(None, None),
        report: report?.unwrap_or_default(),
        observed_at: observed_at?,
    };
    check_rules(section, &mapping)?;
    Ok(mapping)
}

/// A placeholder for the mapping, to record a body. Only the currency is read, because the request may hold it.
pub(super) fn read_currency_alone(section: &mut Section<'_>) -> Read<Mapping> {
    const KEYS: [&str; 15] = [
        "success",
        "status",
        "absent",
        "units",
        "digits",
        "rows",
        "where",
        "available",
        "blocked",
        "reserved",
        "processing",
        "total",
        "report",
        "observed_at",
        "examples",
    ];
    let currency: Read<Option<CurrencyRule>> = section.optional("currency");
    for key in KEYS {
        section.value(key);
    }
    let placeholder = CurrencyRule::At { at: Pointer::default(), case: Case::Upper, only: None };
    let available = Role { at: Pointer::default(), rows: None, currency: None, is_optional: false };
    Ok(Mapping {
        status: None,
        success: Vec::new(),
        absent: Vec::new(),
        currency: currency?.unwrap_or(placeholder),
        units: AmountUnit::Major,
        rows: None,
        available,
        blocked: None,
        reserved: None,
        processing: None,
        total: None,
        report: Vec::new(),
        observed_at: None,
    })
}

fn read_units(section: &mut Section<'_>) -> Read<AmountUnit> {
    let units: Read<WrittenUnit> = section.required("units");
    let digits: Read<Option<Digits>> = section.optional("digits");
    if section.has("digits") && !matches!(units, Ok(WrittenUnit::Minor) | Err(_)) {
        return Err(section.wrong("digits", "expected only together with units = \"minor\""));
    }
    Ok(units?.with(digits?))
}

impl Inherited<'_> {
    fn part(&self, part: WrittenAmountOrSum) -> AmountOrSum {
        match part {
            WrittenAmountOrSum::One(role) => AmountOrSum::One(self.role(role)),
            WrittenAmountOrSum::Sum(roles) => {
                AmountOrSum::Sum(roles.into_iter().map(|role| self.role(role)).collect())
            }
        }
    }

    fn role(&self, role: WrittenRole) -> Role {
        Role {
            rows: self.rows(role.rows.as_ref(), role.conditions.as_ref()),
            at: role.at,
            currency: role.currency,
            is_optional: role.is_optional,
        }
    }

    /// A role's own rows and conditions replace those of the kind.
    fn rows(&self, own: Option<&Pointer>, own_conditions: Option<&Conditions>) -> Option<Rows> {
        let array = own.or(self.rows)?.clone();
        let conditions = own_conditions.or(self.conditions);
        Some(Rows {
            array,
            conditions: conditions.map(|conditions| conditions.0.clone()).unwrap_or_default(),
        })
    }
}

/// Checks the rules that concern several keys.
fn check_rules(section: &Section<'_>, mapping: &Mapping) -> Read<()> {
    let parts = mapping.parts();
    let roles: Vec<(&str, &Role)> =
        parts.iter().flat_map(|(name, part)| part.roles().iter().map(move |role| (*name, role))).collect();
    let results = [
        check_rows(section, mapping, &roles),
        check_indices(section, mapping, &roles),
        check_doubles(section, mapping, &roles),
        check_digits(section, mapping),
    ];
    results.into_iter().collect()
}

/// Rows need a currency that the body names, and either all roles have rows or none has.
fn check_rows(section: &Section<'_>, mapping: &Mapping, roles: &[(&str, &Role)]) -> Read<()> {
    let with_rows = roles.iter().filter(|(_, role)| role.rows.is_some()).count();
    if with_rows == 0 {
        let without = |key: &str| !section.has(key);
        return if without("where") {
            Ok(())
        } else {
            Err(section.wrong("where", "expected only together with rows"))
        };
    }
    if matches!(mapping.currency, CurrencyRule::Stated(_)) {
        let expected =
            "expected { at = \"/currency\" } together with rows: a row could be in another currency";
        return Err(section.wrong("currency", expected));
    }
    match roles.iter().find(|(_, role)| role.rows.is_none()) {
        Some((name, _)) => Err(section.wrong(name, "expected rows, as another amount has them")),
        None => Ok(()),
    }
}

/// No pointer may choose a row of an array by its number.
fn check_indices(section: &Section<'_>, mapping: &Mapping, roles: &[(&str, &Role)]) -> Read<()> {
    const EXPECTED: &str = "expected no row number, as the order may change; choose the row with where";
    let arrays: Vec<&Pointer> =
        roles.iter().filter_map(|(_, role)| Some(&role.rows.as_ref()?.array)).collect();
    let counts = |pointer: &Pointer| arrays.iter().any(|array| pointer.indexes_into(array));
    let mut result = Ok(());
    for (name, role) in roles {
        let own = [Some(&role.at), role.currency.as_ref()].into_iter().flatten();
        if role.rows.is_some() && own.clone().any(Pointer::begins_with_index) || own.clone().any(counts) {
            result = Err(section.wrong(name, EXPECTED));
        }
    }
    let from_body = mapping.absent.iter().chain(&mapping.status).chain(&mapping.observed_at);
    if from_body.chain(mapping.success.iter().map(|condition| &condition.at)).any(counts) {
        result = Err(section.wrong("", EXPECTED));
    }
    result
}

/// A pointer that is read twice is a field that was swapped or copied by mistake.
fn check_doubles(section: &Section<'_>, mapping: &Mapping, roles: &[(&str, &Role)]) -> Read<()> {
    let mut seen: Vec<(Option<&Rows>, &Pointer)> = Vec::new();
    let mut result = Ok(());
    let reports = mapping.report.iter().map(|at| ("report", mapping.rows.as_ref(), at));
    let all = roles.iter().map(|(name, role)| (*name, role.rows.as_ref(), &role.at)).chain(reports);
    for (name, rows, at) in all {
        if seen.contains(&(rows, at)) {
            result =
                Err(section.wrong(name, "expected each pointer once, but another amount already has it"));
        }
        seen.push((rows, at));
    }
    result
}

/// If the kind states the currency, the digits of the currency must be known.
fn check_digits(section: &Section<'_>, mapping: &Mapping) -> Read<()> {
    match mapping.currency.only() {
        Some(currency) if !mapping.units.knows(currency) => {
            Err(section.wrong("digits", &super::currencies::expected_digits(currency)))
        }
        _ => Ok(()),
    }
}
