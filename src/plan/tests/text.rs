//! Worlds from text, and plans to text.
//!
//! One line is one fact:
//!
//! ```text
//! set mode=managed adopt=never …          the policy
//! source 1 "Big donors" ext=a : ana bo=opted_out     a group and who is listed in it
//! target 11 Donors protected : ana
//! person source cy opted_out address=c@example.org   somebody's standing in the whole account
//! link 1=11                               a pair of groups, as both sides hold them at that point of the text
//! known ana bo                            people whose pair is remembered
//! linked s.ana=t.bo                       the same for a record and a contact of other names
//! former s.ana=t.ana                      a pair that was remembered once
//! base 11 : ana+ bo                       remembered memberships, + for those this job brought
//! others 11 : bo                          memberships that another job holds
//! own 11 : cy                             removals of rosterd's own that show as refusals
//! bar 11 : ana                            remembered refusals; `bar *` for the account
//! held_bar 11 : ana                       remembered refusals that the target was seen to obey
//! ```
//!
//! The person `ana` is `ana@example.org`, `s.ana` at the source and `t.ana` at the target; `ana#2`
//! is another contact with the same address.

use super::world::{
    Memory, NO_LIMIT, POOR, SEATS, Side, TestGroup, TestMemberLink, TestPerson, TestWorld,
};
use crate::model::policy::{Adopt, Dynamic, Limit, Missing, Mode, OnDrift, OptOuts};
use crate::model::{GroupKind, GroupStatus, Join, MemberStatus, MembershipState, Record, Unread};
use crate::plan::base::{Measure, Resting};
use crate::plan::{Edit, Inputs, Plan};

pub(super) fn address(person: &str) -> String {
    format!("{}@example.org", person.split('#').next().unwrap_or(person))
}

pub(super) fn parse(text: &str) -> TestWorld {
    let mut world = TestWorld::new();
    let mut refusals = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (head, tail) = line
            .split_once(" : ")
            .map_or((line.trim_end_matches(" :"), ""), |(head, tail)| {
                (head, tail)
            });
        let words = words(head);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let listed: Vec<&str> = tail.split_whitespace().collect();
        match words.as_slice() {
            ["set", settings @ ..] => settings.iter().for_each(|setting| set(&mut world, setting)),
            ["source", rest @ ..] => group(&mut world.source, "s", rest, &listed),
            ["target", rest @ ..] => group(&mut world.target, "t", rest, &listed),
            ["person", "source", name, rest @ ..] => person(&mut world.source, "s", name, rest),
            ["person", "target", name, rest @ ..] => person(&mut world.target, "t", name, rest),
            ["link", pair, rest @ ..] => {
                let (source, target) = pair.split_once('=').expect("link source=target");
                world.link(source, target, rest.contains(&"protect_set"));
            }
            ["known", people @ ..] => people
                .iter()
                .for_each(|name| know(&mut world.memory, name, false)),
            ["linked", pairs @ ..] => {
                for (source, target) in pairs.iter().filter_map(|pair| pair.split_once('=')) {
                    let link = TestMemberLink {
                        target: target.to_owned(),
                        address: String::new(),
                        removed_by_us: false,
                    };
                    world.memory.members.insert(source.to_owned(), link);
                }
            }
            ["former", pairs @ ..] => {
                let pairs = pairs.iter().filter_map(|pair| pair.split_once('='));
                let pairs = pairs.map(|(source, target)| (source.to_owned(), target.to_owned()));
                world.memory.former.extend(pairs);
            }
            ["removed_by_us", people @ ..] => people
                .iter()
                .for_each(|name| know(&mut world.memory, name, true)),
            ["base", id] => {
                for name in listed {
                    let brought = name.ends_with('+');
                    let name = name.trim_end_matches('+');
                    world
                        .memory
                        .memberships
                        .insert(((*id).to_owned(), format!("t.{name}")), brought);
                    if !world.memory.members.contains_key(&format!("s.{name}")) {
                        know(&mut world.memory, name, false);
                    }
                }
            }
            ["own", id] => listed.iter().for_each(|name| {
                world
                    .memory
                    .own
                    .insert(((*id).to_owned(), format!("t.{name}")));
            }),
            ["pending", id] => listed.iter().for_each(|name| {
                world
                    .memory
                    .pending
                    .entry((*id).to_owned())
                    .or_default()
                    .extend([format!("s.{name}"), format!("t.{name}")]);
            }),
            ["others", id] => listed.iter().for_each(|name| {
                world
                    .memory
                    .others
                    .insert(((*id).to_owned(), format!("t.{name}")));
            }),
            [bar @ ("bar" | "held_bar"), id] => listed.iter().for_each(|name| {
                let group = (*id != "*").then(|| (*id).to_owned());
                refusals.push((group, address(name), *bar == "held_bar"));
            }),
            ["resting", key @ ..] => {
                let resting = Resting {
                    words: "the provider said no".to_owned(),
                    item: "0ff1ce00".to_owned(),
                };
                world.memory.resting.insert(key.join(" "), resting);
            }
            ["edited", people @ ..] => people.iter().for_each(|name| {
                world.edited.insert(address(name));
            }),
            ["undecided"] => world.memory.undecided = true,
            ["unseen"] => world.memory.groups_unseen = true,
            ["new_field", label] => world.memory.new_fields.push((*label).to_owned()),
            ["left_out", people @ ..] => people.iter().for_each(|name| {
                world.left_out.insert(address(name));
            }),
            ["left_out_records", ids @ ..] => ids.iter().for_each(|id| {
                world.left_out.insert(format!("#{id}"));
            }),
            ["nameless", people @ ..] => people.iter().for_each(|name| {
                world.nameless.insert(address(name));
            }),
            other => panic!("no such line: {other:?}"),
        }
    }
    // Whoever is linked was so when the refusal was seen.
    for (group, address, held) in refusals {
        world.refuse(group, &address, held);
    }
    world
}

