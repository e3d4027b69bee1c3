//! How the story is told: its frame, and what all chapters use.
//!
//! The chapters themselves are in [`chapters`](super::chapters), [`lists`](super::lists) and
//! [`trouble`](super::trouble).

use std::io::Write;
use std::time::Instant;

use anstyle::Style;
use anyhow::ensure;

use super::Pause;
use super::compare::{Verdict, compare};
use super::stage::Stage;
use crate::emulator::{Account, Actor, GroupKind, MembershipState};
use crate::report::write_run_text;
use crate::run::{Outcome, RunReport, SyncOptions};

const HEADING: Style = Style::new().bold();
const ASIDE: Style = Style::new().dimmed();
const GOOD: Style = anstyle::AnsiColor::Green.on_default();

/// What the chapters are called, in their order.
const CHAPTERS: [&str; 9] = [
    "Four accounts at three providers",
    "Plan: everything is shown before anything is written",
    "Review and apply: exactly this plan, or nothing",
    "A day at the source, with opt-outs",
    "A page that does not load",
    "A slip of the hand",
    "On to lists of ActiveCampaign, and back",
    "A change of mind, explained",
    "Undo",
];

/// Tells the story.
pub(super) async fn tell(
    stage: &Stage,
    pause: Option<Pause>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the demo says how long it took the person who watches"
    )]
    let started = Instant::now();
    let mut story = Story {
        stage,
        out,
        pause,
        chapter: 0,
        seen: 0,
        of_chapter: Traffic::default(),
        total: Traffic::default(),
    };
    story.contents()?;
    story.meet()?;
    let plan = story.review().await?;
    story.apply_reviewed(&plan).await?;
    let cast = story.everyday().await?;
    story.page_that_fails(&cast).await?;
    story.accident().await?;
    story.on_to_lists(&cast).await?;
    story.change_of_mind(&cast.refuser).await?;
    story.undo(&cast).await?;
    story.close(started)
}

pub(super) struct Story<'a> {
    pub(super) stage: &'a Stage,
    out: &'a mut dyn Write,
    pause: Option<Pause>,
    chapter: usize,
    /// The last request of the emulator's log that was counted.
    seen: u64,
    /// The requests of this chapter, and of all.
    of_chapter: Traffic,
    total: Traffic,
}

/// Requests that reached the emulated accounts, as those counted them.
#[derive(Clone, Copy, Default)]
pub(super) struct Traffic {
    pub(super) reads: usize,
    pub(super) writes: usize,
}

impl Traffic {
    fn add(&mut self, other: Traffic) {
        self.reads += other.reads;
        self.writes += other.writes;
    }
}

impl Story<'_> {
    fn contents(&mut self) -> anyhow::Result<()> {
        self.say("rosterd, shown with made-up accounts that are emulated in this process; no network is used.\n")?;
        for (at, title) in CHAPTERS.iter().enumerate() {
            self.say(&format!("  {}. {title}", at + 1))?;
        }
        self.say(&format!(
            "\nBelow each {HEADING}${HEADING:#} stands what that command prints, in short: … counts what is left out."
        ))
    }

    /// Begins the next chapter.
    pub(super) fn chapter(&mut self) -> anyhow::Result<()> {
        self.end_chapter()?;
        let (number, title) = (self.chapter + 1, CHAPTERS[self.chapter]);
        self.chapter = number;
        if let Some(pause) = &mut self.pause {
            write!(self.out, "\n[Enter: {number}. {title}]")?;
            self.out.flush()?;
            pause()?;
        }
        writeln!(self.out, "\n{HEADING}{number}. {title}{HEADING:#}\n")?;
        // The reader follows while the next step is at work.
        Ok(self.out.flush()?)
    }

    /// Says what a chapter took.
    fn end_chapter(&mut self) -> anyhow::Result<()> {
        self.traffic();
        let of = std::mem::take(&mut self.of_chapter);
        if of.reads + of.writes > 0 {
            self.say(&format!(
                "{ASIDE}  Requests of this chapter: {} read, {} wrote.{ASIDE:#}",
                of.reads, of.writes
            ))?;
        }
        Ok(())
    }

    /// Shows the command that prints what follows.
    pub(super) fn command(&mut self, command: &str) -> anyhow::Result<()> {
        self.say(&format!("{HEADING}$ rosterd {command}{HEADING:#}"))?;
        // It may take a moment.
        Ok(self.out.flush()?)
    }

    pub(super) fn say(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(writeln!(self.out, "{text}")?)
    }

    pub(super) fn proved(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(writeln!(self.out, "{GOOD}✓{GOOD:#} {text}")?)
    }

    fn meet(&mut self) -> anyhow::Result<()> {
        self.chapter()?;
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
        self.say("\nThree jobs pass groups and people on: crm to mail, three of the groups from mail to campaigns, and those from\ncampaigns to mail2.")
    }

    fn close(&mut self, started: Instant) -> anyhow::Result<()> {
        self.end_chapter()?;
        let emulator = &self.stage.emulator;
        let undone = emulator
            .history()
            .into_iter()
            .filter(|event| event.actor != Actor::Person && event.change.undoes_opt_out());
        let undone = undone.count();
        ensure!(undone == 0, "{undone} opt-outs were undone by requests");
        let misuse = emulator.misuse();
        ensure!(
            misuse.is_empty(),
            "the emulated accounts complain of {} requests, first of {:?} in {}",
            misuse.len(),
            misuse[0].kind,
            misuse[0].operation
        );
        let Traffic { reads, writes } = self.total;
        self.say("")?;
        self.proved(&format!(
            "The accounts saw {} requests, {reads} that read and {writes} that wrote: none undid an opt-out, and none broke a provider's rules.",
            reads + writes
        ))?;
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
    pub(super) async fn sync_in_vain(&mut self, job: &str) -> anyhow::Result<()> {
        self.traffic();
        self.command(&format!("sync {job}"))?;
        let report = self.sync(job).await?;
        let traffic = self.traffic();
        ensure!(
            traffic.writes == 0,
            "the next run of {job} sent {} requests that write, and there was nothing to do",
            traffic.writes
        );
        self.show_last_line(&report)
    }

    pub(super) fn show_run(&mut self, report: &RunReport) -> anyhow::Result<()> {
        self.show(super::abridge::outcome_only, |out| {
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
        self.of_chapter.add(traffic);
        self.total.add(traffic);
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
