//! Watches the accounts and says which rule a request broke, from the accounts' own history and
//! never from rosterd's plans.

use std::collections::{BTreeMap, BTreeSet};

use rosterd::emulator::{Account, Actor, Change, HistoryEvent, Kind, MembershipState, World};

use super::humans::{Human, Humans};
use super::job::Job;
use super::truth;
use super::wild::Fact;
use super::world::{fold, fold_name};

/// What the database of the moment has had reason to remember. It is lost and brought back together
/// with the database.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    /// Refusals of all mail of a target account that a run has seen, by account and address.
    pub refused_account: BTreeSet<(String, String)>,
    /// Refusals of a target group that a run has seen, by account, group and address.
    pub refused_group: BTreeSet<(String, u64, String)>,
    /// Memberships that requests of a job brought, by job, target group and target contact.
    pub brought: BTreeSet<(usize, u64, u64)>,
    /// Pairs of people, by job and source contact, with the address they had: only where each side
    /// has one contact.
    pub people: BTreeMap<(usize, u64), (u64, String)>,
    /// Target contacts whose last change of membership was a removal by a request, by account and
    /// contact.
    pub taken_out: BTreeSet<(String, u64)>,
    /// Memberships that a finished run of a job has seen at both sides, by job, group and contact.
    pub held: BTreeSet<(usize, u64, u64)>,
    /// Removals by requests that show as refusals, by account, group and contact.
    pub own: BTreeSet<(String, u64, u64)>,
    /// What humans refused, as far as a run has seen it.
    pub facts: Vec<Fact>,
    /// What humans refused when any run began, however it ended: by account, with the group's name
    /// or nothing for all mail.
    pub ever: BTreeSet<(String, Human, Option<String>)>,
}

/// One run while it goes on.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub job: usize,
    /// The accounts when it began, the source without what only looks like refusals there. Nobody
    /// edits them while a run goes on.
    pub start: World,
    /// The accounts as they were after each edit while the run went on.
    pub also: Vec<World>,
    /// The jobs that run at the same time.
    pub beside: Vec<usize>,
    /// Whether the database of the run is still in use.
    pub known: bool,
    /// Whether the journal says that the run's requests create people.
    pub creates: bool,
    /// Who was taken out of which group by this run.
    pub removed: BTreeSet<(u64, u64)>,
    /// The accounts whose listings of members were faulty in every answer.
    pub blind: BTreeSet<String>,
}

/// Watches the accounts.
#[derive(Clone)]
pub(crate) struct Judge {
    pub jobs: Vec<Job>,
    pub memory: Memory,
    pub run: Option<Run>,
    /// All runs by the number before their first request: an import goes on when its run has ended.
    pub runs: BTreeMap<u64, Run>,
    /// What rules were broken, and how.
    pub complaints: Vec<String>,
    /// The accounts as they were last looked at.
    pub seen: World,
    last_event: u64,
    /// Groups and contacts that requests made.
    pub made_groups: BTreeSet<(String, u64)>,
    pub made_contacts: BTreeSet<(String, u64)>,
    /// Addresses of which somebody has changed a profile, an address or the number of contacts
    /// since the beginning.
    pub touched: BTreeSet<String>,
    /// Pairs of groups: job, source group, target group.
    pub pairs: BTreeSet<(usize, u64, u64)>,
    /// Pairs that were there at any time: a list goes a while after its deletion was asked for.
    pub ever_pairs: BTreeSet<(usize, u64, u64)>,
    /// Protected flags that a request set: account and group.
    pub own_flags: BTreeSet<(String, u64)>,
    /// Memberships that a request brought and that nobody has changed by hand since: job, group and
    /// contact.
    pub surely: BTreeSet<(usize, u64, u64)>,
    /// Addresses that somebody has refused mail under, or that bounced, left a group by hand or
    /// moved, at any time.
    pub ever_refused: BTreeSet<String>,
    pub ever_bounced: BTreeSet<String>,
    pub ever_left: BTreeSet<String>,
    pub moved: BTreeSet<String>,
    /// Whether anybody was ever erased.
    pub ever_erased: bool,
    /// Contacts of which somebody has edited the profile by hand: account and contact.
    pub edited: BTreeSet<(String, u64)>,
    /// Whether the database has never been lost or set back.
    pub pristine: bool,
    /// Whether who is who is turned over, so that addresses prove nothing.
    pub wild: bool,
    pub humans: Humans,
    /// Names of groups that sources have had, with the ids: by account.
    pub names: BTreeMap<(String, String), BTreeSet<u64>>,
}

