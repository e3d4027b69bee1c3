//! How the story is told: its frame, and what all chapters use.
//!
//! The chapters themselves are in [`chapters`](super::chapters) and [`lists`](super::lists).

use std::io::Write;
use std::time::Instant;

use anstyle::Style;
use anyhow::ensure;

use super::compare::{Verdict, compare};
use super::stage::Stage;
use crate::emulator::{Account, GroupKind, MembershipState};
use crate::report::write_run_text;
use crate::run::{Outcome, RunReport, SyncOptions};

const HEADING: Style = Style::new().bold();
const GOOD: Style = anstyle::AnsiColor::Green.on_default();

/// Tells the story.
pub(super) async fn tell(stage: &Stage, out: &mut dyn Write) -> anyhow::Result<()> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the demo says how long it took the person who watches"
    )]
    let started = Instant::now();
    let mut story = Story {
        stage,
        out,
        chapter: 0,
        seen: 0,
    };
    story.meet()?;
    story.first_run().await?;
    story.nothing_to_do().await?;
    story.on_to_lists().await?;
    let cast = story.everyday().await?;
    story.day_at_the_lists(&cast).await?;
    story.back_to_emfluence(&cast).await?;
    story.accident().await?;
    story.change_of_mind(&cast.refuser).await?;
    story.close(started)
}

pub(super) struct Story<'a> {
    pub(super) stage: &'a Stage,
    out: &'a mut dyn Write,
    chapter: u8,
    /// The last request of the emulator's log that was told.
    seen: u64,
}

/// Requests that reached the emulated accounts, as those counted them.
#[derive(Clone, Copy, Default)]
pub(super) struct Traffic {
    pub(super) reads: usize,
    pub(super) writes: usize,
}

impl Story<'_> {
    pub(super) fn chapter(&mut self, title: &str) -> anyhow::Result<()> {
        self.chapter += 1;
        writeln!(
            self.out,
            "\n{HEADING}{}. {title}{HEADING:#}\n",
            self.chapter
        )?;
        // The reader follows while the next step is at work.
        Ok(self.out.flush()?)
    }

    pub(super) fn say(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(writeln!(self.out, "{text}")?)
    }

    pub(super) fn proved(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(writeln!(self.out, "{GOOD}✓{GOOD:#} {text}")?)
    }

    fn meet(&mut self) -> anyhow::Result<()> {
        self.chapter("Four accounts at three providers")?;
        self.say(
            "They are emulated inside this process, with made-up people; no network is used.\n",
        )?;
        let lines = self.stage.emulator.with_world(|world| {
            [
                ("crm", "GreenRope"),
                ("mail", "emfluence"),
                ("campaigns", "ActiveCampaign"),
                ("mail2", "emfluence"),
            ]
            .map(|(name, provider)| introduction(world.account(name), provider))
        });
        lines.iter().try_for_each(|line| self.say(line))?;
        self.say("\nThree jobs pass groups and people on: crm to mail, mail to campaigns, campaigns to mail2.")
    }

    fn close(&mut self, started: Instant) -> anyhow::Result<()> {
        self.say(&format!(
            "\nThat was all, in {:.1} seconds. With accounts of your own:\n",
            started.elapsed().as_secs_f64()
        ))?;
        for (command, words) in [
            ("rosterd init", "write a commented config"),
            (
                "rosterd check --online",
                "prove it, log in, predict requests and minutes",
            ),
            (
                "rosterd plan crm-to-mail",
                "see what a run would do; nothing is written",
            ),
        ] {
            self.say(&format!("  {HEADING}{command:<26}{HEADING:#} {words}"))?;
        }
        Ok(self.out.flush()?)
    }

    /// Makes a run that is expected to go through.
    pub(super) async fn sync(&mut self, job: &str) -> anyhow::Result<RunReport> {
        let report = Box::pin(self.stage.runner.sync(job, SyncOptions::default())).await?;
        let why = report
            .failures
            .first()
            .map(|failure| format!("{}: {}", failure.op, failure.message))
            .or_else(|| report.error.clone());
        let through = matches!(report.outcome, Outcome::Done | Outcome::Partial)
            && report.failures.is_empty();
        ensure!(
            through,
            "a run of {job} ended with \"{}\" and {} failures: {}",
            report.outcome.as_str(),
            report.failures.len(),
            why.unwrap_or_default()
        );
        Ok(report)
    }

    /// Makes a run that is expected to find nothing to do, and says what it came to.
    pub(super) async fn sync_in_vain(&mut self, job: &str) -> anyhow::Result<Traffic> {
        self.traffic();
        let report = self.sync(job).await?;
        let traffic = self.traffic();
        ensure!(
            traffic.writes == 0,
            "the next run of {job} sent {} requests that write, and there was nothing to do",
            traffic.writes
        );
        self.show_last_line(&report)?;
        Ok(traffic)
    }

    pub(super) fn show_run(&mut self, report: &RunReport) -> anyhow::Result<()> {
        self.show(super::abridge::abridge, |out| {
            write_run_text(out, report, false)
        })
    }

    pub(super) fn show(
        &mut self,
        shorten: fn(&str) -> String,
        write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
    ) -> anyhow::Result<()> {
        let mut text = Vec::new();
        write(&mut text)?;
        Ok(self
            .out
            .write_all(shorten(&String::from_utf8_lossy(&text)).as_bytes())?)
    }

    /// Shows the line that says what a run came to.
    pub(super) fn show_last_line(&mut self, report: &RunReport) -> anyhow::Result<()> {
        let mut text = Vec::new();
        write_run_text(&mut text, report, false)?;
        let text = String::from_utf8_lossy(&text).into_owned();
        self.say(&format!(
            "  {}",
            text.trim_end().lines().next_back().unwrap_or_default()
        ))
    }

    /// Compares groups of two accounts from their own data.
    pub(super) fn compare(
        &self,
        source: &str,
        target: &str,
        covers: fn(&str) -> bool,
    ) -> anyhow::Result<Verdict> {
        self.stage
            .emulator
            .with_world(|world| compare(world.account(source), world.account(target), covers))
            .settle()
    }

    /// Counts the requests since the last count.
    pub(super) fn traffic(&mut self) -> Traffic {
        let mut traffic = Traffic::default();
        let seen = self.seen;
        for request in self
            .stage
            .emulator
            .requests()
            .into_iter()
            .filter(|request| request.seq > seen)
        {
            *(if request.is_write {
                &mut traffic.writes
            } else {
                &mut traffic.reads
            }) += 1;
            self.seen = request.seq;
        }
        traffic
    }
}

fn introduction(account: &Account, provider: &str) -> String {
    let refuses_a_group = |contact: u64| {
        account.groups.values().any(|group| {
            group
                .members
                .get(&contact)
                .is_some_and(|member| member.state == MembershipState::OptedOut)
        })
    };
    let refusing = account
        .contacts
        .values()
        .filter(|contact| contact.opted_out.is_some() || refuses_a_group(contact.id))
        .count();
    let memberships: usize = account
        .groups
        .values()
        .map(|group| group.members.len())
        .sum();
    let groups = account
        .groups
        .values()
        .filter(|group| group.kind == GroupKind::Static)
        .count();
    format!(
        "  {:<9} {provider:<14} {groups:>3} groups  {:>5} people  {memberships:>5} memberships  {refusing:>3} refuse some or all mail",
        account.name,
        account.contacts.len()
    )
}
