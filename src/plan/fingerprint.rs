//! What identifies a plan: the settled config of the job, the operations, the objects they touch,
//! and the last run that wrote.
//!
//! Counters, dates and the order of reading stay out of it.

use super::seats::departures;
use super::{Edit, Inputs, PersonIx, Plan};
use crate::model::{Record, row_hash};

/// Computes the fingerprint of a plan.
pub(super) fn fingerprint(inputs: &Inputs<'_>, plan: &Plan) -> String {
    let mut print = Print(blake3::Hasher::new());
    print.text(&inputs.policy.config_hash);
    print.text(inputs.base.last_writing_run.as_deref().unwrap_or(""));
    for edit in &plan.operations {
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
                print.record(&group.wire);
            }
        }
        match edit {
            Edit::BringBack { .. } => print.text("back"),
            Edit::CreateCustomField { label } => print.text(label),
            Edit::CreateGroup { fields, .. }
            | Edit::AdoptGroup { fields, .. }
            | Edit::UpdateGroup { fields, .. }
            | Edit::RenameGroup { fields, .. }
            | Edit::UpdateMember { fields, .. } => print.record(fields),
            Edit::ChangeAddress { from, to, .. } => {
                print.text(from);
                print.text(to);
            }
            Edit::SetOptOut { .. }
            | Edit::CreateMembers { .. }
            | Edit::AddMemberships { .. }
            | Edit::RemoveMemberships { .. }
            | Edit::ArchiveGroup { .. }
            | Edit::DeleteGroup { .. } => {}
        }
        for person in edit.members() {
            print.person(inputs, *person);
        }
    }
    // Where joining a group is leaving another, the one that is left belongs to the operation.
    for (group, people) in departures(inputs, &plan.operations, &plan.pairs) {
        print.text(&group);
        for person in people {
            print.person(inputs, person);
        }
    }
    print.0.finalize().to_hex()[..32].to_owned()
}

struct Print(blake3::Hasher);

impl Print {
    fn text(&mut self, text: &str) {
        self.0.update(&(text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
    }

    fn record(&mut self, record: &Record) {
        self.0.update(&row_hash("", record).to_le_bytes());
    }

    /// Adds the person with the versions of its rows at both sides.
    fn person(&mut self, inputs: &Inputs<'_>, person: PersonIx) {
        let row = inputs.people.get(person);
        self.text(inputs.names.text(row.address));
        self.0
            .update(&[row.source_status as u8, row.target_status as u8]);
        if let Some(facts) = inputs.facts.get(&person) {
            self.0.update(&facts.desired_hash.to_le_bytes());
        }
        for (snapshot, rows) in [
            (inputs.source, inputs.people.sources(person)),
            (inputs.target, inputs.people.targets(person)),
        ] {
            for at in rows {
                let member = &snapshot.members[*at as usize];
                self.text(inputs.names.text(member.id));
                self.0.update(&member.hash.unwrap_or(0).to_le_bytes());
            }
        }
    }
}
