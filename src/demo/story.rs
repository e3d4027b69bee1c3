//! The story itself, chapter by chapter.

use std::io::Write;
use std::time::Instant;

use anstyle::Style;
use anyhow::ensure;

use super::abridge::{abridge, operations_only};
use super::compare::{Verdict, compare};
use super::scenes;
use super::stage::{BACKWARD, ONWARD, Stage};
use crate::emulator::Actor;
use crate::model::ObjectKind;
use crate::report::{write_plan_text, write_run_text};
use crate::run::{Outcome, RunReport, SyncOptions};

const HEADING: Style = Style::new().bold();
const GOOD: Style = anstyle::AnsiColor::Green.on_default();

/// Tells the story.
pub(super) async fn tell(stage: &Stage, out: &mut dyn Write) -> anyhow::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "the demo says how long it took the person who watches")]
    let started = Instant::now();
    let mut story = Story { stage, out, chapter: 0, seen: 0 };
    story.meet()?;
    story.first_run().await?;
    story.nothing_to_do().await?;
    let refuser = story.everyday().await?;
    story.onward().await?;
    story.accident().await?;
    story.change_of_mind(&refuser).await?;
    story.close(started)
}

struct Story<'a> {
    stage: &'a Stage,
    out: &'a mut dyn Write,
    chapter: u8,
    /// The last request of the emulator's log that was told.
    seen: u64,
}

/// Requests that reached the emulated accounts, as those counted them.
#[derive(Clone, Copy, Default)]
struct Traffic {
    reads: usize,
    writes: usize,
}

