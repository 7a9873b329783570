//! Figures in tables: what they are made of, and how they are printed as Markdown and JSON.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// Everything that a bench found out.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Report {
    /// What was run, so that a reader can run it again: name and value.
    pub facts: Vec<(&'static str, String)>,
    /// The figures.
    pub tables: Vec<Table>,
}

/// One table.
#[derive(Clone, PartialEq, Debug)]
pub struct Table {
    /// Its field in JSON.
    pub name: &'static str,
    /// What it shows, in a sentence.
    pub title: String,
    /// Its columns: the field in JSON, and the words above the column.
    pub columns: Vec<(&'static str, &'static str)>,
    /// Its rows, as many cells as columns.
    pub rows: Vec<Vec<Cell>>,
}

/// One figure or word.
#[derive(Clone, PartialEq, Debug)]
pub enum Cell {
    /// A word.
    Text(String),
    /// A count.
    Whole(u64),
    /// A measure, with so many decimals.
    Real(f64, usize),
    /// A bar, and whether it was reached.
    Bar(String, bool),
    /// Nothing to be said.
    Empty,
}

impl Cell {
    /// A word.
    pub fn text(words: impl Into<String>) -> Self {
        Self::Text(words.into())
    }

    fn words(&self) -> String {
        match self {
            Self::Text(words) => words.replace('|', "/"),
            Self::Whole(count) => count.to_string(),
            Self::Real(measure, decimals) => format!("{measure:.decimals$}"),
            Self::Bar(bar, true) => format!("{bar}: reached"),
            Self::Bar(bar, false) => format!("{bar}: **missed**"),
            Self::Empty => "–".to_owned(),
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::Text(words) => Value::from(words.as_str()),
            Self::Whole(count) => Value::from(*count),
            Self::Real(measure, decimals) => {
                let scale = 10_f64.powi(i32::try_from(*decimals).unwrap_or(0));
                Value::from((measure * scale).round() / scale)
            }
            Self::Bar(bar, reached) => serde_json::json!({ "bar": bar, "reached": reached }),
            Self::Empty => Value::Null,
        }
    }

    fn is_number(&self) -> bool {
        matches!(self, Self::Whole(_) | Self::Real(..))
    }
}

impl Report {
    /// Facts and tables as Markdown.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.facts {
            let _ = writeln!(text, "- {name}: {value}");
        }
        for table in &self.tables {
            let _ = writeln!(text, "\n{}\n\n{}", table.title, table.markdown());
        }
        text
    }

    /// One object: the facts by name, each table a list of objects.
    pub fn json(&self) -> Value {
        let facts = self.facts.iter().map(|(name, value)| (name.replace(' ', "_"), Value::from(value.as_str())));
        let tables = self.tables.iter().map(|table| (table.name.to_owned(), table.json()));
        Value::Object(facts.chain(tables).collect())
    }
}

impl Table {
    fn markdown(&self) -> String {
        let mut text = String::from("|");
        for (_, words) in &self.columns {
            let _ = write!(text, " {words} |");
        }
        text.push_str("\n|");
        for column in 0..self.columns.len() {
            let number = self.rows.iter().any(|row| row.get(column).is_some_and(Cell::is_number));
            text.push_str(if number { " ---: |" } else { " --- |" });
        }
        for row in &self.rows {
            text.push_str("\n|");
            for cell in row {
                let _ = write!(text, " {} |", cell.words());
            }
        }
        text
    }

    fn json(&self) -> Value {
        let object = |row: &Vec<Cell>| {
            let fields = self.columns.iter().zip(row).map(|((field, _), cell)| ((*field).to_owned(), cell.value()));
            Value::Object(fields.collect::<Map<_, _>>())
        };
        Value::Array(self.rows.iter().map(object).collect())
    }
}

/// The median; of an even number the mean of the middle two. Zero of nothing.
pub fn median(figures: &[f64]) -> f64 {
    let sorted = sorted(figures);
    match sorted.len() {
        0 => 0.0,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

/// The smallest figure that `percent` of them do not exceed (nearest rank). Zero of nothing.
pub fn percentile(figures: &[f64], percent: u32) -> f64 {
    let sorted = sorted(figures);
    let rank = (sorted.len() * percent as usize).div_ceil(100).clamp(1, sorted.len().max(1));
    sorted.get(rank - 1).copied().unwrap_or(0.0)
}

/// How many times `ours` is `theirs`; zero when there is nothing to compare with.
pub fn ratio(ours: f64, theirs: f64) -> f64 {
    if theirs > 0.0 { ours / theirs } else { 0.0 }
}

fn sorted(figures: &[f64]) -> Vec<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_percentiles() {
        for (figures, half, ninety_five) in [
            (vec![], 0.0, 0.0),
            (vec![7.0], 7.0, 7.0),
            (vec![3.0, 1.0], 2.0, 3.0),
            (vec![3.0, 1.0, 2.0], 2.0, 3.0),
            ((1..=100).map(f64::from).collect(), 50.5, 95.0),
            ((1..=40).rev().map(f64::from).collect(), 20.5, 38.0),
        ] {
            assert_eq!((median(&figures), percentile(&figures, 95)), (half, ninety_five), "{figures:?}");
        }
    }

    #[test]
    fn ratios() {
        assert_eq!((ratio(10.0, 4.0), ratio(10.0, 0.0)), (2.5, 0.0));
    }

    #[test]
    fn a_report_prints_the_same_figures_twice() {
        let table = Table {
            name: "rows",
            title: "Some rows.".to_owned(),
            columns: vec![("name", "name"), ("rate_per_second", "rate/s"), ("bar", "bar")],
            rows: vec![
                vec![Cell::text("a|b"), Cell::Real(2.345, 1), Cell::Bar("at least 2".to_owned(), true)],
                vec![Cell::Empty, Cell::Whole(7), Cell::Bar("at least 8".to_owned(), false)],
            ],
        };
        let report = Report { facts: vec![("mails a run", "10".to_owned())], tables: vec![table] };
        let expected = "- mails a run: 10\n\nSome rows.\n\n| name | rate/s | bar |\n| --- | ---: | --- |\n\
                        | a/b | 2.3 | at least 2: reached |\n| – | 7 | at least 8: **missed** |\n";
        assert_eq!(report.markdown(), expected);
        let json = report.json();
        assert_eq!(json["mails_a_run"], "10");
        assert_eq!(json["rows"][0]["rate_per_second"], 2.3);
        assert_eq!(json["rows"][1]["bar"]["reached"], false);
        assert!(json["rows"][1]["name"].is_null());
    }
}
