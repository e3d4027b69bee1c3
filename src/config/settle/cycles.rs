//! Jobs that would carry groups in a circle.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use super::overlap::names_overlap;
use crate::config::diagnostics::{Sink, quoted};
use crate::config::settled::JobConfig;

/// How many paths are followed before the search ends; far beyond any real configuration.
const PATIENCE: usize = 20_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overlap {
    None,
    Possible,
    Certain,
}

/// Reports every circle of jobs over groups that they share.
///
/// `accounts` tells accounts apart by provider name, since two names may stand for one account.
pub(super) fn check(
    jobs: &BTreeMap<String, JobConfig>,
    accounts: &BTreeMap<String, String>,
    spans: &BTreeMap<String, Range<usize>>,
    sink: &mut Sink,
) {
    let account = |name: &str| {
        accounts
            .get(name)
            .map_or_else(|| name.to_owned(), Clone::clone)
    };
    let edges: Vec<(String, String, &JobConfig)> = jobs
        .values()
        .map(|job| (account(&job.source), account(&job.target), job))
        .collect();
    let mut patience = PATIENCE;
    for first in 0..edges.len() {
        if edges[first].0 != edges[first].1 {
            follow(
                &edges,
                &mut vec![first],
                &mut HashSet::from([edges[first].1.clone()]),
                &mut patience,
                &mut |path| {
                    report(
                        &path.iter().map(|at| edges[*at].2).collect::<Vec<_>>(),
                        spans,
                        sink,
                    );
                },
            );
        }
    }
}

/// Follows jobs from account to account; only later jobs extend a path, so that each circle is
/// found once.
fn follow(
    edges: &[(String, String, &JobConfig)],
    path: &mut Vec<usize>,
    visited: &mut HashSet<String>,
    patience: &mut usize,
    found: &mut dyn FnMut(&[usize]),
) {
    let (home, here) = (
        &edges[path[0]].0,
        edges[*path.last().expect("a path has a first job")]
            .1
            .clone(),
    );
    for next in path[0] + 1..edges.len() {
        if edges[next].0 != here || *patience == 0 {
            continue;
        }
        *patience -= 1;
        path.push(next);
        if edges[next].1 == *home {
            found(path);
        } else if visited.insert(edges[next].1.clone()) {
            follow(edges, path, visited, patience, found);
            visited.remove(&edges[next].1);
        }
        path.pop();
    }
}

fn report(jobs: &[&JobConfig], spans: &BTreeMap<String, Range<usize>>, sink: &mut Sink) {
    let overlap = overlap(jobs);
    if overlap == Overlap::None {
        return;
    }
    let names: Vec<String> = jobs.iter().map(|job| quoted(&job.name)).collect();
    let list = match names.split_last() {
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => return,
    };
    let span = jobs
        .iter()
        .filter_map(|job| spans.get(&job.name))
        .min_by_key(|span| span.start)
        .cloned()
        .unwrap_or(0..0);
    let hint =
        "narrow `groups.include` or `groups.exclude` of one of them until no group is in all";
    if overlap == Overlap::Certain {
        sink.error(
            &span,
            format!("The jobs {list} carry the same groups in a circle."),
            Some(hint.to_owned()),
        );
    } else {
        sink.warn(
            &span,
            format!("The jobs {list} might carry a group in a circle: an id and a pattern can't be compared here."),
            Some(hint.to_owned()),
        );
    }
}

/// Judges whether a group could travel through all jobs.
fn overlap(jobs: &[&JobConfig]) -> Overlap {
    let scopes: Vec<_> = jobs.iter().map(|job| &job.groups).collect();
    if names_overlap(&scopes) {
        return Overlap::Certain;
    }
    let ids = |job: &JobConfig| {
        job.groups
            .include
            .iter()
            .filter_map(|pattern| Some(pattern.strip_prefix("id:")?.trim().to_owned()))
            .collect::<Vec<_>>()
    };
    let by_name = |job: &JobConfig| {
        job.groups
            .include
            .iter()
            .any(|pattern| !pattern.starts_with("id:"))
    };
    let everything = |job: &JobConfig| {
        job.groups.exclude.is_empty()
            && job
                .groups
                .include
                .iter()
                .any(|pattern| !pattern.is_empty() && pattern.chars().all(|c| c == '*'))
    };
    let mut worst = Overlap::None;
    for (at, job) in jobs.iter().enumerate() {
        let next = jobs[(at + 1) % jobs.len()];
        for id in ids(job) {
            let pinned = job
                .groups
                .pin
                .get(&id)
                .is_some_and(|target| ids(next).contains(target));
            let mut others = jobs
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != at)
                .map(|(_, job)| job);
            if (pinned && jobs.len() == 2) || others.clone().all(|job| everything(job)) {
                return Overlap::Certain;
            }
            if others.all(|job| by_name(job)) {
                worst = Overlap::Possible;
            }
        }
    }
    worst
}
