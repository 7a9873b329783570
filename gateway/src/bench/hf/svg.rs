//! Plots as SVG: axes, lines and points, nothing else. Deterministic: the same figures give the same octets.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 200.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
const COLOURS: [&str; 6] = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#555555"];

/// An axis.
#[derive(Clone, PartialEq, Debug)]
pub struct Axis {
    /// What it measures, with its unit.
    pub label: &'static str,
    /// Where it begins and ends; above 0 when it is logarithmic.
    pub range: (f64, f64),
    /// Logarithmic.
    pub log: bool,
    /// Where it is labelled.
    pub ticks: Vec<f64>,
}

/// One line or set of points.
#[derive(Clone, PartialEq, Debug)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Its points, in order.
    pub points: Vec<(f64, f64)>,
    /// Points joined by a line, or points alone (what was measured by others).
    pub line: bool,
}

/// A plot, and the name of its file without `.svg`.
#[derive(Clone, PartialEq, Debug)]
pub struct Plot {
    /// The file.
    pub name: &'static str,
    /// What it shows.
    pub title: String,
    /// Across.
    pub x: Axis,
    /// Up.
    pub y: Axis,
    /// What is drawn.
    pub series: Vec<Series>,
}

/// How a series is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Pen {
    colour: &'static str,
    /// What makes it dashed, where the colours begin again.
    dash: &'static str,
}

impl Pen {
    fn all() -> impl Iterator<Item = Self> {
        let dashes = ["", " stroke-dasharray=\"7 4\""].into_iter();
        dashes.flat_map(|dash| COLOURS.into_iter().map(move |colour| Self { colour, dash })).cycle()
    }
}

impl Axis {
    /// Where a value lies between begin (0) and end (1); outside values at the edge.
    fn share(&self, value: f64) -> f64 {
        let (from, to) = self.range;
        let share = if self.log { (value / from).ln() / (to / from).ln() } else { (value - from) / (to - from) };
        if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
    }
}

impl Plot {
    /// The file's text.
    pub fn svg(&self) -> String {
        let mut text = String::new();
        let _ = write!(
            text,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
             <text x=\"{LEFT}\" y=\"22\" font-size=\"14\">{}</text>\n",
            escape(&self.title)
        );
        self.axes(&mut text);
        for (series, pen) in self.series.iter().zip(Pen::all()) {
            self.draw(&mut text, series, pen);
        }
        self.legend(&mut text);
        text.push_str("</svg>\n");
        text
    }

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let across = LEFT + self.x.share(x) * (WIDTH - LEFT - RIGHT);
        (across, HEIGHT - BOTTOM - self.y.share(y) * (HEIGHT - TOP - BOTTOM))
    }

    fn axes(&self, text: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for &tick in &self.x.ticks {
            let (x, _) = self.place((tick, self.y.range.0));
            let _ = writeln!(text, "<path d=\"M{x:.1} {TOP}V{bottom}\" stroke=\"#dddddd\"/>");
            let y = bottom + 18.0;
            let _ = writeln!(text, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{}</text>", number(tick));
        }
        for &tick in &self.y.ticks {
            let (_, y) = self.place((self.x.range.0, tick));
            let _ = writeln!(text, "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#dddddd\"/>");
            let (x, y) = (LEFT - 8.0, y + 4.0);
            let _ = writeln!(text, "<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{}</text>", number(tick));
        }
        let _ = writeln!(text, "<path d=\"M{LEFT} {TOP}V{bottom}H{right}\" stroke=\"#000000\" fill=\"none\"/>");
        let (middle, low) = (f64::midpoint(LEFT, right), HEIGHT - 12.0);
        let label = escape(self.x.label);
        let _ = writeln!(text, "<text x=\"{middle}\" y=\"{low}\" text-anchor=\"middle\">{label}</text>");
        let middle = f64::midpoint(TOP, bottom);
        let label = escape(self.y.label);
        let _ = writeln!(
            text,
            "<text x=\"18\" y=\"{middle}\" text-anchor=\"middle\" transform=\"rotate(-90 18 {middle})\">{label}</text>"
        );
    }

    fn draw(&self, text: &mut String, series: &Series, Pen { colour, dash }: Pen) {
        let places: Vec<(f64, f64)> = series.points.iter().map(|&point| self.place(point)).collect();
        if series.line && !places.is_empty() {
            let points: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let points = points.join(" ");
            let _ = writeln!(
                text,
                "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>"
            );
        }
        let radius = if series.line { 2.5 } else { 4.0 };
        for (x, y) in places {
            let _ = writeln!(text, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{colour}\"/>");
        }
    }

    fn legend(&self, text: &mut String) {
        let x = WIDTH - RIGHT + 14.0;
        for (row, (series, Pen { colour, dash })) in (0_u8..).zip(self.series.iter().zip(Pen::all())) {
            let y = TOP + 10.0 + f64::from(row) * 20.0;
            let _ = if series.line {
                writeln!(text, "<path d=\"M{x} {y}h24\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>")
            } else {
                writeln!(text, "<circle cx=\"{}\" cy=\"{y}\" r=\"4\" fill=\"{colour}\"/>", x + 12.0)
            };
            let (x, y) = (x + 30.0, y + 4.0);
            let _ = writeln!(text, "<text x=\"{x}\" y=\"{y}\">{}</text>", escape(&series.name));
        }
    }
}

/// A tick's value without needless digits.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot() -> Plot {
        let axis = |log, range| Axis { label: "s & <m>", range, log, ticks: vec![range.0, range.1] };
        let series = |line| Series { name: "a".to_owned(), points: vec![(1.0, 10.0), (100.0, 20.0)], line };
        let (x, y) = (axis(true, (1.0, 100.0)), axis(false, (0.0, 40.0)));
        Plot { name: "p", title: "T".to_owned(), x, y, series: vec![series(true), series(false)] }
    }

    #[test]
    fn values_lie_where_the_axes_say() {
        let plot = plot();
        assert_eq!(plot.place((1.0, 0.0)), (LEFT, HEIGHT - BOTTOM));
        assert_eq!(plot.place((100.0, 40.0)), (WIDTH - RIGHT, TOP));
        assert_eq!(plot.place((10.0, 20.0)), (f64::midpoint(LEFT, WIDTH - RIGHT), f64::midpoint(TOP, HEIGHT - BOTTOM)));
        assert_eq!(plot.place((f64::NAN, 99.0)), (LEFT, TOP), "nothing leaves the picture");
    }

    #[test]
    fn where_colours_begin_again_lines_are_dashed() {
        let pens: Vec<Pen> = Pen::all().take(9).collect();
        assert_eq!((pens[0].colour, pens[6].colour), (COLOURS[0], COLOURS[0]));
        assert!(pens[..6].iter().all(|pen| pen.dash.is_empty()) && pens[6..].iter().all(|pen| !pen.dash.is_empty()));
    }

    #[test]
    fn a_plot_is_written_and_words_are_escaped() {
        let svg = plot().svg();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert_eq!((svg.matches("<polyline").count(), svg.matches("<circle").count()), (1, 5));
        assert_eq!(svg.matches("<path").count(), 6, "four ticks, the axes, and a line in the legend");
        assert!(svg.contains("s &amp; &lt;m&gt;") && !svg.contains("<m>"));
        assert_eq!(svg, plot().svg());
        assert_eq!(["0", "0.5", "1200"], [0.0, 0.5, 1200.0].map(number).each_ref().map(String::as_str));
    }
}
