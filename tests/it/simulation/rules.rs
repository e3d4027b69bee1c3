//! The rules, one event at a time: what a request may do to an account.

use rosterd::emulator::{
    Account, Change, GroupKind, GroupStatus, HistoryEvent, Kind, MembershipState, World,
};

use super::judge::{Judge, Run};
use super::truth;
use super::world::{fold, fold_name};

impl Judge {
    pub(super) fn by_request(
        &mut self,
        number: u64,
        event: &HistoryEvent,
        before: &World,
        now: &World,
    ) {
        let Some((first, run)) = self
            .runs
            .range(..number)
            .next_back()
            .map(|(first, run)| (*first, run.clone()))
        else {
            self.complain("rule 5", format!("a change without a run: {event:?}"));
            return;
        };
        let memory = (!run.known).then(|| self.memory.clone());
        if self.wild {
            self.weigh(&run, event, before, now);
        } else {
            let source = self.jobs[run.job].source;
            let meanwhile = self.believed(before, source);
            // An import of an earlier run goes on at what is the source of this one, which may have
            // read it before or after; and so may it what people do while it goes on.
            let goes_on = truth::differ(meanwhile.account(source), run.start.account(source));
            let others = run.also.iter().chain(goes_on.then_some(&meanwhile));
            let others: Vec<Account> = others.map(|world| world.account(source).clone()).collect();
            let as_before = (!others.is_empty()).then(|| self.clone());
            self.judge(&run, first, event, before, now);
            for (as_before, other) in as_before.iter().cycle().zip(others) {
                if self.complaints.len() == as_before.complaints.len() {
                    break;
                }
                *self = as_before.clone();
                let mut run = run.clone();
                *run.start.account_mut(source) = other;
                self.judge(&run, first, event, before, now);
            }
        }
        // What another database has asked for, this one can't know.
        if let Some(memory) = memory {
            self.memory = memory;
        }
    }

    fn judge(&mut self, run: &Run, first: u64, event: &HistoryEvent, before: &World, now: &World) {
        let job = self.jobs[run.job].clone();
        if event.account != job.target {
            self.complain(
                "rule 10",
                format!(
                    "a request changed \"{}\", which is not the target: {:?}",
                    event.account, event.change
                ),
            );
            return;
        }
        let there = now.account(&event.account);
        match &event.change {
            // The account remembers who refused and was taken out. rosterd can know it only where a
            // run has seen the refusal.
            Change::GroupOptOutCleared { group, contact }
                if before
                    .account(&event.account)
                    .membership(*group, *contact)
                    .is_none() => {}
            change if change.undoes_opt_out() => {
                self.complain("rule 1", format!("a request undid a refusal: {change:?}"));
            }
            Change::MembershipAdded { group, contact, .. }
            | Change::MembershipChanged { group, contact }
                if there.membership(*group, *contact) == Some(MembershipState::Active) =>
            {
                self.joins(run, *group, *contact, there);
            }
            Change::MembershipRemoved { group, contact, .. } => {
                let account = before.account(&event.account);
                self.detaches(&job, *group, *contact, there);
                self.leaves(run, first, *group, *contact, account);
            }
            Change::GroupOptOutSet { group, contact } => {
                self.refuses_group(
                    run,
                    first,
                    *group,
                    *contact,
                    before.account(&event.account),
                    there,
                );
            }
            Change::AccountOptOutSet { contact } => self.refuses_all(run, *contact, there),
            Change::ContactCreated { contact } => self.appears(run, *contact, there),
            Change::ContactChanged { contact, fields } => {
                self.profile(run, *contact, fields, before.account(&event.account), there);
            }
            Change::AddressChanged { contact, from, to } => {
                self.moves(run, *contact, from, to, there);
            }
            Change::ContactDeleted { .. } | Change::UserDeleted { .. } => {
                self.complain(
                    "rule 6",
                    format!("a request deleted a person: {:?}", event.change),
                );
            }
            Change::MailSent { group, contact } if !job.auto_response => {
                self.complain(
                    "rule 12",
                    format!("contact {contact} got a mail for joining group {group}"),
                );
            }
            // Nothing but the way back can't leave automations out.
            Change::AutomationStarted { group, contact } if !job.readd => {
                self.complain(
                    "rule 12",
                    format!("an automation started for contact {contact} on list {group}"),
                );
            }
            Change::BounceSet { .. } | Change::BounceCleared { .. } => {
                self.complain(
                    "rule 10",
                    format!("a request wrote a delivery state: {:?}", event.change),
                );
            }
            Change::GroupCreated { group, name } => {
                self.group_appears(run, *group, name, before.account(&event.account));
            }
            Change::GroupRenamed { group, from, to } => self.group_renamed(run, *group, from, to),
            Change::GroupChanged { group, fields } => {
                self.group_changed(run, *group, fields, before.account(&event.account));
            }
            Change::GroupArchived { group } | Change::GroupDeleted { group } => {
                self.group_goes(run, *group, &event.change);
            }
            Change::GroupRestored { group } => self.complain(
                "rule 4",
                format!("a request brought group {group} back into use"),
            ),
            Change::FieldChanged { field } => {
                self.complain("rule 10", format!("a request defined the field {field}"));
            }
            _ => {}
        }
    }

