//! The ledger of consent: what people refused, whom rosterd itself took out, and who asked to be
//! forgotten.
//!
//! A fact belongs to an account and is found by each of its keys: of the person, and of the
//! audience. Links, pins, jobs and names in the config come and go without touching it; a fact ends
//! only by a later one, and only ended ones are let go with the history.

use std::collections::{BTreeSet, HashMap};

use rusqlite::{Connection, OptionalExtension};

use super::Store;
use super::base::text;
use super::convert::{stamp, time};
use super::error::{Fault, StateError};
use crate::model::{Forgotten, Names, OwnRemovals, hash_of_address, hash_of_id};
use crate::plan::base::{FactId, Ledger, LedgerAudience, LedgerPerson, Refusal};

/// By what a person is known whom a fact is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PersonKey {
    /// The normalised address.
    Address(String),
    /// The id of the contact in the account of the fact.
    Contact(String),
    /// The id of a record at a source.
    Record {
        /// The account of the source.
        account: String,
        /// The id there.
        id: String,
    },
}

/// By what the audience is known that a fact is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AudienceKey {
    /// The whole account.
    Account,
    /// The id of a group in the account of the fact.
    Group(String),
    /// The id of a group at a source.
    SourceGroup {
        /// The account of the source.
        account: String,
        /// The id there.
        id: String,
    },
    /// The name that the group has or was to have in the account of the fact, folded for
    /// comparison.
    Name(String),
}

/// A key as it stands in a row: kind, owner and text.
type Row<'a> = (&'static str, &'a str, &'a str);

impl PersonKey {
    fn row(&self) -> Row<'_> {
        match self {
            PersonKey::Address(address) => ("address", "", address),
            PersonKey::Contact(id) => ("contact", "", id),
            PersonKey::Record { account, id } => ("record", account, id),
        }
    }

    fn of_row(kind: &str, owner: String, key: String) -> Option<PersonKey> {
        match kind {
            "address" => Some(PersonKey::Address(key)),
            "contact" => Some(PersonKey::Contact(key)),
            "record" => Some(PersonKey::Record {
                account: owner,
                id: key,
            }),
            _ => None,
        }
    }

    /// Tells whether the key is one of somebody who was forgotten; contacts are those of `account`.
    pub(super) fn is_forgotten(&self, account: &str, forgotten: &Forgotten) -> bool {
        match self {
            PersonKey::Address(address) => forgotten.contains(address),
            PersonKey::Contact(id) => forgotten.contains_id(account, id),
            PersonKey::Record { account, id } => forgotten.contains_id(account, id),
        }
    }
}

impl AudienceKey {
    fn row(&self) -> Row<'_> {
        match self {
            AudienceKey::Account => ("account", "", ""),
            AudienceKey::Group(id) => ("group", "", id),
            AudienceKey::SourceGroup { account, id } => ("source_group", account, id),
            AudienceKey::Name(name) => ("name", "", name),
        }
    }

    fn of_row(kind: &str, owner: String, key: String) -> Option<AudienceKey> {
        match kind {
            "account" => Some(AudienceKey::Account),
            "group" => Some(AudienceKey::Group(key)),
            "source_group" => Some(AudienceKey::SourceGroup {
                account: owner,
                id: key,
            }),
            "name" => Some(AudienceKey::Name(key)),
            _ => None,
        }
    }

    pub(super) fn of_group(group: Option<&str>) -> AudienceKey {
        group.map_or(AudienceKey::Account, |id| AudienceKey::Group(id.to_owned()))
    }
}

const NEWEST_RUN: &str = "SELECT started FROM runs ORDER BY started DESC LIMIT 1 /* walks: no further than the first row */";
const INSERT_FACT: &str = "INSERT INTO consent_facts (account, what, origin, since, held_at, shown)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const INSERT_PERSON: &str =
    "INSERT OR IGNORE INTO consent_people (fact, kind, owner, key) VALUES (?1, ?2, ?3, ?4)";
const INSERT_AUDIENCE: &str =
    "INSERT OR IGNORE INTO consent_audiences (fact, kind, owner, key) VALUES (?1, ?2, ?3, ?4)";
