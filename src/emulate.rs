//! `rosterd emulate`: the emulated providers as a server of their own.

use std::fmt::Write as _;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::json;
use tokio::net::TcpListener;

use crate::emulator::{Account, Emulator, FaultRule, Kind, Seed, World};
use crate::signals;

/// How the server is asked for.
#[derive(Clone, Debug)]
pub struct EmulateOptions {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What the made-up data depends on.
    pub seed: u64,
    /// How many groups the filled account gets.
    pub groups: usize,
    /// How many people the filled account gets.
    pub members: usize,
    /// A JSON file with fault rules, one or a list.
    pub faults: Option<PathBuf>,
    /// Where a config is written that points at the emulated accounts.
    pub config: Option<PathBuf>,
}

/// Prints one line of JSON with base URLs and test credentials, and serves until it is interrupted
/// or terminated.
///
/// # Errors
/// A fault file that can't be read, and an address that can't be listened on.
pub async fn run(options: &EmulateOptions, out: &mut dyn Write) -> anyhow::Result<()> {
    let emulator = Emulator::new(World::seeded_all(
        "crm",
        &Seed {
            seed: options.seed,
            groups: options.groups,
            members: options.members,
        },
    ));
    if let Some(path) = &options.faults {
        read_faults(path)?
            .into_iter()
            .for_each(|rule| emulator.add_fault(rule));
    }
    let mut signals = signals::Signals::listen()?;
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("the emulator can't listen on {}", options.listen))?;
    let introduction = introduction(&emulator, listener.local_addr()?);
    if let Some(path) = &options.config {
        write_config(path, &introduction)?;
    }
    writeln!(out, "{introduction}")?;
    out.flush()?;
    emulator
        .serve(listener, async move { signals.stop().await })
        .await
        .context("the emulator can't take connections any more")
}

/// Writes a config with a provider for each emulated account and a job for the first pair, and the
/// logins into files beside it. Neither replaces anything.
fn write_config(path: &Path, introduction: &serde_json::Value) -> anyhow::Result<()> {
    anyhow::ensure!(
        !path.exists(),
        "{} exists already, and is left as it is: name another file",
        path.display()
    );
    let mut secrets = path.as_os_str().to_owned();
    secrets.push(".secrets");
    let secrets = PathBuf::from(secrets);
    let made = std::fs::create_dir(&secrets);
    made.with_context(|| format!("the directory {} can't be made", secrets.display()))?;
    let directory = secrets.file_name().unwrap_or_default().to_string_lossy();
    let mut config = String::from(
        "# The emulated accounts of `rosterd emulate`: made-up people, and logins that open nothing else.\n",
    );
    for account in introduction["accounts"].as_array().into_iter().flatten() {
        let text = |key: &str| account[key].as_str().unwrap_or_default();
        let (name, kind) = (text("account"), text("kind"));
        let (key, secret) = match kind {
            "greenrope" => ("password", text("password")),
            "emfluence" => ("access_token", text("access_token")),
            _ => ("api_key", text("api_key")),
        };
        let file = secrets.join(name);
        keep_secret(&file, secret)
            .with_context(|| format!("the file {} can't be written", file.display()))?;
        let more = match kind {
            "greenrope" => {
                let login = format!(
                    "account_id = \"{}\"\nemail = \"{}\"\n",
                    text("account_id"),
                    text("email")
                );
                (login, DEFAULTS_GREENROPE)
            }
            "emfluence" => (String::new(), ""),
            _ => ("groups = \"lists\"\n".to_owned(), DEFAULTS_LISTS),
        };
        let (login, defaults) = more;
        let defaults = defaults.replace("NAME", name);
        write!(
            config,
            "\n[providers.{name}]\nkind = \"{kind}\"\nbase_url = \"{}\"\n{login}{key} = {{ file = \"{directory}/{name}\" }}\n{defaults}",
            text("base_url")
        )?;
    }
    config.push_str("\n[jobs.crm-to-mail]\nsource = \"crm\"\ntarget = \"mail\"\n");
    let made =
        std::fs::File::create_new(path).and_then(|mut file| file.write_all(config.as_bytes()));
    made.with_context(|| format!("the config {} can't be written", path.display()))
}

/// Writes a file that only its owner can read.
fn keep_secret(path: &Path, secret: &str) -> std::io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(secret.as_bytes())?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    Ok(())
}

/// What a group takes that is created at GreenRope.
const DEFAULTS_GREENROPE: &str = "
[providers.NAME.defaults]
sender_name = \"Example Society\"
sender_email = \"news@example.org\"
postal_address = \"1 Example Street, Springfield, IL, 62701, USA\"
time_zone = \"America/Chicago\"
";

