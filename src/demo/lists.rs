//! The chapters of ActiveCampaign, whose lists know one way of being unsubscribed for everything.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};

use super::scenes::Cast;
use super::stage::{BACK, LISTS, is_passed_on};
use super::story::Story;
use crate::emulator::{Account, Group, MembershipState};
use crate::model::ObjectKind;
use crate::report::harmless;

/// Losses shown of a plan.
const LOSSES: usize = 7;

impl Story<'_> {
    pub(super) async fn on_to_lists(&mut self) -> anyhow::Result<()> {
        self.chapter("On to the lists of ActiveCampaign")?;
        let planned = Box::pin(self.stage.runner.plan(LISTS)).await?;
        self.say(&format!("Job {LISTS} passes four of the groups on. A list has no place for some of what emfluence holds:\n"))?;
        for loss in planned.plan.losses.iter().take(LOSSES) {
            let plural = if loss.count == 1 { "" } else { "s" };
            self.say(&format!(
                "  {:<14} {:>4} {}{plural}, such as {}",
                loss.field,
                loss.count,
                loss.object,
                harmless(loss.example())
            ))?;
        }
        let more = planned.plan.losses.len().saturating_sub(LOSSES);
        if more > 0 {
            self.say(&format!("  … and {more} more, as the plan says"))?;
        }
        self.traffic();
        let report = self.sync(LISTS).await?;
        let traffic = self.traffic();
        let runner = &self.stage.runner;
        let account = runner.account_hash("campaigns");
        let carried = runner.store().carried(&account, ObjectKind::Group)?;
        let values: usize = carried.values().map(std::collections::BTreeMap::len).sum();
        self.say("")?;
        self.show_run(&report)?;
        self.say(&format!(
            "  {} requests wrote: the importer takes 250 people at once, each with all lists.",
            traffic.writes
        ))?;
        self.say(&format!(
            "  {values} values of {} lists are kept in the state database, and read back by later jobs as if the lists held them.",
            carried.len()
        ))?;
        let (refusing, lists) = self
            .stage
            .emulator
            .with_world(|world| unsubscribed(world.account("mail"), world.account("campaigns")))?;
        self.proved(&format!(
            "No list can say \"no mail at all\": each of the {refusing} who refuse all mail of emfluence is unsubscribed on all {lists} lists."
        ))?;
        let verdict = self.compare("mail", "campaigns", is_passed_on)?;
        self.proved(&format!(
            "{} lists compared: {} memberships get mail, nobody is missing, nobody who refused is mailed.",
            verdict.groups, verdict.mailed
        ))?;
        self.say("\nThe same run again:")?;
        self.sync_in_vain(LISTS).await.map(|_| ())
    }

    pub(super) async fn day_at_the_lists(&mut self, cast: &Cast) -> anyhow::Result<()> {
        self.chapter("The same day at ActiveCampaign")?;
        self.traffic();
        let report = self.sync(LISTS).await?;
        let traffic = self.traffic();
        self.show_last_line(&report)?;
        self.compare("mail", "campaigns", is_passed_on)?;
        let (list, contact) = self.stage.emulator.with_world(|world| {
            let campaigns = world.account("campaigns");
            let list = campaigns
                .find_group(&cast.group)
                .with_context(|| format!("there is no list \"{}\"", cast.group))?;
            for other in passed_on(campaigns) {
                let state = state_of(campaigns, other.id, &cast.refuser);
                ensure!(
                    state == Some(MembershipState::OptedOut),
                    "who refuses all mail stands on \"{}\" as {state:?}",
                    other.name
                );
            }
            for (address, who) in [
                (&cast.refuser, "who refuses all mail"),
                (&cast.reluctant, "who refuses"),
                (&cast.leaver, "who left"),
            ] {
                let state = state_of(campaigns, list, address);
                ensure!(
                    state == Some(MembershipState::OptedOut),
                    "{who} stands on the list as {state:?}"
                );
            }
            let contact = campaigns
                .contact_by_email(&cast.leaver)
                .context("who left is no contact any more")?;
            anyhow::Ok((list, contact))
        })?;
        let runner = &self.stage.runner;
        let account = runner.account_hash("campaigns");
        let own = runner.store().own_removals(&account)?;
        ensure!(
            own.get(&list.to_string(), &contact.to_string()).is_some(),
            "the removal is not remembered"
        );
        self.say(&format!(
            "\n  {} refuses all mail: unsubscribed on every list of the job.",
            cast.refuser
        ))?;
        self.say(&format!(
            "  {} refuses \"{}\": unsubscribed there.",
            cast.reluctant, cast.group
        ))?;
        self.say(&format!(
            "  {} left \"{}\" and refused nothing: ActiveCampaign shows that as unsubscribed, too.",
            cast.leaver, cast.group
        ))?;
        self.proved(&format!(
            "Applied with {} requests that write. rosterd remembers which of the three was its own doing and no refusal.",
            traffic.writes
        ))
    }

    pub(super) async fn back_to_emfluence(&mut self, cast: &Cast) -> anyhow::Result<()> {
        self.chapter("Back to emfluence, into another account")?;
        self.say(&format!("Job {BACK} reads the lists. What they could not hold, and who only left, is in the state database.\n"))?;
        let report = self.sync(BACK).await?;
        self.show_run(&report)?;
        self.compare("campaigns", "mail2", is_passed_on)?;
        let groups = self.stage.emulator.with_world(|world| {
            let (mail, mail2) = (world.account("mail"), world.account("mail2"));
            let mut compared = 0;
            for group in passed_on(mail) {
                let back = mail2.find_group(&group.name).and_then(|id| mail2.group(id));
                let back = back.with_context(|| format!("\"{}\" did not come back", group.name))?;
                ensure!(
                    described(back) == described(group),
                    "\"{}\" came back as something else",
                    group.name
                );
                compared += 1;
            }
            let group = mail2
                .find_group(&cast.group)
                .context("the group of the day did not come back")?;
            let refuser = state_of(mail2, group, &cast.refuser);
            ensure!(
                refuser == Some(MembershipState::OptedOut),
                "who refused all mail came back as {refuser:?}"
            );
            let leaver = state_of(mail2, group, &cast.leaver);
            ensure!(leaver.is_none(), "who only left came back as {leaver:?}");
            Ok(compared)
        })?;
        self.proved(&format!(
            "External id, friendly name, description and notes of {groups} groups came back."
        ))?;
        self.proved(&format!(
            "{} refuses here as well; {} is simply no member.",
            cast.refuser, cast.leaver
        ))?;
        self.say("\nThe same run again:")?;
        self.sync_in_vain(BACK).await.map(|_| ())
    }
}

