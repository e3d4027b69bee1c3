//! The trouble is over: the jobs come to rest within two runs, and both sides hold what they
//! should.

use std::collections::BTreeSet;

use rosterd::emulator::{Kind, MembershipState, World};
use rosterd::plan::{BlockedReason, Reason};
use rosterd::run::{Outcome, Planned};

use super::sim::{Ending, Sim};
use super::truth;
use super::world::{fold, proves_nothing};
use crate::support::{operations, tell};

impl Sim {
    pub async fn settle(&mut self) {
        self.tell("the trouble is over".to_owned());
        // Refused items wait for a week at most.
        self.pass(8 * 86_400);
        self.mend();
        // What waits for another's move comes one run later.
        let wild = self.wire.lock().judge.wild;
        let rounds = if wild { 4 } else { 2 };
        for round in 0..rounds {
            for job in 0..self.jobs.len() {
                let ending = self.calm(job).await;
                if let (true, Ending::Report(report)) = (round + 1 == rounds, &ending)
                    && (!matches!(report.outcome, Outcome::Done | Outcome::Partial)
                        || !report.failures.is_empty())
                {
                    self.complain("rest", format!("two runs are not enough: {}", tell(report)));
                }
                if !self.complaints().is_empty() {
                    return;
                }
            }
        }
        for job in 0..self.jobs.len() {
            let Some(planned) = self.plan(job).await else {
                return;
            };
            if !planned.plan.is_empty() {
                self.complain(
                    "rule 11",
                    format!(
                        "job {} has still to do: {:#?}",
                        self.jobs[job].name,
                        operations(&planned)
                    ),
                );
                return;
            }
            if wild {
                self.judge_humans(job, &planned);
            } else {
                self.judge_rest(job, &planned);
            }
            self.calm(job).await;
            let writes = self.writes();
            if !writes.is_empty() {
                self.complain(
                    "rule 11",
                    format!(
                        "job {} had nothing to do and sent {writes:?}",
                        self.jobs[job].name
                    ),
                );
            }
            if !self.complaints().is_empty() {
                return;
            }
        }
    }

    /// Holds who is mailed against what the humans want.
    fn judge_humans(&mut self, number: usize, planned: &Planned) {
        let world = self.believed(self.jobs[number].source);
        let wrong = self.wire.lock().judge.rest(number, &world, planned);
        for (rule, text) in wrong {
            self.complain(rule, text);
        }
    }

    /// A run of which each refusal is approved.
    async fn calm(&mut self, job: usize) -> Ending {
        self.sync(job, true).await
    }

