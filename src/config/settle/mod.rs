//! From what was typed to what it means: defaults, relations between keys, and the checks that take
//! more than one of them.

mod creation;
mod cycles;
mod job;
mod lookup;
mod mapping;
mod notify;
mod overlap;
mod provider;
mod users;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::diagnostics::Sink;
use super::keys::{self, Side};
use super::raw::{Item, Section};
use super::settled::{Config, DaemonConfig, Secret, SecretSource, wildcard_matches};
use crate::model::ProviderKind;

pub(super) use creation::missing_defaults;
pub(super) use job::without_section;
use provider::Facts;
pub(super) use users::{lacks_users_as_contacts, why_users_leave};

/// What every check may look at.
struct Settling<'a> {
    /// The text of the file.
    text: &'a str,
    /// The directory of the file, which relative paths start from.
    directory: &'a Path,
    sink: &'a mut Sink,
}

impl Settling<'_> {
    fn path(&self, text: &str) -> PathBuf {
        self.directory.join(text)
    }

    fn secret(&self, section: &Section, name: &str) -> Option<Secret> {
        let source = match section.secret(name)? {
            SecretSource::File(path) => SecretSource::File(self.directory.join(path)),
            other => other,
        };
        Some(Secret::Source(source))
    }

    /// Reports the keys of a table that belong to accounts of other kinds, except where they stand
    /// at their default.
    fn check_kinds(&mut self, section: &Section, kinds: Kinds<'_>) {
        for (name, entry) in &section.entries {
            let Some(key) = section.key(name) else {
                continue;
            };
            let asked = match key.side {
                Side::Any => kinds.all,
                Side::Source => kinds.source,
                Side::Target => kinds.target,
            };
            if !asked.iter().any(|kind| key.is_of(*kind)) {
                let default = key
                    .default
                    .and_then(|default| super::read::default_item(default, key));
                if entry.item.is_some() && entry.item == default {
                    continue;
                }
                let as_what = match key.side {
                    Side::Any => "",
                    Side::Source => " as the source",
                    Side::Target => " as the target",
                };
                let message = format!(
                    "`{}.{name}` belongs to {}{as_what} only.",
                    section.path,
                    titles(key.kinds)
                );
                self.sink
                    .error(&entry.key_span, message, Some("leave it out".to_owned()));
            } else if let Some(Item::Table(inner)) = &entry.item {
                self.check_kinds(inner, kinds);
            }
        }
    }
}

/// The kinds of the accounts that a table is about.
#[derive(Clone, Copy)]
struct Kinds<'a> {
    all: &'a [ProviderKind],
    source: &'a [ProviderKind],
    target: &'a [ProviderKind],
}

impl<'a> Kinds<'a> {
    /// Makes the kinds of one account, which may leave open what counts as a group.
    fn of_account(all: &'a [ProviderKind]) -> Self {
        Kinds {
            all,
            source: all,
            target: all,
        }
    }

    /// Makes the kinds of a job: those of its source and of its target.
    fn of_job(sides: &'a [ProviderKind; 2]) -> Self {
        Kinds {
            all: sides,
            source: &sides[..1],
            target: &sides[1..],
        }
    }
}

