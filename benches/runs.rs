//! Whether memory and the state database stay as they are over thousands of runs.
//!
//! `cargo bench --bench runs -- 2000` makes so many runs of a small job in one process, against an
//! emulator in a process of its own, with one person joining or leaving before each of them. Its clock
//! is six hours later each time, and history is kept for thirty days, so that housekeeping has its
//! part. It fails where the memory at the end is more than 1.1 times that after a tenth of the runs, or
//! where a table has grown by more than a tenth. Figures are of Linux, which tells them in `/proc`.
//!
//! Measured by `cargo build --bench runs` (the dev profile, without optimisation) and
//! `target/debug/deps/runs-… 2000`, on two cores that others used as well:
//!
//! | runs | memory MB | peak MB | state database KiB | write-ahead log KiB | rows | ms a run |
//! |---|---|---|---|---|---|---|
//! | 200 | 50.4 | 53.2 | 472 | 16492 | 1097 | 227 |
//! | 1,000 | 52.2 | 53.2 | 472 | 16528 | 1097 | 181 |
//! | 2,000 | 50.7 | 53.2 | 472 | 16548 | 1097 | 232 |
//!
//! Memory at the end is 1.005 times that after 200 runs, and no table has another number of rows.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark says what it measured, and stops where it can't"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use axum::routing::post;
use jiff::{SignedDuration, Timestamp};
use rosterd::emulate;
use rosterd::emulator::{Account, Emulator, Kind, World};
use rosterd::run::{Runner, RunnerOptions, SyncOptions};
use rosterd::state::Store;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use tokio::net::TcpListener;

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The argument that makes this program the emulator.
const EMULATOR: &str = "emulator";

/// So many seconds pass between two runs.
const PERIOD: i64 = 6 * 3600;

/// For so many days history is kept.
const RETENTION_DAYS: i64 = 30;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|first| first == EMULATOR) {
        return serve();
    }
    let runs = arguments.iter().find_map(|number| number.parse().ok());
    measure(runs.unwrap_or(200));
}

/// Serves two small accounts, and has somebody join or leave a group at the first when `/change` is
/// asked for.
fn serve() {
    let mut world = World::empty();
    let crm = world.add_account(Account::new(Kind::GreenRope, "crm", 45_429));
    for name in ["Donors", "Friends", "Press"] {
        let group = crm.add_group(name);
        for number in 0..20 {
            let address = format!("{name}{number}@crm.test").to_lowercase();
            let contact = crm.add_person(&address, "Ana", "Silva");
            crm.join(group, contact);
        }
    }
    world.add_account(Account::new(Kind::Emfluence, "mail", 71_001));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let emulator = Emulator::new(world.without_pace());
        let introduction = emulate::introduction(&emulator, listener.local_addr().unwrap());
        println!("{introduction}");
        let changed = emulator.clone();
        let change = move || {
            let changed = changed.clone();
            async move {
                changed.with_world(|world| {
                    let crm = world.account_mut("crm");
                    let group = crm.find_group("Donors").unwrap();
                    let contact = crm.contact_by_email("donors0@crm.test").unwrap();
                    if !crm.leave(group, contact) {
                        crm.join(group, contact);
                    }
                });
            }
        };
        let router = emulator.router().route("/change", post(change));
        axum::serve(listener, router).await.unwrap();
    });
}

/// An emulator in a process of its own.
struct Stage {
    emulator: Child,
    introduction: Value,
}

