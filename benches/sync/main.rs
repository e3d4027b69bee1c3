//! What a whole run costs between its requests: CPU time, memory and the size of the state database.
//!
//! `cargo bench --bench sync -- 20000 100000` starts an emulator without rate limits in a process of
//! its own, once for each number of members, and runs the commands of a job from GreenRope to
//! emfluence against it, each in a process of its own. Without numbers it takes 1,000 and 2,000
//! members. Figures are of Linux, which tells them in `/proc`. The floor asks what a quiet sync
//! asks, with the same HTTP client, and decodes the answers without keeping anything ([`floor`]).
//!
//! On two cores shared with others, release build without link-time optimisation, each person in 1.7
//! groups on average, all of whom are read and written, by
//! `cargo bench --bench sync -- 20000 1000000`:
//!
//! | members / memberships | command | CPU s | µs a membership | of the floor | peak MB | goal |
//! |---|---|---|---|---|---|---|
//! | 20,000 / 33,766 | first sync | 5.3 | 158 | 18 | 126 | |
//! | 20,000 / 33,766 | quiet sync right after | 1.4 | 42 | 4.8 | 105 | |
//! | 20,000 / 33,766 | later quiet sync | 1.2 | 35 | 4.1 | 105 | |
//! | 20,000 / 33,766 | floor of reading both | 0.3 | 8.6 | 1 | 42 | |
//! | 20,000 / 33,766 | sync after a kill half way through the first | | 0.8 × the first sync | | 142 | |
//! | 20,000 / 33,766 | requests that both took beyond one whole run | 1 of 2,213 | | | | one batch |
//! | 100,000 / 168,889 | first sync | 28.2 | 167 | 21 | 241 | |
//! | 100,000 / 168,889 | later quiet sync | 7.5 | 44 | 5.6 | 170 | |
//! | 100,000 / 168,889 | floor of reading both | 1.3 | 7.9 | 1 | 46 | |
//! | 100,000 / 168,889 | `show` of the first run | 0.4 | 2.3: 1.1 × | 0.3 | 54 | 1.3 × |
//! | 1,000,000 / 1,689,044 | first sync | 316 | 187: 1.2 × that of the smaller account | 28 | 2,010 | 1.3 × the smaller, 4 × the floor |
//! | 1,000,000 / 1,689,044 | quiet sync right after | 73 | 43: 1.05 × | 6.6 | 616 | 1.3 ×, 1.6 × the floor, 400 MB |
//! | 1,000,000 / 1,689,044 | later quiet sync | 76 | 45: 1.3 × | 6.8 | 612 | as above |
//! | 1,000,000 / 1,689,044 | plan | 72 | 43: 1.15 × | 6.5 | 605 | as above |
//! | 1,000,000 / 1,689,044 | floor of reading both | 11.1 | 6.6 | 1 | 183 | |
//! | 1,000,000 / 1,689,044 | `status`, `history` | 0.00 | | | 19 | 50 ms |
//!
//! The emulator begins with 1,000,000 members within 5 s and in 569 MB, and takes 1.3 GB once the
//! target has all of them as well. What it has written for a long listing stays in a temporary file
//! until the account changes, so that a second reading costs it little: a group of 20,000 people takes
//! 0.15 s of its time, and 0.01 s from then on.
//!
//! Two measurements differ by up to a sixth. The peak of a first sync was measured again at 20,000 and
//! 100,000 members since its history is written as it goes (151 and 316 MB before), and not at 1,000,000.
//! The database has 655 bytes a membership with the history of the runs, and about 175 without it. Of a first sync's processor time SQLite takes 40 %, half of it for
//! the two transactions of each request, writing to emfluence 15 %, and reading GreenRope 13 %; of a
//! quiet sync's GreenRope's XML takes 40 %, emfluence's JSON 19 %, keeping the rows 16 %, and the plan
//! 8 %.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark takes the time, says what it measured, and stops where it can't"
)]

mod floor;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rosterd::emulate;
use rosterd::emulator::{Emulator, Seed, Settings, World};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use tokio::net::TcpListener;

/// A million members are many small allocations, and the system's allocator takes half of the time
/// that the emulator needs to answer; this is the one that the program itself has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The clock ticks of a second in `/proc`.
const TICKS: f64 = 100.0;

/// The argument that makes this program the emulator.
const EMULATOR: &str = "emulator";

/// The argument that makes this program the floor.
const FLOOR: &str = "floor";

/// The job of the benchmark.
const JOB: &str = "crm-to-mail";

