//! The consent rules judged by person: who refused what and when comes from the accounts' own
//! history, and who is meant from the identities of the simulated humans, whatever id or address
//! stood for them.

use std::collections::BTreeSet;

use rosterd::emulator::{Account, Actor, Change, HistoryEvent, Kind, MembershipState, World};
use rosterd::plan::BlockedReason;
use rosterd::run::Planned;

use super::humans::{Human, is_usable};
use super::job::Job;
use super::judge::{Judge, Run};
use super::truth;
use super::world::{fold, fold_name, proves_nothing};
use crate::support::{PARKING, staff_of};

/// What somebody refused and a run has seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fact {
    /// The account whose mail must not go to the human any more.
    pub account: String,
    pub human: Human,
    /// Nothing where it is all mail.
    pub audience: Option<Audience>,
    /// How it became known.
    pub how: String,
}

/// A group by every key that leads to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Audience {
    pub targets: BTreeSet<u64>,
    pub sources: BTreeSet<(String, u64)>,
    pub names: BTreeSet<String>,
}

/// A rule and how it was broken.
pub(crate) type Complaint = (&'static str, String);

/// One record of a source: its id, its address, whether it refuses all mail.
pub(crate) struct Record {
    pub id: u64,
    pub address: String,
    pub refuses_all: bool,
}

/// What a job reads of its source: contacts in groups, or users in user groups.
pub(crate) struct Source<'a> {
    job: &'a Job,
    account: &'a Account,
}

impl<'a> Source<'a> {
    pub fn of(job: &'a Job, world: &'a World) -> Source<'a> {
        Source {
            job,
            account: world.account(job.source),
        }
    }

    /// The name under which records are known.
    pub fn name(&self) -> String {
        if self.job.from_users {
            staff_of(self.job.source)
        } else {
            self.job.source.to_owned()
        }
    }

    pub fn has_group(&self, group: u64) -> bool {
        if self.job.from_users {
            self.account.user_groups.contains_key(&group)
        } else {
            self.account.groups.contains_key(&group)
        }
    }

    /// The covered groups with the names that they are to have at the target.
    pub fn groups(&self) -> Vec<(u64, String)> {
        if self.job.from_users {
            let scope = self.account.user_groups.values();
            return scope
                .filter(|group| group.id > 3 && group.title != PARKING)
                .map(|group| (group.id, self.job.mapped(&group.title)))
                .collect();
        }
        self.account
            .groups
            .values()
            .filter(|group| truth::covered(self.job, group))
            .map(|group| (group.id, self.job.mapped(&group.name)))
            .collect()
    }

    pub fn members(&self, group: u64) -> Vec<(Record, MembershipState)> {
        if self.job.from_users {
            let users = self.account.users_in(group).into_iter();
            return users
                .map(|id| {
                    let record = Record {
                        id,
                        address: fold(&self.account.users[&id].email),
                        refuses_all: false,
                    };
                    (record, MembershipState::Active)
                })
                .collect();
        }
        self.account
            .members_of(group)
            .into_iter()
            .filter_map(|(id, state)| {
                let contact = self.account.contacts.get(&id)?;
                let record = Record {
                    id,
                    address: fold(&contact.email),
                    refuses_all: contact.opted_out.is_some(),
                };
                Some((record, state))
            })
            .collect()
    }
}

impl Judge {
    /// The human whom a record at the source of a job stands for.
    fn human(&self, source: &Source<'_>, record: &Record) -> Option<Human> {
        self.humans.of(&source.name(), record.id)
    }

    /// What a request did, judged by everything that its run could have known: its own job or one
    /// beside it, the accounts as they were when it began or at any moment since.
    pub(super) fn weigh(&mut self, run: &Run, event: &HistoryEvent, before: &World, now: &World) {
        let mut best: Option<(usize, Vec<Complaint>)> = None;
        let jobs = std::iter::once(&run.job).chain(&run.beside);
        let (own, others): (Vec<&usize>, Vec<&usize>) =
            jobs.partition(|job| self.jobs[**job].target == event.account);
        for job in if own.is_empty() { others } else { own } {
            // What one of several has just done, another one may have read before it began to write.
            // So may it what an import of an earlier run goes on to do at its source.
            let source = self.jobs[*job].source;
            let meanwhile = self.believed(before, source);
            let goes_on = truth::differ(run.start.account(source), meanwhile.account(source));
            let meanwhile = (goes_on || !run.beside.is_empty()).then_some(&meanwhile);
            // What an import brought about was read before anybody looked.
            let since = self.believed(now, source);
            let since = (!run.beside.is_empty()).then_some(&since);
            for start in std::iter::once(&run.start)
                .chain(&run.also)
                .chain(meanwhile)
                .chain(since)
            {
                let found = self.consider(*job, run, start, event, before, now);
                if best
                    .as_ref()
                    .is_none_or(|(_, known)| known.len() > found.len())
                {
                    best = Some((*job, found));
                }
            }
        }
        let Some((number, complaints)) = best else {
            return;
        };
        for (rule, text) in complaints {
            self.complain(rule, text);
        }
        self.note(number, run, event, now);
    }