impl Story<'_> {
    fn chapter(&mut self, title: &str) -> anyhow::Result<()> {
        self.chapter += 1;
        writeln!(self.out, "\n{HEADING}{}. {title}{HEADING:#}\n", self.chapter)?;
        // The reader follows while the next step is at work.
        Ok(self.out.flush()?)
    }

    fn say(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(writeln!(self.out, "{text}")?)
    }

    fn proved(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(writeln!(self.out, "{GOOD}✓{GOOD:#} {text}")?)
    }

    fn meet(&mut self) -> anyhow::Result<()> {
        self.chapter("Two accounts")?;
        let lines = self.stage.emulator.with_world(|world| {
            [("crm", "GreenRope"), ("mail", "emfluence")].map(|(name, kind)| {
                let account = world.account(name);
                let opted_out = account.contacts.values().filter(|contact| contact.opted_out.is_some()).count();
                let bounced = account.contacts.values().filter(|contact| contact.bounced.is_some()).count();
                let memberships: usize = account.groups.values().map(|group| group.members.len()).sum();
                let groups = account.groups.values().filter(|group| group.kind == crate::emulator::GroupKind::Static).count();
                format!(
                    "  {name:<5} {kind:<10} {groups:>3} groups  {:>5} people  {memberships:>5} memberships  {opted_out} opted out  {bounced} bounced",
                    account.contacts.len()
                )
            })
        });
        self.say("Both are emulated inside this process, with made-up people; no network is used.")?;
        lines.iter().try_for_each(|line| self.say(line))
    }

    async fn first_run(&mut self) -> anyhow::Result<()> {
        self.chapter(&format!("The plan of job {ONWARD}, before anything is written (abridged)"))?;
        let planned = Box::pin(self.stage.runner.plan(ONWARD)).await?;
        self.show(abridge, |out| write_plan_text(out, &planned, false))?;
        self.chapter("The first run")?;
        self.traffic();
        let report = self.sync(ONWARD).await?;
        self.show_run(&report)?;
        let traffic = self.traffic();
        let verdict = self.compare()?;
        self.proved(&format!(
            "{} groups compared in the accounts themselves: {} memberships get mail, nobody is missing, nobody who refused is mailed.",
            verdict.groups, verdict.mailed
        ))?;
        self.say(&format!("  It took {} requests that read and {} that wrote.", traffic.reads, traffic.writes))
    }

    async fn nothing_to_do(&mut self) -> anyhow::Result<()> {
        self.chapter("The same run again")?;
        let report = self.sync(ONWARD).await?;
        let traffic = self.traffic();
        ensure!(traffic.writes == 0, "the second run sent {} requests that write, and there was nothing to do", traffic.writes);
        self.show_last_line(&report)?;
        self.proved(&format!("{} requests that read reached the accounts, and 0 that write.", traffic.reads))
    }

    /// Returns the address of who refused all mail.
    async fn everyday(&mut self) -> anyhow::Result<String> {
        self.chapter("A day at the source")?;
        let cast = self.stage.emulator.with_world(scenes::everyday_changes)?;
        for line in [
            format!("{} refuses all mail", cast.refuser),
            format!("{} refuses the mail of \"{}\"", cast.reluctant, cast.group),
            format!("{} leaves \"{}\"", cast.leaver, cast.group),
            format!("{} is now {}", cast.mover.0, cast.mover.1),
            format!("{} joins \"{}\"", cast.newcomer, cast.group),
            format!("\"{}\" is now called \"{}\"", cast.renamed.0, cast.renamed.1),
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
        self.compare()?;
        self.proved(&format!("Applied with {} requests that write; both accounts agree again.", traffic.writes))?;
        Ok(cast.refuser)
    }

    async fn onward(&mut self) -> anyhow::Result<()> {
        self.chapter("Onward to a second GreenRope account")?;
        let planned = Box::pin(self.stage.runner.plan(BACKWARD)).await?;
        self.say("GreenRope has no place for some of what emfluence holds. The plan says what:\n")?;
        for loss in &planned.plan.losses {
            self.say(&format!(
                "  {:<16} {:>4} {}s, such as {}",
                loss.field,
                loss.count,
                loss.object,
                crate::report::harmless(&loss.example)
            ))?;
        }
        self.traffic();
        let report = self.sync(BACKWARD).await?;
        let traffic = self.traffic();
        let carried = self.stage.runner.store().carried("crm2", ObjectKind::Group)?;
        let values: usize = carried.values().map(std::collections::BTreeMap::len).sum();
        self.say("")?;
        self.show_run(&report)?;
        self.say(&format!(
            "{} requests wrote. {values} values of {} groups are kept beside the account, and read back by later jobs as if it held them.",
            traffic.writes,
            carried.len()
        ))?;
        let again = self.sync(BACKWARD).await?;
        let traffic = self.traffic();
        ensure!(traffic.writes == 0, "the second run of {BACKWARD} sent {} requests that write", traffic.writes);
        self.show_last_line(&again)
    }

    async fn accident(&mut self) -> anyhow::Result<()> {
        self.chapter("A slip of the hand")?;
        let accident = self.stage.emulator.with_world(scenes::accident)?;
        self.say(&format!("Somebody at the source takes {} people out of \"{}\". The next run:\n", accident.lost.len(), accident.name))?;
        self.traffic();
        let report = Box::pin(self.stage.runner.sync(ONWARD, SyncOptions::default())).await?;
        let traffic = self.traffic();
        ensure!(report.outcome == Outcome::Refused, "a run that takes {} people out of a group was not refused", accident.lost.len());
        ensure!(traffic.writes == 0, "a refused run sent {} requests that write", traffic.writes);
        self.show(abridge, |out| write_run_text(out, &report, false))?;
        self.proved("0 requests that write reached the accounts. The service would wait here, and go on by itself once this is repaired.")?;
        self.stage.emulator.with_world(|world| scenes::repair(world, &accident));
        let report = self.sync(ONWARD).await?;
        self.say("\nThe people are put back at the source, and the next run is an ordinary one:")?;
        self.show_last_line(&report)
    }

    async fn change_of_mind(&mut self, refuser: &str) -> anyhow::Result<()> {
        self.chapter("Consent")?;
        self.stage.emulator.with_world(|world| scenes::change_of_mind(world, refuser))?;
        self.say(&format!("{refuser}, who had refused all mail, subscribes again at the source.\n"))?;
        self.traffic();
        let planned = Box::pin(self.stage.runner.plan(ONWARD)).await?;
        let of_person =
            planned.plan.withheld.iter().filter(|withheld| withheld.member.is_some_and(|member| planned.address(member) == refuser));
        let withheld: Vec<_> = of_person.map(|withheld| (planned.plan.pair(withheld.pair).name.clone(), withheld.reason)).collect();
        for (group, reason) in &withheld {
            self.say(&format!("  o withheld from \"{}\": {}", crate::report::harmless(group), reason.as_str()))?;
        }
        if withheld.is_empty() {
            self.say("  The plan does nothing about it: emfluence still lists the person, as somebody who refuses mail.")?;
        }
        let report = self.sync(ONWARD).await?;
        self.show_last_line(&report)?;
        let mailed = self.stage.emulator.with_world(|world| {
            let mail = world.account("mail");
            mail.groups.keys().filter(|group| mail.mailed_by(**group).binary_search(&refuser.to_owned()).is_ok()).count()
        });
        ensure!(mailed == 0, "somebody who refused all mail is mailed by {mailed} groups");
        self.proved("No group mails this person: a refusal is undone only by the person, at the target.")?;
        let undone =
            self.stage.emulator.history().into_iter().filter(|event| event.actor != Actor::Person && event.change.undoes_opt_out());
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

    fn close(&mut self, started: Instant) -> anyhow::Result<()> {
        self.say(&format!("\nThat was all, in {:.1} seconds. With accounts of your own:\n", started.elapsed().as_secs_f64()))?;
        for (command, words) in [
            ("rosterd init", "write a commented config"),
            ("rosterd check --online", "prove it, log in, predict requests and minutes"),
            ("rosterd plan crm-to-mail", "see what a run would do; nothing is written"),
        ] {
            self.say(&format!("  {HEADING}{command:<26}{HEADING:#} {words}"))?;
        }
        Ok(self.out.flush()?)
    }

    /// Makes a run that is expected to go through.
    async fn sync(&mut self, job: &str) -> anyhow::Result<RunReport> {
        let report = Box::pin(self.stage.runner.sync(job, SyncOptions::default())).await?;
        let why = report.failures.first().map(|failure| format!("{}: {}", failure.op, failure.message)).or_else(|| report.error.clone());
        let through = matches!(report.outcome, Outcome::Done | Outcome::Partial) && report.failures.is_empty();
        ensure!(
            through,
            "a run of {job} ended with \"{}\" and {} failures: {}",
            report.outcome.as_str(),
            report.failures.len(),
            why.unwrap_or_default()
        );
        Ok(report)
    }

    fn show_run(&mut self, report: &RunReport) -> anyhow::Result<()> {
        self.show(abridge, |out| write_run_text(out, report, false))
    }

    fn show(&mut self, shorten: fn(&str) -> String, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> anyhow::Result<()> {
        let mut text = Vec::new();
        write(&mut text)?;
        Ok(self.out.write_all(shorten(&String::from_utf8_lossy(&text)).as_bytes())?)
    }

    /// Shows the line that says what a run came to.
    fn show_last_line(&mut self, report: &RunReport) -> anyhow::Result<()> {
        let mut text = Vec::new();
        write_run_text(&mut text, report, false)?;
        let text = String::from_utf8_lossy(&text).into_owned();
        self.say(&format!("  {}", text.trim_end().lines().next_back().unwrap_or_default()))
    }

    /// Compares the two accounts from their own data.
    fn compare(&self) -> anyhow::Result<Verdict> {
        self.stage.emulator.with_world(|world| compare(world.account("crm"), world.account("mail"))).settle()
    }

    /// Counts the requests since the last count.
    fn traffic(&mut self) -> Traffic {
        let mut traffic = Traffic::default();
        let seen = self.seen;
        for request in self.stage.emulator.requests().into_iter().filter(|request| request.seq > seen) {
            *(if request.is_write { &mut traffic.writes } else { &mut traffic.reads }) += 1;
            self.seen = request.seq;
        }
        traffic
    }
}