    /// Somebody is an active member who was none.
    fn joins(&mut self, run: &Run, group: u64, contact: u64, there: &Account) {
        let job = self.jobs[run.job].clone();
        let (source, start) = (run.start.account(job.source), run.start.account(job.target));
        let person = &there.contacts[&contact];
        let address = fold(&person.email);
        let place = format!("contact {contact} ({address}) joined group {group}");
        let names = self.source_addresses(run, contact, &address);
        if person.opted_out.is_some()
            || names
                .iter()
                .any(|address| truth::refuses_all(start, address))
        {
            self.complain(
                "rule 1",
                format!("{place} though the person refuses all mail of the target"),
            );
        }
        if names
            .iter()
            .any(|address| truth::refuses_all(source, address))
        {
            self.complain(
                "rule 1",
                format!("{place} though the person refuses all mail of the source"),
            );
        }
        let key = (job.target.to_owned(), group, contact);
        let back = job.readd && self.memory.own.remove(&key) && run.known;
        if let Some(state) = names
            .iter()
            .find_map(|address| truth::state(start, group, address))
            && !back
        {
            self.complain(
                "rule 1",
                format!("{place} though the person was listed there as {state:?}"),
            );
        }
        if names.iter().any(|address| {
            self.memory
                .refused_account
                .contains(&(job.target.to_owned(), address.clone()))
        }) {
            self.complain(
                "rule 1",
                format!("{place} though a run has seen the person refuse all mail"),
            );
        }
        if names.iter().any(|address| {
            self.memory
                .refused_group
                .contains(&(job.target.to_owned(), group, address.clone()))
        }) {
            self.complain(
                "rule 1",
                format!("{place} though a run has seen the person refuse that group"),
            );
        }
        let partners = self.partners(run, group);
        let states: Vec<Option<MembershipState>> = partners
            .iter()
            .flat_map(|partner| {
                names
                    .iter()
                    .map(|address| truth::state(source, *partner, address))
            })
            .collect();
        if states.contains(&Some(MembershipState::OptedOut)) {
            self.complain(
                "rule 1",
                format!("{place} though the person refuses that group at the source"),
            );
        } else if !states.contains(&Some(MembershipState::Active))
            // Whom somebody gave another address by hand, a link knows that nobody else sees.
            && !self.moved.contains(&address)
        {
            self.complain(
                "additions",
                format!(
                    "{place}, and the source's groups {partners:?} do not list the person as active"
                ),
            );
        }
        if names
            .iter()
            .any(|address| truth::bounced(source, address) || truth::bounced(start, address))
        {
            self.complain("additions", format!("{place} though the address bounces"));
        }
        for partner in &partners {
            if !source
                .groups
                .get(partner)
                .is_some_and(|group| truth::covered(&job, group))
            {
                self.complain(
                    "rule 10",
                    format!("{place}, whose source group {partner} is out of scope"),
                );
            }
        }
        let entry = &there.groups[&group];
        if !truth::takes_members(entry) {
            self.complain("rule 4", format!("{place}, which takes no members"));
        }
        if entry.auto_response.is_some() && !job.auto_response {
            self.complain("rule 12", format!("{place}, which mails newcomers"));
        }
        if run.removed.contains(&(group, contact)) {
            self.complain(
                "rule 12",
                format!("{place} after the same run took the person out"),
            );
        }
        if truth::contacts(there, &address).count() > 1 {
            self.complain(
                "additions",
                format!("{place} though several contacts have the address"),
            );
        }
        if run.blind.contains(job.target) && start.groups.contains_key(&group) {
            self.complain(
                "rule 3",
                format!("{place} though no listing of the target could be read to its end"),
            );
        }
        let rows: Vec<_> = truth::contacts(source, &address).collect();
        if let ([only], true) = (rows.as_slice(), job.not_internal)
            && only.get("company") == "Internal"
        {
            self.complain(
                "where",
                format!("{place} though the person does not count as a member"),
            );
        }
        self.memory.brought.insert((run.job, group, contact));
        self.surely.insert((run.job, group, contact));
        self.memory
            .taken_out
            .remove(&(job.target.to_owned(), contact));
    }

