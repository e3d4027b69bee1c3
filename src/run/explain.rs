//! Why something is as it is: what each side holds of a person or a group, what is remembered, where
//! each value came from, and what the next plan would do.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use super::accounts::{Access, Runner, unless_stopped};
use super::error::RunError;
use super::meant::{is_named, is_person};
use super::prepare::{Asks, Prepared};
use super::read::{canonical, current, fields_base};
use crate::config::settled::JobConfig;
use crate::model::{
    Existence, Group, Name, ObjectKind, Reading, Record, Snapshot, Value, normalise_address,
};
use crate::plan::base::{FieldBases, LedgerAudience, LedgerPerson, Origin, Refusal};
use crate::plan::fields::same;
use crate::plan::{Blocked, Edit, PairIx, PersonIx, Reason, Withheld, in_scope, refused_before};
use crate::state::{About, FieldChange, PastItem, Staging};

/// How many items of the history are looked through.
const HISTORY: usize = 1_000;

/// What there is to say of a person or a group in one job.
#[derive(Clone, Debug, Serialize)]
pub struct Explained {
    /// The job.
    pub job: String,
    /// The source's configured name.
    pub source: String,
    /// The target's.
    pub target: String,
    /// The people who are meant: several where an address leads to several.
    pub people: Vec<PersonExplained>,
    /// The groups that are meant.
    pub groups: Vec<GroupExplained>,
    /// What is known of their absence, where nobody is found; and what keeps the answer from being
    /// whole.
    pub doubts: Vec<String>,
}

/// What there is to say of a person.
#[derive(Clone, Debug, Serialize)]
pub struct PersonExplained {
    /// The normalised address, or how somebody without one is named.
    pub name: String,
    /// The records at the source.
    pub source: Vec<Held>,
    /// The contacts at the target.
    pub target: Vec<Held>,
    /// The pairs that are remembered.
    pub links: Vec<LinkExplained>,
    /// The mapped fields.
    pub fields: Vec<FieldExplained>,
    /// The groups of the job in which the person is listed at either side, or was.
    pub memberships: Vec<MembershipExplained>,
    /// The refusals that are remembered, each in words.
    pub refusals: Vec<String>,
    /// What the next plan would do, and what it would not.
    pub next: Next,
    /// What earlier runs did, newest first.
    pub history: Vec<PastItem>,
}

/// What one side holds.
#[derive(Clone, Debug, Serialize)]
pub struct Held {
    /// The id.
    pub id: String,
    /// The address, or what stands in its place.
    pub address: Option<String>,
    /// What holds for all mail of the account.
    pub status: &'static str,
    /// The fields as the provider shows them.
    pub fields: Record,
}

/// A remembered pair.
#[derive(Clone, Debug, Serialize)]
pub struct LinkExplained {
    /// The id at the source.
    pub source: String,
    /// The id at the target.
    pub target: String,
    /// How it came about: `created`, `adopted` or `pinned`.
    pub origin: &'static str,
    /// The address or the name that it had at the end of the last run.
    pub known_as: String,
}

/// A mapped field.
#[derive(Clone, Debug, Serialize)]
pub struct FieldExplained {
    /// The target's name of it.
    pub field: String,
    /// What the source asks for now.
    pub desired: Option<Value>,
    /// What the target holds now.
    pub held: Option<Value>,
    /// What the source asked for at the end of the last run.
    pub asked_then: Option<Value>,
    /// What the target held at the end of the last run.
    pub held_then: Option<Value>,
    /// The expression that makes it.
    pub expression: Option<String>,
    /// Whether a line of the config says so; else it is the built-in mapping.
    pub from_config: bool,
    /// The run that wrote it last, where one is remembered.
    pub written: Option<Written>,
}

impl FieldExplained {
    /// Tells whether somebody else changed the field at the target since the last run.
    pub fn is_changed_outside(&self) -> bool {
        let is_known = self.held_then.is_some() || self.asked_then.is_some();
        is_known && !same(self.held.as_ref(), self.held_then.as_ref())
    }
}

/// When a value was written, and what was there before.
#[derive(Clone, Debug, Serialize)]
pub struct Written {
    /// The run.
    pub run: String,
    /// When it began.
    pub started: Timestamp,
    /// Before and after.
    #[serde(flatten)]
    pub change: FieldChange,
}

