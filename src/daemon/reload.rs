//! What a new config means for a running service. Pure.

use super::decide::{Agenda, Timing};
use crate::config::Config;
use crate::config::settled::JobConfig;

use jiff::Timestamp;

/// The jobs that differ between two configs, each list in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct JobsDiff {
    pub(crate) added: Vec<String>,
    pub(crate) removed: Vec<String>,
    /// Jobs that start at other times than before.
    pub(crate) retimed: Vec<String>,
    /// Jobs that start at the same times and do something else.
    pub(crate) changed: Vec<String>,
}

/// Compares the jobs of two configs.
pub(crate) fn compare(old: &Config, new: &Config) -> JobsDiff {
    let mut diff = JobsDiff::default();
    for (name, job) in &new.jobs {
        match old.jobs.get(name) {
            None => diff.added.push(name.clone()),
            Some(before) if timing(old, before) != timing(new, job) => {
                diff.retimed.push(name.clone());
            }
            // A settled job holds no secrets, so its whole text tells it from another.
            Some(before) if format!("{before:?}") != format!("{job:?}") => {
                diff.changed.push(name.clone());
            }
            Some(_) => {}
        }
    }
    diff.removed = old
        .jobs
        .keys()
        .filter(|name| !new.jobs.contains_key(*name))
        .cloned()
        .collect();
    diff
}

/// Brings the agenda in line with a new config.
pub(crate) fn follow(agenda: &mut Agenda, diff: &JobsDiff, new: &Config, now: Timestamp) {
    for name in &diff.removed {
        agenda.remove(name);
    }
    for name in &diff.added {
        agenda.add(name, timing(new, &new.jobs[name]), None, 0, now);
    }
    for name in &diff.retimed {
        agenda.change(name, timing(new, &new.jobs[name]), now);
    }
}

/// Takes the part of a job that says when it runs here; one that is left to others is as a disabled one.
pub(crate) fn timing(config: &Config, job: &JobConfig) -> Timing {
    Timing {
        schedule: job.schedule.clone(),
        jitter: job.jitter,
        enabled: job.enabled && config.daemon.runs(&job.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(jobs: &str) -> Config {
        let text = format!(
            "[providers.crm]\nkind = \"greenrope\"\naccount_id = \"1\"\nemail = \"ops@example.org\"\npassword = {{ env = \"P\" }}\n\
             [providers.mail]\nkind = \"emfluence\"\naccess_token = {{ env = \"T\" }}\n{jobs}"
        );
        crate::config::parse(&text, std::path::Path::new("rosterd.toml"))
            .unwrap_or_else(|findings| panic!("{findings}"))
            .0
    }

    fn job(name: &str, lines: &str) -> String {
        format!(
            "[jobs.{name}]\nsource = \"crm\"\ntarget = \"mail\"\n{lines}\n[jobs.{name}.groups]\ninclude = [\"{name} *\"]\n"
        )
    }

    #[test]
    fn each_difference_has_its_list() {
        let hourly = "schedule = \"@hourly\"";
        let old = config(
            &[
                job("gone", hourly),
                job("same", hourly),
                job("other", hourly),
                job("later", hourly),
            ]
            .concat(),
        );
        let new = config(
            &[
                job("same", hourly),
                job("other", "schedule = \"@hourly\"\nmode = \"managed\""),
                job("later", "schedule = \"@daily\""),
                job("new", ""),
            ]
            .concat(),
        );
        let names = |list: &[&str]| {
            list.iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        let expected = JobsDiff {
            added: names(&["new"]),
            removed: names(&["gone"]),
            retimed: names(&["later"]),
            changed: names(&["other"]),
        };
        assert_eq!(compare(&old, &new), expected);
        // What another service takes over no longer starts here, and the other way round.
        let few = config(
            &[
                job("same", hourly),
                job("other", hourly),
                "[daemon]\njobs = [\"o*\"]\n".to_owned(),
            ]
            .concat(),
        );
        let all = config(&[job("same", hourly), job("other", hourly)].concat());
        let handed = JobsDiff {
            retimed: names(&["same"]),
            ..JobsDiff::default()
        };
        assert_eq!(compare(&all, &few), handed);
        assert_eq!(compare(&few, &all), handed);
        assert_eq!(compare(&new, &new), JobsDiff::default());
    }
}
