//! What to start now and when to look again. Pure: the moment and everything that is known are
//! arguments.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::schedule::Schedule;

/// How long a job rests whose account was in use by another process.
pub(crate) const BUSY_REST: Duration = Duration::from_mins(1);

/// A start that is later than this after its fire makes up for a missed one.
const LATE: Duration = Duration::from_mins(1);

/// A clock that is set back by no more than this was corrected: what fired does not fire again. By
/// more it tells another time, and to wait for the old one would silence a job.
const CORRECTION: SignedDuration = SignedDuration::from_mins(5);

/// More fires than this that nobody was there for are not counted one by one.
const MOST_COUNTED: usize = 10_000;

/// The part of a job's config that says when it runs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Timing {
    /// None for a job that runs by hand only.
    pub(crate) schedule: Option<Schedule>,
    pub(crate) jitter: Duration,
    pub(crate) enabled: bool,
}

/// How a run of a job ended, as far as the next one is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It went through; some items may wait for a person.
    Through,
    /// A guard refused. The next fire looks again, and passes once the cause is gone.
    Refused,
    /// It failed, so often in a row by now.
    Failed(u32),
    /// Another process had the job or an account.
    Busy,
    /// The service stopped it.
    Stopped,
}

/// A job as the service sees it.
#[derive(Clone, Debug, PartialEq)]
struct Job {
    timing: Timing,
    /// The moment from which the next fire is counted: the last start, or when the job came or was
    /// resumed.
    since: Timestamp,
    failures: u32,
    retry: Option<Timestamp>,
    /// How many fires came while a run was going on.
    skipped: u64,
    /// The fire after `since`, once it was looked for: it stays the same until something of the above
    /// changes, and finding it is what takes time.
    fire: Found,
}

/// The next fire of a job.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Found {
    /// It has to be looked for.
    NotYet,
    /// It was found, or there is none.
    Fire(Option<Timestamp>),
}

/// A run to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) job: String,
    /// Whether it makes up for a fire that nobody was there for.
    pub(crate) catches_up: bool,
    /// How many fires it stands for: one where it is on time, more where some were missed or rested
    /// over, none where it tries again what found an account in use.
    pub(crate) covers: u64,
}

/// What a look at the clock comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) start: Vec<Start>,
    /// Jobs whose fire came while their last run was still going on, with how often that has
    /// happened.
    pub(crate) skipped: Vec<(String, u64)>,
    /// When something is due next; none when nothing is.
    pub(crate) wake: Option<Timestamp>,
}

/// All jobs and when they are due.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Agenda {
    jobs: BTreeMap<String, Job>,
    /// The jobs of which a run is going on, also of those that a new config has left out: where they
    /// come back meanwhile, nothing overlaps.
    running: BTreeSet<String>,
}

impl Agenda {
    /// Takes a job in. `last_fire` is the last start that is remembered; fires after it were
    /// missed.
    pub(crate) fn add(
        &mut self,
        name: &str,
        timing: Timing,
        last_fire: Option<Timestamp>,
        failures: u32,
        now: Timestamp,
    ) {
        self.jobs.insert(
            name.to_owned(),
            Job {
                timing,
                since: counted_from(last_fire.unwrap_or(now), now),
                failures,
                retry: None,
                skipped: 0,
                fire: Found::NotYet,
            },
        );
    }

    /// Gives a job another timing; what fired before is not made up for under the new one.
    pub(crate) fn change(&mut self, name: &str, timing: Timing, now: Timestamp) {
        if let Some(job) = self.jobs.get_mut(name) {
            job.timing = timing;
            job.count_from(now);
        }
    }

    /// Has a job start at once: its last run was broken off, and what that had still to do waits for no fire.
    pub(crate) fn go_on(&mut self, name: &str, now: Timestamp) {
        if let Some(job) = self.jobs.get_mut(name) {
            job.retry = Some(now);
        }
    }

    /// Takes a job out; a run of it that is going on ends by itself.
    pub(crate) fn remove(&mut self, name: &str) {
        self.jobs.remove(name);
    }