// From the person to the facts, never through all facts of an account.
const FACTS_OF_PERSON: &str = "SELECT fact.id FROM consent_people AS person CROSS JOIN consent_facts AS fact ON fact.id = person.fact
     WHERE person.kind = ?3 AND person.owner = ?4 AND person.key = ?5
         AND fact.account = ?1 AND fact.what = ?2 AND fact.ended IS NULL";
const HAS_PERSON: &str =
    "SELECT 1 FROM consent_people WHERE fact = ?1 AND kind = ?2 AND owner = ?3 AND key = ?4";
const HAS_AUDIENCE: &str =
    "SELECT 1 FROM consent_audiences WHERE fact = ?1 AND kind = ?2 AND owner = ?3 AND key = ?4";
const PEOPLE_OF_FACT: &str = "SELECT kind, owner, key FROM consent_people WHERE fact = ?1";
const AUDIENCES_OF_FACT: &str = "SELECT kind, owner, key FROM consent_audiences WHERE fact = ?1";
const ACCOUNT_OF_FACT: &str = "SELECT account FROM consent_facts WHERE id = ?1";
const ORIGIN_OF_FACT: &str = "SELECT origin, since FROM consent_facts WHERE id = ?1";
const IS_OPEN: &str =
    "SELECT 1 FROM consent_facts WHERE id = ?1 AND what = 'refused' AND ended IS NULL";
const HOLD: &str =
    "UPDATE consent_facts SET held_at = ?2 WHERE id = ?1 AND what = 'refused' AND ended IS NULL";
const END: &str = "UPDATE consent_facts SET ended = ?2 WHERE id = ?1 AND ended IS NULL";
const DELETE_FACT: &str = "DELETE FROM consent_facts WHERE id = ?1";
const DELETE_PERSON: &str =
    "DELETE FROM consent_people WHERE fact = ?1 AND kind = ?2 AND owner = ?3 AND key = ?4";
const ALL_FACTS_OF_PERSON: &str = "SELECT fact.id, fact.account FROM consent_people AS person CROSS JOIN consent_facts AS fact ON fact.id = person.fact
     WHERE person.kind = ?1 AND person.owner = ?2 AND person.key = ?3";
const HASHES: &str =
    "SELECT owner, key FROM consent_people WHERE kind = 'hash' /* walks: all who were forgotten */";
const HAS_HASH: &str =
    "SELECT 1 FROM consent_people WHERE kind = 'hash' AND owner = ?1 AND key = ?2";
const OPEN_REFUSALS: &str = "SELECT id, held_at FROM consent_facts WHERE account = ?1 AND what = 'refused' AND ended IS NULL ORDER BY id /* walks: a run loads the base of its job whole */";
const PEOPLE_OF_REFUSALS: &str = "SELECT person.fact, person.kind, person.owner, person.key
     FROM consent_facts AS fact CROSS JOIN consent_people AS person ON person.fact = fact.id
     WHERE fact.account = ?1 AND fact.what = 'refused' AND fact.ended IS NULL /* walks: a run loads the base of its job whole */";
const AUDIENCES_OF_REFUSALS: &str =
    "SELECT audience.fact, audience.kind, audience.owner, audience.key
     FROM consent_facts AS fact CROSS JOIN consent_audiences AS audience ON audience.fact = fact.id
     WHERE fact.account = ?1 AND fact.what = 'refused' AND fact.ended IS NULL /* walks: a run loads the base of its job whole */";
const REMOVALS: &str = "SELECT audience.key, person.key, fact.shown, fact.since
     FROM consent_facts AS fact CROSS JOIN consent_people AS person ON person.fact = fact.id AND person.kind = 'contact'
         CROSS JOIN consent_audiences AS audience ON audience.fact = fact.id AND audience.kind = 'group'
     WHERE fact.account = ?1 AND fact.what = 'removed' AND fact.ended IS NULL ORDER BY fact.id /* walks: a run loads the base of its job whole */";
impl Store {
    /// Returns what is remembered of rosterd's own removals at an account, whichever job made them.
    pub fn own_removals(&self, account: &str) -> Result<OwnRemovals, StateError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached(REMOVALS)?;
            let mut rows = select.query([account])?;
            let mut own = OwnRemovals::default();
            while let Some(row) = rows.next()? {
                own.recall(
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    time(row, 3)?.as_second(),
                );
            }
            Ok(own)
        })
    }

    /// Returns who was forgotten, to be asked person by person.
    pub fn forgotten(&self) -> Result<Forgotten, StateError> {
        self.read(forgotten)
    }
}

