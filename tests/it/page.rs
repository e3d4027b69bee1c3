//! The pages of plans and runs, opened in a real browser and used as a reviewer does.

use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rosterd::emulator::{Fault, FaultRule};
use rosterd::model::{Record, Value};
use rosterd::plan::{Edit, PersonIx};
use rosterd::report::{PageAbout, write_plan_html};

use crate::commands::bed::{Bed, JOB, small_world};
use crate::support::browser::Browser;
use crate::support::{bench, group_of, plain_world};

/// What would run if a page took it for markup: it changes the title, which the test looks at.
const HOSTILE: [&str; 5] = [
    "</script><img src=x onerror=\"document.title='broken'\">",
    "<script>document.title='broken'</script>",
    "'\"><svg onload=document.title='broken'>",
    "<!--<script>",
    "gnp.\u{202e}exe \u{2066}\u{200f}",
];

/// How many rows of the list are there.
const ROWS: &str = "document.querySelector('#list tbody').rows.length";

/// Saves what a command printed, and opens it.
fn open(browser: &mut Browser, bed: &Bed, name: &str, command: &[&str]) {
    let ended = bed.run(command);
    ended.assert(0);
    bed.write(name, &ended.out);
    browser.open(&bed.path(name));
}

/// The number with which a text begins.
fn number(text: &str) -> u64 {
    let digits = text.trim().chars().filter(|letter| *letter != ',');
    let digits: String = digits.take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("{text:?}"))
}

/// Fails unless the options of a list count as many items as there are, and each shows as many as it
/// counts.
fn assert_adds_up(browser: &mut Browser, list: &str, all: u64) {
    let options = browser.look(&format!(
        "[...document.querySelector('{list}').options].map((option) => option.text).slice(1)"
    ));
    let mut sum = 0;
    for option in options.as_array().unwrap() {
        let option = option.as_str().unwrap();
        let (_, counted) = option.rsplit_once('(').unwrap();
        let counted = number(counted);
        sum += counted;
        browser.choose(list, option);
        let said = match counted {
            few if few < all => format!("{few} of {all} shown."),
            _ => format!("All {all} shown."),
        };
        assert_eq!(browser.text("#count"), said, "{option}");
        assert_eq!(browser.look(ROWS), counted, "{option}");
        browser.choose(list, "all");
    }
    assert_eq!(sum, all, "{list}");
}

#[test]
fn a_plan_is_searched_and_filtered_in_a_browser_and_its_counts_add_up() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let bed = Bed::new();
    bed.account("crm", |crm| {
        let donor = crm.contact_by_email("donor3@example.org").unwrap();
        crm.change_contact(donor, [("city", "Springfield")], []);
        crm.opt_out_of_account(crm.contact_by_email("press1@example.org").unwrap());
    });
    open(
        &mut browser,
        &bed,
        "plan.html",
        &["plan", JOB, "--format", "html"],
    );
    assert_eq!(
        browser.look("document.getElementById('unscripted').hidden"),
        true
    );
    let all = number(browser.text("#items h2 small").trim());
    assert_eq!(browser.text("#count"), format!("All {all} shown."));
    assert_eq!(browser.look(ROWS), all);

    for list in ["#kind", "#group", "#reason"] {
        assert_adds_up(&mut browser, list, all);
    }

    // Each figure is the number of the items to which it leads.
    let figures = browser.look("document.querySelectorAll('.figures li').length");
    let mut sum = 0;
    for at in 1..=figures.as_u64().unwrap() {
        let figure = format!(".figures li:nth-child({at})");
        let counted = number(&browser.text(&format!("{figure} b")));
        browser.press(&format!("{figure} a"));
        browser.wait_for(&format!("{ROWS} === {counted}"));
        sum += counted;
    }
    assert_eq!(sum, all);

    browser.press("#filters [type=reset]");
    browser.wait_for(&format!("{ROWS} === {all}"));
    browser.write("#q", "springFIELD");
    browser.wait_for(&format!("{ROWS} === 1"));
    let row = browser.text("#list tbody");
    assert!(
        row.contains("donor3@example.org") && row.contains("\"Springfield\""),
        "{row}"
    );
    assert_eq!(browser.text("#count"), format!("1 of {all} shown."));

    // From one item of a person to everything about them.
    browser.press("#list button.who");
    browser.press("#filters [type=reset]");
    browser.wait_for(&format!("{ROWS} === {all}"));
    browser.write("#q", "donor3@");
    browser.wait_for(&format!("{ROWS} === 2"));
    browser.press("#list button.who");
    browser.wait_for("document.getElementById('person').hidden === false");
    browser.write("#q", "");
    browser.wait_for("document.getElementById('q').value === ''");
    assert_eq!(
        browser.look(ROWS),
        2,
        "one who is created and joins a group"
    );
    browser.press("#person button");
    browser.wait_for(&format!("{ROWS} === {all}"));

    browser.write("#q", "nobody has this");
    browser.wait_for(&format!("{ROWS} === 0"));
    assert_eq!(browser.text("#count"), format!("0 of {all} shown."));
    assert_eq!(browser.troubles(), Vec::<String>::new());
}