    /// Notes that a run has ended.
    pub(crate) fn ended(&mut self, name: &str, how: Ended, now: Timestamp) {
        self.running.remove(name);
        match how {
            Ended::Through | Ended::Refused => self.set_failures(name, 0),
            Ended::Failed(failures) => self.set_failures(name, failures),
            Ended::Busy => {
                if let Some(job) = self.jobs.get_mut(name) {
                    job.retry = now.checked_add(BUSY_REST).ok();
                }
            }
            Ended::Stopped => {}
        }
    }

    /// Decides what starts now. What is started counts as running from here on.
    pub(crate) fn look(&mut self, now: Timestamp, paused: &dyn Fn(&str) -> bool) -> Decision {
        let mut decision = Decision::default();
        for (name, job) in &mut self.jobs {
            if !job.timing.enabled || paused(name) {
                // What fires in a pause is not missed: somebody wanted it so.
                job.count_from(now);
                continue;
            }
            job.set_back(now);
            let Some(due) = job.due(name) else { continue };
            if due > now {
                decision.wake = decision.wake.into_iter().chain([due]).min();
                continue;
            }
            let covers = job.fires_until(now);
            job.count_from(now);
            if self.running.contains(name) {
                job.skipped += covers;
                decision.skipped.push((name.clone(), job.skipped));
            } else {
                self.running.insert(name.clone());
                let late = Duration::try_from(now.duration_since(due)).unwrap_or_default();
                decision.start.push(Start {
                    job: name.clone(),
                    catches_up: late > LATE,
                    covers,
                });
            }
            if let Some(next) = job.due(name) {
                decision.wake = decision.wake.into_iter().chain([next]).min();
            }
        }
        decision
    }

    /// Takes down that a run of a job begins that somebody asked for; tells whether it may, which it
    /// may not while another one is going on.
    pub(crate) fn begin(&mut self, name: &str) -> bool {
        self.jobs.contains_key(name) && self.running.insert(name.to_owned())
    }

    /// Tells whether a run of a job is going on.
    pub(crate) fn is_running(&self, name: &str) -> bool {
        self.running.contains(name)
    }

    /// Returns how often a job has failed in a row.
    pub(crate) fn failures(&self, name: &str) -> u32 {
        self.jobs.get(name).map_or(0, |job| job.failures)
    }

    /// Sets how often a job has failed in a row: somebody may have run it by hand.
    pub(crate) fn set_failures(&mut self, name: &str, failures: u32) {
        if let Some(job) = self.jobs.get_mut(name)
            && job.failures != failures
        {
            (job.failures, job.fire) = (failures, Found::NotYet);
        }
    }

    /// Returns the moment from which the next fire of a job is counted.
    pub(crate) fn since(&self, name: &str) -> Option<Timestamp> {
        self.jobs.get(name).map(|job| job.since)
    }

    /// Returns when a job is to start next, as far as that is known now.
    pub(crate) fn next(&mut self, name: &str) -> Option<Timestamp> {
        let job = self.jobs.get_mut(name)?;
        job.timing.enabled.then(|| job.due(name)).flatten()
    }

    /// Returns the job that is due first, and when.
    pub(crate) fn first(&mut self, paused: &dyn Fn(&str) -> bool) -> Option<(&str, Timestamp)> {
        let due = self.jobs.iter_mut().filter_map(|(name, job)| {
            let fires = job.timing.enabled && !paused(name);
            fires
                .then(|| Some((name.as_str(), job.due(name)?)))
                .flatten()
        });
        due.min_by_key(|(_, due)| *due)
    }
}

/// Returns the moment from which a job is counted that was started last at some time.
fn counted_from(last: Timestamp, now: Timestamp) -> Timestamp {
    if last.duration_since(now) > CORRECTION {
        now
    } else {
        last
    }
}

impl Job {
    fn count_from(&mut self, now: Timestamp) {
        (self.since, self.retry, self.fire) = (now, None, Found::NotYet);
    }

    /// Counts from now where the clock was set back: what was noted under the later time would keep
    /// the job silent until that time comes again.
    fn set_back(&mut self, now: Timestamp) {
        let since = counted_from(self.since, now);
        if since != self.since {
            (self.since, self.fire) = (since, Found::NotYet);
        }
        let soon = now.checked_add(BUSY_REST).unwrap_or(now);
        self.retry = self.retry.map(|retry| retry.min(soon));
    }

