//! The target of a job as it was last read in full, so that a run in which nothing has changed need
//! not read it again.
//!
//! Ids, addresses, states and fingerprints stand here, and no value of a profile. What is
//! remembered proves nothing for a write: whoever has something to write reads the target anew.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::Store;
use super::convert::{from_json, json, stamp, time, word};
use super::error::{Fault, StateError};
use super::keys::{Key, Keys, Texts};
use super::ledger;
use crate::model::{
    Certificate, CountRule, CustomField, CustomFields, Existence, FieldType, Group, GroupKind,
    GroupRow, GroupStatus, Listing, ListingRow, Member, MemberStatus, MembershipState, Names,
    Record, Snapshot, Unreadable,
};

/// Bytes of a packed row of a listing.
const PACKED: usize = 5;
const STATUSES: [MemberStatus; 4] = [
    MemberStatus::Active,
    MemberStatus::Held,
    MemberStatus::Bounced,
    MemberStatus::OptedOut,
];
const STATES: [MembershipState; 4] = [
    MembershipState::Active,
    MembershipState::Unconfirmed,
    MembershipState::Bounced,
    MembershipState::OptedOut,
];

/// What decides whether a remembered target may stand for a reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryKey {
    /// What tells the account from others, hashed.
    pub account: String,
    /// When its reading began.
    pub read_at: Timestamp,
    /// The fingerprint of the job's settled config at that time.
    pub config_hash: String,
    /// The fingerprint of the mapping at that time, which the fingerprints of profiles depend on.
    pub salt: String,
}

/// A whole reading of a target, to be remembered.
#[derive(Clone, Copy, Debug)]
pub struct TargetReading<'a> {
    /// What it belongs to.
    pub key: &'a MemoryKey,
    /// The account's custom fields.
    pub custom: &'a CustomFields,
    /// The groups as the adapter returned them, by id.
    pub rows: &'a BTreeMap<String, GroupRow>,
    /// The evidence of the list of groups.
    pub certificate: &'a Certificate,
    /// Members, listings and what is known not to exist.
    pub snapshot: &'a Snapshot,
}

/// A remembered target.
#[derive(Clone, Debug)]
pub struct RememberedTarget {
    /// What it belongs to.
    pub key: MemoryKey,
    /// The account's custom fields.
    pub custom: CustomFields,
    /// The groups as the adapter returned them.
    pub rows: Vec<GroupRow>,
    /// The evidence of the list of groups.
    pub certificate: Certificate,
    /// The people, by position.
    pub members: Vec<Member>,
    /// The listings with their evidence, by group id.
    pub listings: BTreeMap<String, (Listing, Certificate)>,
    /// Which addresses are known not to exist.
    pub existence: Existence,
    /// What could not be read of some people's records, by id.
    pub unreadable: BTreeMap<String, Unreadable>,
}

impl Store {
    /// Remembers the target of a job in the place of what was remembered before; tells whether it
    /// did.
    ///
    /// A reading that is not whole is not remembered, nor one with a group that could not be read.
    /// People who were forgotten are left out.
    pub fn remember_target(
        &self,
        job: &str,
        reading: &TargetReading<'_>,
        names: &Names,
    ) -> Result<bool, StateError> {
        let snapshot = reading.snapshot;
        let readable = |group: &Group| group.unread.is_none();
        let whole = snapshot.groups.complete().is_some()
            && snapshot.groups.seen().iter().all(readable)
            && snapshot.account_state.complete().is_some()
            && snapshot
                .listings
                .values()
                .all(|listing| listing.complete().is_some());
        self.write(|connection| {
            delete_of_job(connection, job)?;
            if whole {
                insert(connection, job, reading, names)?;
            }
            Ok(whole)
        })
    }

    /// Tells what the remembered target of a job belongs to; nothing when none is remembered.
    pub fn remembered_key(&self, job: &str) -> Result<Option<MemoryKey>, StateError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT account, read_at, config_hash, salt FROM remembered_targets WHERE job = ?1",
            )?;
            Ok(select.query_row([job], |row| key(row, 0)).optional()?)
        })
    }

    /// Loads the remembered target of a job.
    pub fn remembered_target(
        &self,
        job: &str,
        names: &mut Names,
    ) -> Result<Option<RememberedTarget>, StateError> {
        self.read(|connection| load(connection, job, names))
    }

    /// Drops what is remembered of an account, whichever job read it: something is about to be
    /// written there.
    pub fn drop_remembered(&self, account: &str) -> Result<(), StateError> {
        self.write(|connection| {
            connection
                .prepare_cached("DELETE FROM remembered_targets WHERE account = ?1 /* walks: what hangs on them goes with them */")?
                .execute([account])?;
            Ok(())
        })
    }

    /// Drops the remembered target of a job.
    pub fn drop_remembered_of(&self, job: &str) -> Result<(), StateError> {
        self.write(|connection| delete_of_job(connection, job))
    }
}