fn main() {
    let sizes: Vec<usize> = std::env::args()
        .filter_map(|size| size.parse().ok())
        .collect();
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[1..] {
        [EMULATOR, _, recording] => return serve(sizes[0], recording.into()),
        [FLOOR, recording, base] => return floor::replay(recording.as_ref(), base),
        _ => {}
    }
    let sizes = if sizes.is_empty() {
        vec![1_000, 2_000]
    } else {
        sizes
    };
    println!(
        "| members / memberships | command | CPU s | µs a membership | of the floor | wall s | peak MB |"
    );
    println!("|---|---|---|---|---|---|---|");
    for members in sizes {
        measure(members);
    }
}

/// Serves two accounts, the first with so many members and the second nearly empty, as fast as it
/// can, and prints what [`emulate::introduction`] says of them. What is asked is written into
/// `recording` while that file exists.
fn serve(members: usize, recording: PathBuf) {
    let seed = Seed {
        members,
        groups: 100,
        ..Seed::default()
    };
    let mut world = World::seeded(&seed);
    for account in &mut world.accounts {
        account.settings = Settings {
            requests_per_minute: None,
            requests_per_second: None,
            ..Settings::of(account.kind)
        };
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let emulator = Emulator::new(world);
        let introduction = emulate::introduction(&emulator, listener.local_addr().unwrap());
        println!("{introduction}");
        let router = floor::recording(emulator.router(), recording);
        axum::serve(listener, router).await.unwrap();
    });
}

/// An emulator in a process of its own, and a configuration with a job between two of its accounts.
struct Stage {
    emulator: Child,
    directory: tempfile::TempDir,
    recording: PathBuf,
    introduction: Value,
}

impl Stage {
    fn of(members: usize) -> Stage {
        let directory = tempfile::tempdir().unwrap();
        let recording = directory.path().join("requests");
        let mut emulator = Command::new(std::env::current_exe().unwrap())
            .args([EMULATOR, &members.to_string()])
            .arg(&recording)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(emulator.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let introduction: Value = serde_json::from_str(&line).unwrap();
        let config = directory.path().join("rosterd.toml");
        fs::write(config, config_of(&introduction)).unwrap();
        Stage {
            emulator,
            directory,
            recording,
            introduction,
        }
    }

    fn rosterd(&self, arguments: &[&str]) -> Command {
        let secret = |account_name, key| {
            let secret = &account(&self.introduction, account_name)[key];
            secret.as_str().unwrap().to_owned()
        };
        let mut rosterd = Command::new(env!("CARGO_BIN_EXE_rosterd"));
        rosterd
            .arg("--config")
            .arg(self.directory.path().join("rosterd.toml"))
            .args(arguments)
            .env("CRM", secret("crm", "password"))
            .env("MAIL", secret("mail", "access_token"));
        rosterd
    }

    fn database(&self) -> PathBuf {
        self.directory.path().join("rosterd.db")
    }

    /// A number that the state database counts; nothing while it is being made.
    fn count(&self, query: &str) -> Option<u64> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = Connection::open_with_flags(self.database(), flags).ok()?;
        let count: i64 = connection.query_row(query, [], |row| row.get(0)).ok()?;
        Some(count.unsigned_abs())
    }

    /// How many requests that write are in the journal.
    fn written(&self) -> u64 {
        self.count("SELECT count(*) FROM journal").unwrap_or(0)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.emulator.kill().unwrap();
        self.emulator.wait().unwrap();
    }
}

/// Runs the commands of a job against an account of so many members.
fn measure(members: usize) {
    let stage = Stage::of(members);
    let mut memberships = 0;
    let mut requests = 0;
    let mut rows = Vec::new();
    for (title, arguments) in [
        ("first sync", ["sync", JOB].as_slice()),
        ("quiet sync right after", &["sync", JOB]),
        ("later quiet sync", &["sync", JOB]),
        ("plan", &["plan", JOB]),
        ("status", &["status"]),
        ("history", &["history"]),
        ("show", &["show"]),
    ] {
        let first = (title == "show").then(|| first_run(&stage.database()));
        let shown = ["show", first.as_deref().unwrap_or_default()];
        let arguments = if first.is_some() { &shown } else { arguments };
        // A plan asks what a quiet sync asks.
        if title == "plan" {
            fs::write(&stage.recording, "").unwrap();
        }
        let cost = Cost::of(stage.rosterd(arguments));
        if memberships == 0 {
            // As many as the job has brought or found.
            let brought = "SELECT count(*) FROM memberships";
            memberships = stage.count(brought).unwrap();
            requests = stage.written();
        }
        rows.push((title, cost));
        if title == "plan" {
            let asked = stage.directory.path().join("asked");
            fs::rename(&stage.recording, &asked).unwrap();
            let mut floor = Command::new(std::env::current_exe().unwrap());
            floor.arg(FLOOR).arg(asked).arg(origin(&stage.introduction));
            rows.push(("floor of reading both", Cost::of(floor)));
        }
    }
    let database = fs::metadata(stage.database()).unwrap().len();
    drop(stage);
    let (cost, repeated) = after_a_kill(members, requests);
    rows.push(("sync after a kill half way", cost));
    let floor = rows.iter().find(|(title, _)| title.starts_with("floor"));
    let floor = floor.map_or(f64::NAN, |(_, cost)| cost.cpu);
    for (title, cost) in rows {
        println!(
            "| {members} / {memberships} | {title} | {:.2} | {:.1} | {:.1} | {:.1} | {} |",
            cost.cpu,
            cost.cpu * 1e6 / memberships as f64,
            cost.cpu / floor,
            cost.wall.as_secs_f64(),
            cost.peak / 1024,
        );
    }
    println!(
        "| {members} / {memberships} | requests repeated after the kill | {repeated} of {requests} | | | | |"
    );
    println!(
        "| {members} / {memberships} | database | {} bytes a membership | | | | |",
        database / memberships.max(1)
    );
}

