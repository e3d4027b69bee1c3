//! A plan as a program reads it: version 1 of the plan format.
//!
//! There is no clock and no run id in it, so that equal plans are equal files.

use std::cell::RefCell;
use std::io::{self, Write};

use serde::ser::{Serialize, SerializeStruct, Serializer};
use serde_json::json;

use super::json::{
    BlockedRow, Counts, FORMAT_VERSION, LossRow, RefusalRow, Requests, write_document,
};
use super::run_json::{JobResult, write_run_json};
use super::seal::{Seal, Sealing};
use super::undo::NotUndoneRow;
use super::view::{self, Marks, changed_outside};
use crate::model::Record;
use crate::plan::{Basis, Edit, PersonIx, What, Withheld};
use crate::run::{Narrowed, Planned};

/// Writes a plan as JSON, operation by operation.
///
/// # Errors
/// What writing to `out` says.
pub fn write_plan_json(out: &mut dyn Write, planned: &Planned) -> io::Result<()> {
    let print = RefCell::default();
    let mut out = Sealing::new(out, &print);
    write_document(
        &mut out,
        &Document {
            planned,
            seal: Seal(&print),
        },
    )
}

/// Writes the plans of several jobs as a list, one after the other, so that no two of them are held
/// at once. Each is sealed for itself.
#[derive(Debug, Default)]
pub struct PlanList {
    has_begun: bool,
}

impl PlanList {
    /// Writes a plan.
    ///
    /// # Errors
    /// What writing to `out` says.
    pub fn plan(&mut self, out: &mut dyn Write, planned: &Planned) -> io::Result<()> {
        self.next(out)?;
        write_plan_json(out, planned)
    }

    /// Writes why a job could not be planned.
    ///
    /// # Errors
    /// What writing to `out` says.
    pub fn failure(&mut self, out: &mut dyn Write, failure: &JobResult) -> io::Result<()> {
        self.next(out)?;
        write_run_json(out, failure)
    }

    /// Ends the list.
    ///
    /// # Errors
    /// What writing to `out` says.
    pub fn end(mut self, out: &mut dyn Write) -> io::Result<()> {
        if !self.has_begun {
            self.begin(out)?;
        }
        writeln!(out, "]}}")
    }

    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.has_begun = true;
        write!(out, "{{\n \"version\":{FORMAT_VERSION},\n \"plans\":[")
    }

    fn next(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.has_begun {
            return writeln!(out, ",");
        }
        self.begin(out)?;
        writeln!(out)
    }
}

struct Document<'a> {
    planned: &'a Planned,
    seal: Seal<'a>,
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let planned = self.planned;
        let plan = &planned.plan;
        let mut document = serializer.serialize_struct("plan", 20)?;
        document.serialize_field("version", &FORMAT_VERSION)?;
        document.serialize_field("job", &plan.job)?;
        document.serialize_field("fingerprint", &plan.fingerprint)?;
        if let Some(narrowed) = &planned.narrowed {
            document.serialize_field("only", &narrowed.only)?;
            document.serialize_field("unconcerned", &narrowed.unconcerned)?;
            document.serialize_field("whole", &Whole::new(narrowed, planned.undoing.is_some()))?;
        }
        document.serialize_field("summary", &Summary::new(planned))?;
        document.serialize_field("operations", &Operations(planned, &Marks::of(plan)))?;
        document.serialize_field(
            "withheld",
            &Rows(|| {
                plan.withheld
                    .iter()
                    .map(|row| WithheldRow::new(planned, row))
            }),
        )?;
        document.serialize_field(
            "blocked",
            &Rows(|| {
                let rows = plan.blocked.iter();
                rows.map(|blocked| BlockedRow::new(blocked, &plan.job, &planned.accepted))
            }),
        )?;
        document.serialize_field(
            "refusals",
            &Rows(|| plan.refusals.iter().map(RefusalRow::new)),
        )?;
        document.serialize_field(
            "changed_outside",
            &Rows(|| changed_outside(planned).map(OutsideRow)),
        )?;
        document.serialize_field("losses", &Rows(|| plan.losses.iter().map(LossRow::new)))?;
        document.serialize_field("warnings", &plan.warnings)?;
        document.serialize_field("source", &plan.source)?;
        document.serialize_field("target", &plan.target)?;
        document.serialize_field("first_run", &planned.first_run)?;
        document.serialize_field("waiting_opt_outs", &plan.waiting_opt_outs)?;
        if let Some(undoing) = &planned.undoing {
            document.serialize_field("undo", &undoing.run)?;
            document.serialize_field("did", &undoing.did)?;
            document.serialize_field("undone", &undoing.undone)?;
            document.serialize_field("with_groups", &undoing.with_groups)?;
            document.serialize_field(
                "not_undone",
                &Rows(|| undoing.left.iter().map(NotUndoneRow::new)),
            )?;
        }
        // A part is for looking at, and what identifies the whole is of no use with it.
        if planned.narrowed.is_none() {
            document.serialize_field("basis", &BasisRow(&plan.basis))?;
        }
        document.serialize_field("seal", &self.seal)?;
        document.end()
    }
}