fn delete_of_job(connection: &Connection, job: &str) -> Result<(), Fault> {
    connection
        .prepare_cached("DELETE FROM remembered_targets WHERE job = ?1 /* walks: what hangs on them goes with them */")?
        .execute([job])?;
    Ok(())
}

fn insert(
    connection: &Connection,
    job: &str,
    reading: &TargetReading<'_>,
    names: &Names,
) -> Result<(), Fault> {
    let TargetReading {
        key,
        custom,
        rows,
        certificate,
        snapshot,
    } = *reading;
    let existence = match &snapshot.existence {
        Existence::Whole => "whole",
        Existence::Asked(_) => "asked",
        Existence::Unknown => "unknown",
    };
    let rows: Vec<StoredGroup> = rows.values().map(StoredGroup::of).collect();
    connection.execute(
        "INSERT INTO remembered_targets (job, account, read_at, config_hash, salt, custom, group_rows, certificate, existence)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        (
            job,
            &key.account,
            stamp(key.read_at),
            &key.config_hash,
            &key.salt,
            json(&StoredCustom::of(custom)),
            json(&rows),
            json(&StoredCertificate::of(certificate)),
            existence,
        ),
    )?;
    let target = connection.last_insert_rowid();
    let forgotten = ledger::forgotten(connection)?;
    let mut keys = Keys::new(connection);
    let mut positions: Vec<Option<u32>> = Vec::with_capacity(snapshot.members.len());
    let mut next = 0_u32;
    let mut member_row = connection
        .prepare_cached("INSERT INTO remembered_members (target, position, id, address, status, hash, unreadable) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for member in &snapshot.members {
        let address = member.address.map(|address| names.text(address));
        if address.is_some_and(|address| forgotten.contains(address)) {
            positions.push(None);
            continue;
        }
        let id = names.text(member.id);
        let unreadable = snapshot.unreadable.get(id).map(|what| match what {
            Unreadable::Profile => "profile".to_owned(),
            Unreadable::Value(why) => format!("value: {why}"),
            Unreadable::Standing(why) => format!("standing: {why}"),
        });
        member_row.execute((
            target,
            next,
            keys.key(id)?,
            address.map(|address| keys.key(address)).transpose()?,
            member.status as u8,
            member.hash.map(u64::cast_signed),
            unreadable,
        ))?;
        positions.push(Some(next));
        next += 1;
    }
    let mut listing_row =
        connection.prepare_cached("INSERT INTO remembered_listings (target, group_id, certificate, listed) VALUES (?1, ?2, ?3, ?4)")?;
    for (group, listing) in &snapshot.listings {
        // Removals of rosterd's own are set apart again by whoever loads this, as they are
        // remembered by then.
        let apart = listing.seen().removed.iter().chain(&listing.seen().pending);
        let removed = apart.map(|at| ListingRow {
            member: *at,
            state: MembershipState::OptedOut,
        });
        let mut rows: Vec<ListingRow> =
            listing.seen().rows.iter().copied().chain(removed).collect();
        rows.sort_unstable();
        let mut packed = Vec::with_capacity(rows.len() * PACKED);
        for row in &rows {
            if let Some(position) = positions[row.member as usize] {
                packed.extend_from_slice(&position.to_le_bytes());
                packed.push(row.state as u8);
            }
        }
        let certificate = snapshot
            .certificates
            .get(group)
            .map(StoredCertificate::of)
            .unwrap_or_default();
        listing_row.execute((target, group, json(&certificate), packed))?;
    }
    if let Existence::Asked(asked) = &snapshot.existence {
        let mut absent = connection
            .prepare_cached("INSERT INTO remembered_absent (target, address) VALUES (?1, ?2)")?;
        for address in asked
            .iter()
            .map(|address| names.text(*address))
            .filter(|address| !forgotten.contains(address))
        {
            absent.execute((target, keys.key(address)?))?;
        }
    }
    Ok(())
}

