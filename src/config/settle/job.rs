//! The jobs.

use std::collections::BTreeMap;

use super::provider::Facts;
use super::{Kinds, Settling, creation, empty_job, users};
use crate::config::diagnostics::{did_you_mean, quoted};
use crate::config::raw::{Item, Section};
use crate::config::settled::{
    Adopt, Dynamic, GroupScope, Guards, JobConfig, MemberPolicy, Missing, Mode, OnDrift, OptOuts,
    Removal,
};
use crate::model::{ObjectKind, ProviderKind};
use crate::provider::{capabilities, schema};
use crate::schedule::Schedule;

/// The two sides of a job, as far as they are known.
struct Sides<'a> {
    source: Option<&'a Facts>,
    target: Option<&'a Facts>,
}

impl Sides<'_> {
    fn kinds(&self) -> Option<(ProviderKind, ProviderKind)> {
        Some((self.source?.kind?, self.target?.kind?))
    }
}

pub(super) fn settle(
    settling: &mut Settling<'_>,
    name: &str,
    section: &Section,
    facts: &BTreeMap<String, Facts>,
) -> Option<JobConfig> {
    let sides = Sides {
        source: side(settling, section, "source", facts),
        target: side(settling, section, "target", facts),
    };
    // A side whose kind is unknown might be the one that a key belongs to.
    if let Some((source, target)) = sides.kinds() {
        settling.check_kinds(section, Kinds::of_job(&[source, target]));
    }
    let schedule = schedule(settling, section);
    let job = build(name, section, schedule);
    check_scope(settling, &section.table("groups"));
    check_sides(settling, section, &job, &sides);
    if let Sides {
        source: Some(source),
        target: Some(target),
    } = sides
    {
        users::check(settling, section, &job, source, target);
    }
    super::mapping::check(settling, section, &job, sides.kinds());
    (section.text("source").is_some() && section.text("target").is_some()).then_some(job)
}

/// Makes a job of the defaults alone.
pub(in crate::config) fn without_section(name: &str, source: &str, target: &str) -> JobConfig {
    JobConfig {
        source: source.to_owned(),
        target: target.to_owned(),
        ..build(name, &empty_job(name), None)
    }
}

fn side<'a>(
    settling: &mut Settling<'_>,
    section: &Section,
    key: &str,
    facts: &'a BTreeMap<String, Facts>,
) -> Option<&'a Facts> {
    let name = section.text(key)?;
    let found = facts.get(&name);
    if found.is_none() {
        let hint = did_you_mean(&name, facts.keys().map(String::as_str)).unwrap_or_else(|| {
            format!(
                "the providers are {}",
                facts
                    .keys()
                    .map(|name| quoted(name))
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        });
        let hint = if facts.is_empty() {
            "add a [providers.NAME] table".to_owned()
        } else {
            hint
        };
        settling.sink.error(
            &section.span_of(key),
            format!(
                "`{}.{key}` names the provider {}, which is not configured.",
                section.path,
                quoted(&name)
            ),
            Some(hint),
        );
    }
    found
}

fn schedule(settling: &mut Settling<'_>, section: &Section) -> Option<Schedule> {
    let line = section.text("schedule")?;
    let zone = section
        .text("time_zone")
        .unwrap_or_else(|| "UTC".to_owned());
    match Schedule::parse(&line, &zone) {
        Ok(schedule) => {
            let period = schedule.period(jiff::Timestamp::UNIX_EPOCH);
            if period.is_some_and(|period| section.duration("jitter") >= period) {
                let message = format!(
                    "`{}.jitter` is not shorter than the time between two runs, and is cut to it.",
                    section.path
                );
                settling.sink.warn(
                    &section.span_of("jitter"),
                    message,
                    Some("write a shorter duration".to_owned()),
                );
            }
            Some(schedule)
        }
        Err(error) => {
            let text = error.to_string();
            let hint = "write five fields as in Unix (minute, hour, day, month, weekday), such as \"*/15 * * * *\"";
            let message = format!(
                "`{}.schedule` can't be used: {}.",
                section.path,
                text.trim_end_matches('.')
            );
            settling
                .sink
                .error(&section.span_of("schedule"), message, Some(hint.to_owned()));
            None
        }
    }
}