/// A person in a group of the job.
#[derive(Clone, Debug, Serialize)]
pub struct MembershipExplained {
    /// The group's name at the target.
    pub group: String,
    /// How the person stands at the source; `absent`, or `unknown` where the listing is not whole.
    pub source: &'static str,
    /// The same at the target.
    pub target: &'static str,
    /// Whether it stood at the end of the last run: `brought` by the job, `found`, or nothing.
    pub remembered: Option<&'static str>,
    /// Whether a refusal of the group by the person is remembered.
    pub refused: bool,
}

/// What the next plan would do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Next {
    /// The operations, each as the plan format names it, with the group that it is about.
    pub operations: Vec<(&'static str, Option<String>)>,
    /// The fields that would change, before and after.
    pub changes: Vec<(String, Option<Value>, Option<Value>)>,
    /// What is left out on purpose: the group, and why.
    #[serde(skip)]
    pub withheld: Vec<(String, Reason)>,
    /// What needs a person.
    #[serde(skip)]
    pub blocked: Vec<Blocked>,
    /// Whether guards refuse the plan that these are part of.
    pub refused: bool,
}

/// What there is to say of a group.
#[derive(Clone, Debug, Serialize)]
pub struct GroupExplained {
    /// The name at the source; nothing where there is no such group.
    pub source_name: Option<String>,
    /// The id at the source.
    pub source_id: Option<String>,
    /// The name at the target.
    pub target_name: Option<String>,
    /// The id at the target.
    pub target_id: Option<String>,
    /// Why the job does not write it, where it does not.
    pub left_alone: Option<String>,
    /// The remembered pair.
    pub link: Option<LinkExplained>,
    /// The mapped fields.
    pub fields: Vec<FieldExplained>,
    /// How many members it lists at the source and at the target, by state; nothing where the
    /// listing is not whole.
    pub members: super::prepare::GroupCount,
    /// What the next plan would do.
    pub next: Next,
    /// What earlier runs did to the group itself, newest first.
    pub history: Vec<PastItem>,
}

impl Runner {
    /// Reads both sides of a job and explains a person, by an address or by `#` and an id at the source
    /// or `##` and one at the target, or else a group, by its name or id at either side. Writes to no
    /// provider.
    pub async fn explain(&self, job: &str, what: &str) -> Result<Explained, RunError> {
        let job = self.job(job)?;
        let _held = self.hold(job, Access::Read).await?;
        self.refuse_one_account(job)?;
        let asks = Asks {
            anew: true,
            ..Asks::default()
        };
        let stop = &self.inner.options.stop;
        let prepared = unless_stopped(stop, self.prepare(job, asks)).await?;
        self.inner.options.progress.finish(&job.name);
        let mut explained = Explained {
            job: job.name.clone(),
            source: job.source.clone(),
            target: job.target.clone(),
            people: Vec::new(),
            groups: Vec::new(),
            doubts: Vec::new(),
        };
        if is_person(what) {
            for person in prepared.find_people(what) {
                let person = self.explain_person(job, &prepared, person)?;
                explained.people.push(person);
            }
            if explained.people.is_empty() {
                explained.doubts = prepared.absence(what);
                explained.doubts.extend(prepared.remembered_of(what));
            }
        } else {
            explained.groups = self.explain_groups(job, &prepared, what)?;
        }
        Ok(explained)
    }

    fn explain_person(
        &self,
        job: &JobConfig,
        prepared: &Prepared,
        person: PersonIx,
    ) -> Result<PersonExplained, RunError> {
        let (planned, sides) = (&prepared.planned, &prepared.sides);
        let people = &planned.people;
        let name = planned.member(person).to_owned();
        let mut history = Vec::new();
        for address in prepared.names_of(person) {
            let about = About::Person(&address);
            history.extend(self.store().past_items(&job.name, about, HISTORY)?);
        }
        history.sort_by_key(|past| std::cmp::Reverse((past.started, past.item.seq)));
        let side = |snapshot: &Snapshot, staging: &Staging, rows: &[u32]| {
            let held = rows.iter().map(|at| prepared.held(snapshot, staging, *at));
            held.collect::<Result<Vec<Held>, RunError>>()
        };
        let source = side(&sides.source, &sides.source_staging, people.sources(person))?;
        let target = side(&sides.target, &sides.target_staging, people.targets(person))?;
        let mut fields = Vec::new();
        if !source.is_empty() {
            let canonical = canonical(self.store(), job, sides, people, person)?;
            let desired = sides.mapping.member(&canonical).fields;
            let held = current(sides, people, person)?;
            let base = fields_base(self.store(), job, sides, &prepared.base, people, person)?;
            fields = prepared.fields(ObjectKind::Member, &desired, &held, base.as_ref(), &history);
        }
        Ok(PersonExplained {
            name,
            source,
            target,
            links: prepared.links_of(person),
            fields,
            memberships: prepared.memberships_of(person),
            refusals: prepared.refusals_of(person),
            next: prepared.next_of(person),
            history,
        })
    }