/// Splits at blanks, except within double quotes.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for letter in text.chars() {
        match letter {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            other => words.last_mut().expect("there is one").push(other),
        }
    }
    words
}

fn know(memory: &mut Memory, name: &str, removed_by_us: bool) {
    let link = TestMemberLink {
        target: format!("t.{name}"),
        address: address(name),
        removed_by_us,
    };
    memory.members.insert(format!("s.{name}"), link);
}

fn person(side: &mut Side, prefix: &str, name: &str, words: &[&str]) {
    let entry = side
        .people
        .entry(format!("{prefix}.{name}"))
        .or_insert_with(|| TestPerson {
            address: Some(address(name)),
            status: MemberStatus::Active,
        });
    for word in words {
        match *word {
            "active" => entry.status = MemberStatus::Active,
            "held" => entry.status = MemberStatus::Held,
            "bounced" => entry.status = MemberStatus::Bounced,
            "opted_out" => entry.status = MemberStatus::OptedOut,
            "address=" => entry.address = None,
            "unreadable" => {
                side.unreadable.insert(format!("{prefix}.{name}"));
            }
            other => {
                entry.address = Some(
                    other
                        .strip_prefix("address=")
                        .expect("a status or an address")
                        .to_owned(),
                );
            }
        }
    }
}

fn group(side: &mut Side, prefix: &str, words: &[&str], listed: &[&str]) {
    match words {
        ["groups_incomplete"] => side.groups_incomplete = true,
        ["group_unsure", id] => drop(side.unsure.insert((*id).to_owned())),
        ["account_incomplete"] => side.account_incomplete = true,
        ["existence_unknown"] => side.existence_unknown = true,
        [id, name, flags @ ..] => {
            let mut group = TestGroup::new(id, name);
            for flag in flags.iter().filter(|flag| !flag.is_empty()) {
                match *flag {
                    "protected" => group.protected = true,
                    "archived" => group.status = GroupStatus::Archived,
                    "dynamic" => group.kind = GroupKind::Dynamic,
                    "parking" => group.kind = GroupKind::Parking,
                    "builtin" => group.kind = GroupKind::BuiltIn,
                    "test" => group.for_tests = true,
                    "auto" => group.auto_response = true,
                    "unread" => group.unread = Some(Unread::Texts),
                    "unnamed" => group.unread = Some(Unread::Name),
                    "unseen" => group.unread = Some(Unread::Details),
                    "by_offset" => group.by_offset = true,
                    "incomplete" => group.incomplete = Some(true),
                    "opt_outs_incomplete" => group.incomplete = Some(false),
                    "unlisted" => group.listed = false,
                    other => match other.split_once('=') {
                        Some(("ext", value)) => group.ext = Some(value.to_owned()),
                        Some(("notes", value)) => group.notes = Some(value.to_owned()),
                        Some(("asks", value)) => group.asked_status = Some(value.to_owned()),
                        _ => panic!("no such flag: {other}"),
                    },
                }
            }
            for word in listed {
                let (name, state) = word.split_once('=').unwrap_or((word, "active"));
                group.members.insert(
                    format!("{prefix}.{name}"),
                    MembershipState::parse(state).expect("a state"),
                );
                person(side, prefix, name, &[]);
            }
            side.groups.push(group);
        }
        other => panic!("no such group line: {other:?}"),
    }
}

