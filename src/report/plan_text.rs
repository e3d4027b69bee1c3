//! A plan as a person reads it on a terminal.

use std::io::{self, Write};
use std::time::Duration;

use super::paint::{ADDED, ASIDE, CHANGED, GONE, HEADING, KEPT, REFUSAL, STOP};
use super::sections::{self, and_more, heading, limit};
use super::undo;
use super::view::{
    FieldChange, GroupChange, GroupVerb, MembershipChange, OptOuts, PlanView, ProfileChange,
    changed_outside, created,
};
use super::words::{
    address, count, duration, explain, grouped, harmless, in_shell, listed, padded, quoted,
    summary, value,
};
use crate::model::Value;
use crate::plan::{Blocked, ChangedOutside, PersonIx, Plan, Reason, Withheld};
use crate::program::ROSTERD;
use crate::run::{Cost, Narrowed, Parts, Planned};
use unicode_width::UnicodeWidthStr;

/// The widest column of names.
const WIDEST: usize = 40;

/// Writes a plan for people; `verbose` shows every address and whole values.
///
/// # Errors
/// What writing to `out` says.
pub fn write_plan_text(out: &mut dyn Write, planned: &Planned, verbose: bool) -> io::Result<()> {
    let plan = &planned.plan;
    let view = PlanView::new(planned);
    let text = Text {
        planned,
        view: &view,
        verbose,
    };
    let job = harmless(&plan.job);
    match &planned.undoing {
        None => writeln!(
            out,
            "{HEADING}Plan for {job}{HEADING:#}: {} → {}",
            harmless(&plan.source),
            harmless(&plan.target)
        )?,
        Some(undoing) => writeln!(
            out,
            "{HEADING}Plan that takes back run {} of {job}{HEADING:#}, at {}",
            harmless(&undoing.run),
            harmless(&plan.target)
        )?,
    }
    if planned.first_run {
        writeln!(
            out,
            "Nothing is remembered of this job yet: this is its first run, or its state was lost."
        )?;
    }
    if let Some(narrowed) = &planned.narrowed {
        part(out, planned, narrowed)?;
    }
    text.opt_outs(out)?;
    text.new_fields(out)?;
    text.groups(out)?;
    text.memberships(out)?;
    text.holders(out)?;
    text.created(out)?;
    text.profiles(out)?;
    text.changed_outside(out)?;
    text.withheld(out)?;
    if let Some(undoing) = &planned.undoing {
        undo::not_undone(out, undoing, verbose)?;
    }
    sections::blocked(out, &plan.job, &plan.blocked, &planned.accepted, verbose)?;
    sections::losses(out, &plan.losses, verbose)?;
    sections::warnings(out, &plan.warnings)?;
    refusals(out, planned, verbose)?;
    if let Some(narrowed) = &planned.narrowed {
        return writeln!(
            out,
            "\n{}\nThe whole plan: {}.",
            last_line(planned),
            whole(narrowed)
        );
    }
    if !plan.is_empty() {
        writeln!(out, "\n{}", cost_sentence(&planned.cost))?;
    }
    if let Some(undoing) = &planned.undoing {
        writeln!(out, "\n{}", undo::in_short(undoing))?;
    }
    writeln!(out, "\n{}", last_line(planned))?;
    // Behind a refusal the way on is the approval, which has been named.
    if plan.is_empty() || !plan.refusals.is_empty() {
        return Ok(());
    }
    if let Some(undoing) = &planned.undoing {
        return undo::next_step(out, undoing, planned.saved.as_deref());
    }
    if planned.saved.is_some() {
        return writeln!(
            out,
            "\nNext: `{ROSTERD} apply {}` applies exactly this, once; `{ROSTERD} sync {job}` plans anew and applies that.",
            saved_as(planned)
        );
    }
    writeln!(
        out,
        "\nNext: `{ROSTERD} sync {job}` plans anew and applies; to apply exactly what was reviewed, \
         `{ROSTERD} plan {job} --out FILE`, then `{ROSTERD} apply FILE`."
    )
}

