//! Counts what is done and what fails while a plan is applied, in the order in which it happens, and
//! takes it down for the history: all that is told of a run comes of this.

use std::collections::HashSet;

use crate::plan::{BlockedReason, PairIx, PersonIx, Summary, item_id, item_key};
use crate::run::settle::{Item, Known, SoFar};
use crate::state::{FailureNote, FieldChanges, RunItem};

/// An item that the provider refused in this run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemFailure {
    /// The word of the plan format for the operation.
    pub op: String,
    /// The group's name.
    pub group: Option<String>,
    /// The normalised address; of somebody without one `#` and the id at the source, or `##` and
    /// the id at the target.
    pub member: Option<String>,
    /// The provider's code.
    pub code: Option<String>,
    /// The provider's words.
    pub message: String,
    /// Whether nobody refused it, and nobody can tell whether it is done.
    pub untold: bool,
}

impl ItemFailure {
    /// Tells whether nobody refused it: whether it is done, or how its group stands, could not be read.
    pub fn is_unknown(&self) -> bool {
        self.untold || self.op == "list_group"
    }

    /// Names the item as people accept it.
    pub fn item(&self) -> String {
        let reason = if self.is_unknown() {
            BlockedReason::IncompleteRead
        } else {
            BlockedReason::ValueRefused
        };
        let reason = reason.as_str();
        item_id(
            self.group.as_deref(),
            self.member.as_deref(),
            reason,
            &self.message,
        )
    }
}

/// Why an item is not done.
pub(super) enum Undone {
    /// The provider refused it with this code, or reading back does not show it.
    Refused(Option<String>),
    /// Nobody can tell how the person stands, neither before it was sent nor after.
    Untold,
}

/// What is told of a run that applies a plan. A million items are counted in little memory: what
/// happened to each is in the history soon after.
#[derive(Debug, Default)]
pub(in crate::run) struct Tally {
    /// People counted as created; one who joins several groups may be named by several requests.
    counted: HashSet<PersonIx>,
    /// What was counted of people who refuse or leave; somebody with several contacts counts once.
    tallied: HashSet<(&'static str, Option<PairIx>, PersonIx)>,
    pub(in crate::run) summary: Summary,
    pub(in crate::run) failed: Vec<ItemFailure>,
    /// Sentences that a person should read.
    pub(in crate::run) warnings: Vec<String>,
    pub(in crate::run) failures: Vec<FailureNote>,
    /// Those of whom nobody can tell whether they are done: they were not refused, and rest for
    /// nobody.
    pub(in crate::run) untold: Vec<FailureNote>,
    /// What is not in the history yet.
    pub(in crate::run) lines: Vec<RunItem>,
    /// People whose profile counted as changed and turned out not to be, with the reason.
    pub(in crate::run) ignored: Vec<(String, String)>,
    /// How many lines there were.
    taken_down: u64,
}

impl Tally {
    /// Tells whether somebody counts as created by this run.
    pub(super) fn has_created(&self, person: PersonIx) -> bool {
        self.counted.contains(&person)
    }

    /// Takes note that a group was created twice.
    pub(super) fn twin(&mut self, group: String, message: String) {
        self.warnings.push(message.clone());
        let line = RunItem {
            op: "create_group".to_owned(),
            group: Some(group.clone()),
            ..RunItem::default()
        };
        self.line(line, Err(&message));
        self.failed.push(ItemFailure {
            op: "create_group".to_owned(),
            group: Some(group),
            member: None,
            code: None,
            message,
            untold: false,
        });
    }