#[test]
fn what_hostile_accounts_hold_does_not_run_in_a_page() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let mut world = plain_world().without_pace();
    let crm = world.account_mut("crm");
    let long = format!("<b>{}", "x".repeat(10_000));
    for (at, name) in HOSTILE.into_iter().enumerate() {
        group_of(crm, name, &format!("p{at}-"), 2);
        let person = crm
            .contact_by_email(&format!("p{at}-0@example.org"))
            .unwrap();
        crm.change_contact(person, [("city", name), ("notes", long.as_str())], []);
    }
    let bed = Bed::over(world);
    let plan = ["plan", JOB, "--format", "html"];
    open(&mut browser, &bed, "plan.html", &plan);
    let unharmed = |browser: &mut Browser, title: &str| {
        browser.wait_for(&format!("{ROWS} > 0"));
        browser.press("#unfold");
        assert_eq!(browser.look("document.title"), title);
        assert_eq!(browser.look("document.scripts.length"), 2);
        assert_eq!(
            browser.look("document.querySelectorAll('img, main svg[onload], iframe, link').length"),
            0
        );
        let shown = browser.look("document.documentElement.innerText");
        let shown = shown.as_str().unwrap();
        assert!(
            shown.contains("<script>document.title='broken'</script>"),
            "{shown}"
        );
        assert!(
            shown.contains("\\u{202e}") && !shown.contains('\u{202e}'),
            "{shown}"
        );
        assert_eq!(browser.troubles(), Vec::<String>::new());
    };
    unharmed(&mut browser, &format!("Plan for {JOB}"));
    // A name is found as it is shown.
    browser.write("#q", "<!--<script>");
    browser.wait_for(&format!("{ROWS} === 4"));

    bed.line(&format!("sync {JOB} --format json")).assert(0);
    let run = bed.newest_run();
    open(
        &mut browser,
        &bed,
        "run.html",
        &["show", &run, "--format", "html"],
    );
    unharmed(&mut browser, &format!("Run {run} of {JOB}"));
    let undo = ["undo", &run, "--format", "html"];
    open(&mut browser, &bed, "undo.html", &undo);
    unharmed(
        &mut browser,
        &format!("Plan that takes back run {run} of {JOB}"),
    );
}

#[test]
fn a_plan_that_takes_a_run_back_is_reviewed_in_a_browser() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let bed = Bed::new();
    bed.sync();
    let run = bed.newest_run();
    bed.account("mail", |mail| {
        let late = mail.add_person("late@example.org", "Late", "Comer");
        let donors = mail.find_group("Donors").unwrap();
        mail.join(donors, late);
        let donor = mail.contact_by_email("donor3@example.org").unwrap();
        mail.leave(donors, donor);
    });
    let undo = ["undo", &run, "--format", "html", "--out", "back.json"];
    open(&mut browser, &bed, "undo.html", &undo);
    let all = number(browser.text("#items h2 small").trim());
    for list in ["#kind", "#group", "#reason"] {
        assert_adds_up(&mut browser, list, all);
    }
    // Each reason leads to what stays for it.
    let reasons = browser.look("document.querySelectorAll('#not-undone tbody tr').length");
    let reasons = reasons.as_u64().unwrap();
    assert!(reasons >= 3, "{}", browser.text("#not-undone"));
    let mut stay = 0;
    for at in 1..=reasons {
        let row = format!("#not-undone tbody tr:nth-child({at})");
        let counted = number(&browser.text(&format!("{row} td.number")));
        browser.press(&format!("{row} a"));
        browser.wait_for(&format!("{ROWS} === {counted}"));
        stay += counted;
    }
    assert_eq!(stay, number(&browser.text("#not-undone h2 small")));

    browser.press("#filters [type=reset]");
    browser.write("#q", "donor3@");
    browser.wait_for(&format!("{ROWS} === 2"));
    let rows = browser.text("#list tbody");
    for said in ["person_stays", "already_so", "not undone", "Donors"] {
        assert!(rows.contains(said), "{said}: {rows}");
    }
    browser.write("#q", "others_in_group");
    browser.wait_for(&format!("{ROWS} === 1"));
    let apply = browser.text("#apply");
    for said in ["rosterd apply back.json", "pauses", "rosterd resume"] {
        assert!(apply.contains(said), "{said}: {apply}");
    }
    assert!(!apply.contains("rosterd sync"), "{apply}");
    assert_eq!(browser.troubles(), Vec::<String>::new());
}

