//! What a message says: figures, what happened, and what to do next. Pure.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::program::ROSTERD;
use crate::report::{harmless, in_shell, instant, opt_outs_wait};
use crate::state::{Delivery, Notice};

use super::decide::State;

/// A message, in the forms that the channels take.
#[derive(Clone, Debug, PartialEq)]
pub struct Letter {
    /// What it is known by, however often it comes.
    pub uid: String,
    /// The kind, as in `job.failing`.
    pub kind: String,
    /// When what it tells of happened.
    pub at: Timestamp,
    /// The job; nothing in a test.
    pub job: Option<String>,
    /// The run.
    pub run: Option<String>,
    /// How many opt-outs wait.
    pub opt_outs_wait: u64,
    /// One line.
    pub subject: String,
    /// The whole, for people.
    pub text: String,
    /// The whole, for programs.
    pub json: Value,
}

/// Names the kind of message that tells of a state.
pub fn kind(state: &State) -> String {
    format!("job.{}", state.as_str())
}

/// The kind of a test.
pub const TEST: &str = "test";

/// Writes what a delivery has to tell, from the machine of this name.
pub fn letter(delivery: &Delivery, host: &str) -> Letter {
    let notice = &delivery.notice;
    let figures = &notice.figures;
    let opt_outs = figures["opt_outs_wait"].as_u64().unwrap_or_default();
    let headline = headline(notice);
    let summary = match opt_outs_wait(opt_outs) {
        Some(waiting) => format!("{waiting}: {headline}"),
        None => headline,
    };
    let next = next_steps(notice);
    let kind = kind(&notice.state);
    let json = json!({
        "type": kind,
        "timestamp": notice.at.to_string(),
        "data": {
            "version": 1,
            "id": notice.uid,
            "host": host,
            "job": notice.job,
            "state": notice.state.as_str(),
            "was": notice.was.as_str(),
            "was_since": notice.since.to_string(),
            "run": notice.run,
            "outcome": figures["outcome"],
            "summary": summary,
            "opt_outs_wait": opt_outs,
            "open": figures["open"].as_u64().unwrap_or_default(),
            "changes": figures["changes"],
            "refusals": figures["refusals"].as_array().cloned().unwrap_or_default(),
            "approval": notice.state.approval(),
            "error": figures["error"],
            "missed": delivery.missed,
            "next": next.iter().map(|(_, command)| command.as_str()).collect::<Vec<_>>(),
        },
    });
    Letter {
        uid: notice.uid.clone(),
        kind,
        at: notice.at,
        job: Some(notice.job.clone()),
        run: notice.run.clone(),
        opt_outs_wait: opt_outs,
        subject: subject(&summary),
        text: text(delivery, host, opt_outs, &next),
        json,
    }
}

/// Writes a test.
pub fn test_letter(uid: &str, host: &str, at: Timestamp) -> Letter {
    let summary = "this is a test, and nothing has happened";
    Letter {
        uid: uid.to_owned(),
        kind: TEST.to_owned(),
        at,
        job: None,
        run: None,
        opt_outs_wait: 0,
        subject: subject(summary),
        text: format!(
            "This is a test of rosterd's notifications on {}, and nothing has happened.\n\n\
             Whoever reads this is told once when a job turns bad, and once when it is well again.\n\
             What each message means, and what to do: rosterd help alerts\n",
            harmless(host)
        ),
        json: json!({
            "type": TEST,
            "timestamp": at.to_string(),
            "data": {"version": 1, "id": uid, "host": host, "summary": summary},
        }),
    }
}

/// Makes one line that a mail server takes.
fn subject(summary: &str) -> String {
    format!("[rosterd] {}", harmless(summary))
}

/// Says in a few words what happened.
fn headline(notice: &Notice) -> String {
    let job = &notice.job;
    let open = notice.figures["open"].as_u64().unwrap_or_default();
    let again = match notice.was {
        State::Failing | State::Refused(_) => format!("{job} runs again, and "),
        State::Well | State::Items => format!("{job}: "),
    };
    match &notice.state {
        State::Well => format!("{job} is well again"),
        State::Items if open == 1 => format!("{again}1 item needs a person"),
        State::Items => format!("{again}{open} items need a person"),
        State::Refused(_) => format!("a guard refused the plan of {job}"),
        State::Failing => format!("{job} fails"),
    }
}

