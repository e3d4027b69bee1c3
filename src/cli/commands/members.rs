//! `rosterd members`: who is in a group, and who was.

use std::collections::BTreeSet;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use crate::cli::context::{Context, find_provider};
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::{Format, FormatArg};
use crate::cli::output::print;
use crate::cli::wait::WaitArg;
use crate::config::Config;
use crate::program::ROSTERD;
use crate::report::{
    GroupThen, harmless, instant, quoted, write_members_json, write_members_text, write_then_json,
    write_then_text,
};
use crate::run::{MeantGroup, NamedGroup, Runner, partners_at_target, remembered_groups};
use crate::state::{MembersThen, Store};

/// Lists who is in a group of an account, or with `--at` who was.
///
/// Without `--at` the account is read: everybody whom the group lists, in whatever state, and since
/// when rosterd knows them there. Ends with 4 where there may be others.
///
/// With `--at` no provider is asked. rosterd remembers, of the groups that its jobs write to, whom it
/// brought and who was on both sides, from run to run; whom others added and the source does not list it
/// does not know, nor whose address bounced, was held or not confirmed then. What others changed between two runs shows from the second one on, and what a run was
/// changing at that very time is "not known".
#[derive(clap::Args, Debug)]
pub(crate) struct MembersArgs {
    /// PROVIDER/NAME or PROVIDER/ID; without a provider a group of the jobs' target.
    group: String,
    /// An earlier time: 2026-11-20T14:00:00Z, "2026-11-20 14:00" or 2026-11-20 in the zone of this
    /// machine, or "3 days ago".
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    #[command(flatten)]
    wait: WaitArg,
    #[command(flatten)]
    format: FormatArg,
}

pub(crate) async fn cmd_members(
    context: &Context,
    args: &MembersArgs,
) -> Result<ExitCode, CommandError> {
    let config = context.config_with_job()?;
    let asked = Asked::of(&config, &args.group)?;
    if let Some(text) = &args.at {
        let at = time(text, Context::now(), &Context::zone())?;
        return then(&config, &asked, at, args.format.format);
    }
    let runner = context.runner_that_waits(config, args.wait.wait)?;
    now(context, &runner, &asked, args.format.format).await
}

/// A group as it was typed.
struct Asked {
    /// The accounts in which it is looked for.
    providers: Vec<String>,
    text: String,
}

impl Asked {
    fn of(config: &Config, typed: &str) -> Result<Asked, CommandError> {
        if let Some((provider, text)) = typed.split_once('/')
            && config.providers.contains_key(provider)
        {
            return Ok(Asked {
                providers: vec![provider.to_owned()],
                text: text.to_owned(),
            });
        }
        let targets: BTreeSet<&String> = config.jobs.values().map(|job| &job.target).collect();
        if targets.is_empty() {
            return Err(CommandError::usage(format!(
                "the config has no job, so that {} is in no target",
                quoted(typed)
            ))
            .hint(format!(
                "name the account as well: `{ROSTERD} members PROVIDER/GROUP`"
            )));
        }
        Ok(Asked {
            providers: targets.into_iter().cloned().collect(),
            text: typed.to_owned(),
        })
    }

    /// Says that no group or more than one is meant.
    fn unclear(&self, meant: MeantGroup) -> CommandError {
        let named = |groups: &[NamedGroup]| {
            let named = groups.iter().map(|group| {
                let (provider, id) = (&group.provider, harmless(&group.id).into_owned());
                format!("{provider}/{id} {}", quoted(&group.name))
            });
            named.collect::<Vec<_>>().join(", ")
        };
        let providers = self.providers.join(" or ");
        match meant {
            MeantGroup::Several(groups) => CommandError::usage(format!(
                "{} groups are called {}",
                groups.len(),
                quoted(&self.text)
            ))
            .hint(format!("name one by its id: {}", named(&groups))),
            MeantGroup::Nobody(near) if !near.is_empty() => CommandError::usage(format!(
                "there is no group {} in {providers}",
                quoted(&self.text)
            ))
            .hint(format!("did you mean {}?", named(&near))),
            MeantGroup::One(_) | MeantGroup::Nobody(_) => CommandError::usage(format!(
                "there is no group {} in {providers}",
                quoted(&self.text)
            ))
            .hint(format!(
                "`{ROSTERD} groups {}` lists the groups",
                self.providers.join(&format!("`, `{ROSTERD} groups "))
            )),
        }
    }
}