    /// Holds what both sides hold, and what the plan says of the rest, against the accounts
    /// themselves.
    fn judge_rest(&mut self, number: usize, planned: &Planned) {
        let job = self.jobs[number].clone();
        let world = self.believed(job.source);
        let (source, target) = (world.account(job.source), world.account(job.target));
        let plan = &planned.plan;
        let mut wrong: Vec<(&str, String)> = Vec::new();

        if proves_nothing(source) || proves_nothing(target) {
            return;
        }
        for blocked in &plan.blocked {
            // Records of one address may differ in whether they count as members.
            let rows = blocked
                .member
                .iter()
                .flat_map(|address| truth::contacts(source, address));
            let internal = rows.map(|row| row.get("company") == "Internal");
            if job.not_internal && internal.collect::<BTreeSet<_>>().len() > 1 {
                continue;
            }
            if matches!(
                blocked.reason,
                BlockedReason::ValueRefused | BlockedReason::IncompleteRead
            ) {
                wrong.push((
                    "rest",
                    format!("nothing stands in the way, and yet {blocked:?}"),
                ));
            }
        }
        let stuck: BTreeSet<String> = plan
            .blocked
            .iter()
            .filter_map(|blocked| blocked.member.clone())
            .collect();
        for group in truth::scope(&job, &world) {
            let paired = plan
                .pairs
                .iter()
                .any(|pair| pair.source.as_deref() == Some(group.id.to_string().as_str()));
            if !paired {
                wrong.push((
                    "rest",
                    format!(
                        "source group {} \"{}\" has no place in the plan",
                        group.id, group.name
                    ),
                ));
            }
        }
        for (at, pair) in plan
            .pairs
            .iter()
            .enumerate()
            .filter(|(_, pair)| pair.writable)
        {
            let (Some(here), Some(there)) = (&pair.source, &pair.target) else {
                continue;
            };
            let (here, there): (u64, u64) = (here.parse().unwrap(), there.parse().unwrap());
            let wanted = truth::listing(source, &source.groups[&here]);
            let Some(partner) = target.groups.get(&there) else {
                wrong.push(("rest", format!("target group {there} is gone")));
                continue;
            };
            let has = truth::listing(target, partner);
            let mailed: BTreeSet<String> = target
                .mailed_by(there)
                .iter()
                .map(|address| fold(address))
                .collect();
            for (address, state) in &wanted {
                let place = format!("{address} in group {there} \"{}\"", partner.name);
                let refuses = truth::refuses_all(source, address);
                if (refuses || *state == MembershipState::OptedOut)
                    && job.carry
                    && mailed.contains(address)
                    && !stuck.contains(address)
                {
                    wrong.push((
                        "rule 1",
                        format!("{place} refuses at the source and is mailed at the target"),
                    ));
                }
                let holds = target.kind != Kind::GreenRope;
                let refused_there = has.get(address) == Some(&MembershipState::OptedOut);
                let there_at_all = truth::contacts(target, address).next().is_some();
                if *state == MembershipState::OptedOut
                    && job.carry
                    && holds
                    && there_at_all
                    && !refused_there
                    && !stuck.contains(address)
                {
                    wrong.push((
                        "rule 1",
                        format!("{place} refuses the group at the source only"),
                    ));
                }
                if *state != MembershipState::Active
                    || refuses
                    || (has.contains_key(address) && !self.is_removed(job.target, there, address))
                {
                    continue;
                }
                let rows: Vec<_> = truth::contacts(source, address).collect();
                if job.not_internal && rows.iter().any(|row| row.get("company") == "Internal") {
                    continue;
                }
                // An address that somebody changed at the target is kept there, and so is the
                // membership under it.
                if job.on_drift == "keep"
                    && (self.is_elsewhere(number, address) || self.has_moved_there(number, address))
                {
                    continue;
                }
                let reason = plan.withheld.iter().find(|withheld| {
                    withheld.pair.0 as usize == at
                        && withheld
                            .member
                            .is_some_and(|person| planned.address(person) == address)
                });
                let blocked = plan
                    .blocked
                    .iter()
                    .find(|blocked| blocked.member.as_deref() == Some(address));
                match (reason, blocked) {
                    (None, None) => {
                        wrong.push(("lost", format!("{place} is missing, and nobody says why")));
                    }
                    (Some(withheld), _) => {
                        if let Some(why) = self.unfounded(withheld.reason, address, job.create) {
                            wrong.push((
                                "withheld",
                                format!("{place} is withheld as {:?}: {why}", withheld.reason),
                            ));
                        }
                    }
                    (None, Some(blocked)) => {
                        if let Some(why) = self.unfounded_block(blocked.reason, address, number) {
                            wrong.push((
                                "blocked",
                                format!("{place} is blocked as {:?}: {why}", blocked.reason),
                            ));
                        }
                    }
                }
            }
            self.judge_leavers(number, there, &wanted, &mailed, &stuck, &mut wrong);
        }
        self.judge_refusals(number, &stuck, &mut wrong);
        self.judge_profiles(number, &stuck, &mut wrong);
        for (rule, text) in wrong {
            self.complain(rule, format!("job {}: {text}", job.name));
        }
    }

    /// The accounts as a run reads one of them as its source.
    fn believed(&self, source: &str) -> World {
        let world = self.world();
        self.wire.lock().judge.believed(&world, source)
    }

    /// Whether a request took a person out of a list where that looks like a refusal.
    fn is_removed(&self, account: &str, group: u64, address: &str) -> bool {
        let state = self.wire.lock();
        let account = state.judge.seen.account(account);
        truth::contacts(account, address).any(|contact| {
            state
                .judge
                .memory
                .own
                .contains(&(account.name.clone(), group, contact.id))
        })
    }

