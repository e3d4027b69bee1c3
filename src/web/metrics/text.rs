//! The text in which Prometheus reads metrics.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What a number does over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It only grows, until the service begins anew.
    Counter,
    /// It goes up and down.
    Gauge,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        }
    }
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
}

/// The samples of a scrape.
#[derive(Default)]
pub(super) struct Samples {
    by_name: BTreeMap<&'static str, Vec<(Vec<String>, f64)>>,
}

impl Samples {
    /// Takes a value down under the values of the metric's labels, in their order.
    pub(super) fn put(&mut self, name: &'static str, labels: &[&str], value: f64) {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        self.by_name.entry(name).or_default().push((labels, value));
    }

    /// Writes those metrics that have a sample, in the given order.
    pub(super) fn write(&self, metrics: &[Metric]) -> String {
        let mut text = String::new();
        for metric in metrics {
            let Some(samples) = self.by_name.get(metric.name) else {
                continue;
            };
            let Metric {
                name, kind, help, ..
            } = metric;
            let help = escaped(help, false);
            // Writing into a text does not fail.
            write!(
                text,
                "# HELP {name} {help}\n# TYPE {name} {}\n",
                kind.as_str()
            )
            .ok();
            for (values, value) in samples {
                text.push_str(name);
                let pairs = metric.labels.iter().zip(values);
                for (number, (label, value)) in pairs.enumerate() {
                    text.push(if number == 0 { '{' } else { ',' });
                    write!(text, "{label}=\"{}\"", escaped(value, true)).ok();
                }
                if !values.is_empty() {
                    text.push('}');
                }
                writeln!(text, " {value}").ok();
            }
        }
        text
    }
}

/// Writes a text as the format wants it; in a label the quotation mark as well.
fn escaped(text: &str, in_label: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '"' if in_label => escaped.push_str("\\\""),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_jobs_break_out_of_no_label() {
        let metrics = [
            Metric {
                name: "a_total",
                kind: Kind::Counter,
                labels: &["job", "outcome"],
                help: "Runs.\nBy outcome.",
            },
            Metric {
                name: "b_seconds",
                kind: Kind::Gauge,
                labels: &[],
                help: "Time.",
            },
            Metric {
                name: "c",
                kind: Kind::Gauge,
                labels: &[],
                help: "Not there.",
            },
        ];
        let mut samples = Samples::default();
        samples.put("b_seconds", &[], 0.25);
        samples.put("a_total", &["x\"} 1\nevil 2\\", "done"], 3.0);
        samples.put("a_total", &["y", "failed"], 12_345_678_901.0);
        assert_eq!(
            samples.write(&metrics),
            "# HELP a_total Runs.\\nBy outcome.\n# TYPE a_total counter\n\
             a_total{job=\"x\\\"} 1\\nevil 2\\\\\",outcome=\"done\"} 3\n\
             a_total{job=\"y\",outcome=\"failed\"} 12345678901\n\
             # HELP b_seconds Time.\n# TYPE b_seconds gauge\nb_seconds 0.25\n"
        );
    }
}
