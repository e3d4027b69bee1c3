//! The emulated accounts, the config that names them, and the runner over both.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use jiff::Timestamp;
use tempfile::TempDir;

use crate::config;
use crate::emulator::{Account, Credentials, Emulator, Kind, Seed, World};
use crate::http::Transport;
use crate::run::{Runner, RunnerOptions};
use crate::state::Store;

/// The job from the CRM to the mailer.
pub(super) const ONWARD: &str = "crm-to-mail";
/// The job from the mailer to the lists.
pub(super) const LISTS: &str = "mail-to-campaigns";
/// The job from the lists to a second account of the mailer.
pub(super) const BACK: &str = "campaigns-to-mail2";

/// The groups that go on to the lists and back, under whatever longer name they get.
const PASSED_ON: [&str; 3] = ["Donors", "2024", "日本の友"];

/// Tells whether a group goes on to the lists and back.
pub(super) fn is_passed_on(name: &str) -> bool {
    PASSED_ON.iter().any(|start| name.starts_with(start))
}

/// The jobs of the demo. Opt-outs are carried wherever they can be, which is the default.
fn jobs() -> String {
    let include: Vec<String> = PASSED_ON
        .iter()
        .map(|name| format!("\"{name}*\""))
        .collect();
    let include = include.join(", ");
    format!(
        r#"
[jobs.crm-to-mail]
source = "crm"
target = "mail"
schedule = "*/15 * * * *"
mode = "managed"

[jobs.crm-to-mail.map.group]
notes = "'GreenRope group ' ~ source.id"

[jobs.mail-to-campaigns]
source = "mail"
target = "campaigns"
schedule = "5/15 * * * *"
mode = "managed"

[jobs.mail-to-campaigns.groups]
include = [{include}]

[jobs.mail-to-campaigns.members]
removal = "unsubscribe"           # all that a list shows of somebody who left; rosterd remembers that it was no refusal

[jobs.campaigns-to-mail2]
source = "campaigns"
target = "mail2"
schedule = "@daily"
mode = "managed"

[jobs.campaigns-to-mail2.groups]
include = [{include}]
"#
    )
}

/// What the story is played on. The directory goes when this is dropped.
pub(super) struct Stage {
    pub(super) emulator: Emulator,
    pub(super) runner: Runner,
    pub(super) config_path: PathBuf,
    directory: TempDir,
}

impl Stage {
    /// Sets up accounts, config and state; `base` is where the accounts answer.
    pub(super) fn build(base: &str, size: &Seed) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("rosterd-demo-")
            .tempdir()
            .context("the demo needs a temporary directory")?;
        let mut world = World::seeded_all("crm", size).without_pace();
        for account in &mut world.accounts {
            // Whoever watches need not wait for a queue.
            account.settings.activecampaign.background_seconds = 0;
        }
        let emulator = Emulator::new(world);
        let config_path = write_config(&emulator, base, directory.path())?;
        let (config, _) = config::load(&config_path)?;
        let store = Store::open(&config.state_path, Timestamp::now())?;
        let options = RunnerOptions {
            transport: Some(Transport::Local(emulator.router())),
            ..RunnerOptions::default()
        };
        let runner = Runner::new(Arc::new(config), Arc::new(store), options);
        Ok(Self {
            emulator,
            runner,
            config_path,
            directory,
        })
    }

    /// Adds a status page to the config, with the token that signs in.
    pub(super) fn add_page(&self, address: SocketAddr, token: &str) -> anyhow::Result<()> {
        write_private(&self.directory().join("admin.secret"), token)?;
        let section = format!(
            "\n[daemon]\nlisten = \"{address}\"\nadmin_token = {{ file = \"admin.secret\" }}\n"
        );
        let added = OpenOptions::new()
            .append(true)
            .open(&self.config_path)
            .and_then(|mut file| file.write_all(section.as_bytes()));
        added.with_context(|| format!("{} can't be written", self.config_path.display()))
    }

    /// Returns where config, secrets, state and saved plans are.
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

/// Writes a config for the emulated accounts, with each secret in a file of its own, and returns
/// its path.
pub(super) fn write_config(
    emulator: &Emulator,
    base: &str,
    directory: &Path,
) -> anyhow::Result<PathBuf> {
    let accounts: Vec<Credentials> =
        emulator.with_world(|world| world.accounts.iter().map(Account::credentials).collect());
    let mut text = "# Made by `rosterd demo`: everything in it is made up.\n\n[state]\npath = \"rosterd.db\"\n".to_owned();
    for account in &accounts {
        let lines = match account.kind {
            Kind::GreenRope => greenrope(account),
            Kind::Emfluence => emfluence(account),
            Kind::ActiveCampaign => activecampaign(account),
        };
        write_private(
            &directory.join(format!("{}.secret", account.account)),
            secret(account),
        )?;
        let name = &account.account;
        let section = format!(
            "\n[providers.{name}]\nkind = \"{}\"\nbase_url = \"{base}{}\"\n{lines}",
            account.kind, account.base_path
        );
        text.push_str(&section);
    }
    text.push_str(&jobs());
    let path = directory.join("rosterd.toml");
    write_private(&path, &text)?;
    Ok(path)
}

/// What an account is logged into with.
pub(super) fn secret(account: &Credentials) -> &str {
    match account.kind {
        Kind::GreenRope => &account.password,
        Kind::Emfluence | Kind::ActiveCampaign => &account.token,
    }
}

fn greenrope(account: &Credentials) -> String {
    format!(
        r#"account_id = "{}"
email = "{}"
password = {{ file = "{name}.secret" }}
http = {{ max_retries = 0 }}          # a page fails for good in the demo, and nobody need wait for that

[providers.{name}.defaults]
sender_name = "Example Society"
sender_email = "news@example.org"
postal_address = "1 Example Street, Springfield, IL, 62701, USA"
time_zone = "America/Chicago"
"#,
        account.account_id,
        account.email,
        name = account.account
    )
}

/// The emulated accounts take requests as fast as they come, so the pace of the real services would
/// only cost time.
const NO_PACE: &str = "# The emulated account has no pace; leave this out with a real one.\nhttp = { requests_per_minute = 100000 }\n";

fn emfluence(account: &Credentials) -> String {
    format!(
        "access_token = {{ file = \"{name}.secret\" }}\n{NO_PACE}",
        name = account.account
    )
}

fn activecampaign(account: &Credentials) -> String {
    format!(
        r#"api_key = {{ file = "{name}.secret" }}
groups = "lists"
{NO_PACE}
[providers.{name}.defaults]
sender_name = "Example Society"
sender_addr1 = "1 Example Street"
sender_city = "Springfield"
sender_zip = "62701"
sender_country = "USA"
sender_url = "https://www.example.org"
sender_reminder = "You signed up at www.example.org"
"#,
        name = account.account
    )
}

fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("{} can't be written", path.display()))
}