    fn explain_groups(
        &self,
        job: &JobConfig,
        prepared: &Prepared,
        what: &str,
    ) -> Result<Vec<GroupExplained>, RunError> {
        let (plan, sides) = (&prepared.planned.plan, &prepared.sides);
        let counts = prepared.assessed().groups;
        let mut found = Vec::new();
        for at in prepared.find_pairs(what) {
            let pair = plan.pair(at);
            let (source, target) = (pair.source.as_deref(), pair.target.as_deref());
            let source = source.and_then(|id| sides.source.group(id));
            let target_group = target.and_then(|id| sides.target.group(id));
            let about = About::Group(&pair.name, pair.target.as_deref());
            let history = self.store().past_items(&job.name, about, HISTORY)?;
            let link = pair
                .source
                .as_deref()
                .and_then(|id| prepared.base.group_of_source(id));
            let desired = pair
                .source
                .as_ref()
                .and_then(|id| prepared.desired.get(id))
                .map(|desired| desired.fields.clone())
                .unwrap_or_default();
            let held = target_group.map(|group| group.wire.clone());
            let fields = prepared.fields(
                ObjectKind::Group,
                &desired,
                &held.unwrap_or_default(),
                link.map(|link| &link.fields),
                &history,
            );
            let members = counts
                .iter()
                .find(|count| count.source_id.as_deref() == pair.source.as_deref());
            found.push(GroupExplained {
                source_name: source.map(|group| group.name.clone()),
                source_id: pair.source.clone(),
                target_name: target_group.map(|group| group.name.clone()),
                target_id: pair.target.clone(),
                left_alone: (!pair.writable)
                    .then(|| "this pair is frozen or blocked: nothing of it is written".to_owned()),
                link: link.map(|link| LinkExplained {
                    source: link.source.clone(),
                    target: link.target.clone(),
                    origin: Origin::as_str(link.origin),
                    known_as: link.name.clone(),
                }),
                fields,
                members: members.cloned().unwrap_or_default(),
                next: prepared.next_of_pair(at),
                history,
            });
        }
        let is_paired = |id: &str, at_source: bool| {
            plan.pairs.iter().any(|pair| {
                let known = if at_source {
                    &pair.source
                } else {
                    &pair.target
                };
                known.as_deref() == Some(id)
            })
        };
        for (snapshot, at_source) in [(&sides.source, true), (&sides.target, false)] {
            for group in snapshot.groups.seen() {
                if is_named(what, Some(&group.id), &group.name) && !is_paired(&group.id, at_source)
                {
                    found.push(prepared.unpaired(group, at_source));
                }
            }
        }
        Ok(found)
    }
}

impl Prepared {
    /// Finds everybody who is meant by an address, today's or one that is remembered, or by an id.
    pub(super) fn find_people(&self, what: &str) -> Vec<PersonIx> {
        let names = &self.planned.names;
        let people = &self.planned.people;
        let address = normalise_address(what).ok();
        let address = address
            .as_ref()
            .and_then(|address| names.find(address.as_str()));
        // What stands in the place of an address is found as it is shown.
        let unusable = names.find(what);
        let id = |sign: &str| what.strip_prefix(sign).and_then(|id| names.find(id));
        let (target_id, source_id) = match id("##") {
            Some(id) => (Some(id), None),
            None => (None, id("#")),
        };
        let shows = |snapshot: &Snapshot, rows: &[u32], id: Option<Name>| {
            rows.iter().any(|at| {
                let member = &snapshot.members[*at as usize];
                (address.is_some() && member.address == address)
                    || (unusable.is_some() && member.unusable == unusable)
                    || id == Some(member.id)
            })
        };
        let linked_as = |person: PersonIx| {
            let links = people.sources(person).iter().filter_map(|at| {
                let id = self.sides.source.members[*at as usize].id;
                self.base.member_of_source(id)
            });
            links
                .map(|link| Some(link.address))
                .any(|known| known == address)
        };
        let all = people.iter().filter(|(person, row)| {
            let by_address = address.is_some()
                && (Some(row.address) == address
                    || row.moves_from == address
                    || linked_as(*person));
            by_address
                || shows(&self.sides.source, people.sources(*person), source_id)
                || shows(&self.sides.target, people.targets(*person), target_id)
        });
        all.map(|(person, _)| person).collect()
    }