    /// What follows for the judge from a change that a request made.
    fn note(&mut self, number: usize, run: &Run, event: &HistoryEvent, now: &World) {
        let job = self.jobs[number].clone();
        let there = now.account(&event.account);
        let name = job.target.to_owned();
        match &event.change {
            Change::MembershipAdded { group, contact, .. }
            | Change::MembershipChanged { group, contact }
                if there.membership(*group, *contact) == Some(MembershipState::Active) =>
            {
                self.memory.own.remove(&(name.clone(), *group, *contact));
                for job in std::iter::once(run.job).chain(run.beside.clone()) {
                    self.memory.brought.insert((job, *group, *contact));
                }
                self.memory.taken_out.remove(&(name, *contact));
            }
            Change::MembershipRemoved { contact, .. } => {
                self.memory.taken_out.insert((name, *contact));
            }
            Change::GroupOptOutSet { group, contact }
                if there.kind == Kind::ActiveCampaign
                    && !self.is_refused(number, run, &run.start, *contact, Some(*group), there) =>
            {
                self.memory.own.insert((name.clone(), *group, *contact));
                self.memory.taken_out.insert((name, *contact));
            }
            Change::GroupCreated { group, .. } => {
                self.made_groups.insert((name, *group));
            }
            Change::UserGroupCreated { group, .. } => {
                self.made_groups.insert((staff_of(&name), *group));
            }
            Change::ContactCreated { contact } => {
                self.made_contacts.insert((name, *contact));
            }
            Change::AddressChanged { contact, to, .. } => {
                let shown = truth::contacts(run.start.account(job.source), &fold(to))
                    .map(|record| record.id)
                    .find(|record| self.was_paired(number, *record, *contact));
                if let Some(record) = shown {
                    self.humans.equate(&name, *contact, job.source, record);
                }
            }
            _ => {}
        }
    }

    fn consider(
        &self,
        number: usize,
        run: &Run,
        start: &World,
        event: &HistoryEvent,
        before: &World,
        now: &World,
    ) -> Vec<Complaint> {
        let job = &self.jobs[number];
        if event.account != job.target {
            return vec![(
                "rule 10",
                format!(
                    "a request changed \"{}\": {:?}",
                    event.account, event.change
                ),
            )];
        }
        let (then, there) = (before.account(&event.account), now.account(&event.account));
        match &event.change {
            Change::GroupOptOutCleared { group, contact }
                if then.membership(*group, *contact).is_none() || !run.also.is_empty() =>
            {
                Vec::new()
            }
            change if change.undoes_opt_out() => {
                vec![(
                    "rule 1 undone",
                    format!("a request undid a refusal: {change:?}"),
                )]
            }
            Change::MembershipAdded { group, contact, .. }
            | Change::MembershipChanged { group, contact }
                if there.membership(*group, *contact) == Some(MembershipState::Active) =>
            {
                self.considers_joining(number, run, start, *group, *contact, there)
            }
            Change::MembershipRemoved { group, contact, .. } => {
                self.considers_leaving(number, run, start, *group, *contact, then)
            }
            Change::GroupOptOutSet { group, contact } => {
                if self.is_refused(number, run, start, *contact, Some(*group), there) {
                    Vec::new()
                } else if there.kind == Kind::ActiveCampaign {
                    // It only looks like a refusal.
                    self.considers_leaving(number, run, start, *group, *contact, then)
                } else {
                    vec![(
                        "opted out",
                        format!(
                            "a request made contact {contact} ({}) refuse group {group}, which nobody who stands behind it does",
                            there.contacts[contact].email
                        ),
                    )]
                }
            }
            Change::AccountOptOutSet { contact } => {
                if self.is_refused(number, run, start, *contact, None, there) {
                    return Vec::new();
                }
                vec![(
                    "opted out",
                    format!(
                        "a request made contact {contact} ({}) refuse all mail, which nobody who stands behind it does",
                        there.contacts[contact].email
                    ),
                )]
            }
            Change::ContactCreated { contact } => {
                self.considers_creation(number, start, *contact, there)
            }
            Change::AddressChanged { contact, from, to } => {
                self.considers_move(number, start, *contact, from, to, there)
            }
            Change::ContactDeleted { .. } | Change::UserDeleted { .. } => vec![(
                "rule 6",
                format!("a request deleted a person: {:?}", event.change),
            )],
            Change::MailSent { group, contact } if !job.auto_response => vec![(
                "rule 12",
                format!("contact {contact} got a mail for joining group {group}"),
            )],
            Change::GroupCreated { group, name } => {
                let twin = then.groups.values().find(|other| {
                    fold_name(&other.name) == fold_name(name) && then.kind != Kind::ActiveCampaign
                });
                twin.map(|twin| {
                    (
                        "rule 5 twins",
                        format!(
                            "a request created group {group} \"{name}\" beside {}",
                            twin.id
                        ),
                    )
                })
                .into_iter()
                .collect()
            }
            Change::GroupDeleted { group } | Change::GroupArchived { group } => {
                let source = Source::of(job, start);
                let paired = self
                    .ever_pairs
                    .iter()
                    .filter(|pair| pair.0 == number && pair.2 == *group);
                let alive: Vec<u64> = paired
                    .map(|pair| pair.1)
                    .filter(|here| {
                        source.has_group(*here) && self.pairs.contains(&(number, *here, *group))
                    })
                    .collect();
                let mut wrong = Vec::new();
                if !alive.is_empty() || job.missing == "keep" {
                    wrong.push((
                        "missing",
                        format!("a request removed group {group}; its source groups are {alive:?}"),
                    ));
                }
                let protected = start
                    .account(job.target)
                    .groups
                    .get(group)
                    .is_some_and(|group| group.protected);
                if protected && !self.own_flags.contains(&(job.target.to_owned(), *group)) {
                    wrong.push((
                        "rule 2",
                        format!("a request removed group {group}, which somebody protects"),
                    ));
                }
                wrong
            }
            Change::UserCreated { user, group } => {
                self.considers_seat(number, start, *user, None, *group, there)
            }
            Change::UserMoved { user, from, to } => {
                self.considers_seat(number, start, *user, Some(*from), *to, there)
            }
            _ => Vec::new(),
        }
    }

