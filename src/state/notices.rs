//! What there is to tell of the jobs, and to whom it has still to be told.
//!
//! A notice is written in the transaction that writes down how a run ended, so that a kill can neither
//! lose nor double it, and whoever ended the run need not be who tells of it. What a notice holds are
//! figures: no address, and no words of a provider that were not masked.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row};

use super::Store;
use super::convert::{count, from_json, json, optional_time, stamp, time};
use super::error::{Fault, StateError};
use super::runs::{EMPTY_PLAN, Outcome, RunEnd, UNDO};
use crate::model::without_addresses;
use crate::notify::decide::{self, Ended, LONGEST_INTERVAL, Pending, Standing, State};

/// How long whoever began to tell something has it for himself; longer than any attempt takes.
const CLAIM: SignedDuration = SignedDuration::from_secs(120);

/// The longest text of an error in a notice, in characters.
const LONGEST_ERROR: usize = 400;

/// Something to tell of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// What it is known by to whoever is told, however often it comes.
    pub uid: String,
    /// The job.
    pub job: String,
    /// How the job stands now.
    pub state: State,
    /// How it stood before, as it was told; with no approval.
    pub was: State,
    /// Since when it stood so.
    pub since: Timestamp,
    /// The run after which it is told.
    pub run: Option<String>,
    /// When.
    pub at: Timestamp,
    /// The figures of the run.
    pub figures: serde_json::Value,
}

/// A notice that one channel has to tell now.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Its number, which is the order in which things happened.
    pub id: i64,
    /// What to tell.
    pub notice: Notice,
    /// How often it was tried before.
    pub attempts: u32,
    /// How many earlier notices of the job were not told and are not told any more.
    pub missed: u64,
    /// From when the first of them is.
    pub missed_from: Option<Timestamp>,
}

/// What a channel has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum NextDelivery {
    /// To tell something.
    Tell(Box<Delivery>),
    /// To wait until then; nothing where there is nothing to tell.
    Wait(Option<Timestamp>),
}

/// How an attempt to tell something ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The receiver has it.
    Told,
    /// It failed, and is tried again then.
    Again {
        /// Why.
        why: String,
        /// When.
        at: Timestamp,
    },
    /// It failed, and is not tried again.
    GivenUp {
        /// Why.
        why: String,
    },
}

/// How a channel fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelRecord {
    /// Its name.
    pub channel: String,
    /// Since when nothing could be told through it.
    pub failing_since: Option<Timestamp>,
    /// Why, in the words of the last attempt.
    pub why: Option<String>,
    /// How many notices were given up since something could be told.
    pub given_up: u64,
    /// How many wait.
    pub waiting: u64,
    /// When the next of them is tried.
    pub next_try: Option<Timestamp>,
}

impl Store {
    /// Takes down through which channels people are told from now on, and lets go of what was to be
    /// told through others. A new channel is told what happens from here on.
    pub fn set_channels(&self, names: &[&str]) -> Result<(), StateError> {
        self.write(|connection| {
            let known: Vec<String> = connection
                .prepare_cached("SELECT name FROM channels")?
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            for gone in known.iter().filter(|name| !names.contains(&name.as_str())) {
                connection
                    .prepare_cached("DELETE FROM deliveries INDEXED BY deliveries_waiting WHERE channel = ?1 AND state = 'waiting'")?
                    .execute([gone])?;
                connection
                    .prepare_cached("DELETE FROM told WHERE channel = ?1")?
                    .execute([gone])?;
                connection
                    .prepare_cached("DELETE FROM channels WHERE name = ?1")?
                    .execute([gone])?;
            }
            add_channels(connection, names)
        })
    }

    /// Takes down through which channels people are told as well.
    pub fn add_channels(&self, names: &[&str]) -> Result<(), StateError> {
        let known = self.channels()?;
        let is_known = |name: &&str| known.iter().any(|channel| channel.channel == *name);
        if names.iter().all(is_known) {
            return Ok(());
        }
        self.write(|connection| add_channels(connection, names))
    }