impl Judge {
    pub fn new(jobs: Vec<Job>, world: World) -> Self {
        Judge {
            wild: false,
            humans: Humans::of_world(&world),
            names: BTreeMap::new(),
            jobs,
            memory: Memory::default(),
            run: None,
            runs: BTreeMap::new(),
            complaints: Vec::new(),
            seen: world,
            last_event: 0,
            made_groups: BTreeSet::new(),
            made_contacts: BTreeSet::new(),
            touched: BTreeSet::new(),
            pairs: BTreeSet::new(),
            ever_pairs: BTreeSet::new(),
            own_flags: BTreeSet::new(),
            surely: BTreeSet::new(),
            ever_refused: BTreeSet::new(),
            ever_bounced: BTreeSet::new(),
            ever_left: BTreeSet::new(),
            moved: BTreeSet::new(),
            ever_erased: false,
            edited: BTreeSet::new(),
            pristine: true,
        }
    }

    pub fn complain(&mut self, rule: &str, text: String) {
        self.complaints.push(format!("{rule}: {text}"));
    }

    /// A run begins.
    pub fn begin(
        &mut self,
        job: usize,
        world: &World,
        blind: BTreeSet<String>,
        last: u64,
        beside: Vec<usize>,
    ) {
        let start = self.believed(world, self.jobs[job].source);
        self.remember_refusers(&start);
        let run = Run {
            job,
            start,
            also: Vec::new(),
            beside,
            known: true,
            creates: false,
            removed: BTreeSet::new(),
            blind,
        };
        self.runs.insert(last, run.clone());
        self.run = Some(run);
    }

    /// Whether a run has seen a record together with the one contact that stands for it.
    pub fn is_paired(&self, account: &str, record: u64) -> bool {
        self.memory.people.iter().any(|((job, here), (there, _))| {
            (self.jobs[*job].source == account && *here == record)
                || (self.jobs[*job].target == account && *there == record)
        })
    }

    /// Whether a run may have paired a record without anybody knowing: it was there when one began,
    /// which then died, or did not end well.
    pub fn may_be_paired(&self, account: &str, record: u64) -> bool {
        self.runs.values().any(|run| {
            let there = |world: &World| {
                let named = world.accounts.iter().find(|known| known.name == account);
                named.is_some_and(|account| account.contacts.contains_key(&record))
            };
            let mut jobs = std::iter::once(&run.job).chain(&run.beside);
            jobs.any(|job| [self.jobs[*job].source, self.jobs[*job].target].contains(&account))
                && (there(&run.start) || run.also.iter().any(there))
        })
    }

    /// Whether the partner of a record that has just exchanged its address with another one had an
    /// address of its own: a change that was not carried is on top of the exchange.
    fn had_moved(&self, account: &str, record: u64, other: u64) -> bool {
        let then = self.seen.account(account).contacts.get(&other);
        self.memory.people.iter().any(|((job, here), (there, _))| {
            let job = &self.jobs[*job];
            let partner = self.seen.account(job.target).contacts.get(there);
            job.source == account
                && *here == record
                && then
                    .zip(partner)
                    .is_some_and(|(then, partner)| fold(&then.email) != fold(&partner.email))
        })
    }

    /// Whether another source has a record of whom a record of a source stands for.
    fn is_known_elsewhere(&self, account: &str, record: u64) -> bool {
        let sources: BTreeSet<&str> = self.jobs.iter().map(|job| job.source).collect();
        if !sources.contains(account) {
            return false;
        }
        let others: Vec<&str> = sources
            .into_iter()
            .filter(|name| *name != account)
            .collect();
        let human = self.humans.of(account, record);
        human.is_some_and(|human| self.humans.count(&self.seen, &others, human) > 0)
    }

