//! `[kinds.NAME]`: kinds of providers that are declared instead of built in. A kind that its examples do not prove is
//! refused.

mod account;
mod alone;
mod body;
mod currencies;
mod examples;
mod kind;
mod mapping;
mod parts;
mod request;
mod rules;
mod texts;
mod token;

use std::cell::Cell;
use std::sync::Arc;

pub(in crate::config) use account::{read_values, values_fit};
pub use alone::{KindFile, load_mapping, parse_kind};
pub(in crate::config) use currencies::require_digits;

use crate::config::reader::{Read, Section};
use crate::providers::declared::Declared;

/// A declared kind as far as it could be read, so that its providers can be checked although it has mistakes.
pub(super) struct KnownKind<'a> {
    pub(in crate::config) name: &'a str,
    pub(in crate::config) kind: Read<Arc<Declared>>,
    is_used: Cell<bool>,
}

/// Every declared kind.
pub(super) struct Kinds<'a>(Vec<(KnownKind<'a>, Section<'a>)>);

impl<'a> Kinds<'a> {
    /// Reads every kind of the section `kinds`.
    pub(in crate::config) fn read(tables: Vec<(&'a str, Section<'a>)>) -> Self {
        let read = |(name, mut section): (&'a str, Section<'a>)| {
            let kind = kind::read(name, &mut section);
            (KnownKind { name, kind, is_used: Cell::new(false) }, section)
        };
        Self(tables.into_iter().map(read).collect())
    }

    /// Finds a kind for a provider.
    pub(in crate::config) fn find(&self, name: &str) -> Option<&Read<Arc<Declared>>> {
        let (known, _) = self.0.iter().find(|(known, _)| known.name == name)?;
        known.is_used.set(true);
        Some(&known.kind)
    }

    /// The names of all kinds.
    pub(in crate::config) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.0.iter().map(|(known, _)| known.name)
    }

    /// Reports unknown keys, and warns of kinds that no provider has.
    pub(in crate::config) fn close(self) {
        for (known, mut section) in self.0 {
            if !known.is_used.get() {
                section.warn("", "no provider is of this kind");
            }
            section.hide_unset();
            section.close_and_record();
        }
    }
}