    /// Somebody is no member any more.
    fn leaves(&mut self, run: &Run, first: u64, group: u64, contact: u64, before: &Account) {
        let job = self.jobs[run.job].clone();
        let source = run.start.account(job.source);
        let address = before
            .contacts
            .get(&contact)
            .map(|contact| fold(&contact.email))
            .unwrap_or_default();
        let place = format!("contact {contact} ({address}) was taken out of group {group}");
        if before.membership(group, contact) != Some(MembershipState::Active) {
            self.complain(
                "removals",
                format!(
                    "{place}, where the state was {:?}",
                    before.membership(group, contact)
                ),
            );
        }
        if before
            .groups
            .get(&group)
            .is_some_and(|group| !truth::takes_members(group))
        {
            self.complain("rule 4", format!("{place}, which is not to be touched"));
        }
        let names = self.source_addresses(run, contact, &address);
        let partners = self.partners(run, group);
        let mut listed = false;
        let mut refused = false;
        // Whose new address another member has by now has left the old one behind.
        let succeeded = |name: &String| {
            *name != address
                && truth::contacts(before, name).any(|other| {
                    other.id != contact && before.membership(group, other.id).is_some()
                })
        };
        for partner in &partners {
            for address in &names {
                match truth::state(source, *partner, address) {
                    Some(MembershipState::Active) if succeeded(address) => {}
                    // A removal by a request looks like a refusal there, and is none.
                    Some(MembershipState::OptedOut)
                        if truth::only_by_api(source, *partner, address) => {}
                    Some(MembershipState::OptedOut) => refused = true,
                    Some(_) => listed = true,
                    None => {}
                }
            }
        }
        // A run that was refused or died may have seen a refusal that nobody shows by now.
        let known = refused
            || names.iter().any(|address| {
                self.refuses_group_anywhere(run, group, address)
                    || self.ever_refused.contains(address)
            });
        let in_place_of_refusal = known && job.carry && before.kind != Kind::Emfluence;
        if !in_place_of_refusal {
            let counts = !job.not_internal
                || names
                    .iter()
                    .flat_map(|address| truth::contacts(source, address))
                    .any(|contact| contact.get("company") != "Internal");
            if (listed || refused) && counts {
                self.complain(
                    "removals",
                    format!("{place}, and the source's groups {partners:?} still list the person"),
                );
            }
            if job.mode == "add" {
                self.complain("removals", format!("{place} in mode add"));
            }
            if job.mode == "managed" && !self.memory.brought.contains(&(run.job, group, contact)) {
                self.complain(
                    "rule 10",
                    format!("{place}, and this job did not bring the person there"),
                );
            }
            for (other, entry) in self.jobs.clone().iter().enumerate() {
                let held = self.memory.held.contains(&(other, group, contact));
                if other != run.job
                    && entry.target == job.target
                    && held
                    && self.still_asks(other, entry, run, group, &address)
                {
                    self.complain(
                        "rule 10",
                        format!("{place}, and job \"{}\" holds the membership", entry.name),
                    );
                }
            }
            if !run.blind.is_empty() {
                self.complain(
                    "rule 3",
                    format!(
                        "{place} though the listings of {:?} could not be read to their end",
                        run.blind
                    ),
                );
            }
        }
        self.surely
            .retain(|(_, there, who)| (*there, *who) != (group, contact));
        if let Some(run) = self.runs.get_mut(&first) {
            run.removed.insert((group, contact));
        }
        self.memory
            .taken_out
            .insert((job.target.to_owned(), contact));
    }