/// Returns what to do next, each with its command.
fn next_steps(notice: &Notice) -> Vec<(&'static str, String)> {
    let job = in_shell(&notice.job);
    let mut steps = Vec::new();
    match &notice.state {
        State::Well => {}
        State::Items => steps.extend([
            (
                "list them with their remedies",
                format!("{ROSTERD} failures {job}"),
            ),
            (
                "have one stay as it is",
                format!("{ROSTERD} accept {job} ITEM"),
            ),
        ]),
        State::Refused(approval) => steps.extend([
            ("look at the plan", format!("{ROSTERD} plan {job}")),
            (
                "let exactly that pass, within seven days",
                format!("{ROSTERD} sync {job} --approve {}", in_shell(approval)),
            ),
        ]),
        State::Failing => steps.push(("see how it fares", format!("{ROSTERD} status"))),
    }
    steps.extend(notice.run.iter().map(|run| {
        (
            "see what the run did",
            format!("{ROSTERD} show {}", in_shell(run)),
        )
    }));
    steps
}

fn text(delivery: &Delivery, host: &str, opt_outs: u64, next: &[(&str, String)]) -> String {
    let Delivery { notice, missed, .. } = delivery;
    let (job, host) = (harmless(&notice.job), harmless(host));
    let open = notice.figures["open"].as_u64().unwrap_or_default();
    let mut text = String::new();
    let mut say = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    if let Some(waiting) = opt_outs_wait(opt_outs) {
        say(&format!("{waiting}.\n"));
    }
    let since = time(notice.since);
    let was = match notice.was {
        State::Well => String::new(),
        State::Items => format!("; items needed a person since {since}"),
        State::Refused(_) => format!("; it was refused since {since}"),
        State::Failing => format!("; it failed since {since}"),
    };
    let items = if open == 1 {
        "1 item needs".to_owned()
    } else {
        format!("{open} items need")
    };
    say(&match &notice.state {
        State::Well => format!("The job {job} on {host} is well again{was}."),
        State::Items => format!(
            "The job {job} on {host} runs, and {items} a person{was}. No other message follows while items wait: accepting or mending all of them ends this."
        ),
        State::Refused(_) => format!(
            "A guard refused the plan of the job {job} on {host}, so nothing was written{was}. The job looks again at each fire, and goes on by itself once the cause is gone."
        ),
        State::Failing => format!(
            "The job {job} on {host} fails{was}. It is tried again by itself, further and further apart."
        ),
    });
    for refusal in notice.figures["refusals"].as_array().into_iter().flatten() {
        say(&format!("  {}", refusal_words(refusal)));
    }
    if let Some(error) = notice.figures["error"].as_str() {
        say(&format!("  {}", harmless(error)));
    }
    let changes = changes_words(&notice.figures["changes"]);
    if !changes.is_empty() {
        say(&format!("\nThe run changed: {changes}."));
    }
    if *missed > 0 {
        let from = delivery.missed_from.unwrap_or(notice.at);
        let (many, are) = if *missed == 1 {
            ("1 earlier message".to_owned(), "it is")
        } else {
            (format!("{missed} earlier messages"), "they are")
        };
        say(&format!(
            "\nSince {} {many} of this job could not be delivered; {are} left out, as this one says how things are now.",
            time(from)
        ));
    }
    if !next.is_empty() {
        say("\nWhat to do next:");
    }
    for (what, command) in next {
        say(&format!("  {what}:\n      {}", harmless(command)));
    }
    say(&format!(
        "\nAt {}{}. What each message means: rosterd help alerts",
        time(notice.at),
        notice
            .run
            .as_ref()
            .map(|run| format!(", run {}", harmless(run)))
            .unwrap_or_default()
    ));
    text
}

fn time(at: Timestamp) -> String {
    instant(at, &TimeZone::UTC)
}

