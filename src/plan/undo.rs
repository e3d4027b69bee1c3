//! The inverse of a run: from what it did and what the target shows today to a plan that takes it back.
//!
//! Nothing here is guessed. A thing is taken back only where the target still holds what the run left
//! there, and whoever does not fit is named with the reason. It never re-subscribes: whoever is listed
//! in a group in any state, or is remembered as refusing, does not come back (rule 1), and nobody is
//! deleted (rule 6).

mod fields;
mod members;
mod seats;

use crate::model::in_quotes;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use compact_str::CompactString;

use super::base::{FieldBases, GroupLink};
use super::fields::FieldEdit;
use super::fingerprint::Basis;
use super::guard::{Judged, judge};
use super::{
    BlockedReason, Edit, GroupPair, Inputs, PairIx, PersonIx, Plan, Summary, fold_group_name,
};
use crate::model::{Group, Listing, Record, Snapshot, Value};
use members::Refusing;
pub use seats::SEAT;
use seats::Way;

/// One thing that a run did, by who it was about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Did {
    /// The word of the plan format for the operation.
    pub op: String,
    /// The group, as it was shown.
    pub group: Option<String>,
    /// The group's id at the target.
    pub group_id: Option<String>,
    /// The person, as it was shown.
    pub member: Option<String>,
    /// The contact's id at the target.
    pub member_id: Option<String>,
    /// The fields that it changed.
    pub fields: BTreeMap<CompactString, DidField>,
    /// Whether what it changed was taken down: not where a later run found out that it was done.
    pub is_known_whole: bool,
    /// Whether the run that did it took another one back.
    pub by_undo: bool,
    /// The later run that did something to the same since, where it is not about fields.
    pub overtaken_by: Option<String>,
    /// Whether an undo of a later run put the person back there, which makes nobody the job's own.
    pub returned: bool,
}

/// One field that a run changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DidField {
    /// What it held before; nothing where there was no value, or that is not known.
    pub before: Option<Value>,
    /// Whether it is known what it held before.
    pub is_before_known: bool,
    /// What it held after; nothing where it was cleared.
    pub after: Option<Value>,
    /// The later run that changed it since.
    pub overtaken_by: Option<String>,
}

/// What the target holds of somebody whose profile a run changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProfileNow {
    /// The profile.
    pub held: Record,
    /// The fields that other jobs write there, with the values that they want.
    pub wanted_by_others: BTreeMap<CompactString, Vec<Value>>,
    /// What the job remembers of its fields: what was written, and how the target spells it.
    pub spelled: FieldBases,
}

/// Why something of a run is left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Left {
    /// It is as it was before the run.
    AlreadySo,
    /// It is an opt-out that was carried.
    OptOut,
    /// It is a person who was created.
    PersonStays,
    /// It is a removal that was written as an unsubscribe.
    Unsubscribed,
    /// The person refuses mail, or is listed in the group as somebody who gets none.
    Refuses,
    /// Somebody changed it after the run.
    ChangedSince,
    /// A later run did something to the same.
    LaterRun,
    /// Another job wants it as well.
    OtherJob,
    /// It is a group that was archived or deleted.
    GroupGone,
    /// The group is not one that the job fills today.
    NotFilled,
    /// The person was not found at the target, or has several contacts there.
    NotFound,
    /// What the decision takes could not be read to its end.
    NotRead,
    /// The group is archived, by somebody else.
    Archived,
    /// People are in the group whom the run did not put there.
    OthersInGroup,
    /// It is a flag of protection, or the group has one.
    Protected,
    /// It is an address that was changed.
    AddressStays,
    /// It is a custom field that was created, or a value that can be given on creation only.
    FieldStays,
    /// A user is in one group at a time, and where they were before was not taken down.
    OneGroup,
    /// The name belongs to another group by now.
    Taken,
    /// What was there before was not taken down.
    NotTakenDown,
}