    /// When the job is to start next.
    fn due(&mut self, name: &str) -> Option<Timestamp> {
        let schedule = self.timing.schedule.as_ref()?;
        let fire = match self.fire {
            Found::Fire(fire) => fire,
            Found::NotYet => schedule
                .next_after_failures(self.since, self.failures)
                .map(|fire| schedule.delayed(name, fire, self.timing.jitter)),
        };
        self.fire = Found::Fire(fire);
        let fire = fire?;
        Some(self.retry.map_or(fire, |retry| retry.min(fire)))
    }

    /// How many fires there were since the last start.
    fn fires_until(&self, now: Timestamp) -> u64 {
        let Some(schedule) = &self.timing.schedule else {
            return 0;
        };
        let fires = std::iter::successors(schedule.next_after(self.since), |fire| {
            schedule.next_after(*fire)
        });
        fires
            .take_while(|fire| *fire <= now)
            .take(MOST_COUNTED)
            .count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-22T{text}Z").parse().unwrap()
    }

    fn timing(line: &str) -> Timing {
        Timing {
            schedule: Some(Schedule::parse(line, "UTC").unwrap()),
            jitter: Duration::ZERO,
            enabled: true,
        }
    }

    fn quarterly(last: Option<&str>) -> Agenda {
        let mut agenda = Agenda::default();
        agenda.add("a", timing("*/15 * * * *"), last.map(at), 0, at("10:05:00"));
        agenda
    }

    /// Looks at a moment and writes down what was decided.
    fn look(agenda: &mut Agenda, moment: &str) -> String {
        look_paused(agenda, moment, false)
    }

    fn look_paused(agenda: &mut Agenda, moment: &str, paused: bool) -> String {
        let decision = agenda.look(at(moment), &|_| paused);
        let mut words: Vec<String> = decision
            .start
            .iter()
            .map(|start| {
                format!(
                    "{} {}",
                    if start.catches_up {
                        "catch up"
                    } else {
                        "start"
                    },
                    start.job
                )
            })
            .collect();
        words.extend(
            decision
                .skipped
                .iter()
                .map(|(job, times)| format!("skip {job} #{times}")),
        );
        words.extend(
            decision
                .wake
                .map(|wake| format!("wake {}", wake.strftime("%H:%M:%S"))),
        );
        words.join(", ")
    }

    #[test]
    fn a_clock_that_is_set_back_or_forward_silences_no_job_and_loses_no_fire() {
        let mut agenda = quarterly(None);
        assert_eq!(look(&mut agenda, "10:15:00"), "start a, wake 10:30:00");
        agenda.ended("a", Ended::Through, at("10:16:00"));
        // Back by an hour: the fires of that hour come again.
        assert_eq!(look(&mut agenda, "09:16:10"), "wake 09:30:00");
        assert_eq!(look(&mut agenda, "09:30:00"), "start a, wake 09:45:00");
        agenda.ended("a", Ended::Through, at("09:31:00"));
        // Forward by three: one run makes up for all that was missed.
        assert_eq!(look(&mut agenda, "12:31:00"), "catch up a, wake 12:45:00");
        agenda.ended("a", Ended::Busy, at("12:31:30"));
        // And back while it waits for an account.
        assert_eq!(look(&mut agenda, "06:00:10"), "wake 06:01:10");
        assert_eq!(look(&mut agenda, "06:01:10"), "start a, wake 06:15:00");
        // A start that is remembered from the future is taken for now.
        let mut agenda = quarterly(Some("23:59:00"));
        assert_eq!(look(&mut agenda, "10:05:00"), "wake 10:15:00");
    }

    #[test]
    fn a_clock_that_is_corrected_by_seconds_starts_nothing_twice() {
        let mut agenda = quarterly(None);
        assert_eq!(look(&mut agenda, "10:15:00"), "start a, wake 10:30:00");
        agenda.ended("a", Ended::Through, at("10:15:01"));
        assert_eq!(look(&mut agenda, "10:14:58"), "wake 10:30:00");
        assert_eq!(look(&mut agenda, "10:15:00"), "wake 10:30:00");
        // Nor does a restart at that moment.
        let mut agenda = Agenda::default();
        let last = Some(at("10:15:00"));
        agenda.add("a", timing("*/15 * * * *"), last, 0, at("10:14:58"));
        assert_eq!(look(&mut agenda, "10:15:00"), "wake 10:30:00");
    }