/// Reads an account and prints who is in a group of it.
async fn now(
    context: &Context,
    runner: &Runner,
    asked: &Asked,
    format: Format,
) -> Result<ExitCode, CommandError> {
    let (provider, text) = match asked.providers.as_slice() {
        [only] => (only.clone(), asked.text.clone()),
        several => {
            let mut groups = Vec::new();
            for provider in several {
                let listed = context
                    .interrupt
                    .run(Box::pin(runner.account_groups(provider)))
                    .await??;
                groups.extend(listed.groups.into_iter().map(|group| NamedGroup {
                    provider: provider.clone(),
                    id: group.id,
                    name: group.name,
                }));
            }
            match MeantGroup::among(&groups, &asked.text) {
                MeantGroup::One(group) => (group.provider, group.id),
                other => return Err(asked.unclear(other)),
            }
        }
    };
    let members = context
        .interrupt
        .run(Box::pin(runner.group_members(&provider, &text)))
        .await??
        .map_err(|meant| asked.unclear(meant))?;
    print(|out| match format {
        Format::Text => write_members_text(out, &members, &Context::zone()),
        Format::Json => write_members_json(out, &members),
    })?;
    Ok(if members.doubts.is_empty() {
        ExitCode::Done
    } else {
        ExitCode::NeedsPerson
    })
}

/// Prints from the state database alone who was in a group.
fn then(
    config: &Config,
    asked: &Asked,
    at: Timestamp,
    format: Format,
) -> Result<ExitCode, CommandError> {
    let Some(store) = Context::existing_store(config)? else {
        return Err(CommandError::usage(format!(
            "nothing is remembered yet: there is no state database at {}",
            config.state_path.display()
        ))
        .hint("without `--at` the account itself is asked"));
    };
    let (group, known) = remembered(&store, config, asked, at)?;
    if !known.jobs.iter().any(|job| job.knows(at)) {
        return Err(not_known(&group, &known, at));
    }
    let then = GroupThen { group, at, known };
    print(|out| match format {
        Format::Text => write_then_text(out, &then, &Context::zone()),
        Format::Json => write_then_json(out, &then),
    })?;
    Ok(ExitCode::Done)
}

fn remembered(
    store: &Store,
    config: &Config,
    asked: &Asked,
    at: Timestamp,
) -> Result<(NamedGroup, MembersThen), CommandError> {
    let mut groups = Vec::new();
    for provider in &asked.providers {
        groups.extend(remembered_groups(store, config, provider)?);
    }
    let account = |provider: &str| {
        let mut jobs = config.jobs.values();
        let job = jobs.find(|job| job.target == provider);
        job.map(|job| job.target_account.clone())
    };
    match MeantGroup::among(&groups, &asked.text) {
        MeantGroup::One(group) => {
            let account = account(&group.provider).unwrap_or_default();
            let known = store.members_at(&account, &group.id, at)?;
            Ok((group, known))
        }
        MeantGroup::Several(groups) => Err(asked.unclear(MeantGroup::Several(groups))),
        nobody @ MeantGroup::Nobody(_) => {
            // A group that no job links any more is known by its id.
            for provider in &asked.providers {
                let Some(account) = account(provider) else {
                    continue;
                };
                let known = store.members_at(&account, &asked.text, at)?;
                if !known.jobs.is_empty() {
                    let group = NamedGroup {
                        provider: provider.clone(),
                        id: asked.text.clone(),
                        name: String::new(),
                    };
                    return Ok((group, known));
                }
            }
            match no_longer_linked(store, asked, account)?.as_slice() {
                [] => Err(not_written(store, config, asked, nobody)?),
                [(group, account)] => {
                    let known = store.members_at(account, &group.id, at)?;
                    Ok((group.clone(), known))
                }
                several => {
                    let groups = several.iter().map(|(group, _)| group.clone());
                    Err(asked.unclear(MeantGroup::Several(groups.collect())))
                }
            }
        }
    }
}

/// Finds the groups to which runs wrote under the name that was typed, with their accounts: they may be
/// archived or deleted since.
fn no_longer_linked(
    store: &Store,
    asked: &Asked,
    account: impl Fn(&str) -> Option<String>,
) -> Result<Vec<(NamedGroup, String)>, CommandError> {
    let mut groups = Vec::new();
    for provider in &asked.providers {
        let Some(account) = account(provider) else {
            continue;
        };
        for id in store.groups_named(&account, &asked.text)? {
            let group = NamedGroup {
                provider: provider.clone(),
                id,
                name: asked.text.clone(),
            };
            groups.push((group, account.clone()));
        }
    }
    Ok(groups)
}

