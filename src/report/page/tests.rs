//! The page of a plan, and what hostile accounts make of it.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::kind::Kind;
use super::*;
use crate::model::Value;
use crate::model::policy::OnDrift;
use crate::plan::{ChangedOutside, Edit, Outside, PairIx, PersonIx, Plan, Summary};
use crate::report::ItemFilter;
use crate::report::tests::{
    creating, empty_plan, full_plan, pair, planned, run_record, start, written,
};
use crate::run::Planned;
use crate::state::{FieldChange, RunItem, RunRecord};

fn about() -> PageAbout {
    PageAbout {
        made: start(),
        zone: TimeZone::UTC,
        config: "/etc/rosterd/rosterd.toml".to_owned(),
        source: Some(PageAccount {
            name: "crm".to_owned(),
            kind: "greenrope".to_owned(),
            host: "api.example.net".to_owned(),
            id: Some("45429".to_owned()),
        }),
        target: None,
        saved: None,
    }
}

fn page_of(planned: &Planned) -> String {
    written(|out| write_plan_html(out, planned, &about()))
}

/// What of a page a reader without the script sees.
fn shown(page: &str) -> String {
    let (before, rest) = page
        .split_once("<script type=\"application/json\"")
        .unwrap();
    let (_, after) = rest.split_once("</script>").unwrap();
    let (after, _) = after.split_once("<script>").unwrap();
    let (_, before) = before.split_once("</style>").unwrap();
    format!("{before}{after}")
}

/// The data of a page: its kinds, its names, and its rows.
struct Data {
    names: Vec<String>,
    rows: Vec<Vec<serde_json::Value>>,
}

fn data(page: &str) -> Data {
    let (_, rest) = page.split_once("id=\"data\">").unwrap();
    let (data, _) = rest.split_once("</script>").unwrap();
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    let mut read = Data {
        names: vec![String::new()],
        rows: Vec::new(),
    };
    for line in data["rows"].as_array().unwrap() {
        match line {
            serde_json::Value::String(name) => read.names.push(name.clone()),
            row => read.rows.push(row.as_array().unwrap().clone()),
        }
    }
    read
}

impl Data {
    fn of(&self, kind: Kind) -> Vec<&Vec<serde_json::Value>> {
        let place = kind.place();
        self.rows.iter().filter(|row| row[0] == place).collect()
    }

    fn name(&self, number: &serde_json::Value) -> &str {
        &self.names[number.as_u64().unwrap() as usize]
    }
}

/// The content of the only element of a name.
fn only<'a>(page: &'a str, element: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("<{element}>")).unwrap();
    let (content, rest) = rest.split_once(&format!("</{element}>")).unwrap();
    assert!(!rest.contains(&format!("<{element}>")), "{element}");
    content
}

#[test]
fn a_page_allows_its_own_style_and_script_and_nothing_else() {
    let page = page_of(&full_plan());
    assert!(page.starts_with("<!DOCTYPE html>"));
    let hash = |text: &str| {
        let print = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        BASE64_STANDARD.encode(print)
    };
    let policy = format!(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{}'; \
         script-src 'sha256-{}'; base-uri 'none'; form-action 'none'\">",
        hash(only(&page, "style")),
        hash(only(&page, "script"))
    );
    let place = page
        .find(&policy)
        .expect("the prints are those of the page");
    assert!(place < page.find("<style>").unwrap(), "it comes first");
    assert_eq!(
        page.matches("<script").count(),
        2,
        "the data and the script"
    );
    for tag in [
        "name=\"referrer\" content=\"no-referrer\"",
        "content=\"noindex, nofollow\"",
    ] {
        assert!(page.contains(tag), "{tag}");
    }
    for forbidden in [
        "http:",
        "https:",
        "src=",
        "style=",
        "url(",
        "@import",
        "innerHTML",
        "eval(",
        "<link",
    ] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    let tags = page.split('<').filter_map(|piece| piece.split_once('>'));
    for (tag, _) in tags.filter(|(tag, _)| !tag.starts_with(['/', '!'])) {
        assert!(!tag.contains(" on"), "a handler in <{tag}>");
    }
}

