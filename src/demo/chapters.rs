//! The chapters between GreenRope and emfluence: the first run, a day, a slip of the hand, a change
//! of mind.

use anyhow::ensure;

use super::abridge::{abridge, operations_only};
use super::scenes::{self, Cast};
use super::stage::{BACK, LISTS, ONWARD, is_passed_on};
use super::story::Story;
use crate::emulator::Actor;
use crate::report::{harmless, write_plan_text, write_run_text};
use crate::run::{Outcome, SyncOptions};

fn all(_: &str) -> bool {
    true
}

impl Story<'_> {
    pub(super) async fn first_run(&mut self) -> anyhow::Result<()> {
        self.chapter(&format!(
            "The plan of job {ONWARD}, before anything is written (abridged)"
        ))?;
        let planned = Box::pin(self.stage.runner.plan(ONWARD)).await?;
        self.show(abridge, |out| write_plan_text(out, &planned, false))?;
        self.chapter("The first run")?;
        self.traffic();
        let report = self.sync(ONWARD).await?;
        self.show_run(&report)?;
        let traffic = self.traffic();
        let verdict = self.compare("crm", "mail", all)?;
        self.proved(&format!(
            "{} groups compared in the accounts themselves: {} memberships get mail, nobody is missing, nobody who refused is mailed.",
            verdict.groups, verdict.mailed
        ))?;
        self.say(&format!(
            "  It took {} requests that read and {} that wrote.",
            traffic.reads, traffic.writes
        ))
    }

    pub(super) async fn nothing_to_do(&mut self) -> anyhow::Result<()> {
        self.chapter("The same run again")?;
        let traffic = self.sync_in_vain(ONWARD).await?;
        self.proved(&format!(
            "{} requests that read reached the accounts, and 0 that write.",
            traffic.reads
        ))
    }

    /// Returns the people whose day it was.
    pub(super) async fn everyday(&mut self) -> anyhow::Result<Cast> {
        self.chapter("A day at the source")?;
        let cast = self.stage.emulator.with_world(scenes::everyday_changes)?;
        for line in [
            format!("{} refuses all mail", cast.refuser),
            format!("{} refuses the mail of \"{}\"", cast.reluctant, cast.group),
            format!("{} leaves \"{}\"", cast.leaver, cast.group),
            format!("{} is now {}", cast.mover.0, cast.mover.1),
            format!("{} joins \"{}\"", cast.newcomer, cast.group),
            format!(
                "\"{}\" is now called \"{}\"",
                cast.renamed.0, cast.renamed.1
            ),
        ] {
            self.say(&format!("  - {line}"))?;
        }
        self.say("\nThe plan holds these six things and nothing else (what is withheld, blocked and lost stays as above):\n")?;
        let planned = Box::pin(self.stage.runner.plan(ONWARD)).await?;
        self.show(operations_only, |out| write_plan_text(out, &planned, false))?;
        self.traffic();
        let report = self.sync(ONWARD).await?;
        let traffic = self.traffic();
        self.say("")?;
        self.show_last_line(&report)?;
        self.compare("crm", "mail", all)?;
        self.proved(&format!(
            "Applied with {} requests that write; both accounts agree again.",
            traffic.writes
        ))?;
        Ok(cast)
    }

    pub(super) async fn accident(&mut self) -> anyhow::Result<()> {
        self.chapter("A slip of the hand")?;
        let accident = self.stage.emulator.with_world(scenes::accident)?;
        self.say(&format!(
            "Somebody at the source takes {} people out of \"{}\". The next run:\n",
            accident.lost.len(),
            accident.name
        ))?;
        self.traffic();
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
        self.proved("0 requests that write reached the accounts. The service would wait here, and go on by itself once this is repaired.")?;
        self.stage
            .emulator
            .with_world(|world| scenes::repair(world, &accident));
        let report = self.sync(ONWARD).await?;
        self.say("\nThe people are put back at the source, and the next run is an ordinary one:")?;
        self.show_last_line(&report)
    }

    pub(super) async fn change_of_mind(&mut self, refuser: &str) -> anyhow::Result<()> {
        self.chapter("Consent")?;
        self.stage
            .emulator
            .with_world(|world| scenes::change_of_mind(world, refuser))?;
        self.say(&format!(
            "{refuser}, who had refused all mail, subscribes again at the source.\n"
        ))?;
        let planned = Box::pin(self.stage.runner.plan(ONWARD)).await?;
        let of_person = planned.plan.withheld.iter().filter(|withheld| {
            withheld
                .member
                .is_some_and(|member| planned.address(member) == refuser)
        });
        let withheld: Vec<_> = of_person
            .map(|withheld| {
                (
                    planned.plan.pair(withheld.pair).name.clone(),
                    withheld.reason,
                )
            })
            .collect();
        for (group, reason) in &withheld {
            self.say(&format!(
                "  o withheld from \"{}\": {}",
                harmless(group),
                reason.as_str()
            ))?;
        }
        if withheld.is_empty() {
            self.say("  The plan does nothing about it: emfluence still lists the person, as somebody who refuses mail.")?;
        }
        for job in [ONWARD, LISTS, BACK] {
            let report = self.sync(job).await?;
            self.show_last_line(&report)?;
        }
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
        self.proved("No group that the jobs write to mails this person: a refusal is undone only by the person, at the target.")?;
        let undone = self
            .stage
            .emulator
            .history()
            .into_iter()
            .filter(|event| event.actor != Actor::Person && event.change.undoes_opt_out());
        let undone = undone.count();
        ensure!(undone == 0, "{undone} opt-outs were undone by requests");
        let misuse = self.stage.emulator.misuse();
        ensure!(
            misuse.is_empty(),
            "the emulated accounts complain of {} requests, first of {:?} in {}",
            misuse.len(),
            misuse[0].kind,
            misuse[0].operation
        );
        let requests = self.stage.emulator.requests().len();
        self.proved(&format!("The accounts saw {requests} requests: none undid an opt-out, and none broke a provider's rules."))
    }
}
