//! Who was in a group of a target, as far as runs saw it.
//!
//! A membership is known from the start of the run that brought or saw it to the start of the run that
//! ended it or saw that it had ended. What happened between two runs shows from the second one on. While
//! a run was under way, nobody can tell whether something that it changed was done by then; the same of
//! one that was killed, up to the run that found out.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::base::text;
use super::convert::{optional_time, stamp, time};
use super::error::{Fault, StateError};
use super::keys::{self, Key, Texts};
use super::runs::EMPTY_PLAN;
use super::{Store, jobs, journal};

/// How somebody stood in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stood {
    /// Nobody knows: a run was changing it at that time, or had been killed.
    NotKnown,
    /// In the group.
    Member,
    /// Refused its mail, or all mail of the account.
    OptedOut,
}

/// Somebody who was in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberThen {
    /// The id in the account.
    pub id: String,
    /// The normalised address as it is known today; nothing where no link tells.
    pub email: Option<String>,
    /// How they stood.
    pub stood: Stood,
    /// From when on; nothing where it began before any run looked.
    pub since: Option<Timestamp>,
    /// The start of the run that saw it first, of a membership that no run brought, and of a refusal:
    /// the person had refused by then.
    pub seen: Option<Timestamp>,
}

/// What one job remembers of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobMemory {
    /// The job.
    pub job: String,
    /// The earliest time of which it knows who was in the group; nothing where it never knew anybody.
    pub known_from: Option<Timestamp>,
    /// From when on it does not know any more, because it links the group no longer.
    pub known_until: Option<Timestamp>,
    /// Its last run that had begun by the time that is asked about, by id and start.
    pub as_of: Option<(String, Timestamp)>,
    /// Whether that run had not ended by then.
    pub under_way: bool,
}

impl JobMemory {
    /// Tells whether the job knows who was in the group at a time.
    pub fn knows(&self, at: Timestamp) -> bool {
        self.known_from.is_some_and(|from| from <= at)
            && self.known_until.is_none_or(|until| at < until)
    }
}

/// Who was in a group, and who remembers it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MembersThen {
    /// The people, by address.
    pub members: Vec<MemberThen>,
    /// The jobs that write to the group or did.
    pub jobs: Vec<JobMemory>,
}

/// The start of the newest run of each job, which is when whatever is remembered now was seen.
#[derive(Default)]
pub(super) struct SeenAt(HashMap<i64, Option<i64>>);

impl SeenAt {
    pub(super) fn of(&mut self, connection: &Connection, job: i64) -> Result<Option<i64>, Fault> {
        if let Some(known) = self.0.get(&job) {
            return Ok(*known);
        }
        let started = connection
            .prepare_cached(
                "SELECT started FROM runs WHERE job = (SELECT name FROM jobs WHERE id = ?1) ORDER BY started DESC LIMIT 1
                 /* walks: no further than the first row */",
            )?
            .query_row([job], |row| time(row, 0))
            .optional()?;
        let micros = started.map(Timestamp::as_microsecond);
        self.0.insert(job, micros);
        Ok(micros)
    }
}

/// Keeps a membership that is about to go.
pub(super) fn keep_past(
    connection: &Connection,
    job: i64,
    group: Key,
    member: Key,
    until: Option<i64>,
) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO past_memberships (job, group_id, member, until, since, brought, address)
                 SELECT job, group_id, member, coalesce(missing, ?4), since, brought,
                     (SELECT address FROM member_links AS link INDEXED BY member_links_target
                      WHERE link.job = ?1 AND link.target = ?3 LIMIT 1)
                 FROM memberships WHERE job = ?1 AND group_id = ?2 AND member = ?3 AND ?4 IS NOT NULL AND since IS NOT coalesce(missing, ?4)",
        )?
        .execute((job, group, member, until))?;
    Ok(())
}