/// Returns the start of the newest run, which is when whatever is remembered now was seen: the store
/// reads no clock.
fn moment(connection: &Connection) -> Result<String, Fault> {
    let mut select = connection.prepare_cached(NEWEST_RUN)?;
    let mut rows = select.query([])?;
    Ok(match rows.next()? {
        Some(row) => row.get(0)?,
        None => String::new(),
    })
}

/// A fact that is about to be written down.
struct NewFact<'a> {
    account: &'a str,
    what: &'static str,
    origin: &'a str,
    since: &'a str,
    shown: Option<i64>,
    people: &'a [PersonKey],
    audience: &'a [AudienceKey],
}

fn insert(connection: &Connection, fact: &NewFact<'_>) -> Result<i64, Fault> {
    let id = connection.prepare_cached(INSERT_FACT)?.insert((
        fact.account,
        fact.what,
        fact.origin,
        fact.since,
        None::<&str>,
        fact.shown,
    ))?;
    add_keys(connection, id, fact.people, fact.audience)?;
    Ok(id)
}

fn add_keys(
    connection: &Connection,
    fact: i64,
    people: &[PersonKey],
    audience: &[AudienceKey],
) -> Result<(), Fault> {
    let mut insert = connection.prepare_cached(INSERT_PERSON)?;
    for (kind, owner, key) in people.iter().map(PersonKey::row) {
        insert.execute((fact, kind, owner, key))?;
    }
    let mut insert = connection.prepare_cached(INSERT_AUDIENCE)?;
    for (kind, owner, key) in audience.iter().map(AudienceKey::row) {
        insert.execute((fact, kind, owner, key))?;
    }
    Ok(())
}

/// Finds the open facts of a kind that share any of the keys of a person.
fn facts_of(
    connection: &Connection,
    account: &str,
    what: &str,
    people: &[PersonKey],
) -> Result<BTreeSet<i64>, Fault> {
    let mut select = connection.prepare_cached(FACTS_OF_PERSON)?;
    let mut found = BTreeSet::new();
    for (kind, owner, key) in people.iter().map(PersonKey::row) {
        for id in select.query_map((account, what, kind, owner, key), |row| row.get(0))? {
            found.insert(id?);
        }
    }
    Ok(found)
}

fn has_person(connection: &Connection, fact: i64, person: &PersonKey) -> Result<bool, Fault> {
    let (kind, owner, key) = person.row();
    Ok(connection
        .prepare_cached(HAS_PERSON)?
        .exists((fact, kind, owner, key))?)
}

fn has_audience(connection: &Connection, fact: i64, audience: &AudienceKey) -> Result<bool, Fault> {
    let (kind, owner, key) = audience.row();
    Ok(connection
        .prepare_cached(HAS_AUDIENCE)?
        .exists((fact, kind, owner, key))?)
}

/// Finds the open refusals that have all of these keys.
fn covering(
    connection: &Connection,
    account: &str,
    people: &[PersonKey],
    audience: &[AudienceKey],
) -> Result<Vec<i64>, Fault> {
    let Some((first, others)) = people.split_first() else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    'facts: for fact in facts_of(connection, account, "refused", std::slice::from_ref(first))? {
        for person in others {
            if !has_person(connection, fact, person)? {
                continue 'facts;
            }
        }
        for audience in audience {
            if !has_audience(connection, fact, audience)? {
                continue 'facts;
            }
        }
        found.push(fact);
    }
    Ok(found)
}

/// Remembers a refusal that is not held anywhere, whatever was known before.
///
/// What no key leads to can't be found again, so nothing is written without keys of both kinds.
pub(super) fn refuse(
    connection: &Connection,
    account: &str,
    people: &[PersonKey],
    audience: &[AudienceKey],
    origin: &str,
) -> Result<(), Fault> {
    if people.is_empty() || audience.is_empty() {
        return Ok(());
    }
    let known = covering(connection, account, people, audience)?;
    if known.is_empty() {
        let fact = NewFact {
            account,
            what: "refused",
            origin,
            since: &moment(connection)?,
            shown: None,
            people,
            audience,
        };
        insert(connection, &fact)?;
    }
    for fact in known {
        hold(connection, fact, None)?;
    }
    Ok(())
}

