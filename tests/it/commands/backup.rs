//! Copies of the state database: made while it is in use, put back while it is not.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::Duration;

use rosterd::emulator::{Fault, FaultRule};
use rosterd::state::Store;
use rusqlite::Connection;

use super::bed::{Bed, Ended, JOB};

/// What a copy is told to hold.
const INVENTORY_KEYS: [&str; 6] = [
    "bytes",
    "schema_version",
    "jobs",
    "runs",
    "last_run",
    "unsettled",
];

/// Fails unless a file is a whole database that its owner alone can read.
fn assert_sound(path: &Path) {
    let store = Store::open_read_only(path).unwrap().unwrap();
    assert_eq!(store.integrity_check().unwrap(), Vec::<String>::new());
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// Loses the state database with all that SQLite keeps beside it.
fn lose_database(bed: &Bed) {
    for suffix in ["", "-wal", "-shm"] {
        std::fs::remove_file(bed.path(&format!("rosterd.db{suffix}"))).ok();
    }
    assert!(!bed.path("rosterd.db").exists());
}

/// Fails unless a restore was refused because the database is in use.
fn assert_in_use(ended: &Ended) {
    let said = ended.complaint(5);
    assert!(
        said.contains("is in use by") && said.contains("`rosterd status`"),
        "{said}"
    );
}

/// Has writes by an operation wait for their answers.
fn slow(bed: &Bed, operation: &str) {
    bed.emulator
        .add_fault(FaultRule::every(Fault::SlowAnswer(Duration::from_secs(20))).on(operation));
}

#[test]
fn a_service_at_work_is_copied_and_nothing_is_restored_under_it() {
    let bed = Bed::new();
    bed.sync();
    bed.configure("schedule = \"* * * * * *\"");
    bed.leave("Press", 2);
    bed.emulator.clear_log();
    slow(&bed, "groups/removeContacts");
    let mut service = bed.start(&["run"]);
    service.wait_for("The service is running.");
    bed.wait_for_write_of("groups/removeContacts");

    let ended = bed.line("backup copy.db --format json");
    ended.assert(0);
    let copy = ended.json(&INVENTORY_KEYS);
    assert_eq!(
        (
            &copy["path"],
            &copy["jobs"],
            &copy["runs"],
            &copy["unsettled"]
        ),
        (&"copy.db".into(), &[JOB][..].into(), &2.into(), &1.into()),
        "the request in flight is in the copy"
    );
    assert_sound(&bed.path("copy.db"));
    let ended = bed.line("restore copy.db --yes");
    assert_in_use(&ended);
    assert!(
        ended.err.contains("the service of this state database"),
        "{}",
        ended.err
    );
    service.signal("KILL");
    service.end();
    bed.emulator.clear_faults();

    // The service is dead, and its lock with it; what it was sending then is settled by reading.
    let ended = bed.line("restore copy.db --yes --format json");
    ended.assert(0);
    let restored = ended.json(&["path", "from", "restored", "kept", "notes"]);
    assert_eq!(restored["restored"]["unsettled"], 1);
    assert_eq!(restored["kept"], "rosterd.db.before-restore");
    assert!(
        restored["notes"]
            .to_string()
            .contains("settles it by reading"),
        "{restored}"
    );
    assert_sound(&bed.path("rosterd.db.before-restore"));
    let sent = bed.writes().len();
    bed.sync();
    bed.assert_settled();
    assert_eq!(bed.writes().len(), sent, "what is done is not sent again");
    assert_eq!(
        (bed.size("mail", "Press"), bed.size("mail", "Donors")),
        (8, 10)
    );
}

#[test]
fn nothing_is_restored_under_a_run_and_no_run_begins_under_a_restore() {
    let bed = Bed::new();
    bed.line("pause crm-to-mail").assert(0);
    bed.line("backup copy.db").assert(0);
    slow(&bed, "groups/save");
    let running = bed.start(&["sync", JOB]);
    bed.wait_for_write_of("groups/save");
    let before = bed.line("history");
    assert_in_use(&bed.line("restore copy.db --yes"));
    // Neither is it where nobody could be asked in the end.
    assert_in_use(&bed.line("restore copy.db"));
    assert_eq!(bed.line("history").out, before.out);
    running.signal("KILL");
    running.end();
    bed.emulator.clear_faults();

    let locks = rosterd::state::Locks::new(&bed.path("rosterd.db"));
    let whole = locks.lock_whole().unwrap();
    let asked = bed.emulator.requests().len();
    for command in [
        "sync crm-to-mail",
        "plan crm-to-mail",
        "restore copy.db --yes",
    ] {
        let ended = bed.line(command);
        assert!(
            ended
                .complaint(5)
                .contains("the state database is in use by process"),
            "{}",
            ended.err
        );
    }
    bed.configure("schedule = \"0 0 1 1 *\"");
    bed.line("run").assert(5);
    assert_eq!(bed.emulator.requests().len(), asked);
    drop(whole);
    bed.line("restore copy.db --yes").assert(0);
    bed.sync();
    bed.assert_settled();
    bed.assert_whole();
}

#[test]
fn who_opted_out_stays_out_when_a_lost_database_is_restored() {
    let bed = Bed::new();
    bed.sync();
    let people = [
        "donor1@example.org",
        "donor2@example.org",
        "donor3@example.org",
    ];
    let refuse = |account: &str, address: &str| {
        bed.account(account, |account| {
            let contact = account.contact_by_email(address).unwrap();
            assert!(account.opt_out_of_account(contact));
        });
    };
    // One refusal that the copy knows; one that came after it and that a run has carried; and one
    // at the target that no run has seen.
    refuse("crm", people[0]);
    bed.sync();
    bed.line("backup copy.db").assert(0);
    refuse("crm", people[1]);
    bed.sync();
    refuse("mail", people[2]);
    lose_database(&bed);

    let ended = bed.line("restore copy.db --yes");
    ended.assert(0);
    assert!(
        ended.out.starts_with("Restored rosterd.db from copy.db: ")
            && ended
                .out
                .contains("1 job (crm-to-mail), 2 runs, the last begun ")
            && ended
                .out
                .contains("No other machine may go on with these accounts"),
        "{}",
        ended.out
    );
    assert!(!ended.out.contains("before-restore"), "{}", ended.out);
    // Even those who come back at the source are not brought back.
    bed.account("crm", |crm| {
        for address in [people[0], people[1]] {
            let contact = crm.contact_by_email(address).unwrap();
            assert!(crm.resubscribe(contact));
        }
    });
    bed.emulator.clear_log();
    bed.sync();
    bed.assert_unwritten();
    bed.assert_settled();
    bed.account("mail", |mail| {
        let donors = mail.find_group("Donors").unwrap();
        let mailed = mail.mailed_by(donors);
        for address in people {
            let contact = mail.contact_by_email(address).unwrap();
            assert!(mail.contacts[&contact].opted_out.is_some(), "{address}");
            assert!(!mailed.contains(&address.to_owned()), "{address}");
        }
        assert_eq!(mailed.len(), 7);
    });
}

#[test]
fn going_back_and_forth_loses_nothing() {
    let bed = Bed::new();
    bed.sync();
    bed.line("backup copy.db").assert(0);
    bed.leave("Press", 2);
    bed.sync();
    let runs = |bed: &Bed| {
        let runs = bed.line("history --format json").json(&["runs"]);
        runs["runs"].as_array().unwrap().len()
    };
    assert_eq!(runs(&bed), 2);
    let ended = bed.line("restore copy.db --yes");
    ended.assert(0);
    assert!(
        ended
            .out
            .contains("`rosterd restore rosterd.db.before-restore` goes back to it"),
        "{}",
        ended.out
    );
    assert_eq!(runs(&bed), 1);
    bed.line("restore rosterd.db.before-restore --yes")
        .assert(0);
    assert_eq!(runs(&bed), 2);
    assert!(bed.path("rosterd.db.before-restore-2").exists());
    bed.line("restore copy.db --yes").assert(0);
    bed.emulator.clear_log();
    bed.sync();
    bed.assert_unwritten();
    bed.assert_settled();
    assert_eq!(
        (bed.size("mail", "Press"), bed.size("mail", "Donors")),
        (8, 10)
    );
}

#[test]
fn a_copy_that_is_not_sound_changes_nothing() {
    let bed = Bed::new();
    bed.sync();
    bed.line("backup copy.db").assert(0);
    bed.write(
        "notes.txt",
        &"Dear diary, this is no database.\n".repeat(40),
    );
    let edited = |name: &str, sql: &str| {
        std::fs::copy(bed.path("copy.db"), bed.path(name)).unwrap();
        let connection = Connection::open(bed.path(name)).unwrap();
        connection.execute_batch(sql).unwrap();
    };
    edited("newer.db", "PRAGMA user_version = 99");
    edited("foreign.db", "PRAGMA application_id = 4711");
    edited("hollow.db", "DROP TABLE consent_people");
    let whole = std::fs::read(bed.path("copy.db")).unwrap();
    std::fs::write(bed.path("short.db"), &whole[..whole.len() / 3]).unwrap();
    let before = std::fs::read(bed.path("rosterd.db")).unwrap();
    bed.emulator.clear_log();
    for (file, words) in [
        ("missing.db", "No such file"),
        ("notes.txt", "it is no copy of a state database"),
        ("foreign.db", "it is no copy of a state database"),
        ("newer.db", "install the newer rosterd first"),
        ("hollow.db", "its table consent_people is missing"),
        ("short.db", "it is damaged"),
        ("rosterd.db", "it is the state database itself"),
    ] {
        let ended = bed.run(&["restore", file, "--yes"]);
        let said = ended.complaint(2);
        assert!(
            said.contains(&format!("{file} can't be restored: "))
                && said.contains(words)
                && said.contains("nothing was changed"),
            "{file}: {said}"
        );
    }
    assert_eq!(std::fs::read(bed.path("rosterd.db")).unwrap(), before);
    assert!(!bed.path("rosterd.db.before-restore").exists());
    assert_eq!(bed.emulator.requests(), []);

    // Nor does a sound one where somebody else's file is in its place.
    let notes = bed.read("notes.txt");
    let ended = bed.line("--state notes.txt restore copy.db --yes");
    assert!(
        ended.complaint(2).contains("is not a database"),
        "{}",
        ended.err
    );
    assert_eq!(bed.read("notes.txt"), notes);
    let ended = bed.line("--state missing/rosterd.db restore copy.db --yes");
    assert!(
        ended.complaint(2).contains("create missing"),
        "{}",
        ended.err
    );
}

#[test]
fn without_an_answer_nothing_is_restored() {
    let bed = Bed::new();
    bed.sync();
    bed.line("backup copy.db").assert(0);
    bed.line("pause crm-to-mail").assert(0);
    let before = std::fs::read(bed.path("rosterd.db")).unwrap();
    let ended = bed.line("restore copy.db");
    let said = ended.complaint(3);
    for words in [
        "copy.db holds: ",
        "rosterd.db holds: ",
        "adds nobody whom either side shows as refusing",
        "Refusals that rosterd has remembered since then",
        "nobody is there to be asked: Restore rosterd.db from copy.db?",
        "hint: `--yes` answers the question",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!(std::fs::read(bed.path("rosterd.db")).unwrap(), before);
    assert!(!bed.path("rosterd.db.before-restore").exists());
    // Nobody can be asked for a config that is not there either.
    std::fs::remove_file(bed.path("rosterd.toml")).unwrap();
    bed.line("restore copy.db --yes").complaint(2);
    bed.line("--state rosterd.db restore copy.db --yes")
        .assert(0);
    bed.line("--state rosterd.db backup another.db").assert(0);
    bed.configure("schedule = \"0 0 1 1 *\"");
    let status = bed.line("status --format json").json(&["jobs"]);
    assert_eq!(
        status["jobs"][0]["state"], "ok",
        "the pause came after the copy"
    );
}

#[test]
fn a_copy_that_can_not_be_written_is_one_sentence() {
    let bed = Bed::new();
    let ended = bed.line("backup copy.db");
    let said = ended.complaint(2);
    assert!(
        said.contains("there is no state database") && said.contains("hint: "),
        "{said}"
    );
    assert!(!bed.path("copy.db").exists() && !bed.path("rosterd.db").exists());
    bed.sync();
    bed.write("notes.txt", "Dear diary");
    for (file, words) in [
        ("rosterd.db", "it is the database itself; name another file"),
        (
            "tmp/../rosterd.db",
            "it is the database itself; name another file",
        ),
        ("missing/copy.db", "there is no directory missing; make it"),
        (
            "notes.txt",
            "no earlier copy of a state database, so it is left as it is",
        ),
        ("tmp", "it is a directory; name a file in it"),
        ("/dev/null", "left as it is"),
    ] {
        let ended = bed.run(&["backup", file]);
        let said = ended.complaint(2);
        assert!(
            said.contains("can't hold a copy") && said.contains(words),
            "{file}: {said}"
        );
    }
    assert_eq!(bed.read("notes.txt"), "Dear diary");
    assert!(
        bed.line("--state tmp backup copy.db")
            .complaint(2)
            .contains("is a directory")
    );

    // A limit on the size of files fails writes as a full disk does.
    let full = |command: &str| {
        let ended = bed.end(&mut bed.shell(&format!(
            "trap '' XFSZ; ulimit -f 64; exec \"$ROSTERD\" {command}"
        )));
        let said = ended.complaint(1);
        assert!(said.contains("make room"), "{said}");
    };
    full("backup copy.db");
    assert!(!bed.path("copy.db").exists());
    bed.line("backup copy.db").assert(0);
    let before = std::fs::read(bed.path("rosterd.db")).unwrap();
    full("restore copy.db --yes");
    assert_eq!(std::fs::read(bed.path("rosterd.db")).unwrap(), before);
    full("backup copy.db");
    assert_sound(&bed.path("copy.db"));
    let hidden = std::fs::read_dir(bed.path("")).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with(".rosterd")
    });
    assert_eq!(hidden.count(), 0, "nothing half done stays");
}