    /// Says of each side what it means that nobody was found there.
    fn absence(&self, what: &str) -> Vec<String> {
        let (source, target) = (&self.sides.source, &self.sides.target);
        let scope = source.groups.seen().iter();
        let not_whole = scope
            .filter(|group| in_scope(&self.policy.groups, group))
            .filter(|group| !matches!(source.listing(&group.id), Some(Reading::Complete(_))))
            .count();
        let is_whole = not_whole == 0 && source.groups.complete().is_some();
        let mut words = vec![if is_whole {
            format!(
                "No group of {} in the scope of this job lists {what}; all of them were read to their end.",
                source.provider
            )
        } else {
            format!(
                "{} was not seen to list {what}, and not all of its groups could be read to their end, so that proves nothing.",
                source.provider
            )
        }];
        words.push(match &target.existence {
            Existence::Whole => format!("{} has nobody of this name.", target.provider),
            Existence::Asked(_) | Existence::Unknown => format!(
                "{} was asked for the members of the job's groups and for the people of the source only, so whether it knows {what} is not known.",
                target.provider
            ),
        });
        words
    }

    /// Says what is remembered of an address that nobody has now.
    fn remembered_of(&self, what: &str) -> Vec<String> {
        let Ok(address) = normalise_address(what) else {
            return Vec::new();
        };
        let mut words = Vec::new();
        if self.base.forgotten.contains(address.as_str()) {
            words.push(FORGOTTEN.to_owned());
        }
        let key = self.planned.names.find(address.as_str());
        let key = key.map(LedgerPerson::Address);
        let known = self.base.ledger.refusals.iter();
        let known = known.filter(|refusal| key.is_some_and(|key| refusal.people.contains(&key)));
        words.extend(known.map(|refusal| format!("A refusal is remembered of {}.", said(refusal))));
        words
    }

    /// Returns every name under which the history may know a person: today's, and the addresses that
    /// the pair had.
    fn names_of(&self, person: PersonIx) -> BTreeSet<String> {
        let (names, people) = (&self.planned.names, &self.planned.people);
        let mut known = BTreeSet::from([self.planned.member(person).to_owned()]);
        for at in people.sources(person) {
            let record = self.sides.source.members[*at as usize].id;
            let Some(link) = self.base.member_of_source(record) else {
                continue;
            };
            known.insert(names.text(link.address).to_owned());
            let former = self.base.former.iter();
            let former = former.filter(|one| one.source == record && one.target == link.target);
            known.extend(former.map(|one| names.text(one.address).to_owned()));
        }
        known.remove("");
        known
    }

    fn held(&self, snapshot: &Snapshot, staging: &Staging, at: u32) -> Result<Held, RunError> {
        let names = &self.planned.names;
        let member = &snapshot.members[at as usize];
        let id = names.text(member.id).to_owned();
        let shown = member.address.or(member.unusable);
        Ok(Held {
            fields: staging.get(&id)?.unwrap_or_default(),
            id,
            address: shown.map(|name| names.text(name).to_owned()),
            status: member.status.as_str(),
        })
    }

    fn fields(
        &self,
        object: ObjectKind,
        desired: &Record,
        held: &Record,
        base: Option<&FieldBases>,
        history: &[PastItem],
    ) -> Vec<FieldExplained> {
        let mapping = &self.sides.mapping;
        let wires = match object {
            ObjectKind::Group => mapping.group_fields(),
            ObjectKind::Member => mapping.member_fields(),
        };
        let explained = wires.into_iter().map(|field| {
            let then = base.and_then(|base| base.get(field.as_str()));
            let written = history.iter().find_map(|past| {
                let change = past.item.fields.get(field.as_str())?;
                // What was written before somebody else changed it made nothing of what is there.
                let is_held = same(change.after.as_ref(), held.get(field.as_str()))
                    || same(
                        change.after.as_ref(),
                        then.and_then(|then| then.target.as_ref()),
                    );
                (past.item.outcome == "done" && is_held).then(|| Written {
                    run: past.run.clone(),
                    started: past.started,
                    change: change.clone(),
                })
            });
            FieldExplained {
                desired: desired.get(field.as_str()).cloned(),
                held: held.get(field.as_str()).cloned(),
                asked_then: then.and_then(|then| then.desired.clone()),
                held_then: then.and_then(|then| then.target.clone()),
                expression: mapping.expression(object, &field),
                from_config: mapping.is_explicit(object, &field),
                written,
                field,
            }
        });
        let says_something = |field: &FieldExplained| {
            let values = [&field.desired, &field.held, &field.asked_then];
            values.into_iter().flatten().any(|value| !value.is_empty())
        };
        explained.filter(says_something).collect()
    }

