//! The chapters between GreenRope and emfluence: a plan, its application, a day.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use super::abridge::{abridge, operations_only};
use super::compare::Shares;
use super::scenes::{self, Cast};
use super::stage::ONWARD;
use super::story::Story;
use crate::cli::{save_plan, saved_plan};
use crate::plan::{Edit, PersonIx, Plan};
use crate::report::{write_plan_text, write_run_text};
use crate::run::{Outcome, Planned, RunReport};

pub(super) fn all(_: &str) -> bool {
    true
}

impl Story<'_> {
    /// Returns where the plan was saved.
    pub(super) async fn review(&mut self) -> anyhow::Result<PathBuf> {
        self.chapter()?;
        self.command(&format!("plan {ONWARD} --out plan.json"))?;
        let mut planned = Box::pin(self.stage.runner.plan(ONWARD)).await?;
        let file = self.save("plan.json", &mut planned)?;
        self.show(abridge, |out| write_plan_text(out, &planned, false))?;
        let counted = Counted::of(&planned.plan);
        self.say(&format!(
            "\n  {} opt-outs = {} of the whole account + {} of single groups; {} new people = {} who join a group + {} who are\n  created only to hold their opt-out.",
            counted.of_account + counted.of_groups,
            counted.of_account,
            counted.of_groups,
            counted.created,
            counted.created - counted.only_to_refuse,
            counted.only_to_refuse
        ))?;
        let traffic = self.traffic();
        ensure!(traffic.writes == 0, "a plan wrote");
        self.proved("Nothing was written. `--format html > plan.html` makes a page of the plan that a colleague can review.")?;
        Ok(file)
    }

    pub(super) async fn apply_reviewed(&mut self, file: &Path) -> anyhow::Result<()> {
        self.chapter()?;
        self.command("apply plan.json")?;
        let report = self.apply(file).await?;
        self.show_run(&report)?;
        let verdict = self.compare("crm", "mail", all)?;
        let Shares {
            listed,
            mailed,
            refuse,
            undeliverable,
            no_address,
            twice,
        } = verdict.shares;
        ensure!(
            listed == mailed + refuse + undeliverable + no_address + twice,
            "{listed} memberships do not add up"
        );
        self.proved(&format!(
            "{} groups compared in the accounts themselves. Of {listed} memberships at the source {mailed} get mail at the target;\n  {refuse} refuse it, {undeliverable} can't be delivered, {no_address} have no usable address, {twice} are second records of one person.",
            verdict.groups
        ))?;
        self.say("\nThe next run finds nothing to do:\n")?;
        self.sync_in_vain(ONWARD).await
    }

    /// Returns the people whose day it was.
    pub(super) async fn everyday(&mut self) -> anyhow::Result<Cast> {
        self.chapter()?;
        let mut cast = self.stage.emulator.with_world(scenes::everyday_changes)?;
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
        self.say("\nThe plan holds these six things and nothing else:\n")?;
        self.command(&format!("plan {ONWARD}"))?;
        let planned = Box::pin(self.stage.runner.plan(ONWARD)).await?;
        self.show(operations_only, |out| write_plan_text(out, &planned, false))?;
        self.say("")?;
        self.command(&format!("sync {ONWARD}"))?;
        self.traffic();
        let report = self.sync(ONWARD).await?;
        let traffic = self.traffic();
        self.show_last_line(&report)?;
        self.compare("crm", "mail", all)?;
        cast.run.clone_from(&report.run);
        self.proved(&format!(
            "{} requests wrote, opt-outs first; both accounts agree again.",
            traffic.writes
        ))?;
        Ok(cast)
    }

    /// Saves a plan as `--out` does.
    pub(super) fn save(&self, name: &str, planned: &mut Planned) -> anyhow::Result<PathBuf> {
        let file = self.stage.directory().join(name);
        save_plan(&file, planned).with_context(|| format!("saving {}", file.display()))?;
        planned.saved = Some(name.to_owned());
        Ok(file)
    }

    /// Applies a saved plan as `rosterd apply` does.
    pub(super) async fn apply(&mut self, file: &Path) -> anyhow::Result<RunReport> {
        let saved = saved_plan(file).map_err(|error| anyhow::anyhow!("{}", error.message()))?;
        let report = Box::pin(self.stage.runner.apply(&saved, None)).await?;
        let mut text = Vec::new();
        write_run_text(&mut text, &report, false)?;
        ensure!(
            matches!(report.outcome, Outcome::Done | Outcome::Partial)
                && report.failures.is_empty(),
            "a saved plan was not applied:\n{}",
            String::from_utf8_lossy(&text)
        );
        Ok(report)
    }
}

/// The figures that a plan's sections give one by one.
#[derive(Default)]
struct Counted {
    of_account: usize,
    of_groups: usize,
    created: usize,
    only_to_refuse: usize,
}

impl Counted {
    fn of(plan: &Plan) -> Counted {
        let mut counted = Counted::default();
        let mut joining: BTreeSet<PersonIx> = BTreeSet::new();
        for edit in &plan.operations {
            match edit {
                Edit::SetOptOut {
                    pair: None,
                    members,
                    ..
                } => counted.of_account += members.len(),
                Edit::SetOptOut { members, .. } => counted.of_groups += members.len(),
                Edit::AddMemberships { members, .. } => joining.extend(members),
                _ => {}
            }
        }
        for edit in &plan.operations {
            if let Edit::CreateMembers { members, .. } = edit {
                let only = members.iter().filter(|person| !joining.contains(person));
                counted.created += members.len();
                counted.only_to_refuse += only.count();
            }
        }
        counted
    }
}