#[test]
fn who_may_not_write_is_told() {
    let bed = Bed::new();
    bed.sync();
    bed.line("backup copy.db").assert(0);
    let mode = |name: &str, mode: u32| {
        std::fs::set_permissions(bed.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for name in ["rosterd.db", "copy.db", "rosterd.toml"] {
        mode(name, 0o444);
    }
    std::fs::create_dir(bed.path("shut")).unwrap();
    bed.write("shut/probe.db", "");
    mode("shut/probe.db", 0o444);
    mode("shut", 0o555);
    mode("tmp", 0o777);
    mode("", 0o555);
    let before = std::fs::read(bed.path("rosterd.db")).unwrap();
    let told = |arguments: &[&str], words: &str| {
        let mut command = bed.command(arguments);
        // Modes bind nobody who is root, so that root runs this as nobody.
        let is_root = std::fs::OpenOptions::new()
            .append(true)
            .open(bed.path("shut/probe.db"))
            .is_ok();
        if is_root {
            command.uid(65_534).gid(65_534);
            if command.output().is_err() {
                return;
            }
        }
        let ended = bed.end(&mut command);
        let said = ended.complaint(2);
        assert!(said.contains(words), "{arguments:?}: {said}");
    };
    told(
        &["backup", "shut/new.db"],
        "rosterd.db can't be written; give this user write access",
    );
    told(
        &["restore", "copy.db", "--yes"],
        "rosterd.db can't be written; give this user write access",
    );
    // Reading it is all that a copy takes, and a place of its own.
    mode("", 0o777);
    for name in ["rosterd.db", "rosterd.db-wal", "rosterd.db-shm"] {
        if bed.path(name).exists() {
            mode(name, 0o666);
        }
    }
    told(
        &["backup", "shut/new.db"],
        "may not write to the directory shut; give it write access",
    );
    mode("shut", 0o755);
    assert_eq!(std::fs::read(bed.path("rosterd.db")).unwrap(), before);
}
