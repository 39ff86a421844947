//! How old a balance may be: `[freshness]`, and the overrides of a provider.

use std::time::Duration;

use crate::config::reader::{Read, Reported, Section, Setting, Value, quoted};
use crate::config::values::duration;
use crate::domain::{FreshFor, Limits, MaxAge};

const FRESH_FOR: Duration = Duration::from_secs(10);

/// The limits that providers inherit. A mistake in one does not hide the other.
#[derive(Clone, Copy)]
pub(super) struct Freshness {
    fresh_for: Read<FreshFor>,
    max_age: Read<MaxAge>,
}

impl Setting for MaxAge {
    const EXPECTED: &'static str = "whole seconds, from 1s to 60s";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, |text| duration::parse(text).and_then(|age| Self::new(age).ok()))
    }

    fn show(&self) -> String {
        quoted(&format!("{}s", self.get().as_secs()))
    }
}

impl Setting for FreshFor {
    const EXPECTED: &'static str = MaxAge::EXPECTED;

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, |text| duration::parse(text).and_then(|age| Self::new(age).ok()))
    }

    fn show(&self) -> String {
        quoted(&format!("{}s", self.get().as_secs()))
    }
}

pub(in crate::config) fn read(mut section: Section<'_>) -> Freshness {
    let written = section.optional("fresh_for");
    let max_age = section.or("max_age", MaxAge::CEILING);
    let fresh_for = effective(&mut section, written, FRESH_FOR, max_age);
    section.close_and_record();
    Freshness { fresh_for, max_age }
}

impl Freshness {
    /// Reads the overrides of one provider. A `max_age` above the one of `[freshness]` is a mistake.
    pub(super) fn overridden(self, section: &mut Section<'_>) -> Read<Limits> {
        let fresh_for = section.optional("fresh_for");
        let max_age: Read<Option<MaxAge>> = section.optional("max_age");
        let max_age = max_age.and_then(|written| written.map_or(self.max_age, Ok));
        if let (Ok(own), Ok(ceiling)) = (max_age, self.max_age) {
            section.at_most("max_age", Ok(own.get()), "freshness.max_age", Ok(ceiling.get()));
            section.show("max_age", &own);
        }
        let inherited = self.fresh_for.map_or(FRESH_FOR, FreshFor::get);
        let fresh_for = effective(section, fresh_for, inherited, max_age);
        let limits = Limits { fresh_for: fresh_for?, max_age: max_age? };
        if limits.fresh_for.get() * 2 > limits.max_age.get() {
            section.warn("fresh_for", "more than half of max_age, which leaves a slow provider little time");
        }
        Ok(limits)
    }
}

/// An explicit `fresh_for` must be within `max_age`; an inherited one is reduced to it.
fn effective(
    section: &mut Section<'_>,
    written: Read<Option<FreshFor>>,
    inherited: Duration,
    max_age: Read<MaxAge>,
) -> Read<FreshFor> {
    let (written, max_age) = (written?.map(FreshFor::get), max_age?.get());
    section.at_most("fresh_for", written.ok_or(Reported), "max_age", Ok(max_age));
    let fresh_for = FreshFor::new(written.unwrap_or(inherited.min(max_age)));
    let fresh_for = fresh_for.map_err(|error| section.wrong("fresh_for", &error.to_string()))?;
    section.show("fresh_for", &fresh_for);
    Ok(fresh_for)
}
