//! State databases that can't be used: nothing is written anywhere, and the file stays as it is.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;

use rosterd::state::{Locks, Store};
use rusqlite::Connection;

use super::bed::{Bed, JOB};

/// The mark of every file there is, which can't change any more.
const APPLICATION_ID: i64 = 0x7273_7464;

/// Makes a database with these marks and one table.
fn database(path: &Path, application: i64, version: i64) {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch(&format!("CREATE TABLE diary (line TEXT); PRAGMA application_id = {application}; PRAGMA user_version = {version};"))
        .unwrap();
}

/// Tries commands that write and that read; each must fail with one message, and the file must stay
/// byte for byte.
fn leaves(bed: &Bed, file: &str, words: &str) {
    bed.configure("schedule = \"0 0 1 1 *\"");
    let before = std::fs::read(bed.path(file)).unwrap();
    for command in [
        "sync crm-to-mail",
        "plan crm-to-mail",
        "status",
        "history",
        "pause crm-to-mail",
        "check",
        "run",
    ] {
        let mut arguments: Vec<&str> = vec!["--state", file];
        arguments.extend(command.split(' '));
        let ended = bed.run(&arguments);
        let said = ended.complaint(2);
        assert!(
            said.contains(words) && said.contains(file),
            "{command}: {said}"
        );
    }
    assert_eq!(std::fs::read(bed.path(file)).unwrap(), before);
    assert_eq!(bed.emulator.requests(), []);
}

#[test]
fn a_foreign_file_is_left_alone() {
    let bed = Bed::new();
    bed.write("notes.txt", "Dear diary, this is no database, and it is long enough to be taken for one at first sight.\n");
    leaves(&bed, "notes.txt", "is not a database");
    database(&bed.path("other.db"), 4711, 3);
    leaves(&bed, "other.db", "another program");
}

#[test]
fn a_newer_file_is_left_alone() {
    let bed = Bed::new();
    database(&bed.path("newer.db"), APPLICATION_ID, 4711);
    leaves(&bed, "newer.db", "4711");
}

#[test]
fn a_path_that_can_hold_no_database() {
    let bed = Bed::new();
    for (path, words) in [
        ("tmp", "is a directory"),
        ("missing/rosterd.db", "no directory"),
    ] {
        let ended = bed.run(&["--state", path, "sync", JOB]);
        assert!(ended.complaint(2).contains(words), "{}", ended.err);
    }
    bed.run(&["--state", "tmp", "status"]).complaint(2);
    std::fs::create_dir(bed.path("rosterd.db.job-crm-to-mail.lock")).unwrap();
    let ended = bed.run(&["sync", JOB]);
    assert!(
        ended
            .complaint(2)
            .contains("rosterd.db.job-crm-to-mail.lock"),
        "{}",
        ended.err
    );
    assert_eq!(bed.emulator.requests(), []);
}

#[test]
fn a_file_or_directory_without_write_access() {
    let bed = Bed::new();
    bed.sync();
    bed.emulator.clear_log();
    let mode = |name: &str, mode: u32| {
        std::fs::set_permissions(bed.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for file in std::fs::read_dir(bed.path("")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        mode(&name, if name == "tmp" { 0o777 } else { 0o444 });
    }
    mode("", 0o555);
    let before = std::fs::read(bed.path("rosterd.db")).unwrap();
    for arguments in [&["sync", JOB][..], &["--state", "new.db", "sync", JOB]] {
        let mut command = bed.command(arguments);
        // Modes bind nobody who is root, so that root runs this as nobody.
        if is_root(&bed) {
            command.uid(65_534).gid(65_534);
            if command.output().is_err() {
                mode("", 0o755);
                return;
            }
        }
        let ended = bed.end(&mut command);
        let said = ended.complaint(2);
        assert!(
            said.contains(".db") && said.contains("write access"),
            "{said}"
        );
    }
    mode("", 0o755);
    assert_eq!(std::fs::read(bed.path("rosterd.db")).unwrap(), before);
    assert_eq!(bed.emulator.requests(), []);
}

/// Whoever may write where the mode forbids it is root.
fn is_root(bed: &Bed) -> bool {
    std::fs::OpenOptions::new()
        .append(true)
        .open(bed.path("rosterd.db"))
        .is_ok()
}

#[test]
fn a_full_disk_ends_the_run_and_the_next_one_finishes() {
    let bed = Bed::new();
    // A limit on the size of files fails writes as a quota does; dash counts it in blocks of 512
    // bytes, bash in 1024.
    let mut failed = 0;
    for blocks in [64, 120, 200, 260, 320] {
        let ended = bed.end(&mut bed.shell(&format!(
            "trap '' XFSZ; ulimit -f {blocks}; exec \"$ROSTERD\" sync {JOB}"
        )));
        if ended.code == Some(0) {
            break;
        }
        let said = ended.complaint(1);
        assert!(
            said.contains("rosterd.db") && said.contains("make room"),
            "{said}"
        );
        failed += 1;
    }
    assert!(failed > 0, "the limit was too high to matter");
    bed.sync();
    bed.assert_settled();
    bed.assert_whole();
}

#[test]
fn a_plan_on_a_full_disk_is_not_saved_by_halves() {
    let bed = Bed::new();
    bed.run(&["plan", JOB, "--out", "plan.json"]).assert(0);
    let before = bed.read("plan.json");
    let ended = bed.end(&mut bed.shell("\"$ROSTERD\" plan crm-to-mail > /dev/full"));
    assert!(
        ended.complaint(1).contains("writing the result failed"),
        "{}",
        ended.err
    );
    assert_eq!(bed.read("plan.json"), before);
}

#[test]
fn somebody_else_has_the_job_or_the_account() {
    let bed = Bed::new();
    let locks = Locks::new(&bed.path("rosterd.db"));
    let held = locks.lock_job(JOB).unwrap();
    let ended = bed.run(&["sync", JOB]);
    let said = ended.complaint(5);
    assert!(
        said.contains(&format!(
            "the job \"crm-to-mail\" is in use by process {}",
            std::process::id()
        )),
        "{said}"
    );
    let ended = bed.run(&["sync", JOB, "--format", "json"]);
    ended.assert(5);
    let run = ended.json(&["job", "outcome", "exit_code"]);
    assert_eq!(
        (&run["outcome"], &run["exit_code"]),
        (&"busy".into(), &5.into())
    );
    bed.run(&["link", JOB, "1", "2"]).complaint(5);
    assert_eq!(bed.emulator.requests(), []);
    drop(held);
    bed.sync();
    bed.assert_settled();
    assert!(
        Store::open_read_only(&bed.path("rosterd.db"))
            .unwrap()
            .is_some()
    );
}