/// Keeps the memberships of a group all of which are about to go.
pub(super) fn keep_all_past(
    connection: &Connection,
    job: i64,
    group: Key,
    until: Option<i64>,
) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO past_memberships (job, group_id, member, until, since, brought, address)
                 SELECT job, group_id, member, coalesce(missing, ?3), since, brought,
                     (SELECT address FROM member_links AS link INDEXED BY member_links_target
                      WHERE link.job = memberships.job AND link.target = memberships.member LIMIT 1)
                 FROM memberships WHERE job = ?1 AND group_id = ?2 AND ?3 IS NOT NULL AND since IS NOT coalesce(missing, ?3)
                 /* walks: all that the group has goes */",
        )?
        .execute((job, group, until))?;
    Ok(())
}

/// Takes what was seen in the future for seen now: the clock was set back since.
pub(super) fn seen_by(connection: &Connection, job: &str, now: Timestamp) -> Result<(), Fault> {
    let id = jobs::id_of(connection, job)?;
    for sql in [
        "UPDATE memberships SET since = min(since, ?2), missing = min(missing, ?2)
         WHERE job = ?1 AND (since > ?2 OR missing > ?2) /* walks: the clock is set back hardly ever */",
        "UPDATE OR REPLACE past_memberships SET since = min(since, ?2), until = min(until, ?2)
         WHERE job = ?1 AND until > ?2 /* walks: the clock is set back hardly ever */",
    ] {
        connection
            .prepare_cached(sql)?
            .execute((id, now.as_microsecond()))?;
    }
    connection
        .prepare_cached("UPDATE jobs SET members_from = min(members_from, ?2) WHERE name = ?1")?
        .execute((job, stamp(now)))?;
    Ok(())
}

/// Notes that a run did not find a membership at the target that stays remembered.
pub(super) fn missed(
    connection: &Connection,
    job: i64,
    group: Key,
    member: Key,
    seen_at: &mut SeenAt,
) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "UPDATE memberships SET missing = ?4 WHERE job = ?1 AND group_id = ?2 AND member = ?3 AND missing IS NULL",
        )?
        .execute((job, group, member, seen_at.of(connection, job)?))?;
    Ok(())
}

/// Notes that a membership that had been missing is there again.
pub(super) fn found(
    connection: &Connection,
    job: i64,
    group: Key,
    member: Key,
    seen_at: &mut SeenAt,
) -> Result<(), Fault> {
    let now = seen_at.of(connection, job)?;
    keep_past(connection, job, group, member, now)?;
    connection
        .prepare_cached(
            "UPDATE memberships SET since = ?4, missing = NULL WHERE job = ?1 AND group_id = ?2 AND member = ?3",
        )?
        .execute((job, group, member, now))?;
    Ok(())
}

/// Lets go of memberships that had ended before the oldest run that history keeps.
pub(super) fn prune(connection: &Connection) -> Result<usize, Fault> {
    let mut jobs = connection.prepare("SELECT id, name FROM jobs")?;
    let jobs = jobs.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut deleted = 0;
    for job in jobs {
        let (id, name): (i64, String) = job?;
        let Some(oldest) = oldest_run(connection, &name)? else {
            continue;
        };
        deleted += connection.execute(
            "DELETE FROM past_memberships WHERE job = ?1 AND until < ?2 /* walks: history is pruned once a day */",
            (id, oldest.as_microsecond()),
        )?;
    }
    Ok(deleted)
}

fn oldest_run(connection: &Connection, job: &str) -> Result<Option<Timestamp>, Fault> {
    let oldest = connection
        .prepare_cached(
            "SELECT started FROM runs WHERE job = ?1 AND cause <> ?2 ORDER BY started LIMIT 1
             /* walks: no further than the first row */",
        )?
        .query_row((job, EMPTY_PLAN), |row| time(row, 0));
    Ok(oldest.optional()?)
}