/// What the fingerprint is made of, for telling what moved; one print per operation, in their order.
struct BasisRow<'a>(&'a Basis);

impl Serialize for BasisRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Basis {
            config,
            last_run,
            operations,
        } = self.0;
        let mut row = serializer.serialize_struct("basis", 3)?;
        row.serialize_field("config", config)?;
        row.serialize_field("last_run", last_run)?;
        row.serialize_field(
            "operations",
            &Rows(|| {
                let rows = operations.iter();
                rows.map(|operation| [&operation.label, &operation.print])
            }),
        )?;
        row.end()
    }
}

/// A list whose rows are made while it is written.
struct Rows<F>(F);

impl<F, I> Serialize for Rows<F>
where
    F: Fn() -> I,
    I: Iterator,
    I::Item: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0())
    }
}

#[derive(serde::Serialize)]
struct Summary<'a> {
    #[serde(flatten)]
    counts: Counts,
    withheld: usize,
    blocked: usize,
    changed_outside: usize,
    losses: usize,
    #[serde(flatten)]
    cost: Option<Costs<'a>>,
}

/// What applying the whole plan costs.
#[derive(serde::Serialize)]
struct Costs<'a> {
    requests: &'a Requests,
    reads: &'a Requests,
    estimated_seconds: u64,
}

/// The numbers of the whole plan of which a part is shown.
#[derive(serde::Serialize)]
struct Whole {
    #[serde(flatten)]
    counts: Counts,
    operations: usize,
    withheld: usize,
    blocked: usize,
    changed_outside: usize,
    losses: usize,
    warnings: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_undone: Option<usize>,
}

impl Whole {
    fn new(narrowed: &Narrowed, undoes: bool) -> Whole {
        let of = narrowed.of;
        Whole {
            counts: Counts::new(&narrowed.whole),
            operations: of.operations,
            withheld: of.withheld,
            blocked: of.blocked,
            changed_outside: of.changed_outside,
            losses: of.losses,
            warnings: of.warnings,
            not_undone: undoes.then_some(of.not_undone),
        }
    }
}

impl<'a> Summary<'a> {
    fn new(planned: &'a Planned) -> Summary<'a> {
        let plan = &planned.plan;
        Summary {
            counts: Counts::new(&plan.summary),
            withheld: plan.withheld.len(),
            blocked: plan.blocked.len(),
            changed_outside: plan.changed_outside.len(),
            losses: plan.losses.len(),
            cost: planned.narrowed.is_none().then_some(Costs {
                requests: &planned.cost.requests,
                reads: &planned.cost.reads,
                estimated_seconds: planned.cost.estimated_seconds,
            }),
        }
    }
}

#[derive(serde::Serialize)]
struct WithheldRow<'a> {
    what: &'static str,
    group: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<&'a str>,
    reason: &'static str,
}

impl<'a> WithheldRow<'a> {
    fn new(planned: &'a Planned, row: &Withheld) -> WithheldRow<'a> {
        let what = if row.member.is_some() {
            What::Membership
        } else {
            What::Group
        };
        WithheldRow {
            what: what.as_str(),
            group: &planned.plan.pair(row.pair).name,
            member: row.member.map(|member| planned.member(member)),
            reason: row.reason.as_str(),
        }
    }
}

/// One value that somebody changed at the target since the last run.
struct OutsideRow<'a>(view::OutsideRow<'a>);

impl Serialize for OutsideRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let view::OutsideRow {
            group,
            group_id,
            member,
            field,
            changed,
        } = &self.0;
        let what = match (member, field) {
            (Some(_), None) => What::Membership,
            (Some(_), Some(_)) => What::Member,
            (None, _) => What::Group,
        };
        let mut row = serializer.serialize_struct("changed", 8)?;
        row.serialize_field("what", what.as_str())?;
        if let Some(group) = group {
            row.serialize_field("group", group)?;
        }
        if let Some(id) = group_id {
            row.serialize_field("id", id)?;
        }
        if let Some(member) = member {
            row.serialize_field("member", member)?;
        }
        if let Some(field) = field {
            row.serialize_field("field", field)?;
            row.serialize_field("base", &changed.base)?;
            row.serialize_field("now", &changed.now)?;
            row.serialize_field("wanted", &changed.wanted)?;
        }
        row.serialize_field("fate", changed.fate.as_str())?;
        row.end()
    }
}

struct Operations<'a>(&'a Planned, &'a Marks<'a>);

impl Serialize for Operations<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Operations(planned, marks) = *self;
        serializer.collect_seq(
            planned
                .plan
                .operations
                .iter()
                .enumerate()
                .map(|(at, edit)| Operation {
                    seq: at + 1,
                    edit,
                    planned,
                    marks,
                }),
        )
    }
}

