//! Refusals of source groups that have no partner at the target yet.
//!
//! They stand among the bars in the place of the target group's id, which no provider's id can be
//! mistaken for, so that whatever is done to a person's bars is done to these as well.

use rusqlite::{Connection, OptionalExtension};

use super::error::Fault;
use crate::plan::base::GroupLink;

/// Begins the key and parts what it is made of; no text from a provider holds it, because the parts
/// are stripped of it.
const MARK: char = '\u{1f}';

/// Which group a refusal was seen of.
pub(super) struct EarlyKey<'a> {
    /// The job that saw it.
    pub(super) job: &'a str,
    /// The source group's id.
    pub(super) source: &'a str,
    /// The name that the partner is to have, folded for comparison.
    pub(super) name: &'a str,
}

/// Returns the start of the keys of a source group, whatever jobs saw its refusals.
fn of_group(source_provider: &str, source: &str) -> String {
    format!(
        "{MARK}{}{MARK}{}{MARK}",
        bare(source_provider),
        bare(source)
    )
}

fn of_job(source_provider: &str, source: &str, job: &str) -> String {
    format!("{}{}{MARK}", of_group(source_provider, source), bare(job))
}

fn bare(text: &str) -> String {
    text.replace(MARK, " ")
}

/// Reads a key back as the source provider, the job and the rest; nothing for the id of a target
/// group.
pub(super) fn parse(key: &str) -> Option<(&str, EarlyKey<'_>)> {
    let mut parts = key.strip_prefix(MARK)?.splitn(4, MARK);
    let (provider, source, job) = (parts.next()?, parts.next()?, parts.next()?);
    Some((
        provider,
        EarlyKey {
            job,
            source,
            name: parts.next()?,
        },
    ))
}

