//! The tables: median and spread of each measure, and ratios to a yardstick taken round by round.

use std::fmt::Write;
use std::io;

/// What is compared in one table: its columns.
pub trait Column: Copy + Eq + 'static {
    const COLUMNS: &'static [Self];
    /// What the others are measured by.
    const YARDSTICK: Self;
    /// Those of which the ratio is shown.
    const RATED: &'static [Self];

    fn name(self) -> &'static str;
}

/// One measure of every contestant.
pub struct Row<C> {
    label: String,
    decimals: usize,
    /// Whether a ratio to the yardstick says anything.
    compared: bool,
    cells: Vec<(C, Cell)>,
}

/// One value per round, or why there are none.
type Cell = Result<Vec<f64>, Absence>;

#[derive(Clone, PartialEq, Eq)]
enum Absence {
    NotInstalled,
    Failed(String),
}

impl<C: Column> Row<C> {
    pub fn new(label: &str, decimals: usize) -> Self {
        Self { label: label.to_owned(), decimals, compared: true, cells: Vec::new() }
    }

    /// Leaves the ratios out.
    pub fn uncompared(mut self) -> Self {
        self.compared = false;
        self
    }

    pub fn add(&mut self, kind: C, value: f64) {
        match self.cells.iter_mut().find(|(it, _)| *it == kind) {
            Some((_, Ok(values))) => values.push(value),
            Some((_, Err(_))) => {}
            None => self.cells.push((kind, Ok(vec![value]))),
        }
    }

    /// A contestant that failed once has no figure: a median of the rounds that went well would flatter it.
    pub fn fail(&mut self, kind: C, error: &io::Error) {
        let absence = match error.kind() {
            io::ErrorKind::NotFound => Absence::NotInstalled,
            _ => Absence::Failed(error.to_string()),
        };
        self.cells.retain(|(it, _)| *it != kind);
        self.cells.push((kind, Err(absence)));
    }

    pub fn has_failed(&self, kind: C) -> bool {
        self.cells.iter().any(|(it, cell)| *it == kind && cell.is_err())
    }

    pub fn has_any_failed(&self) -> bool {
        self.cells.iter().any(|(_, cell)| cell.is_err())
    }

    /// This row less `base`'s values in the same round; `base` itself is left out.
    pub fn above(&self, base: C, label: &str) -> Self {
        let mut above = Self::new(label, self.decimals);
        for (kind, cell) in self.cells.iter().filter(|(kind, _)| *kind != base) {
            let cell = match (cell, self.values(base)) {
                (Ok(values), Some(floor)) => {
                    Ok(values.iter().zip(floor).map(|(it, floor)| it - floor).collect())
                }
                (Ok(_), None) => Err(Absence::Failed(format!("{} failed", base.name()))),
                (Err(absence), _) => Err(absence.clone()),
            };
            above.cells.push((*kind, cell));
        }
        above
    }

    fn values(&self, kind: C) -> Option<&[f64]> {
        self.cells.iter().find(|(it, _)| *it == kind).and_then(|(_, cell)| cell.as_deref().ok())
    }

    fn cell(&self, kind: C) -> String {
        match self.cells.iter().find(|(it, _)| *it == kind) {
            Some((_, Ok(values))) => spread(values, self.decimals),
            Some((_, Err(Absence::NotInstalled))) => "not installed".to_owned(),
            Some((_, Err(Absence::Failed(_)))) => "failed".to_owned(),
            None => String::new(),
        }
    }

    fn ratio(&self, kind: C) -> String {
        match (self.values(kind), self.values(C::YARDSTICK)) {
            (Some(values), Some(yardstick)) if self.compared => {
                let ratios: Vec<f64> = values.iter().zip(yardstick).map(|(it, yard)| it / yard).collect();
                spread(&ratios, 2)
            }
            _ => String::new(),
        }
    }
}

/// The rows as Markdown, with what went wrong below them.
pub fn table<C: Column>(rows: &[Row<C>]) -> String {
    let mut text = String::from("| median (min–max) |");
    for column in C::COLUMNS {
        let _ = write!(text, " {} |", column.name());
    }
    for column in C::RATED {
        let _ = write!(text, " {} ÷ {} |", column.name(), C::YARDSTICK.name());
    }
    text.push_str("\n|---|");
    text.push_str(&"--:|".repeat(C::COLUMNS.len() + C::RATED.len()));
    text.push('\n');
    for row in rows {
        let _ = write!(text, "| {} |", row.label);
        for column in C::COLUMNS {
            let _ = write!(text, " {} |", row.cell(*column));
        }
        for column in C::RATED {
            let _ = write!(text, " {} |", row.ratio(*column));
        }
        text.push('\n');
    }
    text + &failures(rows)
}

fn failures<C: Column>(rows: &[Row<C>]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for (kind, cell) in rows.iter().flat_map(|row| &row.cells) {
        let Err(Absence::Failed(why)) = cell else { continue };
        let line = format!("\n{} failed: {why}\n", kind.name());
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.concat()
}

fn spread(values: &[f64], decimals: usize) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.first(), sorted.last()) {
        (Some(min), Some(max)) if sorted.len() > 1 => {
            format!("{:.decimals$} ({min:.decimals$}–{max:.decimals$})", median(&sorted))
        }
        _ => format!("{:.decimals$}", median(&sorted)),
    }
}

/// Median of a sorted list; the mean of the middle two if there is no middle.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}
