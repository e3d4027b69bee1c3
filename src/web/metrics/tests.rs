//! What is served, what the guide says of it, and what the files beside it ask for.

use std::collections::BTreeSet;

use super::METRICS;
use super::text::Kind;

const GUIDE: &str = include_str!("../../guide/metrics.md");
const ALERTS: &str = include_str!("../../../config/prometheus-alerts.yml");
const DASHBOARD: &str = include_str!("../../../config/grafana-dashboard.json");

/// The names of metrics in a text.
fn named(text: &str) -> BTreeSet<&str> {
    let starts = text.match_indices("rosterd_").map(|(at, _)| at);
    let names = starts.map(|at| {
        let rest = &text[at..];
        let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        &rest[..end.unwrap_or(rest.len())]
    });
    names.collect()
}

fn known() -> BTreeSet<&'static str> {
    METRICS.iter().map(|metric| metric.name).collect()
}

#[test]
fn names_are_told_apart_and_end_in_their_unit() {
    assert_eq!(known().len(), METRICS.len());
    for metric in METRICS {
        assert!(metric.name.starts_with("rosterd_"), "{}", metric.name);
        let is_total = metric.name.ends_with("_total");
        assert_eq!(is_total, metric.kind == Kind::Counter, "{}", metric.name);
        assert!(metric.help.ends_with('.'), "{}", metric.name);
    }
}

#[test]
fn the_guide_lists_every_metric_as_it_is_served() {
    for metric in METRICS {
        let labels = match metric.labels {
            [] => String::new(),
            labels => format!("; by {}", labels.join(", ")),
        };
        let line = format!(
            "- `{}` ({}{labels}): {}",
            metric.name,
            metric.kind.as_str(),
            metric.help
        );
        assert!(GUIDE.lines().any(|known| known == line), "missing: {line}");
    }
    let listed = GUIDE.lines().filter(|line| line.starts_with("- `rosterd_"));
    assert_eq!(listed.count(), METRICS.len(), "one line for each");
}

#[test]
fn alerts_ask_for_metrics_that_exist() {
    let names = named(ALERTS);
    assert!(names.len() > 5, "{names:?}");
    let known = known();
    let unknown: Vec<_> = names.difference(&known).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let (_, rules) = ALERTS.split_once("rules:").unwrap();
    let rules: Vec<&str> = rules.split("- alert: ").skip(1).collect();
    assert!(rules.len() >= 8, "{}", rules.len());
    for rule in rules {
        for key in [
            "expr: ",
            "for: ",
            "severity: ",
            "summary: ",
            "description: ",
        ] {
            assert_eq!(rule.matches(key).count(), 1, "{key} in {rule}");
        }
        let expression = rule.lines().find(|line| line.contains("expr: ")).unwrap();
        // What a text shows, the numbers have to have: a sum keeps only what it is made by.
        for label in rule.split("$labels.").skip(1) {
            let end = label
                .find(|letter: char| !letter.is_ascii_alphanumeric())
                .unwrap();
            let label = &label[..end];
            let has = |name: &&str| {
                let metric = METRICS
                    .iter()
                    .find(|metric| *metric.name == **name)
                    .unwrap();
                metric.labels.contains(&label)
            };
            assert!(
                label == "instance" || named(expression).iter().all(has),
                "{label} in {rule}"
            );
            assert!(
                !expression.contains("sum by") || expression.matches(label).count() >= 2,
                "{label} is summed away in {rule}"
            );
        }
    }
}

#[test]
fn the_dashboard_asks_for_metrics_that_exist() {
    let names = named(DASHBOARD);
    let known = known();
    let unknown: Vec<_> = names.difference(&known).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()));
        assert!(panel["title"].is_string());
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            let opened = expression.matches(['(', '{', '[']).count();
            let closed = expression.matches([')', '}', ']']).count();
            assert_eq!(opened, closed, "{expression}");
            let legend = target["legendFormat"].as_str().unwrap();
            for label in legend
                .split("{{")
                .skip(1)
                .filter_map(|rest| rest.split("}}").next())
            {
                let shown = named(expression).iter().all(|name| {
                    let metric = METRICS.iter().find(|metric| metric.name == *name).unwrap();
                    label == "instance" || metric.labels.contains(&label)
                });
                assert!(shown, "{label} in {expression}");
            }
        }
    }
    assert!(panels.len() > 10);
}