impl Left {
    /// Returns the word of the plan format.
    pub fn as_str(self) -> &'static str {
        match self {
            Left::AlreadySo => "already_so",
            Left::OptOut => "opt_out",
            Left::PersonStays => "person_stays",
            Left::Unsubscribed => "unsubscribed",
            Left::Refuses => "refuses",
            Left::ChangedSince => "changed_since",
            Left::LaterRun => "later_run",
            Left::OtherJob => "other_job",
            Left::GroupGone => "group_gone",
            Left::NotFilled => "not_filled",
            Left::NotFound => "not_found",
            Left::NotRead => "not_read",
            Left::Archived => "archived",
            Left::OthersInGroup => "others_in_group",
            Left::Protected => "protected",
            Left::AddressStays => "address_stays",
            Left::FieldStays => "field_stays",
            Left::OneGroup => "one_group",
            Left::Taken => "taken",
            Left::NotTakenDown => "not_taken_down",
        }
    }

    /// Says it to a person.
    pub fn explain(self) -> &'static str {
        match self {
            Left::AlreadySo => "by now as it was before the run; nothing is to be done",
            Left::OptOut => "an opt-out that was carried is never undone",
            Left::PersonStays => "nobody is ever deleted: the contact stays at the target",
            Left::Unsubscribed => {
                "the removal was written as an unsubscribe, and nobody is re-subscribed"
            }
            Left::Refuses => {
                "the person refuses mail by now, or is listed in the group as somebody who gets none"
            }
            Left::ChangedSince => "somebody changed it since the run, and that stands",
            Left::LaterRun => {
                "a later run, of this job or of another one, did something to the same; undo that one first"
            }
            Left::OtherJob => "another job wants it as well",
            Left::GroupGone => {
                "a deleted group is not brought back, and whether a group is archived is not put back"
            }
            Left::NotFilled => "the job does not fill the group today",
            Left::NotFound => {
                "the person was not found at the target by the id that the run knew, or has several contacts there"
            }
            Left::NotRead => "what it takes to be sure could not be read to its end",
            Left::Archived => {
                "somebody archived the group, and its people stay in it; set it active and undo the run once more"
            }
            Left::OthersInGroup => {
                "people are in the group whom the run did not put there, or who refuse it, which would be lost with it"
            }
            Left::Protected => "a flag of protection is not cleared, and a protected group is kept",
            Left::AddressStays => {
                "a changed address stays: refusals are known by address, and nobody becomes reachable by going back to one"
            }
            Left::FieldStays => {
                "a custom field stays, and so does a value that can be given on creation only"
            }
            Left::OneGroup => {
                "a user is in one group at a time, and where they were before was not taken down"
            }
            Left::Taken => "the name belongs to another group by now",
            Left::NotTakenDown => {
                "what was there before is not known: it was not shown, or not taken down"
            }
        }
    }
}

/// Something of a run that is left as it is, or undone in part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotUndone {
    /// The word of the plan format for what the run did.
    pub op: String,
    /// The group, as it was shown.
    pub group: Option<String>,
    /// The group's id at the target.
    pub group_id: Option<String>,
    /// The person, as it was shown.
    pub member: Option<String>,
    /// The contact's id at the target.
    pub member_id: Option<String>,
    /// The fields that stay, where it is about fields, each with its reason.
    pub fields: Vec<(String, Left)>,
    /// Whether the rest of it is undone.
    pub partly: bool,
    /// Why; of several fields the reason of the first.
    pub why: Left,
    /// The later run, where one is the reason.
    pub run: Option<String>,
}

/// How much of a run an inverse plan takes back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Undoing {
    /// The run.
    pub run: String,
    /// How many things it did.
    pub did: u64,
    /// How many of them the plan takes back whole; with a group that goes, so does who was put in.
    pub undone: u64,
    /// How many of those are memberships that go with their group, or rest in it where it is archived.
    pub with_groups: u64,
    /// What it does not take back, or in part.
    pub left: Vec<NotUndone>,
    /// The changes of profiles, for whoever writes them.
    pub profiles: BTreeMap<PersonIx, FieldEdit>,
}

impl Undoing {
    /// Counts what is taken back in part.
    pub fn partly(&self) -> u64 {
        self.left.iter().filter(|left| left.partly).count() as u64
    }

    /// Counts what is left as it is.
    pub fn kept(&self) -> u64 {
        self.left.len() as u64 - self.partly()
    }
}

/// What the inverse of a run is made of, beside what every plan is made of.
pub struct UndoInputs<'a> {
    /// The run.
    pub run: &'a str,
    /// What it did, in its order.
    pub did: &'a [Did],
    /// What it had sent and of which nobody knows yet whether it is done.
    pub open: &'a [Did],
    /// What the target holds of the people whose profiles it changed.
    pub profiles: &'a BTreeMap<PersonIx, ProfileNow>,
}