fn load(
    connection: &Connection,
    job: &str,
    names: &mut Names,
) -> Result<Option<RememberedTarget>, Fault> {
    let head = connection
        .prepare_cached(
            "SELECT account, read_at, config_hash, salt, id, custom, group_rows, certificate, existence FROM remembered_targets
             WHERE job = ?1",
        )?
        .query_row([job], |row| {
            let custom: StoredCustom = from_json(row, 5)?;
            let rows: Vec<StoredGroup> = from_json(row, 6)?;
            let certificate: StoredCertificate = from_json(row, 7)?;
            let existence = word(row, 8, |text| match text {
                "whole" => Some(Existence::Whole),
                "asked" => Some(Existence::Asked(HashSet::new())),
                "unknown" => Some(Existence::Unknown),
                _ => None,
            })?;
            let remembered = RememberedTarget {
                key: key(row, 0)?,
                custom: custom.into_model(),
                rows: rows.into_iter().map(StoredGroup::into_model).collect(),
                certificate: certificate.into_model(),
                members: Vec::new(),
                listings: BTreeMap::new(),
                existence,
                unreadable: BTreeMap::new(),
            };
            Ok((row.get::<_, i64>(4)?, remembered))
        })
        .optional()?;
    let Some((target, mut remembered)) = head else {
        return Ok(None);
    };
    let mut select =
        connection.prepare_cached("SELECT id, address, status, hash, unreadable FROM remembered_members WHERE target = ?1 ORDER BY position /* walks: the remembered target is loaded whole */")?;
    let mut texts = Texts::new(connection);
    let mut rows = select.query([target])?;
    while let Some(row) = rows.next()? {
        let address: Option<Key> = row.get(1)?;
        let address = address.map(|address| texts.intern(address, names));
        let id = texts.intern(row.get(0)?, names)?;
        if let Some(why) = row.get::<_, Option<String>>(4)? {
            let what = match why.split_once(": ") {
                Some(("standing", why)) => Unreadable::Standing(why.to_owned()),
                Some(("value", why)) => Unreadable::Value(why.to_owned()),
                _ => Unreadable::Profile,
            };
            remembered
                .unreadable
                .insert(names.text(id).to_owned(), what);
        }
        remembered.members.push(Member {
            address: address.transpose()?,
            id,
            // Only of records of a source anybody asks.
            unusable: None,
            // A number that nobody wrote counts as the strictest.
            status: STATUSES
                .get(usize::from(row.get::<_, u8>(2)?))
                .copied()
                .unwrap_or(MemberStatus::OptedOut),
            hash: row.get::<_, Option<i64>>(3)?.map(i64::cast_unsigned),
        });
    }
    let count = remembered.members.len();
    let mut select = connection.prepare_cached(
        "SELECT group_id, certificate, listed FROM remembered_listings WHERE target = ?1 /* walks: the remembered target is loaded whole */",
    )?;
    let mut rows = select.query([target])?;
    while let Some(row) = rows.next()? {
        let certificate: StoredCertificate = from_json(row, 1)?;
        let listing = Listing {
            rows: unpack(&row.get::<_, Vec<u8>>(2)?, count),
            ..Listing::default()
        };
        remembered
            .listings
            .insert(row.get(0)?, (listing, certificate.into_model()));
    }
    if let Existence::Asked(asked) = &mut remembered.existence {
        let mut select =
            connection.prepare_cached("SELECT address FROM remembered_absent WHERE target = ?1 /* walks: the remembered target is loaded whole */")?;
        let mut rows = select.query([target])?;
        while let Some(row) = rows.next()? {
            asked.insert(texts.intern(row.get(0)?, names)?);
        }
    }
    Ok(Some(remembered))
}

fn key(row: &rusqlite::Row<'_>, from: usize) -> rusqlite::Result<MemoryKey> {
    Ok(MemoryKey {
        account: row.get(from)?,
        read_at: time(row, from + 1)?,
        config_hash: row.get(from + 2)?,
        salt: row.get(from + 3)?,
    })
}

fn unpack(packed: &[u8], members: usize) -> Vec<ListingRow> {
    packed
        .chunks_exact(PACKED)
        .map(|row| ListingRow {
            member: u32::from_le_bytes([row[0], row[1], row[2], row[3]]),
            state: STATES
                .get(usize::from(row[4]))
                .copied()
                .unwrap_or(MembershipState::OptedOut),
        })
        .filter(|row| (row.member as usize) < members)
        .collect()
}

