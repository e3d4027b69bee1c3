//! The service when something goes wrong: what the guide says of it comes true, line by line.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rosterd::emulator::{Fault, FaultRule};
use rosterd::state::Store;

use super::bed::{Bed, JOB, Running, repository};

const YEARLY: &str = "schedule = \"0 0 1 1 *\"";
const EACH_SECOND: &str = "schedule = \"* * * * * *\"";

const LOG: &str = "its log";
const ERRORS: &str = "standard error";
const ERRORS_OF_SYNC: &str = "standard error of `rosterd sync`";

/// A line of the guide's list.
struct Row {
    what: String,
    says: String,
    place: String,
    ends: String,
}

/// The list of the guide: `- WHAT: `SAYS` in PLACE; ends with CODE.`
fn rows() -> Vec<Row> {
    let guide = std::fs::read_to_string(repository().join("src/guide/service.md")).unwrap();
    let (_, section) = guide.split_once("## What goes wrong").unwrap();
    let (_, list) = section.split_once("\n\n- ").unwrap();
    let (list, _) = list.split_once("\n\n").unwrap();
    list.split("\n- ")
        .map(|row| {
            let row = row.split_whitespace().collect::<Vec<_>>().join(" ");
            let parts = row.split_once(": `").and_then(|(what, rest)| {
                let (says, rest) = rest.split_once("` in ")?;
                let (place, ends) = rest.strip_suffix('.')?.split_once("; ")?;
                Some((what, says, place, ends))
            });
            let (what, says, place, ends) = parts.unwrap_or_else(|| panic!("{row}"));
            Row {
                what: what.to_owned(),
                says: says.to_owned(),
                place: place.to_owned(),
                ends: ends.trim_start_matches("ends with ").to_owned(),
            }
        })
        .collect()
}

/// What was seen of one trouble: where, what stood there, and how it ended.
type Seen = Vec<(String, String, String)>;

fn see(place: &str, said: String, ends: impl ToString) -> (String, String, String) {
    (place.to_owned(), said, ends.to_string())
}

/// Fails unless a service goes on until it is asked to stop; returns its log.
fn goes_on(mut service: Running) -> String {
    assert!(service.ended().is_none(), "it goes on");
    service.signal("TERM");
    let (code, said) = service.end();
    assert_eq!(code, Some(0), "{said}");
    said
}

fn service(bed: &Bed, job: &str) -> Running {
    bed.configure(job);
    let mut service = bed.start(&["run"]);
    service.wait_for("The service is running.");
    service
}

fn terminated_service(bed: &Bed) -> Seen {
    let service = service(bed, YEARLY);
    service.signal("TERM");
    let (code, said) = service.end();
    vec![see(LOG, said, code.unwrap())]
}

fn terminated_sync(bed: &Bed) -> Seen {
    bed.emulator.add_fault(
        FaultRule::every(Fault::SlowAnswer(Duration::from_millis(400))).on("groups/save"),
    );
    let running = bed.start(&["sync", JOB]);
    bed.wait_for_write();
    running.signal("TERM");
    let (code, said) = running.end();
    vec![see(ERRORS, said, code.unwrap())]
}

fn broken_config(bed: &Bed) -> Seen {
    let mut service = service(bed, YEARLY);
    let good = bed.read("rosterd.toml");
    bed.write("rosterd.toml", &good.replace("mode = ", "mood = "));
    service.signal("HUP");
    service.wait_for("The new config is wrong");
    let broken = bed.line("status");
    bed.write("rosterd.toml", &good);
    let mended = bed.line("status");
    bed.line("status --check").assert(1);
    service.signal("HUP");
    service.wait_for("The config was read again.");
    assert!(!bed.line("status").out.contains("is wrong"));
    vec![
        see(LOG, goes_on(service), "goes on"),
        see(
            "`rosterd status` while the file is broken",
            broken.err,
            broken.code.unwrap(),
        ),
        see(
            "`rosterd status` once the file is mended and until the next SIGHUP",
            mended.out,
            mended.code.unwrap(),
        ),
    ]
}

fn killed(bed: &Bed) -> Seen {
    let first = service(bed, YEARLY);
    first.signal("KILL");
    let (code, said) = first.end();
    assert_eq!(code, None, "which a shell shows as 137: {said}");
    let store = Store::open(&bed.path("rosterd.db"), Timestamp::now()).unwrap();
    let earlier = Timestamp::now() - SignedDuration::from_mins(2);
    store.service_beats(earlier).unwrap();
    drop(store);
    let status = bed.line("status");
    status.assert(0);
    let again = goes_on(service(bed, YEARLY));
    vec![
        see("`rosterd status` after a minute", status.out, 137),
        see("its log once it is started again", again, "goes on"),
    ]
}