    /// Whether the contact that a person had at the target has another address now.
    fn is_elsewhere(&self, number: usize, address: &str) -> bool {
        let state = self.wire.lock();
        let judge = &state.judge;
        let (source, target) = (
            judge.seen.account(judge.jobs[number].source),
            judge.seen.account(judge.jobs[number].target),
        );
        truth::contacts(source, address).any(|here| {
            let known = judge
                .memory
                .people
                .get(&(number, here.id))
                .and_then(|(there, _)| target.contacts.get(there));
            known.is_some_and(|there| fold(&there.email) != *address)
        })
    }

    /// Whether an address was changed by hand while the target's runs had trouble, so that nobody
    /// knows which of them saw the pair.
    fn has_moved_there(&self, number: usize, address: &str) -> bool {
        let state = self.wire.lock();
        let judge = &state.judge;
        judge.moved.contains(address)
            && truth::contacts(judge.seen.account(judge.jobs[number].target), address)
                .next()
                .is_none()
    }

    /// Whoever has left the source is not in a group that is kept in step.
    fn judge_leavers(
        &self,
        number: usize,
        group: u64,
        wanted: &std::collections::BTreeMap<String, MembershipState>,
        mailed: &BTreeSet<String>,
        stuck: &BTreeSet<String>,
        wrong: &mut Vec<(&str, String)>,
    ) {
        let job = &self.jobs[number];
        let state = self.wire.lock();
        let judge = &state.judge;
        let target = judge.seen.account(job.target);
        let shared = judge.pairs.iter().any(|pair| {
            pair.0 != number && pair.2 == group && judge.jobs[pair.0].target == job.target
        });
        for address in mailed {
            let contacts: Vec<u64> = truth::contacts(target, address)
                .map(|contact| contact.id)
                .collect();
            let [contact] = contacts.as_slice() else {
                continue;
            };
            let brought = judge.surely.contains(&(number, group, *contact));
            let goes = job.mode == "mirror" || (job.mode == "managed" && brought);
            let names: Vec<&String> = judge
                .memory
                .people
                .iter()
                .filter(|((of, _), (there, _))| *of == number && there == contact)
                .map(|(_, (_, name))| name)
                .collect();
            let known = names.iter().all(|name| *name == address);
            if goes
                && !shared
                && known
                && !wanted.contains_key(address)
                && !stuck.contains(address)
                && !judge.moved.contains(address)
            {
                wrong.push((
                    "lost",
                    format!("{address} has left the source and is still mailed by group {group}"),
                ));
            }
        }
    }

    /// Whoever was created by a request looks as at the source, unless somebody has edited the
    /// profile at the target.
    fn judge_profiles(
        &self,
        number: usize,
        stuck: &BTreeSet<String>,
        wrong: &mut Vec<(&str, String)>,
    ) {
        let job = &self.jobs[number];
        let state = self.wire.lock();
        let judge = &state.judge;
        let alone = judge
            .jobs
            .iter()
            .filter(|other| other.target == job.target)
            .count()
            == 1;
        if !job.update || !judge.pristine || !alone {
            return;
        }
        let (source, target) = (
            judge.seen.account(job.source),
            judge.seen.account(job.target),
        );
        for address in truth::listed(job, &judge.seen) {
            let here: Vec<_> = truth::contacts(source, &address).collect();
            let there: Vec<_> = truth::contacts(target, &address).collect();
            let ([here], [there]) = (here.as_slice(), there.as_slice()) else {
                continue;
            };
            let made = judge
                .made_contacts
                .contains(&(job.target.to_owned(), there.id));
            let edited = judge.edited.contains(&(job.target.to_owned(), there.id))
                || judge.moved.contains(&address)
                // Another record of an erased one finds a contact that holds values already.
                || (judge.ever_erased && judge.touched.contains(&address));
            if !made
                || edited
                || stuck.contains(&address)
                || (job.not_internal && here.get("company") == "Internal")
            {
                continue;
            }
            let shared: &[&str] = if [source.kind, target.kind].contains(&Kind::ActiveCampaign) {
                &["first_name", "last_name", "company", "phone"]
            } else {
                &["first_name", "last_name", "company", "city", "zip", "phone"]
            };
            for field in shared {
                if here.get(field) != there.get(field) {
                    let text = format!(
                        "{address}: {field} is \"{}\" at the source and \"{}\" at the target",
                        here.get(field),
                        there.get(field)
                    );
                    wrong.push(("profile", text));
                }
            }
        }
    }