    /// The source groups that a target group stands for, with their mapped names: by the links of
    /// the database, else by name.
    fn partners_of(
        &self,
        number: usize,
        start: &World,
        group: u64,
        there: &Account,
    ) -> Vec<(u64, String)> {
        let source = Source::of(&self.jobs[number], start);
        let groups = source.groups();
        let linked: Vec<(u64, String)> = groups
            .iter()
            .filter(|(id, _)| self.pairs.contains(&(number, *id, group)))
            .cloned()
            .collect();
        if !linked.is_empty() {
            return linked;
        }
        let name = there
            .groups
            .get(&group)
            .map(|group| group.name.clone())
            .or_else(|| Some(there.user_groups.get(&group)?.title.clone()))
            .unwrap_or_default();
        let made = |id: u64| format!("rosterd:{}:{id}", self.jobs[number].source);
        groups
            .into_iter()
            .filter(|(id, mapped)| {
                fold_name(mapped) == fold_name(&name)
                    || self.jobs[number].pins.contains(&(*id, group))
                    || there.groups.get(&group).is_some_and(|group| {
                        group.external_id == made(*id)
                            || (!group.external_id.is_empty()
                                && start
                                    .account(self.jobs[number].source)
                                    .groups
                                    .get(id)
                                    .is_some_and(|here| here.external_id == group.external_id))
                    })
            })
            .collect()
    }

    /// What is known of a human's refusals at an account.
    fn facts_of(&self, account: &str, human: Human) -> impl Iterator<Item = &Fact> {
        self.memory
            .facts
            .iter()
            .filter(move |fact| fact.account == account && self.humans.is(fact.human, human))
    }

    #[expect(clippy::unused_self, reason = "a question to the judge")]
    fn concerns(
        &self,
        fact: &Fact,
        source: &Source<'_>,
        group: u64,
        there: &Account,
        partners: &[(u64, String)],
    ) -> bool {
        let Some(audience) = &fact.audience else {
            return true;
        };
        // A name leads to what became of a group, and to nothing beside one that still stands.
        let mut groups = audience.targets.iter();
        let stands = groups.any(|known| *known != group && there.groups.contains_key(known));
        let left = audience
            .sources
            .iter()
            .any(|(name, id)| *name == source.name() && source.has_group(*id));
        audience.targets.contains(&group)
            || partners.iter().any(|(id, name)| {
                audience.sources.contains(&(source.name(), *id))
                    || (!left && !stands && audience.names.contains(&fold_name(name)))
            })
    }

    fn considers_joining(
        &self,
        number: usize,
        run: &Run,
        start: &World,
        group: u64,
        contact: u64,
        there: &Account,
    ) -> Vec<Complaint> {
        let job = &self.jobs[number];
        let mut wrong = Vec::new();
        let Some(human) = self.humans.of(job.target, contact) else {
            return wrong;
        };
        if self.humans.is_doubtful(human) {
            return wrong;
        }
        let address = there
            .contacts
            .get(&contact)
            .map(|contact| fold(&contact.email))
            .unwrap_or_default();
        let place = format!(
            "contact {contact} ({address}) joined group {group} \"{}\"",
            there.groups[&group].name
        );
        let source = Source::of(job, start);
        let target = start.account(job.target);
        let partners = self.partners_of(number, start, group, there);
        let back = job.readd
            && self
                .memory
                .own
                .contains(&(job.target.to_owned(), group, contact));
        for other in target.contacts.values() {
            if self.humans.of(job.target, other.id) != Some(human) {
                continue;
            }
            if other.opted_out.is_some() {
                wrong.push((
                    "rule 1 at the target",
                    format!(
                        "{place}, and contact {} of the same person refuses all mail there",
                        other.id
                    ),
                ));
            }
            let own = self
                .memory
                .own
                .contains(&(job.target.to_owned(), group, other.id));
            if target.membership(group, other.id) == Some(MembershipState::OptedOut)
                && !back
                && !own
            {
                wrong.push((
                    "rule 1 at the target",
                    format!(
                        "{place}, which contact {} of the same person refuses",
                        other.id
                    ),
                ));
            }
        }
        let mut listed = false;
        for (id, _) in source.groups() {
            let partner = partners.iter().any(|(partner, _)| *partner == id);
            for (record, state) in source.members(id) {
                let shows = there
                    .contacts
                    .get(&contact)
                    .is_some_and(|contact| fold(&contact.email) == record.address);
                // Whoever has the address that an active record shows is no stranger.
                listed |= partner && state == MembershipState::Active && shows;
                if self.human(&source, &record) != Some(human) {
                    continue;
                }
                if record.refuses_all {
                    wrong.push((
                        "rule 1 at the source",
                        format!(
                            "{place}, and record {} of the same person refuses all mail",
                            record.id
                        ),
                    ));
                }
                if partner && state == MembershipState::OptedOut {
                    wrong.push((
                        "rule 1 at the source",
                        format!(
                            "{place}, and record {} of the same person refuses group {id}",
                            record.id
                        ),
                    ));
                }
                listed |= partner && state == MembershipState::Active;
            }
        }
        if !listed {
            wrong.push((
                "stranger added",
                format!(
                    "{place}, and the source's groups {partners:?} do not list the person as active"
                ),
            ));
        }
        if run.known {
            for fact in self.facts_of(job.target, human) {
                if self.concerns(fact, &source, group, there, &partners) {
                    let what = if fact.audience.is_some() {
                        "rule 1 group bar"
                    } else {
                        "rule 1 account bar"
                    };
                    wrong.push((
                        what,
                        format!("{place}, and the person refused: {}", fact.how),
                    ));
                }
            }
        }
        wrong
    }

