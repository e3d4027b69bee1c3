//! The pages over what hostile accounts hold, and whether their numbers add up.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::frame::{Reader, WithCode, in_path};
use super::job::JobPage;
use super::{failures, job, overview, runs};
use crate::report::{ChannelRow, ItemFilter, UnderWayRow};
use crate::state::{FailureNote, FieldChange, FieldChanges, Outcome, RunItem, UnderWay};
use crate::web::view::tests::{World, at, run};
use crate::web::view::{Counts, ItemQuery};

/// What breaks out of an element or an attribute, turns the direction of writing, moves a terminal's
/// cursor, and never ends.
fn hostile() -> Vec<String> {
    vec![
        "</script><img src=x onerror=\"alert(1)\">".to_owned(),
        "'\"><svg onload=alert(1)>&amp;".to_owned(),
        "gnp.\u{202e}exe \u{2066}\u{200f}".to_owned(),
        "\u{1b}[2J\u{9b}".to_owned(),
        "<b>".repeat(4_000),
    ]
}

fn reader(zone: &TimeZone) -> Reader<'_> {
    Reader {
        csrf: "token",
        now: at(100),
        zone,
    }
}

/// A state that holds a text wherever somebody else's text can stand.
fn world_of(text: &str) -> World {
    let world = World::new();
    world.store.service_began(7, at(0)).unwrap();
    let summary = json!({
        "memberships": {"add": 1}, "waiting_opt_outs": 10,
        "refusals": [{"guard": "max_opt_outs", "value": 12, "of": 20, "limit": text, "key": "k", "approval": "a", "explanation": text}],
    });
    run(&world.store, "r0", 1, Outcome::Done, Value::Null);
    run(&world.store, "r1", 5, Outcome::Refused, summary);
    let change = FieldChange {
        before: Some(text.into()),
        is_before_known: true,
        after: Some(text.into()),
    };
    let item = RunItem {
        seq: 1,
        op: "add_memberships".into(),
        group: Some(text.into()),
        member: Some(text.into()),
        outcome: "failed".into(),
        reason: Some(text.into()),
        message: Some(text.into()),
        fields: FieldChanges::from([(text.into(), change)]),
        ..RunItem::default()
    };
    world.store.add_run_items("r1", &[item]).unwrap();
    let note = FailureNote {
        key: "k".into(),
        what: "member".into(),
        group: Some(text.into()),
        member: Some(text.into()),
        reason: "bad_address".into(),
        code: Some(text.into()),
        message: text.into(),
        item: "b7f3c1".into(),
    };
    world
        .store
        .replace_blocked("onward", &[note], at(6))
        .unwrap();
    world.store.set_paused("onward", Some(text), at(7)).unwrap();
    world
}

/// Every page of whoever has signed in, by name.
fn pages(world: &World) -> Vec<(&'static str, String)> {
    let zone = TimeZone::UTC;
    let reader = reader(&zone);
    let view = world.view(100);
    let page = JobPage {
        job: view.job("onward").unwrap().unwrap(),
        runs: view.runs(Some("onward"), None, 1).unwrap(),
        groups: view.groups("onward").unwrap().unwrap(),
        figures: view.runs_over_time("onward").unwrap(),
        members: view.members_over_time("onward", super::SPAN).unwrap(),
    };
    let recent = view.runs(None, None, 1).unwrap();
    let query = ItemQuery {
        limit: 10,
        ..ItemQuery::default()
    };
    let items = view.items_of_run("r1", &query).unwrap().unwrap();
    let refusal = view.refusal("onward").unwrap();
    let failed = view.failures(None, 0, 10).unwrap();
    let shown = failures::Shown { job: None, from: 0 };
    let of_group = ItemFilter {
        group: items.items.groups.first().cloned(),
        ..ItemFilter::default()
    };
    vec![
        (
            "overview",
            overview::overview(&view.overview().unwrap(), &recent, None, &reader).unwrap(),
        ),
        ("job", page.write(None, &reader).unwrap()),
        (
            "refusal",
            job::refusal(&page.job, refusal.as_ref(), true, &reader).unwrap(),
        ),
        ("run", runs::run(&items, &of_group, &reader).unwrap()),
        (
            "runs",
            runs::history(&recent, Some("onward"), true, &reader).unwrap(),
        ),
        (
            "failures",
            failures::failures(&failed, shown, None, &reader).unwrap(),
        ),
    ]
}