struct Operation<'a> {
    seq: usize,
    edit: &'a Edit,
    planned: &'a Planned,
    marks: &'a Marks<'a>,
}

impl Operation<'_> {
    /// Says which of the values or the people of an operation undo somebody's doing at the target.
    fn mark<R: SerializeStruct>(&self, row: &mut R) -> Result<(), R::Error> {
        let (planned, marks) = (self.planned, self.marks);
        let marked: Vec<&str> = match self.edit {
            Edit::UpdateGroup { fields, .. }
            | Edit::RenameGroup { fields, .. }
            | Edit::UpdateMember { fields, .. } => {
                let fields = fields.keys().map(AsRef::as_ref);
                fields
                    .filter(|field| marks.has_field(self.edit, field))
                    .collect()
            }
            Edit::ChangeAddress { member, .. } if marks.has_address(*member) => vec!["address"],
            Edit::AddMemberships { pair, members } | Edit::BringBack { pair, members } => {
                let back = members.iter();
                back.filter(|person| marks.has_membership(*pair, **person))
                    .map(|person| planned.member(*person))
                    .collect()
            }
            _ => return Ok(()),
        };
        if marked.is_empty() {
            return Ok(());
        }
        row.serialize_field("changed_outside", &marked)
    }
}

impl Serialize for Operation<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let planned = self.planned;
        let mut row = serializer.serialize_struct("operation", 10)?;
        row.serialize_field("seq", &self.seq)?;
        row.serialize_field("op", self.edit.op())?;
        if let Some(pair) = self.edit.pair().map(|pair| planned.plan.pair(pair)) {
            row.serialize_field("group", &pair.name)?;
            if let Some(id) = &pair.target {
                row.serialize_field("id", id)?;
            }
            if let Some(id) = &pair.source {
                row.serialize_field("source_id", id)?;
            }
        }
        match self.edit {
            Edit::CreateCustomField { label } => row.serialize_field("label", label)?,
            Edit::CreateGroup { fields, .. } => row.serialize_field("fields", fields)?,
            Edit::AdoptGroup { fields, before, .. } | Edit::UpdateGroup { fields, before, .. } => {
                changed(&mut row, fields, before)?;
            }
            Edit::RenameGroup {
                from,
                to,
                via,
                fields,
                before,
                ..
            } => {
                row.serialize_field("from", from)?;
                row.serialize_field("to", to)?;
                if let Some(via) = via {
                    row.serialize_field("via", via)?;
                }
                changed(&mut row, fields, before)?;
            }
            Edit::ArchiveGroup {
                lift_protection, ..
            }
            | Edit::DeleteGroup {
                lift_protection, ..
            } => {
                row.serialize_field("lift_protection", lift_protection)?;
            }
            Edit::SetOptOut { pair, members, .. } => {
                row.serialize_field("scope", if pair.is_some() { "group" } else { "account" })?;
                row.serialize_field("members", &Members(planned, members))?;
            }
            Edit::CreateMembers {
                members,
                to_opt_out,
            } => {
                row.serialize_field("members", &Members(planned, members))?;
                if *to_opt_out {
                    row.serialize_field("to_opt_out", to_opt_out)?;
                }
                row.serialize_field(
                    "rows",
                    &Rows(|| {
                        members.iter().map(|member| NewMember {
                            planned,
                            member: *member,
                        })
                    }),
                )?;
            }
            Edit::UpdateMember {
                member,
                fields,
                before,
            } => {
                row.serialize_field("member", planned.member(*member))?;
                changed(&mut row, fields, before)?;
            }
            Edit::ChangeAddress {
                member, from, to, ..
            } => {
                row.serialize_field("member", planned.member(*member))?;
                row.serialize_field("from", from)?;
                row.serialize_field("to", to)?;
            }
            Edit::BringBack { members, .. } => {
                row.serialize_field("members", &Members(planned, members))?;
                row.serialize_field("back", &true)?;
            }
            Edit::AddMemberships { members, .. } | Edit::RemoveMemberships { members, .. } => {
                row.serialize_field("members", &Members(planned, members))?;
            }
        }
        self.mark(&mut row)?;
        row.end()
    }
}

fn changed<R: SerializeStruct>(
    row: &mut R,
    fields: &Record,
    before: &Record,
) -> Result<(), R::Error> {
    row.serialize_field("fields", fields)?;
    row.serialize_field("before", before)
}

struct Members<'a>(&'a Planned, &'a [PersonIx]);

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.1.iter().map(|member| self.0.member(*member)))
    }
}

struct NewMember<'a> {
    planned: &'a Planned,
    member: PersonIx,
}

impl Serialize for NewMember<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_struct("row", 2)?;
        row.serialize_field("member", self.planned.member(self.member))?;
        match self.planned.created_values.get(&self.member) {
            Some(fields) => row.serialize_field("fields", fields)?,
            None => row.serialize_field("fields", &json!({}))?,
        }
        row.end()
    }
}