/// What only emfluence holds of a group; without a friendly name it shows the name.
fn described(group: &Group) -> [&str; 4] {
    let shown = if group.friendly_name.is_empty() {
        &group.name
    } else {
        &group.friendly_name
    };
    [&group.external_id, shown, &group.description, &group.notes]
}

fn passed_on(account: &Account) -> impl Iterator<Item = &Group> {
    account
        .groups
        .values()
        .filter(|group| is_passed_on(&group.name))
}

fn state_of(account: &Account, group: u64, address: &str) -> Option<MembershipState> {
    account.membership(group, account.contact_by_email(address)?)
}

/// Counts who refuses all mail of the source and is listed in a group that is passed on, and the
/// lists; each must be unsubscribed on each.
fn unsubscribed(source: &Account, target: &Account) -> anyhow::Result<(usize, usize)> {
    let listed: BTreeSet<u64> = passed_on(source)
        .flat_map(|group| group.members.keys().copied())
        .collect();
    let refusing = listed
        .iter()
        .filter_map(|contact| source.contact(*contact))
        .filter(|contact| contact.opted_out.is_some());
    let lists: Vec<u64> = passed_on(target).map(|list| list.id).collect();
    let mut people = 0;
    for contact in refusing {
        for list in &lists {
            let state = state_of(target, *list, &contact.email);
            ensure!(
                state == Some(MembershipState::OptedOut),
                "somebody who refuses all mail stands on list {list} as {state:?}"
            );
        }
        people += 1;
    }
    ensure!(
        people > 0,
        "the made-up data has nobody who refuses all mail"
    );
    Ok((people, lists.len()))
}