impl Store {
    /// Returns the memberships that stay remembered of a job although a run did not find them at the
    /// target, as group and member by id.
    pub fn missing_memberships(&self, job: &str) -> Result<Vec<(String, String)>, StateError> {
        self.read(|connection| {
            let mut texts = Texts::new(connection);
            let mut select = connection.prepare_cached(
                "SELECT group_id, member FROM memberships INDEXED BY memberships_missing WHERE job = ?1 AND missing IS NOT NULL",
            )?;
            let mut missing = Vec::new();
            let mut rows = select.query([jobs::id_of(connection, job)?])?;
            while let Some(row) = rows.next()? {
                let group = texts.of(row.get(0)?)?.to_owned();
                missing.push((group, texts.of(row.get(1)?)?.to_owned()));
            }
            Ok(missing)
        })
    }

    /// Returns the ids of the groups of a target account that runs wrote to under a name, in its very
    /// spelling, whether or not a job links them still.
    pub fn groups_named(&self, account: &str, name: &str) -> Result<Vec<String>, StateError> {
        self.read(|connection| {
            let mut texts = Texts::new(connection);
            let mut select = connection.prepare_cached(
                "SELECT DISTINCT target_group FROM run_items CROSS JOIN texts ON texts.id = -run_items.run CROSS JOIN runs ON runs.id = texts.text
                 WHERE group_id = ?1 AND member IS NULL AND target_group IS NOT NULL
                     AND runs.job IN (SELECT name FROM jobs WHERE target_account = ?2)",
            )?;
            let mut groups = Vec::new();
            if let Some(name) = keys::find(connection, name)? {
                let mut rows = select.query((name, account))?;
                while let Some(row) = rows.next()? {
                    groups.push(texts.of(row.get(0)?)?.to_owned());
                }
            }
            Ok(groups)
        })
    }

    /// Returns who was in a group of a target account at a time, as far as the jobs that write to it
    /// know.
    pub fn members_at(
        &self,
        account: &str,
        group: &str,
        at: Timestamp,
    ) -> Result<MembersThen, StateError> {
        self.read(|connection| {
            let mut then = Then {
                connection,
                texts: Texts::new(connection),
                account,
                group,
                at,
                people: BTreeMap::new(),
                windows: Vec::new(),
            };
            let (mut jobs, mut known) = (Vec::new(), Vec::new());
            for (id, name, source, from) in jobs_of(connection, account)? {
                let (memory, window) = then.job(id, &name, from)?;
                then.windows.extend(window);
                let Some(memory) = memory else { continue };
                if memory.knows(at) {
                    known.push((id, name, source, window));
                }
                jobs.push(memory);
            }
            for (id, .., window) in &known {
                then.memberships(*id, *window)?;
            }
            for (_, name, source, _) in &known {
                then.in_doubt(name)?;
                then.refusals(name, source)?;
            }
            then.refusals_of_all_mail()?;
            Ok(MembersThen {
                members: then.listed(),
                jobs,
            })
        })
    }
}

const MEMBERSHIPS: &str = "SELECT member, since, brought, missing, NULL FROM memberships WHERE job = ?1 AND group_id = ?2 /* walks: all who are in a group are asked for */";
const PAST: &str = "SELECT member, since, brought, until, address FROM past_memberships WHERE job = ?1 AND group_id = ?2 /* walks: all who were in a group are asked for */";
const REFUSALS_OF_GROUP: &str = "SELECT fact.id, fact.since, fact.ended, fact.held_at
     FROM consent_audiences AS audience CROSS JOIN consent_facts AS fact ON fact.id = audience.fact
     WHERE audience.kind = ?1 AND audience.owner = ?2 AND audience.key = ?3 AND fact.account = ?4 AND fact.what = 'refused'";
const REFUSALS_OF_ALL_MAIL: &str = "SELECT fact.id, fact.since, fact.ended
     FROM consent_people AS person CROSS JOIN consent_facts AS fact ON fact.id = person.fact
         CROSS JOIN consent_audiences AS audience ON audience.kind = 'account' AND audience.owner = '' AND audience.key = ''
             AND audience.fact = fact.id
     WHERE person.kind = ?1 AND person.owner = '' AND person.key = ?2 AND fact.account = ?3 AND fact.what = 'refused'";
const PEOPLE: &str =
    "SELECT kind, key FROM consent_people WHERE fact = ?1 AND kind IN ('contact', 'address')";

