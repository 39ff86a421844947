//! Reads callgrind's file: the counts in total, per source file and per function.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;

/// The counted events.
#[derive(Debug, Default)]
pub(crate) struct Profile {
    pub(crate) instructions: u64,
    pub(crate) system_calls: u64,
    /// Valgrind has no vDSO, so reading a clock is a system call there.
    pub(crate) clock_readings: u64,
    pub(crate) allocations: u64,
    by_source: HashMap<String, u64>,
    by_function: HashMap<String, u64>,
    calls_by_function: HashMap<String, u64>,
}

/// The names that the file abbreviates to numbers at their second occurrence.
#[derive(Default)]
struct Names(HashMap<String, String>);

impl Names {
    /// `(12) name`, `(12)` or `name`.
    fn resolve(&mut self, text: &str) -> String {
        let Some((number, name)) = text.strip_prefix('(').and_then(|rest| rest.split_once(')')) else {
            return text.to_owned();
        };
        let name = name.trim();
        if name.is_empty() {
            return self.0.get(number).cloned().unwrap_or_default();
        }
        self.0.insert(number.to_owned(), name.to_owned());
        name.to_owned()
    }
}

impl Profile {
    /// Reads the text that callgrind wrote.
    pub(crate) fn parse(text: &str) -> io::Result<Self> {
        let (mut files, mut functions) = (Names::default(), Names::default());
        let (mut source, mut function, mut callee) = (String::new(), String::new(), String::new());
        let mut profile = Self::default();
        let mut columns: Vec<&str> = Vec::new();
        let mut is_inclusive = false;
        for line in text.lines() {
            if let Some(events) = line.strip_prefix("events:") {
                columns = events.split_whitespace().collect();
            } else if let Some((key, value)) = line.split_once('=') {
                match key {
                    "fl" | "fi" | "fe" => source = files.resolve(value),
                    "fn" => function = functions.resolve(value),
                    "cfn" => callee = functions.resolve(value),
                    "cfi" | "cfl" => {
                        files.resolve(value);
                    }
                    "calls" => {
                        is_inclusive = true;
                        if is_allocation(&function, &callee) {
                            let calls = value.split(' ').next().and_then(|calls| calls.parse::<u64>().ok());
                            profile.allocations += calls.unwrap_or(0);
                        }
                    }
                    _ => {}
                }
            } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
                // The line after `calls` has the cost of the callee, which is counted there already.
                if !std::mem::take(&mut is_inclusive) {
                    profile.add(line, &columns, &source, &function);
                }
            }
        }
        if profile.instructions == 0 {
            return Err(io::Error::other("callgrind counted nothing"));
        }
        Ok(profile)
    }

    fn add(&mut self, line: &str, columns: &[&str], source: &str, function: &str) {
        for (name, count) in columns.iter().zip(line.split(' ').skip(1)) {
            let Ok(count) = count.parse::<u64>() else { continue };
            match *name {
                "Ir" => {
                    self.instructions += count;
                    *self.by_source.entry(short(source)).or_default() += count;
                    *self.by_function.entry(function.to_owned()).or_default() += count;
                }
                "sysCount" if is_clock(function) => self.clock_readings += count,
                "sysCount" => {
                    self.system_calls += count;
                    *self.calls_by_function.entry(function.to_owned()).or_default() += count;
                }
                _ => {}
            }
        }
    }

    /// The sources and functions with the most instructions per answer.
    pub(crate) fn top(&self, answers: u64, lines: usize) -> String {
        let mut text = String::new();
        for (what, counts) in [
            ("instructions  source", &self.by_source),
            ("instructions  function", &self.by_function),
            ("system calls  function", &self.calls_by_function),
        ] {
            let mut counts: Vec<_> = counts.iter().collect();
            counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
            let _ = writeln!(text, "\n{what}");
            for (name, count) in counts.into_iter().take(lines) {
                let _ = writeln!(text, "{:12.1}  {name}", per_answer(*count, answers));
            }
        }
        text
    }
}

/// A count divided by the number of answers.
#[expect(clippy::cast_precision_loss, reason = "counts of one run are small")]
pub(crate) fn per_answer(count: u64, answers: u64) -> f64 {
    count as f64 / answers as f64
}

/// Whether a call enters the allocator. Calls between the allocator's own functions do not count.
fn is_allocation(function: &str, called: &str) -> bool {
    let is_allocator = |name: &str| name.starts_with("mi_") || name.starts_with("_mi_");
    is_allocator(called) && called.contains("alloc") && !is_allocator(function)
}

fn is_clock(function: &str) -> bool {
    function.contains("clock_gettime")
}

/// Shortens a source file to its crate and the path within it.
fn short(path: &str) -> String {
    let from = ["/registry/src/", "/rustc/"].iter().find_map(|mark| {
        let (_, rest) = path.split_once(mark)?;
        rest.split_once('/').map(|(_, rest)| rest)
    });
    from.unwrap_or(path).to_owned()
}
