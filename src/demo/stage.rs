//! The emulated accounts, the config that names them, and the runner over both.

use std::fs::OpenOptions;
use std::io::Write as _;
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
/// The job from the mailer to a second CRM account.
pub(super) const BACKWARD: &str = "mail-to-crm2";

/// The jobs of the demo. Group opt-outs are carried wherever they can be, which is the default.
const JOBS: &str = r#"
[jobs.crm-to-mail]
source = "crm"
target = "mail"
schedule = "*/15 * * * *"
mode = "managed"

[jobs.crm-to-mail.map.group]
notes = "'GreenRope group ' ~ source.id"

[jobs.mail-to-crm2]
source = "mail"
target = "crm2"
schedule = "@daily"
mode = "managed"
"#;

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
        let directory = tempfile::Builder::new().prefix("rosterd-demo-").tempdir().context("the demo needs a temporary directory")?;
        let emulator = Emulator::new(World::seeded(size).without_pace());
        let config_path = write_config(&emulator, base, directory.path())?;
        let (config, _) = config::load(&config_path)?;
        let store = Store::open(&config.state_path, Timestamp::now())?;
        let options = RunnerOptions { transport: Some(Transport::Local(emulator.router())), ..RunnerOptions::default() };
        let runner = Runner::new(Arc::new(config), Arc::new(store), options);
        Ok(Self { emulator, runner, config_path, directory })
    }

    /// Returns where config, secrets and state are.
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

/// Writes a config for the emulated accounts, with each secret in a file of its own, and returns its path.
pub(super) fn write_config(emulator: &Emulator, base: &str, directory: &Path) -> anyhow::Result<PathBuf> {
    let accounts: Vec<Credentials> = emulator.with_world(|world| world.accounts.iter().map(Account::credentials).collect());
    let mut text = "# Made by `rosterd demo`: everything in it is made up.\n\n[state]\npath = \"rosterd.db\"\n".to_owned();
    for account in &accounts {
        let (secret, lines) = match account.kind {
            Kind::GreenRope => (&account.password, greenrope(account)),
            Kind::Emfluence => (&account.token, emfluence(account)),
            Kind::ActiveCampaign => (&account.token, activecampaign(account)),
        };
        write_private(&directory.join(format!("{}.secret", account.account)), secret)?;
        let name = &account.account;
        let section = format!("\n[providers.{name}]\nkind = \"{}\"\nbase_url = \"{base}{}\"\n{lines}", account.kind, account.base_path);
        text.push_str(&section);
    }
    text.push_str(JOBS);
    let path = directory.join("rosterd.toml");
    write_private(&path, &text)?;
    Ok(path)
}

fn greenrope(account: &Credentials) -> String {
    format!(
        r#"account_id = "{}"
email = "{}"
password = {{ file = "{name}.secret" }}

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

/// The lists of an emulated account.
fn activecampaign(account: &Credentials) -> String {
    format!(
        r#"groups = "lists"
api_key = {{ file = "{name}.secret" }}
# The emulated account has no pace; leave this out with a real one.
http = {{ requests_per_minute = 100000 }}

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

/// The emulated account takes requests as fast as they come, so the pace of the real service would only cost time.
fn emfluence(account: &Credentials) -> String {
    format!(
        "access_token = {{ file = \"{name}.secret\" }}\n\
         # The emulated account has no pace; leave this out with a real one.\n\
         http = {{ requests_per_minute = 100000 }}\n",
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
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("{} can't be written", path.display()))
}
