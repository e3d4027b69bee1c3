//! Holds what a service did against what was due. All moments are the time since the beginning, which
//! no setting of a clock changes.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::oracle;
use super::{Made, Seen};
use crate::run::Outcome;

/// How late a start may be for what takes time on a machine.
const SLACK: Duration = Duration::from_secs(2);

/// A clock that is set back by no more than this makes nothing due again.
const CORRECTION: i64 = 300;

/// How long a job rests at most that fails every two hours.
const LONGEST_REST: Duration = Duration::from_hours(8);

/// A moment at which a job became due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    moment: Duration,
    /// The time that was due.
    time: Timestamp,
    jitter: Duration,
    /// It was due before already, and comes again before anybody may have noticed that the clock was
    /// set back: a run may begin for it, and need not.
    free: bool,
}

/// What was made of a year.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// How often a job was due.
    pub(super) due: usize,
    pub(super) on_time: usize,
    pub(super) made_up_for: usize,
    pub(super) skipped: usize,
    pub(super) rested_over: usize,
    pub(super) tried_again: usize,
    pub(super) wrong: Vec<String>,
}

struct Version {
    from: Duration,
    line: Option<&'static str>,
    zone: &'static str,
    jitter: Duration,
}

/// Knows what happened around the service.
pub(super) struct Judge {
    begin: Timestamp,
    year: i16,
    longest_sleep: Duration,
    jumps: Vec<(Duration, i64)>,
    down: Vec<(Duration, Duration)>,
    pauses: BTreeMap<&'static str, Vec<(Duration, bool)>>,
    versions: BTreeMap<&'static str, Vec<Version>>,
}

/// Something that the service did about a job.
#[derive(Clone, Copy, Debug)]
enum Deed<'a> {
    Run(&'a Made),
    Skip,
}

impl Judge {
    pub(super) fn new(begin: Timestamp, year: i16, longest_sleep: Duration) -> Judge {
        Judge {
            begin,
            year,
            longest_sleep,
            jumps: Vec::new(),
            down: Vec::new(),
            pauses: BTreeMap::new(),
            versions: BTreeMap::new(),
        }
    }

    pub(super) fn jump(&mut self, at: Duration, seconds: i64) {
        self.jumps.push((at, seconds));
    }

    pub(super) fn down(&mut self, from: Duration, until: Duration) {
        self.down.push((from, until));
    }

    pub(super) fn pause(&mut self, job: &'static str, at: Duration, paused: bool) {
        self.pauses.entry(job).or_default().push((at, paused));
    }

    pub(super) fn line(
        &mut self,
        job: &'static str,
        from: Duration,
        line: Option<&'static str>,
        zone: &'static str,
        minutes: u64,
    ) {
        let version = Version {
            from,
            line,
            zone,
            jitter: Duration::from_mins(minutes),
        };
        self.versions.entry(job).or_default().push(version);
    }

    /// The stretches in which the clock was not set: from, until, the time it shows at `from`.
    fn passes(&self, end: Duration) -> Vec<(Duration, Duration, Timestamp)> {
        let mut passes = Vec::new();
        let (mut from, mut offset) = (Duration::ZERO, 0);
        let last = (end, 0);
        for (at, seconds) in self.jumps.iter().chain([&last]) {
            let passed = SignedDuration::try_from(from).unwrap();
            let shows = self.begin + passed + SignedDuration::from_secs(offset);
            passes.push((from, *at, shows));
            (from, offset) = (*at, offset + seconds);
        }
        passes
    }

    /// The moments at which a job became due, each with the time that was due, in order.
    fn due(&self, versions: &[Version], end: Duration) -> Vec<Due> {
        let mut due = Vec::new();
        let mut reached = self.begin;
        let all: Vec<_> = versions
            .iter()
            .map(|version| {
                version
                    .line
                    .map(|line| oracle::due(line, version.zone, self.year))
                    .unwrap_or_default()
            })
            .collect();
        for (from, until, shows) in self.passes(end) {
            let set_back = reached.duration_since(shows).as_secs();
            if set_back > CORRECTION {
                reached = shows;
            }
            let length = SignedDuration::try_from(until.saturating_sub(from)).unwrap();
            let last = (shows + length).max(reached);
            for (number, version) in versions.iter().enumerate() {
                let next = versions.get(number + 1).map_or(end, |next| next.from);
                for at in &all[number] {
                    if *at <= reached || *at > last {
                        continue;
                    }
                    let after = Duration::try_from(at.duration_since(shows)).unwrap_or_default();
                    let moment = from + after;
                    if moment > version.from && moment <= next {
                        due.push(Due {
                            moment,
                            time: *at,
                            jitter: version.jitter,
                            free: set_back > CORRECTION && after <= self.longest_sleep,
                        });
                    }
                }
            }
            reached = last;
        }
        due.sort();
        due
    }