fn build(name: &str, section: &Section, schedule: Option<Schedule>) -> JobConfig {
    let (groups, members, map) = (
        section.table("groups"),
        section.table("members"),
        section.table("map"),
    );
    let is = |table: &Section, key: &str, word: &str| table.text(key).as_deref() == Some(word);
    let texts = |key: &str| {
        groups
            .texts(key)
            .into_iter()
            .map(|text| text.value)
            .collect()
    };
    let pairs = |table: &Section, key: &str| -> BTreeMap<String, String> {
        table
            .pairs(key)
            .iter()
            .map(|(name, value)| (name.value.trim().to_owned(), value.value.clone()))
            .collect()
    };
    JobConfig {
        name: name.to_owned(),
        source: section.text("source").unwrap_or_default(),
        target: section.text("target").unwrap_or_default(),
        source_account: String::new(),
        target_account: String::new(),
        schedule,
        jitter: section.duration("jitter"),
        enabled: section.boolean("enabled"),
        mode: match section.text("mode").as_deref() {
            Some("managed") => Mode::Managed,
            Some("mirror") => Mode::Mirror,
            _ => Mode::Add,
        },
        refresh: match section.item("refresh") {
            Some(Item::Duration(duration)) => Some(duration),
            _ => None,
        },
        allow_auto_response: section.boolean("allow_auto_response"),
        create_fields: section.boolean("create_fields"),
        users_as_contacts: section.boolean("users_as_contacts"),
        groups: GroupScope {
            include: texts("include"),
            exclude: texts("exclude"),
            adopt: if is(&groups, "adopt", "never") {
                Adopt::Never
            } else {
                Adopt::ByName
            },
            pin: pairs(&groups, "pin")
                .into_iter()
                .map(|(source, target)| (source, target.trim().to_owned()))
                .collect(),
            protect: groups.boolean("protect"),
            dynamic: if is(&groups, "dynamic", "snapshot") {
                Dynamic::Snapshot
            } else {
                Dynamic::Skip
            },
            missing: match groups.text("missing").as_deref() {
                Some("archive") => Missing::Archive,
                Some("delete") => Missing::Delete,
                _ => Missing::Keep,
            },
        },
        members: MemberPolicy {
            r#where: members.text("where"),
            create: members.boolean("create"),
            update: members.boolean("update"),
            opt_outs: if is(&members, "opt_outs", "skip") {
                OptOuts::Skip
            } else {
                OptOuts::Carry
            },
            create_users: section.boolean("create_users"),
            removal: if is(&members, "removal", "detach") {
                Removal::Detach
            } else {
                Removal::Unsubscribe
            },
            readd: members.boolean("readd"),
        },
        map_group: pairs(&map, "group"),
        map_member: pairs(&map, "member"),
        guards: guards(&section.table("guards")),
    }
}

fn guards(section: &Section) -> Guards {
    Guards {
        max_membership_removals: section.limit("max_membership_removals"),
        max_membership_removals_per_group: section.limit("max_membership_removals_per_group"),
        max_group_removals: section.limit("max_group_removals"),
        max_member_creations: section.limit("max_member_creations"),
        max_updates: section.limit("max_updates"),
        max_opt_outs: section.limit("max_opt_outs"),
        floor: section.integer("floor").unwrap_or_default(),
        on_drift: match section.text("on_drift").as_deref() {
            Some("keep") => OnDrift::Keep,
            Some("stop") => OnDrift::Stop,
            _ => OnDrift::Overwrite,
        },
    }
}