/// Remembers that the target was seen to obey an open refusal, at a group or with '' at the whole
/// account, or that nobody knows.
pub(super) fn hold(connection: &Connection, fact: i64, at: Option<&str>) -> Result<(), Fault> {
    connection.prepare_cached(HOLD)?.execute((fact, at))?;
    Ok(())
}

/// Adds keys to an open refusal.
pub(super) fn know_as(
    connection: &Connection,
    fact: i64,
    people: &[PersonKey],
    audience: &[AudienceKey],
) -> Result<(), Fault> {
    if connection.prepare_cached(IS_OPEN)?.exists([fact])? {
        add_keys(connection, fact, people, audience)?;
    }
    Ok(())
}

/// Finds the open refusals of a group, or of the account, that share a key with a person; the group
/// may have been known otherwise.
pub(super) fn refusals_of(
    connection: &Connection,
    account: &str,
    group: Option<&str>,
    known_as: &[AudienceKey],
    people: &[PersonKey],
) -> Result<Vec<i64>, Fault> {
    let group = AudienceKey::of_group(group);
    let mut found = Vec::new();
    for fact in facts_of(connection, account, "refused", people)? {
        for audience in known_as.iter().chain([&group]) {
            if has_audience(connection, fact, audience)? {
                found.push(fact);
                break;
            }
        }
    }
    Ok(found)
}

/// Remembers that the target was seen to obey every refusal of a group, or of the account, that is a
/// person's, and as which contact. The address alone tells only where a refusal knows nothing else:
/// it may have been somebody else's before.
pub(super) fn hold_all(
    connection: &Connection,
    account: &str,
    group: Option<&str>,
    known_as: &[AudienceKey],
    people: &[PersonKey],
) -> Result<(), Fault> {
    let contacts: Vec<PersonKey> = people
        .iter()
        .filter(|person| matches!(person, PersonKey::Contact(_)))
        .cloned()
        .collect();
    let is_address = |person: &PersonKey| matches!(person, PersonKey::Address(_));
    let of_group = group.map(|group| AudienceKey::Group(group.to_owned()));
    for fact in refusals_of(connection, account, group, known_as, people)? {
        let known = people_of(connection, fact)?;
        let is_theirs = |key: &PersonKey| !is_address(key) && people.contains(key);
        if !known.iter().all(is_address) && !known.iter().any(is_theirs) {
            continue;
        }
        hold(connection, fact, Some(group.unwrap_or_default()))?;
        add_keys(connection, fact, &contacts, of_group.as_slice())?;
    }
    Ok(())
}

/// Returns the account of a fact; an empty text for one that is gone.
pub(super) fn account_of(connection: &Connection, fact: FactId) -> Result<String, Fault> {
    let account = connection
        .prepare_cached(ACCOUNT_OF_FACT)?
        .query_row([fact.0], |row| row.get(0))
        .optional()?;
    Ok(account.unwrap_or_default())
}

/// Ends an open fact.
pub(super) fn end(connection: &Connection, fact: i64) -> Result<(), Fault> {
    let ended = moment(connection)?;
    connection.prepare_cached(END)?.execute((fact, ended))?;
    Ok(())
}

/// Remembers a removal of rosterd's own, which ends what was known of an earlier one.
pub(super) fn remove(
    connection: &Connection,
    account: &str,
    (group, member): (&str, &str),
    address: &str,
    shown: Option<i64>,
    since: jiff::Timestamp,
) -> Result<(), Fault> {
    end_removal(connection, account, (group, member))?;
    let mut people = vec![PersonKey::Contact(member.to_owned())];
    if !address.is_empty() {
        people.push(PersonKey::Address(address.to_owned()));
    }
    let fact = NewFact {
        account,
        what: "removed",
        origin: "removed by rosterd",
        since: &stamp(since),
        shown,
        people: &people,
        audience: &[AudienceKey::Group(group.to_owned())],
    };
    insert(connection, &fact)?;
    Ok(())
}