    /// Two records have exchanged their addresses, or the second one was merged into the first.
    pub fn turn_over(&mut self, account: &str, one: u64, other: u64, merged: bool) {
        for id in [one, other] {
            self.humans.doubt_mixed(account, id);
        }
        // What one source says of two people, another one may not know.
        if [one, other]
            .iter()
            .any(|id| self.is_known_elsewhere(account, *id))
        {
            self.humans.doubt(account, one);
            self.humans.doubt(account, other);
            return;
        }
        let doubtful = |id| !self.is_paired(account, id) && self.may_be_paired(account, id);
        let on_the_move =
            !merged && (self.had_moved(account, one, other) || self.had_moved(account, other, one));
        if on_the_move || doubtful(one) || doubtful(other) {
            self.humans.doubt(account, one);
            self.humans.doubt(account, other);
            return;
        }
        match (self.is_paired(account, one), self.is_paired(account, other)) {
            (true, true) if merged => self.humans.unite(account, one, other),
            (true, true) => self.humans.exchange(account, one, other),
            // Both are whoever has the address.
            (false, _) if merged => {}
            (false, false) => {}
            _ => {
                self.humans.doubt(account, one);
                self.humans.doubt(account, other);
            }
        }
    }

    /// Somebody has edited an account while a run goes on.
    pub fn meddled(&mut self, world: &World) {
        let Some((first, job)) = self
            .runs
            .iter()
            .next_back()
            .map(|(first, run)| (*first, run.job))
        else {
            return;
        };
        let believed = self.believed(world, self.jobs[job].source);
        if let Some(run) = self.runs.get_mut(&first) {
            run.also.push(believed);
        }
    }

    /// The database is another one from here on.
    pub fn forget(&mut self) {
        for run in self.runs.values_mut() {
            run.known = false;
        }
    }

    /// The accounts as a run reads one of them as its source: nobody is a member whom a request
    /// took out.
    pub fn believed(&self, world: &World, source: &str) -> World {
        let mut world = world.clone();
        for (account, group, contact) in &self.memory.own {
            if account == source
                && let Some(group) = world.account_mut(source).groups.get_mut(group)
            {
                group.members.remove(contact);
            }
        }
        world
    }