/// Writes what the guards refuse, and every command that lets it pass.
fn refusals(out: &mut dyn Write, planned: &Planned, verbose: bool) -> io::Result<()> {
    let plan = &planned.plan;
    let apply = format!("{ROSTERD} apply {}", saved_as(planned));
    let (before, again) = match (&planned.undoing, &planned.saved) {
        (None, _) => (None, format!("{ROSTERD} sync {}", plan.job)),
        (Some(_), Some(_)) => (None, apply.clone()),
        // Only a file can be applied.
        (Some(undoing), None) => {
            let save = format!("{ROSTERD} undo {} --out FILE", undoing.run);
            (Some(save), apply.clone())
        }
    };
    sections::refusals_of_file(
        out,
        before.as_deref(),
        &again,
        &plan.refusals,
        plan.waiting_opt_outs,
        verbose,
    )?;
    match (plan.refusals.first(), &planned.saved) {
        (Some(first), Some(_)) if planned.undoing.is_none() => writeln!(
            out,
            "  That plans anew; to apply exactly the plan that was saved, once:\n      {} --approve {}",
            harmless(&apply),
            first.approval
        ),
        _ => Ok(()),
    }
}

/// Names the file of a plan as it is typed.
fn saved_as(planned: &Planned) -> String {
    let file = planned.saved.as_deref().map(in_shell);
    file.unwrap_or_else(|| "FILE".to_owned())
}

/// Says in one line how many jobs were planned of those that were to be, and how many were left out.
///
/// # Errors
/// What writing to `out` says.
pub fn write_plans_in_short(
    out: &mut dyn Write,
    jobs: usize,
    planned: usize,
    left_out: usize,
) -> io::Result<()> {
    let jobs = count(jobs as u64, "job", "jobs");
    let left_out = match left_out {
        0 => String::new(),
        number => format!("; {} paused or disabled", grouped(number as u64)),
    };
    writeln!(
        out,
        "\n\n{HEADING}All jobs:{HEADING:#} planned {} of {jobs}{left_out}.",
        grouped(planned as u64)
    )
}

/// Says that a part of the plan is shown, and how much of it.
fn part(out: &mut dyn Write, planned: &Planned, narrowed: &Narrowed) -> io::Result<()> {
    let only: Vec<String> = narrowed.only.iter().map(|one| asked_for(one)).collect();
    let of = narrowed.of;
    let shown = Parts::of(planned);
    let mut parts = vec![format!(
        "{} of {}",
        grouped(shown.operations as u64),
        count(of.operations as u64, "operation", "operations")
    )];
    let others = [
        (
            shown.withheld,
            of.withheld,
            "withheld item",
            "withheld items",
        ),
        (shown.blocked, of.blocked, "blocked item", "blocked items"),
        (
            shown.changed_outside,
            of.changed_outside,
            "change outside",
            "changes outside",
        ),
        (
            shown.not_undone,
            of.not_undone,
            "thing that is not undone",
            "things that are not undone",
        ),
        (shown.losses, of.losses, "loss", "losses"),
        (shown.warnings, of.warnings, "warning", "warnings"),
    ];
    let others = others.into_iter().filter(|(_, of, ..)| *of > 0);
    parts.extend(others.map(|(shown, of, one, many)| {
        format!(
            "{} of {}",
            grouped(shown as u64),
            count(of as u64, one, many)
        )
    }));
    writeln!(
        out,
        "Only {}: shows {}. What concerns others as well is cut to what was asked for.",
        listed(&only),
        listed(&parts)
    )?;
    for one in &narrowed.unconcerned {
        writeln!(out, "Nothing in this plan concerns {}.", asked_for(one))?;
    }
    Ok(())
}