/// Makes the inverse of a run. `forward` is the plan of the job as it stands: who is paired with whom,
/// and what can't be read, is taken from it.
pub fn undo(inputs: &Inputs<'_>, forward: Plan, ask: &UndoInputs<'_>) -> (Plan, Undoing) {
    let mut inverse = Inverse::new(inputs, &forward, ask);
    inverse.run();
    let Inverse {
        operations,
        undoing,
        warnings,
        ..
    } = inverse;
    let mut plan = Plan {
        summary: Summary::of(&operations),
        operations,
        withheld: Vec::new(),
        blocked: Vec::new(),
        refusals: Vec::new(),
        losses: Vec::new(),
        changed_outside: Vec::new(),
        warnings: inputs.warnings.iter().cloned().chain(warnings).collect(),
        // What was seen of the source is no measure of a run that did not carry it.
        measured: false,
        waiting_opt_outs: 0,
        tripped: BTreeSet::new(),
        basis: Basis::default(),
        fingerprint: String::new(),
        ..forward
    };
    let linked = plan.pairs.iter().filter(|pair| pair.linked);
    let listings = linked.filter_map(|pair| inputs.target.listing(pair.target.as_deref()?));
    let active = listings.map(|listing| listing.seen().active() as u64).sum();
    let listings = inputs.source.listings.values();
    let source_active = listings.map(|listing| listing.seen().active() as u64).sum();
    let verdict = judge(&Judged {
        inputs,
        plan: &plan,
        active,
        source_active,
        overwritten: &BTreeSet::new(),
    });
    plan.refusals = verdict.refusals;
    plan.tripped = verdict.tripped;
    plan.basis = Basis::of(inputs, &plan);
    plan.fingerprint = plan.basis.fingerprint();
    (plan, undoing)
}

struct Inverse<'a> {
    inputs: &'a Inputs<'a>,
    pairs: &'a [GroupPair],
    ask: &'a UndoInputs<'a>,
    pair_of: HashMap<&'a str, PairIx>,
    /// The groups of the target by id: whoever was put in or taken out asks for one.
    groups: HashMap<&'a str, &'a Group>,
    /// How many groups of the target have a name, by what tells names apart.
    names: HashMap<String, usize>,
    /// What is remembered of the groups, by the target's id.
    links: HashMap<&'a str, &'a GroupLink>,
    /// Who was put into which group, by the target's ids.
    added: HashMap<&'a str, HashSet<&'a str>>,
    /// Whom the run created, by the target's ids.
    created: HashSet<&'a str>,
    /// The groups that go again, with everybody whom the run put there.
    going: HashSet<&'a str>,
    /// Who leaves the only group that they are in, by position.
    moved: HashSet<u32>,
    refusing: HashMap<PairIx, Refusing>,
    /// The groups, by their ids at the side concerned, of which the forward plan did not see all.
    unread: HashSet<&'a str>,
    operations: Vec<Edit>,
    undoing: Undoing,
    warnings: Vec<String>,
}

impl<'a> Inverse<'a> {
    fn new(inputs: &'a Inputs<'a>, forward: &'a Plan, ask: &'a UndoInputs<'a>) -> Self {
        let mut pair_of = HashMap::new();
        // Of several pairs with one target the one that is written counts.
        for writable in [false, true] {
            let pairs = forward.pairs.iter().zip(0..);
            let pairs = pairs.filter(|(pair, _)| pair.writable == writable);
            pair_of
                .extend(pairs.filter_map(|(pair, at)| Some((pair.target.as_deref()?, PairIx(at)))));
        }
        let mut added: HashMap<&str, HashSet<&str>> = HashMap::new();
        for did in ask.did.iter().filter(|did| did.op == "add_memberships") {
            if let (Some(group), Some(member), None) =
                (&did.group_id, &did.member_id, &did.overtaken_by)
            {
                added.entry(group).or_default().insert(member);
            }
        }
        let groups = inputs.target.groups.seen();
        let mut names: HashMap<String, usize> = HashMap::new();
        for group in groups {
            *names.entry(fold_group_name(&group.name)).or_default() += 1;
        }
        let links = inputs.base.groups.iter();
        let of = |op: &'static str| ask.did.iter().filter(move |did| did.op == op);
        Inverse {
            inputs,
            pairs: &forward.pairs,
            ask,
            pair_of,
            groups: groups.iter().rev().map(|it| (it.id.as_str(), it)).collect(),
            names,
            links: links.rev().map(|it| (it.target.as_str(), it)).collect(),
            added,
            created: of("create_members")
                .filter_map(|did| did.member_id.as_deref())
                .collect(),
            going: HashSet::new(),
            moved: HashSet::new(),
            refusing: HashMap::new(),
            unread: forward
                .blocked
                .iter()
                .filter(|it| it.reason == BlockedReason::IncompleteRead)
                .filter_map(|it| it.id.as_deref())
                .collect(),
            operations: Vec::new(),
            undoing: Undoing {
                run: ask.run.to_owned(),
                did: (ask.did.len() + ask.open.len()) as u64,
                ..Undoing::default()
            },
            warnings: Vec::new(),
        }
    }