    /// Whether a run has seen a contact under an address that nobody has there now: somebody erased
    /// it, or gave it another address.
    fn had_contact(&self, number: usize, address: &str) -> bool {
        let state = self.wire.lock();
        let mut people = state.judge.memory.people.iter();
        people.any(|((job, _), (_, then))| *job == number && then == address)
            || (state.judge.ever_erased && state.judge.touched.contains(address))
    }

    /// Whoever refuses all mail at the source does so at the target.
    fn judge_refusals(
        &self,
        number: usize,
        stuck: &BTreeSet<String>,
        wrong: &mut Vec<(&str, String)>,
    ) {
        let job = &self.jobs[number];
        if !job.carry {
            return;
        }
        let world = self.believed(job.source);
        let (source, target) = (world.account(job.source), world.account(job.target));
        for address in truth::listed(job, &world) {
            if !truth::refuses_all(source, &address) || stuck.contains(&address) {
                continue;
            }
            let there: Vec<_> = truth::contacts(target, &address).collect();
            if target.kind == Kind::ActiveCampaign {
                let pairs = self.wire.lock().judge.pairs.clone();
                for pair in pairs
                    .iter()
                    .filter(|pair| pair.0 == number && job.sees(pair, &world))
                {
                    let holds =
                        |id: u64| target.membership(pair.2, id) == Some(MembershipState::OptedOut);
                    if !there.iter().all(|contact| holds(contact.id))
                        || (job.create && there.is_empty() && !self.had_contact(number, &address))
                    {
                        wrong.push((
                            "rule 1",
                            format!(
                                "{address} refuses all mail at the source, and not list {}",
                                pair.2
                            ),
                        ));
                    }
                }
            } else if there.iter().any(|contact| contact.opted_out.is_none()) {
                wrong.push((
                    "rule 1",
                    format!("{address} refuses all mail at the source only"),
                ));
            }
        }
    }

    /// Why a reason for leaving somebody out can't be true.
    fn unfounded(&self, reason: Reason, address: &str, create: bool) -> Option<&'static str> {
        let state = self.wire.lock();
        let judge = &state.judge;
        match reason {
            Reason::OptedOutAtSource | Reason::OptedOutAtTarget
                if !judge.ever_refused.contains(address) && !judge.moved.contains(address) =>
            {
                Some("nobody ever refused")
            }
            Reason::Undeliverable if !judge.ever_bounced.contains(address) => {
                Some("nothing ever bounced")
            }
            Reason::NoContact if create => Some("people may be created"),
            Reason::RemovedAtTarget if !judge.ever_left.contains(address) => {
                Some("nobody took the person out")
            }
            Reason::RemovedByRosterd if !judge.ever_refused.contains(address) => {
                Some("nobody was ever unsubscribed")
            }
            Reason::Unconfirmed | Reason::Protected | Reason::NoUser => {
                Some("there is no such thing here")
            }
            _ => None,
        }
    }

    /// Why a reason for blocking somebody can't be true.
    fn unfounded_block(
        &self,
        reason: BlockedReason,
        address: &str,
        number: usize,
    ) -> Option<&'static str> {
        let state = self.wire.lock();
        let judge = &state.judge;
        let target = judge.seen.account(judge.jobs[number].target);
        match reason {
            BlockedReason::TwoCandidates if truth::contacts(target, address).count() < 2 => {
                Some("there is one contact")
            }
            BlockedReason::AddressTaken if !judge.moved.contains(address) => {
                Some("nobody ever moved")
            }
            BlockedReason::GoneAtTarget if !judge.ever_erased => Some("nobody was ever erased"),
            _ => None,
        }
    }
}