    fn links_of(&self, person: PersonIx) -> Vec<LinkExplained> {
        let names = &self.planned.names;
        let rows = self.planned.people.sources(person).iter();
        let links = rows.filter_map(|at| {
            let record = &self.sides.source.members[*at as usize];
            self.base.member_of_source(record.id)
        });
        let explained = links.map(|link| LinkExplained {
            source: names.text(link.source).to_owned(),
            target: names.text(link.target).to_owned(),
            origin: link.origin.as_str(),
            known_as: names.text(link.address).to_owned(),
        });
        explained.collect()
    }

    fn memberships_of(&self, person: PersonIx) -> Vec<MembershipExplained> {
        let people = &self.planned.people;
        let mut memberships = Vec::new();
        for pair in &self.planned.plan.pairs {
            let source = state(
                &self.sides.source,
                pair.source.as_deref(),
                people.sources(person),
            );
            let target = state(
                &self.sides.target,
                pair.target.as_deref(),
                people.targets(person),
            );
            let targets = people.targets(person).iter();
            let remembered = targets
                .filter_map(|at| {
                    let contact = self.sides.target.members[*at as usize].id;
                    self.base.membership(pair.target.as_deref()?, contact)
                })
                .map(|known| if known.brought { "brought" } else { "found" })
                .next();
            let refused = self.with_inputs(|inputs| refused_before(inputs, person, pair));
            if source == "absent" && target == "absent" && remembered.is_none() && !refused {
                continue;
            }
            memberships.push(MembershipExplained {
                group: pair.name.clone(),
                source,
                target,
                remembered,
                refused,
            });
        }
        memberships
    }

    fn refusals_of(&self, person: PersonIx) -> Vec<String> {
        let ledger = &self.base.ledger.refusals;
        let bound = self.planned.people.remembered(person).iter();
        let known = bound.map(|at| &ledger[*at as usize]);
        let mut words: Vec<String> = known.map(said).collect();
        if self.base.forgotten.contains(self.planned.address(person)) {
            words.push(FORGOTTEN.to_owned());
        }
        words
    }

    fn next_of(&self, person: PersonIx) -> Next {
        let plan = &self.planned.plan;
        let mut next = Next {
            refused: !plan.refusals.is_empty(),
            ..Next::default()
        };
        let group = |pair: &PairIx| Some(plan.pair(*pair).name.clone());
        for edit in &plan.operations {
            let about = match edit {
                Edit::SetOptOut { pair, members, .. } => members
                    .contains(&person)
                    .then(|| pair.as_ref().and_then(group)),
                Edit::CreateMembers { members, .. } => members.contains(&person).then_some(None),
                Edit::AddMemberships { pair, members }
                | Edit::BringBack { pair, members }
                | Edit::RemoveMemberships { pair, members } => {
                    members.contains(&person).then(|| group(pair))
                }
                Edit::UpdateMember {
                    member,
                    fields,
                    before,
                } if *member == person => {
                    next.changes = changes(fields, before);
                    Some(None)
                }
                Edit::ChangeAddress {
                    member, from, to, ..
                } if *member == person => {
                    let text = |text: &str| Some(Value::from(text));
                    next.changes
                        .push(("email".to_owned(), text(from), text(to)));
                    Some(None)
                }
                _ => None,
            };
            next.operations
                .extend(about.map(|group| (edit.op(), group)));
        }
        let withheld = plan.withheld.iter();
        let withheld = withheld.filter(|withheld| withheld.member == Some(person));
        next.withheld = withheld.map(|one| self.of_withheld(one)).collect();
        let name = self.planned.member(person);
        let blocked = plan.blocked.iter();
        let blocked = blocked.filter(|blocked| blocked.member.as_deref() == Some(name));
        next.blocked = blocked.cloned().collect();
        next
    }

    fn of_withheld(&self, withheld: &Withheld) -> (String, Reason) {
        let pair = self.planned.plan.pair(withheld.pair);
        (pair.name.clone(), withheld.reason)
    }

