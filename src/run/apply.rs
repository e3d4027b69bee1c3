//! Applies a plan: journal, send, settle, read back, go on or stop.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::accounts::Handle;
use super::prepare::{Prepared, freshly_blocked, measure};
use super::verify::{group_now, people_now};
use super::{ItemFailure, Outcome, RunError, RunReport, Runner};
use crate::config::settled::JobConfig;
use crate::http::CallError;
use crate::model::{
    FieldType, GroupEdit, ItemOutcome, MemberEdit, MemberStatus, MemberValues, MembershipState, ObjectKind, Refusal, Settlement, Value,
    Write,
};
use crate::plan::pack::Step;
use crate::plan::{PairIx, PersonIx, item_key};
use crate::state::{Change, FailureNote, JournalEntry, JournalId, JournalItem, JournalOutcome, RunEnd, RunItem};

/// How often a write of unknown outcome is read back and sent again.
const ATTEMPTS: u32 = 3;
/// How long the provider may take until a write shows, in seconds before each further look.
const PATIENCE: [u64; 3] = [5, 15, 40];
/// A listing older than this is read again before its group is written.
const FRESH: Duration = Duration::from_secs(600);

/// One item of a write, in the words of the plan.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) op: &'static str,
    pub(super) pair: Option<PairIx>,
    /// The groups that a creation or an opt-out is for.
    pub(super) joins: Vec<PairIx>,
    pub(super) person: Option<PersonIx>,
    pub(super) target_id: Option<String>,
    /// What else identifies it, such as the name of a created group.
    pub(super) detail: Option<String>,
}

/// A write of which some item still has to be read back.
struct Open {
    journal: JournalId,
    write: Write,
    items: Vec<Item>,
    outcomes: Vec<JournalOutcome>,
    /// What the provider said against an item that may stand all the same, such as somebody who is a member already.
    objections: Vec<Option<Refusal>>,
}

pub(super) struct Applying<'a> {
    pub(super) runner: &'a Runner,
    pub(super) job: &'a JobConfig,
    pub(super) prepared: Prepared,
    handle: Arc<Handle>,
    run: &'a str,
    group_ids: BTreeMap<PairIx, String>,
    person_ids: HashMap<PersonIx, String>,
    /// People whose creation was accepted and whose id is not proved yet.
    unproved: BTreeSet<PersonIx>,
    /// What failed and takes later steps with it.
    lost_people: HashSet<PersonIx>,
    lost_groups: HashSet<PairIx>,
    open: Vec<Open>,
    checked: HashSet<PairIx>,
    /// People counted as created; one who joins several groups may be named by several requests.
    counted: HashSet<PersonIx>,
    report: RunReport,
    failures: Vec<FailureNote>,
    history: Vec<RunItem>,
    wrote: bool,
}

impl Runner {
    /// Applies a prepared plan that no guard refuses, and says how it went.
    pub(super) async fn carry_out(&self, job: &JobConfig, id: &str, started: Timestamp, prepared: Prepared) -> Result<RunReport, RunError> {
        let handle = self.handle(&job.target)?;
        let before = handle.account.statistics();
        let report = RunReport { waiting_opt_outs: 0, ..prepared.report(job, id, started, started, Outcome::Done) };
        let mut applying = Applying {
            runner: self,
            job,
            handle: handle.clone(),
            run: id,
            group_ids: BTreeMap::new(),
            person_ids: HashMap::new(),
            unproved: BTreeSet::new(),
            lost_people: HashSet::new(),
            lost_groups: HashSet::new(),
            open: Vec::new(),
            checked: HashSet::new(),
            counted: HashSet::new(),
            report,
            failures: Vec::new(),
            history: Vec::new(),
            wrote: false,
            prepared,
        };
        let result = applying.run().await;
        let after = handle.account.statistics();
        applying.report.requests.insert(job.target.clone(), after.writes - before.writes);
        *applying.report.reads.entry(job.target.clone()).or_default() += after.reads - before.reads;
        applying.finish(result)
    }
}

