//! The status page of a real service, in a real browser.

use super::bed::{Service, TOKEN};
use crate::commands::bed::{Bed, JOB, small_world};
use crate::support::browser::Browser;

/// A service over a job that has run once, and a browser; nothing without a Chromium.
fn start(world: rosterd::emulator::World) -> Option<(Service, Browser, String)> {
    let browser = Browser::start()?;
    let bed = Bed::over(world);
    bed.sync();
    let service = Service::over(bed, "");
    let site = format!("http://{}", service.client.address);
    Some((service, browser, site))
}

fn sign_in(browser: &mut Browser, site: &str) {
    browser.visit(site);
    browser.write("#token", TOKEN);
    browser.follow("form[action='/sign-in'] button");
}

/// Takes most people out of a group, and has somebody refuse all mail: a guard refuses that.
fn upset(service: &Service) {
    service.bed.leave("Donors", 10);
    service.bed.account("crm", |crm| {
        crm.opt_out_of_account(crm.contact_by_email("press1@example.org").unwrap());
    });
}

fn job(below: &str) -> String {
    format!("/jobs/{JOB}{below}")
}

#[track_caller]
fn assert_well(browser: &mut Browser, site: &str) {
    assert_eq!(browser.troubles_beside(site), Vec::<String>::new());
}

#[test]
fn who_signs_in_reads_why_a_plan_was_refused_approves_it_and_the_job_runs() {
    let Some((service, mut browser, site)) = start(small_world()) else {
        return;
    };
    browser.visit(&site);
    assert_well(&mut browser, &site);
    let stranger = browser.text("body");
    assert!(
        !stranger.contains(JOB) && !stranger.contains('@'),
        "{stranger}"
    );
    browser.write("#token", "guess");
    browser.follow("form[action='/sign-in'] button");
    let refused = browser.text("#why");
    assert!(refused.contains("not the admin token"), "{refused}");
    browser.write("#token", TOKEN);
    browser.follow("form[action='/sign-in'] button");
    assert_well(&mut browser, &site);
    assert_eq!(
        browser.text(".verdict"),
        "All is well: nothing waits for a person."
    );

    upset(&service);
    browser.follow(&format!("form[action='{}'] button", job("/run")));
    assert!(
        browser.text(".said").contains("A run begins"),
        "it says what was done"
    );
    // The page puts in what has changed by itself.
    browser.wait_for("document.querySelector('#job .state')?.innerText.includes('refused')");
    browser.follow(&format!("a[href='{}']", job("/refusal")));
    let words = browser.text(".refusal");
    assert!(words.starts_with("1 opt-out waits"), "{words}");
    assert!(words.contains("max_membership_removals"), "{words}");
    assert_well(&mut browser, &site);

    browser.follow(&format!("a[href='{}']", job("/plan")));
    let all = browser.text("#count");
    assert!(all.starts_with("All ") && all.ends_with(" shown."), "{all}");
    assert_well(&mut browser, &site);

    browser.visit(&format!("{site}{}", job("/refusal")));
    assert_eq!(
        service.bed.size("mail", "Donors"),
        10,
        "nothing was written"
    );
    browser.follow("button.main");
    assert!(
        browser.text(".said").contains("Approved"),
        "it says what was done"
    );
    let path = format!("/api/v1/jobs/{JOB}");
    service.until(&path, |job| job["last_run"]["approved"].is_object());
    assert_eq!(service.bed.size("mail", "Donors"), 0, "it was let pass");
    browser.wait_for("document.querySelector('#history .state')?.innerText.includes('done')");
    browser.follow("#history .id");
    let row = browser.text(".items tbody");
    assert!(
        row.contains("press1@example.org"),
        "opt-outs come first: {row}"
    );
    assert_well(&mut browser, &site);
    let said = service.stop();
    assert!(!said.contains("press1@"), "no address in the log");
}