/// Names kinds as people do, as a whole service where every kind of it is meant.
fn titles(kinds: &[ProviderKind]) -> String {
    let mut names: Vec<String> = Vec::new();
    for kind in kinds {
        let whole = ProviderKind::ALL
            .iter()
            .filter(|other| other.as_str() == kind.as_str())
            .all(|other| kinds.contains(other));
        let name = if whole {
            format!("{} accounts", kind.title())
        } else {
            kind.full_title().to_owned()
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(" and ")
}

/// Settles a whole file. The result is there only when no error was found.
pub(super) fn settle(root: &Section, text: &str, file: &Path, sink: &mut Sink) -> Option<Config> {
    let directory = file.parent().unwrap_or(Path::new(""));
    let before = sink.errors();
    let mut settling = Settling {
        text,
        directory,
        sink,
    };

    let mut facts: BTreeMap<String, Facts> = BTreeMap::new();
    let mut providers = BTreeMap::new();
    for (name, section) in root.tables("providers") {
        let (fact, provider) = provider::settle(&mut settling, &name.value, section);
        facts.insert(name.value.clone(), fact);
        if let Some(provider) = provider {
            provider::check_told_apart(&mut settling, &name.span, &provider, &providers);
            providers.insert(name.value.clone(), provider);
        }
    }
    if root.tables("providers").is_empty()
        && root
            .entry("providers")
            .is_none_or(|entry| entry.item.is_some())
    {
        settling.sink.warn(
            &(0..0),
            "The file names no provider.",
            Some("add a table such as [providers.crm] with a `kind`".to_owned()),
        );
    }

    let mut jobs = BTreeMap::new();
    let mut spans = BTreeMap::new();
    for (name, section) in root.tables("jobs") {
        jobs.extend(
            job::settle(&mut settling, &name.value, section, &facts)
                .map(|job| (name.value.clone(), job)),
        );
        spans.insert(name.value.clone(), name.span.clone());
    }
    let accounts = facts
        .iter()
        .filter_map(|(name, fact)| Some((name.clone(), fact.groups.clone()?)))
        .collect();
    cycles::check(&jobs, &accounts, &spans, settling.sink);

    let state = root.table("state");
    let state_path = settling.path(&state.text("path").unwrap_or_default());
    let retention = state.duration("retention");
    if retention.is_zero() {
        let hint = "write how long history shall be kept, such as \"400d\"";
        settling.sink.error(
            &state.span_of("retention"),
            "`state.retention` keeps no history.",
            Some(hint.to_owned()),
        );
    }
    let names: Vec<&str> = root
        .tables("jobs")
        .iter()
        .map(|(name, _)| name.value.as_str())
        .collect();
    let daemon = daemon(&mut settling, &root.table("daemon"), &names);
    let notify = notify::settle(&mut settling, &root.table("notify"));
    if settling.sink.errors() > before {
        return None;
    }
    let mut config = Config {
        path: file.to_path_buf(),
        state_path,
        retention,
        providers,
        jobs,
        daemon,
        notify,
    };
    config.name_accounts();
    Some(config)
}

fn daemon(settling: &mut Settling<'_>, section: &Section, names: &[&str]) -> DaemonConfig {
    let listen = match section.item("listen") {
        Some(Item::Listen(listen)) => Some(listen),
        _ => None,
    };
    if listen.is_some_and(|listen| !listen.ip().is_loopback())
        && section.entry("admin_token").is_none()
    {
        let hint = "add `admin_token`, or listen on 127.0.0.1";
        settling.sink.error(
            &section.span_of("listen"),
            format!(
                "`daemon.listen` is open to other machines, and `{}` is missing.",
                "daemon.admin_token"
            ),
            Some(hint.to_owned()),
        );
    }
    let jobs = section.texts("jobs");
    for pattern in jobs.iter().filter(|pattern| pattern.value.trim() != "*") {
        if !names
            .iter()
            .any(|name| wildcard_matches(&pattern.value, name))
        {
            settling.sink.warn(
                &pattern.span,
                format!(
                    "`daemon.jobs` names no job of the config by `{}`.",
                    pattern.value
                ),
                Some("write the name of a job, or a pattern with * and ?".to_owned()),
            );
        }
    }
    let hosts = section.texts("hosts");
    for host in hosts.iter().filter(|host| !is_host(&host.value)) {
        settling.sink.error(
            &host.span,
            format!(
                "`daemon.hosts` holds `{}`, and no request ever names a host like that.",
                host.value
            ),
            Some(
                "give the bare name or address, such as rosterd.example.org, one for each name"
                    .to_owned(),
            ),
        );
    }
    DaemonConfig {
        listen,
        hosts: hosts
            .into_iter()
            .map(|name| name.value.to_lowercase())
            .collect(),
        admin_token: settling.secret(section, "admin_token"),
        grace: section.duration("grace"),
        jobs: jobs.into_iter().map(|pattern| pattern.value).collect(),
    }
}

/// Tells whether a text is how a request names a host, without its port.
fn is_host(text: &str) -> bool {
    let letters =
        |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    text.chars().all(letters) || text.parse::<std::net::IpAddr>().is_ok()
}

/// Makes the table of a job in which nothing was typed.
fn empty_job(name: &str) -> Section {
    Section::empty(&super::raw::join("jobs", name), 0..0, keys::JOB)
}
