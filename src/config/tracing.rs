//! `[tracing]`: where traces are exported to. Off without the section.

use super::address::CollectorUrl;
use super::effective::quoted;
use super::reading::Read;
use super::section::Section;
use super::setting::Setting;
use super::value::Value;
use crate::trace::{Sample, TraceSettings};

impl Setting for Sample {
    const EXPECTED: &'static str = "a decimal number from \"0\" to \"1\", such as \"0.01\"";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, Self::parse)
    }

    fn show(&self) -> String {
        quoted(self.as_str())
    }
}

pub(super) fn read(mut section: Section<'_>) -> Read<TraceSettings> {
    let otlp = section.required("otlp").map(|CollectorUrl(url)| url);
    let sample = section.or("sample", Sample::default());
    section.close_and_record();
    Ok(TraceSettings { otlp: otlp?, sample: sample? })
}