    #[test]
    fn a_start_tells_how_many_fires_it_stands_for() {
        let mut agenda = quarterly(Some("08:00:00"));
        let covers = |agenda: &mut Agenda, moment: &str| {
            let decision = agenda.look(at(moment), &|_| false);
            decision.start.first().map(|start| start.covers)
        };
        assert_eq!(covers(&mut agenda, "10:05:00"), Some(8), "8:15 to 10:00");
        agenda.ended("a", Ended::Busy, at("10:06:00"));
        assert_eq!(covers(&mut agenda, "10:07:00"), Some(0), "it tries again");
        agenda.ended("a", Ended::Failed(3), at("10:08:00"));
        assert_eq!(covers(&mut agenda, "10:15:00"), None, "it rests");
        assert_eq!(covers(&mut agenda, "11:00:00"), Some(4));
        // While it runs, each fire that nobody looked at is a skipped one.
        assert_eq!(look(&mut agenda, "12:00:00"), "skip a #4, wake 13:00:00");
    }

    #[test]
    fn a_job_that_comes_back_while_its_run_goes_on_does_not_overlap() {
        let mut agenda = quarterly(None);
        look(&mut agenda, "10:15:00");
        agenda.remove("a");
        agenda.add("a", timing("*/15 * * * *"), None, 0, at("10:20:00"));
        assert_eq!(look(&mut agenda, "10:30:00"), "skip a #1, wake 10:45:00");
        agenda.ended("a", Ended::Through, at("10:31:00"));
        assert_eq!(look(&mut agenda, "10:45:00"), "start a, wake 11:00:00");
    }

    #[test]
    fn a_failing_job_is_not_silenced_by_a_clock_that_is_set_back() {
        let mut agenda = quarterly(None);
        look(&mut agenda, "10:15:00");
        agenda.ended("a", Ended::Failed(1), at("10:16:00"));
        let decision = agenda.look(at("02:00:00"), &|_| false);
        assert!(decision.wake.unwrap() <= at("02:45:00"), "{decision:?}");
    }

    #[test]
    fn a_jitter_longer_than_the_period_loses_no_fire() {
        let mut agenda = Agenda::default();
        let jittery = Timing {
            jitter: Duration::from_hours(5),
            ..timing("*/15 * * * *")
        };
        agenda.add("a", jittery, None, 0, at("00:05:00"));
        let mut starts = 0;
        for minute in 5..245 {
            let now = at("00:00:00") + jiff::SignedDuration::from_mins(minute);
            let decision = agenda.look(now, &|_| false);
            starts += decision.start.len();
            agenda.ended("a", Ended::Through, now);
        }
        // Each start belongs to one of the sixteen fires; the last may still be put off.
        assert!((15..=16).contains(&starts), "{starts}");
    }

    #[test]
    fn a_job_starts_on_its_fire_and_not_before() {
        let mut agenda = quarterly(None);
        assert_eq!(look(&mut agenda, "10:05:00"), "wake 10:15:00");
        assert_eq!(look(&mut agenda, "10:14:59"), "wake 10:15:00");
        assert_eq!(look(&mut agenda, "10:15:00"), "start a, wake 10:30:00");
        assert_eq!(look(&mut agenda, "10:15:01"), "wake 10:30:00");
    }

    #[test]
    fn missed_fires_are_made_up_for_once() {
        let mut agenda = quarterly(Some("02:00:00"));
        assert_eq!(look(&mut agenda, "10:05:00"), "catch up a, wake 10:15:00");
        agenda.ended("a", Ended::Through, at("10:06:00"));
        assert_eq!(look(&mut agenda, "10:06:00"), "wake 10:15:00");
    }

    #[test]
    fn an_overlap_is_skipped_and_counted() {
        let mut agenda = quarterly(None);
        assert_eq!(look(&mut agenda, "10:15:00"), "start a, wake 10:30:00");
        assert_eq!(look(&mut agenda, "10:30:00"), "skip a #1, wake 10:45:00");
        assert_eq!(look(&mut agenda, "10:45:00"), "skip a #2, wake 11:00:00");
        agenda.ended("a", Ended::Through, at("10:46:00"));
        assert_eq!(
            look(&mut agenda, "10:46:00"),
            "wake 11:00:00",
            "a skipped fire is not made up for"
        );
    }

