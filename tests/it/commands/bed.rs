//! A place to run the program in: a directory, an emulator on a loopback socket, and an environment
//! that holds nothing else.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use rosterd::emulator::{Account, Emulator, RequestRecord, World};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::{group_of, plain_world};

/// The job that the config of a bed holds.
pub(crate) const JOB: &str = "crm-to-mail";

/// The groups of the small world, and how the addresses of their people begin.
const GROUPS: [(&str, &str); 6] = [
    ("Donors", "donor"),
    ("Volunteers", "helper"),
    ("Board", "chair"),
    ("Press", "press"),
    ("Alumni", "alumna"),
    ("Friends", "friend"),
];

/// How long the program may take for anything before a test fails.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long to wait between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// Emulated accounts and a directory with a config for them.
pub(crate) struct Bed {
    pub(crate) emulator: Emulator,
    address: SocketAddr,
    directory: TempDir,
    _runtime: Runtime,
}

/// How a command ended.
#[must_use = "look at the exit code"]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A command that is still running.
pub(crate) struct Running {
    child: Child,
    err: BufReader<ChildStderr>,
    seen: String,
}

/// A world with six groups of ten people at `crm`, and nobody at `mail`.
pub(crate) fn small_world() -> World {
    let mut world = plain_world().without_pace();
    let crm = world.account_mut("crm");
    for (name, prefix) in GROUPS {
        group_of(crm, name, prefix, 10);
    }
    world
}

/// Gives a command every secret that a config takes from the environment or from a file beside it,
/// each another one.
pub(crate) fn with_secrets(bed: &Bed, mut command: Command, config: &str) -> Command {
    let named = |key: &str| -> Vec<String> {
        let key = format!("{{ {key} = \"");
        let lines = config.lines().map(str::trim);
        lines
            .filter(|line| !line.starts_with('#'))
            .flat_map(|line| line.split(key.as_str()).skip(1))
            .filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
            .collect()
    };
    for name in named("env") {
        command.env(&name, format!("secret of {name}"));
    }
    for file in named("file") {
        let path = bed.path(&file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, format!("secret of {file}")).unwrap();
    }
    command
}

/// Makes a directory that goes with the test, or one that is kept below the root that the
/// environment names, to be searched.
fn directory() -> TempDir {
    match std::env::var_os("ROSTERD_TEST_ROOT") {
        None => tempfile::tempdir().unwrap(),
        Some(root) => {
            let mut directory = tempfile::tempdir_in(root).unwrap();
            directory.disable_cleanup(true);
            directory
        }
    }
}

impl Bed {
    /// A bed over the small world, with a managed job from `crm` to `mail`.
    pub(crate) fn new() -> Bed {
        Bed::over(small_world())
    }