    /// Tells whether a job was paused at a moment; nothing where that depends on when the service
    /// looked.
    fn paused(&self, job: &str, moment: Duration) -> Option<bool> {
        let pauses = self.pauses.get(job).map(Vec::as_slice).unwrap_or_default();
        let mut paused = false;
        for (at, now) in pauses {
            if *at <= moment {
                paused = *now;
            } else if paused && *at < moment + self.longest_sleep + SLACK {
                return None;
            }
        }
        Some(paused)
    }

    /// Until when something has to be done about what became due at a moment.
    fn deadline(&self, moment: Duration, jitter: Duration) -> Duration {
        let mut base = moment;
        for (at, _) in &self.jumps {
            if *at <= moment && moment <= *at + self.longest_sleep {
                base = base.max(*at + self.longest_sleep);
            }
        }
        for (from, until) in &self.down {
            if *from <= base + jitter + SLACK && moment <= *until {
                base = base.max(*until);
            }
        }
        base + jitter + SLACK
    }

    pub(super) fn judge(&self, end: Duration, seen: &Seen) -> Verdict {
        let mut verdict = Verdict::default();
        for (job, versions) in &self.versions {
            self.judge_job(job, versions, end, seen, &mut verdict);
        }
        verdict
    }

    fn judge_job(
        &self,
        job: &str,
        versions: &[Version],
        end: Duration,
        seen: &Seen,
        verdict: &mut Verdict,
    ) {
        let runs = seen.runs.iter().filter(|(name, _)| name == job);
        let mut deeds: Vec<(Duration, Deed<'_>)> = runs
            .map(|(_, made)| (made.began, Deed::Run(made)))
            .collect();
        let mut times = 0;
        let mut counted = Vec::new();
        for (_, at, count) in seen.skips.iter().filter(|(name, ..)| name == job) {
            // The count begins anew with the service.
            let more = if *count > times {
                count - times
            } else {
                *count
            };
            times = *count;
            counted.push(more);
            deeds.push((*at, Deed::Skip));
        }
        deeds.sort_by_key(|(at, _)| *at);
        let mut counted = counted.into_iter();
        let mut due = self.due(versions, end).into_iter().peekable();
        let mut last: Option<&Made> = None;
        let mut failures = 0;
        let mut wrong = |what: String| verdict.wrong.push(format!("{job}: {what}"));

        for (at, deed) in &deeds {
            let mut owned = Vec::new();
            while let Some(next) = due.next_if(|due| due.moment <= *at) {
                match self.paused(job, next.moment) {
                    Some(true) => {}
                    Some(false) => owned.push(next),
                    None => owned.push(Due { free: true, ..next }),
                }
            }
            verdict.due += owned.len();
            let rests = failures > 1;
            for due in owned.iter().filter(|due| !due.free) {
                let rest = if rests { LONGEST_REST } else { Duration::ZERO };
                if *at > self.deadline(due.moment, due.jitter) + rest {
                    wrong(format!("{due:?} came to pass at {at:?}"));
                }
            }
            let ended = last.map(|made| made.ended.unwrap_or(Duration::MAX));
            let goes_on = ended.is_some_and(|ended| ended > *at);
            match deed {
                Deed::Run(made) => {
                    if goes_on {
                        wrong(format!("a run began at {at:?} while another one went on"));
                    }
                    let again = last.is_some_and(|made| made.how == Some(Outcome::Busy));
                    match owned.len() {
                        0 if again => verdict.tried_again += 1,
                        0 => wrong(format!("a run began at {at:?} for nothing")),
                        1 if *at <= owned[0].moment + owned[0].jitter + SLACK => {
                            verdict.on_time += 1;
                        }
                        number if rests => verdict.rested_over += number,
                        number => verdict.made_up_for += number,
                    }
                    last = Some(made);
                    failures = match made.how {
                        Some(Outcome::Failed) => failures + 1,
                        Some(Outcome::Done) => 0,
                        _ => failures,
                    };
                }
                Deed::Skip => {
                    if !goes_on {
                        wrong(format!("it was skipped at {at:?} while nothing went on"));
                    }
                    let times = counted.next().unwrap_or_default();
                    if times != owned.len() as u64 {
                        wrong(format!(
                            "at {at:?} {times} were counted as skipped of {owned:?}"
                        ));
                    }
                    verdict.skipped += owned.len();
                }
            }
        }
        for due in due {
            let is_over = self.deadline(due.moment, due.jitter) < end;
            if is_over && !due.free && self.paused(job, due.moment) == Some(false) {
                wrong(format!("nothing came of {due:?}"));
            }
        }
    }
}