fn set(world: &mut TestWorld, setting: &str) {
    let (key, value) = setting.split_once('=').expect("set key=value");
    let policy = &mut world.policy;
    let yes = value == "yes";
    match key {
        "mode" => {
            policy.mode = [Mode::Add, Mode::Managed, Mode::Mirror]
                .into_iter()
                .find(|mode| mode.as_str() == value)
                .expect("a mode");
        }
        "adopt" => {
            policy.groups.adopt = if value == "never" {
                Adopt::Never
            } else {
                Adopt::ByName
            }
        }
        "missing" => {
            policy.groups.missing = match value {
                "archive" => Missing::Archive,
                "delete" => Missing::Delete,
                _ => Missing::Keep,
            }
        }
        "dynamic" => {
            policy.groups.dynamic = if value == "snapshot" {
                Dynamic::Snapshot
            } else {
                Dynamic::Skip
            }
        }
        "include" => policy.groups.include = value.split(',').map(str::to_owned).collect(),
        "exclude" => policy.groups.exclude = value.split(',').map(str::to_owned).collect(),
        "pin" => {
            let (source, target) = value.split_once('/').expect("pin=source/target");
            policy
                .groups
                .pin
                .insert(source.to_owned(), target.to_owned());
        }
        "protect" => policy.groups.protect = yes,
        "opt_outs" => {
            policy.members.opt_outs = if value == "skip" {
                OptOuts::Skip
            } else {
                OptOuts::Carry
            }
        }
        "create" => policy.members.create = yes,
        "auto_response" => policy.allow_auto_response = yes,
        "source_shared" => policy.source_shared = yes,
        "target_shared" => policy.target_shared = yes,
        "confirmed" => policy.opt_outs_confirmed = yes,
        "drift" => {
            policy.guards.on_drift = match value {
                "keep" => OnDrift::Keep,
                "stop" => OnDrift::Stop,
                _ => OnDrift::Overwrite,
            }
        }
        "floor" => policy.guards.floor = value.parse().expect("a number"),
        "max_membership_removals" => policy.guards.max_membership_removals = limit(value),
        "max_membership_removals_per_group" => {
            policy.guards.max_membership_removals_per_group = limit(value);
        }
        "max_group_removals" => policy.guards.max_group_removals = limit(value),
        "max_member_creations" => policy.guards.max_member_creations = limit(value),
        "max_updates" => policy.guards.max_updates = limit(value),
        "max_opt_outs" => policy.guards.max_opt_outs = limit(value),
        "unmirrored" => world.memory.unmirrored = yes,
        "first_run_open" => world.memory.first_run_is_open = yes,
        "measure" => {
            let (groups, memberships) = value.split_once('/').expect("measure=groups/memberships");
            world.memory.measure = Some(Measure {
                groups: groups.parse().expect("a number"),
                memberships: memberships.parse().expect("a number"),
            });
        }
        "poor" => {
            world.schema = &POOR;
            world.capabilities.group_opt_out = false;
        }
        "seats" => {
            world.schema = &POOR;
            world.capabilities = SEATS;
        }
        "parking" => policy.parking_group = Some(value.to_owned()),
        "create_users" => policy.members.create_users = yes,
        "group_opt_out" => world.capabilities.group_opt_out = yes,
        "create_opted_out" => world.capabilities.create_opted_out = yes,
        "join" => {
            world.capabilities.join = match value {
                "yes" => Join::WithCreation,
                "per_row" => Join::PerRow,
                _ => Join::Separately,
            }
        }
        // What the lists of ActiveCampaign can do.
        "lists" => {
            world.capabilities.join = Join::PerRow;
            world.capabilities.account_opt_out = false;
            world.capabilities.account_opt_out_as_lists = true;
            world.capabilities.removal_shows_opt_out = true;
        }
        "detach" => world.capabilities.detach = yes,
        "readd" => policy.members.readd = yes,
        "batch" => {
            world.capabilities.batches = world
                .capabilities
                .batches
                .capped(Some(value.parse().expect("a number")));
        }
        "explicit" => drop(world.explicit.insert(value.to_owned())),
        "other_job_fills" => drop(world.memory.other_groups.insert(value.to_owned())),
        other => panic!("no such setting: {other}"),
    }
}