/// The jobs that write to an account: number, name, source account, and from when on they keep who is
/// in their groups.
type Jobs = Vec<(i64, String, String, Option<Timestamp>)>;

fn jobs_of(connection: &Connection, account: &str) -> Result<Jobs, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT id, name, source_account, members_from FROM jobs WHERE target_account = ?1 ORDER BY name",
    )?;
    let jobs = select.query_map([account], |row| {
        Ok((
            row.get(0)?,
            row.get(1)?,
            row.get(2)?,
            optional_time(row, 3)?,
        ))
    })?;
    Ok(jobs.collect::<rusqlite::Result<_>>()?)
}

fn instant(micros: Option<i64>) -> Option<Timestamp> {
    micros.and_then(|micros| Timestamp::from_microsecond(micros).ok())
}

/// How somebody stood, while all that is known is gone through.
struct Person {
    /// Nothing where they had been in the group and were no longer.
    stood: Option<Stood>,
    since: Option<Timestamp>,
    seen: Option<Timestamp>,
    address: Option<String>,
}

/// A run from its start to its end, in microseconds. What a killed run did is known from the start of
/// the next one on, which counts as its end.
type Window = (i64, i64);

/// What is gathered of a group at a time.
struct Then<'a> {
    connection: &'a Connection,
    texts: Texts<'a>,
    account: &'a str,
    group: &'a str,
    at: Timestamp,
    people: BTreeMap<String, Person>,
    /// The runs that were under way then, of any job.
    windows: Vec<Window>,
}