/// Checks the patterns and pins of a job.
fn check_scope(settling: &mut Settling<'_>, groups: &Section) {
    if matches!(groups.given("include"), Some(Item::Texts(patterns)) if patterns.is_empty()) {
        let message = format!(
            "`{}.include` is empty, so the job covers no group.",
            groups.path
        );
        settling.sink.error(
            &groups.span_of("include"),
            message,
            Some("write [\"*\"] for all groups".to_owned()),
        );
    }
    for key in ["include", "exclude"] {
        for pattern in groups.texts(key) {
            let text = pattern.value.as_str();
            let problem = if let Some(id) = text.strip_prefix("id:") {
                if id.trim().is_empty() {
                    Some(("names no id after `id:`", "write it as \"id:9985\""))
                } else if id.contains(['*', '?']) {
                    Some((
                        "has a pattern in an id",
                        "write the whole id, or a pattern on the name without `id:`",
                    ))
                } else {
                    None
                }
            } else if text
                .get(..3)
                .is_some_and(|start| start.eq_ignore_ascii_case("id:"))
            {
                Some((
                    "looks like an id and is a pattern on the name",
                    "write `id:` in small letters",
                ))
            } else {
                None
            };
            if let Some((problem, hint)) = problem {
                settling.sink.error(
                    &pattern.span,
                    format!("A pattern of `{}.{key}` {problem}.", groups.path),
                    Some(hint.to_owned()),
                );
            }
        }
    }
    let mut targets: BTreeMap<&str, &str> = BTreeMap::new();
    for (source, target) in groups.pairs("pin") {
        if let Some(other) = targets.insert(target.value.trim(), &source.value) {
            let message = format!(
                "`{}.pin` pairs both {} and {} with {}.",
                groups.path,
                quoted(other),
                quoted(&source.value),
                quoted(target.value.trim())
            );
            settling.sink.error(
                &target.span,
                message,
                Some("a group at the target has one partner: take one pair out".to_owned()),
            );
        }
    }
}

/// Checks what a job asks of its two accounts.
fn check_sides(settling: &mut Settling<'_>, section: &Section, job: &JobConfig, sides: &Sides<'_>) {
    let same_account = match (sides.source, sides.target) {
        (Some(source), Some(target)) => source.groups.is_some() && source.groups == target.groups,
        _ => false,
    };
    if section.text("target").is_some() && (job.source == job.target || same_account) {
        let message = format!(
            "`{}` has one and the same account as source and target.",
            section.path
        );
        settling.sink.error(
            &section.span_of("target"),
            message,
            Some("name the provider of another account".to_owned()),
        );
    }
    let groups = section.table("groups");
    if job.mode == Mode::Add && job.groups.missing != Missing::Keep {
        let message = format!(
            "`{}.missing` has no effect: mode `add` removes nothing.",
            groups.path
        );
        settling.sink.warn(
            &groups.span_of("missing"),
            message,
            Some("set `mode = \"managed\"` if groups shall go".to_owned()),
        );
    }
    let Some(target) = sides.target else { return };
    let Some(target_kind) = target.kind else {
        return;
    };
    if job.groups.missing == Missing::Archive && !capabilities(target_kind).archive_group {
        let message = format!(
            "`{}.missing` asks to archive groups, and {} has no archive.",
            groups.path,
            target_kind.title()
        );
        settling.sink.error(
            &groups.span_of("missing"),
            message,
            Some("write \"keep\" or \"delete\"".to_owned()),
        );
    }
    if job.create_fields && !capabilities(target_kind).custom_fields_creatable {
        let has_some = schema(target_kind)
            .by_wire(ObjectKind::Member, "custom.*")
            .is_some();
        let (why, hint) = if has_some {
            (
                "can't create them by its API",
                "create them at the provider, and leave the line out",
            )
        } else {
            ("has none for its users", "leave the line out")
        };
        let message = format!(
            "`{}.create_fields` asks for new custom fields, and {} {why}.",
            section.path,
            target_kind.title()
        );
        settling.sink.error(
            &section.span_of("create_fields"),
            message,
            Some(hint.to_owned()),
        );
    }
    let Some((source_kind, _)) = sides.kinds() else {
        return;
    };
    let missing = creation::missing_defaults(job, source_kind, target_kind, &target.defaults);
    if !missing.is_empty() {
        let list = missing
            .iter()
            .map(|key| format!("`{key}`"))
            .collect::<Vec<_>>()
            .join(", ");
        let message = format!(
            "`{}` may create groups at {}, which needs values that a source of kind {} does not have: {list}.",
            section.path,
            quoted(&job.target),
            source_kind.full_title()
        );
        let hint = format!("add them to [providers.{}.defaults]", job.target);
        settling
            .sink
            .error(&section.span_of("target"), message, Some(hint));
    }
}