impl Stage {
    fn new() -> Stage {
        let mut emulator = Command::new(std::env::current_exe().unwrap())
            .arg(EMULATOR)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(emulator.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        Stage {
            emulator,
            introduction: serde_json::from_str(&line).unwrap(),
        }
    }

    fn of(&self, account: &str, key: &str) -> &str {
        let accounts = self.introduction["accounts"].as_array().unwrap();
        let account = accounts.iter().find(|found| found["account"] == account);
        account.unwrap()[key].as_str().unwrap()
    }

    fn change(&self) {
        let url = url::Url::parse(self.of("crm", "base_url")).unwrap();
        let host = format!("127.0.0.1:{}", url.port().unwrap());
        let mut stream = TcpStream::connect(&host).unwrap();
        write!(
            stream,
            "POST /change HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.emulator.kill().ok();
        self.emulator.wait().ok();
    }
}

fn measure(runs: usize) {
    let stage = Stage::new();
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    fs::write(place("password"), stage.of("crm", "password")).unwrap();
    fs::write(place("token"), stage.of("mail", "access_token")).unwrap();
    let text = format!(
        "[state]\nretention = \"{RETENTION_DAYS}d\"\n\
         [providers.crm]\nkind = \"greenrope\"\nbase_url = \"{}\"\naccount_id = \"{}\"\nemail = \"{}\"\npassword = {{ file = \"password\" }}\n\
         [providers.mail]\nkind = \"emfluence\"\nbase_url = \"{}\"\naccess_token = {{ file = \"token\" }}\n\
         [providers.mail.http]\nrequests_per_minute = 60000\n\
         [jobs.crm-to-mail]\nsource = \"crm\"\ntarget = \"mail\"\nmode = \"managed\"\n",
        stage.of("crm", "base_url"),
        stage.of("crm", "account_id"),
        stage.of("crm", "email"),
        stage.of("mail", "base_url"),
    );
    let (config, _) = rosterd::config::parse(&text, &place("rosterd.toml")).unwrap();
    let seconds = Arc::new(AtomicI64::new(0));
    let clock = {
        let (began, seconds) = (Timestamp::now(), seconds.clone());
        move || began + SignedDuration::from_secs(seconds.load(Ordering::Relaxed))
    };
    let database = config.state_path.clone();
    let store = Arc::new(Store::open(&database, clock()).unwrap());
    let options = RunnerOptions {
        clock: Arc::new(clock),
        ..RunnerOptions::default()
    };
    let runner = Runner::new(Arc::new(config), store, options);

    println!(
        "| runs | memory MB | peak MB | state database KiB | write-ahead log KiB | rows | ms a run |"
    );
    println!("|---|---|---|---|---|---|---|");
    let mut began = Instant::now();
    let tenth = (runs / 10).max(1);
    let mut early = 0;
    let mut early_rows = BTreeMap::new();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    for run in 1..=runs {
        stage.change();
        let report = runtime
            .block_on(runner.sync("crm-to-mail", SyncOptions::default()))
            .unwrap();
        assert_eq!(report.outcome.as_str(), "done", "{:?}", report.error);
        assert!(
            report.requests.values().sum::<u64>() > 0,
            "somebody has joined or left"
        );
        seconds.fetch_add(PERIOD, Ordering::Relaxed);
        if run % tenth == 0 {
            let rows = rows(&database);
            println!(
                "| {run} | {:.1} | {:.1} | {} | {} | {} | {} |",
                memory("VmRSS:") as f64 / 1024.0,
                memory("VmHWM:") as f64 / 1024.0,
                kibibytes(&database),
                kibibytes(&database.with_extension("db-wal")),
                rows.values().sum::<u64>(),
                began.elapsed().as_millis() / tenth as u128,
            );
            if run == tenth {
                (early, early_rows) = (memory("VmRSS:"), rows);
            }
            began = Instant::now();
        }
    }
    let (late, late_rows) = (memory("VmRSS:"), rows(&database));
    println!(
        "Memory at the end is {:.3} of that after a tenth of the runs.",
        late as f64 / early as f64
    );
    let mut growing = Vec::new();
    for (table, after) in late_rows {
        let before = early_rows.get(&table).copied().unwrap_or_default();
        if before != after {
            println!("{table}: {before} rows, then {after}");
        }
        if after > before + before / 10 + 5 {
            growing.push(table);
        }
    }
    assert!(
        late * 10 <= early * 11,
        "memory grows: {early} to {late} KiB"
    );
    // Before that the history is not as long as it gets.
    if tenth as i64 * PERIOD > RETENTION_DAYS * 24 * 3600 {
        assert!(growing.is_empty(), "tables grow: {growing:?}");
    }
}

/// How many rows each table has.
fn rows(database: &Path) -> BTreeMap<String, u64> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = Connection::open_with_flags(database, flags).unwrap();
    let mut tables = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        .unwrap();
    let tables = tables.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let count = |table: String| {
        let count = format!("SELECT count(*) FROM \"{table}\"");
        let rows: i64 = connection.query_row(&count, [], |row| row.get(0)).unwrap();
        (table, rows as u64)
    };
    tables.map(|table| count(table.unwrap())).collect()
}

/// What this process has in memory now, or had at most, in KiB.
fn memory(key: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let words = line.unwrap().split_whitespace().next();
    words.unwrap().parse().unwrap()
}

fn kibibytes(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len() / 1024)
}