    /// Whether another job's source still lists the person in a partner of the group.
    fn still_asks(
        &self,
        other: usize,
        job: &super::job::Job,
        run: &Run,
        group: u64,
        address: &str,
    ) -> bool {
        let source = run.start.account(job.source);
        let partners = self
            .pairs
            .iter()
            .filter(|pair| pair.0 == other && pair.2 == group);
        partners
            .into_iter()
            .any(|pair| truth::state(source, pair.1, address) == Some(MembershipState::Active))
    }

    /// Somebody's membership is deleted at lists: only where that is asked for, and never the last
    /// one.
    fn detaches(&mut self, job: &super::job::Job, group: u64, contact: u64, there: &Account) {
        if there.kind != Kind::ActiveCampaign {
            return;
        }
        if !job.detach {
            self.complain(
                "removal",
                format!("contact {contact} was detached from list {group}, which nobody asked for"),
            );
        }
        if there.groups_of(contact).is_empty() {
            self.complain(
                "rule 6",
                format!("contact {contact} was detached from list {group}, the last one"),
            );
        }
    }

    fn refuses_group(
        &mut self,
        run: &Run,
        first: u64,
        group: u64,
        contact: u64,
        before: &Account,
        there: &Account,
    ) {
        let job = self.jobs[run.job].clone();
        let source = run.start.account(job.source);
        let address = fold(&there.contacts[&contact].email);
        let place = format!("a request made contact {contact} ({address}) refuse group {group}");
        let names = self.source_addresses(run, contact, &address);
        let partners = self.partners(run, group);
        let mut states = partners.iter().flat_map(|partner| {
            names
                .iter()
                .map(|address| truth::state(source, *partner, address))
        });
        let elsewhere = names
            .iter()
            .any(|address| self.refuses_group_anywhere(run, group, address));
        let refuses = elsewhere || states.any(|state| state == Some(MembershipState::OptedOut));
        if there.kind == Kind::ActiveCampaign {
            let of_all = names
                .iter()
                .any(|address| self.refuses_anywhere(run, address));
            let key = (job.target.to_owned(), group, contact);
            // Of whom somebody gave another address by hand it is open which of the two it is; who
            // was no member loses nothing by it.
            let moved = self.moved.contains(&address);
            let active = before.membership(group, contact) == Some(MembershipState::Active);
            let refuses = refuses || of_all || (moved && !active);
            if job.carry && refuses && !(moved && active) {
                self.memory.own.remove(&key);
            } else {
                // It only looks like a refusal.
                self.leaves(run, first, group, contact, before);
                self.memory.own.insert(key);
            }
            return;
        }
        if !refuses && !self.ever_refused.contains(&address) {
            self.complain(
                "rule 1",
                format!("{place}, which nobody refuses at the source"),
            );
        }
        if !job.carry {
            self.complain(
                "opt_outs",
                format!("{place} though refusals are not carried"),
            );
        }
        if there
            .groups
            .get(&group)
            .is_some_and(|group| !truth::takes_members(group))
        {
            self.complain("rule 4", format!("{place}, which is not to be touched"));
        }
    }

    fn refuses_all(&mut self, run: &Run, contact: u64, there: &Account) {
        let job = self.jobs[run.job].clone();
        let address = fold(&there.contacts[&contact].email);
        let place = format!("a request made contact {contact} ({address}) refuse all mail");
        if !self
            .source_addresses(run, contact, &address)
            .iter()
            .any(|address| self.refuses_anywhere(run, address))
            && !self.moved.contains(&address)
        {
            self.complain(
                "rule 1",
                format!("{place}, which nobody does at the source"),
            );
        }
        if !job.carry {
            self.complain(
                "opt_outs",
                format!("{place} though refusals are not carried"),
            );
        }
    }

    fn appears(&mut self, run: &Run, contact: u64, there: &Account) {
        let job = self.jobs[run.job].clone();
        let (source, start) = (run.start.account(job.source), run.start.account(job.target));
        let address = fold(&there.contacts[&contact].email);
        let place = format!("a request created contact {contact} ({address})");
        if truth::contacts(there, &address).count() > 1 {
            self.complain(
                "rule 5",
                format!("{place}, whose address another contact has"),
            );
        }
        if !run.creates {
            self.complain(
                "rule 5",
                format!("{place}, and the journal says nothing of that"),
            );
        }
        if !job.create {
            self.complain("create", format!("{place} though it may not"));
        }
        // Of whom somebody gave another address by hand it is open whether another job took them out of
        // the source's group, or wrote their refusal there.
        if !truth::listed(&job, &run.start).contains(&address)
            && !truth::refuses_all(source, &address)
            && !self.moved.contains(&address)
        {
            self.complain(
                "rule 10",
                format!("{place}, whom no source group in scope lists"),
            );
        }
        for here in truth::contacts(source, &address) {
            let Some((known, then)) = self.memory.people.get(&(run.job, here.id)) else {
                continue;
            };
            let gone = !start.contacts.contains_key(known) && *then == address;
            if gone
                && !self
                    .memory
                    .taken_out
                    .contains(&(job.target.to_owned(), *known))
            {
                let text = format!("{place} in the place of contact {known}, who was erased");
                self.complain("gone_at_target", text);
                break;
            }
        }
        self.made_contacts.insert((job.target.to_owned(), contact));
    }