#[test]
fn an_item_is_accepted_with_a_reason_and_needs_nobody() {
    let mut world = small_world();
    world
        .account_mut("crm")
        .add_person("ana@@example.org", "Ana", "Odd");
    let crm = world.account_mut("crm");
    let (donors, odd) = (
        crm.find_group("Donors").unwrap(),
        crm.contact_by_email("ana@@example.org").unwrap(),
    );
    crm.join(donors, odd);
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let bed = Bed::over(world);
    bed.run(&["sync", JOB]).assert(4);
    let service = Service::over(bed, "");
    let site = format!("http://{}", service.client.address);
    sign_in(&mut browser, &site);
    assert!(browser.text(".verdict").contains("1 job needs a person"));
    browser.visit(&format!("{site}/failures"));
    let failure = browser.text(".list li");
    assert!(
        failure.contains("bad_address") && failure.contains("Remedy:"),
        "{failure}"
    );
    browser.write("input[name=reason]", "a typing error of theirs");
    browser.follow(".list li button");
    assert!(browser.text(".list li").contains("accepted"));
    assert!(
        browser
            .text(".verdict")
            .contains("Nothing waits for a person, 1 is accepted")
    );
    assert_well(&mut browser, &site);
    let accepted = service.bed.line(&format!("accept {JOB} --list"));
    accepted.assert(0);
    assert!(
        accepted.out.contains("a typing error of theirs"),
        "{}",
        accepted.out
    );
    browser.follow(".list li button");
    assert!(
        browser
            .text(".verdict")
            .contains("1 item waits for a person")
    );
    service.stop();
}

#[test]
fn a_forged_request_changes_nothing_and_pausing_takes_the_token_of_the_page() {
    let Some((service, mut browser, site)) = start(small_world()) else {
        return;
    };
    sign_in(&mut browser, &site);
    // A page of another site that sends what the button sends: the browser has the session, and that page
    // has not its token.
    let forged = service.bed.path("forged.html");
    let form = format!(
        "<!DOCTYPE html><form method=post action='{site}{}'><input name=csrf value=guess><button>Win</button></form>",
        job("/pause")
    );
    service.bed.write("forged.html", &form);
    browser.open(&forged);
    browser.follow("button");
    let answer = browser.text("body");
    assert!(!answer.contains("is paused"), "{answer}");
    let path = format!("/api/v1/jobs/{JOB}");
    let now = service.admin().get(&path).assert(200).json();
    assert!(now["paused_reason"].is_null(), "{now}");

    browser.visit(&format!("{site}{}", job("")));
    browser.write("input[name=reason]", "moving <house>");
    browser.follow(&format!("form[action='{}'] button", job("/pause")));
    assert!(browser.text("#job").contains("moving <house>"));
    browser.follow(&format!("form[action='{}'] button", job("/resume")));
    assert!(!browser.text("#job").contains("moving"));
    browser.follow("form[action='/sign-out'] button");
    browser.visit(&format!("{site}/runs"));
    assert_eq!(browser.look("location.pathname"), "/sign-in");
    service.stop();
}

#[test]
fn pages_fit_a_phone_and_work_without_their_script() {
    let mut world = small_world();
    let long = "Ω".repeat(40);
    crate::support::group_of(world.account_mut("crm"), &long, "omega", 3);
    let Some((service, mut browser, site)) = start(world) else {
        return;
    };
    upset(&service);
    sign_in(&mut browser, &site);
    browser.follow(&format!("form[action='{}'] button", job("/run")));
    let path = format!("/api/v1/jobs/{JOB}");
    service.until(&path, |job| job["approval"].is_string());
    let run = service.bed.line("history --format json").json(&["runs"]);
    let run = run["runs"][1]["run"].as_str().unwrap().to_owned();
    browser.without_scripts();
    let paths = [
        "/".to_owned(),
        job(""),
        job("/refusal"),
        "/runs".to_owned(),
        format!("/runs/{run}"),
        "/failures".to_owned(),
    ];
    for width in [360, 1280] {
        browser.size(width, 740);
        for path in &paths {
            browser.visit(&format!("{site}{path}"));
            let wide = browser.look("document.documentElement.scrollWidth");
            assert!(wide.as_u64() <= Some(width.into()), "{path} is {wide} wide");
            assert!(browser.text("main").len() > 40, "{path} shows something");
        }
    }
    browser.visit(&format!("{site}{}", job("/refusal")));
    browser.follow("button.main");
    service.until(&path, |job| job["last_run"]["approved"].is_object());
    service.stop();
}