    /// Takes in what has happened since the last look, together with the pairs of groups that the
    /// database knows.
    pub fn look(
        &mut self,
        now: World,
        history: &[HistoryEvent],
        pairs: BTreeSet<(usize, u64, u64)>,
    ) {
        self.ever_pairs.extend(pairs.iter().copied());
        self.pairs = pairs;
        let fresh: Vec<HistoryEvent> = history
            .iter()
            .filter(|event| event.seq > self.last_event)
            .cloned()
            .collect();
        let before = std::mem::replace(&mut self.seen, now.clone());
        for event in &fresh {
            self.last_event = event.seq;
            if self.wild {
                let source = match event.actor {
                    Actor::Person => None,
                    Actor::Request(number) => self
                        .runs
                        .range(..number)
                        .next_back()
                        .map(|(_, run)| self.jobs[run.job].source),
                };
                let moved = match &event.change {
                    Change::AddressChanged { contact, .. } => Some(*contact),
                    _ => None,
                };
                let paired = moved.is_some_and(|contact| self.is_paired(&event.account, contact));
                // Whether it is still whom it was, rosterd may know by a link, and nobody else does.
                // Nor is it known where a contact moved by hand, or what one source says of somebody
                // whom another one knows.
                let unknown = |contact| {
                    let is_target = self.jobs.iter().any(|job| job.target == event.account);
                    !paired && (is_target || self.may_be_paired(&event.account, contact))
                        || self.is_known_elsewhere(&event.account, contact)
                };
                let doubtful =
                    moved.filter(|contact| event.actor == Actor::Person && unknown(*contact));
                if let Some(contact) = doubtful {
                    self.humans.doubt(&event.account, contact);
                }
                self.humans.take_in(event, &now, source, paired);
                if let Some(contact) = doubtful {
                    self.humans.doubt(&event.account, contact);
                }
                self.release(event, &now);
            }
            match event.actor {
                Actor::Person => self.by_person(event, &before, &now),
                Actor::Request(number) => self.by_request(number, event, &before, &now),
            }
        }
        // A click of the person's own makes a refusal of a removal, and leaves no event where the
        // state stays.
        self.memory.own.retain(|(account, group, contact)| {
            let group = now.account(account).groups.get(group);
            let membership = group.and_then(|group| group.members.get(contact));
            membership.is_some_and(|membership| {
                membership.state == MembershipState::OptedOut && membership.by_api
            })
        });
        if fresh
            .iter()
            .any(|event| matches!(event.actor, Actor::Request(_)))
        {
            self.flags(&before, &now);
        } else {
            // A flag that a person has just lifted is nobody's; one that a run has lifted stays its
            // own until the group is gone.
            for account in &now.accounts {
                let then = before.account(&account.name);
                let is_protected = |account: &Account, group: &u64| {
                    let group = account.groups.get(group);
                    group.is_some_and(|group| group.protected)
                };
                self.own_flags.retain(|(name, group)| {
                    *name != account.name
                        || !account.groups.contains_key(group)
                        || is_protected(account, group)
                        || !is_protected(then, group)
                });
            }
        }
        for account in now.accounts.iter().filter(|_| self.wild) {
            let groups = account.groups.values();
            let groups = groups.map(|group| (group.id, &group.name));
            // User groups have ids of their own.
            let staff = account.user_groups.values();
            let staff = staff.map(|group| (u64::MAX - group.id, &group.title));
            for (id, name) in groups.chain(staff) {
                self.names
                    .entry((account.name.clone(), fold_name(name)))
                    .or_default()
                    .insert(id);
            }
        }
        self.collect(&now);
    }

    /// Takes down whatever anybody has ever refused.
    fn collect(&mut self, now: &World) {
        for account in &now.accounts {
            for contact in account.contacts.values() {
                let refuses = account.groups.values().any(|group| {
                    group
                        .members
                        .get(&contact.id)
                        .is_some_and(|membership| membership.state == MembershipState::OptedOut)
                });
                if refuses || contact.opted_out.is_some() {
                    self.ever_refused.insert(fold(&contact.email));
                }
                let bounces = |state: MembershipState| {
                    matches!(
                        state,
                        MembershipState::Bounced | MembershipState::Unconfirmed
                    )
                };
                let listed = account
                    .groups
                    .values()
                    .filter_map(|group| group.members.get(&contact.id));
                if contact.bounced.is_some()
                    || listed
                        .into_iter()
                        .any(|membership| bounces(membership.state))
                {
                    self.ever_bounced.insert(fold(&contact.email));
                }
            }
        }
    }