/// Names what was asked for: an address or an id as it is, and a group in quotation marks.
fn asked_for(asked: &str) -> String {
    if asked.contains('@') || asked.starts_with('#') {
        harmless(asked).into_owned()
    } else {
        quoted(asked)
    }
}

/// Says what the whole of a plan comes to of which a part is shown.
fn whole(narrowed: &Narrowed) -> String {
    let items = summary(&narrowed.whole, false);
    if items.is_empty() {
        count(narrowed.of.operations as u64, "operation", "operations")
    } else {
        items.join(", ")
    }
}

/// Says in one line what the plan comes to.
pub(super) fn last_line(planned: &Planned) -> String {
    let plan = &planned.plan;
    let title = match &planned.narrowed {
        Some(_) if plan.is_empty() => {
            let nothing = format!("{HEADING}No operation is shown.{HEADING:#}");
            return format!("{nothing}{}", outside(plan));
        }
        Some(narrowed) => {
            let of = count(narrowed.of.operations as u64, "operation", "operations");
            format!("Shown, of {of}:")
        }
        None => "Plan:".to_owned(),
    };
    if plan.is_empty() {
        let mut line = format!("{HEADING}Nothing to do.{HEADING:#}");
        let open = |blocked: &&Blocked| !planned.accepted.contains(&blocked.item());
        let open = plan.blocked.iter().filter(open).count();
        if open > 0 {
            line = format!("{line} {} a person.", waiting(open));
        }
        line.push_str(&outside(plan));
        return line;
    }
    let mut items = summary(&plan.summary, false);
    if items.is_empty() {
        items.push(count(
            plan.operations.len() as u64,
            "operation",
            "operations",
        ));
    }
    let refused = if plan.refusals.is_empty() {
        String::new()
    } else {
        format!(" {STOP}Refused by a guard.{STOP:#}")
    };
    format!(
        "{HEADING}{title}{HEADING:#} {}.{}{refused}",
        items.join(", "),
        outside(plan)
    )
}

/// Says how much somebody changed at the target since the last run; nothing where nobody did.
fn outside(plan: &Plan) -> String {
    match plan.changed_outside.len() {
        0 => String::new(),
        number => format!(" {} changed outside.", grouped(number as u64)),
    }
}

fn waiting(blocked: usize) -> String {
    format!("{} for", count(blocked as u64, "item waits", "items wait"))
}

/// Says what applying costs.
pub(super) fn cost_sentence(cost: &Cost) -> String {
    let by_provider =
        |requests: &std::collections::BTreeMap<String, u64>, preposition: &str| -> String {
            let parts: Vec<String> = requests
                .iter()
                .filter(|(_, number)| **number > 0)
                .map(|(provider, number)| {
                    format!(
                        "{} {preposition} {}",
                        count(*number, "request", "requests"),
                        harmless(provider)
                    )
                })
                .collect();
            listed(&parts)
        };
    let writes = by_provider(&cost.requests, "to");
    // What looks at the target while the plan is applied is still to come.
    let looks = cost.applying.reads;
    let mut read = cost.reads.clone();
    for target in cost.requests.keys() {
        if let Some(reads) = read.get_mut(target) {
            *reads = reads.saturating_sub(looks);
        }
    }
    let reads = by_provider(&read, "of");
    let time = duration(Duration::from_secs(cost.estimated_seconds));
    let mut sentence = if writes.is_empty() {
        "Cost: applying needs no request.".to_owned()
    } else {
        let looks = match looks {
            0 => String::new(),
            looks => format!(" and {} at what was written", count(looks, "look", "looks")),
        };
        format!("Cost: {writes}{looks}, about {time} at the provider's pace.")
    };
    if !reads.is_empty() {
        sentence = format!("{sentence} Reading took {reads}.");
    }
    sentence
}

struct Text<'a> {
    planned: &'a Planned,
    view: &'a PlanView<'a>,
    verbose: bool,
}