/// Returns the source and target provider of a job.
pub(super) fn providers(
    connection: &Connection,
    job: &str,
) -> Result<Option<(String, String)>, Fault> {
    let mut select = connection
        .prepare_cached("SELECT source_provider, target_provider FROM jobs WHERE name = ?1")?;
    Ok(select
        .query_row([job], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

/// Remembers a refusal of a source group under the job that saw it.
pub(super) fn remember(
    connection: &Connection,
    provider: &str,
    key: &EarlyKey<'_>,
    address: &str,
    origin: &str,
) -> Result<(), Fault> {
    let source_provider = providers(connection, key.job)?
        .map(|(source, _)| source)
        .unwrap_or_default();
    let place = format!(
        "{}{}",
        of_job(&source_provider, key.source, key.job),
        bare(key.name)
    );
    connection
        .prepare_cached("INSERT OR IGNORE INTO bars (provider, group_id, address, origin) VALUES (?1, ?2, ?3, ?4)")?
        .execute((provider, place, address, origin))?;
    Ok(())
}

/// Turns the refusals of a source group into refusals of its new partner. Those that other jobs saw
/// bind the partner as well, and stay for the partner that those jobs will find.
pub(super) fn bind(connection: &Connection, job: &str, link: &GroupLink) -> Result<(), Fault> {
    let Some((source_provider, target_provider)) = providers(connection, job)? else {
        return Ok(());
    };
    let seen = of_group(&source_provider, &link.source);
    connection
        .prepare_cached(
            "INSERT INTO bars (provider, group_id, address, origin)
                 SELECT provider, ?3, address, origin FROM bars WHERE provider = ?1 AND group_id >= ?2 AND group_id < ?2 || char(1114111)
             ON CONFLICT DO UPDATE SET held = 0",
        )?
        .execute((&target_provider, &seen, &link.target))?;
    connection
        .prepare_cached("DELETE FROM bars WHERE provider = ?1 AND group_id >= ?2 AND group_id < ?2 || char(1114111)")?
        .execute((&target_provider, of_job(&source_provider, &link.source, job)))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::tests::at;
    use super::super::{Change, Store};
    use crate::model::Names;
    use crate::plan::base::{FieldBases, GroupLink, Origin};

    const ANA: &str = "ana@example.org";

    fn store() -> Store {
        let store = Store::in_memory();
        for (job, source) in [("one", "crm"), ("two", "crm"), ("three", "crm2")] {
            store.register_job(job, source, "mail").unwrap();
        }
        let early = Change::EarlyBar {
            provider: "mail".into(),
            job: "one".into(),
            source: "7".into(),
            name: "news".into(),
            address: ANA.into(),
            origin: "seen".into(),
        };
        store.record(&[early.clone(), early]).unwrap();
        store
    }

    fn link(job: &str, source: &str, target: &str) -> Change {
        let link = GroupLink {
            source: source.into(),
            target: target.into(),
            origin: Origin::Pinned,
            protect_set: false,
            name: "News".into(),
            fields: FieldBases::new(),
        };
        Change::LinkGroup {
            job: job.into(),
            link,
        }
    }

    /// The groups that bar Ana, as a job sees it, the source groups and the names that do so before
    /// a link in front.
    fn bars(store: &Store, job: &str) -> (BTreeSet<String>, BTreeSet<String>, BTreeSet<String>) {
        let mut names = Names::new();
        let bars = store
            .load_base(job, "mail", at(0), &mut names)
            .unwrap()
            .bars;
        assert!(bars.held_groups.is_empty());
        (
            bars.early.into_keys().collect(),
            bars.early_names.into_keys().collect(),
            bars.groups.into_keys().collect(),
        )
    }

    fn set(texts: &[&str]) -> BTreeSet<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_link_turns_what_its_source_group_showed_into_refusals_of_the_target_group() {
        let store = store();
        assert_eq!(bars(&store, "one"), (set(&["7"]), set(&["news"]), set(&[])));
        store
            .record(&[link("one", "8", "80"), link("one", "77", "81")])
            .unwrap();
        assert_eq!(
            bars(&store, "one"),
            (set(&["7"]), set(&["news"]), set(&[])),
            "other groups"
        );
        store.record(&[link("one", "7", "70")]).unwrap();
        assert_eq!(bars(&store, "one"), (set(&[]), set(&[]), set(&["70"])));
        // The person may come back there; the link that is written anew does not bring the refusal
        // back.
        store
            .record(&[Change::EndBar {
                provider: "mail".into(),
                group: Some("70".into()),
                address: ANA.into(),
            }])
            .unwrap();
        store.record(&[link("one", "7", "70")]).unwrap();
        assert_eq!(bars(&store, "one"), (set(&[]), set(&[]), set(&[])));
    }

    #[test]
    fn what_one_job_saw_binds_the_partners_that_others_find() {
        let store = store();
        assert_eq!(
            bars(&store, "two"),
            (set(&["7"]), set(&["news"]), set(&[])),
            "the same source group"
        );
        assert_eq!(
            bars(&store, "three"),
            (set(&[]), set(&["news"]), set(&[])),
            "a group that may turn out to be the same"
        );
        store.record(&[link("three", "7", "60")]).unwrap();
        assert_eq!(
            bars(&store, "three").2,
            set(&[]),
            "a group of another account that has the id by chance"
        );
        store.record(&[link("two", "7", "70")]).unwrap();
        assert_eq!(
            bars(&store, "one"),
            (set(&["7"]), set(&["news"]), set(&["70"])),
            "the first job may find another partner"
        );
    }

    #[test]
    fn a_forgotten_person_leaves_none() {
        let store = store();
        store.forget_person(ANA, at(1)).unwrap();
        assert_eq!(bars(&store, "one"), (set(&[]), set(&[]), set(&[])));
        let again = Change::EarlyBar {
            provider: "mail".into(),
            job: "one".into(),
            source: "7".into(),
            name: "news".into(),
            address: ANA.into(),
            origin: "seen".into(),
        };
        store.record(&[again]).unwrap();
        assert_eq!(bars(&store, "one"), (set(&[]), set(&[]), set(&[])));
    }
}