#[test]
fn no_text_of_an_account_becomes_markup_or_turns_the_writing() {
    for text in hostile() {
        let world = world_of(&text);
        for (name, page) in pages(&world) {
            for broken in [
                "<img",
                "<svg onload",
                "<b><b>",
                "</script><",
                "\u{202e}",
                "\u{2066}",
                "\u{200f}",
                "\u{1b}",
                "\u{9b}",
            ] {
                assert!(!page.contains(broken), "{broken:?} in {name}");
            }
            // Nothing runs or styles that does not come as a file of its own.
            for inline in [" onclick", " onerror=\"", " style=\"", "javascript:"] {
                assert!(!page.contains(inline), "{inline:?} in {name}");
            }
            assert_eq!(page.matches("<script").count(), 1, "{name}");
        }
    }
}

#[test]
fn a_long_text_is_folded_and_kept_whole() {
    let long = "ü".repeat(10_000);
    let world = world_of(&long);
    let (_, page) = pages(&world).remove(5);
    assert!(
        page.contains("(10,000 characters)"),
        "the message is folded"
    );
    assert!(page.contains(&long), "and is all there");
    let (_, overview) = pages(&world).remove(0);
    assert!(!overview.contains(&long), "a table keeps to lines");
}

#[test]
fn every_page_has_landmarks_headings_in_order_and_named_controls() {
    let world = world_of("plain");
    for (name, page) in pages(&world) {
        assert!(
            page.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"),
            "{name}"
        );
        for once in [
            "<main",
            "<h1",
            "<title>",
            "class=\"skip\"",
            "aria-live=\"polite\"",
            "<nav",
        ] {
            assert_eq!(page.matches(once).count(), 1, "{once} in {name}");
        }
        let mut last = 0;
        for heading in page.split("<h").skip(1) {
            let level = heading.as_bytes()[0].wrapping_sub(b'0');
            if (1..=6).contains(&level) {
                assert!(
                    level <= last + 1,
                    "h{last} is followed by h{level} in {name}"
                );
                last = level;
            }
        }
        for input in page.split("<input").skip(1) {
            let tag = input.split('>').next().unwrap();
            let is_told = tag.contains("type=\"hidden\"") || {
                let before = page.split(&format!("<input{tag}>")).next().unwrap();
                before.rfind("<label").unwrap_or(0) > before.rfind("</label>").unwrap_or(0)
            };
            assert!(is_told, "<input{tag}> in {name} has no label");
        }
        // Each form that changes something holds the token.
        let forms = page.matches("method=\"post\"").count();
        let tokens = page.matches("name=\"csrf\" value=\"token\"").count();
        assert_eq!(forms, tokens, "{name}");
    }
}

/// The overview while a run is under way, `heard` seconds after the beginning.
fn overview_under_way(told: &UnderWay) -> String {
    let zone = TimeZone::UTC;
    let world = World::new();
    let view = world.view(100);
    let mut all = view.overview().unwrap();
    all.jobs[0].status.state = "running";
    all.jobs[0].status.progress = Some(UnderWayRow::new(told, at(100)));
    assert_eq!(Counts::of(&all).running, 1);
    let runs = view.runs(None, None, 1).unwrap();
    overview::overview(&all, &runs, None, &reader(&zone)).unwrap()
}