    /// A bed over any world with accounts `crm` and `mail`.
    pub(crate) fn over(world: World) -> Bed {
        let emulator = Emulator::new(world);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let served = emulator.clone();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            served
                .serve(listener, std::future::pending())
                .await
                .unwrap();
        });
        let bed = Bed {
            emulator,
            address,
            directory: directory(),
            _runtime: runtime,
        };
        std::fs::create_dir(bed.path("tmp")).unwrap();
        bed.configure("");
        bed
    }

    /// A bed over any world with an account `campaigns` as well: the config names its lists by that
    /// name, and its users as `staff`.
    pub(crate) fn with_campaigns(world: World) -> Bed {
        let bed = Bed::over(world);
        let mut config = bed.config("");
        for (name, groups) in [("campaigns", "lists"), ("staff", "user-groups")] {
            write!(
                config,
                r#"
[providers.{name}]
kind = "activecampaign"
base_url = "http://{}/activecampaign"
api_key = {{ env = "CAMPAIGNS_KEY" }}
groups = "{groups}"

[providers.{name}.http]
requests_per_minute = 60000
max_retries = 0
"#,
                bed.address
            )
            .unwrap();
        }
        bed.write("rosterd.toml", &config);
        bed
    }

    /// Writes the config: both accounts, the job, and more lines of the job.
    pub(crate) fn configure(&self, job: &str) {
        self.write("rosterd.toml", &self.config(job));
    }

    /// Returns the text of the config, with more lines of the job.
    pub(crate) fn config(&self, job: &str) -> String {
        let address = self.address;
        format!(
            r#"[providers.crm]
kind = "greenrope"
base_url = "http://{address}/greenrope/api-xml"
account_id = "45429"
email = "owner@crm.test"
password = {{ env = "CRM_PASSWORD" }}

[providers.crm.http]
max_retries = 0

[providers.mail]
kind = "emfluence"
base_url = "http://{address}/emfluence/v1"
access_token = {{ env = "MAIL_TOKEN" }}

[providers.mail.http]
requests_per_minute = 60000
max_retries = 0

[jobs.{JOB}]
source = "crm"
target = "mail"
mode = "managed"
{job}
"#
        )
    }

    /// Returns the path of a file of the bed.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// Reads a file.
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Returns the secrets of both logins.
    pub(crate) fn secrets(&self) -> [String; 2] {
        self.emulator.with_world(|world| {
            [
                world.account("crm").credentials().password,
                world.account("mail").credentials().token,
            ]
        })
    }

    /// Prepares the program, in an environment with both secrets and nothing of the machine.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rosterd"));
        command.args(arguments);
        self.surround(&mut command);
        command
    }

    /// Prepares a shell line in which `$ROSTERD` is the program.
    pub(crate) fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", line]);
        self.surround(&mut command);
        command.env("ROSTERD", env!("CARGO_BIN_EXE_rosterd"));
        command
    }

    fn surround(&self, command: &mut Command) {
        let [password, token] = self.secrets();
        let key = self.emulator.with_world(|world| {
            let campaigns = world.find_account("campaigns");
            campaigns.map(|account| account.credentials().token)
        });
        command
            .env_clear()
            .current_dir(self.directory.path())
            .env("HOME", self.directory.path())
            .env("TMPDIR", self.path("tmp"))
            .envs([
                ("PATH", "/usr/bin:/bin"),
                ("COLUMNS", "100"),
                ("NO_COLOR", "1"),
                ("TZ", "UTC"),
            ])
            .envs([("CRM_PASSWORD", password), ("MAIL_TOKEN", token)])
            .envs(key.map(|key| ("CAMPAIGNS_KEY", key)))
            .stdin(Stdio::null());
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.end(&mut self.command(arguments))
    }

    /// Runs a line of words, which hold no spaces themselves.
    pub(crate) fn line(&self, line: &str) -> Ended {
        self.run(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs a prepared command to its end; its text is free of what differs from run to run.
    pub(crate) fn end(&self, command: &mut Command) -> Ended {
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| {
            self.steady(&String::from_utf8(bytes).expect("the program prints text"))
        };
        Ended {
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    fn steady(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.directory.path().display()), "")
            .replace(&self.address.to_string(), "HOST")
    }

    /// Starts a command that stays up.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        self.start_command(&mut self.command(arguments))
    }

    /// Starts a prepared command that stays up.
    #[expect(clippy::unused_self, reason = "it lives no longer than its bed")]
    pub(crate) fn start_command(&self, command: &mut Command) -> Running {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let err = BufReader::new(child.stderr.take().unwrap());
        Running {
            child,
            err,
            seen: String::new(),
        }
    }

    /// Reads or edits an account.
    pub(crate) fn account<R>(&self, name: &str, work: impl FnOnce(&mut Account) -> R) -> R {
        self.emulator
            .with_world(|world| work(world.account_mut(name)))
    }

    /// Takes so many people out of a group at the source.
    pub(crate) fn leave(&self, group: &str, count: usize) {
        self.account("crm", |crm| {
            let id = crm.find_group(group).unwrap();
            let contacts: Vec<u64> = crm
                .members_of(id)
                .into_iter()
                .map(|(contact, _)| contact)
                .take(count)
                .collect();
            assert_eq!(contacts.len(), count, "there are enough people");
            for contact in contacts {
                crm.leave(id, contact);
            }
        });
    }

    /// How many people a group of an account has.
    pub(crate) fn size(&self, account: &str, group: &str) -> usize {
        self.account(account, |account| {
            account
                .find_group(group)
                .map_or(0, |id| account.members_of(id).len())
        })
    }

    /// The requests that wrote, or tried to.
    pub(crate) fn writes(&self) -> Vec<RequestRecord> {
        self.emulator
            .requests()
            .into_iter()
            .filter(|request| request.is_write)
            .collect()
    }

    /// Fails when anything was written at a provider.
    pub(crate) fn assert_unwritten(&self) {
        assert_eq!(self.writes(), [], "nothing is written");
    }

    /// Waits until a provider has received a request that writes by this operation.
    pub(crate) fn wait_for_write_of(&self, operation: &str) {
        let mut looks = PATIENCE.as_millis() / LOOK.as_millis();
        while !self
            .writes()
            .iter()
            .any(|write| write.operation == operation)
        {
            assert!(looks > 0, "no {operation} came");
            looks -= 1;
            std::thread::park_timeout(LOOK);
        }
    }

    /// Waits until an account has received a request.
    pub(crate) fn wait_for_request_to(&self, account: &str) {
        let mut looks = PATIENCE.as_millis() / LOOK.as_millis();
        while !self
            .emulator
            .requests()
            .iter()
            .any(|request| request.account == account)
        {
            assert!(looks > 0, "no request to {account} came");
            looks -= 1;
            std::thread::park_timeout(LOOK);
        }
    }

    /// Returns the id of the newest run.
    pub(crate) fn newest_run(&self) -> String {
        let history = self.line("history --format json").json(&["runs"]);
        history["runs"][0]["run"].as_str().unwrap().to_owned()
    }

    /// Waits until a provider has received a request that writes.
    pub(crate) fn wait_for_write(&self) {
        // The request arrives in another process's time, so this one looks until it is there.
        let mut looks = PATIENCE.as_millis() / LOOK.as_millis();
        while self.writes().is_empty() {
            assert!(looks > 0, "no request that writes came");
            looks -= 1;
            std::thread::park_timeout(LOOK);
        }
    }

    /// Runs the job to its end, which must be a good one.
    pub(crate) fn sync(&self) {
        self.run(&["sync", JOB]).assert(0);
    }

    /// Fails unless `mail` holds the small world once: nothing lost, and nothing made twice.
    pub(crate) fn assert_whole(&self) {
        self.account("mail", |mail| {
            for (name, _) in GROUPS {
                assert_eq!(
                    mail.groups
                        .values()
                        .filter(|group| group.name == name)
                        .count(),
                    1,
                    "{name}"
                );
            }
            assert_eq!(mail.contacts.len(), 60);
        });
        for (name, _) in GROUPS {
            assert_eq!(self.size("mail", name), 10, "{name}");
        }
    }

    /// Fails unless the next plan is empty.
    pub(crate) fn assert_settled(&self) {
        self.run(&["plan", JOB, "--detailed-exitcode"]).assert(0);
    }
}

