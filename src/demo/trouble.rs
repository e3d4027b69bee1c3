//! The chapters in which something goes wrong: a page that fails, a slip of the hand, a change of mind,
//! a run that is taken back.

use anyhow::{Context as _, ensure};
use jiff::tz::TimeZone;

use super::abridge::{abridge, whole};
use super::chapters::all;
use super::scenes::{self, Cast};
use super::stage::{BACK, LISTS, ONWARD, is_passed_on};
use super::story::Story;
use crate::emulator::{Fault, FaultRule};
use crate::report::{write_explained_text, write_plan_text, write_run_text};
use crate::run::{Outcome, SyncOptions};

impl Story<'_> {
    pub(super) async fn page_that_fails(&mut self, cast: &Cast) -> anyhow::Result<()> {
        self.chapter()?;
        let (group, leaver) = self
            .stage
            .emulator
            .with_world(|world| scenes::another_leaves(world, &cast.group))?;
        self.say(&format!(
            "{leaver} leaves \"{}\", and GreenRope answers with an error where that group's members should be.\n",
            cast.group
        ))?;
        let mails = |story: &Self| {
            let group = cast.group.clone();
            story.stage.emulator.with_world(move |world| {
                let mail = world.account("mail");
                mail.find_group(&group).map(|id| mail.mailed_by(id).len())
            })
        };
        let before = mails(self).context("the group of the day is gone")?;
        let fault = FaultRule::every(Fault::CrashesOn(group.to_string()));
        self.stage
            .emulator
            .add_fault(fault.at("crm").on("GetContacts"));
        self.traffic();
        self.command(&format!("sync {ONWARD}"))?;
        let report = Box::pin(self.stage.runner.sync(ONWARD, SyncOptions::default())).await?;
        let traffic = self.traffic();
        self.stage.emulator.clear_faults();
        self.show(abridge, |out| write_run_text(out, &report, false))?;
        ensure!(
            mails(self) == Some(before) && traffic.writes == 0,
            "a page that failed took somebody out of a group"
        );
        self.proved(&format!(
            "A page that fails is not an empty list: \"{}\" still mails its {before} people. The page loads again:\n",
            cast.group
        ))?;
        self.command(&format!("sync {ONWARD}"))?;
        let report = self.sync(ONWARD).await?;
        self.show_run(&report)?;
        ensure!(
            mails(self).map(|now| now + 1) == Some(before),
            "who left a group is still in it"
        );
        self.compare("crm", "mail", all)?;
        self.proved(&format!(
            "Now that the list was read to its end, {leaver} is out, and nobody else: {} people.",
            before - 1
        ))
    }

    pub(super) async fn accident(&mut self) -> anyhow::Result<()> {
        self.chapter()?;
        let accident = self.stage.emulator.with_world(scenes::accident)?;
        self.say(&format!(
            "Somebody at the source takes {} people out of \"{}\".\n",
            accident.lost.len(),
            accident.name
        ))?;
        self.traffic();
        self.command(&format!("sync {ONWARD}"))?;
        let report = Box::pin(self.stage.runner.sync(ONWARD, SyncOptions::default())).await?;
        let traffic = self.traffic();
        ensure!(
            report.outcome == Outcome::Refused,
            "a run that takes {} people out of a group was not refused",
            accident.lost.len()
        );
        ensure!(
            traffic.writes == 0,
            "a refused run sent {} requests that write",
            traffic.writes
        );
        self.show(abridge, |out| write_run_text(out, &report, false))?;
        let refused = report.refusals.first().map_or(0, |refusal| refusal.value);
        let lost = accident.lost.len() as u64;
        self.proved(&format!(
            "0 requests wrote. Of the {lost} people {refused} get mail of the group at the target; the others get none there anyway."
        ))?;
        self.stage
            .emulator
            .with_world(|world| scenes::repair(world, &accident));
        self.say(
            "\nThe people are put back at the source, and the next run is an ordinary one:\n",
        )?;
        self.sync_in_vain(ONWARD).await
    }

    pub(super) async fn change_of_mind(&mut self, refuser: &str) -> anyhow::Result<()> {
        self.chapter()?;
        self.stage
            .emulator
            .with_world(|world| scenes::change_of_mind(world, refuser))?;
        self.say(&format!(
            "{refuser}, who had refused all mail, subscribes again at the source.\n"
        ))?;
        for job in [ONWARD, LISTS, BACK] {
            self.sync_in_vain(job).await?;
        }
        self.say("\nWhy is the person not mailed?\n")?;
        self.command(&format!("explain {refuser} --job {ONWARD}"))?;
        let explained = Box::pin(self.stage.runner.explain(ONWARD, refuser)).await?;
        self.show(whole, |out| {
            write_explained_text(out, &explained, &TimeZone::UTC, false)
        })?;
        let mailed = self.stage.emulator.with_world(|world| {
            let mailed_by = |name: &str, covers: fn(&str) -> bool| {
                let account = world.account(name);
                let groups = account.groups.values().filter(|group| covers(&group.name));
                groups
                    .filter(|group| {
                        account
                            .mailed_by(group.id)
                            .binary_search(&refuser.to_owned())
                            .is_ok()
                    })
                    .count()
            };
            mailed_by("mail", all)
                + mailed_by("campaigns", is_passed_on)
                + mailed_by("mail2", is_passed_on)
        });
        ensure!(
            mailed == 0,
            "somebody who refused all mail is mailed by {mailed} groups"
        );
        self.proved("No group that the jobs write to mails this person: a refusal is undone only by the person, at the target.")
    }

    pub(super) async fn undo(&mut self, cast: &Cast) -> anyhow::Result<()> {
        self.chapter()?;
        self.say("That day's changes were wrong, says somebody. What can be taken back?\n")?;
        let id = &cast.run;
        self.command(&format!("undo {id} --out undo.json"))?;
        let run = self.stage.runner.store().run(id)?;
        let run = run.with_context(|| format!("run {id} is not in the history"))?;
        let mut planned = Box::pin(self.stage.runner.undo(&run)).await?;
        let file = self.save("undo.json", &mut planned)?;
        self.show(abridge, |out| write_plan_text(out, &planned, false))?;
        self.say("")?;
        self.command("apply undo.json")?;
        let report = self.apply(&file).await?;
        self.show_run(&report)?;
        let (refusing, back, named) = self.stage.emulator.with_world(|world| {
            let mail = world.account("mail");
            let of_group = mail.find_group(&cast.group);
            let is_mailed = |address: &String| {
                of_group.is_some_and(|group| mail.mailed_by(group).binary_search(address).is_ok())
            };
            let refusing = !is_mailed(&cast.refuser) && !is_mailed(&cast.reluctant);
            (
                refusing,
                is_mailed(&cast.leaver) && !is_mailed(&cast.newcomer),
                mail.find_group(&cast.renamed.0).is_some(),
            )
        });
        ensure!(refusing, "an undo mails somebody who refused");
        ensure!(back && named, "an undo did not give back what it said");
        self.proved(&format!(
            "\"{}\" has its name back, {} is in \"{}\" again and {} is not; the opt-outs stay.",
            cast.renamed.0, cast.leaver, cast.group, cast.newcomer
        ))
    }
}