#[test]
fn a_run_under_way_shows_how_far_it_is_and_what_holds_it_up() {
    let told = UnderWay {
        job: "onward".to_owned(),
        run: "r1".to_owned(),
        pid: 7,
        phase: hostile().remove(0),
        phase_began: at(0),
        done: 12,
        expected: 40,
        left_for: Some(28),
        rests_for: 0,
        heard: at(99),
    };
    let page = overview_under_way(&told);
    assert!(page.contains("<progress max=\"40\" value=\"12\""), "{page}");
    assert!(
        page.contains("12 of about 40 requests, about 28 s left"),
        "{page}"
    );
    assert!(!page.contains("<img") && !page.contains("this was so"));
    assert!(!page.contains("Run now"), "it runs");
    let waits = UnderWay {
        done: 41,
        rests_for: 90,
        heard: at(-100),
        ..told
    };
    let page = overview_under_way(&waits);
    assert!(!page.contains("<progress"), "more than was predicted");
    assert!(
        page.contains("41 requests, waiting 1 min 30 s because the provider asked for patience"),
        "{page}"
    );
    assert!(page.contains("this was so <time"), "{page}");
}

#[test]
fn a_service_that_keeps_its_config_or_tells_nobody_says_so_first() {
    let zone = TimeZone::UTC;
    let world = World::new();
    world.store.service_began(7, at(90)).unwrap();
    let page = || {
        let view = world.view(100);
        let all = view.overview().unwrap();
        let runs = view.runs(None, None, 1).unwrap();
        let page = overview::overview(&all, &runs, None, &reader(&zone)).unwrap();
        (all.needs_a_person, page)
    };
    let (needed, well) = page();
    assert!(!needed && well.contains("All is well"), "{well}");
    world
        .store
        .service_keeps_config(Some(&hostile()[0]))
        .unwrap();
    let (needed, ill) = page();
    assert!(needed && !ill.contains("All is well"));
    assert!(ill.contains("The new config is wrong") && !ill.contains("<img"));
    let mut all = world.view(100).overview().unwrap();
    all.channels = vec![ChannelRow {
        channel: "webhook".to_owned(),
        failing_since: Some(at(1).to_string()),
        why: Some(hostile().remove(0)),
        waiting: 2,
        next_try: Some(at(130).to_string()),
        given_up: 1,
    }];
    let runs = world.view(100).runs(None, None, 1).unwrap();
    let page = overview::overview(&all, &runs, None, &reader(&zone)).unwrap();
    assert!(page.contains("Nobody is told by webhook"), "{page}");
    assert!(page.contains("2 messages wait") && page.contains("1 message was given up"));
    assert!(!page.contains("<img"), "{page}");
}

#[test]
fn opt_outs_that_wait_come_first_and_are_told_though_the_job_is_paused() {
    let world = world_of("plain");
    let pages = pages(&world);
    for (name, page) in &pages[..3] {
        let content = page.split("<main").nth(1).unwrap();
        assert!(content.contains("10 opt-outs wait"), "{name}");
    }
    let refusal = &pages[2].1;
    let place = |words: &str| refusal.find(words).unwrap();
    assert!(place("10 opt-outs wait") < place("max_opt_outs"));
    assert!(pages[0].1.contains("1 job needs a person."));
}

#[test]
fn numbers_say_how_much_is_not_shown() {
    let world = World::new();
    for number in 0..25 {
        run(
            &world.store,
            &format!("r{number:02}"),
            number,
            Outcome::Done,
            Value::Null,
        );
    }
    let zone = TimeZone::UTC;
    let view = world.view(100);
    let recent = view.runs(None, None, 10).unwrap();
    let page =
        overview::overview(&view.overview().unwrap(), &recent, None, &reader(&zone)).unwrap();
    assert!(page.contains("10 of 25 runs"), "{page}");
    assert!(
        page.contains("… and <a href=\"/runs\">15 more</a>"),
        "{page}"
    );
    let items: Vec<RunItem> = (0..30)
        .map(|number| RunItem {
            seq: number,
            op: "create_members".into(),
            member: Some(format!("p{number}@example.org")),
            outcome: "done".into(),
            ..RunItem::default()
        })
        .collect();
    world.store.add_run_items("r03", &items).unwrap();
    let query = ItemQuery {
        limit: 10,
        ..ItemQuery::default()
    };
    let items = view.items_of_run("r03", &query).unwrap().unwrap();
    let page = runs::run(&items, &ItemFilter::default(), &reader(&zone)).unwrap();
    assert!(page.contains("1–10 of 30."), "{page}");
    assert!(page.contains("… 20 more"), "{page}");
    assert!(page.contains("create person (30)"), "{page}");
}