/// Says by how much a plan went beyond a limit.
fn refusal_words(refusal: &Value) -> String {
    let plain = |key: &str| match &refusal[key] {
        Value::String(text) => harmless(text).into_owned(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let mut words = plain("guard");
    let (value, of, limit) = (plain("value"), plain("of"), plain("limit"));
    for (before, figure) in [(": ", value), (" of ", of), (", and the limit is ", limit)] {
        if !figure.is_empty() {
            words.push_str(before);
            words.push_str(&figure);
        }
    }
    words
}

/// Says in counts what a run changed.
fn changes_words(changes: &Value) -> String {
    const COUNTS: [(&str, &str, &str); 9] = [
        ("groups", "create", "groups created"),
        ("groups", "update", "groups updated"),
        ("groups", "archive", "groups archived"),
        ("groups", "delete", "groups deleted"),
        ("members", "create", "people created"),
        ("members", "update", "people updated"),
        ("memberships", "add", "memberships added"),
        ("memberships", "remove", "memberships removed"),
        ("opt_outs", "carry", "opt-outs carried"),
    ];
    let mut words = Vec::new();
    for (table, key, name) in COUNTS {
        let number = changes[table][key].as_u64().unwrap_or_default();
        if number > 0 {
            words.push(format!("{number} {name}"));
        }
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::testing::delivery;

    #[test]
    fn a_refusal_names_the_opt_outs_first_and_the_command_that_lets_it_pass() {
        let refused = State::Refused("4f2a".to_owned());
        let letter = letter(&delivery(refused, State::Well), "ops1");
        assert_eq!(
            letter.subject,
            "[rosterd] 10 opt-outs wait: a guard refused the plan of crm-to-mail"
        );
        insta::assert_snapshot!(letter.text, @"
        10 opt-outs wait.

        A guard refused the plan of the job crm-to-mail on ops1, so nothing was written. The job looks again at each fire, and goes on by itself once the cause is gone.
          max_opt_outs: 12 of 40, and the limit is 10%

        What to do next:
          look at the plan:
              rosterd plan crm-to-mail
          let exactly that pass, within seven days:
              rosterd sync crm-to-mail --approve 4f2a
          see what the run did:
              rosterd show 20261122T101500Z-abc123

        At 2026-11-22 10:15:04 UTC, run 20261122T101500Z-abc123. What each message means: rosterd help alerts
        ");
        let data = &letter.json["data"];
        assert_eq!(letter.json["type"], "job.refused");
        assert_eq!(
            (&data["opt_outs_wait"], &data["approval"]),
            (&json!(10), &json!("4f2a"))
        );
        assert_eq!(data["next"][1], "rosterd sync crm-to-mail --approve 4f2a");
    }

    #[test]
    fn a_failure_says_why_and_that_it_is_over_says_since_when_it_was_not() {
        let failing = letter(&delivery(State::Failing, State::Well), "ops1");
        assert_eq!(failing.subject, "[rosterd] crm-to-mail fails");
        insta::assert_snapshot!(failing.text, @"
        The job crm-to-mail on ops1 fails. It is tried again by itself, further and further apart.
          crm: the login was refused

        What to do next:
          see how it fares:
              rosterd status
          see what the run did:
              rosterd show 20261122T101500Z-abc123

        At 2026-11-22 10:15:04 UTC, run 20261122T101500Z-abc123. What each message means: rosterd help alerts
        ");
        let mut well = delivery(State::Well, State::Failing);
        (well.missed, well.missed_from) = (1, Some(well.notice.since));
        let well = letter(&well, "ops1");
        assert_eq!(well.subject, "[rosterd] crm-to-mail is well again");
        insta::assert_snapshot!(well.text, @"
        The job crm-to-mail on ops1 is well again; it failed since 2026-11-22 09:45:00 UTC.

        The run changed: 2 people created, 5 memberships added.

        Since 2026-11-22 09:45:00 UTC 1 earlier message of this job could not be delivered; it is left out, as this one says how things are now.

        What to do next:
          see what the run did:
              rosterd show 20261122T101500Z-abc123

        At 2026-11-22 10:15:04 UTC, run 20261122T101500Z-abc123. What each message means: rosterd help alerts
        ");
    }

    #[test]
    fn items_that_need_a_person_are_counted() {
        let items = letter(&delivery(State::Items, State::Failing), "ops1");
        assert_eq!(
            items.subject,
            "[rosterd] crm-to-mail runs again, and 3 items need a person"
        );
        insta::assert_snapshot!(items.text, @"
        The job crm-to-mail on ops1 runs, and 3 items need a person; it failed since 2026-11-22 09:45:00 UTC. No other message follows while items wait: accepting or mending all of them ends this.

        The run changed: 2 people created, 5 memberships added.

        What to do next:
          list them with their remedies:
              rosterd failures crm-to-mail
          have one stay as it is:
              rosterd accept crm-to-mail ITEM
          see what the run did:
              rosterd show 20261122T101500Z-abc123

        At 2026-11-22 10:15:04 UTC, run 20261122T101500Z-abc123. What each message means: rosterd help alerts
        ");
    }

    #[test]
    fn no_name_can_break_out_of_its_line() {
        let mut odd = delivery(State::Failing, State::Well);
        odd.notice.job = "a\r\nBcc: eve\u{1b}[2J".to_owned();
        let letter = letter(&odd, "host\nname");
        assert!(!letter.subject.contains(['\n', '\r', '\u{1b}']));
        assert!(!letter.text.contains('\u{1b}') && !letter.text.contains("\nBcc"));
    }

    #[test]
    fn every_kind_is_in_the_guide() {
        let chapter = crate::guide::chapter("alerts").unwrap().text;
        for state in State::ALL {
            let kind = kind(&state);
            assert!(chapter.contains(&format!("`{kind}`")), "{kind}");
        }
        assert!(chapter.contains("`test`"));
    }
}
