//! The chapter of ActiveCampaign, whose lists hold less than emfluence's groups.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};

use super::abridge::losses_only;
use super::scenes::Cast;
use super::stage::{BACK, LISTS, is_passed_on};
use super::story::Story;
use crate::emulator::{Account, Group, MembershipState};
use crate::report::write_plan_text;

impl Story<'_> {
    pub(super) async fn on_to_lists(&mut self, cast: &Cast) -> anyhow::Result<()> {
        self.chapter()?;
        self.say("A list has no place for much of what emfluence holds. The plan says what that is, and which line would keep it:\n")?;
        self.command(&format!("plan {LISTS}"))?;
        let planned = Box::pin(self.stage.runner.plan(LISTS)).await?;
        self.show(losses_only, |out| write_plan_text(out, &planned, false))?;
        self.say("")?;
        self.command(&format!("sync {LISTS}"))?;
        let report = self.sync(LISTS).await?;
        self.show_run(&report)?;
        let (refusing, lists) = self
            .stage
            .emulator
            .with_world(|world| unsubscribed(world.account("mail"), world.account("campaigns")))?;
        let verdict = self.compare("mail", "campaigns", is_passed_on)?;
        self.proved(&format!(
            "{} lists mail {} memberships. No list can say \"no mail at all\": each of the {refusing} who refuse all mail of emfluence is\n  unsubscribed on all {lists}.",
            verdict.groups, verdict.shares.mailed
        ))?;
        self.say("\nAnd from the lists into another account of emfluence, which gets what the lists could not hold from the state database:\n")?;
        self.command(&format!("sync {BACK}"))?;
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
            "External id, friendly name, description and notes of {groups} groups came back; {} refuses here as well."
            , cast.refuser
        ))
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