/// Says that nobody remembers a group, and which one may be meant.
fn not_written(
    store: &Store,
    config: &Config,
    asked: &Asked,
    nobody: MeantGroup,
) -> Result<CommandError, CommandError> {
    for provider in &asked.providers {
        find_provider(config, provider)?;
        let partners = partners_at_target(store, config, provider, &asked.text)?;
        if partners.is_empty() {
            continue;
        }
        let named = partners.iter().map(|group| {
            let id = harmless(&group.id).into_owned();
            format!("`{ROSTERD} members {}/{id} --at TIME`", group.provider)
        });
        return Ok(CommandError::usage(format!(
            "who was in {} of {provider} is not remembered: that is known only of groups that a job writes to",
            quoted(&asked.text)
        ))
        .hint(format!(
            "the group that it is paired with: {}",
            named.collect::<Vec<_>>().join(", ")
        )));
    }
    let is_target = |provider: &String| config.jobs.values().any(|job| job.target == *provider);
    if !asked.providers.iter().any(is_target) {
        let providers = asked.providers.join(" and ");
        return Ok(CommandError::usage(format!(
            "no job writes to {providers}, so that nobody remembers who was in its groups"
        ))
        .hint("without `--at` the account itself is asked"));
    }
    let near = matches!(&nobody, MeantGroup::Nobody(near) if !near.is_empty());
    let error = asked.unclear(nobody);
    Ok(if near {
        error
    } else {
        error.hint("a group that no job has linked is known only without `--at`")
    })
}

/// Says from when to when it is known who was in a group.
fn not_known(group: &NamedGroup, known: &MembersThen, at: Timestamp) -> CommandError {
    let zone = Context::zone();
    let name = format!("{}/{}", group.provider, harmless(&group.id));
    let from = known.jobs.iter().filter_map(|job| job.known_from).min();
    let until = known.jobs.iter().filter_map(|job| job.known_until).max();
    let what = format!("who was in {name} at {} is not known", instant(at, &zone));
    match (from, until) {
        (None, _) => CommandError::usage(format!(
            "{what}: no run has looked at it since rosterd keeps this"
        ))
        .hint("it is known from the next run on"),
        (Some(from), Some(until)) if from <= at => CommandError::usage(format!(
            "{what}: no job links it any more, and the last that is known is of before {}",
            instant(until, &zone)
        )),
        (Some(from), _) => CommandError::usage(format!(
            "{what}: the earliest known time is {} ({from})",
            instant(from, &zone)
        )),
    }
}

/// Reads a time that lies in the past.
fn time(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, CommandError> {
    let typed = text.trim();
    let wrong = |why: &str| {
        CommandError::usage(format!("\"{typed}\" is no time to ask about: {why}"))
            .hint("write --at 2026-11-20T14:00:00Z, --at 2026-11-20 or --at \"3 days ago\"")
    };
    let local = |civil: DateTime| zone.to_ambiguous_timestamp(civil).compatible().ok();
    let at = if let Ok(at) = typed.parse::<Timestamp>() {
        Some(at)
    } else if let Ok(zoned) = typed.parse::<jiff::Zoned>() {
        Some(zoned.timestamp())
    } else if let Ok(civil) = typed.parse::<DateTime>() {
        local(civil)
    } else if let Ok(span) = typed.parse::<Span>() {
        if span.is_positive() {
            return Err(wrong("a span needs \"ago\" after it"));
        }
        let then = now.to_zoned(zone.clone()).checked_add(span);
        then.ok().map(|then| then.timestamp())
    } else {
        None
    };
    match at {
        None => Err(wrong("it can't be read")),
        Some(at) if at > now => Err(wrong("it lies in the future")),
        Some(at) => Ok(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let now: Timestamp = "2026-11-29T10:00:00Z".parse().unwrap();
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        for (typed, expected) in [
            ("2026-11-20T14:00:00Z", "2026-11-20T14:00:00Z"),
            ("2026-11-20T14:00:00+02:00", "2026-11-20T12:00:00Z"),
            (
                "2026-11-20T14:00:00[America/Chicago]",
                "2026-11-20T20:00:00Z",
            ),
            ("2026-11-20 14:00", "2026-11-20T13:00:00Z"),
            ("2026-11-20", "2026-11-19T23:00:00Z"),
            ("3 days ago", "2026-11-26T10:00:00Z"),
            ("1 month ago", "2026-10-29T10:00:00Z"),
            (" 90m ago ", "2026-11-29T08:30:00Z"),
        ] {
            let at = time(typed, now, &zone).map_err(|error| error.message().to_owned());
            assert_eq!(at, Ok(expected.parse().unwrap()), "{typed}");
        }
        for (typed, why) in [
            ("3 days", "needs \"ago\""),
            ("2026-11-30", "in the future"),
            ("yesterday", "can't be read"),
            ("", "can't be read"),
            ("999999 years ago", "can't be read"),
        ] {
            let error = time(typed, now, &zone).unwrap_err();
            assert_eq!(error.code(), ExitCode::Usage);
            assert!(error.message().contains(why), "{}", error.message());
        }
    }
}