    fn run(&mut self) {
        let did = self.ask.did;
        for sent in self.ask.open {
            self.leave(sent, Left::NotRead);
        }
        let one_group = self.inputs.capabilities.one_group_per_member;
        let mut archives = Vec::new();
        // First, since who was put into a group that goes again is not taken out of it.
        if !one_group {
            archives = self.created_groups();
        }
        self.group_fields();
        self.profiles();
        let mut back: BTreeMap<PairIx, BTreeSet<PersonIx>> = BTreeMap::new();
        let mut out: BTreeMap<PairIx, BTreeSet<PersonIx>> = BTreeMap::new();
        for did in did {
            let found = match did.op.as_str() {
                "add_memberships" | "remove_memberships" if one_group => {
                    self.seated(did).map(|way| match way {
                        Way::Back(pair, person) => (&mut back, Some((pair, person))),
                        Way::Parked(pair, person) => (&mut out, Some((pair, person))),
                    })
                }
                "add_memberships" => self.added(did).map(|found| (&mut out, found)),
                "remove_memberships" => self.removed(did).map(|found| (&mut back, Some(found))),
                // These are done.
                "create_group" | "update_group" | "rename_group" | "adopt_group"
                | "update_member" => continue,
                "change_address" => Err(Left::AddressStays),
                "set_opt_out" => Err(Left::OptOut),
                "create_members" => Err(Left::PersonStays),
                "archive_group" | "delete_group" => Err(Left::GroupGone),
                "lift_protection" => Err(Left::Protected),
                _ => Err(Left::FieldStays),
            };
            match found {
                Ok((people, found)) => {
                    match found {
                        Some((pair, person)) => {
                            people.entry(pair).or_default().insert(person);
                        }
                        None => self.undoing.with_groups += 1,
                    }
                    self.undoing.undone += 1;
                }
                Err(why) => self.leave(did, why),
            }
        }
        if one_group {
            archives = self.created_groups();
        }
        let mails = |pair: &PairIx| {
            let target = self.pairs[pair.0 as usize].target.as_deref();
            target
                .and_then(|id| self.groups.get(id).copied())
                .filter(|group| group.auto_response)
        };
        for group in out.keys().filter_map(mails) {
            self.warnings.push(format!(
                "{} mails everybody who joins it: mail that joining set off can't be taken back.",
                in_quotes(&group.name)
            ));
        }
        if self.inputs.capabilities.removal_shows_opt_out && !out.is_empty() {
            self.warnings.push(format!(
                "Whoever is taken off a list of {} shows there as unsubscribed from it; rosterd remembers that it was no refusal of theirs, where the provider confirms the removal.",
                self.inputs.policy.target
            ));
        }
        let edits = back
            .into_iter()
            .map(|(pair, members)| Edit::AddMemberships {
                pair,
                members: members.into_iter().collect(),
            });
        self.operations.extend(edits);
        let edits = out
            .into_iter()
            .map(|(pair, members)| Edit::RemoveMemberships {
                pair,
                members: members.into_iter().collect(),
            });
        self.operations.extend(edits);
        self.operations.extend(archives);
    }

