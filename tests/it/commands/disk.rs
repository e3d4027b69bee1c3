//! A disk that is really full: a file system in memory, of a size at which the journal soon has no room.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rosterd::emulator::{Fault, FaultRule};
use rusqlite::{Connection, OpenFlags};

use super::bed::{Bed, JOB};

/// A file system of its own below a bed.
struct Disk {
    place: PathBuf,
}

impl Disk {
    /// Mounts it; says so where that is not allowed.
    fn mount(bed: &Bed) -> Option<Disk> {
        let place = bed.path("disk");
        std::fs::create_dir(&place).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"])
            .arg(&place)
            .output();
        if mounted.is_ok_and(|mounted| mounted.status.success()) {
            return Some(Disk { place });
        }
        // Not by a macro: the harness would keep that to itself.
        let mut err = std::io::stderr();
        writeln!(
            err,
            "SKIPPED: nothing may be mounted here, so no disk is full"
        )
        .unwrap();
        None
    }

    /// Leaves no room for anything.
    fn fill(&self) {
        let mut filler = File::create(self.place.join("filler")).unwrap();
        for size in [65_536, 1] {
            let block = vec![0; size];
            let error = loop {
                if let Err(error) = filler.write_all(&block) {
                    break error;
                }
            };
            assert_eq!(error.kind(), ErrorKind::StorageFull);
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.place.join("filler")).unwrap();
    }

    /// The requests that stand in the journal.
    fn journaled(&self) -> usize {
        let path = self.place.join("rosterd.db");
        let connection =
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let count = "SELECT count(*) FROM journal";
        let count: i64 = connection.query_row(count, [], |row| row.get(0)).unwrap();
        usize::try_from(count).unwrap()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        Command::new("umount")
            .arg("-l")
            .arg(&self.place)
            .status()
            .ok();
    }
}

const STATE: [&str; 2] = ["--state", "disk/rosterd.db"];

fn on_disk<'a>(command: &[&'a str]) -> Vec<&'a str> {
    [&STATE, command].concat()
}

#[test]
fn a_service_writes_nothing_without_its_journal_and_goes_on_once_there_is_room() {
    let bed = Bed::new();
    let Some(disk) = Disk::mount(&bed) else {
        return;
    };
    bed.configure("schedule = \"* * * * * *\"");
    bed.emulator.add_fault(
        FaultRule::every(Fault::SlowAnswer(Duration::from_millis(400))).on("contacts/import"),
    );
    let mut service = bed.start(&on_disk(&["run"]));
    bed.wait_for_write_of("contacts/import");
    disk.fill();
    let failed = service.wait_for_line("A run failed");
    assert!(failed.contains("is full; make room"), "{failed}");
    let written = bed.writes().len();
    assert!(disk.journaled() >= written, "each has its entry");
    let status = bed.run(&on_disk(&["status"]));
    status.assert(0);
    assert!(
        status.out.starts_with("The service is running"),
        "{}",
        status.out
    );

    bed.emulator.clear_faults();
    disk.make_room();
    service.wait_for("The job is well again.");
    assert!(disk.journaled() >= bed.writes().len(), "each has its entry");
    assert!(service.ended().is_none(), "it goes on");
    service.signal("TERM");
    let (code, said) = service.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains('@'), "no address: {said}");
    bed.run(&on_disk(&["plan", JOB, "--detailed-exitcode"]))
        .assert(0);
    bed.assert_whole();
}

#[test]
fn whoever_starts_on_a_full_disk_is_told_to_make_room() {
    let bed = Bed::new();
    let Some(disk) = Disk::mount(&bed) else {
        return;
    };
    bed.configure("schedule = \"0 0 1 1 *\"");
    let told = |command: &[&str]| {
        let ended = bed.run(&on_disk(command));
        let said = ended.complaint(1);
        assert!(said.contains("make room"), "{command:?}: {said}");
    };
    disk.fill();
    told(&["sync", JOB]);
    told(&["run"]);
    bed.assert_unwritten();
    disk.make_room();
    // A database stands there, and no lock yet.
    bed.run(&on_disk(&["pause", JOB])).assert(0);
    bed.run(&on_disk(&["resume", JOB])).assert(0);
    disk.fill();
    told(&["sync", JOB]);
    told(&["run"]);
    bed.assert_unwritten();
    disk.make_room();
    bed.run(&on_disk(&["sync", JOB])).assert(0);
    disk.fill();
    told(&["sync", JOB]);
    disk.make_room();
    bed.assert_whole();
}

#[test]
fn a_run_whose_requests_could_not_be_counted_did_not_go_well() {
    let bed = Bed::new();
    bed.sync();
    // The disk gets full at the very end.
    let full = "CREATE TRIGGER full BEFORE INSERT ON request_counts BEGIN SELECT RAISE(ABORT, 'full'); END";
    let connection = Connection::open(bed.path("rosterd.db")).unwrap();
    connection.execute_batch(full).unwrap();
    let ended = bed.run(&["sync", JOB]);
    ended.assert(1);
    assert!(
        ended.err.contains("error: the state database"),
        "{}",
        ended.err
    );
    let history = bed.line("history --format json").json(&["runs"]);
    assert_eq!(history["runs"][0]["outcome"], "failed", "{history}");
    connection.execute_batch("DROP TRIGGER full").unwrap();
    bed.sync();
}