    fn next_of_pair(&self, pair: PairIx) -> Next {
        let plan = &self.planned.plan;
        let mut next = Next {
            refused: !plan.refusals.is_empty(),
            ..Next::default()
        };
        for edit in plan
            .operations
            .iter()
            .filter(|edit| edit.pair() == Some(pair))
        {
            let about = match edit {
                Edit::AddMemberships { members, .. }
                | Edit::BringBack { members, .. }
                | Edit::RemoveMemberships { members, .. }
                | Edit::SetOptOut { members, .. } => Some(format!("{} people", members.len())),
                _ => None,
            };
            next.operations.push((edit.op(), about));
            match edit {
                Edit::AdoptGroup { fields, before, .. }
                | Edit::UpdateGroup { fields, before, .. }
                | Edit::RenameGroup { fields, before, .. } => {
                    next.changes.extend(changes(fields, before));
                }
                Edit::CreateGroup { fields, .. } => {
                    next.changes.extend(changes(fields, &Record::new()));
                }
                _ => {}
            }
        }
        let withheld = plan.withheld.iter();
        let withheld = withheld.filter(|one| one.pair == pair && one.member.is_none());
        next.withheld = withheld.map(|one| self.of_withheld(one)).collect();
        let name = &plan.pair(pair).name;
        let blocked = plan.blocked.iter();
        // Names need not be unique.
        let known = plan.pair(pair);
        let is_its =
            |id: &Option<String>| id.is_none() || *id == known.source || *id == known.target;
        let blocked = blocked.filter(|one| {
            one.group.as_ref() == Some(name) && one.member.is_none() && is_its(&one.id)
        });
        next.blocked = blocked.cloned().collect();
        next
    }

    /// Explains a group that this job pairs with none.
    fn unpaired(&self, group: &Group, at_source: bool) -> GroupExplained {
        let why = if !at_source {
            "no group of the source is paired with it"
        } else if in_scope(&self.policy.groups, group) {
            "it could not be paired"
        } else {
            "it is not in the scope of the job: archived, built-in, dynamic, excluded or not included"
        };
        let (name, id) = (Some(group.name.clone()), Some(group.id.clone()));
        let (source, target) = if at_source {
            ((name, id), (None, None))
        } else {
            ((None, None), (name, id))
        };
        GroupExplained {
            source_name: source.0,
            source_id: source.1,
            target_name: target.0,
            target_id: target.1,
            left_alone: Some(why.to_owned()),
            link: None,
            fields: Vec::new(),
            members: super::prepare::GroupCount::default(),
            next: Next::default(),
            history: Vec::new(),
        }
    }
}

/// What is said of whoever asked to be forgotten.
const FORGOTTEN: &str = "everything: the person asked to be forgotten, and is never added again";

/// Says what a remembered refusal is of, and whether the target obeys it.
fn said(refusal: &Refusal) -> String {
    let of = refusal.audience.iter().find_map(|key| match key {
        LedgerAudience::Account => Some("all mail of the account".to_owned()),
        LedgerAudience::Name(name) => Some(format!("group \"{name}\"")),
        LedgerAudience::Group(_) | LedgerAudience::Source(_) => None,
    });
    let by_id = || {
        refusal.audience.iter().find_map(|key| match key {
            LedgerAudience::Group(id) => Some(format!("group {id} of the target")),
            LedgerAudience::Source(id) => Some(format!("group {id} of the source")),
            LedgerAudience::Account | LedgerAudience::Name(_) => None,
        })
    };
    let held = if refusal.held_at.is_some() {
        "the target was seen to obey it"
    } else {
        "only rosterd knows it"
    };
    format!("{}; {held}", of.or_else(by_id).unwrap_or_default())
}

fn changes(fields: &Record, before: &Record) -> Vec<(String, Option<Value>, Option<Value>)> {
    let fields = fields.iter();
    fields
        .map(|(field, after)| {
            let before = before.get(field).cloned();
            (field.to_string(), before, Some(after.clone()))
        })
        .collect()
}

/// How a person stands in a group: the strictest of several rows, `absent` only where the listing is
/// whole.
fn state(snapshot: &Snapshot, group: Option<&str>, rows: &[u32]) -> &'static str {
    let Some(group) = group else { return "absent" };
    let Some(reading) = snapshot.listing(group) else {
        return "unknown";
    };
    let states = rows.iter().filter_map(|at| reading.seen().state_of(*at));
    match (states.max(), reading) {
        (Some(state), _) => state.as_str(),
        (None, Reading::Complete(_)) => "absent",
        (None, Reading::Incomplete(_)) => "unknown",
    }
}