    /// Whether a contact is the one that stands for a record, and not another one of its human.
    fn stands_for(&self, account: &Account, contact: u64, record: &Record) -> bool {
        let human = self.humans.of(&account.name, contact);
        let shows = |id: u64| {
            account
                .contacts
                .get(&id)
                .is_some_and(|contact| fold(&contact.email) == record.address)
        };
        let address = account.contacts.get(&contact).map(|contact| &contact.email);
        // A contact under an address that the record never had is another one's, whose record is
        // gone.
        let ever = address.is_some_and(|address| {
            let source = self.jobs.iter().map(|job| job.source);
            let mut sources = source.filter(|source| *source != account.name);
            sources.any(|source| self.humans.ever_showed(source, record.id, address))
        });
        shows(contact)
            || ever
                && !account.contacts.keys().any(|other| {
                    *other != contact
                        && shows(*other)
                        && self.humans.of(&account.name, *other) == human
                })
    }

    fn considers_leaving(
        &self,
        number: usize,
        run: &Run,
        start: &World,
        group: u64,
        contact: u64,
        then: &Account,
    ) -> Vec<Complaint> {
        let job = &self.jobs[number];
        let mut wrong = Vec::new();
        let Some(human) = self.humans.of(job.target, contact) else {
            return wrong;
        };
        if self.humans.is_doubtful(human) {
            return wrong;
        }
        let address = then
            .contacts
            .get(&contact)
            .map(|contact| fold(&contact.email))
            .unwrap_or_default();
        let place = format!("contact {contact} ({address}) was taken out of group {group}");
        if then.membership(group, contact) != Some(MembershipState::Active) {
            wrong.push((
                "removed",
                format!(
                    "{place}, where the state was {:?}",
                    then.membership(group, contact)
                ),
            ));
        }
        if self.is_refused(number, run, start, contact, Some(group), then) && job.carry {
            return wrong;
        }
        let source = Source::of(job, start);
        let partners = self.partners_of(number, start, group, then);
        for (id, _) in &partners {
            for (record, state) in source.members(*id) {
                if self.human(&source, &record) == Some(human)
                    && state != MembershipState::OptedOut
                    && self.stands_for(then, contact, &record)
                    // Whose address is listed by another contact loses nothing, nor does who is to
                    // be under an address that refuses or bounces.
                    && !truth::contacts(then, &record.address).any(|other| {
                        other.id != contact
                            && (then.membership(group, other.id).is_some()
                                || other.opted_out.is_some()
                                || other.bounced.is_some())
                    })
                    // Who came without a usable address is nobody that a run could know.
                    && (is_usable(&record.address)
                        || self.memory.people.contains_key(&(number, record.id)))
                {
                    let what = if is_usable(&record.address) {
                        "removed, still listed"
                    } else {
                        "removed, bad address"
                    };
                    wrong.push((what, format!("{place}, and record {} ({}) of the same person is still in source group {id}", record.id, record.address)));
                }
            }
        }
        if job.mode == "add" {
            wrong.push(("removed", format!("{place} in mode add")));
        }
        if job.mode == "managed"
            && !self.memory.brought.contains(&(number, group, contact))
            && run.known
        {
            wrong.push((
                "rule 10 not brought",
                format!("{place}, and this job did not bring the person there"),
            ));
        }
        for (other, entry) in self.jobs.iter().enumerate() {
            if other == number
                || entry.target != job.target
                || !self.memory.held.contains(&(other, group, contact))
            {
                continue;
            }
            let theirs = Source::of(entry, start);
            let asks = theirs.groups().into_iter().any(|(id, _)| {
                self.pairs.contains(&(other, id, group))
                    && theirs.members(id).iter().any(|(record, state)| {
                        *state == MembershipState::Active
                            && self.human(&theirs, record) == Some(human)
                    })
            });
            if asks {
                wrong.push((
                    "rule 10 another job",
                    format!("{place}, which job \"{}\" holds", entry.name),
                ));
            }
        }
        wrong
    }

