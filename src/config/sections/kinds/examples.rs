//! `[[kinds.NAME.examples]]`: recorded bodies and the amounts that a person read elsewhere. They are evaluated at every
//! load; a kind that they do not prove is refused.

mod proof;
mod written;

use crate::config::reader::{Read, Reported, Section};
use crate::domain::Currency;
use crate::providers::declared::{Declared, Mapping, MappingReader};
use proof::{Proof, check_proofs, evaluate};
use written::{EXPECTED, currency_of, read_one};

/// Reads and evaluates the examples. Without a mapping, only their form is checked.
pub(in crate::config) fn read(section: &mut Section<'_>, mapping: Option<&Mapping>) -> Read<()> {
    let Some(value) = section.value("examples") else {
        return Err(
            section.wrong("examples", &format!("missing, expected {EXPECTED}: it proves the mapping"))
        );
    };
    let reader = mapping.map(|mapping| (mapping, MappingReader::new(mapping)));
    let items = value.items(EXPECTED)?;
    let mut shown = Vec::new();
    let evaluated: Vec<Read<Option<Proof>>> = items
        .iter()
        .map(|item| {
            let (example, text) = read_one(item)?;
            shown.push(text);
            match &reader {
                Some((mapping, reader)) => evaluate(item, &example, mapping, reader),
                None => Ok(None),
            }
        })
        .collect();
    section.show_text("examples", format!("[{}]", shown.join(", ")));
    let proofs: Vec<Proof> = evaluated.into_iter().collect::<Read<Vec<_>>>()?.into_iter().flatten().collect();
    match mapping {
        Some(mapping) => check_proofs(&value, mapping, &proofs),
        None => Err(Reported),
    }
}

/// The body of each example that the kind reads, with the currency that it is read in.
pub(in crate::config) fn bodies(section: &mut Section<'_>, kind: &Declared) -> Read<Vec<(Currency, String)>> {
    let mapping = &kind.declaration().mapping;
    let Some(value) = section.value("examples") else { return Ok(Vec::new()) };
    let mut bodies = Vec::new();
    for item in value.items(EXPECTED)? {
        let (example, _) = read_one(&item)?;
        if !example.is_refused {
            let currency = currency_of(&item, &example, mapping)?;
            bodies.push((currency, String::from_utf8_lossy(&example.body).into_owned()));
        }
    }
    Ok(bodies)
}