    /// People may do whatever they like; some of it ends what rosterd has to remember.
    fn by_person(&mut self, event: &HistoryEvent, before: &World, now: &World) {
        let name = event.account.clone();
        let address = |contact: &u64| {
            let find = |world: &World| {
                world
                    .account(&name)
                    .contacts
                    .get(contact)
                    .map(|contact| fold(&contact.email))
            };
            find(now).or_else(|| find(before)).unwrap_or_default()
        };
        match &event.change {
            Change::AccountOptOutCleared { contact } => {
                self.memory
                    .refused_account
                    .remove(&(name.clone(), address(contact)));
            }
            Change::MembershipAdded { group, contact, .. }
            | Change::GroupOptOutCleared { group, contact }
            | Change::MembershipChanged { group, contact } => {
                if now.account(&name).membership(*group, *contact) == Some(MembershipState::Active)
                {
                    self.memory
                        .refused_group
                        .remove(&(name.clone(), *group, address(contact)));
                    // Lists hold a refusal of all mail one by one, and it ends with the last of
                    // them.
                    let refuses = |pair: &(usize, u64, u64)| {
                        self.jobs[pair.0].target == name
                            && now.account(&name).membership(pair.2, *contact)
                                == Some(MembershipState::OptedOut)
                    };
                    if now.account(&name).kind == Kind::ActiveCampaign
                        && !self.pairs.iter().any(refuses)
                    {
                        self.memory
                            .refused_account
                            .remove(&(name.clone(), address(contact)));
                    }
                }
                // A merge of several contacts depends on which of them are listed.
                if truth::contacts(now.account(&name), &address(contact)).count() > 1 {
                    self.touched.insert(address(contact));
                }
            }
            Change::MembershipRemoved { group, contact, .. } => {
                self.ever_left.insert(address(contact));
                self.surely.retain(|(job, there, who)| {
                    self.jobs[*job].target != name || (there, who) != (group, contact)
                });
                if truth::contacts(now.account(&name), &address(contact)).count() > 1 {
                    self.touched.insert(address(contact));
                }
            }
            Change::ContactCreated { contact }
            | Change::ContactDeleted { contact, .. }
            | Change::ContactChanged { contact, .. } => {
                self.touched.insert(address(contact));
                self.edited.insert((name.clone(), *contact));
                self.ever_erased |= matches!(event.change, Change::ContactDeleted { .. });
                if matches!(event.change, Change::ContactCreated { .. }) {
                    self.memory
                        .refused_account
                        .remove(&(name.clone(), address(contact)));
                }
            }
            Change::AddressChanged { contact, from, to } => {
                self.touched.insert(fold(from));
                self.touched.insert(fold(to));
                self.moved.extend([fold(from), fold(to)]);
                // A refusal follows the person.
                for known in [
                    &mut self.ever_refused,
                    &mut self.ever_bounced,
                    &mut self.ever_left,
                ] {
                    if known.contains(&fold(from)) {
                        known.insert(fold(to));
                    }
                }
                self.memory
                    .refused_account
                    .remove(&(name.clone(), fold(to)));
                for group in now.account(&name).groups_of(*contact) {
                    self.memory
                        .refused_group
                        .remove(&(name.clone(), group, fold(to)));
                }
            }
            _ => {}
        }
    }

    /// A run has ended well, without a fault and with everything read: what it has seen is known
    /// from here on. While somebody waits for an address, who is who is not settled.
    pub fn learn(&mut self, refused: bool, waits: bool) {
        let Some(run) = self.run.clone() else { return };
        if self.wild {
            self.learn_humans(&run);
            if !waits {
                self.humans.show();
            }
        }
        let job = self.jobs[run.job].clone();
        if job.from_users || job.to_users {
            return;
        }
        let (source, target) = (run.start.account(job.source), self.seen.account(job.target));
        let mut refusals: BTreeSet<(String, u64, String)> = BTreeSet::new();
        for group in truth::scope(&job, &run.start) {
            for (address, state) in truth::listing(source, group) {
                if truth::refuses_all(source, &address) {
                    self.memory
                        .refused_account
                        .insert((job.target.to_owned(), address.clone()));
                }
                for (_, _, partner) in self
                    .pairs
                    .iter()
                    .filter(|pair| pair.0 == run.job && pair.1 == group.id)
                {
                    if state == MembershipState::OptedOut {
                        refusals.insert((job.target.to_owned(), *partner, address.clone()));
                    }
                    for contact in truth::contacts(target, &address) {
                        let active = target.membership(*partner, contact.id)
                            == Some(MembershipState::Active);
                        if active && state == MembershipState::Active && !refused {
                            self.memory.held.insert((run.job, *partner, contact.id));
                        }
                    }
                }
            }
        }
        // Who remembers a target has not looked at it.
        let looked = self.pairs.iter().filter(|_| !job.remembers);
        for (_, _, partner) in looked.filter(|pair| pair.0 == run.job && job.sees(pair, &run.start))
        {
            let Some(group) = target.groups.get(partner) else {
                continue;
            };
            for (address, state) in truth::listing(target, group) {
                let all = truth::contacts(target, &address).all(|contact| {
                    target
                        .membership(*partner, contact.id)
                        .is_none_or(|state| state == MembershipState::OptedOut)
                        && !self
                            .memory
                            .own
                            .contains(&(job.target.to_owned(), *partner, contact.id))
                });
                if state == MembershipState::OptedOut && all {
                    refusals.insert((job.target.to_owned(), *partner, address));
                }
            }
        }
        let refuses = |account: &String, group: u64, address: &String| {
            refusals.contains(&(account.clone(), group, address.clone()))
                || self
                    .memory
                    .refused_account
                    .contains(&(account.clone(), address.clone()))
        };
        self.memory.own.retain(|(account, group, contact)| {
            let address = self
                .seen
                .account(account)
                .contacts
                .get(contact)
                .map(|contact| fold(&contact.email))
                .unwrap_or_default();
            !refuses(account, *group, &address)
        });
        self.memory.refused_group.extend(refusals);
        if refused {
            return;
        }
        for address in truth::listed(&job, &run.start) {
            let here: Vec<u64> = truth::contacts(source, &address)
                .map(|contact| contact.id)
                .collect();
            let there: Vec<u64> = truth::contacts(target, &address)
                .map(|contact| contact.id)
                .collect();
            if let ([here], [there]) = (here.as_slice(), there.as_slice()) {
                self.memory
                    .people
                    .insert((run.job, *here), (*there, address));
            }
        }
    }

