//! The page of a plan.

use std::io::{self, Write};

use super::html::{Escaped, Program, Short, Whole};
use super::kind::Kind;
use super::parts::{self, Pick};
use super::rows::{Field, OUTSIDE, Row, Rows, Tally, fields};
use super::{PageAbout, begin, end, undo};
use crate::plan::{Blocked, Edit, PersonIx, Reason};
use crate::report::failures::remedy_of;
use crate::report::plan_text::{cost_sentence, last_line};
use crate::report::sections::{SHOWN, named, remedy_after};
use crate::report::undo::in_short;
use crate::report::view::{
    FieldChange, Marks, PlanView, by_guard, changed_outside, compared, created, group_change, sums,
};
use crate::report::words::{address, count, explain, grouped, in_shell, opt_outs_wait, value};
use crate::run::Planned;

/// Writes a plan as a page.
///
/// # Errors
/// What writing to `out` says.
pub fn write_plan_html(
    out: &mut dyn Write,
    planned: &Planned,
    about: &PageAbout,
) -> io::Result<()> {
    let plan = &planned.plan;
    let title = match &planned.undoing {
        None => format!("Plan for {}", plan.job),
        Some(undoing) => format!("Plan that takes back run {} of {}", undoing.run, plan.job),
    };
    begin(out, &title)?;
    let mut rows = Rows::begin(out)?;
    each_row(planned, &mut |row| rows.push(row))?;
    let tally = rows.end()?;
    let page = Page {
        planned,
        view: &PlanView::new(planned),
        about,
        tally: &tally,
    };
    page.head(out)?;
    page.refusals(out)?;
    parts::figures(out, &tally, false)?;
    page.warnings(out)?;
    page.opt_outs(out)?;
    parts::groups(out, &tally, false)?;
    page.new_fields(out)?;
    page.new_people(out)?;
    page.profiles(out)?;
    page.changed_outside(out)?;
    page.withheld(out)?;
    if let Some(undoing) = &planned.undoing {
        undo::not_undone(out, undoing, &tally)?;
    }
    page.blocked(out)?;
    page.losses(out)?;
    parts::items(out, &tally, false, &page.elsewhere())?;
    page.next(out)?;
    end(out)
}