#[test]
fn a_page_tells_all_of_a_plan_also_without_its_script() {
    let page = page_of(&full_plan());
    let shown = shown(&page);
    for told in [
        "crm-to-mail",
        "2026-03-01 06:00:00 UTC",
        "greenrope at api.example.net, account 45429",
        "/etc/rosterd/rosterd.toml",
        "f1e2",
        "3 opt-outs wait behind this refusal",
        "rosterd sync crm-to-mail --approve 0123456789ab",
        "rosterd apply plan.json --approve 0123456789ab",
        "The group &quot;Donors&quot; mails everyone who joins it.",
        "1 person out of “Staff”",
        "Shoe size",
        "“Board” is renamed to &quot;Trustees&quot;, by way of",
        "<del>&quot;old&quot;</del> → <ins>&quot;new&quot;</ins>",
        "Friends &lt;&amp;&gt;",
        "Former \\u{202e}members",
        "<ins>&quot;Ana&quot;</ins>",
        "bo@old.example.org → bo@example.org",
        "they refuse mail at the target",
        "579a0303",
        "correct the person&#39;s e-mail address at the source",
        "ops@example.org",
        "emfluence groups have no such field",
        "6 requests to mail",
        "The 19 items can't be shown one by one here",
        "rosterd plan crm-to-mail --format json",
    ] {
        assert!(shown.contains(told), "{told} in {shown}");
    }
    let opened = [
        "table", "ul", "section", "details", "p", "svg", "form", "select", "a", "span",
    ];
    for element in opened {
        let count = |tag: &str| page.matches(tag).count();
        assert_eq!(
            count(&format!("<{element} ")) + count(&format!("<{element}>")),
            count(&format!("</{element}>")),
            "{element}"
        );
    }
}

#[test]
fn the_figures_are_the_rows_of_the_list_and_the_counts_of_the_plan() {
    let planned = full_plan();
    let page = page_of(&planned);
    let data = data(&page);
    let Summary {
        groups_created,
        groups_updated,
        groups_adopted,
        groups_archived,
        groups_deleted,
        members_created,
        members_updated,
        memberships_added,
        memberships_removed,
        opt_outs,
    } = planned.plan.summary;
    let counts = [
        (Kind::CreateGroup, groups_created),
        (Kind::ChangeGroup, groups_updated),
        (Kind::AdoptGroup, groups_adopted),
        (Kind::ArchiveGroup, groups_archived),
        (Kind::DeleteGroup, groups_deleted),
        (Kind::CreatePerson, members_created),
        (Kind::ChangePerson, members_updated),
        (Kind::Add, memberships_added),
        (Kind::Remove, memberships_removed),
        (Kind::OptOut, opt_outs),
        (Kind::CreateField, 1),
        (Kind::Withheld, 3),
        (Kind::Blocked, 1),
    ];
    for (kind, number) in counts {
        assert_eq!(data.of(kind).len() as u64, number, "{kind:?}");
        let figure = format!(
            "<b>{number}</b> <a class=\"pick\" href=\"#items\" data-kind=\"{}\"",
            kind.place()
        );
        assert_eq!(page.contains(&figure), number > 0, "{figure}");
    }
    let all: u64 = counts.iter().map(|(_, number)| number).sum();
    assert_eq!(data.rows.len() as u64, all, "nothing else is in the list");
    assert!(page.contains(&format!("<h2>Every item <small>{all} items</small>")));
}

#[test]
fn everybody_who_is_new_is_in_the_list_with_each_field() {
    let page = page_of(&creating(&[1, 2, 3]));
    let data = data(&page);
    let rows = data.of(Kind::CreatePerson);
    for (at, row) in rows.iter().enumerate() {
        assert_eq!(row[1], format!("p00{at}@example.org"));
        let fields = row[6].as_array().unwrap();
        assert_eq!(fields.len(), 3 * (at + 1));
        assert_eq!(data.name(&fields[0]), "field00");
        assert_eq!(fields[1], 0, "nothing was there before");
        assert_eq!(
            fields[2], "\"\\u{1b}[2Jx\"",
            "its escape is shown and not sent"
        );
    }
    assert_eq!(rows.len(), 3);
}