    fn profile(
        &mut self,
        run: &Run,
        contact: u64,
        fields: &[String],
        before: &Account,
        there: &Account,
    ) {
        let job = self.jobs[run.job].clone();
        let source = run.start.account(job.source);
        let person = &there.contacts[&contact];
        let address = fold(&person.email);
        // A request that creates somebody may write the profile in a second event.
        let Some(then) = before.contacts.get(&contact) else {
            return;
        };
        let place = format!("a request changed contact {contact} ({address})");
        if !job.update
            && run
                .start
                .account(job.target)
                .contacts
                .contains_key(&contact)
        {
            self.complain("update", format!("{place}: {fields:?}, and it may not"));
        }
        let names = self.source_addresses(run, contact, &address);
        let own = self
            .made_contacts
            .contains(&(job.target.to_owned(), contact));
        for field in fields {
            let value = |contact: &rosterd::emulator::Contact| match field.strip_prefix("custom.") {
                Some(name) => contact.custom.get(name).unwrap_or_default().to_owned(),
                None => contact.get(field).to_owned(),
            };
            let (old, new) = (value(then), value(person));
            let custom = field.starts_with("custom.");
            // What the source can't hold, the job that fills it may have left with the database.
            let upstream = self
                .jobs
                .iter()
                .filter(|other| other.target == job.source)
                .map(|other| run.start.account(other.source));
            let sources: Vec<&Account> = std::iter::once(source).chain(upstream).collect();
            let mut wanted = names
                .iter()
                .flat_map(|address| {
                    sources
                        .iter()
                        .flat_map(move |account| truth::contacts(account, address))
                })
                .flat_map(|row| {
                    if custom {
                        row.custom.to_map().into_values().collect()
                    } else {
                        vec![row.get(field).to_owned()]
                    }
                });
            // Whom somebody gave another address by hand, a link knows that nobody else sees.
            let is_known = !self.moved.contains(&fold(&person.email));
            if is_known && !new.is_empty() && !wanted.any(|value| value == new) {
                self.complain("rule 10", format!("{place}: {field} from \"{old}\" to \"{new}\", which the source does not hold"));
            }
            if !old.is_empty()
                && !own
                && !names.iter().any(|address| self.touched.contains(address))
            {
                self.complain(
                    "rule 10",
                    format!("{place}: {field} from \"{old}\" to \"{new}\", and nobody has touched it since the start"),
                );
            }
        }
    }

    fn moves(&mut self, run: &Run, contact: u64, from: &str, to: &str, there: &Account) {
        let job = self.jobs[run.job].clone();
        let (source, start) = (run.start.account(job.source), run.start.account(job.target));
        let address = fold(to);
        let place = format!("a request moved contact {contact} from {from} to {to}");
        if fold(from) == address {
            self.complain("rule 10", format!("{place}, which is the same address"));
        }
        if truth::contacts(there, &address).count() > 1 {
            self.complain("rule 5", format!("{place}, which another contact has"));
        }
        if truth::contacts(source, &address).next().is_none() {
            self.complain(
                "rule 10",
                format!("{place}, which nobody at the source has"),
            );
        }
        let person = &there.contacts[&contact];
        let groups: Vec<u64> = there
            .groups_of(contact)
            .into_iter()
            .filter(|group| there.membership(*group, contact) == Some(MembershipState::Active))
            // What mails them outside the job does so whatever the address.
            .filter(|group| !self.partners(run, *group).is_empty())
            .collect();
        if person.opted_out.is_some() || groups.is_empty() {
            return;
        }
        if truth::refuses_all(start, &address)
            || self
                .memory
                .refused_account
                .contains(&(job.target.to_owned(), address.clone()))
        {
            self.complain("rule 1", format!("{place}, which refuses all mail there"));
        }
        // Whose own address changes refuses under the new one as well, by the same plan.
        if job.carry && truth::refuses_all(source, &address) && !self.moved.contains(&address) {
            self.complain(
                "rule 1",
                format!("{place}, which refuses all mail at the source"),
            );
        }
        for group in groups {
            if there.groups[&group].kind == GroupKind::BuiltIn {
                continue;
            }
            if job.carry
                && self.memory.refused_group.contains(&(
                    job.target.to_owned(),
                    group,
                    address.clone(),
                ))
            {
                self.complain(
                    "rule 1",
                    format!("{place}, which has refused group {group}"),
                );
            }
        }
    }