/// Kills a first sync once half of its `requests` are in the journal, and finishes it with another
/// run. Returns what that one cost, and how many requests both took more than one whole run.
fn after_a_kill(members: usize, requests: u64) -> (Cost, i64) {
    let stage = Stage::of(members);
    let mut killed = stage
        .rosterd(&["sync", JOB])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while stage.written() < requests / 2 {
        assert!(
            killed.try_wait().unwrap().is_none(),
            "it is half way before it ends"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    let cost = Cost::of(stage.rosterd(&["sync", JOB]));
    let repeated = stage.written().cast_signed() - requests.cast_signed();
    (cost, repeated)
}

/// An account of the emulator, as it introduces itself.
fn account<'a>(introduction: &'a Value, name: &str) -> &'a Value {
    let accounts = introduction["accounts"].as_array().unwrap();
    accounts
        .iter()
        .find(|account| account["account"] == name)
        .unwrap()
}

/// Where the emulator listens.
fn origin(introduction: &Value) -> String {
    let base = account(introduction, "crm")["base_url"].as_str().unwrap();
    base.split('/').take(3).collect::<Vec<_>>().join("/")
}

/// A job between two of the emulator's accounts, at no pace but that of the machine.
fn config_of(introduction: &Value) -> String {
    let (crm, mail) = (account(introduction, "crm"), account(introduction, "mail"));
    format!(
        "[providers.crm]\nkind = \"greenrope\"\nbase_url = {}\naccount_id = {}\nemail = {}\npassword = {{ env = \"CRM\" }}\nhttp = {{ requests_per_minute = 100000, concurrency = 4 }}\n\n\
         [providers.mail]\nkind = \"emfluence\"\nbase_url = {}\naccess_token = {{ env = \"MAIL\" }}\nhttp = {{ requests_per_minute = 100000, concurrency = 4 }}\n\n\
         [jobs.{JOB}]\nsource = \"crm\"\ntarget = \"mail\"\nmode = \"managed\"\n",
        crm["base_url"], crm["account_id"], crm["email"], mail["base_url"],
    )
}

/// The id of the first run.
fn first_run(database: &Path) -> String {
    let connection = Connection::open(database).unwrap();
    let first = "SELECT id FROM runs ORDER BY started LIMIT 1";
    connection.query_row(first, [], |row| row.get(0)).unwrap()
}

/// What a command cost.
struct Cost {
    /// Seconds of the processor, of the program and of the system for it.
    cpu: f64,
    wall: Duration,
    /// The most memory that was resident at once, in kilobytes.
    peak: u64,
}

impl Cost {
    fn of(mut command: Command) -> Cost {
        let began = Instant::now();
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut peak = 0;
        // A process that has ended and was not waited for still tells what it cost.
        while let Some(resident) = alive(&child) {
            peak = peak.max(resident);
            std::thread::sleep(Duration::from_millis(5));
        }
        let wall = began.elapsed();
        let cpu = processor_seconds(&child);
        let done = child.wait_with_output().unwrap();
        assert!(
            done.status
                .code()
                .is_some_and(|code| code == 0 || code == 4),
            "{command:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        Cost { cpu, wall, peak }
    }
}

/// The most memory that a process had so far, in kilobytes; nothing once it has ended.
fn alive(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let of = |key: &str| {
        let line = status.lines().find(|line| line.starts_with(key))?;
        line.split_whitespace().nth(1).map(str::to_owned)
    };
    if of("State:").is_some_and(|state| state == "Z") {
        return None;
    }
    Some(of("VmHWM:").and_then(|peak| peak.parse().ok()).unwrap_or(0))
}

/// The time of the processor that a process has taken, its own and the system's for it.
fn processor_seconds(child: &Child) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    // The name of the program stands in brackets and may hold anything.
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap()..]
        .split_whitespace()
        .collect();
    let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
    (ticks(12) + ticks(13)) / TICKS
}