    /// Whether anybody who stands behind a contact refuses a group, or all mail, as far as the run
    /// can know.
    fn is_refused(
        &self,
        number: usize,
        _run: &Run,
        start: &World,
        contact: u64,
        group: Option<u64>,
        there: &Account,
    ) -> bool {
        let target = self.jobs[number].target;
        let Some(human) = self.humans.of(target, contact) else {
            return true;
        };
        if self.humans.is_doubtful(human) {
            return true;
        }
        let address = there
            .contacts
            .get(&contact)
            .map(|contact| fold(&contact.email))
            .unwrap_or_default();
        for (at, job) in self.jobs.iter().enumerate() {
            if job.target != target {
                continue;
            }
            let source = Source::of(job, start);
            let partners: Vec<(u64, String)> = group
                .map(|group| self.partners_of(at, start, group, there))
                .unwrap_or_default();
            let name = |group| there.groups.get(&group).map(|group| fold_name(&group.name));
            let partner_names = partners.iter().map(|(_, name)| fold_name(name));
            let names: BTreeSet<String> = partner_names.chain(group.and_then(name)).collect();
            let refused_ever = |by: Human| {
                self.memory.ever.iter().any(|(account, one, refused)| {
                    account == target
                        && self.humans.is(*one, by)
                        && refused
                            .as_ref()
                            .is_none_or(|refused| names.contains(refused))
                })
            };
            // A record that refused under a former address takes the refusal along to a contact
            // that nobody is linked to: a run can't know that somebody else had the address before.
            let by_record = || {
                let mut records = start.account(job.source).contacts.values();
                records.any(|record| {
                    fold(&record.email) == address
                        && self
                            .humans
                            .behind_addresses(job.source, record.id)
                            .into_iter()
                            .any(refused_ever)
                })
            };
            if refused_ever(human) || (at == number && !job.from_users && by_record()) {
                return true;
            }
            if self.facts_of(target, human).any(|fact| match group {
                Some(group) => self.concerns(fact, &source, group, there, &partners),
                None => fact.audience.is_none(),
            }) {
                return true;
            }
            // Somebody who is in no group in scope may be linked.
            let linked = start.account(job.source).contacts.values().any(|record| {
                record.opted_out.is_some()
                    && !job.from_users
                    && (self.humans.of(job.source, record.id) == Some(human)
                        || fold(&record.email) == address)
            });
            let lists = there.kind == Kind::ActiveCampaign;
            if linked && (group.is_none() || lists) {
                return true;
            }
            if group.is_none() {
                continue;
            }
            for (id, _) in &partners {
                if source.members(*id).iter().any(|(record, state)| {
                    *state == MembershipState::OptedOut
                        && (self.human(&source, record) == Some(human) || record.address == address)
                }) {
                    return true;
                }
            }
        }
        false
    }

    /// A run begins: it may remember what any account shows, however it ends.
    pub(super) fn remember_refusers(&mut self, start: &World) {
        let jobs = self.jobs.clone();
        for job in jobs.iter().filter(|job| !job.to_users) {
            for name in [job.source, job.target] {
                let account = start.account(name);
                let mut found: Vec<(u64, Option<String>)> = account
                    .contacts
                    .values()
                    .filter(|contact| contact.opted_out.is_some())
                    .map(|contact| (contact.id, None))
                    .collect();
                for group in account.groups.values() {
                    let mut shown = BTreeSet::from([if name == job.source {
                        job.mapped(&group.name)
                    } else {
                        group.name.clone()
                    }]);
                    // A group that was paired at any time is known by the name of its partner, too.
                    shown.extend(self.ever_pairs.iter().filter_map(|(of, here, there)| {
                        let of = &jobs[*of];
                        let is_this = (of.target == name && *there == group.id)
                            || (of.source == name && *here == group.id);
                        let partner = if of.target == name {
                            (of.source, here)
                        } else {
                            (of.target, there)
                        };
                        let partner = start.account(partner.0).groups.get(partner.1);
                        is_this
                            .then(|| of.mapped(&partner?.name).clone().into())
                            .flatten()
                    }));
                    for (contact, state) in account.members_of(group.id) {
                        if state == MembershipState::OptedOut {
                            let names = shown.iter();
                            found.extend(names.map(|shown| (contact, Some(fold_name(shown)))));
                        }
                    }
                }
                for (contact, group) in found {
                    if let Some(human) = self.humans.of(name, contact) {
                        self.memory
                            .ever
                            .insert((job.target.to_owned(), human, group));
                    }
                }
            }
        }
    }

