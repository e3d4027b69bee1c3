//! What was read of one person: the profile at either side, and what is remembered of it.

use super::sides::Sides;
use crate::config::settled::JobConfig;
use crate::model::{ObjectKind, Record, RowHash, Value};
use crate::plan::base::{Base, FieldBases};
use crate::plan::{People, PersonIx};
use crate::run::error::{RunError, staging_error};

use crate::state::Store;

/// The fingerprint of a target profile that rosterd wrote and has not seen since.
pub(in crate::run) const UNREAD: RowHash = 0;

/// Loads the source's profile of a person under canonical names: of several rows, per field the
/// lowest id that has a value.
pub(in crate::run) fn canonical(
    store: &Store,
    job: &JobConfig,
    sides: &Sides,
    people: &People,
    person: PersonIx,
) -> Result<Record, RunError> {
    let rows = read_sources(sides, people, person);
    canonical_of(store, job, sides, people, person, &rows)
}

/// Returns the rows of a person whose profiles were read, and all of them where none was: of
/// somebody who is in no group of the job only the refusal or the bounce is read.
pub(in crate::run) fn read_sources(sides: &Sides, people: &People, person: PersonIx) -> Vec<u32> {
    let was_read = |at: &u32| sides.source.members[*at as usize].hash.is_some();
    let sources = people.sources(person);
    let read: Vec<u32> = sources.iter().copied().filter(was_read).collect();
    if read.is_empty() {
        sources.to_vec()
    } else {
        read
    }
}

/// Loads the profile of a person as some of their rows show it.
pub(in crate::run) fn canonical_of(
    store: &Store,
    job: &JobConfig,
    sides: &Sides,
    people: &People,
    person: PersonIx,
    rows: &[u32],
) -> Result<Record, RunError> {
    let mut merged = Record::new();
    for member in rows.iter().map(|at| &sides.source.members[*at as usize]) {
        let id = sides.names.text(member.id);
        let wire = sides
            .source_staging
            .get(id)
            .map_err(staging_error)?
            .unwrap_or_default();
        let mut record = sides.mapping.source_member(&wire);
        if sides.source_carries {
            for (field, value) in store.carried_of(&job.source_account, ObjectKind::Member, id)? {
                record.entry(field).or_insert(value);
            }
            record.retain(|_, value| !value.is_empty());
        }
        record.insert("id".into(), Value::from(id));
        // What an earlier row says stands.
        record.append(&mut merged);
        merged = record;
    }
    let row = people.get(person);
    // What is no address is shown as it is, and nothing where there is none: the contact's own is
    // not the source's.
    let shown = match row.unusable {
        None => Some(row.address),
        Some(_) => people
            .sources(person)
            .iter()
            .find_map(|at| sides.source.members[*at as usize].unusable),
    };
    merged.remove("email");
    merged.extend(shown.map(|text| ("email".into(), Value::from(sides.names.text(text)))));
    merged.insert("status".into(), Value::from(row.source_status.as_str()));
    Ok(merged)
}

/// Loads what the target holds of a person, under its own names.
pub(in crate::run) fn current(
    sides: &Sides,
    people: &People,
    person: PersonIx,
) -> Result<Record, RunError> {
    match people.targets(person) {
        [only] => {
            let id = sides.names.text(sides.target.members[*only as usize].id);
            Ok(sides
                .target_staging
                .get(id)
                .map_err(staging_error)?
                .unwrap_or_default())
        }
        _ => Ok(Record::new()),
    }
}

/// Loads the base of a person.
pub(in crate::run) fn fields_base(
    store: &Store,
    job: &JobConfig,
    sides: &Sides,
    base: &Base,
    people: &People,
    person: PersonIx,
) -> Result<Option<FieldBases>, RunError> {
    let Some(link) = people
        .sources(person)
        .iter()
        .find_map(|at| base.member_of_source(sides.source.members[*at as usize].id))
        .filter(|link| {
            people
                .targets(person)
                .iter()
                .any(|at| sides.target.members[*at as usize].id == link.target)
        })
    else {
        return Ok(None);
    };
    let remembered = store.member_fields(&job.name, sides.names.text(link.source))?;
    Ok(Some(sides.mapping.as_spelled_now(remembered)))
}
