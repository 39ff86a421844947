//! The matrix as text: one block per fault, one line per state of the cache and group of kinds that behave alike.

use std::fmt;

use balance_gateway::sandbox::Kind;

use super::cell::Outcome;

/// Name and width of each column. The widths are fixed, so that one long entry changes one line only.
const COLUMNS: [(&str, usize); 10] = [
    ("cached", 8),
    ("kinds", 27),
    ("plain", 40),
    ("no-cache", 40),
    ("plain again", 40),
    ("calls", 18),
    ("errors", 20),
    ("retries", 8),
    ("refused", 8),
    ("lookups", 0),
];

/// Explains the table; printed above it.
const LEGEND: &str = "\
Each line: a balance of a kind in one state of the cache, a fault that lasts, and three requests in a row: one without
a demand, one with `no-cache`, one without again. The background refresh of a stale answer ends before the second.
In brackets: Retry-After. held: a problem without a call to the provider, with a Retry-After. N: seconds.
Every 200 carries Age, no problem does. What was counted: upstream_errors_total (kind operation),
upstream_retries_total, reads_refused_total (reason), cache_lookups_total (outcome).
";

/// All entries, in the order of the faults.
pub(super) struct Table(pub(super) Vec<Row>);

/// One fault in one state of the cache.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) cached: &'static str,
    pub(super) outcomes: Vec<(Kind, Outcome)>,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(LEGEND)?;
        let mut block = "";
        for entry in &self.0 {
            if entry.name != block {
                block = entry.name;
                writeln!(f, "\n# {block}")?;
                write_line(f, COLUMNS.map(|(title, _)| title))?;
            }
            for (outcome, kinds) in entry.groups() {
                let kinds = kinds.join(" ");
                let [plain, forced, again] = &outcome.answers;
                let [errors, retries, refused, lookups] = &outcome.counted;
                let fields =
                    [&kinds, plain, forced, again, &outcome.calls, errors, retries, refused, lookups];
                let mut line = [entry.cached; COLUMNS.len()];
                line[1..].copy_from_slice(&fields.map(String::as_str));
                write_line(f, line)?;
            }
        }
        Ok(())
    }
}

impl Row {
    /// The different outcomes, each with the kinds that share it.
    fn groups(&self) -> Vec<(&Outcome, Vec<&'static str>)> {
        let mut groups: Vec<(&Outcome, Vec<&'static str>)> = Vec::new();
        for (kind, outcome) in &self.outcomes {
            match groups.iter_mut().find(|(known, _)| *known == outcome) {
                Some((_, kinds)) => kinds.push(kind.as_str()),
                None => groups.push((outcome, vec![kind.as_str()])),
            }
        }
        if let [(_, kinds)] = groups.as_mut_slice()
            && kinds.len() == Kind::ALL.len()
        {
            *kinds = vec!["all"];
        }
        groups
    }
}

fn write_line(f: &mut fmt::Formatter<'_>, fields: [&str; COLUMNS.len()]) -> fmt::Result {
    let padded = fields.iter().zip(COLUMNS).map(|(field, (_, width))| format!("{field:width$}"));
    writeln!(f, "{}", padded.collect::<Vec<_>>().join(" ").trim_end())
}