impl Text<'_> {
    fn opt_outs(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.view.opt_outs.is_empty() {
            return Ok(());
        }
        writeln!(
            out,
            "\n{REFUSAL}Opt-outs{REFUSAL:#}  {ASIDE}carried before anything else{ASIDE:#}"
        )?;
        for OptOuts { group, members } in &self.view.opt_outs {
            let number = count(members.len() as u64, "person", "people");
            match group {
                Some(group) => writeln!(
                    out,
                    "  {REFUSAL}x{REFUSAL:#} {number} out of {}",
                    quoted(group)
                )?,
                None => writeln!(
                    out,
                    "  {REFUSAL}x{REFUSAL:#} {number} out of the whole account"
                )?,
            }
            self.people(out, "      ", members, |_| "")?;
        }
        Ok(())
    }

    fn new_fields(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.view.new_fields.is_empty() {
            return Ok(());
        }
        heading(out, "Custom fields", "created at the target")?;
        self.view
            .new_fields
            .iter()
            .try_for_each(|label| writeln!(out, "  {ADDED}+{ADDED:#} {}", harmless(label)))
    }

    fn groups(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.view.groups.is_empty() {
            return Ok(());
        }
        heading(out, "Groups", "")?;
        let width = widest(self.view.groups.iter().map(|change| change.name));
        for GroupChange {
            verb,
            name,
            note,
            fields,
        } in &self.view.groups
        {
            let style = match verb {
                GroupVerb::Create => ADDED,
                GroupVerb::Change => CHANGED,
                GroupVerb::Adopt => KEPT,
                GroupVerb::Archive | GroupVerb::Delete => GONE,
            };
            let note = note
                .as_ref()
                .map(|note| format!(": {}", harmless(note)))
                .unwrap_or_default();
            writeln!(
                out,
                "  {style}{}{style:#} {}  {style}{}{style:#}{note}",
                verb.sign(),
                padded(&harmless(name), width),
                verb.word()
            )?;
            self.fields(out, fields)?;
        }
        Ok(())
    }

    fn memberships(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.view.memberships.is_empty() {
            return Ok(());
        }
        let newcomers = self.view.created.len() - self.view.holders.len();
        let note = match newcomers {
            0 => String::new(),
            number => format!(
                "{} new to the target (marked *)",
                count(number as u64, "person is", "people are")
            ),
        };
        heading(out, "Members", &note)?;
        let width = widest(self.view.memberships.iter().map(|change| change.name));
        for MembershipChange {
            name,
            added,
            removed,
            put_back,
        } in &self.view.memberships
        {
            let mut counts = Vec::new();
            if !added.is_empty() {
                counts.push(format!("{ADDED}+{}{ADDED:#}", grouped(added.len() as u64)));
            }
            if !removed.is_empty() {
                counts.push(format!("{GONE}−{}{GONE:#}", grouped(removed.len() as u64)));
            }
            writeln!(
                out,
                "  {}  {}",
                padded(&harmless(name), width),
                counts.join(" ")
            )?;
            let added_sign = format!("    {ADDED}+{ADDED:#} ");
            self.people(out, &added_sign, added, |person| {
                if self.view.created.contains(&person) {
                    " *"
                } else if put_back.contains(&person) {
                    "  (was taken out there)"
                } else {
                    ""
                }
            })?;
            self.people(out, &format!("    {GONE}−{GONE:#} "), removed, |_| "")?;
        }
        Ok(())
    }

    fn holders(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.view.holders.is_empty() {
            return Ok(());
        }
        heading(
            out,
            "Created only to hold an opt-out",
            "in no group, never mailed",
        )?;
        self.people(
            out,
            &format!("  {REFUSAL}x{REFUSAL:#} "),
            &self.view.holders,
            |_| "",
        )
    }

    /// Writes what new people are created with: one person of each kind, or with `-v` everybody.
    fn created(&self, out: &mut dyn Write) -> io::Result<()> {
        let kinds = &self.view.kinds;
        if kinds.is_empty() {
            return Ok(());
        }
        let total = count(self.view.created.len() as u64, "person", "people");
        if self.verbose {
            heading(out, "New people", &total)?;
            let mut everybody: Vec<PersonIx> = self.view.created.iter().copied().collect();
            everybody.sort_unstable();
            for person in everybody {
                let name = address(self.planned.member(person));
                writeln!(out, "  {ADDED}+{ADDED:#} {name}")?;
                self.values(out, person)?;
            }
            return Ok(());
        }
        let note = match kinds.len() {
            1 => format!("{total}, all with the same fields"),
            kinds => format!(
                "{total} of {} by the fields that are written",
                count(kinds as u64, "kind", "kinds")
            ),
        };
        heading(out, "New people", &note)?;
        let shown = limit(kinds.len(), false);
        for kind in &kinds[..shown] {
            let Some(sample) = kind.members.first() else {
                continue;
            };
            writeln!(
                out,
                "  {ADDED}+{ADDED:#} {} with {}, for example {}",
                count(kind.members.len() as u64, "person", "people"),
                count(kind.fields.len() as u64, "field", "fields"),
                address(self.planned.member(*sample))
            )?;
            self.values(out, *sample)?;
        }
        let left = &kinds[shown..];
        if !left.is_empty() {
            let people: usize = left.iter().map(|kind| kind.members.len()).sum();
            writeln!(
                out,
                "  {ASIDE}… and {} of {} more (-v shows all){ASIDE:#}",
                count(people as u64, "person", "people"),
                count(left.len() as u64, "kind", "kinds")
            )?;
        }
        Ok(())
    }

    fn values(&self, out: &mut dyn Write, person: PersonIx) -> io::Result<()> {
        self.fields(out, &created(self.planned, person))
    }

    fn profiles(&self, out: &mut dyn Write) -> io::Result<()> {
        let all = &self.view.profiles;
        if all.is_empty() {
            return Ok(());
        }
        let people = count(all.len() as u64, "person", "people");
        // Whoever gets another address and other values has two changes.
        let changes = self.planned.plan.summary.members_updated;
        let note = if changes == all.len() as u64 {
            people
        } else {
            format!("{} of {people}", count(changes, "change", "changes"))
        };
        heading(out, "Profiles", &note)?;
        let shown = limit(all.len(), self.verbose);
        for ProfileChange {
            member,
            address: moved,
            moved_outside,
            fields,
        } in &all[..shown]
        {
            match moved {
                Some((from, to)) => {
                    writeln!(
                        out,
                        "  {CHANGED}~{CHANGED:#} {} → {}  {CHANGED}address{CHANGED:#}{}",
                        address(from),
                        address(to),
                        mark(*moved_outside)
                    )?;
                }
                None => writeln!(
                    out,
                    "  {CHANGED}~{CHANGED:#} {}",
                    address(self.planned.member(*member))
                )?,
            }
            self.fields(out, fields)?;
        }
        and_more(out, "  ", all.len(), shown)
    }

    fn fields(&self, out: &mut dyn Write, fields: &[FieldChange<'_>]) -> io::Result<()> {
        let width = widest(fields.iter().map(|change| change.field));
        for change in fields {
            write!(out, "      {}  ", padded(&harmless(change.field), width))?;
            if change.compares {
                write!(
                    out,
                    "{ASIDE}{}{ASIDE:#} → ",
                    value(change.before, self.verbose)
                )?;
            }
            let after = value(change.after, self.verbose);
            writeln!(out, "{after}{}", mark(change.outside))?;
        }
        Ok(())
    }

    /// Writes what somebody changed at the target since the last run.
    fn changed_outside(&self, out: &mut dyn Write) -> io::Result<()> {
        let total = self.planned.plan.changed_outside.len();
        if total == 0 {
            return Ok(());
        }
        let number = count(total as u64, "value", "values");
        let at = harmless(&self.planned.plan.target);
        let note = format!("{number}, at {at} since the last run");
        heading(out, "Changed outside", &note)?;
        let shown = limit(total, self.verbose);
        for row in changed_outside(self.planned).take(shown) {
            let member = row.member.map(address);
            let group = row.group.map(quoted);
            let fate = row.fate();
            let Some(field) = row.field.map(harmless) else {
                writeln!(
                    out,
                    "  {CHANGED}!{CHANGED:#} {} was taken out of {}: {fate}",
                    member.unwrap_or_default(),
                    group.unwrap_or_default()
                )?;
                continue;
            };
            let whose = match (member, group) {
                (Some(member), _) => member.into_owned(),
                (None, group) => format!("group {}", group.unwrap_or_default()),
            };
            writeln!(out, "  {CHANGED}!{CHANGED:#} {field} of {whose}: {fate}")?;
            let ChangedOutside {
                base, now, wanted, ..
            } = row.changed;
            let shown = |held: &Option<Value>| value(held.as_ref(), self.verbose);
            write!(
                out,
                "      {ASIDE}{} after the last run{ASIDE:#}, now {}",
                shown(base),
                shown(now)
            )?;
            if base == wanted {
                writeln!(out)?;
            } else {
                writeln!(out, ", wanted {}", shown(wanted))?;
            }
        }
        and_more(out, "  ", total, shown)
    }

    fn withheld(&self, out: &mut dyn Write) -> io::Result<()> {
        let total = self.planned.plan.withheld.len();
        if total == 0 {
            return Ok(());
        }
        heading(
            out,
            "Withheld",
            &format!(
                "{}, on purpose; nobody needs to act",
                count(total as u64, "item", "items")
            ),
        )?;
        let width = widest(self.view.withheld.keys().map(|reason| reason.as_str()));
        for (reason, items) in &self.view.withheld {
            self.withheld_for(out, *reason, items, width)?;
        }
        Ok(())
    }

    fn withheld_for(
        &self,
        out: &mut dyn Write,
        reason: Reason,
        items: &[Withheld],
        width: usize,
    ) -> io::Result<()> {
        let example = match items.first() {
            Some(item) if !self.verbose => format!(", for example {}", self.named(item)),
            _ => String::new(),
        };
        let number = grouped(items.len() as u64);
        writeln!(
            out,
            "  o {}  {number:>5}  {}{example}",
            padded(reason.as_str(), width),
            explain(reason)
        )?;
        if self.verbose {
            items
                .iter()
                .try_for_each(|item| writeln!(out, "      {}", self.named(item)))?;
        }
        Ok(())
    }

    fn named(&self, item: &Withheld) -> String {
        let group = &self.planned.plan.pair(item.pair).name;
        match item.member {
            Some(member) => format!(
                "{} in {}",
                address(self.planned.member(member)),
                quoted(group)
            ),
            None => format!("group {}", quoted(group)),
        }
    }

    fn people(
        &self,
        out: &mut dyn Write,
        lead: &str,
        members: &[PersonIx],
        mark: impl Fn(PersonIx) -> &'static str,
    ) -> io::Result<()> {
        let shown = limit(members.len(), self.verbose);
        for member in &members[..shown] {
            writeln!(
                out,
                "{lead}{}{}",
                address(self.planned.member(*member)),
                mark(*member)
            )?;
        }
        // What stands for entries of a section stands where they do.
        let indent = if lead.starts_with("    ") {
            "      "
        } else {
            "  "
        };
        and_more(out, indent, members.len(), shown)
    }
}

/// Marks a value that undoes what somebody did at the target.
fn mark(outside: bool) -> &'static str {
    if outside { "  (changed outside)" } else { "" }
}

fn widest<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    names
        .map(|name| harmless(name).width())
        .max()
        .unwrap_or_default()
        .min(WIDEST)
}