    fn group_appears(&mut self, run: &Run, group: u64, name: &str, before: &Account) {
        let job = self.jobs[run.job].clone();
        // Lists may share a name, and the partner of a list that is gone is no candidate for the
        // next one.
        let kept = |id: u64| {
            job.lists
                && self
                    .ever_pairs
                    .iter()
                    .any(|pair| pair.0 == run.job && pair.2 == id)
        };
        if before
            .groups
            .values()
            .any(|other| fold_name(&other.name) == fold_name(name) && !kept(other.id))
        {
            self.complain(
                "rule 5",
                format!("a request created group {group} \"{name}\", whose name another group has"),
            );
        }
        if !truth::scope(&job, &run.start).any(|source| fold_name(&source.name) == fold_name(name))
        {
            self.complain("rule 10", format!("a request created group {group} \"{name}\", which no source group in scope is called"));
        }
        self.made_groups.insert((job.target.to_owned(), group));
    }

    /// Whether the job may write a group's attributes: it is paired, or was made for a source
    /// group.
    fn owned(&mut self, run: &Run, group: u64, what: &str) {
        let job = &self.jobs[run.job];
        if self.partners(run, group).is_empty()
            && !self.made_groups.contains(&(job.target.to_owned(), group))
        {
            self.complain("rule 10", format!("a request changed group {group}, which is no partner of a group in scope: {what}"));
        }
        let start = run.start.account(self.jobs[run.job].target);
        if start
            .groups
            .get(&group)
            .is_some_and(|group| group.kind != GroupKind::Static || group.send_tests)
        {
            self.complain("rule 4", format!("a request changed group {group}: {what}"));
        }
    }

    fn group_renamed(&mut self, run: &Run, group: u64, from: &str, to: &str) {
        self.owned(run, group, &format!("renamed from \"{from}\" to \"{to}\""));
        let source = run.start.account(self.jobs[run.job].source);
        let wanted = |name: &str| {
            fold_name(to) == fold_name(name)
                || to.trim_end_matches('*') == format!("{name} (renaming)")
        };
        let partners = self.partners(run, group);
        if !partners
            .iter()
            .filter_map(|partner| source.groups.get(partner))
            .any(|partner| wanted(&partner.name))
        {
            self.complain(
                "rule 10",
                format!("a request renamed group {group} from \"{from}\" to \"{to}\", and its partner is not called so"),
            );
        }
    }

    fn group_changed(&mut self, run: &Run, group: u64, fields: &[String], before: &Account) {
        self.owned(run, group, &format!("{fields:?}"));
        if before
            .groups
            .get(&group)
            .is_some_and(|group| group.status == GroupStatus::Archived)
        {
            self.complain(
                "rule 4",
                format!("a request changed the archived group {group}: {fields:?}"),
            );
        }
    }