impl Applying<'_> {
    async fn run(&mut self) -> Result<(), RunError> {
        let steps = std::mem::take(&mut self.prepared.steps);
        let total = steps.len() as u64;
        let store = self.runner.store();
        store.record(&self.agreement()?)?;
        store.record(&self.refresh()?)?;
        if total > 0 {
            self.runner.inner.options.progress.stage(&self.job.name, &format!("Writing to {}", self.job.target));
        }
        for (done, step) in steps.into_iter().enumerate() {
            self.before_step(&step).await?;
            let defines_field = matches!(step, Step::CreateCustomField { .. });
            if let Some((write, items)) = self.resolve(step)? {
                self.execute(write, items).await?;
            }
            if defines_field {
                self.bind_anew().await?;
            }
            self.runner.inner.options.progress.advance(&self.job.name, done as u64 + 1, total);
        }
        if !self.open.is_empty() {
            self.runner.inner.options.progress.stage(&self.job.name, "Reading back");
            self.read_back().await?;
        }
        Ok(())
    }

    /// Custom fields that were just created have names of their own at the provider.
    async fn bind_anew(&mut self) -> Result<(), RunError> {
        let error = |error| RunError::Read { provider: self.handle.name.clone(), error };
        let source = self.runner.handle(&self.job.source)?;
        let source_custom = source.adapter.custom_fields().await.map_err(error)?;
        let target_custom = self.handle.adapter.custom_fields().await.map_err(error)?;
        let mapping = super::read::compile(self.runner, self.job)?;
        self.prepared.sides.mapping = mapping.bind(&source_custom, &target_custom).0;
        self.prepared.sides.target_custom = target_custom;
        Ok(())
    }

    pub(super) fn group_id(&self, pair: PairIx) -> Option<String> {
        self.group_ids.get(&pair).cloned().or_else(|| self.prepared.planned.plan.pair(pair).target.clone())
    }

    fn ids(&self, person: PersonIx) -> Vec<String> {
        if let Some(id) = self.person_ids.get(&person) {
            return vec![id.clone()];
        }
        let planned = &self.prepared.planned;
        planned
            .people
            .targets(person)
            .iter()
            .map(|at| planned.text(self.prepared.sides.target.members[*at as usize].id).to_owned())
            .collect()
    }

    fn address(&self, person: PersonIx) -> String {
        self.prepared.planned.address(person).to_owned()
    }

    /// Before people are written by id, the ids of those just created are proved by reading; before a group is written, a
    /// listing that is old is read again.
    async fn before_step(&mut self, step: &Step) -> Result<(), RunError> {
        if self.runner.inner.options.stop.is_cancelled() {
            return Err(RunError::Stopped);
        }
        let by_id: Vec<PersonIx> = match step {
            Step::AddMemberships { members, .. } | Step::RemoveMemberships { members, .. } | Step::OptOutOfAccount { members } => {
                members.clone()
            }
            Step::UpdateMembers { edits } => edits.iter().map(|(person, _)| *person).collect(),
            Step::OptOutOfGroups { member, .. } => vec![*member],
            _ => Vec::new(),
        };
        if by_id.iter().any(|person| self.unproved.contains(person)) {
            self.prove_creations().await?;
        }
        let pairs: Vec<PairIx> = match step {
            Step::AddMemberships { pair, .. } => vec![*pair],
            Step::CreateMembers { join, .. } => join.clone(),
            _ => Vec::new(),
        };
        let old = self.handle.account.now().duration_since(self.prepared.sides.target_read_at) > FRESH;
        for pair in pairs {
            if old && !self.checked.contains(&pair) && self.prepared.planned.plan.pair(pair).target.is_some() {
                self.look_again(pair).await?;
            }
        }
        Ok(())
    }

    /// Takes everybody out of the plan who has appeared in a group since it was listed (rule 1).
    async fn look_again(&mut self, pair: PairIx) -> Result<(), RunError> {
        let Some(group) = self.group_id(pair) else { return Ok(()) };
        let now = group_now(&self.handle, &group).await?;
        if !now.whole {
            self.lost_groups.insert(pair);
            return Ok(());
        }
        let people = &self.prepared.planned.people;
        for (person, _) in people.iter() {
            let listed = self.ids(person).iter().any(|id| now.by_id.contains_key(id))
                || now.by_address.contains_key(self.prepared.planned.address(person));
            let before = people
                .targets(person)
                .iter()
                .any(|at| self.prepared.sides.target.listing(&group).is_some_and(|listing| listing.seen().state_of(*at).is_some()));
            if listed && !before {
                self.lost_people.insert(person);
            }
        }
        self.checked.insert(pair);
        Ok(())
    }

    /// Turns a step into a write with the ids that are known by now; nothing when all it was for has failed before.
    fn resolve(&mut self, step: Step) -> Result<Option<(Write, Vec<Item>)>, RunError> {
        let item = |op, pair, person| Item { op, pair, joins: Vec::new(), person, target_id: None, detail: None };
        Ok(match step {
            Step::CreateCustomField { label } => {
                let kind = self
                    .prepared
                    .sides
                    .mapping
                    .missing_custom()
                    .into_iter()
                    .find(|field| field.label == label)
                    .map_or(FieldType::Text, |field| field.kind);
                let detail = Some(label.clone());
                Some((Write::CreateCustomField { label, kind }, vec![Item { detail, ..item("create_field", None, None) }]))
            }
            Step::CreateGroup { pair, fields } => {
                let name = self.prepared.planned.plan.pair(pair).name.clone();
                let detail = Some(name.clone());
                Some((Write::CreateGroup { name, fields }, vec![Item { detail, ..item("create_group", Some(pair), None) }]))
            }
            Step::EditGroups { edits, ops } => {
                let mut groups = Vec::new();
                let mut items = Vec::new();
                for ((pair, fields), op) in edits.into_iter().zip(ops) {
                    let Some(id) = self.group_id(pair) else { continue };
                    let current = self.prepared.sides.target_rows.get(&id).map(|row| row.wire.clone()).unwrap_or_default();
                    // Later requests that replace what they do not name have to see this one's values.
                    if let Some(row) = self.prepared.sides.target_rows.get_mut(&id) {
                        row.wire.extend(fields.clone());
                    }
                    groups.push(GroupEdit { id, fields, current });
                    items.push(item(op, Some(pair), None));
                }
                (!groups.is_empty()).then_some((Write::EditGroups { edits: groups }, items))
            }
            Step::DeleteGroup { pair } => {
                self.group_id(pair).map(|id| (Write::DeleteGroup { id }, vec![item("delete_group", Some(pair), None)]))
            }
            Step::CreateMembers { members, join } => {
                let join: Vec<PairIx> = join.into_iter().filter(|pair| !self.lost_groups.contains(pair)).collect();
                let groups: Option<Vec<String>> = join.iter().map(|pair| self.group_id(*pair)).collect();
                let Some(groups) = groups else { return Ok(None) };
                let mut rows = Vec::new();
                let mut items = Vec::new();
                for person in members.into_iter().filter(|person| !self.lost_people.contains(person)) {
                    let fields = self.prepared.sides.mapping.member(&self.canonical(person)?).fields;
                    rows.push(MemberValues { address: self.address_there(person)?, fields });
                    items.push(Item { joins: join.clone(), ..item("create_members", None, Some(person)) });
                }
                let lost_all = !join.is_empty() && groups.is_empty();
                (!rows.is_empty() && !lost_all).then_some((Write::CreateMembers { rows, join: groups }, items))
            }
            Step::UpdateMembers { edits } => {
                let fresh = edits.iter().all(|(_, fields)| fields.is_none());
                let mut rows = Vec::new();
                let mut items = Vec::new();
                for (person, fields) in edits.into_iter().filter(|(person, _)| !self.lost_people.contains(person)) {
                    let fields = match fields {
                        Some(fields) => fields,
                        None => self.prepared.sides.mapping.member(&self.canonical(person)?).fields,
                    };
                    let Some(id) = self.ids(person).into_iter().next() else { continue };
                    if fields.is_empty() {
                        continue;
                    }
                    rows.push(MemberEdit { id: id.clone(), address: self.address_there(person)?, fields });
                    items.push(Item { target_id: Some(id), ..item("update_member", None, Some(person)) });
                }
                if fresh && self.prepared.capabilities.batches.update_same_fields {
                    // People who were just created hold nothing that an empty value could wipe out.
                    let all: BTreeSet<String> = rows.iter().flat_map(|row| row.fields.keys().cloned()).collect();
                    for row in &mut rows {
                        for field in &all {
                            row.fields.entry(field.clone()).or_insert_with(|| Value::from(""));
                        }
                    }
                }
                (!rows.is_empty()).then_some((Write::UpdateMembers { edits: rows }, items))
            }
            Step::ChangeAddress { member, to } => self.ids(member).into_iter().next().map(|id| {
                let target_id = Some(id.clone());
                (Write::ChangeAddress { id, address: to }, vec![Item { target_id, ..item("change_address", None, Some(member)) }])
            }),
            Step::AddMemberships { pair, members } => self.membership(pair, members, "add_memberships"),
            Step::RemoveMemberships { pair, members } => self.membership(pair, members, "remove_memberships"),
            Step::OptOutOfAccount { members } => {
                let mut ids = Vec::new();
                let mut items = Vec::new();
                for person in members.into_iter().filter(|person| !self.lost_people.contains(person)) {
                    for id in self.ids(person) {
                        items.push(Item { target_id: Some(id.clone()), ..item("set_opt_out", None, Some(person)) });
                        ids.push(id);
                    }
                }
                (!ids.is_empty()).then_some((Write::OptOutOfAccount { members: ids }, items))
            }
            Step::CreateOptedOut { member } => {
                Some((Write::CreateOptedOut { address: self.address(member) }, vec![item("create_members", None, Some(member))]))
            }
            Step::OptOutOfGroups { member, pairs } => {
                let groups: Vec<String> = pairs.iter().filter_map(|pair| self.group_id(*pair)).collect();
                let ids = self.ids(member);
                if groups.is_empty() || self.lost_people.contains(&member) {
                    return Ok(None);
                }
                // Somebody with several contacts refuses with each of them; the first goes with this step.
                ids.first().cloned().map(|id| {
                    let target_id = Some(id.clone());
                    (
                        Write::OptOutOfGroups { member: id, groups },
                        vec![Item { joins: pairs, target_id, ..item("set_opt_out", None, Some(member)) }],
                    )
                })
            }
        })
    }

    /// Returns the address as the target spells it, for requests that go by address: an address in another spelling, such as
    /// one with an international domain, may be somebody new to the provider.
    fn address_there(&self, person: PersonIx) -> Result<String, RunError> {
        let row = self.prepared.planned.people.get(person);
        let moved = row.moves_from.is_some() && !row.address_taken;
        let field = self.prepared.schema.by_canonical(ObjectKind::Member, "email").map_or("email", |spec| spec.wire);
        let held = super::persons::current(&self.prepared.sides, &self.prepared.planned.people, person)?;
        // Address changes come before everything else that goes by address.
        match held.get(field).filter(|_| !moved) {
            Some(spelling) => Ok(spelling.to_string().trim().to_owned()),
            None => Ok(self.address(person)),
        }
    }

    fn membership(&self, pair: PairIx, members: Vec<PersonIx>, op: &'static str) -> Option<(Write, Vec<Item>)> {
        let group = self.group_id(pair)?;
        if self.lost_groups.contains(&pair) {
            return None;
        }
        let listing = self.prepared.sides.target.listing(&group);
        let mut ids = Vec::new();
        let mut items = Vec::new();
        for person in members.into_iter().filter(|person| !self.lost_people.contains(person)) {
            for id in self.ids(person) {
                // Of several contacts only those who are in the group leave it.
                let position = self.prepared.planned.names.find(&id).and_then(|name| self.prepared.planned.people.target_position(name));
                let in_group = position.and_then(|at| listing?.seen().state_of(at));
                if op == "remove_memberships" && in_group != Some(MembershipState::Active) {
                    continue;
                }
                items.push(Item {
                    op,
                    pair: Some(pair),
                    joins: Vec::new(),
                    person: Some(person),
                    target_id: Some(id.clone()),
                    detail: None,
                });
                ids.push(id);
            }
        }
        if ids.is_empty() {
            return None;
        }
        let write = match op {
            "add_memberships" => Write::AddMemberships { group, members: ids },
            _ => Write::RemoveMemberships { group, members: ids },
        };
        Some((write, items))
    }

    fn key(&self, item: &Item) -> String {
        let group = item.pair.map(|pair| self.group_id(pair).unwrap_or_else(|| self.prepared.planned.plan.pair(pair).name.clone()));
        let member = item.person.map(|person| self.address(person)).unwrap_or_default();
        item_key(item.op, group.as_deref().unwrap_or(""), &member)
    }

    fn journal_item(&self, item: &Item) -> JournalItem {
        let planned = &self.prepared.planned;
        let joined: Vec<String> = item.joins.iter().filter_map(|pair| self.group_id(*pair)).collect();
        let group = item.pair.and_then(|pair| self.group_id(pair)).or_else(|| (!joined.is_empty()).then(|| joined.join(",")));
        JournalItem {
            key: self.key(item),
            group,
            group_source: item.pair.and_then(|pair| planned.plan.pair(pair).source.clone()),
            member: item.person.map(|person| self.address(person)),
            member_source: item.person.and_then(|person| {
                let at = *planned.people.sources(person).first()?;
                Some(planned.text(self.prepared.sides.source.members[at as usize].id).to_owned())
            }),
            member_id: item.target_id.clone(),
            detail: item.detail.clone(),
        }
    }

    /// Sends a write, and closes in on the item for which a batch is refused.
    async fn execute(&mut self, write: Write, items: Vec<Item>) -> Result<(), RunError> {
        let mut queue = vec![(write, items, 0)];
        while let Some((write, items, attempt)) = queue.pop() {
            if self.runner.inner.options.stop.is_cancelled() {
                return Err(RunError::Stopped);
            }
            let store = self.runner.store();
            let entry = JournalEntry {
                job: self.job.name.clone(),
                account: self.job.target.clone(),
                operation: operation(&write).to_owned(),
                items: items.iter().map(|item| self.journal_item(item)).collect(),
                now: self.runner.now(),
            };
            let journal = store.begin_write(self.run, &entry)?;
            self.wrote = true;
            let error = match self.send(&write).await {
                Ok(outcomes) if outcomes.len() == items.len() => {
                    let unknown = self.settle(journal, &write, &items, outcomes)?;
                    if unknown {
                        self.find_out(journal, write, items, attempt, &mut queue, None).await?;
                    }
                    continue;
                }
                Ok(_) => {
                    self.find_out(journal, write, items, attempt, &mut queue, None).await?;
                    continue;
                }
                Err(error) => error,
            };
            match error {
                CallError::Refused { ref refusal, .. } => {
                    let (code, message) = (refusal.code.clone(), refusal.message.clone());
                    if items.len() == 1 {
                        self.settle_failed(journal, &items, code, &message)?;
                        self.failed(&items[0], Some(refusal.code.clone()), &message);
                    } else {
                        self.find_out(journal, write, items, attempt, &mut queue, Some(message)).await?;
                    }
                }
                error if error.may_have_been_done() => {
                    if attempt + 1 >= ATTEMPTS && items.len() == 1 {
                        self.settle_unknown(journal, &items)?;
                        return Err(self.stopped(&error));
                    }
                    // What fails twice as a whole may pass in halves: one item can be the cause, and so can the size.
                    let in_halves = (attempt > 0 && items.len() > 1).then(|| error.to_string());
                    self.find_out(journal, write, items, attempt, &mut queue, in_halves).await?;
                }
                CallError::LoginExpired { .. } if attempt == 0 => {
                    self.settle_failed(journal, &items, None, "the login had expired; sent again")?;
                    queue.push((write, items, attempt + 1));
                }
                error => {
                    self.settle_failed(journal, &items, None, "not sent")?;
                    return Err(self.stopped(&error));
                }
            }
        }
        Ok(())
    }

    fn stopped(&self, error: &CallError) -> RunError {
        RunError::Write { provider: self.handle.name.clone(), why: error.to_string() }
    }

    /// Sends once, and asks on where the provider goes on working after its answer.
    async fn send(&self, write: &Write) -> Result<Vec<ItemOutcome>, CallError> {
        let mut settlement = self.handle.adapter.send(write).await?;
        let mut pause = Duration::from_secs(1);
        loop {
            match settlement {
                Settlement::Items(outcomes) => return Ok(outcomes),
                Settlement::Pending(ticket) => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(30));
                    settlement = self.handle.adapter.poll(&ticket).await?;
                }
            }
        }
    }

    /// Records what an answer says item by item. Returns whether it says nothing of some of them.
    fn settle(&mut self, journal: JournalId, write: &Write, items: &[Item], outcomes: Vec<ItemOutcome>) -> Result<bool, RunError> {
        let mut journaled = Vec::new();
        let mut changes = Vec::new();
        let mut objections = vec![None; items.len()];
        let mut read_back = false;
        let mut unknown = false;
        for (position, (item, outcome)) in items.iter().zip(outcomes).enumerate() {
            match outcome {
                ItemOutcome::Done { id } => {
                    self.learn(item, id.as_deref(), true);
                    changes.extend(self.confirmed(write, item, position, id.as_deref())?);
                    self.done(item);
                    journaled.push(JournalOutcome::Confirmed { id });
                }
                ItemOutcome::Accepted { id } => {
                    self.learn(item, id.as_deref(), false);
                    read_back = true;
                    journaled.push(JournalOutcome::Accepted { id });
                }
                // Whether a member who is there already is refused or accepted differs; what stands decides.
                ItemOutcome::Refused(refusal) if matches!(write, Write::AddMemberships { .. } | Write::RemoveMemberships { .. }) => {
                    read_back = true;
                    objections[position] = Some(refusal);
                    journaled.push(JournalOutcome::Accepted { id: None });
                }
                ItemOutcome::Refused(refusal) => {
                    self.failed(item, Some(refusal.code.clone()), &refusal.message);
                    journaled.push(JournalOutcome::Failed { code: refusal.code, message: refusal.message });
                }
                ItemOutcome::Unknown => {
                    unknown = true;
                    journaled.push(JournalOutcome::Unknown);
                }
            }
        }
        self.runner.store().settle_write(journal, &journaled, &changes, self.runner.now())?;
        if read_back && !unknown {
            self.open.push(Open { journal, write: write.clone(), items: items.to_vec(), outcomes: journaled, objections });
        }
        Ok(unknown)
    }

    /// Takes note of the id of something created.
    fn learn(&mut self, item: &Item, id: Option<&str>, proved: bool) {
        let Some(id) = id else {
            if let (Some(person), "create_members") = (item.person, item.op) {
                self.unproved.insert(person);
            }
            return;
        };
        match (item.op, item.pair, item.person) {
            ("create_group", Some(pair), _) => {
                self.group_ids.insert(pair, id.to_owned());
            }
            ("create_members", _, Some(person)) => {
                if proved {
                    self.person_ids.insert(person, id.to_owned());
                } else {
                    self.unproved.insert(person);
                }
            }
            _ => {}
        }
    }

    fn settle_failed(&self, journal: JournalId, items: &[Item], code: Option<String>, message: &str) -> Result<(), RunError> {
        let outcome = JournalOutcome::Failed { code, message: message.to_owned() };
        Ok(self.runner.store().settle_write(journal, &vec![outcome; items.len()], &[], self.runner.now())?)
    }

    fn settle_unknown(&self, journal: JournalId, items: &[Item]) -> Result<(), RunError> {
        Ok(self.runner.store().settle_write(journal, &vec![JournalOutcome::Unknown; items.len()], &[], self.runner.now())?)
    }

    /// Finds out by reading which items of a write are done, and queues what is missing: as it is after an unknown outcome,
    /// in halves after a refusal of the whole.
    async fn find_out(
        &mut self,
        journal: JournalId,
        write: Write,
        items: Vec<Item>,
        attempt: u32,
        queue: &mut Vec<(Write, Vec<Item>, u32)>,
        refused: Option<String>,
    ) -> Result<(), RunError> {
        self.settle_unknown(journal, &items)?;
        let done = self.observe(&write, &items).await?;
        let mut outcomes = Vec::new();
        let mut changes = Vec::new();
        for (position, (item, found)) in items.iter().zip(&done).enumerate() {
            match found {
                Some(id) => {
                    self.learn(item, id.as_deref(), true);
                    changes.extend(self.confirmed(&write, item, position, id.as_deref())?);
                    self.done(item);
                    outcomes.push(JournalOutcome::Confirmed { id: id.clone() });
                }
                None => outcomes.push(JournalOutcome::Failed { code: None, message: "not done; sent again".to_owned() }),
            }
        }
        self.runner.store().settle_write(journal, &outcomes, &changes, self.runner.now())?;
        let missing: Vec<bool> = done.iter().map(Option::is_none).collect();
        let Some((write, items)) = keep(write, items, &missing) else { return Ok(()) };
        if attempt + 1 >= ATTEMPTS && items.len() == 1 {
            let message = refused.unwrap_or_else(|| "sent several times, and reading back does not show it".to_owned());
            self.failed(&items[0], None, &message);
            return Ok(());
        }
        if refused.is_some() || attempt + 1 >= ATTEMPTS {
            let half = write.items() / 2;
            let (first, second) = write.halve();
            let mut items = items;
            if let Some(second) = second {
                let rest = items.split_off(half);
                queue.push((second, rest, attempt));
            }
            queue.push((first, items, attempt));
        } else {
            queue.push((write, items, attempt + 1));
        }
        Ok(())
    }

    /// Looks which items of a write stand at the provider now: for each the id of what was created, or nothing when it is
    /// certain that the item is not done.
    async fn observe(&self, write: &Write, items: &[Item]) -> Result<Vec<Option<Option<String>>>, RunError> {
        let uncertain =
            |what: &str| RunError::Write { provider: self.handle.name.clone(), why: format!("{what} could not be read back to its end") };
        let failed = |error| RunError::Read { provider: self.handle.name.clone(), error };
        Ok(match write {
            Write::CreateGroup { name, .. } => {
                let (rows, certificate) = self.handle.adapter.groups(&|_, _| false).await.map_err(failed)?;
                if certificate.certify((), &mut crate::model::TotalMeanings::all()).complete().is_none() {
                    return Err(uncertain("the list of groups"));
                }
                let field = self.prepared.schema.by_canonical(ObjectKind::Group, "name").map_or("name", |spec| spec.wire);
                let before = &self.prepared.sides.target_rows;
                let found = rows
                    .into_iter()
                    .find(|row| !before.contains_key(&row.id) && row.wire.get(field).is_some_and(|value| value.to_string() == *name));
                vec![found.map(|row| Some(row.id))]
            }
            Write::EditGroups { edits } => {
                let ids: BTreeSet<&str> = edits.iter().map(|edit| edit.id.as_str()).collect();
                let (rows, _) = self.handle.adapter.groups(&|id, _| ids.contains(id)).await.map_err(failed)?;
                edits
                    .iter()
                    .map(|edit| {
                        let row = rows.iter().find(|row| row.id == edit.id)?;
                        let stands = edit.fields.iter().all(|(field, value)| {
                            let held = row.wire.get(field);
                            crate::plan::fields::same(Some(value), held)
                        });
                        stands.then_some(None)
                    })
                    .collect()
            }
            Write::DeleteGroup { id } => vec![self.handle.adapter.group(id).await.map_err(failed)?.is_none().then_some(None)],
            Write::CreateMembers { join, .. } if !join.is_empty() => {
                let mut found: Vec<Option<Option<String>>> = vec![None; items.len()];
                for (number, group) in join.iter().enumerate() {
                    let now = group_now(&self.handle, group).await?;
                    for (item, found) in items.iter().zip(&mut found) {
                        let address = item.person.map(|person| self.address(person)).unwrap_or_default();
                        let rows = now.by_address.get(&address);
                        if rows.is_none() && !now.whole {
                            return Err(uncertain("a group"));
                        }
                        let id = rows.and_then(|rows| rows.first()).map(|(id, _)| Some(id.clone()));
                        // Done means listed in every group of the request.
                        *found = if number == 0 { id } else { found.take().and(id) };
                    }
                }
                found
            }
            Write::CreateMembers { .. } | Write::CreateOptedOut { .. } | Write::ChangeAddress { .. } | Write::OptOutOfAccount { .. } => {
                let addresses: Vec<String> = items.iter().filter_map(|item| item.person).map(|person| self.address(person)).collect();
                let now = people_now(&self.handle, &addresses).await?;
                if !now.whole && !matches!(write, Write::ChangeAddress { .. } | Write::OptOutOfAccount { .. }) {
                    return Err(uncertain("the account"));
                }
                let opt_out = matches!(write, Write::OptOutOfAccount { .. } | Write::CreateOptedOut { .. });
                items
                    .iter()
                    .map(|item| {
                        let people = now.by_address.get(&self.address(item.person?))?;
                        let person = match &item.target_id {
                            Some(id) => people.iter().find(|person| person.id == *id)?,
                            None => people.first()?,
                        };
                        (!opt_out || person.status == MemberStatus::OptedOut).then(|| Some(person.id.clone()))
                    })
                    .collect()
            }
            Write::AddMemberships { group, members } | Write::RemoveMemberships { group, members } => {
                let now = group_now(&self.handle, group).await?;
                if !now.whole {
                    return Err(uncertain("a group"));
                }
                let adding = matches!(write, Write::AddMemberships { .. });
                members
                    .iter()
                    .map(|id| {
                        let state = now.by_id.get(id);
                        let stands = if adding { state.is_some() } else { state != Some(&MembershipState::Active) };
                        stands.then_some(None)
                    })
                    .collect()
            }
            Write::OptOutOfGroups { member, groups } => {
                let mut all = true;
                for group in groups {
                    all &= group_now(&self.handle, group).await?.by_id.get(member) == Some(&MembershipState::OptedOut);
                }
                vec![all.then_some(None)]
            }
            // The same values once more do no harm.
            Write::UpdateMembers { .. } | Write::JoinGroups { .. } | Write::LeaveGroups { .. } => vec![None; items.len()],
            Write::CreateCustomField { label, .. } => {
                let fields = self.handle.adapter.custom_fields().await.map_err(failed)?;
                vec![fields.find(label).is_some().then_some(None)]
            }
        })
    }

    /// Reads the account once to prove the ids of everybody who was created, before any of them is used.
    async fn prove_creations(&mut self) -> Result<(), RunError> {
        let (proving, rest): (Vec<Open>, Vec<Open>) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|open| matches!(&open.write, Write::CreateMembers { join, .. } if join.is_empty()));
        self.open = rest;
        let addresses: Vec<String> =
            proving.iter().flat_map(|open| open.items.iter().filter_map(|item| item.person)).map(|person| self.address(person)).collect();
        let now = people_now(&self.handle, &addresses).await?;
        for open in proving {
            let mut outcomes = open.outcomes.clone();
            let mut changes = Vec::new();
            for (position, item) in open.items.iter().enumerate() {
                let JournalOutcome::Accepted { id: claimed } = &open.outcomes[position] else { continue };
                let Some(person) = item.person else { continue };
                let found = now.by_address.get(&self.address(person)).map_or(&[][..], Vec::as_slice);
                let proved = found.iter().find(|found| claimed.as_ref() == Some(&found.id)).or(match found {
                    [only] => Some(only),
                    _ => None,
                });
                self.unproved.remove(&person);
                match proved {
                    // Somebody may have refused in the moment between.
                    Some(found) if found.status != MemberStatus::Active => {
                        self.person_ids.insert(person, found.id.clone());
                        changes.extend(self.confirmed(&open.write, item, position, Some(&found.id))?);
                        let expected = self.prepared.planned.people.get(person).source_status == MemberStatus::OptedOut;
                        if !expected {
                            self.lost_people.insert(person);
                        }
                        outcomes[position] = JournalOutcome::Confirmed { id: Some(found.id.clone()) };
                    }
                    Some(found) => {
                        self.person_ids.insert(person, found.id.clone());
                        changes.extend(self.confirmed(&open.write, item, position, Some(&found.id))?);
                        self.done(item);
                        outcomes[position] = JournalOutcome::Confirmed { id: Some(found.id.clone()) };
                    }
                    None => {
                        let message = "the provider said that it created the person, and the account does not show it";
                        self.failed(item, None, message);
                        outcomes[position] = JournalOutcome::Failed { code: None, message: message.to_owned() };
                    }
                }
            }
            self.runner.store().settle_write(open.journal, &outcomes, &changes, self.runner.now())?;
        }
        Ok(())
    }

    /// Reads back what the answers did not confirm. A write may take a moment to show.
    async fn read_back(&mut self) -> Result<(), RunError> {
        if self.open.iter().any(|open| matches!(&open.write, Write::CreateMembers { join, .. } if join.is_empty())) {
            self.prove_creations().await?;
        }
        for look in 0..=PATIENCE.len() {
            let mut still_open = Vec::new();
            let mut seen: HashMap<String, super::verify::GroupNow> = HashMap::new();
            for open in std::mem::take(&mut self.open) {
                for group in groups_of(&open.write) {
                    if !seen.contains_key(&group) {
                        let now = group_now(&self.handle, &group).await?;
                        seen.insert(group, now);
                    }
                }
                if !self.confirm_open(&open, &seen, look == PATIENCE.len()).await? {
                    still_open.push(open);
                }
            }
            self.open = still_open;
            match PATIENCE.get(look) {
                Some(seconds) if !self.open.is_empty() => tokio::time::sleep(Duration::from_secs(*seconds)).await,
                _ => break,
            }
        }
        Ok(())
    }

    /// Confirms what stands. Returns whether nothing is left open; on the last look what is missing has failed.
    async fn confirm_open(&mut self, open: &Open, seen: &HashMap<String, super::verify::GroupNow>, last: bool) -> Result<bool, RunError> {
        let listed = groups_of(&open.write);
        let found: Vec<Option<Option<String>>> = if listed.is_empty() {
            self.observe(&open.write, &open.items).await?
        } else {
            open.items.iter().enumerate().map(|(position, item)| self.stands(&open.write, position, item, seen)).collect()
        };
        let accepted = |position: usize| matches!(open.outcomes[position], JournalOutcome::Accepted { .. });
        // A profile that was accepted is compared by the next run, which reads it anyway.
        let trusted = matches!(open.write, Write::UpdateMembers { .. });
        // Waiting helps where the provider said yes, and not where it said no.
        let settled = |position: usize| !accepted(position) || found[position].is_some() || open.objections[position].is_some();
        let complete = trusted || (0..open.items.len()).all(settled);
        if !complete && !last {
            return Ok(false);
        }
        let mut outcomes = open.outcomes.clone();
        let mut changes = Vec::new();
        for (position, item) in open.items.iter().enumerate().filter(|(position, _)| accepted(*position)) {
            match &found[position] {
                None if trusted => {
                    changes.extend(self.confirmed(&open.write, item, position, None)?);
                    self.done(item);
                    outcomes[position] = JournalOutcome::Confirmed { id: None };
                }
                Some(id) => {
                    self.learn(item, id.as_deref(), true);
                    changes.extend(self.confirmed(&open.write, item, position, id.as_deref())?);
                    self.done(item);
                    outcomes[position] = JournalOutcome::Confirmed { id: id.clone() };
                }
                None => {
                    let (code, message) = match &open.objections[position] {
                        Some(refusal) => (refusal.code.clone(), refusal.message.clone()),
                        None => (None, "the provider said yes, and reading back does not show it".to_owned()),
                    };
                    self.failed(item, Some(code.clone()), &message);
                    outcomes[position] = JournalOutcome::Failed { code, message };
                }
            }
        }
        self.runner.store().settle_write(open.journal, &outcomes, &changes, self.runner.now())?;
        Ok(true)
    }

    fn stands(
        &self,
        write: &Write,
        position: usize,
        item: &Item,
        seen: &HashMap<String, super::verify::GroupNow>,
    ) -> Option<Option<String>> {
        match write {
            Write::CreateMembers { join, .. } => {
                let address = self.address(item.person?);
                let mut id = None;
                for group in join {
                    id = Some(seen.get(group)?.by_address.get(&address)?.first()?.0.clone());
                }
                Some(id)
            }
            Write::AddMemberships { group, members } => seen.get(group)?.by_id.get(&members[position]).map(|_| None),
            Write::RemoveMemberships { group, members } => {
                let now = seen.get(group)?;
                (now.whole && now.by_id.get(&members[position]) != Some(&MembershipState::Active)).then_some(None)
            }
            Write::OptOutOfGroups { member, groups } => groups
                .iter()
                .all(|group| seen.get(group).is_some_and(|now| now.by_id.get(member) == Some(&MembershipState::OptedOut)))
                .then_some(None),
            _ => None,
        }
    }

    /// Counts a confirmed item and takes it down in the history.
    fn done(&mut self, item: &Item) {
        let summary = &mut self.report.summary;
        match item.op {
            "create_group" => summary.groups_created += 1,
            "adopt_group" => summary.groups_adopted += 1,
            "update_group" | "rename_group" => summary.groups_updated += 1,
            "archive_group" => summary.groups_archived += 1,
            "delete_group" => summary.groups_deleted += 1,
            "create_members" => {
                let new = item
                    .person
                    .is_some_and(|person| self.prepared.planned.people.targets(person).is_empty() && self.counted.insert(person));
                summary.members_created += u64::from(new);
                summary.memberships_added += item.joins.len() as u64;
            }
            "update_member" | "change_address" => summary.members_updated += 1,
            "add_memberships" => summary.memberships_added += 1,
            "remove_memberships" => summary.memberships_removed += 1,
            "set_opt_out" => summary.opt_outs += item.joins.len().max(1) as u64,
            _ => {}
        }
        self.note(item, "done", None);
    }

    fn failed(&mut self, item: &Item, code: Option<Option<String>>, message: &str) {
        match (item.op, item.pair, item.person) {
            ("create_group", Some(pair), _) => {
                self.lost_groups.insert(pair);
            }
            ("create_members", _, Some(person)) => {
                self.lost_people.insert(person);
                self.unproved.remove(&person);
            }
            _ => {}
        }
        let group = item.pair.or(item.joins.first().copied()).map(|pair| self.prepared.planned.plan.pair(pair).name.clone());
        let member = item.person.map(|person| self.address(person));
        let what = match (&item.person, item.op) {
            (None, _) => "group",
            (Some(_), "add_memberships" | "remove_memberships") => "membership",
            (Some(_), _) => "member",
        };
        // A creation that joins is planned as an addition, and is waited for as one.
        let keys: Vec<String> = if item.op == "create_members" && !item.joins.is_empty() {
            item.joins
                .iter()
                .map(|pair| {
                    let group = self.prepared.planned.plan.pair(*pair);
                    item_key(
                        "add_memberships",
                        group.target.as_deref().or(self.group_ids.get(pair).map(String::as_str)).unwrap_or(&group.name),
                        member.as_deref().unwrap_or(""),
                    )
                })
                .collect()
        } else {
            vec![self.key(item)]
        };
        for key in keys {
            self.failures.push(FailureNote {
                key,
                what: what.to_owned(),
                group: group.clone(),
                member: member.clone(),
                reason: "value_refused".to_owned(),
                code: code.clone().flatten(),
                message: message.to_owned(),
            });
        }
        self.note(item, "failed", Some(message.to_owned()));
        self.report.failures.push(ItemFailure { op: item.op.to_owned(), group, member, code: code.flatten(), message: message.to_owned() });
    }

    fn note(&mut self, item: &Item, outcome: &str, message: Option<String>) {
        self.history.push(RunItem {
            seq: self.history.len() as u64 + 1,
            op: item.op.to_owned(),
            group: item.pair.or(item.joins.first().copied()).map(|pair| self.prepared.planned.plan.pair(pair).name.clone()),
            member: item.person.map(|person| self.address(person)),
            outcome: outcome.to_owned(),
            reason: None,
            message,
            fields: serde_json::Value::Null,
        });
    }

    /// Writes down how the run ended.
    fn finish(mut self, result: Result<(), RunError>) -> Result<RunReport, RunError> {
        let store = self.runner.store();
        let now = self.runner.now();
        store.add_run_items(self.run, &self.history)?;
        store.note_failures(&self.job.name, &self.failures, now)?;
        let plan = &self.prepared.planned.plan;
        let blocked: Vec<FailureNote> = freshly_blocked(plan, &self.prepared.base)
            .map(|blocked| FailureNote {
                key: item_key(
                    blocked.reason.as_str(),
                    blocked.group.as_deref().or(blocked.id.as_deref()).unwrap_or(""),
                    blocked.member.as_deref().filter(|member| !member.is_empty()).or(blocked.id.as_deref()).unwrap_or(""),
                ),
                what: blocked.what.as_str().to_owned(),
                group: blocked.group.clone(),
                member: blocked.member.clone(),
                reason: blocked.reason.as_str().to_owned(),
                code: None,
                message: blocked.detail.clone(),
            })
            .collect();
        store.replace_blocked(&self.job.name, &blocked, now)?;
        let failed: HashSet<&str> = self.failures.iter().map(|failure| failure.key.as_str()).collect();
        // What was refused once and was not refused now is over, unless it still waits for its next attempt.
        if result.is_ok() {
            let over: Vec<String> = store
                .failures(Some(&self.job.name))?
                .into_iter()
                .filter(|record| {
                    !record.blocked
                        && !failed.contains(record.note.key.as_str())
                        && !self.prepared.base.waiting.contains_key(&record.note.key)
                })
                .map(|record| record.note.key)
                .collect();
            store.clear_failures(&self.job.name, &over)?;
        }
        self.report.finished = now;
        self.report.outcome = match &result {
            Err(_) => Outcome::Failed,
            Ok(()) if !self.report.failures.is_empty() || !self.report.blocked.is_empty() => Outcome::Partial,
            Ok(()) => Outcome::Done,
        };
        self.report.error = result.as_ref().err().map(ToString::to_string);
        let end = RunEnd {
            finished: now,
            outcome: match self.report.outcome {
                Outcome::Done => crate::state::Outcome::Done,
                Outcome::Partial => crate::state::Outcome::Partial,
                _ => crate::state::Outcome::Failed,
            },
            exit_code: self.report.exit_code(),
            wrote: self.wrote,
            summary: self.report.summary_json(),
            error: self.report.error.clone(),
            measure: result.is_ok().then(|| measure(plan)),
        };
        let changes: Vec<Change> = Vec::new();
        store.finish_run(self.run, &end, &changes)?;
        Ok(self.report)
    }
}

