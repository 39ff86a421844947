//! `[tracing]`: where traces are exported to. Off without the section.

use crate::config::reader::{Read, Section, Setting, Value, quoted};
use crate::config::values::CollectorUrl;
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

pub(in crate::config) fn read(mut section: Section<'_>) -> Read<TraceSettings> {
    let otlp = section.required("otlp").map(|CollectorUrl(url)| url);
    let sample = section.or("sample", Sample::default());
    section.close_and_record();
    Ok(TraceSettings { otlp: otlp?, sample: sample? })
}
