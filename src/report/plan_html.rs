//! A plan as one HTML page that can be mailed around: no script, no picture, nothing from
//! elsewhere.

use std::fmt;
use std::io::{self, Write};

use super::plan_text::{cost_sentence, last_line};
use super::sections::named;
use super::view::{FieldChange, GroupVerb, PlanView};
use super::words::{address, count, explain, grouped, harmless, opt_outs_wait, value};
use crate::plan::{PersonIx, Withheld};
use crate::run::Planned;

const STYLE: &str = "\
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}\
h1{font-size:1.5rem;margin-bottom:0}h2{font-size:1.1rem;margin:1.6rem 0 .4rem;border-bottom:1px solid #ccc}\
table{border-collapse:collapse;width:100%}td,th{padding:.2rem .6rem .2rem 0;text-align:left;vertical-align:top}\
code{font:13px ui-monospace,monospace;background:#f3f3f3;padding:0 .25rem;overflow-wrap:anywhere}\
ul{margin:.2rem 0 .4rem 1.2rem;padding:0}li{overflow-wrap:anywhere}\
.add{color:#176d2c}.change{color:#8a5a00}.keep{color:#0b6070}.gone{color:#a51d1d}\
.optout{border-left:.4rem solid #8a2090;padding:.1rem .8rem}.stop{border:2px solid #a51d1d;padding:.1rem .8rem}\
.aside{color:#666}summary{cursor:pointer}";

/// Lists longer than this are folded.
const FOLDED_FROM: usize = 10;

/// Writes a plan as a page.
///
/// # Errors
/// What writing to `out` says.
pub fn write_plan_html(out: &mut dyn Write, planned: &Planned) -> io::Result<()> {
    let view = PlanView::new(planned);
    let page = Page {
        planned,
        view: &view,
    };
    let plan = &planned.plan;
    let title = format!("Plan for {}", plan.job);
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title>",
        Escaped(&title)
    )?;
    writeln!(
        out,
        "<meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body>"
    )?;
    writeln!(out, "<h1>{}</h1>", Escaped(&title))?;
    writeln!(
        out,
        "<p>{} → {}</p>",
        Escaped(&plan.source),
        Escaped(&plan.target)
    )?;
    writeln!(
        out,
        "<p><strong>{}</strong></p>",
        Escaped(&anstream::adapter::strip_str(&last_line(planned)).to_string())
    )?;
    if planned.first_run {
        writeln!(
            out,
            "<p>Nothing is remembered of this job yet: this is its first run, or its state was lost.</p>"
        )?;
    }
    page.refusals(out)?;
    page.opt_outs(out)?;
    page.groups(out)?;
    page.memberships(out)?;
    page.profiles(out)?;
    page.withheld(out)?;
    page.blocked(out)?;
    page.rest(out)?;
    writeln!(
        out,
        "<p class=\"aside\">Fingerprint <code>{}</code></p>\n</body></html>",
        Escaped(&plan.fingerprint)
    )
}

/// A text that can stand anywhere in a page.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in harmless(self.0).chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => write!(f, "{other}")?,
            }
        }
        Ok(())
    }
}

struct Page<'a> {
    planned: &'a Planned,
    view: &'a PlanView<'a>,
}

