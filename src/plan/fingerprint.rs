//! What identifies a plan: the settled config of the job, the operations, the objects they touch,
//! and the last run that wrote.
//!
//! Counters, dates and the order of reading stay out of it.

use std::collections::{BTreeMap, BTreeSet};

use super::seats::departures;
use super::{Edit, Inputs, PersonIx, Plan};
use crate::model::{ObjectKind, Record, Writable, row_hash};

/// What a plan was made of, in parts: plans with equal parts do equal things to equal objects, and
/// where they differ, the parts tell what moved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Basis {
    /// The settled config of the job.
    pub config: String,
    /// The job's last run that wrote.
    pub last_run: String,
    /// One print per operation, in their order, over its values and the versions of what it
    /// touches. Behind them stand the groups that are left by joining others.
    pub operations: Vec<OperationPrint>,
}

/// What one operation of a plan writes, and what it touches.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OperationPrint {
    /// The operation and its group, in words.
    pub label: String,
    /// The print.
    pub print: String,
}

/// How many operations are named that differ between two plans.
const NAMED: usize = 5;

/// Names an operation to a person: what it does, and in which group.
fn operation_label(op: &str, group: Option<&str>) -> String {
    match group {
        Some(group) => format!("{op} \"{group}\""),
        None => op.to_owned(),
    }
}

impl Basis {
    /// What a plan is made of.
    pub(super) fn of(inputs: &Inputs<'_>, plan: &Plan) -> Basis {
        let mut operations = Vec::with_capacity(plan.operations.len());
        for edits in plan.operations.chunks(TOGETHER) {
            let labels = edits.iter().map(|edit| {
                operation_label(
                    edit.op(),
                    edit.pair().map(|pair| plan.pair(pair).name.as_str()),
                )
            });
            let prints = prints_of(inputs, plan, edits, NEIGHBOURS);
            let prints = labels.zip(prints);
            operations.extend(prints.map(|(label, print)| OperationPrint { label, print }));
        }
        // Where joining a group is leaving another, the one that is left belongs to the operation.
        for (group, people) in departures(inputs, &plan.operations, &plan.pairs) {
            let mut print = Print::default();
            print.text(&group);
            for person in people {
                print.person(inputs, person);
            }
            operations.push(OperationPrint {
                label: operation_label("leave_group", Some(&group)),
                print: print.end(),
            });
        }
        let print_text = |text: &str| {
            let mut print = Print::default();
            print.text(text);
            print.end()
        };
        Basis {
            config: print_text(&inputs.policy.config_hash),
            last_run: print_text(inputs.base.last_writing_run.as_deref().unwrap_or("")),
            operations,
        }
    }

    /// Computes the fingerprint.
    pub(super) fn fingerprint(&self) -> String {
        let mut print = Print::default();
        print.text(&self.config);
        print.text(&self.last_run);
        for operation in &self.operations {
            print.text(&operation.label);
            print.text(&operation.print);
        }
        print.digits(32)
    }

    /// Says what differs from this plan in one that was made later; ids and addresses stay out of
    /// it.
    pub fn what_moved(&self, now: &Basis) -> String {
        let mut moved = Vec::new();
        if self.config != now.config {
            moved.push("the config of the job or of its accounts was changed".to_owned());
        }
        if self.last_run != now.last_run {
            moved.push("another run has written since".to_owned());
        }
        let (before, after) = (by_label(&self.operations), by_label(&now.operations));
        let labels: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
        let differing: Vec<String> = labels
            .into_iter()
            .filter_map(|label| match (before.get(label), after.get(label)) {
                (Some(before), Some(after)) if before == after => None,
                (Some(_), Some(_)) => Some(format!(
                    "{label} would concern other people, other values, or objects that were changed since"
                )),
                (Some(_), None) => Some(format!("{label} is not needed any more")),
                _ => Some(format!("{label} is new")),
            })
            .collect();
        let more = differing.len().saturating_sub(NAMED);
        moved.extend(differing.into_iter().take(NAMED));
        if more > 0 {
            moved.push(format!("{more} more operations differ"));
        }
        if moved.is_empty() {
            moved.push("the order of its operations is another one".to_owned());
        }
        moved.join("; ")
    }
}

fn by_label(operations: &[OperationPrint]) -> BTreeMap<&str, Vec<&str>> {
    let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for operation in operations {
        found
            .entry(&operation.label)
            .or_default()
            .push(&operation.print);
    }
    for prints in found.values_mut() {
        prints.sort_unstable();
    }
    found
}

/// So many operations are printed together.
const TOGETHER: usize = 64;
/// The people of so many numbers are printed together: what is read of them stays at hand for the
/// next operation, where the same people are often found again.
const NEIGHBOURS: u32 = 4096;