#[derive(Serialize, Deserialize)]
struct StoredCustom {
    known: bool,
    fields: Vec<StoredField>,
    #[serde(default)]
    unread: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredField {
    system_name: String,
    label: String,
    kind: String,
    max_length: Option<usize>,
    options: Vec<String>,
}

impl StoredCustom {
    fn of(custom: &CustomFields) -> StoredCustom {
        let fields = custom.fields.iter().map(|field| StoredField {
            system_name: field.system_name.clone(),
            label: field.label.clone(),
            kind: field.kind.as_str().to_owned(),
            max_length: field.max_length,
            options: field.options.clone(),
        });
        StoredCustom {
            known: custom.known,
            fields: fields.collect(),
            unread: custom.unread.clone(),
        }
    }

    fn into_model(self) -> CustomFields {
        let kinds = [
            FieldType::Text,
            FieldType::Integer,
            FieldType::Boolean,
            FieldType::Timestamp,
            FieldType::List,
        ];
        let fields = self.fields.into_iter().map(|field| CustomField {
            kind: kinds
                .into_iter()
                .find(|kind| kind.as_str() == field.kind)
                .unwrap_or(FieldType::Text),
            system_name: field.system_name,
            label: field.label,
            max_length: field.max_length,
            options: field.options,
        });
        CustomFields {
            known: self.known,
            fields: fields.collect(),
            unread: self.unread,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct StoredGroup {
    id: String,
    wire: Record,
    kind: String,
    archived: bool,
    test_group: bool,
    auto_response: bool,
    member_count: Option<u64>,
    detailed: bool,
}

impl StoredGroup {
    fn of(row: &GroupRow) -> StoredGroup {
        StoredGroup {
            id: row.id.clone(),
            wire: row.wire.clone(),
            kind: row.kind.as_str().to_owned(),
            archived: row.status == GroupStatus::Archived,
            test_group: row.test_group,
            auto_response: row.auto_response,
            member_count: row.member_count,
            detailed: row.detailed,
        }
    }

    fn into_model(self) -> GroupRow {
        let kinds = [
            GroupKind::Static,
            GroupKind::Dynamic,
            GroupKind::BuiltIn,
            GroupKind::Parking,
        ];
        GroupRow {
            id: self.id,
            wire: self.wire,
            // A word that nobody wrote makes the group one that takes no members.
            kind: kinds
                .into_iter()
                .find(|kind| kind.as_str() == self.kind)
                .unwrap_or(GroupKind::BuiltIn),
            status: if self.archived {
                GroupStatus::Archived
            } else {
                GroupStatus::Active
            },
            test_group: self.test_group,
            auto_response: self.auto_response,
            member_count: self.member_count,
            detailed: self.detailed,
            // A reading in which a group could not be read is not remembered.
            unread: None,
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
struct StoredCertificate {
    pages: u64,
    rows: u64,
    distinct: u64,
    opted_out: u64,
    bounced: u64,
    total: Option<u64>,
    at_most: Option<u64>,
    one_of: Option<u64>,
    #[serde(default)]
    grew: Option<(u64, u64)>,
    #[serde(default)]
    ended: bool,
    opt_outs_complete: bool,
    problems: Vec<String>,
}

impl StoredCertificate {
    fn of(certificate: &Certificate) -> StoredCertificate {
        let (mut at_most, mut one_of, mut grew) = (None, None, None);
        match certificate.group_total {
            CountRule::None => {}
            CountRule::AtMostRows(count) => at_most = Some(count),
            CountRule::OneOfMeanings(count) => one_of = Some(count),
            CountRule::Grew { before, after } => grew = Some((before, after)),
        }
        StoredCertificate {
            pages: certificate.pages,
            rows: certificate.rows,
            distinct: certificate.distinct,
            opted_out: certificate.opted_out,
            bounced: certificate.bounced,
            total: certificate.total,
            at_most,
            one_of,
            grew,
            ended: certificate.ended,
            opt_outs_complete: certificate.opt_outs_complete,
            problems: certificate.problems.clone(),
        }
    }

    fn into_model(self) -> Certificate {
        let at_most = self.at_most.map(CountRule::AtMostRows);
        let one_of = self.one_of.map(CountRule::OneOfMeanings);
        let grew = self
            .grew
            .map(|(before, after)| CountRule::Grew { before, after });
        Certificate {
            pages: self.pages,
            rows: self.rows,
            distinct: self.distinct,
            opted_out: self.opted_out,
            bounced: self.bounced,
            total: self.total,
            group_total: at_most.or(one_of).or(grew).unwrap_or_default(),
            ended: self.ended,
            // A target is remembered, and nobody is taken out of a source for not being there.
            by_offset: false,
            opt_outs_complete: self.opt_outs_complete,
            // Only what is whole is remembered.
            left_out: Vec::new(),
            problems: self.problems,
        }
    }
}