impl Page<'_> {
    fn refusals(&self, out: &mut dyn Write) -> io::Result<()> {
        let plan = &self.planned.plan;
        let Some(first) = plan.refusals.first() else {
            return Ok(());
        };
        writeln!(
            out,
            "<section class=\"stop\"><h2>Refused: nothing is written until a person approves</h2>"
        )?;
        if let Some(waiting) = opt_outs_wait(plan.waiting_opt_outs) {
            writeln!(
                out,
                "<p><strong>{waiting} behind this refusal.</strong></p>"
            )?;
        }
        writeln!(out, "<ul>")?;
        for refusal in &plan.refusals {
            writeln!(
                out,
                "<li>{}: {} <span class=\"aside\">(value {} of {}, limit {}, key <code>{}</code>)</span></li>",
                refusal.guard,
                Escaped(&refusal.explanation),
                grouped(refusal.value),
                grouped(refusal.of),
                Escaped(&refusal.limit),
                Escaped(&refusal.key)
            )?;
        }
        writeln!(
            out,
            "</ul><p>To let these operations pass, once and within seven days: <code>rosterd sync {} --approve {}</code></p></section>",
            Escaped(&plan.job),
            Escaped(&first.approval)
        )
    }

    fn opt_outs(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.view.opt_outs.is_empty() {
            return Ok(());
        }
        writeln!(
            out,
            "<section class=\"optout\"><h2>Opt-outs, carried before anything else</h2>"
        )?;
        for opt_outs in &self.view.opt_outs {
            let scope = opt_outs.group.map_or_else(
                || "the whole account".to_owned(),
                |group| format!("\"{group}\""),
            );
            let title = format!(
                "{} out of {scope}",
                count(opt_outs.members.len() as u64, "person", "people")
            );
            self.people(out, &title, "", &opt_outs.members)?;
        }
        self.people(
            out,
            "Created only to hold an opt-out",
            "",
            &self.view.holders,
        )?;
        writeln!(out, "</section>")
    }

    fn groups(&self, out: &mut dyn Write) -> io::Result<()> {
        if !self.view.new_fields.is_empty() {
            writeln!(out, "<h2>Custom fields to create</h2><ul>")?;
            self.view.new_fields.iter().try_for_each(|label| {
                writeln!(out, "<li class=\"add\">+ {}</li>", Escaped(label))
            })?;
            writeln!(out, "</ul>")?;
        }
        if self.view.groups.is_empty() {
            return Ok(());
        }
        writeln!(out, "<h2>Groups</h2><table>")?;
        for change in &self.view.groups {
            let class = match change.verb {
                GroupVerb::Create => "add",
                GroupVerb::Change => "change",
                GroupVerb::Adopt => "keep",
                GroupVerb::Archive | GroupVerb::Delete => "gone",
            };
            write!(
                out,
                "<tr><td class=\"{class}\">{} {}</td>",
                change.verb.sign(),
                change.verb.word()
            )?;
            write!(
                out,
                "<td>{}</td><td>{}",
                Escaped(change.name),
                Escaped(change.note.as_deref().unwrap_or_default())
            )?;
            fields(out, &change.fields)?;
            writeln!(out, "</td></tr>")?;
        }
        writeln!(out, "</table>")
    }

    fn memberships(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.view.memberships.is_empty() {
            return Ok(());
        }
        writeln!(out, "<h2>Members</h2>")?;
        let newcomers = self.view.created.len() - self.view.holders.len();
        if newcomers > 0 {
            writeln!(
                out,
                "<p>{} created at the target, marked with *.</p>",
                count(newcomers as u64, "person is", "people are")
            )?;
        }
        for change in &self.view.memberships {
            writeln!(out, "<h3>{}</h3>", Escaped(change.name))?;
            self.people(
                out,
                &format!("+{} added", grouped(change.added.len() as u64)),
                "add",
                &change.added,
            )?;
            self.people(
                out,
                &format!("−{} removed", grouped(change.removed.len() as u64)),
                "gone",
                &change.removed,
            )?;
        }
        Ok(())
    }

    fn profiles(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.view.profiles.is_empty() {
            return Ok(());
        }
        writeln!(out, "<h2>Profiles</h2><table>")?;
        for change in &self.view.profiles {
            write!(out, "<tr><td class=\"change\">~</td><td>")?;
            match change.address {
                Some((from, to)) => write!(
                    out,
                    "{} → {}",
                    Escaped(&address(from)),
                    Escaped(&address(to))
                )?,
                None => write!(
                    out,
                    "{}",
                    Escaped(&address(self.planned.member(change.member)))
                )?,
            }
            write!(out, "</td><td>")?;
            fields(out, &change.fields)?;
            writeln!(out, "</td></tr>")?;
        }
        writeln!(out, "</table>")
    }

    fn withheld(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.view.withheld.is_empty() {
            return Ok(());
        }
        writeln!(out, "<h2>Withheld on purpose; nobody needs to act</h2>")?;
        for (reason, items) in &self.view.withheld {
            let title = format!(
                "{} {}: {}",
                grouped(items.len() as u64),
                reason.as_str(),
                explain(*reason)
            );
            let open = if items.len() < FOLDED_FROM {
                " open"
            } else {
                ""
            };
            writeln!(
                out,
                "<details{open}><summary>{}</summary><ul>",
                Escaped(&title)
            )?;
            for item in items {
                writeln!(out, "<li>{}</li>", Escaped(&self.withheld_name(item)))?;
            }
            writeln!(out, "</ul></details>")?;
        }
        Ok(())
    }

    fn withheld_name(&self, item: &Withheld) -> String {
        let group = &self.planned.plan.pair(item.pair).name;
        match item.member {
            Some(member) => format!("{} in \"{group}\"", address(self.planned.member(member))),
            None => format!("group \"{group}\""),
        }
    }

    fn blocked(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.view.blocked.is_empty() {
            return Ok(());
        }
        writeln!(out, "<h2>Blocked, waiting for a person</h2>")?;
        for (reason, items) in &self.view.blocked {
            writeln!(
                out,
                "<p class=\"gone\">{} {}; remedy: {}</p><ul>",
                items.len(),
                reason.as_str(),
                Escaped(reason.remedy())
            )?;
            for item in items {
                writeln!(
                    out,
                    "<li><code>{}</code>{} {}: {}</li>",
                    item.item(),
                    if self.planned.accepted.contains(&item.item()) {
                        " (accepted)"
                    } else {
                        ""
                    },
                    Escaped(&named(item)),
                    Escaped(&item.detail)
                )?;
            }
            writeln!(out, "</ul>")?;
        }
        Ok(())
    }

    fn rest(&self, out: &mut dyn Write) -> io::Result<()> {
        let plan = &self.planned.plan;
        if !plan.losses.is_empty() {
            writeln!(
                out,
                "<h2>Losses</h2><table><tr><th>field</th><th>values</th><th>example</th><th>why</th></tr>"
            )?;
            for loss in &plan.losses {
                writeln!(
                    out,
                    "<tr><td>{} ({})</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                    Escaped(&loss.field),
                    loss.object,
                    grouped(loss.count),
                    Escaped(loss.example()),
                    Escaped(&loss.reason)
                )?;
            }
            writeln!(out, "</table>")?;
        }
        if !plan.warnings.is_empty() {
            writeln!(out, "<h2>Warnings</h2><ul>")?;
            plan.warnings
                .iter()
                .try_for_each(|warning| writeln!(out, "<li>{}</li>", Escaped(warning)))?;
            writeln!(out, "</ul>")?;
        }
        if plan.is_empty() {
            return Ok(());
        }
        writeln!(
            out,
            "<p>{}</p>",
            Escaped(&cost_sentence(&self.planned.cost))
        )
    }

    fn people(
        &self,
        out: &mut dyn Write,
        title: &str,
        class: &str,
        members: &[PersonIx],
    ) -> io::Result<()> {
        if members.is_empty() {
            return Ok(());
        }
        let open = if members.len() < FOLDED_FROM {
            " open"
        } else {
            ""
        };
        writeln!(
            out,
            "<details{open}><summary class=\"{class}\">{}</summary><ul>",
            Escaped(title)
        )?;
        for member in members {
            let mark = if class == "add" && self.view.created.contains(member) {
                " *"
            } else {
                ""
            };
            writeln!(
                out,
                "<li>{}{mark}</li>",
                Escaped(&address(self.planned.member(*member)))
            )?;
        }
        writeln!(out, "</ul></details>")
    }
}

fn fields(out: &mut dyn Write, fields: &[FieldChange<'_>]) -> io::Result<()> {
    for change in fields {
        write!(out, "<div>{}: ", Escaped(change.field))?;
        if change.compares {
            write!(
                out,
                "<code>{}</code> → ",
                Escaped(&value(change.before, true))
            )?;
        }
        write!(
            out,
            "<code>{}</code></div>",
            Escaped(&value(change.after, true))
        )?;
    }
    Ok(())
}