/// Ends a removal of rosterd's own: from here on what shows is the person's.
pub(super) fn end_removal(
    connection: &Connection,
    account: &str,
    (group, member): (&str, &str),
) -> Result<(), Fault> {
    let audience = AudienceKey::Group(group.to_owned());
    let contact = [PersonKey::Contact(member.to_owned())];
    for fact in facts_of(connection, account, "removed", &contact)? {
        if has_audience(connection, fact, &audience)? {
            end(connection, fact)?;
        }
    }
    Ok(())
}

/// Loads who was forgotten inside a transaction.
pub(super) fn forgotten(connection: &Connection) -> Result<Forgotten, Fault> {
    let mut select = connection.prepare_cached(HASHES)?;
    let mut rows = select.query([])?;
    let mut forgotten = Forgotten::default();
    while let Some(row) = rows.next()? {
        forgotten.recall(row.get(0)?, row.get(1)?);
    }
    Ok(forgotten)
}

/// Keeps of a person nothing but hashes: of the address, and of ids as pairs of an account and an
/// id. Counts the rows that went.
///
/// A fact that is known by another address as well stays for whoever has that one.
pub(super) fn forget(
    connection: &Connection,
    address: &str,
    mut ids: BTreeSet<(String, String)>,
    since: &str,
) -> Result<(usize, BTreeSet<(String, String)>), Fault> {
    let mut keys = BTreeSet::from([PersonKey::Address(address.to_owned())]);
    // Whose ids stand beside the address and no other one is known by this person alone.
    let by_address = all_facts_of(connection, &keys)?;
    for (fact, account) in &by_address {
        let people = people_of(connection, *fact)?;
        if !has_other_address(&people, address) {
            ids.extend(people.into_iter().filter_map(|person| match person {
                PersonKey::Address(_) => None,
                PersonKey::Contact(id) => Some((account.clone(), id)),
                PersonKey::Record { account, id } => Some((account, id)),
            }));
        }
    }
    for (account, id) in &ids {
        keys.insert(PersonKey::Contact(id.clone()));
        keys.insert(PersonKey::Record {
            account: account.clone(),
            id: id.clone(),
        });
    }
    let mut touched = 0;
    for (fact, account) in all_facts_of(connection, &keys)? {
        let people = people_of(connection, fact)?;
        let is_theirs = |person: &PersonKey| match person {
            PersonKey::Address(known) => known == address,
            PersonKey::Contact(id) => ids.contains(&(account.clone(), id.clone())),
            PersonKey::Record { account, id } => ids.contains(&(account.clone(), id.clone())),
        };
        if !people.iter().any(is_theirs) {
            continue;
        }
        touched += 1;
        if !has_other_address(&people, address) {
            connection.prepare_cached(DELETE_FACT)?.execute([fact])?;
            continue;
        }
        for (kind, owner, key) in people
            .iter()
            .filter(|key| is_theirs(key))
            .map(PersonKey::row)
        {
            connection
                .prepare_cached(DELETE_PERSON)?
                .execute((fact, kind, owner, key))?;
        }
    }
    let fact = connection.prepare_cached(INSERT_FACT)?.insert((
        "",
        "forgotten",
        "asked to be forgotten",
        since,
        None::<&str>,
        None::<i64>,
    ))?;
    let hashes = ids
        .iter()
        .filter(|(account, _)| !account.is_empty())
        .map(|(account, id)| (account.as_str(), hash_of_id(id)));
    let mut new = 0;
    for (owner, hash) in hashes.chain([("", hash_of_address(address))]) {
        if !connection
            .prepare_cached(HAS_HASH)?
            .exists((owner, &hash))?
        {
            new += connection
                .prepare_cached(INSERT_PERSON)?
                .execute((fact, "hash", owner, &hash))?;
        }
    }
    if new == 0 {
        connection.prepare_cached(DELETE_FACT)?.execute([fact])?;
    }
    Ok((touched, ids))
}

/// Takes over from another database the hashes of those who were forgotten there.
pub(super) fn take_hashes(from: &Connection, to: &Connection, since: &str) -> Result<(), Fault> {
    let mut select = from.prepare(HASHES)?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (owner, hash): (String, String) = (row.get(0)?, row.get(1)?);
        if to.prepare_cached(HAS_HASH)?.exists((&owner, &hash))? {
            continue;
        }
        let fact = to.prepare_cached(INSERT_FACT)?.insert((
            "",
            "forgotten",
            "asked to be forgotten",
            since,
            None::<&str>,
            None::<i64>,
        ))?;
        to.prepare_cached(INSERT_PERSON)?
            .execute((fact, "hash", &owner, &hash))?;
    }
    Ok(())
}