impl Ended {
    /// Fails unless the command ended with this code.
    pub(crate) fn assert(&self, code: i32) {
        assert_eq!(self.code, Some(code), "\n{}\n{}", self.out, self.err);
    }

    /// Fails unless the command ended with this code, printed no result, and said one thing only;
    /// returns what it said.
    pub(crate) fn complaint(&self, code: i32) -> &str {
        self.assert(code);
        assert_eq!(self.out, "", "a failure prints no result");
        assert_eq!(
            self.err
                .lines()
                .filter(|line| line.starts_with("error: "))
                .count(),
            1,
            "one message, not several:\n{}",
            self.err
        );
        &self.err
    }

    /// Reads the result as JSON, which must have these keys and a version.
    pub(crate) fn json(&self, keys: &[&str]) -> serde_json::Value {
        let value: serde_json::Value =
            serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}\n{}", self.out));
        assert_eq!(value["version"], 1, "{}", self.out);
        assert_keys(&value, keys);
        value
    }
}

/// Fails unless an object has these keys.
pub(crate) fn assert_keys(value: &serde_json::Value, keys: &[&str]) {
    for key in keys {
        assert!(value.get(key).is_some(), "no key {key} in {value}");
    }
}

impl Running {
    /// Waits for a line on standard error.
    pub(crate) fn wait_for(&mut self, text: &str) {
        self.wait_for_line(text);
    }

    /// Waits for a line on standard error and returns it.
    pub(crate) fn wait_for_line(&mut self, text: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.err.read_line(&mut line).unwrap();
            assert_ne!(
                read, 0,
                "the program ended without saying {text:?}:\n{}",
                self.seen
            );
            self.seen += &line;
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Returns the number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success(), "the process still runs");
    }

    /// Looks whether it has ended, and waits a moment where it has not; returns the exit code and
    /// what was said.
    pub(crate) fn ended(&mut self) -> Option<(Option<i32>, String)> {
        let Some(status) = self.child.try_wait().unwrap() else {
            std::thread::park_timeout(LOOK);
            return None;
        };
        std::io::Read::read_to_string(&mut self.err, &mut self.seen).unwrap();
        Some((status.code(), std::mem::take(&mut self.seen)))
    }

    /// Waits for the end and returns the exit code and what was said on standard error.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        std::io::Read::read_to_string(&mut self.err, &mut self.seen).unwrap();
        let status = self.child.wait().unwrap();
        (status.code(), std::mem::take(&mut self.seen))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that fails half-way leaves no process behind; one that has ended can't be killed,
        // which is fine.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