    fn considers_creation(
        &self,
        number: usize,
        start: &World,
        contact: u64,
        there: &Account,
    ) -> Vec<Complaint> {
        let job = &self.jobs[number];
        let mut wrong = Vec::new();
        let address = fold(&there.contacts[&contact].email);
        let place = format!("a request created contact {contact} ({address})");
        if truth::contacts(there, &address).count() > 1 {
            wrong.push((
                "rule 5 twins",
                format!("{place}, whose address another contact has"),
            ));
        }
        if !job.create {
            wrong.push(("create", format!("{place} though it may not")));
        }
        let Some(human) = self.humans.of(job.target, contact) else {
            return wrong;
        };
        let source = Source::of(job, start);
        for (here, (known, _)) in self
            .memory
            .people
            .iter()
            .filter(|((of, _), _)| *of == number)
            .map(|((_, here), there)| (*here, there))
        {
            let same = self.humans.of(&source.name(), here) == Some(human);
            let gone = !start.account(job.target).contacts.contains_key(known);
            if same
                && gone
                && !self.humans.is_doubtful(human)
                && start.account(job.source).contacts.contains_key(&here)
                && !self
                    .memory
                    .taken_out
                    .contains(&(job.target.to_owned(), *known))
            {
                wrong.push((
                    "gone_at_target",
                    format!("{place} in the place of contact {known}, who was erased"),
                ));
            }
        }
        wrong
    }

    /// Whether a run of a job has seen a record and a contact as one person.
    fn was_paired(&self, number: usize, record: u64, contact: u64) -> bool {
        self.memory
            .people
            .get(&(number, record))
            .is_some_and(|(known, _)| *known == contact)
    }

    fn considers_move(
        &self,
        number: usize,
        start: &World,
        contact: u64,
        from: &str,
        to: &str,
        there: &Account,
    ) -> Vec<Complaint> {
        let job = &self.jobs[number];
        let mut wrong = Vec::new();
        let address = fold(to);
        let place = format!("a request moved contact {contact} from {from} to {to}");
        if truth::contacts(there, &address).count() > 1 {
            wrong.push((
                "rule 5 twins",
                format!("{place}, which another contact has"),
            ));
        }
        let source = start.account(job.source);
        let shown: Vec<u64> = if job.from_users {
            let users = source.users.values();
            let users = users.filter(|user| fold(&user.email) == address);
            users.map(|user| user.id).collect()
        } else {
            let records = truth::contacts(source, &address);
            records.map(|record| record.id).collect()
        };
        let names = Source::of(job, start).name();
        let human = self.humans.of(job.target, contact);
        if shown.is_empty() {
            wrong.push(("moved", format!("{place}, which nobody at the source has")));
        } else if human.is_some_and(|human| !self.humans.is_doubtful(human))
            && !shown.iter().any(|id| self.humans.of(&names, *id) == human)
        {
            let shown: Vec<_> = shown
                .iter()
                .map(|id| (id, self.humans.of(&names, *id)))
                .collect();
            wrong.push((
                "moved",
                format!("{place}, which is another person's: {human:?}, not {shown:?}"),
            ));
        }
        wrong
    }

    fn considers_seat(
        &self,
        number: usize,
        start: &World,
        user: u64,
        from: Option<u64>,
        to: u64,
        there: &Account,
    ) -> Vec<Complaint> {
        let job = &self.jobs[number];
        let source = Source::of(job, start);
        let staff = staff_of(job.target);
        let human = self.humans.of(&staff, user);
        let Some(human) = human.filter(|human| !self.humans.is_doubtful(*human)) else {
            return Vec::new();
        };
        let parking = there.find_user_group(PARKING);
        let place = format!(
            "user {user} ({}) came from {from:?} to user group {to}",
            there.users[&user].email
        );
        let states = |group: u64| -> Vec<(MembershipState, bool)> {
            self.partners_of(number, start, group, there)
                .into_iter()
                .flat_map(|(id, _)| source.members(id))
                .filter(|(record, _)| self.human(&source, record) == Some(human))
                .map(|(record, state)| (state, record.refuses_all))
                .collect()
        };
        let mut wrong = Vec::new();
        if from.is_none() && !job.create_users {
            wrong.push(("create", format!("{place} though no user may be created")));
        }
        if Some(to) == parking {
            if let Some(from) = from
                && states(from)
                    .iter()
                    .any(|(state, all)| *state == MembershipState::Active && !all)
            {
                wrong.push((
                    "removed, still listed",
                    format!("{place}, and is still listed"),
                ));
            }
            return wrong;
        }
        // A creation may end in a group that came with the account, from where it goes on.
        let makeshift = from.is_none() && to <= 3;
        let states = states(to);
        if !makeshift
            && !states
                .iter()
                .any(|(state, all)| *state == MembershipState::Active && !all)
        {
            wrong.push((
                "stranger added",
                format!("{place}, and is not listed there: {states:?}"),
            ));
        }
        if states
            .iter()
            .any(|(state, all)| *state == MembershipState::OptedOut || *all)
        {
            wrong.push((
                "rule 1 at the source",
                format!("{place}, and refuses that: {states:?}"),
            ));
        }
        let allowed = |from: u64| {
            Some(from) == parking
                || from <= 3
                || self
                    .pairs
                    .iter()
                    .any(|pair| pair.0 == number && pair.2 == from)
        };
        if let Some(from) = from
            && !allowed(from)
        {
            wrong.push((
                "rule 10",
                format!("{place} out of a group that is not this job's"),
            ));
        }
        wrong
    }