/// Takes the prints of some operations: their values, and the versions of the groups and the people
/// that they touch. So many `neighbours` are looked at together, which no print shows.
pub(super) fn prints_of(
    inputs: &Inputs<'_>,
    plan: &Plan,
    edits: &[Edit],
    neighbours: u32,
) -> Vec<String> {
    let mut open: Vec<(Print, &[PersonIx])> = edits
        .iter()
        .map(|edit| (begin(inputs, plan, edit), edit.members()))
        .collect();
    let mut end = neighbours;
    loop {
        let mut next: Option<u32> = None;
        for (print, left) in &mut open {
            // In the order of the operation, whatever that is.
            let some = left.iter().take_while(|person| person.0 < end).count();
            for person in &left[..some] {
                print.person(inputs, *person);
            }
            *left = &left[some..];
            if let Some(first) = left.first() {
                next = Some(next.map_or(first.0, |next| next.min(first.0)));
            }
        }
        let Some(next) = next else { break };
        end = next.saturating_add(neighbours);
    }
    open.into_iter().map(|(print, _)| print.end()).collect()
}

/// Begins the print of an operation with all that it holds but its people.
fn begin(inputs: &Inputs<'_>, plan: &Plan, edit: &Edit) -> Print {
    let mut print = Print::default();
    print.text(edit.op());
    if let Some(pair) = edit.pair() {
        let pair = plan.pair(pair);
        print.text(pair.source.as_deref().unwrap_or(""));
        print.text(pair.target.as_deref().unwrap_or(""));
        print.text(&pair.name);
        if let Some(group) = pair
            .target
            .as_deref()
            .and_then(|id| inputs.target.group(id))
        {
            // What the provider computes by itself, such as counts and dates, is no version.
            let fields = group.wire.iter().filter(|(field, _)| {
                let spec = inputs.target_schema.by_wire(ObjectKind::Group, field);
                spec.is_none_or(|spec| spec.writable != Writable::No)
            });
            let fields = fields.map(|(field, value)| (field.clone(), value.clone()));
            print.record(&fields.collect());
        }
    }
    match edit {
        Edit::BringBack { .. } => print.text("back"),
        Edit::CreateCustomField { label } => print.text(label),
        Edit::RenameGroup { fields, via, .. } => {
            print.record(fields);
            print.text(via.as_deref().unwrap_or(""));
        }
        Edit::CreateGroup { fields, .. }
        | Edit::AdoptGroup { fields, .. }
        | Edit::UpdateGroup { fields, .. }
        | Edit::UpdateMember { fields, .. } => print.record(fields),
        Edit::ChangeAddress { from, to, .. } => {
            print.text(from);
            print.text(to);
        }
        Edit::ArchiveGroup {
            lift_protection, ..
        }
        | Edit::DeleteGroup {
            lift_protection, ..
        } => print.text(if *lift_protection { "lift" } else { "" }),
        Edit::SetOptOut { .. }
        | Edit::CreateMembers { .. }
        | Edit::AddMemberships { .. }
        | Edit::RemoveMemberships { .. } => {}
    }
    print
}

/// So many bytes are hashed at once. A membership has some seventy, in a handful of parts, and hashing
/// them part by part takes several times as long.
const AT_ONCE: usize = 64 * 1024;

/// A print in the making.
#[derive(Default)]
struct Print {
    hasher: blake3::Hasher,
    /// What is not hashed yet.
    waiting: Vec<u8>,
}

impl Print {
    fn end(self) -> String {
        self.digits(16)
    }

    fn digits(mut self, count: usize) -> String {
        self.hasher.update(&self.waiting);
        self.hasher.finalize().to_hex()[..count].to_owned()
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() >= AT_ONCE {
            self.hasher.update(&self.waiting);
            self.waiting.clear();
        }
    }

    fn text(&mut self, text: &str) {
        self.bytes(&(text.len() as u64).to_le_bytes());
        self.bytes(text.as_bytes());
    }

    fn record(&mut self, record: &Record) {
        self.bytes(&row_hash("", record).to_le_bytes());
    }

    /// Adds the person with the versions of its rows at both sides.
    fn person(&mut self, inputs: &Inputs<'_>, person: PersonIx) {
        let row = inputs.people.get(person);
        self.text(inputs.names.text(row.address));
        self.bytes(&[row.source_status as u8, row.target_status as u8]);
        if let Some(facts) = inputs.facts.get(&person) {
            self.bytes(&facts.desired_hash.to_le_bytes());
        }
        for (snapshot, rows) in [
            (inputs.source, inputs.people.sources(person)),
            (inputs.target, inputs.people.targets(person)),
        ] {
            for at in rows {
                let member = &snapshot.members[*at as usize];
                self.text(inputs.names.text(member.id));
                self.bytes(&member.hash.unwrap_or(0).to_le_bytes());
            }
        }
    }
}
