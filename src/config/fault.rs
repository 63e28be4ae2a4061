//! What is wrong with the configuration: where, and what to do about it. Values never appear, for they may be secret.

use std::fmt;
use std::path::{Path, PathBuf};

/// A place in a file, counted from 1; line 0 is no place in particular.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub line: u32,
    pub column: u32,
}

/// One thing an operator has to change. Prints as `path:line:column: message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFault {
    pub path: PathBuf,
    /// Counted from 1; 0 where no line is to blame, as for a missing file or an environment variable.
    pub line: u32,
    pub column: u32,
    pub message: String,
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for ConfigFault {}

/// The faults of one load, gathered so that all are reported together.
#[derive(Default)]
pub(super) struct Faults {
    path: PathBuf,
    list: Vec<ConfigFault>,
    /// Places whose value could not be had; what follows from that is not reported again.
    explained: Vec<Position>,
}

impl Faults {
    pub fn of(path: &Path) -> Self {
        Self { path: path.into(), ..Self::default() }
    }

    pub fn at(&mut self, position: Position, message: impl Into<String>) {
        if !self.explained.contains(&position) {
            self.push(self.path.clone(), position, message.into());
        }
    }

    /// A fault outside gateway.yaml.
    pub fn elsewhere(&mut self, path: impl Into<PathBuf>, line: u32, message: impl Into<String>) {
        self.push(path.into(), Position { line, column: u32::from(line > 0) }, message.into());
    }

    pub fn explain(&mut self, position: Position) {
        self.explained.push(position);
    }

    /// A fault at a place whose other faults follow from it.
    pub fn explain_by(&mut self, position: Position, message: String) {
        self.push(self.path.clone(), position, message);
        self.explain(position);
    }

    fn push(&mut self, path: PathBuf, position: Position, message: String) {
        let fault = ConfigFault { path, line: position.line, column: position.column, message };
        if !self.list.contains(&fault) {
            self.list.push(fault);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All of them, in the order of the file.
    pub fn into_list(mut self) -> Vec<ConfigFault> {
        self.list.sort_by_key(|it| (it.line, it.column));
        self.list
    }
}

/// The candidate that `name` is most likely a slip of, if any.
pub(super) fn near<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (name.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, candidate)| candidate)
}

/// `; did you mean …?`, or nothing.
pub(super) fn hint<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    near(name, candidates).map(|it| format!("; did you mean `{it}`?")).unwrap_or_default()
}

/// Levenshtein: insertions, deletions and replacements that turn one into the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_prints_its_place_if_it_has_one() {
        let mut faults = Faults::of(Path::new("a.yaml"));
        faults.at(Position { line: 2, column: 5 }, "no");
        faults.elsewhere("environment", 0, "X is odd");
        let lines: Vec<_> = faults.into_list().iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["environment: X is odd", "a.yaml:2:5: no"]);
    }

    #[test]
    fn near_misses_are_found() {
        let check =
            |name, expected| assert_eq!(near(name, ["openai", "deepseek", "qwen"]), expected, "{name}");
        check("openia", Some("openai"));
        check("depseek", Some("deepseek"));
        check("qwem", Some("qwen"));
        check("mistral", None);
    }
}