    /// People end what was known of them by what they do at a target themselves.
    pub(super) fn release(&mut self, event: &HistoryEvent, now: &World) {
        if event.actor != Actor::Person {
            return;
        }
        let name = event.account.clone();
        let account = now.account(&name);
        let (contact, group) = match &event.change {
            Change::AccountOptOutCleared { contact } | Change::ContactCreated { contact } => {
                (*contact, None)
            }
            Change::MembershipAdded { group, contact, .. }
            | Change::GroupOptOutCleared { group, contact }
            | Change::MembershipChanged { group, contact }
                if account.membership(*group, *contact) == Some(MembershipState::Active) =>
            {
                (*contact, Some(*group))
            }
            Change::AddressChanged { contact, .. } => {
                if self.jobs.iter().any(|job| job.target == name) {
                    self.humans.doubt(&name, *contact);
                }
                return;
            }
            _ => return,
        };
        let Some(human) = self.humans.of(&name, contact) else {
            return;
        };
        let active_all = account
            .contacts
            .get(&contact)
            .is_some_and(|contact| contact.opted_out.is_none());
        let humans = self.humans.clone();
        self.memory.facts.retain(|fact| {
            if fact.account != name || !humans.is(fact.human, human) {
                return true;
            }
            match (&fact.audience, group) {
                (None, _) => !active_all,
                (Some(audience), Some(group)) => !audience.targets.contains(&group),
                (Some(_), None) => true,
            }
        });
    }

    /// A run has ended well with everything read: what it has seen is known from here on.
    pub(super) fn learn_humans(&mut self, run: &Run) {
        let job = self.jobs[run.job].clone();
        let source = Source::of(&job, &run.start);
        let seen = self.seen.clone();
        let target = seen.account(job.target);
        let mut facts = Vec::new();
        let mut known: BTreeSet<Human> = BTreeSet::new();
        let mut fact = |human, audience, how: String| {
            facts.push(Fact {
                // What keeps somebody out of user groups keeps nobody off lists.
                account: if job.to_users {
                    staff_of(job.target)
                } else {
                    job.target.to_owned()
                },
                human,
                audience,
                how,
            });
        };
        for (id, name) in source.groups() {
            let targets: BTreeSet<u64> = self
                .pairs
                .iter()
                .filter(|pair| pair.0 == run.job && pair.1 == id)
                .map(|pair| pair.2)
                .collect();
            // A group that no run wrote to has no name at the target.
            let held = |group: &u64| Some(fold_name(&target.groups.get(group)?.name));
            let audience = || Audience {
                targets: targets.clone(),
                sources: BTreeSet::from([(source.name(), id)]),
                names: targets.iter().filter_map(held).collect(),
            };
            for (record, state) in source.members(id) {
                let Some(human) = self.human(&source, &record) else {
                    continue;
                };
                known.insert(human);
                if record.refuses_all {
                    fact(
                        human,
                        None,
                        format!("all mail, by record {} at the source", record.id),
                    );
                }
                if state == MembershipState::OptedOut {
                    fact(
                        human,
                        Some(audience()),
                        format!("group {id} \"{name}\" at the source"),
                    );
                }
            }
            if job.to_users {
                continue;
            }
            for group in &targets {
                for (contact, state) in target.members_of(*group) {
                    let own = self
                        .memory
                        .own
                        .contains(&(job.target.to_owned(), *group, contact));
                    if state != MembershipState::OptedOut || own {
                        continue;
                    }
                    let Some(human) = self.humans.of(job.target, contact) else {
                        continue;
                    };
                    let another = target.members_of(*group).into_iter().any(|(other, state)| {
                        state == MembershipState::Active
                            && self.humans.of(job.target, other) == Some(human)
                    });
                    if !another {
                        fact(
                            human,
                            Some(audience()),
                            format!("group {group} \"{name}\" at the target"),
                        );
                    }
                }
            }
        }
        if !job.to_users {
            for contact in target.contacts.values() {
                if contact.opted_out.is_some()
                    && let Some(human) = self.humans.of(job.target, contact.id)
                    && known.contains(&human)
                {
                    fact(
                        human,
                        None,
                        format!("all mail, by contact {} at the target", contact.id),
                    );
                }
            }
        }
        for fact in facts {
            let same =
                |known: &&mut Fact| known.account == fact.account && known.human == fact.human;
            match (
                &fact.audience,
                self.memory
                    .facts
                    .iter_mut()
                    .filter(same)
                    .find(|known| known.audience == fact.audience),
            ) {
                (_, Some(_)) => {}
                _ => self.memory.facts.push(fact),
            }
        }
    }