#[test]
fn an_item_that_is_accepted_is_told_apart_and_counted_apart() {
    let mut planned = full_plan();
    planned.accepted = planned
        .plan
        .blocked
        .iter()
        .map(crate::plan::Blocked::item)
        .collect();
    let page = page_of(&planned);
    let data = data(&page);
    assert_eq!(
        (data.of(Kind::Blocked).len(), data.of(Kind::Accepted).len()),
        (0, 1)
    );
    assert!(
        page.contains("<section id=\"accepted\">") && !page.contains("<section id=\"blocked\">")
    );
}

#[test]
fn names_that_would_break_out_of_a_page_are_harmless() {
    let names = [
        "</script><script>alert(1)</script>",
        "</style></title><img src=x onerror=alert(1)>",
        "<!-- <script> --",
        "\" onmouseover=\"alert(1)\" x='",
        "]]></svg><a href=\"javascript:alert(1)\">",
        "a\u{202e}b\u{2028}c\u{1b}]0;d\u{7}",
        "&lt;b&gt; &amp;",
        "\\u003c/script\\u003e \\",
    ];
    let long = format!("<b>{}", "x".repeat(10_000));
    for name in names.into_iter().chain([long.as_str()]) {
        let record: crate::model::Record = [(name.into(), Value::from(name))].into();
        let plan = Plan {
            job: name.to_owned(),
            source: name.to_owned(),
            target: name.to_owned(),
            fingerprint: name.to_owned(),
            pairs: vec![pair("1", Some("2"), name)],
            operations: vec![
                Edit::CreateCustomField {
                    label: name.to_owned(),
                },
                Edit::UpdateGroup {
                    pair: PairIx(0),
                    fields: record.clone(),
                    before: record.clone(),
                },
                Edit::RenameGroup {
                    pair: PairIx(0),
                    from: name.to_owned(),
                    to: name.to_owned(),
                    via: Some(name.to_owned()),
                    fields: record.clone(),
                    before: record.clone(),
                },
                Edit::CreateMembers {
                    members: vec![PersonIx(0)],
                    to_opt_out: false,
                },
                Edit::ChangeAddress {
                    member: PersonIx(0),
                    from: name.to_owned(),
                    to: name.to_owned(),
                    makes_room: false,
                },
                Edit::SetOptOut {
                    pair: Some(PairIx(0)),
                    members: vec![PersonIx(0)],
                    after_creation: false,
                },
            ],
            warnings: vec![name.to_owned()],
            refusals: vec![crate::plan::GuardRefusal {
                explanation: name.to_owned(),
                limit: name.to_owned(),
                key: name.to_owned(),
                ..full_plan().plan.refusals.remove(0)
            }],
            blocked: vec![crate::plan::Blocked {
                group: Some(name.to_owned()),
                member: Some(name.to_owned()),
                id: Some(name.to_owned()),
                detail: name.to_owned(),
                ..full_plan().plan.blocked.remove(0)
            }],
            losses: vec![crate::plan::Loss {
                field: name.to_owned(),
                examples: vec![name.to_owned()],
                reason: name.to_owned(),
                remedy: Some(name.to_owned()),
                ..full_plan().plan.losses.remove(0)
            }],
            ..empty_plan()
        };
        let mut planned = planned(&[name], plan);
        planned.created_values = [(PersonIx(0), record)].into();
        planned.cost.requests = BTreeMap::from([(name.to_owned(), 2)]);
        let about = PageAbout {
            config: name.to_owned(),
            saved: Some(name.to_owned()),
            ..about()
        };
        let mut page = Vec::new();
        write_plan_html(&mut page, &planned, &about).unwrap();
        let page = String::from_utf8(page).unwrap();
        assert_eq!(page.matches("<script").count(), 2, "{name}");
        assert_eq!(page.matches("</script").count(), 2, "{name}");
        for broken in [
            "<img",
            "<!--",
            "<b>x",
            "alert(1)>",
            "\u{202e}",
            "\u{2028}",
            "\u{1b}",
            "\u{7}",
        ] {
            assert!(!page.contains(broken), "{broken:?} of {name:?}");
        }
        assert!(!shown(&page).contains("=\"alert"), "{name}");
        let data = data(&page);
        let shown = crate::report::harmless(name);
        assert_eq!(data.of(Kind::OptOut)[0][1], *shown, "it reads as it is");
        assert_eq!(data.name(&data.of(Kind::OptOut)[0][2]), shown);
    }
}