    fn group_goes(&mut self, run: &Run, group: u64, change: &Change) {
        let job = self.jobs[run.job].clone();
        let (source, start) = (run.start.account(job.source), run.start.account(job.target));
        let place = format!("a request removed group {group}: {change:?}");
        let wanted = if matches!(change, Change::GroupArchived { .. }) {
            "archive"
        } else {
            "delete"
        };
        if job.missing != wanted {
            self.complain(
                "missing",
                format!("{place}, and missing is \"{}\"", job.missing),
            );
        }
        let pairs = if job.lists {
            &self.ever_pairs
        } else {
            &self.pairs
        };
        let partners: Vec<u64> = pairs
            .iter()
            .filter(|pair| pair.0 == run.job && pair.2 == group)
            .map(|pair| pair.1)
            .collect();
        if partners.is_empty()
            || partners
                .iter()
                .any(|partner| source.groups.contains_key(partner))
        {
            self.complain(
                "missing",
                format!("{place}, and its source groups are {partners:?}"),
            );
        }
        let protected = start
            .groups
            .get(&group)
            .is_some_and(|group| group.protected);
        if protected && !self.own_flags.contains(&(job.target.to_owned(), group)) {
            self.complain("rule 2", format!("{place}, which somebody protects"));
        }
        if !run.blind.is_empty() {
            self.complain(
                "rule 3",
                format!(
                    "{place} though the listings of {:?} could not be read to their end",
                    run.blind
                ),
            );
        }
        for (other, entry) in self.jobs.clone().iter().enumerate() {
            if other != run.job
                && entry.target == job.target
                && self
                    .pairs
                    .iter()
                    .any(|pair| pair.0 == other && pair.2 == group)
            {
                self.complain(
                    "rule 10",
                    format!("{place}, which job \"{}\" fills", entry.name),
                );
            }
        }
    }

    /// Protected flags while several jobs run: whose request set one is not known, only that it was
    /// a request.
    fn flags_of_several(&mut self, before: &World, now: &World) {
        for account in &now.accounts {
            let then = before.account(&account.name);
            for group in account.groups.values().filter(|group| group.protected) {
                let was = then.groups.get(&group.id);
                if !was.is_some_and(|group| group.protected) {
                    self.own_flags.insert((account.name.clone(), group.id));
                }
            }
        }
    }

    /// Protected flags: rosterd lifts only its own, and only to take the group away.
    pub(super) fn flags(&mut self, before: &World, now: &World) {
        let Some(run) = self.run.clone() else { return };
        if !run.beside.is_empty() {
            self.flags_of_several(before, now);
            return;
        }
        let job = self.jobs[run.job].clone();
        let (then, there) = (before.account(job.target), now.account(job.target));
        for group in there.groups.values() {
            let was = then
                .groups
                .get(&group.id)
                .is_some_and(|group| group.protected);
            let key = (job.target.to_owned(), group.id);
            if group.protected && !was {
                let source = run.start.account(job.source);
                // Only emfluence has a flag to show.
                let protected = |partner: &u64| {
                    source.kind == Kind::Emfluence
                        && source
                            .groups
                            .get(partner)
                            .is_some_and(|group| group.protected)
                };
                // Another job may have carried a flag there that the account can't hold.
                let mut partners = self.partners(&run, group.id);
                if partners.is_empty() {
                    // A group made a moment ago may bear an external id that another job carried to
                    // its source, which can't hold one.
                    let name = fold_name(&group.name);
                    let namesakes = truth::scope(&job, &run.start)
                        .filter(|source| fold_name(&job.mapped(&source.name)) == name);
                    partners.extend(namesakes.map(|source| source.id));
                }
                let carried = source.kind != Kind::Emfluence
                    && self.ever_pairs.iter().any(|(other, upstream, partner)| {
                        let other = &self.jobs[*other];
                        // What a group that is gone showed is not known any more.
                        let flag = run
                            .start
                            .account(other.source)
                            .groups
                            .get(upstream)
                            .is_none_or(|group| group.protected);
                        other.target == job.source
                            && partners.contains(partner)
                            && (flag || other.protect)
                    });
                // A user group may have been given the flag, which it can't hold, by another job.
                let of_users = job.from_users
                    && self
                        .jobs
                        .iter()
                        .any(|other| other.to_users && other.target == job.source);
                // Where two may have asked for it, nobody can say whose flag it is.
                let may_be_asked = (carried || of_users) && !job.protect;
                if may_be_asked || partners.iter().any(protected) {
                    self.own_flags.remove(&key);
                } else if !job.protect && !run.beside.iter().any(|other| self.jobs[*other].protect)
                {
                    self.complain(
                        "rule 10",
                        format!(
                            "a request protected group {}, which nobody asked for",
                            group.id
                        ),
                    );
                } else {
                    self.own_flags.insert(key);
                }
            } else if was && !group.protected {
                if !self.own_flags.contains(&key) {
                    self.complain(
                        "rule 2",
                        format!("a request lifted the protection of group {}", group.id),
                    );
                } else if job.missing == "keep" {
                    self.complain(
                        "rule 2",
                        format!(
                            "a request lifted the protection of group {}, which is to be kept",
                            group.id
                        ),
                    );
                }
            }
        }
    }
}