    #[test]
    fn a_failing_job_slows_down_and_recovers_at_once() {
        for (ended, next) in [
            (Ended::Through, "10:30:00"),
            (Ended::Refused, "10:30:00"),
            (Ended::Failed(1), "10:30:00"),
            (Ended::Failed(2), "10:45:00"),
            (Ended::Failed(3), "11:15:00"),
            (Ended::Busy, "10:17:30"),
            (Ended::Stopped, "10:30:00"),
        ] {
            let mut agenda = quarterly(None);
            look(&mut agenda, "10:15:00");
            agenda.ended("a", ended, at("10:16:30"));
            assert_eq!(
                look(&mut agenda, "10:16:30"),
                format!("wake {next}"),
                "{ended:?}"
            );
        }
    }

    #[test]
    fn what_says_that_the_provider_is_well_ends_the_slowing_down_and_nothing_else_does() {
        const SLOW: &str = "14:00:00";
        for (ended, next) in [
            (Ended::Through, "10:15:00"),
            (Ended::Refused, "10:15:00"),
            (Ended::Failed(1), "10:15:00"),
            (Ended::Stopped, SLOW),
        ] {
            let mut agenda = quarterly(None);
            agenda.ended("a", Ended::Failed(5), at("10:05:00"));
            assert_eq!(look(&mut agenda, "10:05:30"), format!("wake {SLOW}"));
            agenda.ended("a", ended, at("10:06:00"));
            assert_eq!(
                look(&mut agenda, "10:06:00"),
                format!("wake {next}"),
                "{ended:?}"
            );
        }
        let mut agenda = quarterly(None);
        agenda.ended("a", Ended::Failed(5), at("10:05:00"));
        agenda.ended("a", Ended::Busy, at("10:06:00"));
        assert_eq!(look(&mut agenda, "10:06:00"), "wake 10:07:00");
        look(&mut agenda, "10:07:00");
        agenda.ended("a", Ended::Stopped, at("10:08:00"));
        assert_eq!(
            look(&mut agenda, "10:08:00"),
            format!("wake {SLOW}"),
            "an account in use says nothing about the failures before it"
        );
    }

    #[test]
    fn a_pause_starts_nothing_and_leaves_nothing_to_make_up_for() {
        let mut agenda = quarterly(Some("02:00:00"));
        assert_eq!(look_paused(&mut agenda, "10:05:00", true), "");
        assert_eq!(look_paused(&mut agenda, "10:20:00", true), "");
        assert_eq!(look(&mut agenda, "10:21:00"), "wake 10:30:00");
        agenda.change(
            "a",
            Timing {
                enabled: false,
                ..timing("* * * * *")
            },
            at("10:21:00"),
        );
        assert_eq!(look(&mut agenda, "10:40:00"), "");
    }

    #[test]
    fn jobs_come_change_and_go() {
        let mut agenda = quarterly(None);
        agenda.add(
            "b",
            Timing {
                schedule: None,
                ..timing("* * * * *")
            },
            None,
            0,
            at("10:05:00"),
        );
        agenda.add("c", timing("20 * * * *"), None, 0, at("10:05:00"));
        assert_eq!(look(&mut agenda, "10:05:00"), "wake 10:15:00");
        agenda.change("a", timing("@daily"), at("10:05:00"));
        assert_eq!(look(&mut agenda, "10:05:00"), "wake 10:20:00");
        assert_eq!(look(&mut agenda, "10:20:00"), "start c, wake 11:20:00");
        agenda.remove("c");
        agenda.ended("c", Ended::Through, at("10:21:00"));
        assert_eq!(look(&mut agenda, "23:59:00"), "wake 00:00:00");
    }

    #[test]
    fn a_jittered_start_lies_within_its_bound() {
        let mut agenda = Agenda::default();
        agenda.add(
            "a",
            Timing {
                jitter: Duration::from_mins(5),
                ..timing("@hourly")
            },
            None,
            0,
            at("10:05:00"),
        );
        let wake = agenda.look(at("10:05:00"), &|_| false).wake.unwrap();
        assert!(wake >= at("11:00:00") && wake < at("11:05:00"), "{wake}");
        assert_eq!(agenda.look(wake, &|_| false).start.len(), 1);
    }
}