    /// Takes down that a run of a job broke off before it could be written down, or after. Where that
    /// is known already, nothing changes.
    pub fn note_breakdown(&self, job: &str, why: &str, now: Timestamp) -> Result<(), StateError> {
        self.write(|connection| {
            let figures = serde_json::json!({"outcome": "failed", "error": masked(why)});
            note(connection, job, None, &Ended::Failed, &figures, now)
        })
    }

    /// Takes on what a channel has to tell next, for itself: nobody else tells it meanwhile. What of a
    /// job could not be told in time is told as it is now.
    pub fn next_delivery(&self, channel: &str, now: Timestamp) -> Result<NextDelivery, StateError> {
        // Mostly there is nothing, and nobody who writes is held up by the question.
        if !self.read(|connection| is_waiting(connection, channel))? {
            return Ok(NextDelivery::Wait(None));
        }
        self.write(|connection| {
            let mut waiting = waiting(connection, channel)?;
            let mut next: Option<Timestamp> = None;
            while !waiting.is_empty() {
                let job = waiting[0].delivery.notice.job.clone();
                let (of_job, others): (Vec<Waited>, Vec<Waited>) = waiting
                    .into_iter()
                    .partition(|row| row.delivery.notice.job == job);
                waiting = others;
                let claimed = of_job.iter().filter_map(|row| row.claimed);
                let claimed = claimed
                    .filter(|claimed| is_ahead(*claimed, now, CLAIM))
                    .max();
                if let Some(claimed) = claimed {
                    next = earlier(next, claimed);
                    continue;
                }
                let Some(row) = only_the_last(connection, channel, of_job)? else {
                    continue;
                };
                let longest = SignedDuration::try_from(LONGEST_INTERVAL).unwrap_or(CLAIM);
                // What was never tried is due, whatever the clock said when it was written.
                if row.delivery.attempts > 0 && is_ahead(row.next_try, now, longest) {
                    next = earlier(next, row.next_try);
                    continue;
                }
                connection
                    .prepare_cached(
                        "UPDATE deliveries SET claimed = ?3 WHERE notice = ?1 AND channel = ?2",
                    )?
                    .execute((
                        row.delivery.id,
                        channel,
                        stamp(now.checked_add(CLAIM).unwrap_or(now)),
                    ))?;
                return Ok(NextDelivery::Tell(Box::new(row.delivery)));
            }
            Ok(NextDelivery::Wait(next))
        })
    }

    /// Takes down how an attempt ended. Returns how the channel fared before it.
    pub fn settle_delivery(
        &self,
        channel: &str,
        id: i64,
        attempt: &Attempt,
        now: Timestamp,
    ) -> Result<Option<ChannelRecord>, StateError> {
        self.write(|connection| {
            let before = channels(connection)?
                .into_iter()
                .find(|known| known.channel == channel);
            let (state, next) = match attempt {
                Attempt::Told => ("told", now),
                Attempt::Again { at, .. } => ("waiting", *at),
                Attempt::GivenUp { .. } => ("given_up", now),
            };
            connection
                .prepare_cached(
                    "UPDATE deliveries SET state = ?3, attempts = attempts + 1, next_try = ?4, claimed = NULL WHERE notice = ?1 AND channel = ?2",
                )?
                .execute((id, channel, state, stamp(next)))?;
            match attempt {
                Attempt::Told => {
                    connection
                        .prepare_cached("UPDATE channels SET failing_since = NULL, given_up = 0, why = NULL WHERE name = ?1")?
                        .execute([channel])?;
                    connection
                        .prepare_cached(
                            "INSERT OR REPLACE INTO told (channel, job, state, approval) SELECT ?2, job, state, approval FROM notices WHERE id = ?1",
                        )?
                        .execute((id, channel))?;
                }
                Attempt::Again { why, .. } | Attempt::GivenUp { why } => {
                    let given_up = matches!(attempt, Attempt::GivenUp { .. });
                    connection
                        .prepare_cached(
                            "UPDATE channels SET failing_since = coalesce(failing_since, ?2), given_up = given_up + ?3, why = ?4 WHERE name = ?1",
                        )?
                        .execute((channel, stamp(now), given_up, why))?;
                }
            }
            Ok(before)
        })
    }

    /// Tells how every channel fares.
    pub fn channels(&self) -> Result<Vec<ChannelRecord>, StateError> {
        self.read(channels)
    }
}