#[test]
fn strangers_see_numbers_and_no_name() {
    let world = world_of("somebody@example.org");
    let counts = Counts::of(&world.view(100).overview().unwrap());
    let page = overview::counts(&counts, Some("wrong")).unwrap();
    for name in ["onward", "crm", "somebody", "r1"] {
        assert!(!page.contains(name), "{name} in {page}");
    }
    assert!(page.contains("<b>10</b> opt-outs wait"), "{page}");
    assert!(page.contains("That is not the admin token"), "{page}");
    assert!(!page.contains("<script"), "{page}");
}

/// The relative luminance of a colour such as `#1d2430` or `#fff`, as WCAG defines it.
fn luminance(colour: &str) -> f64 {
    let digits = colour.trim_start_matches('#');
    let width = digits.len() / 3;
    let part = |at: usize| {
        let text = &digits[at * width..(at + 1) * width];
        let value = u32::from_str_radix(&text.repeat(2 / width), 16).unwrap();
        let share = f64::from(value) / 255.0;
        if share <= 0.040_45 {
            share / 12.92
        } else {
            ((share + 0.055) / 1.055).powf(2.4)
        }
    };
    0.2126 * part(0) + 0.7152 * part(1) + 0.0722 * part(2)
}

fn contrast(one: &str, other: &str) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// Returns the variable that a rule sets a property to.
fn variable<'a>(rule: &'a str, property: &str) -> Option<&'a str> {
    let mut declarations = rule.split(';');
    let value = declarations.find_map(|it| it.trim().strip_prefix(property)?.strip_prefix(':'))?;
    value.strip_prefix("var(--")?.split(')').next()
}

/// WCAG AA: 4.5 to 1, for every colour in which text is written, on both grounds on which it stands, and
/// where a rule has both, for that pair. On screen in both themes, and on paper.
#[test]
fn every_text_can_be_told_from_its_ground() {
    assert!((contrast("#000", "#fff") - 21.0).abs() < 1e-9);
    assert!((contrast("#777777", "#ffffff") - 4.48).abs() < 0.01);
    let css = format!("{}{}", super::STYLE, super::OWN_STYLE);
    let rules = css.split('{').skip(1);
    let rules = rules.map(|rest| rest.split('}').next().unwrap());
    let mut pairs = BTreeSet::new();
    for rule in rules {
        let Some(text) = variable(rule, "color") else {
            continue;
        };
        match variable(rule, "background") {
            Some(ground) => {
                pairs.insert((text, ground));
            }
            None => pairs.extend([(text, "back"), (text, "panel")]),
        }
    }
    for known in [("quiet", "panel"), ("back", "link"), ("soft", "back")] {
        assert!(pairs.contains(&known), "{pairs:?}");
    }
    let themes: Vec<BTreeMap<&str, &str>> = css
        .split(":root{")
        .skip(1)
        .map(|theme| {
            let lines = theme.split('}').next().unwrap().split(';');
            let set = lines.filter_map(|line| line.trim().strip_prefix("--")?.split_once(':'));
            set.collect()
        })
        .collect();
    assert_eq!(themes.len(), 3, "light, dark and paper");
    for theme in themes {
        for (text, ground) in &pairs {
            let ratio = contrast(theme[text], theme[ground]);
            assert!(
                ratio >= 4.5,
                "{text} on {ground} is {ratio:.2} in {theme:?}"
            );
        }
    }
}

#[test]
fn names_stand_in_addresses_whatever_letters_they_have() {
    assert_eq!(in_path("crm-to-mail"), "crm-to-mail");
    assert_eq!(in_path("../x y/ü?#&"), "%2E%2E%2Fx%20y%2F%C3%BC%3F%23%26");
    let words = WithCode("use `rosterd link` or ` <b>").to_string();
    assert_eq!(words, "use <code>rosterd link</code> or ` &lt;b&gt;");
}