#[test]
fn a_page_names_the_file_in_which_its_plan_was_saved() {
    let saved = |file: &str| {
        let about = PageAbout {
            saved: Some(file.to_owned()),
            ..about()
        };
        written(|out| write_plan_html(out, &creating(&[1]), &about))
    };
    assert!(saved("plans/monday.json").contains("<pre>rosterd apply plans/monday.json</pre>"));
    assert!(
        saved("it's mine.json")
            .contains("<pre>rosterd apply &#39;it&#39;\\&#39;&#39;s mine.json&#39;</pre>")
    );
    let unsaved = page_of(&creating(&[1]));
    assert!(
        unsaved.contains("was not saved")
            && unsaved.contains("rosterd plan crm-to-mail --out plan.json")
    );
}

#[test]
fn a_page_of_nothing_says_so() {
    let page = page_of(&planned(&[], empty_plan()));
    assert!(shown(&page).contains("Nothing to do."), "{page}");
    assert!(!page.contains("id=\"items\"") && data(&page).rows.is_empty());
}

#[test]
fn the_static_part_of_a_page_does_not_grow_with_the_people() {
    let length = |people: usize| shown(&page_of(&creating(&vec![3; people]))).len();
    assert!(length(2_000) < length(100) + 200);
}

#[test]
fn what_somebody_changed_at_the_target_is_marked_listed_and_counted() {
    let mut planned = full_plan();
    let outside = |what, held: [&str; 3]| ChangedOutside {
        what,
        base: Some(held[0].into()),
        now: Some(held[1].into()),
        wanted: Some(held[2].into()),
        fate: OnDrift::Overwrite,
    };
    planned.plan.changed_outside = vec![
        outside(
            Outside::Group(PairIx(2), "notes".into()),
            ["<new>", "old", "<new>"],
        ),
        outside(
            Outside::Member(PersonIx(1), "phone".into()),
            ["", "555 0100", ""],
        ),
        ChangedOutside {
            base: None,
            now: None,
            wanted: None,
            ..outside(Outside::Membership(PairIx(0), PersonIx(0)), [""; 3])
        },
    ];
    let page = page_of(&planned);
    let (shown, data) = (shown(&page), data(&page));
    assert_eq!(data.of(Kind::Outside).len(), 3);
    for told in [
        "<b>3</b> <a class=\"pick\" href=\"#items\" data-kind=\"16\">values changed outside",
        "Changed outside <small>3 values, at mail since the last run</small>",
        "<code>notes</code> of “Trustees”</td><td>&quot;&lt;new&gt;&quot;</td><td>&quot;old&quot;</td>",
        "is overwritten",
        "ana@example.org in “Donors”</td><td>a member</td><td>taken out</td>",
        "is added again",
        "<ins>&quot;new&quot;</ins> <em class=\"change\">! changed outside</em>",
    ] {
        assert!(shown.contains(told), "{told} in {shown}");
    }
    let added = data.of(Kind::Add);
    assert_eq!(added[0][5], "somebody took them out at the target");
    assert_eq!(
        added[1].get(5),
        None,
        "the other one joins for the first time"
    );
}

fn item(op: &str, outcome: &str) -> RunItem {
    RunItem {
        op: op.to_owned(),
        outcome: outcome.to_owned(),
        ..RunItem::default()
    }
}

fn items() -> Vec<RunItem> {
    let change = FieldChange {
        before: Some("old".into()),
        is_before_known: true,
        after: None,
    };
    vec![
        RunItem {
            group: Some("Donors <&>".to_owned()),
            ..item("create_group", "done")
        },
        RunItem {
            group: Some("Staff".to_owned()),
            message: Some("Name is taken".to_owned()),
            ..item("rename_group", "failed")
        },
        RunItem {
            member: Some("ana@example.org".to_owned()),
            fields: [("notes".into(), change)].into(),
            ..item("update_member", "done")
        },
        RunItem {
            member: Some("ana@example.org".to_owned()),
            group: Some("Donors <&>".to_owned()),
            ..item("add_memberships", "done")
        },
        RunItem {
            member: Some("bo@example.org".to_owned()),
            group: Some("Donors <&>".to_owned()),
            reason: Some("value_refused".to_owned()),
            message: Some("</script><b>Invalid contact\u{1b}".to_owned()),
            ..item("add_memberships", "failed")
        },
        RunItem {
            member: Some("cy@example.org".to_owned()),
            group: Some("Donors <&>".to_owned()),
            ..item("add_memberships", "open")
        },
        RunItem {
            member: Some("dee@example.org".to_owned()),
            group: Some("Donors <&>".to_owned()),
            ..item("add_memberships", crate::state::FOUND)
        },
        item("sing_a_song", "done"),
    ]
}