fn limit(text: &str) -> Limit {
    let mut limit = NO_LIMIT;
    for part in text.split('+') {
        match part.strip_suffix('%') {
            Some(percent) => limit.share = Some(percent.parse::<f64>().expect("a number") / 100.0),
            None => limit.count = Some(part.parse().expect("a number")),
        }
    }
    limit
}

fn fields(record: &Record) -> String {
    record.iter().fold(String::new(), |text, (field, value)| {
        text + &format!(" {field}={value}")
    })
}

/// Writes a plan as one line per operation, then what is withheld, blocked, refused, lost and said.
pub(super) fn render(inputs: &Inputs<'_>, plan: &Plan) -> String {
    let mut lines = operations(inputs, plan);
    for withheld in &plan.withheld {
        let name = &plan.pair(withheld.pair).name;
        let who = withheld
            .member
            .map(|person| format!(" {}", who(inputs, person)))
            .unwrap_or_default();
        lines.push(format!("- {name}{who} {}", withheld.reason.as_str()));
    }
    for blocked in &plan.blocked {
        let what = [
            blocked.group.clone(),
            blocked.member.as_deref().map(short),
            blocked.id.clone(),
        ];
        let what: Vec<String> = what.into_iter().flatten().collect();
        lines.push(format!(
            "! {} {} {}",
            blocked.what.as_str(),
            what.join(" "),
            blocked.reason.as_str()
        ));
    }
    for refusal in &plan.refusals {
        let group = refusal
            .group
            .as_ref()
            .map(|group| format!(" {group}"))
            .unwrap_or_default();
        lines.push(format!(
            "refused {}{group} {} of {}, {}",
            refusal.guard, refusal.value, refusal.of, refusal.limit
        ));
    }
    for loss in &plan.losses {
        lines.push(format!("lost {} {}", loss.count, loss.field));
    }
    lines.join("\n")
}

fn short(address: &str) -> String {
    address.trim_end_matches("@example.org").to_owned()
}

fn who(inputs: &Inputs<'_>, person: crate::plan::PersonIx) -> String {
    short(inputs.names.text(inputs.people.get(person).address))
}

/// Writes the operations alone.
pub(super) fn operations(inputs: &Inputs<'_>, plan: &Plan) -> Vec<String> {
    plan.operations
        .iter()
        .map(|edit| {
            let name = edit
                .pair()
                .map_or("*", |pair| plan.pair(pair).name.as_str());
            let members: Vec<String> = edit
                .members()
                .iter()
                .map(|person| who(inputs, *person))
                .collect();
            let members = members.join(" ");
            match edit {
                Edit::CreateCustomField { label } => format!("field {label}"),
                Edit::CreateGroup { fields: set, .. } => format!("create {name}:{}", fields(set)),
                Edit::AdoptGroup { fields: set, .. } => format!("adopt {name}:{}", fields(set)),
                Edit::UpdateGroup { fields: set, .. } => format!("update {name}:{}", fields(set)),
                Edit::RenameGroup {
                    from,
                    to,
                    via,
                    fields: set,
                    ..
                } => {
                    let via = via
                        .as_ref()
                        .map(|via| format!(" via {via}"))
                        .unwrap_or_default();
                    let rest: Record = set
                        .iter()
                        .filter(|(field, _)| *field != "title")
                        .map(|(f, v)| (f.clone(), v.clone()))
                        .collect();
                    format!("rename {from} to {to}{via}:{}", fields(&rest))
                }
                Edit::ArchiveGroup {
                    lift_protection, ..
                } => format!(
                    "archive {name}{}",
                    if *lift_protection { " (lifted)" } else { "" }
                ),
                Edit::DeleteGroup {
                    lift_protection, ..
                } => format!(
                    "delete {name}{}",
                    if *lift_protection { " (lifted)" } else { "" }
                ),
                Edit::SetOptOut { after_creation, .. } => {
                    format!(
                        "opt out of {name}{}: {members}",
                        if *after_creation { " (new)" } else { "" }
                    )
                }
                Edit::CreateMembers { to_opt_out, .. } => {
                    format!(
                        "create people{}: {members}",
                        if *to_opt_out { " to opt out" } else { "" }
                    )
                }
                Edit::UpdateMember { fields: set, .. } => {
                    format!("update {members}:{}", fields(set))
                }
                Edit::ChangeAddress { from, to, .. } => format!("address {from} to {to}"),
                Edit::AddMemberships { .. } => format!("add to {name}: {members}"),
                Edit::BringBack { .. } => format!("back to {name}: {members}"),
                Edit::RemoveMemberships { .. } => format!("remove from {name}: {members}"),
            }
        })
        .map(|line| line.trim_end_matches(':').to_owned())
        .collect()
}