fn has_other_address(people: &[PersonKey], address: &str) -> bool {
    people
        .iter()
        .any(|person| matches!(person, PersonKey::Address(other) if other != address))
}

/// Finds every fact, open or ended, that has any of these keys, with its account.
fn all_facts_of(
    connection: &Connection,
    keys: &BTreeSet<PersonKey>,
) -> Result<BTreeSet<(i64, String)>, Fault> {
    let mut select = connection.prepare_cached(ALL_FACTS_OF_PERSON)?;
    let mut found = BTreeSet::new();
    for key in keys.iter().map(PersonKey::row) {
        for fact in select.query_map(key, |row| Ok((row.get(0)?, row.get(1)?)))? {
            found.insert(fact?);
        }
    }
    Ok(found)
}

fn people_of(connection: &Connection, fact: i64) -> Result<Vec<PersonKey>, Fault> {
    let mut select = connection.prepare_cached(PEOPLE_OF_FACT)?;
    let rows = select.query_map([fact], |row| {
        Ok(PersonKey::of_row(text(row, 0)?, row.get(1)?, row.get(2)?))
    })?;
    Ok(rows
        .filter_map(Result::transpose)
        .collect::<rusqlite::Result<_>>()?)
}

fn audience_of(connection: &Connection, fact: i64) -> Result<Vec<AudienceKey>, Fault> {
    let mut select = connection.prepare_cached(AUDIENCES_OF_FACT)?;
    let rows = select.query_map([fact], |row| {
        Ok(AudienceKey::of_row(text(row, 0)?, row.get(1)?, row.get(2)?))
    })?;
    Ok(rows
        .filter_map(Result::transpose)
        .collect::<rusqlite::Result<_>>()?)
}

/// Loads the open refusals of an account. Records, and groups of the source, are known by their ids
/// at one source only.
pub(super) fn load(
    connection: &Connection,
    account: &str,
    source: &str,
    names: &mut Names,
) -> Result<Ledger, Fault> {
    let mut ledger = Ledger::default();
    let mut places = HashMap::new();
    let mut select = connection.prepare_cached(OPEN_REFUSALS)?;
    let mut rows = select.query([account])?;
    while let Some(row) = rows.next()? {
        let id = row.get(0)?;
        places.insert(id, ledger.refusals.len());
        ledger.refusals.push(Refusal {
            id: FactId(id),
            people: Vec::new(),
            audience: Vec::new(),
            held_at: row.get(1)?,
        });
    }
    let mut select = connection.prepare_cached(PEOPLE_OF_REFUSALS)?;
    let mut rows = select.query([account])?;
    while let Some(row) = rows.next()? {
        let (owner, key) = (text(row, 2)?, text(row, 3)?);
        let person = match text(row, 1)? {
            "address" => LedgerPerson::Address(names.intern(key)),
            "contact" => LedgerPerson::Contact(names.intern(key)),
            "record" if owner == source => LedgerPerson::Record(names.intern(key)),
            _ => continue,
        };
        ledger.refusals[places[&row.get(0)?]].people.push(person);
    }
    let mut select = connection.prepare_cached(AUDIENCES_OF_REFUSALS)?;
    let mut rows = select.query([account])?;
    while let Some(row) = rows.next()? {
        let (owner, key) = (text(row, 2)?, text(row, 3)?);
        let audience = match text(row, 1)? {
            "account" => LedgerAudience::Account,
            "group" => LedgerAudience::Group(key.to_owned()),
            "source_group" if owner == source => LedgerAudience::Source(key.to_owned()),
            "name" => LedgerAudience::Name(key.to_owned()),
            _ => continue,
        };
        ledger.refusals[places[&row.get(0)?]]
            .audience
            .push(audience);
    }
    // What only another source's keys lead to concerns nobody here; the fact stays.
    ledger
        .refusals
        .retain(|refusal| !refusal.people.is_empty() && !refusal.audience.is_empty());
    Ok(ledger)
}