/// Returns the groups whose listings show whether a write was done.
fn groups_of(write: &Write) -> Vec<String> {
    match write {
        Write::CreateMembers { join, .. } => join.clone(),
        Write::AddMemberships { group, .. } | Write::RemoveMemberships { group, .. } => vec![group.clone()],
        Write::OptOutOfGroups { groups, .. } => groups.clone(),
        _ => Vec::new(),
    }
}

/// Returns the neutral name of a write, for the journal.
fn operation(write: &Write) -> &'static str {
    match write {
        Write::CreateGroup { .. } => "create_group",
        Write::EditGroups { .. } => "edit_groups",
        Write::DeleteGroup { .. } => "delete_group",
        Write::CreateMembers { .. } | Write::CreateOptedOut { .. } => "create_members",
        Write::UpdateMembers { .. } => "update_members",
        Write::ChangeAddress { .. } => "change_address",
        Write::AddMemberships { .. } | Write::JoinGroups { .. } => "add_memberships",
        Write::RemoveMemberships { .. } | Write::LeaveGroups { .. } => "remove_memberships",
        Write::OptOutOfAccount { .. } | Write::OptOutOfGroups { .. } => "set_opt_out",
        Write::CreateCustomField { .. } => "create_field",
    }
}

/// Keeps the items that are still missing.
fn keep(write: Write, items: Vec<Item>, missing: &[bool]) -> Option<(Write, Vec<Item>)> {
    if !missing.contains(&true) {
        return None;
    }
    fn filter<T>(all: Vec<T>, missing: &[bool]) -> Vec<T> {
        all.into_iter().zip(missing).filter(|(_, missing)| **missing).map(|(one, _)| one).collect()
    }
    let items = filter(items, missing);
    let write = match write {
        Write::EditGroups { edits } => Write::EditGroups { edits: filter(edits, missing) },
        Write::CreateMembers { rows, join } => Write::CreateMembers { rows: filter(rows, missing), join },
        Write::UpdateMembers { edits } => Write::UpdateMembers { edits: filter(edits, missing) },
        Write::AddMemberships { group, members } => Write::AddMemberships { group, members: filter(members, missing) },
        Write::RemoveMemberships { group, members } => Write::RemoveMemberships { group, members: filter(members, missing) },
        Write::OptOutOfAccount { members } => Write::OptOutOfAccount { members: filter(members, missing) },
        single => single,
    };
    Some((write, items))
}