/// Goes through everything that a plan does or leaves, item by item.
fn each_row(planned: &Planned, take: &mut dyn FnMut(&Row<'_>) -> io::Result<()>) -> io::Result<()> {
    let plan = &planned.plan;
    let marks = Marks::of(plan);
    for edit in &plan.operations {
        let group = edit.pair().map(|pair| plan.pair(pair).name.as_str());
        let kind = Kind::of(edit);
        let row = |member: Option<PersonIx>| Row {
            group,
            who: member
                .map(|member| address(planned.member(member)))
                .unwrap_or_default(),
            ..Row::of(kind)
        };
        match edit {
            Edit::CreateCustomField { label } => take(&Row {
                words: label,
                ..row(None)
            })?,
            Edit::CreateMembers { to_opt_out, .. } => {
                for member in edit.members() {
                    take(&Row {
                        words: if *to_opt_out { ONLY_TO_OPT_OUT } else { "" },
                        fields: told(&created(planned, *member)),
                        ..row(Some(*member))
                    })?;
                }
            }
            Edit::UpdateMember {
                member,
                fields,
                before,
            } => take(&Row {
                fields: told(&compared(edit, fields, before, &marks)),
                ..row(Some(*member))
            })?,
            Edit::ChangeAddress {
                member, from, to, ..
            } => take(&Row {
                fields: vec![Field {
                    name: "e-mail address",
                    before: Some(address(from).into_owned()),
                    after: address(to).into_owned(),
                    outside: marks.has_address(*member),
                }],
                ..row(Some(*member))
            })?,
            _ => {
                if let Some(change) = group_change(plan, edit, &marks) {
                    let note = change.note.unwrap_or_default();
                    // Below its new name a group is told with the one that it has.
                    let words = match group {
                        Some(group) if group != change.name => format!("“{}” {note}", change.name),
                        _ => note,
                    };
                    take(&Row {
                        words: &words,
                        fields: told(&change.fields),
                        ..row(None)
                    })?;
                    continue;
                }
                let words = match edit {
                    Edit::BringBack { .. } => "was taken out by rosterd, and is brought back",
                    Edit::SetOptOut { pair: None, .. } => "of the whole account",
                    _ => "",
                };
                for member in edit.members() {
                    let is_put_back = kind == Kind::Add
                        && edit
                            .pair()
                            .is_some_and(|pair| marks.has_membership(pair, *member));
                    take(&Row {
                        words: if is_put_back { PUT_BACK } else { words },
                        ..row(Some(*member))
                    })?;
                }
            }
        }
    }
    for item in changed_outside(planned) {
        let fields = item.field.map(|name| Field {
            name,
            before: Some(value(item.changed.now.as_ref(), true)),
            after: value(item.changed.wanted.as_ref(), true),
            outside: false,
        });
        let was = match item.field {
            Some(_) => value(item.changed.base.as_ref(), true),
            None => "a member".to_owned(),
        };
        take(&Row {
            who: item.member.map(address).unwrap_or_default(),
            group: item.group,
            words: &format!("was {was} after the last run; {}", item.fate()),
            fields: fields.into_iter().collect(),
            ..Row::of(Kind::Outside)
        })?;
    }
    for item in &plan.withheld {
        take(&Row {
            who: item
                .member
                .map(|member| address(planned.member(member)))
                .unwrap_or_default(),
            group: Some(&plan.pair(item.pair).name),
            reason: Some(item.reason.as_str()),
            words: if item.member.is_none() {
                "the group itself"
            } else {
                ""
            },
            ..Row::of(Kind::Withheld)
        })?;
    }
    if let Some(undoing) = &planned.undoing {
        undo::each_row(undoing, take)?;
    }
    for item in &plan.blocked {
        let id = item.item();
        let kind = if planned.accepted.contains(&id) {
            Kind::Accepted
        } else {
            Kind::Blocked
        };
        let place = item
            .id
            .as_ref()
            .map(|place| format!(" [id {place}]"))
            .unwrap_or_default();
        take(&Row {
            who: item.member.as_deref().map(address).unwrap_or_default(),
            group: item.group.as_deref(),
            reason: Some(item.reason.as_str()),
            words: &format!("{id}{place}: {}", item.detail),
            ..Row::of(kind)
        })?;
    }
    Ok(())
}

const PUT_BACK: &str = "somebody took them out at the target";
const ONLY_TO_OPT_OUT: &str = "only to hold an opt-out; joins no group and is never mailed";

struct Page<'a> {
    planned: &'a Planned,
    view: &'a PlanView<'a>,
    about: &'a PageAbout,
    tally: &'a Tally,
}