fn full_disk(bed: &Bed) -> Seen {
    bed.configure(EACH_SECOND);
    let on_a_full_disk = |bed: &Bed, command: &str| {
        bed.shell(&format!(
            "trap '' XFSZ; ulimit -S -f 1536; exec \"$ROSTERD\" {command}"
        ))
    };
    let mut service = bed.start_command(&mut on_a_full_disk(bed, "run"));
    service.wait_for("A run failed");
    let room = Command::new("prlimit")
        .args(["--pid", &service.id().to_string(), "--fsize=unlimited:"])
        .status();
    assert!(room.unwrap().success());
    service.wait_for("The job is well again.");
    let log = goes_on(service);
    assert!(log.contains("make room"), "{log}");
    // Of the first one the service may have done nearly all by now.
    let other = Bed::new();
    let sync = other.end(&mut on_a_full_disk(&other, &format!("sync {JOB}")));
    let seen = vec![
        see(LOG, log.clone(), "goes on"),
        see(
            "its log at the first success once there is room",
            log,
            "goes on",
        ),
        see(ERRORS_OF_SYNC, sync.err, sync.code.unwrap()),
    ];
    // With room again nothing has been lost.
    bed.assert_settled();
    bed.assert_whole();
    seen
}

fn provider_down(bed: &Bed) -> Seen {
    bed.emulator
        .add_fault(FaultRule::every(Fault::ServerError(503)).at("mail"));
    let sync = bed.run(&["sync", JOB]);
    let mut service = service(bed, EACH_SECOND);
    service.wait_for("A run failed");
    service.wait_for("A run failed");
    bed.emulator.clear_faults();
    service.wait_for("The job is well again.");
    let log = goes_on(service);
    vec![
        see("its log at each try", log.clone(), "goes on"),
        see("its log at the first success", log, "goes on"),
        see(ERRORS_OF_SYNC, sync.err, sync.code.unwrap()),
    ]
}

#[test]
fn a_refusal_is_logged_once_with_the_command_that_settles_it() {
    let bed = Bed::new();
    bed.sync();
    bed.leave("Donors", 10);
    let mut service = service(&bed, EACH_SECOND);
    service.wait_for("guard refused the plan");
    service.wait_for("The plan is still refused");
    let status = bed.line("status --format json").json(&["jobs"]);
    let approval = status["jobs"][0]["approval"].as_str().unwrap().to_owned();
    let approve = format!("sync {JOB} --approve {approval}");
    bed.line(&format!("{approve} --wait 20s")).assert(0);
    service.wait_for("The job is well again.");
    let said = goes_on(service);
    assert_eq!(said.matches("guard refused the plan").count(), 1, "{said}");
    assert!(said.contains(&format!("rosterd {approve}")), "{said}");
    assert!(
        said.contains("max_membership_removals (10 of 60, limit "),
        "{said}"
    );
    assert!(!said.contains('@'), "no address: {said}");
}

#[test]
fn what_the_guide_says_of_troubles_is_what_happens() {
    type Trouble = fn(&Bed) -> Seen;
    let mut troubles: BTreeMap<&str, Trouble> = BTreeMap::from([
        ("`kill -TERM` of the service", terminated_service as Trouble),
        ("`kill -TERM` of `rosterd sync`", terminated_sync),
        ("`kill -HUP` with a broken config", broken_config),
        ("`kill -9` of the service", killed),
        ("A full disk", full_disk),
        ("A provider that is down for a day", provider_down),
    ]);
    let mut seen: Seen = Vec::new();
    let mut now = String::new();
    for row in rows() {
        if row.what != now {
            assert!(seen.is_empty(), "the guide leaves out {seen:?}");
            let trouble = troubles.remove(row.what.as_str());
            let trouble = trouble.unwrap_or_else(|| panic!("nobody tries {}", row.what));
            seen = trouble(&Bed::new());
            now.clone_from(&row.what);
        }
        let place = seen.iter().position(|(place, ..)| *place == row.place);
        let place = place.unwrap_or_else(|| panic!("{}: nobody looks at {}", row.what, row.place));
        let (_, said, ends) = seen.remove(place);
        assert!(
            said.contains(&row.says),
            "{}, {}: no {:?} in\n{said}",
            row.what,
            row.place,
            row.says
        );
        assert_eq!(ends, row.ends, "{}: {said}", row.what);
        assert!(!said.contains("@crm.test"), "no address: {said}");
    }
    assert!(seen.is_empty() && troubles.is_empty(), "{seen:?}");
}