impl Then<'_> {
    /// Looks what a job knows of the group; nothing where it never had to do with it. Tells of the run
    /// that was under way as well.
    fn job(
        &self,
        id: i64,
        name: &str,
        members_from: Option<Timestamp>,
    ) -> Result<(Option<JobMemory>, Option<Window>), Fault> {
        let is_linked = self
            .connection
            .prepare_cached("SELECT 1 FROM group_links WHERE job = ?1 AND target = ?2")?
            .exists((name, self.group))?;
        let (first, last, is_known) = self.bounds(id)?;
        let newest = self.run_by(name, Timestamp::MAX)?;
        let oldest = oldest_run(self.connection, name)?;
        let first = if is_known {
            first
        } else {
            // The pair is known, and from when on nobody wrote down.
            newest.as_ref().map(|(_, started, _)| *started)
        };
        let then = self.run_by(name, self.at)?;
        let window = then.as_ref().and_then(|(_, started, finished)| {
            let end = finished.unwrap_or(Timestamp::MAX);
            (end > self.at).then(|| (started.as_microsecond(), end.as_microsecond()))
        });
        let memory = JobMemory {
            job: name.to_owned(),
            known_from: members_from.map(|from| from.max(first.max(oldest).unwrap_or(from))),
            known_until: last.filter(|_| !is_linked),
            as_of: match window {
                Some(_) => then.map(|(run, started, _)| (run, started)),
                None => self.finished_by(name)?,
            },
            under_way: window.is_some(),
        };
        Ok(((is_linked || is_known).then_some(memory), window))
    }

    /// Returns when the first membership of the group is known to have been, nothing where that lies
    /// before all that is known; when the last one ended; and whether there is any.
    fn bounds(&self, job: i64) -> Result<(Option<Timestamp>, Option<Timestamp>, bool), Fault> {
        let Some(group) = keys::find(self.connection, self.group)? else {
            return Ok((None, None, false));
        };
        let mut first: Option<i64> = None;
        let (mut last, mut count) = (None, 0);
        for sql in [
            "SELECT count(*), min(coalesce(since, 0)), NULL FROM memberships WHERE job = ?1 AND group_id = ?2 /* walks: all who are in a group are asked for */",
            "SELECT count(*), min(coalesce(since, 0)), max(until) FROM past_memberships WHERE job = ?1 AND group_id = ?2 /* walks: all who were in a group are asked for */",
        ] {
            let (number, least, most): (i64, Option<i64>, Option<i64>) = self
                .connection
                .prepare_cached(sql)?
                .query_row((job, group), |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })?;
            count += number;
            first = match (first, least) {
                (Some(first), Some(least)) => Some(first.min(least)),
                (first, least) => first.or(least),
            };
            last = most.or(last);
        }
        let first = first.filter(|first| *first > 0);
        Ok((instant(first), instant(last), count > 0))
    }

    /// Returns the last run of a job that had begun by a time, with its start and its end.
    fn run_by(
        &self,
        job: &str,
        by: Timestamp,
    ) -> Result<Option<(String, Timestamp, Option<Timestamp>)>, Fault> {
        let run = self
            .connection
            .prepare_cached(
                "SELECT id, started, finished FROM runs WHERE job = ?1 AND started <= ?2 AND cause <> ?3 ORDER BY started DESC LIMIT 1",
            )?
            .query_row((job, stamp(by), EMPTY_PLAN), |row| {
                Ok((row.get(0)?, time(row, 1)?, optional_time(row, 2)?))
            });
        Ok(run.optional()?)
    }

    /// Returns the last run of a job that had begun by then and came to its end.
    fn finished_by(&self, job: &str) -> Result<Option<(String, Timestamp)>, Fault> {
        let run = self
            .connection
            .prepare_cached(
                "SELECT id, started FROM runs WHERE job = ?1 AND started <= ?2 AND cause <> ?3 AND outcome IN ('done', 'partial')
                 ORDER BY started DESC LIMIT 1",
            )?
            .query_row((job, stamp(self.at), EMPTY_PLAN), |row| {
                Ok((row.get(0)?, time(row, 1)?))
            });
        Ok(run.optional()?)
    }

    /// Takes the memberships that a job knows and knew; its run that was under way is given.
    fn memberships(&mut self, job: i64, window: Option<Window>) -> Result<(), Fault> {
        let connection = self.connection;
        let Some(group) = keys::find(connection, self.group)? else {
            return Ok(());
        };
        let mut address_of = connection.prepare_cached(
            "SELECT address FROM member_links INDEXED BY member_links_target WHERE job = ?1 AND target = ?2 LIMIT 1",
        )?;
        for sql in [PAST, MEMBERSHIPS] {
            let mut select = connection.prepare_cached(sql)?;
            let mut rows = select.query((job, group))?;
            while let Some(row) = rows.next()? {
                let member: Key = row.get(0)?;
                let (since, brought): (Option<i64>, bool) = (row.get(1)?, row.get(2)?);
                let until: Option<i64> = row.get(3)?;
                let Some(stood) = stood(since, until, self.at, window) else {
                    continue;
                };
                let linked = address_of
                    .query_row((job, member), |row| row.get::<_, Key>(0))
                    .optional()?;
                let kept: Option<Key> = row.get(4)?;
                let address = self.texts.optional(linked.or(kept))?;
                let id = self.texts.of(member)?.to_owned();
                let began = instant(since);
                let (since, seen) = if brought {
                    (began, None)
                } else {
                    (None, began)
                };
                self.take(
                    id,
                    Person {
                        stood,
                        since,
                        seen,
                        address,
                    },
                );
            }
        }
        Ok(())
    }

    /// Of several who say how somebody stood the one that says most is taken.
    fn take(&mut self, id: String, person: Person) {
        match self.people.get_mut(&id) {
            Some(known) if known.stood >= person.stood => {
                known.address = known.address.take().or(person.address);
            }
            Some(known) => {
                let address = person.address.or(known.address.take());
                *known = Person { address, ..person };
            }
            None => drop(self.people.insert(id, person)),
        }
    }

    /// Takes those of whom a run that was killed has sent something, as long as no other has found
    /// out what became of it.
    fn in_doubt(&mut self, job: &str) -> Result<(), Fault> {
        let ids = self.by_address();
        for entry in journal::unsettled(self.connection, job)? {
            if entry.account != self.account || entry.intended > self.at {
                continue;
            }
            for open in entry.items {
                let is_open = open.outcome.is_none_or(|outcome| !outcome.is_final());
                let groups = open.item.group.as_deref().unwrap_or_default();
                let is_of_group = groups.split(',').any(|group| group == self.group);
                let (Some(address), true, true) = (open.item.member, is_open, is_of_group) else {
                    continue;
                };
                let known = open.item.member_id.or_else(|| ids.get(&address).cloned());
                let id = known.unwrap_or_default();
                let unsure = Person {
                    stood: Some(Stood::NotKnown),
                    since: None,
                    seen: None,
                    address: Some(address),
                };
                if id.is_empty() {
                    // Nobody knows yet under which id, if under any.
                    let address = unsure.address.clone().unwrap_or_default();
                    self.people
                        .entry(format!("\u{0}{address}"))
                        .or_insert(unsure);
                } else {
                    self.people.insert(id, unsure);
                }
            }
        }
        Ok(())
    }

    /// Returns the ids of people by their addresses.
    fn by_address(&self) -> HashMap<String, String> {
        let people = self.people.iter();
        people
            .filter_map(|(id, person)| Some((person.address.clone()?, id.clone())))
            .collect()
    }

    /// Takes the refusals of the group that were known at the time, of those who were in it or whom it
    /// was seen to list.
    fn refusals(&mut self, job: &str, source_account: &str) -> Result<(), Fault> {
        let connection = self.connection;
        let mut sources = connection
            .prepare_cached("SELECT source FROM group_links WHERE job = ?1 AND target = ?2")?;
        let sources = sources.query_map((job, self.group), |row| row.get(0))?;
        let mut audiences = vec![("group", "", self.group.to_owned())];
        for source in sources {
            audiences.push(("source_group", source_account, source?));
        }
        let ids = self.by_address();
        for (kind, owner, key) in audiences {
            let mut select = connection.prepare_cached(REFUSALS_OF_GROUP)?;
            let mut rows = select.query((kind, owner, key, self.account))?;
            while let Some(row) = rows.next()? {
                let fact: i64 = row.get(0)?;
                let (since, ended): (String, Option<String>) = (row.get(1)?, row.get(2)?);
                let held_at: Option<String> = row.get(3)?;
                let Some((stood, since)) = self.refused(&since, ended.as_deref()) else {
                    continue;
                };
                let (contacts, addresses) = people_of(connection, fact)?;
                let is_listed = held_at.as_deref() == Some(self.group);
                // An address may have been somebody else's before, so it counts alone only.
                let found: Vec<String> = if contacts.is_empty() {
                    let known = addresses.iter().filter_map(|address| ids.get(address));
                    let known: Vec<String> = known.cloned().collect();
                    // Whoever was created to hold the refusal was never a member.
                    match addresses.first() {
                        Some(address) if known.is_empty() && is_listed => {
                            vec![format!("\u{0}{address}")]
                        }
                        _ => known,
                    }
                } else {
                    contacts
                };
                for id in found {
                    let address = addresses.first().cloned();
                    match self.people.get_mut(&id) {
                        Some(person) => refuse(person, stood, since),
                        None if is_listed => {
                            let refuser = Person {
                                stood: Some(stood),
                                since: None,
                                seen: since,
                                address,
                            };
                            self.people.insert(id, refuser);
                        }
                        None => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes the refusals of all mail, of those who were in the group.
    fn refusals_of_all_mail(&mut self) -> Result<(), Fault> {
        let connection = self.connection;
        let mut select = connection.prepare_cached(REFUSALS_OF_ALL_MAIL)?;
        let ids: Vec<String> = self.people.keys().cloned().collect();
        for id in ids {
            let address = self.people[&id].address.clone();
            let keys = [
                Some(("contact", &id)),
                address.as_ref().map(|it| ("address", it)),
            ];
            for (kind, key) in keys.into_iter().flatten() {
                let mut rows = select.query((kind, key, self.account))?;
                while let Some(row) = rows.next()? {
                    let (since, ended): (String, Option<String>) = (row.get(1)?, row.get(2)?);
                    let Some((stood, since)) = self.refused(&since, ended.as_deref()) else {
                        continue;
                    };
                    if kind == "address" && !people_of(connection, row.get(0)?)?.0.is_empty() {
                        continue;
                    }
                    if let Some(person) = self.people.get_mut(&id)
                        && person.stood.is_some()
                    {
                        refuse(person, stood, since);
                    }
                }
            }
        }
        Ok(())
    }

    /// Tells whether a refusal was known at the time, and which run's start that was from.
    fn refused(&self, since: &str, ended: Option<&str>) -> Option<(Stood, Option<Timestamp>)> {
        let parse = |text: &str| text.parse::<Timestamp>().ok();
        let (since, ended) = (parse(since), ended.and_then(parse));
        let is_in_doubt = |time: Option<Timestamp>| {
            let micros = time.map(Timestamp::as_microsecond);
            let mut windows = self.windows.iter();
            windows.any(|window| is_within(micros, Some(*window)))
        };
        if is_in_doubt(since) || is_in_doubt(ended) {
            return Some((Stood::NotKnown, None));
        }
        let began = since.is_none_or(|since| since <= self.at);
        let is_over = ended.is_some_and(|ended| ended <= self.at);
        (began && !is_over).then_some((Stood::OptedOut, since))
    }

    fn listed(self) -> Vec<MemberThen> {
        let people = self.people.into_iter();
        let mut members: Vec<MemberThen> = people
            .filter_map(|(id, person)| {
                Some(MemberThen {
                    stood: person.stood?,
                    id: if id.starts_with('\u{0}') {
                        String::new()
                    } else {
                        id
                    },
                    email: person.address,
                    since: person.since,
                    seen: person.seen,
                })
            })
            .collect();
        members.sort_by(|left, right| (&left.email, &left.id).cmp(&(&right.email, &right.id)));
        members
    }
}

/// Tells how a membership stood; nothing where it was still to come.
#[expect(
    clippy::option_option,
    reason = "not there yet, no longer there, or there in some way"
)]
fn stood(
    since: Option<i64>,
    until: Option<i64>,
    at: Timestamp,
    window: Option<Window>,
) -> Option<Option<Stood>> {
    let at = at.as_microsecond();
    if is_within(since, window) || is_within(until, window) {
        Some(Some(Stood::NotKnown))
    } else if since.is_some_and(|since| since > at) {
        None
    } else if until.is_some_and(|until| until <= at) {
        Some(None)
    } else {
        Some(Some(Stood::Member))
    }
}

/// Tells whether something happened in a run.
fn is_within(micros: Option<i64>, window: Option<Window>) -> bool {
    let within = micros.zip(window);
    within.is_some_and(|(at, (start, end))| (start..=end).contains(&at))
}

/// Notes a refusal: the first that is known says when it was seen.
fn refuse(person: &mut Person, stood: Stood, seen: Option<Timestamp>) {
    if stood == Stood::NotKnown {
        if person.stood.is_none_or(|known| known == Stood::Member) {
            person.stood = Some(Stood::NotKnown);
            (person.since, person.seen) = (None, None);
        }
        return;
    }
    let earlier = match (person.stood, person.seen) {
        (Some(Stood::OptedOut), Some(known)) => seen.is_none_or(|seen| seen < known),
        (Some(Stood::OptedOut), None) => false,
        _ => true,
    };
    if earlier {
        person.seen = seen;
    }
    person.stood = Some(Stood::OptedOut);
    person.since = None;
}

/// Returns the contacts and the addresses that a fact is of.
fn people_of(connection: &Connection, fact: i64) -> Result<(Vec<String>, Vec<String>), Fault> {
    let mut select = connection.prepare_cached(PEOPLE)?;
    let mut rows = select.query([fact])?;
    let (mut contacts, mut addresses) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let key = row.get(1)?;
        if text(row, 0)? == "contact" {
            contacts.push(key);
        } else {
            addresses.push(key);
        }
    }
    Ok((contacts, addresses))
}