#[test]
fn a_run_is_filtered_by_outcome_in_a_browser() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let bed = Bed::over(small_world());
    let poison = Fault::PoisonItem("donor3@example.org".to_owned());
    bed.emulator.add_fault(FaultRule::every(poison).at("mail"));
    bed.line(&format!("sync {JOB}")).assert(4);
    let run = bed.newest_run();
    open(
        &mut browser,
        &bed,
        "run.html",
        &["show", &run, "--format", "html"],
    );
    let all = number(browser.text("#items h2 small").trim());
    for list in ["#kind", "#group", "#outcome"] {
        assert_adds_up(&mut browser, list, all);
    }
    browser.choose("#outcome", "failed");
    let rows = browser.text("#list tbody");
    assert!(
        rows.contains("donor3@example.org") && rows.contains("failed"),
        "{rows}"
    );
    assert_eq!(browser.troubles(), Vec::<String>::new());
}

/// How many people the large plan creates, and how many of its rows there are then.
const PEOPLE: u32 = 50_000;

#[tokio::test(start_paused = true)]
async fn fifty_thousand_people_are_shown_a_part_at_a_time() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.html");
    write_large(&path).await;
    browser.open(&path);
    let all = u64::from(PEOPLE) * 2 + 1;
    browser.wait_for(&format!("{ROWS} === 200"));
    assert_eq!(browser.text("#count"), "All 100,001 shown; here 1 to 200.");
    assert_eq!(number(&browser.text("#items h2 small")), all);
    let nodes = "document.querySelectorAll('*').length";
    let few = |browser: &mut Browser| {
        let nodes = browser.look(nodes).as_u64().unwrap();
        assert!(nodes < 6_000, "{nodes} elements");
    };
    few(&mut browser);

    browser.press("#next");
    browser.wait_for("document.getElementById('count').innerText.endsWith('here 201 to 400.')");
    assert_eq!(browser.look(ROWS), 200);
    few(&mut browser);

    browser.choose("#kind", "create person (50,000)");
    assert_eq!(
        browser.text("#count"),
        "50,000 of 100,001 shown; here 1 to 200."
    );
    browser.write("#q", "p49999@ city49999");
    browser.wait_for(&format!("{ROWS} === 1"));
    assert_eq!(browser.text("#count"), "1 of 100,001 shown.");
    assert!(browser.text("#list tbody").contains("\"City49999\""));
    browser.choose("#kind", "all");
    browser.write("#q", "p49999@");
    browser.wait_for(&format!("{ROWS} === 2"));
    few(&mut browser);

    // What is printed is what is on the page, and no more.
    let printed = browser.ask("Page.printToPDF", serde_json::json!({}));
    assert!(
        printed["data"]
            .as_str()
            .is_some_and(|data| data.len() > 1_000)
    );
    assert_eq!(browser.troubles(), Vec::<String>::new());
}

/// Writes the page of a plan that creates very many people and puts them all into one group.
async fn write_large(path: &Path) {
    let mut world = plain_world();
    group_of(world.account_mut("crm"), "Everybody", "p", 1);
    let bench = bench(world, "crm", "mail", "mode = \"managed\"");
    let mut planned = bench.plan().await;
    let people: Vec<PersonIx> = (0..PEOPLE).map(PersonIx).collect();
    for edit in &mut planned.plan.operations {
        if let Edit::CreateMembers { members, .. } | Edit::AddMemberships { members, .. } = edit {
            members.clone_from(&people);
        }
    }
    for person in people {
        let number = person.0;
        let fields: Record = [
            ("city".into(), Value::from(format!("City{number}").as_str())),
            ("firstName".into(), Value::from("Ana")),
            ("lastName".into(), Value::from("Example")),
        ]
        .into();
        let name = format!("p{number}@example.org");
        planned.nameless.insert(person, name);
        planned.created_values.insert(person, fields);
    }
    let about = PageAbout {
        made: Timestamp::UNIX_EPOCH,
        zone: TimeZone::UTC,
        config: "rosterd.toml".to_owned(),
        source: None,
        target: None,
        saved: None,
    };
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    write_plan_html(&mut file, &planned, &about).unwrap();
}