impl Page<'_> {
    fn head(&self, out: &mut dyn Write) -> io::Result<()> {
        let plan = &self.planned.plan;
        let refused = !plan.refusals.is_empty();
        let (kicker, title) = match &self.planned.undoing {
            None => (
                "review of a plan",
                format!("{}: {} → {}", plan.job, plan.source, plan.target),
            ),
            Some(undoing) => (
                "review of a plan that takes a run back",
                format!(
                    "{}: run {} taken back at {}",
                    plan.job, undoing.run, plan.target
                ),
            ),
        };
        writeln!(
            out,
            "<header><p class=\"kicker\">rosterd · {kicker}</p><h1>{}</h1>\n\
             <p class=\"lead{}\">{}</p>",
            Escaped(&title),
            if refused { " stop" } else { "" },
            Escaped(&anstream::adapter::strip_str(&last_line(self.planned)).to_string())
        )?;
        if self.planned.first_run {
            writeln!(
                out,
                "<p class=\"note\">Nothing is remembered of this job yet: this is its first run, or its state was lost.</p>"
            )?;
        }
        let not_undone = match &self.planned.undoing {
            None => false,
            Some(undoing) => {
                let said = in_short(undoing);
                writeln!(out, "<p class=\"note\">{}</p>", Escaped(&said))?;
                !undoing.left.is_empty()
            }
        };
        writeln!(out, "<dl>")?;
        self.about.write(out)?;
        writeln!(
            out,
            "<dt>Fingerprint</dt><dd><code>{}</code></dd></dl>\n<nav class=\"tools\" aria-label=\"Parts of this page\">",
            Escaped(&plan.fingerprint)
        )?;
        let parts = [
            ("refused", "Refused", refused),
            ("warnings", "Warnings", !plan.warnings.is_empty()),
            ("opt-outs", "Opt-outs", !self.view.opt_outs.is_empty()),
            ("groups", "Groups", !self.tally.groups.is_empty()),
            ("new-people", "New people", !self.view.kinds.is_empty()),
            ("profiles", "Profiles", !self.view.profiles.is_empty()),
            (
                "outside",
                "Changed outside",
                !plan.changed_outside.is_empty(),
            ),
            ("withheld", "Withheld", !plan.withheld.is_empty()),
            ("not-undone", "Not undone", not_undone),
            ("blocked", "Blocked", !plan.blocked.is_empty()),
            ("losses", "Losses", !plan.losses.is_empty()),
            ("items", "Every item", self.tally.all > 0),
            ("apply", "How to apply it", true),
        ];
        for (id, title, _) in parts.iter().filter(|(.., is_there)| *is_there) {
            write!(out, "<a href=\"#{id}\">{title}</a> ")?;
        }
        writeln!(out, "</nav></header>")
    }

    fn refusals(&self, out: &mut dyn Write) -> io::Result<()> {
        let plan = &self.planned.plan;
        if plan.refusals.is_empty() {
            return Ok(());
        }
        writeln!(
            out,
            "<section id=\"refused\" class=\"box gone\"><h2>Refused: nothing is written until a person approves</h2>"
        )?;
        if let Some(waiting) = opt_outs_wait(plan.waiting_opt_outs) {
            writeln!(
                out,
                "<p><strong>{waiting} behind this refusal.</strong></p>"
            )?;
        }
        writeln!(out, "<ul>")?;
        for alike in by_guard(&plan.refusals) {
            let (value, of) = sums(&alike);
            let [first, rest @ ..] = alike.as_slice() else {
                continue;
            };
            let figures = |out: &mut dyn Write, value, of| {
                writeln!(
                    out,
                    " <small>value {} of {}, limit {}, key <code>{}</code></small>",
                    grouped(value),
                    grouped(of),
                    Escaped(&first.limit),
                    Escaped(&first.key)
                )
            };
            write!(out, "<li><strong>{}</strong>: ", first.guard)?;
            if rest.is_empty() {
                write!(out, "{}", Whole(&first.explanation))?;
                figures(out, value, of)?;
            } else {
                let groups = grouped(alike.len() as u64);
                write!(
                    out,
                    "{groups} groups exceed the limit of {} each",
                    Escaped(&first.limit)
                )?;
                figures(out, value, of)?;
                writeln!(out, "<details><summary>all {groups}</summary><ul>")?;
                for refusal in &alike {
                    writeln!(out, "<li>{}</li>", Whole(&refusal.explanation))?;
                }
                writeln!(out, "</ul></details>")?;
            }
            writeln!(out, "</li>")?;
        }
        writeln!(
            out,
            "</ul><p>To let these operations and no others of their kind pass, once and within seven days:</p>\n\
             <pre>{}{}</pre></section>",
            match (&self.planned.undoing, &self.about.saved) {
                (None, _) => format!("{Program} sync {}", Escaped(&plan.job)),
                (Some(_), Some(_)) => self.apply(),
                // Only a file can be applied.
                (Some(_), None) =>
                    format!("{} --out {}\n{}", self.command(), self.file(), self.apply()),
            },
            self.approval()
        )
    }

    fn warnings(&self, out: &mut dyn Write) -> io::Result<()> {
        let warnings = &self.planned.plan.warnings;
        if warnings.is_empty() {
            return Ok(());
        }
        writeln!(
            out,
            "<section id=\"warnings\" class=\"box change\"><h2>Warnings</h2><ul>"
        )?;
        for warning in warnings {
            writeln!(out, "<li>{}</li>", Whole(warning))?;
        }
        writeln!(out, "</ul></section>")
    }

    fn opt_outs(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.view.opt_outs.is_empty() {
            return Ok(());
        }
        let total = self.tally.of(Kind::OptOut);
        writeln!(
            out,
            "<section id=\"opt-outs\" class=\"box optout\"><h2>Opt-outs <small>{}, carried before anything else</small></h2><ul>",
            grouped(total)
        )?;
        for opt_outs in &self.view.opt_outs {
            let scope = opt_outs.group.map_or_else(
                || "the whole account".to_owned(),
                |group| format!("“{}”", Short(group)),
            );
            writeln!(
                out,
                "<li><strong>{} out of {scope}</strong>: {}</li>",
                count(opt_outs.members.len() as u64, "person", "people"),
                self.names(&opt_outs.members)
            )?;
        }
        writeln!(out, "</ul>")?;
        let holders = &self.view.holders;
        if !holders.is_empty() {
            writeln!(
                out,
                "<p>Created only to hold an opt-out, in no group and never mailed: <strong>{}</strong>: {}</p>",
                count(holders.len() as u64, "person", "people"),
                self.names(holders)
            )?;
        }
        list(out, Kind::OptOut, total)?;
        writeln!(out, "</section>")
    }

    fn new_fields(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.view.new_fields.is_empty() {
            return Ok(());
        }
        writeln!(
            out,
            "<section><h2>Custom fields to create <small>{}</small></h2><ul>",
            grouped(self.view.new_fields.len() as u64)
        )?;
        for label in &self.view.new_fields {
            writeln!(out, "<li class=\"add\">+ {}</li>", Whole(label))?;
        }
        writeln!(out, "</ul></section>")
    }

    /// Writes what new people are created with: one person of each kind; the list has everybody.
    fn new_people(&self, out: &mut dyn Write) -> io::Result<()> {
        let kinds = &self.view.kinds;
        if kinds.is_empty() {
            return Ok(());
        }
        let total = self.tally.of(Kind::CreatePerson);
        writeln!(
            out,
            "<section id=\"new-people\"><h2>New people <small>{}, {}</small></h2>",
            count(total, "person", "people"),
            match kinds.len() {
                1 => "all with the same fields".to_owned(),
                kinds => format!(
                    "{} by the fields that are written",
                    count(kinds as u64, "kind", "kinds")
                ),
            }
        )?;
        writeln!(out, "<div class=\"samples\">")?;
        for kind in kinds.iter().take(SHOWN) {
            let Some(sample) = kind.members.first() else {
                continue;
            };
            let mut table = String::new();
            fields(&mut table, &told(&created(self.planned, *sample))).map_err(io::Error::other)?;
            writeln!(
                out,
                "<div class=\"sample\"><p class=\"add\">+ <b>{}</b> {} with {}, for example {}</p>{table}</div>",
                grouped(kind.members.len() as u64),
                if kind.members.len() == 1 {
                    "person"
                } else {
                    "people"
                },
                count(kind.fields.len() as u64, "field", "fields"),
                Short(&address(self.planned.member(*sample)))
            )?;
        }
        writeln!(out, "</div>")?;
        if let Some(left) = kinds.get(SHOWN..).filter(|left| !left.is_empty()) {
            let people: usize = left.iter().map(|kind| kind.members.len()).sum();
            writeln!(
                out,
                "<p>… and {} of {} more</p>",
                count(people as u64, "person", "people"),
                count(left.len() as u64, "kind", "kinds")
            )?;
        }
        list(out, Kind::CreatePerson, total)?;
        writeln!(out, "</section>")
    }

    fn profiles(&self, out: &mut dyn Write) -> io::Result<()> {
        let all = &self.view.profiles;
        if all.is_empty() {
            return Ok(());
        }
        let total = self.tally.of(Kind::ChangePerson);
        writeln!(
            out,
            "<section id=\"profiles\"><h2>Profiles <small>{} of {}</small></h2>",
            count(total, "change", "changes"),
            count(all.len() as u64, "person", "people")
        )?;
        writeln!(out, "<div class=\"samples\">")?;
        for change in all.iter().take(SHOWN) {
            let who = match change.address {
                Some((from, to)) => {
                    let mark = if change.moved_outside { OUTSIDE } else { "" };
                    format!("{} → {}{mark}", Short(&address(from)), Short(&address(to)))
                }
                None => Short(&address(self.planned.member(change.member))).to_string(),
            };
            let mut table = String::new();
            fields(&mut table, &told(&change.fields)).map_err(io::Error::other)?;
            writeln!(
                out,
                "<div class=\"sample\"><p class=\"change\">~ {who}</p>{table}</div>"
            )?;
        }
        writeln!(out, "</div>")?;
        if all.len() > SHOWN {
            writeln!(
                out,
                "<p>… and {} more</p>",
                count((all.len() - SHOWN) as u64, "person", "people")
            )?;
        }
        list(out, Kind::ChangePerson, total)?;
        writeln!(out, "</section>")
    }

    /// Writes what somebody changed at the target since the last run.
    fn changed_outside(&self, out: &mut dyn Write) -> io::Result<()> {
        let total = self.tally.of(Kind::Outside);
        if total == 0 {
            return Ok(());
        }
        writeln!(
            out,
            "<section id=\"outside\"><h2>Changed outside <small>{}, at {} since the last run</small></h2>\n\
             <div class=\"wide\"><table><thead><tr><th scope=\"col\">What</th><th scope=\"col\">After the last run</th>\
             <th scope=\"col\">Now</th><th scope=\"col\">Wanted</th><th scope=\"col\">What becomes of it</th></tr></thead><tbody>",
            count(total, "value", "values"),
            Escaped(&self.planned.plan.target)
        )?;
        for item in changed_outside(self.planned).take(SHOWN) {
            let member = item
                .member
                .map(|member| Short(&address(member)).to_string());
            let group = item.group.map(|group| format!("“{}”", Short(group)));
            let whose = member.iter().chain(&group).map(String::as_str);
            let whose = whose.collect::<Vec<_>>().join(" in ");
            let held = |held: &Option<crate::model::Value>, membership: &str| match item.field {
                Some(_) => Whole(&value(held.as_ref(), true)).to_string(),
                None => membership.to_owned(),
            };
            writeln!(
                out,
                "<tr><td>{} {whose}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"change\">{}</td></tr>",
                item.field
                    .map(|field| format!("<code>{}</code> of", Escaped(field)))
                    .unwrap_or_default(),
                held(&item.changed.base, "a member"),
                held(&item.changed.now, "taken out"),
                held(&item.changed.wanted, "a member"),
                item.fate()
            )?;
        }
        writeln!(out, "</tbody></table></div>")?;
        if total > SHOWN as u64 {
            writeln!(out, "<p>… and {} more</p>", grouped(total - SHOWN as u64))?;
        }
        list(out, Kind::Outside, total)?;
        writeln!(out, "</section>")
    }

    fn withheld(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.view.withheld.is_empty() {
            return Ok(());
        }
        writeln!(
            out,
            "<section id=\"withheld\"><h2>Withheld <small>{}, on purpose; nobody needs to act</small></h2>\n\
             <table><thead><tr><th scope=\"col\">Reason</th><th scope=\"col\" class=\"number\">Items</th>\
             <th scope=\"col\">Why</th></tr></thead><tbody>",
            count(self.tally.of(Kind::Withheld), "item", "items")
        )?;
        for (reason, items) in &self.view.withheld {
            self.withheld_for(out, *reason, items.len() as u64)?;
        }
        writeln!(out, "</tbody></table></section>")
    }

    fn withheld_for(&self, out: &mut dyn Write, reason: Reason, number: u64) -> io::Result<()> {
        let pick = Pick {
            reason: self.tally.number(reason.as_str()),
            ..Pick::of(Kind::Withheld)
        };
        writeln!(
            out,
            "<tr><td>{}</td><td class=\"number\">{}</td><td>{}</td></tr>",
            pick.link(reason.as_str()),
            grouped(number),
            explain(reason)
        )
    }

    fn blocked(&self, out: &mut dyn Write) -> io::Result<()> {
        let is_known = |item: &&Blocked| self.planned.accepted.contains(&item.item());
        for (kind, id, title, note) in [
            (Kind::Blocked, "blocked", "Blocked", "waiting for a person"),
            (
                Kind::Accepted,
                "accepted",
                "Accepted",
                "blocked, and known to a person",
            ),
        ] {
            let number = self.tally.of(kind);
            if number == 0 {
                continue;
            }
            writeln!(
                out,
                "<section id=\"{id}\"><h2>{title} <small>{}, {note}</small></h2>",
                count(number, "item", "items")
            )?;
            for (reason, items) in &self.view.blocked {
                let some: Vec<&Blocked> = items
                    .iter()
                    .copied()
                    .filter(|item| is_known(item) == (kind == Kind::Accepted))
                    .collect();
                if some.is_empty() {
                    continue;
                }
                let pick = Pick {
                    reason: self.tally.number(reason.as_str()),
                    ..Pick::of(kind)
                };
                writeln!(
                    out,
                    "<h3>{} <small>{}</small></h3><p>To settle it: {}.</p><ul>",
                    pick.link(reason.as_str()),
                    grouped(some.len() as u64),
                    Escaped(&remedy_of(*reason, &self.planned.plan.job))
                )?;
                for item in some.iter().take(SHOWN) {
                    writeln!(
                        out,
                        "<li><code>{}</code> {}: {}</li>",
                        item.item(),
                        Short(&named(item)),
                        Whole(&item.detail)
                    )?;
                }
                writeln!(out, "</ul>")?;
                if some.len() > SHOWN {
                    writeln!(
                        out,
                        "<p>… and {} more</p>",
                        grouped((some.len() - SHOWN) as u64)
                    )?;
                }
            }
            writeln!(out, "</section>")?;
        }
        Ok(())
    }

    fn losses(&self, out: &mut dyn Write) -> io::Result<()> {
        let losses = &self.planned.plan.losses;
        if losses.is_empty() {
            return Ok(());
        }
        writeln!(
            out,
            "<section id=\"losses\"><h2>Losses <small>what the target can't hold; where possible rosterd remembers it</small></h2>\n\
             <div class=\"wide\"><table><thead><tr><th scope=\"col\">Field</th><th scope=\"col\" class=\"number\">Values</th>\
             <th scope=\"col\">For example</th><th scope=\"col\">Why</th></tr></thead><tbody>"
        )?;
        for (at, loss) in losses.iter().enumerate() {
            let examples: Vec<String> = loss
                .examples
                .iter()
                .map(|example| format!("<li>{}</li>", Whole(example)))
                .collect();
            writeln!(
                out,
                "<tr><td>{} <small>of a {}{}</small></td><td class=\"number\">{}</td><td><ul>{}</ul></td><td>{}</td></tr>",
                Escaped(&loss.field),
                loss.object,
                loss.known_since
                    .map(|since| format!("; known since {}", since.strftime("%Y-%m-%d")))
                    .unwrap_or_default(),
                grouped(loss.count),
                examples.concat(),
                Escaped(&loss.reason)
            )?;
            if let Some(remedy) = remedy_after(losses, at) {
                writeln!(
                    out,
                    "<tr class=\"remedy\"><td></td><td></td><td colspan=\"2\">To keep it: <code>{}</code></td></tr>",
                    Escaped(remedy)
                )?;
            }
        }
        writeln!(out, "</tbody></table></div></section>")
    }

    /// Says how the single items are got without the script.
    fn elsewhere(&self) -> String {
        let command = self.command();
        format!(
            "<code>{command} -v</code> prints them as text, and \
             <code>{command} --format json</code> for programs."
        )
    }

    /// Returns the command that makes the plan, as markup.
    fn command(&self) -> String {
        match &self.planned.undoing {
            None => format!("{Program} plan {}", Escaped(&self.planned.plan.job)),
            Some(undoing) => format!("{Program} undo {}", Escaped(&undoing.run)),
        }
    }

    /// Returns the command that applies the plan from its file, as markup.
    fn apply(&self) -> String {
        format!("{Program} apply {}", Escaped(&in_shell(self.file())))
    }

    /// Returns the approval of a refused plan, as it follows a command.
    fn approval(&self) -> String {
        let first = self.planned.plan.refusals.first();
        first.map_or_else(String::new, |refusal| {
            format!(" --approve {}", Escaped(&refusal.approval))
        })
    }

    /// Returns the file in which the plan is, or may be saved.
    fn file(&self) -> &str {
        let saved = self.about.saved.as_deref();
        saved.unwrap_or(match self.planned.undoing {
            None => "plan.json",
            Some(_) => "undo.json",
        })
    }

    /// Says what applying costs, and how exactly this plan is applied.
    fn next(&self, out: &mut dyn Write) -> io::Result<()> {
        let plan = &self.planned.plan;
        let job = Escaped(&plan.job).to_string();
        writeln!(
            out,
            "<section id=\"apply\"><h2>How to apply exactly this</h2>"
        )?;
        if plan.is_empty() {
            return writeln!(
                out,
                "<p>Nothing is to be done, and so there is nothing to apply.</p></section>"
            );
        }
        writeln!(
            out,
            "<p>{}</p>",
            Escaped(&cost_sentence(&self.planned.cost))
        )?;
        let (apply, approval) = (self.apply(), self.approval());
        match &self.about.saved {
            Some(_) => writeln!(
                out,
                "<p>The plan on this page was saved. This applies it, once:</p>\n<pre>{apply}{approval}</pre>"
            )?,
            None => writeln!(
                out,
                "<p>The plan on this page was not saved. This saves it, and makes this page anew of the same reading; \
                 as long as the fingerprint is <code>{}</code>, it is the same plan:</p>\n\
                 <pre>{command} --out {file} --format html &gt; {page}\n{apply}{approval}</pre>",
                Escaped(&plan.fingerprint),
                command = self.command(),
                file = self.file(),
                page = self.file().replace(".json", ".html"),
            )?,
        }
        if self.planned.undoing.is_some() {
            return writeln!(
                out,
                "<p>Applying reads again everything that the plan touches; where anything differs, nothing is written. \
                 It pauses {job}, because the source still asks for what is undone: change it there, then \
                 <code>{Program} resume {job}</code>.</p></section>"
            );
        }
        writeln!(
            out,
            "<p>Applying reads again everything that the plan touches; where anything differs, nothing is written. \
             <code>{Program} sync {job}</code> plans anew instead, and applies that.</p></section>"
        )
    }

    /// Names the first of some people, and says how many more there are.
    fn names(&self, members: &[PersonIx]) -> String {
        let names: Vec<String> = members
            .iter()
            .take(SHOWN)
            .map(|member| Short(&address(self.planned.member(*member))).to_string())
            .collect();
        let left = members.len() - names.len();
        let more = match left {
            0 => String::new(),
            left => format!(" … and {} more", grouped(left as u64)),
        };
        format!("{}{more}", names.join(", "))
    }
}

/// Leads to all items of a kind.
fn list(out: &mut dyn Write, kind: Kind, number: u64) -> io::Result<()> {
    let link = Pick::of(kind).link(&format!("list {}", parts::all_of(number)));
    writeln!(out, "<p class=\"tools\">{link}</p>")
}

/// Makes of changes what a page shows of them.
fn told<'a>(changes: &[FieldChange<'a>]) -> Vec<Field<'a>> {
    changes
        .iter()
        .map(|change| Field {
            name: change.field,
            before: change.compares.then(|| value(change.before, true)),
            after: value(change.after, true),
            outside: change.outside,
        })
        .collect()
}