/// A delivery that waits, with what decides when.
struct Waited {
    delivery: Delivery,
    next_try: Timestamp,
    claimed: Option<Timestamp>,
}

fn add_channels(connection: &Connection, names: &[&str]) -> Result<(), Fault> {
    for name in names {
        connection
            .prepare_cached("INSERT OR IGNORE INTO channels (name) VALUES (?1)")?
            .execute([name])?;
    }
    Ok(())
}

fn is_waiting(connection: &Connection, channel: &str) -> Result<bool, Fault> {
    Ok(connection
        .prepare_cached("SELECT 1 FROM deliveries INDEXED BY deliveries_waiting WHERE channel = ?1 AND state = 'waiting'")?
        .exists([channel])?)
}

/// Takes down how a run ended for whoever is to be told, inside the transaction that ends it.
pub(super) fn note_run(connection: &Connection, id: &str, end: &RunEnd) -> Result<(), Fault> {
    let run = connection
        .prepare_cached("SELECT job, cause FROM runs WHERE id = ?1")?
        .query_row([id], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        })
        .optional()?;
    let Some((job, cause)) = run else {
        return Ok(());
    };
    // What takes a run back, and what read nothing, say nothing of how the job fares.
    if cause == EMPTY_PLAN || cause == UNDO {
        return Ok(());
    }
    let ended = ended(end.outcome, &end.summary);
    let figures = figures(end);
    note(connection, &job, Some(id), &ended, &figures, end.finished)
}

/// The same of a run of which more is known than when it ended.
pub(super) fn note_amended(
    connection: &Connection,
    id: &str,
    finished: Timestamp,
    outcome: Outcome,
    error: Option<&str>,
    open: u64,
) -> Result<(), Fault> {
    let mut summary = connection
        .prepare_cached("SELECT summary FROM runs WHERE id = ?1 AND summary IS NOT NULL")?
        .query_row([id], |row| from_json::<serde_json::Value>(row, 0))
        .optional()?
        .unwrap_or_default();
    summary["open"] = open.into();
    let end = RunEnd {
        finished,
        outcome,
        exit_code: outcome.exit_code(),
        wrote: false,
        completed: false,
        summary,
        error: error.map(str::to_owned),
        measure: None,
        approved: None,
    };
    note_run(connection, id, &end)
}

/// Says of the end of a run how its job stands.
fn ended(outcome: Outcome, summary: &serde_json::Value) -> Ended {
    let approval = summary["refusals"][0]["approval"].as_str();
    match (outcome, approval) {
        (Outcome::Done, _) => Ended::Through(0),
        (Outcome::Partial, _) => Ended::Through(summary["open"].as_u64().unwrap_or(1).max(1)),
        (Outcome::Failed, _) => Ended::Failed,
        (Outcome::Refused, Some(approval)) => Ended::Refused(approval.to_owned()),
        // A saved plan that has moved, or a question that was answered no: somebody sits there.
        (Outcome::Refused | Outcome::Busy | Outcome::Interrupted, _) => Ended::Silent,
    }
}

/// Returns what of a run is told: counts, what the guards refused, and why it could not go on.
fn figures(end: &RunEnd) -> serde_json::Value {
    let mut changes = end.summary.clone();
    let mut taken = |key: &str| {
        changes
            .as_object_mut()
            .and_then(|counts| counts.remove(key))
    };
    let (open, opt_outs, refusals) = (taken("open"), taken("waiting_opt_outs"), taken("refusals"));
    let refusals: Vec<serde_json::Value> = refusals
        .as_ref()
        .and_then(serde_json::Value::as_array)
        .into_iter()
        .flatten()
        .map(|refusal| {
            let figure = |key: &str| refusal[key].clone();
            serde_json::json!({
                "guard": figure("guard"), "value": figure("value"), "of": figure("of"),
                "limit": figure("limit"), "key": figure("key"),
            })
        })
        .collect();
    let is_refused = end.outcome == Outcome::Refused;
    serde_json::json!({
        "outcome": end.outcome.as_str(),
        "opt_outs_wait": opt_outs.unwrap_or_else(|| 0.into()),
        "open": open.unwrap_or_else(|| 0.into()),
        "changes": changes,
        "refusals": refusals,
        // What a refusal says names groups; its figures are enough.
        "error": end.error.as_deref().filter(|_| !is_refused).map(masked),
    })
}

