//! Figures: what was measured, against what, and whether it keeps its bound.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Failure;

/// How long something took: several times.
#[derive(Debug, Clone, Default)]
pub struct Times(Vec<f64>);

impl Times {
    /// One time more.
    pub fn push(&mut self, took: Duration) {
        self.0.push(took.as_secs_f64() * 1e3);
        self.0.sort_by(f64::total_cmp);
    }

    /// Those of `other` as well.
    pub fn join(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
        self.0.sort_by(f64::total_cmp);
    }

    /// The median, in milliseconds.
    pub fn median(&self) -> f64 {
        self.0.get(self.0.len() / 2).copied().unwrap_or(0.0)
    }

    /// The least, in milliseconds.
    pub fn min(&self) -> f64 {
        self.0.first().copied().unwrap_or(0.0)
    }

    /// The most, in milliseconds.
    pub fn max(&self) -> f64 {
        self.0.last().copied().unwrap_or(0.0)
    }
}

/// Measures `work` on a fresh `prepared` each time, `runs` times after one to warm up. Neither the
/// preparation nor the dropping of what comes out is in the time.
pub fn measure<P, T, E>(
    runs: usize,
    mut prepare: impl FnMut() -> Result<P, E>,
    mut work: impl FnMut(P) -> Result<T, E>,
) -> Result<Times, E> {
    let mut times = Times::default();
    for run in 0..=runs {
        let prepared = prepare()?;
        let started = Instant::now();
        let out = work(prepared)?;
        let took = started.elapsed();
        drop(out);
        if run > 0 {
            times.push(took);
        }
    }
    Ok(times)
}

/// What a figure is held against, computed in the same run.
#[derive(Debug, Clone)]
struct Rival {
    what: &'static str,
    /// How many times the figure it is; above 1, the figure is the better one.
    ratio: f64,
}

/// The bound that a figure is to keep.
#[derive(Debug, Clone, Copy)]
enum Goal {
    Below(f64),
    AtLeast(f64),
}

/// One figure.
#[derive(Debug, Clone)]
pub struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    spread: Option<(f64, f64)>,
    rival: Option<Rival>,
    goal: Option<Goal>,
}

impl Figure {
    /// A figure of this name.
    pub fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, spread: None, rival: None, goal: None }
    }

    /// The median of `times`, in milliseconds, with the least and the most.
    pub fn median(name: impl Into<String>, times: &Times) -> Self {
        let spread = Some((times.min(), times.max()));
        Self { spread, ..Self::new(name, times.median(), "ms") }
    }

    /// The most of `times`, in milliseconds, with the least and the median.
    pub fn worst(name: impl Into<String>, times: &Times) -> Self {
        let spread = Some((times.min(), times.median()));
        Self { spread, ..Self::new(name, times.max(), "ms") }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its value, and the unit.
    pub const fn value(&self) -> (f64, &'static str) {
        (self.value, self.unit)
    }

    /// Held against `what`, which took or cost `value`, less being better.
    pub fn against(mut self, what: &'static str, value: f64) -> Self {
        self.rival = Some(Rival { what, ratio: value / self.value });
        self
    }

    /// Held against `what`, which came to `value`, more being better.
    pub fn outrun(mut self, what: &'static str, value: f64) -> Self {
        self.rival = Some(Rival { what, ratio: self.value / value });
        self
    }

    /// It is to be below `bound`.
    pub fn below(mut self, bound: f64) -> Self {
        self.goal = Some(Goal::Below(bound));
        self
    }

    /// It is to be `bound` at least.
    pub fn at_least(mut self, bound: f64) -> Self {
        self.goal = Some(Goal::AtLeast(bound));
        self
    }

    /// Whether it keeps its bound, where it has one.
    pub fn met(&self) -> Option<bool> {
        self.goal.map(|goal| match goal {
            Goal::Below(bound) => self.value < bound,
            Goal::AtLeast(bound) => self.value >= bound,
        })
    }

    fn goal(&self) -> Option<String> {
        self.goal.map(|goal| match goal {
            Goal::Below(bound) => format!("< {} {}", number(bound), self.unit),
            Goal::AtLeast(bound) => format!(">= {} {}", number(bound), self.unit),
        })
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "rival": self.rival.as_ref().map(|rival| rival.what),
            "ratio": self.rival.as_ref().map(|rival| rival.ratio),
            "goal": self.goal(),
            "met": self.met(),
        })
    }

    fn cells(&self) -> [String; 6] {
        let spread = self.spread.map(|(a, b)| format!("{} .. {}", number(a), number(b)));
        let rival = self.rival.as_ref();
        let rival = rival.map(|rival| format!("{} x {}", number(rival.ratio), rival.what));
        let met = self.met().map(|met| if met { "yes" } else { "NO" }.to_owned());
        [
            self.name.clone(),
            format!("{} {}", number(self.value), self.unit),
            spread.unwrap_or_default(),
            rival.unwrap_or_default(),
            self.goal().unwrap_or_default(),
            met.unwrap_or_default(),
        ]
    }
}

/// Three digits that count.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 0.995 => format!("{value:.3}"),
        size if size < 9.995 => format!("{value:.2}"),
        size if size < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Every figure as one document.
pub fn to_json(figures: &[Figure]) -> Value {
    json!({ "figures": figures.iter().map(Figure::json).collect::<Vec<_>>() })
}

/// Adds figures to the document in `path`, or makes it.
///
/// # Errors
/// When it cannot be read or written.
pub fn add_to_json(path: &Path, figures: &[Figure]) -> Result<(), Failure> {
    let kept = std::fs::read(path).ok();
    let kept: Option<Value> = kept.and_then(|text| serde_json::from_slice(&text).ok());
    let mut all = kept.unwrap_or_else(|| json!({ "figures": [] }));
    if let Some(known) = all.get_mut("figures").and_then(Value::as_array_mut) {
        known.extend(figures.iter().map(Figure::json));
    }
    std::fs::write(path, format!("{all:#}\n"))
        .map_err(|error| Failure::Other(format!("cannot write {}: {error}", path.display())))
}

/// Every figure as a table for people.
pub fn to_table(figures: &[Figure]) -> String {
    let head = ["figure", "value", "spread", "against", "goal", "met"].map(str::to_owned);
    let rows: Vec<[String; 6]> =
        std::iter::once(head).chain(figures.iter().map(Figure::cells)).collect();
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_says_whether_it_keeps_its_bound_and_what_it_is_held_against() {
        let figure = Figure::new("a", 2.0, "ms").against("a refold", 8.0).below(1.0);
        let json = to_json(&[figure.clone(), Figure::new("b", 5.0, "events/s").at_least(5.0)]);
        let expected = json!({ "figures": [
            { "name": "a", "value": 2.0, "unit": "ms", "rival": "a refold", "ratio": 4.0,
              "goal": "< 1.00 ms", "met": false },
            { "name": "b", "value": 5.0, "unit": "events/s", "rival": null, "ratio": null,
              "goal": ">= 5.00 events/s", "met": true },
        ] });
        assert_eq!(json, expected);
        assert!(to_table(&[figure]).ends_with("2.00 ms          4.00 x a refold  < 1.00 ms  NO"));
    }
}
