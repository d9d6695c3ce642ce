//! How figures grow with the history: the exponent of a power law that fits them best, and a drawing.

use std::fmt::Write as _;

/// A figure at several sizes.
#[derive(Debug, Clone, PartialEq)]
pub struct Growth {
    /// What it is.
    pub name: String,
    /// The unit.
    pub unit: &'static str,
    /// Sizes, and what was measured.
    pub points: Vec<(f64, f64)>,
}

impl Growth {
    /// The exponent `e` of the power law `c * size^e` that fits best, by least squares of the logarithms. `None` where
    /// there are fewer than two sizes.
    pub fn exponent(&self) -> Option<f64> {
        let logs: Vec<(f64, f64)> = self.points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
        let count = logs.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / count;
        let (x, y) = (mean(|at| at.0), mean(|at| at.1));
        let above: f64 = logs.iter().map(|at| (at.0 - x) * (at.1 - y)).sum();
        let below: f64 = logs.iter().map(|at| (at.0 - x).powi(2)).sum();
        (below > 0.0).then(|| above / below)
    }
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 300.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 40.0;
const COLOURS: [&str; 8] =
    ["#0b6e99", "#c2410c", "#3f7d20", "#7c3aed", "#b91c1c", "#0f766e", "#92400e", "#475569"];

/// Draws how several figures grow: each in proportion to what it is at its first size, both axes logarithmic. A line
/// that lies flat does not grow, and one in parallel to the dashed line grows with the history.
pub fn to_svg(title: &str, growths: &[Growth]) -> String {
    let relative = |growth: &Growth| {
        let first = growth.points.first().map_or(1.0, |point| point.1);
        growth.points.iter().map(|(x, y)| (x.log10(), (y / first).log10())).collect::<Vec<_>>()
    };
    let lines: Vec<_> = growths.iter().map(relative).collect();
    let all = || lines.iter().flatten();
    let (low, high) = all().fold((f64::MAX, f64::MIN), |(a, b), p| (a.min(p.0), b.max(p.0)));
    let (floor, roof) = all().fold((-0.5_f64, 0.5_f64), |(a, b), p| (a.min(p.1), b.max(p.1)));
    let (floor, roof) = (floor.floor(), roof.ceil().max(high - low));
    let across = |x: f64| LEFT + (x - low) / (high - low).max(1e-9) * (WIDTH - LEFT - RIGHT);
    let up =
        |y: f64| HEIGHT - BOTTOM - (y - floor) / (roof - floor).max(1e-9) * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"18\" font-weight=\"bold\">{title}</text>\n"
    );
    for decade in low.round() as i32..=high.round() as i32 {
        let x = across(f64::from(decade));
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{:.1}\" stroke=\"#e5e7eb\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">10^{decade} events</text>",
            HEIGHT - BOTTOM,
            HEIGHT - BOTTOM + 18.0,
        );
    }
    for decade in floor as i32..=roof as i32 {
        let y = up(f64::from(decade));
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"#e5e7eb\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}x</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            y + 4.0,
            10_f64.powi(decade),
        );
    }
    let _ = writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#9ca3af\" stroke-dasharray=\"5 4\"/>",
        across(low),
        up(0.0),
        across(high),
        up(high - low),
    );
    for (number, (growth, line)) in growths.iter().zip(&lines).enumerate() {
        let colour = COLOURS.get(number % COLOURS.len()).unwrap_or(&"#000000");
        let points = line.iter().map(|(x, y)| format!("{:.1},{:.1}", across(*x), up(*y)));
        let points = points.collect::<Vec<_>>().join(" ");
        let exponent = growth.exponent().unwrap_or_default();
        let last = growth.points.last().map_or(0.0, |point| point.1);
        let y = TOP + 18.0 * number as f64 + 8.0;
        let _ = writeln!(
            svg,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\
             <text x=\"{:.1}\" y=\"{y:.1}\" fill=\"{colour}\">{}: {last:.3} {}, exponent {exponent:.2}</text>",
            WIDTH - RIGHT + 12.0,
            growth.name,
            growth.unit,
        );
    }
    svg.push_str("</svg>\n");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponent_is_that_of_the_power_law() {
        let growth = |power: f64| Growth {
            name: "a".to_owned(),
            unit: "ms",
            points: [1e3, 1e4, 1e5].map(|size: f64| (size, 3.0 * size.powf(power))).to_vec(),
        };
        for power in [0.0, 0.5, 1.0, 2.0] {
            let exponent = growth(power).exponent().unwrap();
            assert!((exponent - power).abs() < 1e-9, "{exponent} for {power}");
        }
        assert_eq!(Growth { points: vec![(1.0, 1.0)], ..growth(1.0) }.exponent(), None);
        let svg = to_svg("t", &[growth(1.0), growth(0.0)]);
        assert!(svg.starts_with("<svg") && svg.contains("exponent 1.00"));
        assert!(svg.trim_end().ends_with("</svg>"));
    }
}