    /// The partner groups of a target group for the running job: those the database knows, else
    /// those that look alike.
    pub fn partners(&self, run: &Run, group: u64) -> Vec<u64> {
        let known: Vec<u64> = self
            .pairs
            .iter()
            .filter(|(job, _, target)| *job == run.job && *target == group)
            .map(|(_, source, _)| *source)
            .collect();
        if !known.is_empty() {
            return known;
        }
        let job = &self.jobs[run.job];
        let Some(target) = self.seen.account(job.target).groups.get(&group) else {
            return Vec::new();
        };
        truth::scope(job, &run.start)
            .filter(|source| truth::alike(job, source, target))
            .map(|source| source.id)
            .collect()
    }

    /// Whether somebody refuses all mail at the source of any job into the same account, or was
    /// seen to.
    pub fn refuses_anywhere(&self, run: &Run, address: &str) -> bool {
        let target = self.jobs[run.job].target;
        self.memory
            .refused_account
            .contains(&(target.to_owned(), address.to_owned()))
            || self
                .jobs
                .iter()
                .filter(|job| job.target == target)
                .any(|job| truth::refuses_all(run.start.account(job.source), address))
    }

    /// Whether somebody refuses a target group at the source of any job into it, or was seen to.
    pub fn refuses_group_anywhere(&self, run: &Run, group: u64, address: &str) -> bool {
        let target = self.jobs[run.job].target;
        let shows = |(job, here, _): &(usize, u64, u64)| {
            truth::state(run.start.account(self.jobs[*job].source), *here, address)
                == Some(MembershipState::OptedOut)
        };
        self.memory
            .refused_group
            .contains(&(target.to_owned(), group, address.to_owned()))
            || self
                .pairs
                .iter()
                .filter(|pair| pair.2 == group && self.jobs[pair.0].target == target)
                .any(shows)
    }

    /// The addresses at the source of whoever a target contact stands for.
    pub fn source_addresses(&self, run: &Run, contact: u64, address: &str) -> BTreeSet<String> {
        let source = run.start.account(self.jobs[run.job].source);
        let linked = self
            .memory
            .people
            .iter()
            .filter(|((job, _), (target, _))| *job == run.job && *target == contact);
        let mut addresses: BTreeSet<String> = linked
            .filter_map(|((_, here), _)| source.contacts.get(here))
            .map(|contact| fold(&contact.email))
            .collect();
        addresses.insert(address.to_owned());
        addresses
    }
}