fn run_page(items: Vec<Result<RunItem, String>>, filter: &ItemFilter) -> String {
    let run = RunRecord {
        summary: serde_json::json!({"memberships": {"add": 1}, "withheld": 4, "blocked": 0}),
        approved: Some(crate::state::ApprovedBy {
            id: "0123456789ab".to_owned(),
            guards: vec!["max_membership_removals".to_owned()],
        }),
        ..run_record(Some(crate::state::Outcome::Partial))
    };
    written(|out| write_show_html(out, &run, items.into_iter(), filter, &about()))
}

#[test]
fn the_page_of_a_run_tells_each_item_with_its_outcome() {
    let page = run_page(
        items().into_iter().map(Ok).collect(),
        &ItemFilter::default(),
    );
    let (shown, data) = (shown(&page), data(&page));
    for told in [
        "partial",
        "max_membership_removals by 0123456789ab",
        "4 items, which the plan left out",
        "<b>1</b> <a class=\"pick\" href=\"#items\" data-kind=\"9\">membership added</a><small class=\"stop\">1 failed</small><small class=\"change\">1 found</small><small class=\"stop\">1 open</small>",
        "+ group created",
        "change group <strong>failed</strong>: Name is taken",
        "Donors &lt;&amp;&gt;",
        "+ <b>2</b> memberships added</span> <strong class=\"stop\">2 not</strong>",
        "greenrope at api.example.net",
        "<label>Outcome",
    ] {
        assert!(shown.contains(told), "{told} in {shown}");
    }
    let added = data.of(Kind::Add);
    let outcomes: Vec<&str> = added.iter().map(|row| data.name(&row[4])).collect();
    assert_eq!(outcomes, ["done", "failed", "open", "found"]);
    assert_eq!(data.name(&added[1][3]), "value_refused");
    assert_eq!(added[1][5], "</script><b>Invalid contact\\u{1b}");
    assert_eq!(page.matches("</script").count(), 2);
    let changed = data.of(Kind::ChangePerson)[0][6].as_array().unwrap();
    assert_eq!(changed[1..], ["\"old\"", "(empty)"]);
    assert_eq!(
        data.of(Kind::Other).len(),
        1,
        "what has no word is not left out"
    );
    assert_eq!(data.rows.len(), items().len());
}

#[test]
fn the_page_of_a_run_honours_filters_and_says_so() {
    let filter = ItemFilter {
        group: Some("Donors <&>".to_owned()),
        outcome: Some("failed".to_owned()),
        ..ItemFilter::default()
    };
    let page = run_page(items().into_iter().map(Ok).collect(), &filter);
    assert_eq!(data(&page).rows.len(), 1);
    let said = "Only items of the group <strong>Donors &lt;&amp;&gt;</strong>, with the outcome <strong>failed</strong>: 1 of 8 items.";
    assert!(page.contains(said), "{}", shown(&page));
}

#[test]
fn the_page_of_a_run_that_can_not_be_read_to_its_end_says_so() {
    let mut items: Vec<Result<RunItem, String>> = items().into_iter().take(2).map(Ok).collect();
    items.push(Err("the disk is <broken>".to_owned()));
    let page = run_page(items, &ItemFilter::default());
    assert!(page.contains("This page is not whole."), "{}", shown(&page));
    assert!(page.contains("the first 2 can't be read: the disk is &lt;broken&gt;"));
    let empty = run_page(Vec::new(), &ItemFilter::default());
    assert!(empty.contains("No items are kept of this run."));
}