    /// Counts a confirmed item and takes it down: a line for each thing that is counted, so that the
    /// history adds up to the summary. The first of them has the `fields`.
    pub(super) fn done(
        &mut self,
        known: Known<'_>,
        so_far: &SoFar,
        item: &Item,
        fields: FieldChanges,
    ) {
        let is_new = item
            .person
            .is_some_and(|person| known.people.targets(person).is_empty());
        let groups = || item.joins.iter().copied().chain(item.pair).map(Some);
        let mut lines: Vec<(&'static str, Option<PairIx>)> = Vec::new();
        match item.op {
            "create_members" => {
                // Whoever exists already joins, and is not created.
                let mut person = item.person.filter(|_| is_new).into_iter();
                if person.any(|person| self.counted.insert(person)) {
                    self.summary.members_created += 1;
                    lines.push(("create_members", None));
                }
                lines.extend(groups().map(|pair| ("add_memberships", pair)));
                self.summary.memberships_added += item.joins.len() as u64;
                // Somebody created opted out carries the refusal in the same request.
                if item.detail.is_some() {
                    self.summary.opt_outs += 1;
                    lines.push(("set_opt_out", None));
                }
            }
            // The profile of somebody just created belongs to the creation.
            "update_member" | "change_address" if item.detail.is_some() => {}
            "update_member" | "change_address" => {
                self.summary.members_updated += 1;
                lines.push((item.op, None));
            }
            "add_memberships" => {
                lines.extend(groups().map(|pair| ("add_memberships", pair)));
                self.summary.memberships_added += lines.len() as u64;
            }
            "remove_memberships" => {
                lines = self.newly_tallied(item);
                self.summary.memberships_removed += lines.len() as u64;
            }
            "set_opt_out" => {
                // By row, whoever holds a refusal is created by the request that writes it.
                let is_created = is_new && item.target_id.is_none();
                let mut person = item.person.filter(|_| is_created).into_iter();
                if person.any(|person| self.counted.insert(person)) {
                    self.summary.members_created += 1;
                    lines.push(("create_members", None));
                }
                let refused = self.newly_tallied(item);
                self.summary.opt_outs += refused.len() as u64;
                lines.extend(refused);
            }
            op => {
                let summary = &mut self.summary;
                match op {
                    "create_group" => summary.groups_created += 1,
                    "adopt_group" => summary.groups_adopted += 1,
                    "update_group" | "rename_group" => summary.groups_updated += 1,
                    "archive_group" => summary.groups_archived += 1,
                    "delete_group" => summary.groups_deleted += 1,
                    _ => {}
                }
                lines.push((op, item.pair));
            }
        }
        let mut fields = Some(fields);
        for (op, pair) in lines {
            let fields = fields.take().unwrap_or_default();
            self.take_down(known, so_far, item, (op, pair), Ok(fields));
        }
    }

    /// Names the groups of an item, or the account, for which no other contact of the person was
    /// counted.
    fn newly_tallied(&mut self, item: &Item) -> Vec<(&'static str, Option<PairIx>)> {
        let scopes = item.scopes().into_iter();
        let fresh = scopes.filter(|pair| {
            let of_person = |person| self.tallied.insert((item.op, *pair, person));
            item.person.is_none_or(of_person)
        });
        fresh.map(|pair| (item.op, pair)).collect()
    }

    /// Shows an item that is not done, and takes it down.
    pub(super) fn undone(
        &mut self,
        known: Known<'_>,
        so_far: &SoFar,
        item: &Item,
        why: Undone,
        message: &str,
    ) {
        // Nothing else names the field.
        let of_field = item.detail.as_ref().filter(|_| item.op == "create_field");
        let message = match of_field {
            Some(label) => &format!("custom field \"{label}\": {message}"),
            None => message,
        };
        let group = item
            .pair
            .or(item.joins.first().copied())
            .map(|pair| known.plan.pair(pair).name.clone());
        let member = member_of(known, item);
        let what = match (&item.person, item.op) {
            (None, "create_field") => "field",
            (None, _) => "group",
            (Some(_), "add_memberships" | "remove_memberships") => "membership",
            (Some(_), _) if !item.joins.is_empty() => "membership",
            (Some(_), _) => "member",
        };
        // A creation that joins is planned as an addition, and is waited for as one; so is each
        // group of a row, and a refusal group by group.
        let op = match item.op {
            "create_members" | "add_memberships" => Some("add_memberships"),
            "remove_memberships" => Some("remove_memberships"),
            "set_opt_out" => Some("set_opt_out"),
            _ => None,
        };
        let mut keys: Vec<(String, Option<String>)> = match op {
            Some(op) if !item.joins.is_empty() => item
                .joins
                .iter()
                .map(|pair| key_of_group(known, so_far, op, *pair, item))
                .collect(),
            _ => vec![(known.key(so_far, item), group.clone())],
        };
        if item.op == "set_opt_out" && known.is_new(item) {
            // Whoever could not be created to hold a refusal is not tried again before it is time.
            keys.push((
                item_key("create_members", "", member.as_deref().unwrap_or("")),
                group.clone(),
            ));
        }
        // Each group of an item that is about several is an item of its own in the next plan, and is
        // shown and accepted as such.
        let (reason, code, untold) = match why {
            Undone::Refused(code) => (BlockedReason::ValueRefused, code, false),
            Undone::Untold => (BlockedReason::IncompleteRead, None, true),
        };
        for (at, (key, group)) in keys.into_iter().enumerate() {
            self.failed.push(ItemFailure {
                op: op_of_line(item, at).to_owned(),
                group: group.clone(),
                member: member.clone(),
                code: code.clone(),
                message: message.to_owned(),
                untold,
            });
            let notes = if untold {
                &mut self.untold
            } else {
                &mut self.failures
            };
            notes.push(FailureNote {
                key,
                what: what.to_owned(),
                group,
                member: member.clone(),
                reason: reason.as_str().to_owned(),
                code: code.clone(),
                message: message.to_owned(),
                item: String::new(),
            });
        }
        for at in 0..item.joins.len().max(1) {
            let pair = item.joins.get(at).copied().or(item.pair);
            self.take_down(
                known,
                so_far,
                item,
                (op_of_line(item, at), pair),
                Err(message),
            );
        }
    }

    /// Takes down that values of somebody are still as they were, although the provider said yes.
    pub(super) fn values_ignored(&mut self, member: String, message: String) {
        self.ignored.push((member.clone(), message.clone()));
        self.failures.push(FailureNote {
            key: item_key("update_member", "", &member),
            what: "member".to_owned(),
            group: None,
            member: Some(member.clone()),
            reason: "value_refused".to_owned(),
            code: None,
            message: message.clone(),
            item: String::new(),
        });
        self.failed.push(ItemFailure {
            op: "update_member".to_owned(),
            group: None,
            member: Some(member),
            code: None,
            message,
            untold: false,
        });
        let summary = &mut self.summary;
        summary.members_updated = summary.members_updated.saturating_sub(1);
    }

    /// Takes down that a group was left alone, because nobody knows who is in it by now; by its id.
    pub(super) fn left_out(&mut self, group: String, id: &str, message: String) {
        self.failures.push(FailureNote {
            key: item_key("list_group", id, ""),
            what: "group".to_owned(),
            group: Some(group.clone()),
            member: None,
            reason: BlockedReason::IncompleteRead.as_str().to_owned(),
            code: None,
            message: message.clone(),
            item: String::new(),
        });
        let line = RunItem {
            op: "list_group".to_owned(),
            group: Some(group.clone()),
            group_id: Some(id.to_owned()),
            ..RunItem::default()
        };
        self.line(line, Err(&message));
        self.failed.push(ItemFailure {
            op: "list_group".to_owned(),
            group: Some(group),
            member: None,
            code: None,
            message,
            untold: false,
        });
    }

    /// Takes a line down in the history: what an item changed, or why it is not done.
    fn take_down(
        &mut self,
        known: Known<'_>,
        so_far: &SoFar,
        item: &Item,
        (op, pair): (&str, Option<PairIx>),
        result: Result<FieldChanges, &str>,
    ) {
        let line = RunItem {
            op: op.to_owned(),
            group: pair.map(|pair| known.plan.pair(pair).name.clone()),
            group_id: pair.and_then(|pair| so_far.group_id(known.plan, pair)),
            member: member_of(known, item),
            member_id: contact_of(known, so_far, item),
            ..RunItem::default()
        };
        self.line(line, result);
    }

    fn line(&mut self, line: RunItem, result: Result<FieldChanges, &str>) {
        self.taken_down += 1;
        let (outcome, message, fields) = match result {
            Ok(fields) => ("done", None, fields),
            Err(message) => ("failed", Some(message.to_owned()), FieldChanges::new()),
        };
        self.lines.push(RunItem {
            seq: self.taken_down,
            outcome: outcome.to_owned(),
            message,
            fields,
            ..line
        });
    }
}

/// Returns the contact of an item, as far as it is known by now.
fn contact_of(known: Known<'_>, so_far: &SoFar, item: &Item) -> Option<String> {
    let person = item.person?;
    let first = || {
        let at = *known.people.targets(person).first()?;
        Some(known.names.text(known.sides.target.members[at as usize].id))
    };
    let created = || so_far.person_ids.get(&person).map(String::as_str);
    let id = item.target_id.as_deref().or_else(created).or_else(first);
    id.map(str::to_owned)
}

/// Names one group of an item that is about several, as the plan does.
fn key_of_group(
    known: Known<'_>,
    so_far: &SoFar,
    op: &str,
    pair: PairIx,
    item: &Item,
) -> (String, Option<String>) {
    let group = known.plan.pair(pair);
    let id = group
        .target
        .as_deref()
        .or(so_far.group_ids.get(&pair).map(String::as_str))
        .unwrap_or(&group.name);
    let member = member_of(known, item).unwrap_or_default();
    (item_key(op, id, &member), Some(group.name.clone()))
}

/// Names the person of an item, as the plan does.
fn member_of(known: Known<'_>, item: &Item) -> Option<String> {
    let person = item.person?;
    Some(known.person_key(person).into_owned())
}

/// Returns the operation of a line about an item that is about several groups: somebody is created
/// once.
fn op_of_line(item: &Item, at: usize) -> &'static str {
    if at > 0 && item.op == "create_members" {
        "add_memberships"
    } else {
        item.op
    }
}