/// What a list takes that is created at ActiveCampaign.
const DEFAULTS_LISTS: &str = "
[providers.NAME.defaults]
sender_name = \"Example Society\"
sender_addr1 = \"1 Example Street\"
sender_city = \"Springfield\"
sender_zip = \"62701\"
sender_country = \"USA\"
sender_url = \"https://www.example.org\"
sender_reminder = \"You signed up at www.example.org\"
";

/// Reads the fault rules of a file, one or a list.
///
/// # Errors
/// A file that can't be read, or that holds something else.
pub fn read_faults(path: &Path) -> anyhow::Result<Vec<FaultRule>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the fault file {} can't be read", path.display()))?;
    let value: serde_json::Value = serde_json::from_str(&text)
        .with_context(|| format!("the fault file {} is not JSON", path.display()))?;
    let rules = if value.is_array() {
        serde_json::from_value(value)
    } else {
        serde_json::from_value(value).map(|rule| vec![rule])
    };
    rules.with_context(|| {
        format!(
            "the fault file {} does not hold fault rules",
            path.display()
        )
    })
}

/// What a program needs to use the emulated accounts, on one line.
pub fn introduction(emulator: &Emulator, address: SocketAddr) -> serde_json::Value {
    let account = |account: &Account| {
        let credentials = account.credentials();
        let base_url = format!("http://{address}{}", credentials.base_path);
        let common = json!({"account": account.name, "kind": account.kind, "base_url": base_url});
        let login = match account.kind {
            Kind::Emfluence => json!({"access_token": credentials.token}),
            Kind::ActiveCampaign => json!({"api_key": credentials.token}),
            Kind::GreenRope => json!({
                "account_id": credentials.account_id, "email": credentials.email,
                "password": credentials.password, "auth_token": credentials.token,
            }),
        };
        merged(common, login)
    };
    let accounts: Vec<_> =
        emulator.with_world(|world| world.accounts.iter().map(account).collect());
    json!({"listen": address.to_string(), "control": format!("http://{address}/_emulator"), "accounts": accounts})
}

fn merged(mut left: serde_json::Value, right: serde_json::Value) -> serde_json::Value {
    if let (Some(left), serde_json::Value::Object(right)) = (left.as_object_mut(), right) {
        left.extend(right);
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_account_is_introduced_with_its_address_and_login() {
        let emulator = Emulator::new(World::seeded(&Seed {
            groups: 1,
            members: 1,
            ..Seed::default()
        }));
        let line = introduction(&emulator, "127.0.0.1:8099".parse().unwrap());
        assert_eq!(line["control"], "http://127.0.0.1:8099/_emulator");
        let accounts = line["accounts"].as_array().unwrap();
        let named: Vec<_> = accounts
            .iter()
            .map(|account| account["account"].as_str().unwrap())
            .collect();
        assert_eq!(named, ["crm", "mail", "crm2", "mail2"]);
        assert_eq!(
            accounts[0]["base_url"],
            "http://127.0.0.1:8099/greenrope/api-xml"
        );
        assert_eq!(accounts[0]["account_id"], "45429");
        assert_eq!(
            accounts[1]["base_url"],
            "http://127.0.0.1:8099/emfluence/v1"
        );
        assert!(accounts[1]["access_token"].is_string() && accounts[1].get("password").is_none());
        assert!(!line.to_string().contains('\n'));
    }

    #[test]
    fn a_config_that_is_written_is_sound_and_replaces_nothing() {
        let emulator = Emulator::new(World::seeded_all("crm", &Seed::default()));
        let line = introduction(&emulator, "127.0.0.1:8099".parse().unwrap());
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rosterd.toml");
        write_config(&path, &line).unwrap();
        let (config, warnings) = crate::config::load(&path).unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        assert_eq!(config.providers.len(), 6);
        for (from, to) in [("crm", "mail"), ("mail", "campaigns"), ("campaigns", "crm")] {
            assert!(
                config.jobs.contains_key(&format!("{from}-to-{to}"))
                    || crate::config::implicit_job(&config, from, to).is_ok()
            );
        }
        for (_, secret) in config.secrets() {
            secret.fetch("here").unwrap();
        }
        assert!(write_config(&path, &line).is_err());
    }

    #[test]
    fn a_fault_file_holds_one_rule_or_several() {
        let directory = tempfile::tempdir().unwrap();
        let rule = serde_json::to_value(FaultRule::every(crate::emulator::Fault::ServerError(503)));
        let rule = rule.unwrap();
        let path = directory.path().join("faults.json");
        for (text, expected) in [
            (rule.to_string(), Some(1)),
            (json!([rule, rule]).to_string(), Some(2)),
            ("[{}]".to_owned(), None),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read_faults(&path).ok().map(|rules| rules.len()), expected);
        }
        let error = read_faults(&directory.path().join("none"))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("the fault file") && error.ends_with("can't be read"),
            "{error}"
        );
    }
}