    /// What is wrong when all is at rest.
    pub(super) fn rest(&self, number: usize, world: &World, planned: &Planned) -> Vec<Complaint> {
        let job = &self.jobs[number];
        let (source, target) = (Source::of(job, world), world.account(job.target));
        let plan = &planned.plan;
        let mut wrong = Vec::new();
        if world.accounts.iter().any(proves_nothing) {
            return wrong;
        }
        self.twins(job, world, planned, &mut wrong);
        let blocked = |record: &Record| {
            plan.blocked.iter().find(|blocked| {
                blocked
                    .member
                    .as_deref()
                    .is_some_and(|member| member == record.address)
                    || blocked.id.as_deref() == Some(record.id.to_string().as_str())
            })
        };
        for pair in plan.pairs.iter().filter(|pair| pair.writable) {
            let (Some(here), Some(there)) = (&pair.source, &pair.target) else {
                continue;
            };
            let (here, there): (u64, u64) = (here.parse().unwrap(), there.parse().unwrap());
            for (record, state) in source.members(here) {
                let Some(human) = self.human(&source, &record) else {
                    continue;
                };
                if self.humans.is_doubtful(human) {
                    continue;
                }
                let place = format!(
                    "record {} ({}) in groups {here} and {there}",
                    record.id, record.address
                );
                let refuses = record.refuses_all || state == MembershipState::OptedOut;
                if job.to_users {
                    let staff = staff_of(job.target);
                    let seated = target.users.values().any(|user| {
                        user.group == there && self.humans.of(&staff, user.id) == Some(human)
                    });
                    // Users have no refusal of all mail that could be written.
                    let refuses = state == MembershipState::OptedOut;
                    if refuses && seated && job.carry && blocked(&record).is_none() {
                        wrong.push(("rest, refuses and is there", place));
                    }
                    continue;
                }
                let mine: Vec<u64> = target
                    .contacts
                    .keys()
                    .copied()
                    .filter(|id| self.humans.of(job.target, *id) == Some(human))
                    .collect();
                let mailed = |id: &u64| {
                    let contact = &target.contacts[id];
                    target.membership(there, *id) == Some(MembershipState::Active)
                        && contact.opted_out.is_none()
                        && contact.bounced.is_none()
                        && is_usable(&contact.email)
                };
                if refuses && job.carry {
                    for id in mine.iter().filter(|id| mailed(id)) {
                        if self.stands_for(target, *id, &record)
                            && !blocked(&record).is_some_and(|blocked| {
                                blocked.reason == BlockedReason::AddressTaken
                            })
                        {
                            wrong.push((
                                "rest, refuses and is mailed",
                                format!(
                                    "{place} refuses at the source, and contact {id} is mailed"
                                ),
                            ));
                        }
                    }
                } else if !refuses
                    && state == MembershipState::Active
                    && is_usable(&record.address)
                    && !mine
                        .iter()
                        .any(|id| target.membership(there, *id).is_some())
                {
                    let withheld = plan.withheld.iter().any(|withheld| {
                        withheld
                            .member
                            .is_some_and(|person| planned.address(person) == record.address)
                    });
                    let listed = truth::contacts(target, &record.address)
                        .any(|contact| target.membership(there, contact.id).is_some());
                    if !withheld && !listed && blocked(&record).is_none() {
                        let holders: Vec<_> = truth::contacts(target, &record.address)
                            .map(|contact| {
                                let human = self.humans.of(job.target, contact.id);
                                (contact.id, human, target.membership(there, contact.id))
                            })
                            .collect();
                        wrong.push((
                            "rest, lost",
                            format!("{place} is missing, and nobody says why: human {human}, contacts {mine:?}; {holders:?} have the address"),
                        ));
                    }
                }
            }
        }
        wrong
    }

    /// Groups and people that requests have made twice.
    fn twins(&self, job: &Job, world: &World, planned: &Planned, wrong: &mut Vec<Complaint>) {
        let target = world.account(job.target);
        let made: Vec<_> = target
            .groups
            .values()
            .filter(|group| {
                self.made_groups
                    .contains(&(job.target.to_owned(), group.id))
            })
            .collect();
        for group in &made {
            let same: Vec<u64> = made
                .iter()
                .filter(|other| fold_name(&other.name) == fold_name(&group.name))
                .map(|other| other.id)
                .collect();
            let sources: usize = self
                .jobs
                .iter()
                .filter(|other| other.target == job.target)
                .map(|other| {
                    // What one job puts before its names another one finds in them.
                    let whole = fold_name(&group.name);
                    let bare = whole.strip_prefix("our ").unwrap_or(&whole).to_owned();
                    let known = BTreeSet::from([bare, whole]).into_iter().map(|name| {
                        let ids = self.names.get(&(other.source.to_owned(), name));
                        ids.map_or(0, BTreeSet::len)
                    });
                    known.sum()
                })
                .max()
                .unwrap_or(0);
            // Who pins a group to another one gives it that one's name.
            let pinned = self.jobs.iter().any(|job| {
                let mut pins = job.pins.iter();
                pins.any(|(_, there)| same.contains(there))
            });
            if pinned {
                continue;
            }
            let told = planned
                .plan
                .blocked
                .iter()
                .any(|blocked| blocked.group.as_deref() == Some(&group.name));
            if same.len() > sources.max(1) && !told && same[0] == group.id {
                wrong.push((
                    "rule 5 twins",
                    format!("requests made the groups {same:?}, all \"{}\"", group.name),
                ));
            }
        }
        for id in target.contacts.keys() {
            if !self.made_contacts.contains(&(job.target.to_owned(), *id)) {
                continue;
            }
            let address = fold(&target.contacts[id].email);
            let others = truth::contacts(target, &address)
                .filter(|other| {
                    other.id < *id
                        && self
                            .made_contacts
                            .contains(&(job.target.to_owned(), other.id))
                })
                .count();
            if others > 0 {
                wrong.push((
                    "rule 5 twins",
                    format!("requests made several contacts with {address}"),
                ));
            }
        }
    }
}