const COPY_HASHES: &str = "INSERT OR IGNORE INTO consent_people (fact, kind, owner, key) SELECT fact, kind, ?2, key FROM consent_people WHERE kind = 'hash' AND owner = ?1 /* walks: an account gets new credentials once */";

/// Has hashes of forgotten ids stand for another account as well.
pub(super) fn copy_hashes(
    connection: &Connection,
    former: &str,
    account: &str,
) -> Result<(), Fault> {
    connection
        .prepare_cached(COPY_HASHES)?
        .execute((former, account))?;
    Ok(())
}

const ACCOUNTS_THAT_REFUSE: &str = "SELECT min(account) FROM consent_facts WHERE account > ?1 AND what = 'refused' AND ended IS NULL /* walks: from one account to the next */";

/// Returns the accounts with open refusals, a step of the index for each.
pub(super) fn accounts_that_refuse(connection: &Connection) -> Result<Vec<String>, Fault> {
    let mut select = connection.prepare_cached(ACCOUNTS_THAT_REFUSE)?;
    let mut accounts: Vec<String> = Vec::new();
    loop {
        let last = accounts.last().map_or("", String::as_str);
        let next: Option<String> = select.query_row([last], |row| row.get(0))?;
        match next {
            Some(account) => accounts.push(account),
            None => return Ok(accounts),
        }
    }
}

/// Has the open refusals of an account stand at another as well, of which nobody can tell whether
/// it is the same.
///
/// An id may be somebody else's there, so that whoever has another key is known by that alone; and
/// nobody has seen the other account obey anything.
pub(super) fn copy_refusals(
    connection: &Connection,
    former: &str,
    account: &str,
) -> Result<(), Fault> {
    let facts: Vec<i64> = connection
        .prepare_cached(OPEN_REFUSALS)?
        .query_map([former], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for fact in facts {
        let mut people = people_of(connection, fact)?;
        let is_lasting = |person: &PersonKey| !matches!(person, PersonKey::Contact(_));
        if people.iter().any(is_lasting) {
            people.retain(is_lasting);
        }
        let audience = audience_of(connection, fact)?;
        if people.is_empty() || !covering(connection, account, &people, &audience)?.is_empty() {
            continue;
        }
        let (origin, since): (String, String) = connection
            .prepare_cached(ORIGIN_OF_FACT)?
            .query_row([fact], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let copy = NewFact {
            account,
            what: "refused",
            origin: &origin,
            since: &since,
            shown: None,
            people: &people,
            audience: &audience,
        };
        insert(connection, &copy)?;
    }
    // Where the account is a source, its groups bind by their ids as before, and so do its records
    // where nothing else tells who it was.
    connection.execute(
        "INSERT OR IGNORE INTO consent_audiences (fact, kind, owner, key)
             SELECT fact, kind, ?2, key FROM consent_audiences WHERE kind = 'source_group' AND owner = ?1
                 AND EXISTS (SELECT 1 FROM consent_facts WHERE id = fact AND ended IS NULL) /* walks: an account gets new credentials once */",
        (former, account),
    )?;
    connection.execute(
        "INSERT OR IGNORE INTO consent_people (fact, kind, owner, key)
             SELECT fact, kind, ?2, key FROM consent_people AS own WHERE kind = 'record' AND owner = ?1
                 AND EXISTS (SELECT 1 FROM consent_facts WHERE id = fact AND what = 'refused' AND ended IS NULL)
                 AND NOT EXISTS (SELECT 1 FROM consent_people AS other WHERE other.fact = own.fact AND other.kind <> 'record') /* walks: an account gets new credentials once */",
        (former, account),
    )?;
    Ok(())
}

/// Has what stands under the name of a provider stand under its account.
pub(super) fn rename_account(
    connection: &Connection,
    named: &str,
    account: &str,
) -> Result<(), Fault> {
    for sql in [
        "UPDATE consent_facts SET account = ?2 WHERE account = ?1 /* walks: an account is named once */",
        "UPDATE OR IGNORE consent_people SET owner = ?2 WHERE kind IN ('record', 'hash') AND owner = ?1 /* walks: an account is named once */",
        "UPDATE OR IGNORE consent_audiences SET owner = ?2 WHERE kind = 'source_group' AND owner = ?1 /* walks: an account is named once */",
    ] {
        connection.execute(sql, (named, account))?;
    }
    Ok(())
}