    /// Finds which of the groups that the run created go again.
    fn created_groups(&mut self) -> Vec<Edit> {
        let mut gone = Vec::new();
        let groups = self.ask.did.iter().filter(|did| did.op == "create_group");
        for did in groups {
            match self.created_group(did) {
                Ok(edit) => {
                    gone.push(edit);
                    self.undoing.undone += 1;
                }
                Err(why) => self.leave(did, why),
            }
        }
        gone
    }

    fn leave(&mut self, did: &Did, why: Left) {
        self.undoing.left.push(NotUndone {
            op: did.op.clone(),
            group: did.group.clone(),
            group_id: did.group_id.clone(),
            member: did.member.clone(),
            member_id: did.member_id.clone(),
            fields: Vec::new(),
            partly: false,
            why,
            run: did.overtaken_by.clone().filter(|_| why == Left::LaterRun),
        });
    }

    /// Finds the pair of a group, and the group.
    fn group(&self, did: &'a Did) -> Result<(PairIx, &'a Group), Left> {
        match did.overtaken_by {
            Some(_) => Err(Left::LaterRun),
            None => self.group_of(did.group_id.as_deref().ok_or(Left::NotTakenDown)?),
        }
    }

    fn group_of(&self, id: &str) -> Result<(PairIx, &'a Group), Left> {
        let pair = self.pair_of.get(id).copied();
        match (pair, self.groups.get(id)) {
            (Some(pair), Some(group)) => Ok((pair, group)),
            (pair, _) => Err(self.unfilled(id, pair)),
        }
    }

    /// Tells why the job does not fill a group: because that is so, or because it was not seen whether it
    /// is.
    fn unfilled(&self, id: &str, pair: Option<PairIx>) -> Left {
        let (source, target) = (self.inputs.source, self.inputs.target);
        let policy = self.inputs.policy;
        let is_lost = |side: &Snapshot, group: Option<&Group>, shared: bool| match group {
            Some(group) => group.unread.is_some() || self.unread.contains(group.id.as_str()),
            None => side.groups.complete().is_none() || shared || side.unsure_groups.contains(id),
        };
        let from = pair.and_then(|pair| self.pairs[pair.0 as usize].source.as_deref());
        let from = from.and_then(|from| source.group(from));
        let is_lost = is_lost(target, self.groups.get(id).copied(), policy.target_shared)
            || is_lost(source, from, policy.source_shared);
        if is_lost {
            Left::NotRead
        } else {
            Left::NotFilled
        }
    }

    /// Finds the person of an item by the contact, and the contact. Somebody with several contacts is
    /// left alone: which of them is meant would be a guess.
    fn person(&self, did: &Did) -> Result<(PersonIx, u32), Left> {
        if did.overtaken_by.is_some() {
            return Err(Left::LaterRun);
        }
        let id = did.member_id.as_deref().ok_or(Left::NotTakenDown)?;
        let people = self.inputs.people;
        let name = self.inputs.names.find(id);
        let at = name.and_then(|name| people.target_position(name));
        let person = at.and_then(|at| Some((people.of_target(at)?, at)));
        let Some((person, at)) = person else {
            return Err(if self.is_target_whole(id) {
                Left::NotFound
            } else {
                Left::NotRead
            });
        };
        match people.targets(person) {
            [only] if *only == at => Ok((person, at)),
            _ => Err(Left::NotFound),
        }
    }

    /// Tells whether a contact of whom nothing was seen is not there: nothing that was asked for was lost.
    fn is_target_whole(&self, contact: &str) -> bool {
        let target = self.inputs.target;
        let mut listings = target.listings.values();
        !self.inputs.policy.target_shared
            && target.groups.complete().is_some()
            && target.unsure_groups.is_empty()
            && target.account_state.complete().is_some()
            && !target.is_unreadable(contact)
            && listings.all(|listing| listing.complete().is_some())
    }

    /// Returns the listing of a group that was read to its end, where the job fills the group.
    fn listing(&self, pair: PairIx) -> Result<&'a Listing, Left> {
        let at = pair;
        let pair = &self.pairs[pair.0 as usize];
        let id = pair.target.as_deref();
        if !pair.writable {
            return Err(self.unfilled(id.unwrap_or_default(), Some(at)));
        }
        let listing = id.and_then(|id| self.inputs.target.listing(id));
        let listing = listing.ok_or(Left::NotRead)?.complete();
        listing.map(|listing| &**listing).ok_or(Left::NotRead)
    }
}