fn masked(why: &str) -> String {
    let mut why = without_addresses(why);
    if let Some((end, _)) = why.char_indices().nth(LONGEST_ERROR) {
        why.truncate(end);
        why.push('…');
    }
    why
}

fn note(
    connection: &Connection,
    job: &str,
    run: Option<&str>,
    ended: &Ended,
    figures: &serde_json::Value,
    now: Timestamp,
) -> Result<(), Fault> {
    let before = standing(connection, job)?;
    let Some(standing) = decide::turn(before.as_ref(), ended, now) else {
        return Ok(());
    };
    let state = standing.state.as_str();
    let approval = standing.state.approval();
    connection
        .prepare_cached("INSERT OR REPLACE INTO standings (job, state, approval, since, told) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute((job, state, approval, stamp(standing.since), stamp(standing.told)))?;
    let was = before
        .as_ref()
        .map_or(State::Well, |before| before.state.clone());
    let since = before.map_or(now, |before| before.since);
    let about = format!(
        "{job}\n{}\n{state}\n{}",
        run.unwrap_or_default(),
        now.as_nanosecond()
    );
    let uid = format!("msg_{}", &blake3::hash(about.as_bytes()).to_hex()[..24]);
    let id: Option<i64> = connection
        .prepare_cached(
            "INSERT OR IGNORE INTO notices (uid, job, state, approval, was, since, run, at, figures)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) RETURNING id",
        )?
        .query_row(
            (uid, job, state, approval, was.as_str(), stamp(since), run, stamp(now), json(figures)),
            |row| row.get(0),
        )
        .optional()?;
    if let Some(id) = id {
        connection
            .prepare_cached("INSERT INTO deliveries (notice, channel, state, next_try) SELECT ?1, name, 'waiting', ?2 FROM channels")?
            .execute((id, stamp(now)))?;
    }
    Ok(())
}

fn standing(connection: &Connection, job: &str) -> Result<Option<Standing>, Fault> {
    let mut select = connection
        .prepare_cached("SELECT state, approval, since, told FROM standings WHERE job = ?1")?;
    let standing = select.query_row([job], |row| {
        Ok(Standing {
            state: state(row, 0)?,
            since: time(row, 2)?,
            told: time(row, 3)?,
        })
    });
    Ok(standing.optional()?)
}

/// Reads a state, and its approval from the column after it.
fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<State> {
    let word: String = row.get(column)?;
    Ok(State::parse(&word, row.get(column + 1)?))
}

/// Returns what a channel has still to tell, in the order in which it happened.
fn waiting(connection: &Connection, channel: &str) -> Result<Vec<Waited>, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT notices.id, uid, job, notices.state, approval, was, since, run, at, figures, attempts, missed, missed_from, next_try, claimed
         FROM deliveries INDEXED BY deliveries_waiting JOIN notices ON notices.id = deliveries.notice
         WHERE channel = ?1 AND deliveries.state = 'waiting' ORDER BY deliveries.notice",
    )?;
    let rows = select.query_map([channel], |row| {
        let was: String = row.get(5)?;
        Ok(Waited {
            delivery: Delivery {
                id: row.get(0)?,
                notice: Notice {
                    uid: row.get(1)?,
                    job: row.get(2)?,
                    state: state(row, 3)?,
                    was: State::parse(&was, None),
                    since: time(row, 6)?,
                    run: row.get(7)?,
                    at: time(row, 8)?,
                    figures: from_json(row, 9)?,
                },
                attempts: row.get(10)?,
                missed: row.get::<_, i64>(11)?.unsigned_abs(),
                missed_from: optional_time(row, 12)?,
            },
            next_try: time(row, 13)?,
            claimed: optional_time(row, 14)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Lets go of all that waits of a job but the last, and of that where the job stands again as the
/// channel knows it.
fn only_the_last(
    connection: &Connection,
    channel: &str,
    mut of_job: Vec<Waited>,
) -> Result<Option<Waited>, Fault> {
    let Some(last) = of_job.last() else {
        return Ok(None);
    };
    let told = connection
        .prepare_cached("SELECT state, approval FROM told WHERE channel = ?1 AND job = ?2")?
        .query_row((channel, &last.delivery.notice.job), |row| state(row, 0))
        .optional()?;
    let states: Vec<State> = of_job
        .iter()
        .map(|row| row.delivery.notice.state.clone())
        .collect();
    let last = match decide::pending(told.as_ref(), &states) {
        Pending::TellLast => of_job.pop(),
        Pending::TellNone => None,
    };
    for row in &of_job {
        connection
            .prepare_cached(
                "UPDATE deliveries SET state = 'overtaken' WHERE notice = ?1 AND channel = ?2",
            )?
            .execute((row.delivery.id, channel))?;
    }
    let Some(mut last) = last else {
        return Ok(None);
    };
    if !of_job.is_empty() {
        let delivery = &mut last.delivery;
        for row in &of_job {
            delivery.missed += row.delivery.missed + 1;
            let from = row.delivery.missed_from.unwrap_or(row.delivery.notice.at);
            delivery.missed_from = earlier(delivery.missed_from, from);
        }
        connection
            .prepare_cached("UPDATE deliveries SET missed = ?3, missed_from = ?4 WHERE notice = ?1 AND channel = ?2")?
            .execute((delivery.id, channel, count(delivery.missed), delivery.missed_from.map(stamp)))?;
    }
    Ok(Some(last))
}

fn channels(connection: &Connection) -> Result<Vec<ChannelRecord>, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT name, failing_since, why, given_up, count(deliveries.notice), min(next_try)
         FROM channels LEFT JOIN deliveries INDEXED BY deliveries_waiting ON channel = name AND deliveries.state = 'waiting'
         GROUP BY name",
    )?;
    let rows = select.query_map([], |row| {
        Ok(ChannelRecord {
            channel: row.get(0)?,
            failing_since: optional_time(row, 1)?,
            why: row.get(2)?,
            given_up: row.get::<_, i64>(3)?.unsigned_abs(),
            waiting: row.get::<_, i64>(4)?.unsigned_abs(),
            next_try: optional_time(row, 5)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Tells whether a moment is still to come. One that is further ahead than any that is ever set was
/// set before the clock was set back, and counts as now.
fn is_ahead(moment: Timestamp, now: Timestamp, furthest: SignedDuration) -> bool {
    let ahead = moment.duration_since(now);
    ahead > SignedDuration::ZERO && ahead <= furthest
}

fn earlier(known: Option<Timestamp>, other: Timestamp) -> Option<Timestamp> {
    known.into_iter().chain([other]).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::tests::at;
    use crate::state::{RunStart, Store};

    fn store() -> Store {
        let store = Store::in_memory();
        store.set_channels(&["email", "webhook"]).unwrap();
        store
    }

    /// Makes a run of a job that ends at a moment, with its counts.
    fn run(store: &Store, seconds: i64, outcome: Outcome, summary: serde_json::Value) {
        run_by(store, "manual", seconds, outcome, summary);
    }

    fn run_by(
        store: &Store,
        trigger: &str,
        seconds: i64,
        outcome: Outcome,
        summary: serde_json::Value,
    ) {
        let id = format!("run-{seconds}");
        store
            .start_run(&RunStart {
                id: id.clone(),
                job: "job".to_owned(),
                trigger: trigger.to_owned(),
                started: at(seconds),
            })
            .unwrap();
        let end = RunEnd {
            finished: at(seconds),
            outcome,
            exit_code: outcome.exit_code(),
            wrote: false,
            completed: false,
            summary,
            error: Some("crm: ana@example.org is not welcome".to_owned()),
            measure: None,
            approved: None,
        };
        store.finish_run(&id, &end, &[]).unwrap();
    }

    fn refused(approval: &str) -> serde_json::Value {
        serde_json::json!({
            "waiting_opt_outs": 10, "memberships": {"add": 0},
            "refusals": [{"guard": "max_opt_outs", "group": "Donors", "value": 12, "of": 40, "limit": "10%",
                          "key": "jobs.job.guards.max_opt_outs", "approval": approval,
                          "explanation": "Donors would lose 12 of 40"}],
        })
    }

    fn next(store: &Store, channel: &str, seconds: i64) -> Option<Delivery> {
        match store.next_delivery(channel, at(seconds)).unwrap() {
            NextDelivery::Tell(delivery) => Some(*delivery),
            NextDelivery::Wait(_) => None,
        }
    }

    /// Tells all that there is, and says what it was.
    fn tell_all(store: &Store, channel: &str, seconds: i64) -> Vec<String> {
        let mut told = Vec::new();
        while let Some(delivery) = next(store, channel, seconds) {
            let missed = match delivery.missed {
                0 => String::new(),
                missed => format!(" ({missed} missed)"),
            };
            told.push(format!("{}{missed}", delivery.notice.state.as_str()));
            store
                .settle_delivery(channel, delivery.id, &Attempt::Told, at(seconds))
                .unwrap();
        }
        told
    }

    fn again(store: &Store, channel: &str, id: i64, now: i64, then: i64) {
        let attempt = Attempt::Again {
            why: "no connection".to_owned(),
            at: at(then),
        };
        store
            .settle_delivery(channel, id, &attempt, at(now))
            .unwrap();
    }

    #[test]
    fn the_end_of_a_run_brings_its_notice_along_and_every_channel_tells_it_once() {
        let store = store();
        run(&store, 0, Outcome::Done, serde_json::json!({}));
        assert_eq!(next(&store, "email", 0), None);
        run(&store, 10, Outcome::Failed, serde_json::json!({}));
        run(&store, 20, Outcome::Failed, serde_json::json!({}));
        for channel in ["email", "webhook"] {
            assert_eq!(tell_all(&store, channel, 20), ["failing"]);
        }
        run(&store, 30, Outcome::Interrupted, serde_json::json!({}));
        run(&store, 40, Outcome::Busy, serde_json::json!({}));
        run(&store, 50, Outcome::Done, serde_json::json!({}));
        assert_eq!(tell_all(&store, "email", 50), ["well"]);
        assert_eq!(tell_all(&store, "email", 51), [""; 0]);
    }

    #[test]
    fn a_notice_holds_figures_and_nobodys_address_or_group() {
        let store = store();
        run(&store, 0, Outcome::Failed, serde_json::json!({}));
        let failing = next(&store, "email", 0).unwrap().notice;
        assert_eq!(failing.figures["error"], "crm: (address) is not welcome");
        run(&store, 10, Outcome::Refused, refused("a1"));
        let notice = next(&store, "webhook", 10).unwrap().notice;
        assert_eq!(notice.state, State::Refused("a1".to_owned()));
        assert_eq!((notice.was, notice.since), (State::Failing, at(0)));
        assert_eq!(notice.figures["opt_outs_wait"], 10);
        assert_eq!(notice.figures["refusals"][0]["value"], 12);
        let text = notice.figures.to_string();
        assert!(!text.contains("Donors") && !text.contains('@'), "{text}");
    }

    #[test]
    fn what_says_nothing_of_a_job_is_not_told() {
        let store = store();
        run_by(&store, UNDO, 0, Outcome::Failed, serde_json::json!({}));
        run_by(&store, EMPTY_PLAN, 1, Outcome::Done, serde_json::json!({}));
        run(&store, 2, Outcome::Refused, serde_json::json!({}));
        assert_eq!(next(&store, "email", 3), None);
    }

    #[test]
    fn a_receiver_that_was_dead_is_told_how_things_are_now() {
        let store = store();
        run(&store, 0, Outcome::Failed, serde_json::json!({}));
        let delivery = next(&store, "webhook", 0).unwrap();
        again(&store, "webhook", delivery.id, 1, 60);
        run(&store, 30, Outcome::Done, serde_json::json!({}));
        let well = next(&store, "webhook", 30).unwrap();
        assert_eq!(well.notice.state, State::Well);
        assert_eq!((well.missed, well.missed_from), (1, Some(at(0))));
        // It is still known after the next failure.
        again(&store, "webhook", well.id, 31, 41);
        assert_eq!(next(&store, "webhook", 40), None);
        let well = next(&store, "webhook", 41).unwrap();
        assert_eq!((well.attempts, well.missed), (1, 1));
        again(&store, "webhook", well.id, 41, 50);
        // On the other channel nobody told anything until now.
        assert_eq!(tell_all(&store, "email", 45), ["well (1 missed)"]);
        run(&store, 45, Outcome::Failed, serde_json::json!({}));
        assert_eq!(tell_all(&store, "webhook", 60), ["failing (2 missed)"]);
        // Well and bad again while nobody could be told: there is no news.
        run(&store, 70, Outcome::Done, serde_json::json!({}));
        run(&store, 80, Outcome::Failed, serde_json::json!({}));
        assert_eq!(tell_all(&store, "webhook", 80), [""; 0]);
    }

    #[test]
    fn two_processes_do_not_tell_the_same_and_a_dead_one_does_not_keep_it() {
        let store = store();
        run(&store, 0, Outcome::Failed, serde_json::json!({}));
        let taken = next(&store, "email", 0).unwrap();
        assert_eq!(
            store.next_delivery("email", at(1)).unwrap(),
            NextDelivery::Wait(Some(at(120)))
        );
        // What happens meanwhile waits its turn.
        run(&store, 2, Outcome::Done, serde_json::json!({}));
        assert_eq!(next(&store, "email", 3), None);
        store
            .settle_delivery("email", taken.id, &Attempt::Told, at(4))
            .unwrap();
        assert_eq!(tell_all(&store, "email", 5), ["well"]);

        run(&store, 10, Outcome::Failed, serde_json::json!({}));
        let taken = next(&store, "email", 10).unwrap();
        // Its process is killed, and nobody knows whether the receiver has it: it comes again under
        // the same name.
        assert_eq!(next(&store, "email", 129), None);
        let once_more = next(&store, "email", 130).unwrap();
        assert_eq!(once_more.notice.uid, taken.notice.uid);
        // A clock that is set back by a day leaves nothing claimed.
        assert!(next(&store, "email", 130 - 86_400).is_some());
    }

    #[test]
    fn a_channel_knows_how_it_fares() {
        let store = store();
        run(&store, 0, Outcome::Failed, serde_json::json!({}));
        let delivery = next(&store, "webhook", 0).unwrap();
        again(&store, "webhook", delivery.id, 1, 60);
        let webhook = |store: &Store| store.channels().unwrap().pop().unwrap();
        let fares = webhook(&store);
        assert_eq!(
            (fares.channel.as_str(), fares.failing_since, fares.waiting),
            ("webhook", Some(at(1)), 1)
        );
        assert_eq!(fares.next_try, Some(at(60)));
        assert_eq!(fares.why.as_deref(), Some("no connection"));
        let given_up = Attempt::GivenUp {
            why: "HTTP 410".to_owned(),
        };
        store
            .settle_delivery("webhook", delivery.id, &given_up, at(60))
            .unwrap();
        let fares = webhook(&store);
        assert_eq!((fares.given_up, fares.waiting), (1, 0));
        assert_eq!(fares.failing_since, Some(at(1)));
        run(&store, 70, Outcome::Done, serde_json::json!({}));
        assert_eq!(tell_all(&store, "webhook", 70), ["well"]);
        let fares = webhook(&store);
        assert_eq!(
            (fares.given_up, fares.failing_since, fares.why),
            (0, None, None)
        );
        // Who is not to be told any more leaves nothing behind.
        store.set_channels(&["email"]).unwrap();
        assert_eq!(store.channels().unwrap().len(), 1);
    }

    #[test]
    fn a_breakdown_is_told_once_whether_its_run_was_written_down_or_not() {
        let store = store();
        run(&store, 0, Outcome::Failed, serde_json::json!({}));
        store.note_breakdown("job", "a defect", at(1)).unwrap();
        store
            .note_breakdown("other", "of ana@example.org", at(1))
            .unwrap();
        let mut told = Vec::new();
        while let Some(delivery) = next(&store, "email", 2) {
            told.push((
                delivery.notice.job,
                delivery.notice.figures["error"].clone(),
            ));
        }
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(told[1], ("other".to_owned(), "of (address)".into()));
    }
}
