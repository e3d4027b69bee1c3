//! The accounts.

use std::collections::BTreeMap;

use url::Url;

use super::Settling;
use crate::config::diagnostics::quoted;
use crate::config::keys;
use crate::config::raw::{Item, Section};
use crate::config::settled::{Credentials, Fingerprint, HttpConfig, ProviderConfig};
use crate::config::value::is_loopback;
use crate::model::ProviderKind;
use crate::provider::schema;

/// GreenRope takes so many requests at once, by the one published client that speaks of a limit.
const GREENROPE_CONCURRENCY: u64 = 4;

/// What the checks of jobs need to know of an account, even where its table is not sound.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// The kind, where it is one that this version speaks.
    pub(super) kind: Option<ProviderKind>,
    /// The kind as it was typed.
    pub(super) kind_word: Option<String>,
    /// What tells the account from others, where that is known.
    pub(super) account: Option<String>,
    /// The defaults for new groups.
    pub(super) defaults: BTreeMap<String, String>,
}

pub(super) fn settle(settling: &mut Settling<'_>, name: &str, section: &Section) -> (Facts, Option<ProviderConfig>) {
    let Some(word) = section.text("kind") else { return (Facts::default(), None) };
    let Some(kind) = ProviderKind::ALL.into_iter().find(|kind| kind.as_str() == word) else {
        let message =
            format!("`{}.kind` is ActiveCampaign, which this version can't speak: it speaks emfluence and GreenRope only.", section.path);
        settling.sink.error(&section.span_of("kind"), message, Some("take the provider and its jobs out for now".to_owned()));
        return (Facts { kind_word: Some(word), ..Facts::default() }, None);
    };
    settling.check_kinds(section, &[kind.as_str()]);
    let base_url = base_url(settling, section, kind);
    let credentials = credentials(settling, section, kind);
    let account_id = section.text("account_id").filter(|_| kind == ProviderKind::GreenRope);
    if kind == ProviderKind::GreenRope && section.entry("account_id").is_none() {
        lacks(settling, section, "account_id", "the number that GreenRope shows for the account");
    }
    let fingerprint = fingerprint(settling, section, kind);
    let defaults = defaults(settling, &section.table("defaults"), kind);
    // The pace is the service's own, which a rehearsal on this machine is not.
    let local = base_url.as_ref().is_some_and(is_loopback);
    let http = http(settling, &section.table("http"), kind, local);
    let provider = match (base_url, credentials) {
        (Some(base_url), Some(credentials)) => Some(ProviderConfig {
            name: name.to_owned(),
            kind,
            base_url,
            account_id,
            credentials,
            shared_access: section.boolean("shared_access"),
            parking_group: section.text("parking_group").map(|id| id.trim().to_owned()),
            fingerprint,
            defaults: defaults.clone(),
            http,
        }),
        _ => None,
    };
    let account = provider.as_ref().map(ProviderConfig::account_key);
    (Facts { kind: Some(kind), kind_word: Some(word), account, defaults }, provider)
}

fn lacks(settling: &mut Settling<'_>, section: &Section, key: &str, what: &str) {
    settling.sink.error(&section.span, format!("`{}` lacks `{key}`.", section.path), Some(format!("add {what}")));
}

fn base_url(settling: &mut Settling<'_>, section: &Section, kind: ProviderKind) -> Option<Url> {
    let Some(Item::Url(mut url)) = section.item_for("base_url", kind.as_str()) else { return None };
    let span = section.span_of("base_url");
    if url.query().is_some() || url.fragment().is_some() {
        let hint = "write the address without `?` and `#`".to_owned();
        settling.sink.error(&span, format!("`{}.base_url` has a query or a fragment.", section.path), Some(hint));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    if kind == ProviderKind::Emfluence && !path.ends_with("/v1") {
        let hint = "write the address up to the version, as in \"https://api.emailer.emfluence.com/v1\"".to_owned();
        settling.sink.error(&span, format!("`{}.base_url` does not end in `/v1`.", section.path), Some(hint));
    }
    Some(url)
}

fn credentials(settling: &mut Settling<'_>, section: &Section, kind: ProviderKind) -> Option<Credentials> {
    let typed = |name: &str| section.entry(name).is_some();
    if kind == ProviderKind::Emfluence {
        if !typed("access_token") {
            lacks(settling, section, "access_token", "access_token = { env = \"NAME\" } or { file = \"PATH\" }");
        }
        return settling.secret(section, "access_token").map(Credentials::AccessToken);
    }
    if !typed("email") {
        lacks(settling, section, "email", "the address of the login");
    }
    match (typed("password"), typed("auth_token")) {
        (true, true) => {
            let message = format!("`{}` has both `password` and `auth_token`.", section.path);
            settling.sink.error(&section.entry("auth_token")?.key_span, message, Some("keep one of them".to_owned()));
            return None;
        }
        (false, false) => lacks(settling, section, "password", "password = { env = \"NAME\" } or { file = \"PATH\" }, or `auth_token`"),
        _ => {}
    }
    let email = section.text("email")?;
    let password = settling.secret(section, "password").map(|password| Credentials::Password { email: email.clone(), password });
    password.or_else(|| settling.secret(section, "auth_token").map(|token| Credentials::AuthToken { email, token }))
}

fn fingerprint(settling: &mut Settling<'_>, section: &Section, kind: ProviderKind) -> Option<Fingerprint> {
    let Some(Item::Table(table)) = section.given("fingerprint") else { return None };
    if kind != ProviderKind::Emfluence {
        return None;
    }
    let (group_name, external_id) = (table.text("group_name"), table.text("external_id"));
    if table.entry("group_name").is_none() && table.entry("external_id").is_none() {
        let message = format!("`{}` proves little: another account may have a group of the same id.", table.path);
        settling.sink.warn(&table.span, message, Some("add `group_name` or `external_id`".to_owned()));
    }
    Some(Fingerprint { group_id: table.text("group_id")?, group_name, external_id })
}

/// Holds the defaults against the provider's own field table.
fn defaults(settling: &mut Settling<'_>, section: &Section, kind: ProviderKind) -> BTreeMap<String, String> {
    let mut defaults = BTreeMap::new();
    for key in keys::DEFAULTS.iter().filter(|key| key.kinds.contains(&kind.as_str())) {
        let Some(value) = section.text(key.name) else { continue };
        let span = section.span_of(key.name);
        let Some(field) = schema(kind).groups.iter().find(|field| field.default_key == Some(key.name)) else {
            defaults.insert(key.name.to_owned(), value);
            continue;
        };
        if let Some(most) = field.max_length.filter(|most| value.chars().count() > *most) {
            let message = format!("`{}.{}` is longer than the {most} characters that {} takes.", section.path, key.name, kind.title());
            settling.sink.error(&span, message, Some("shorten it".to_owned()));
        }
        let word = |(wire, canonical): &(&'static str, &'static str)| {
            (wire.eq_ignore_ascii_case(value.trim()) || canonical.eq_ignore_ascii_case(value.trim())).then_some(*wire)
        };
        match field.values.iter().find_map(word) {
            Some(wire) => {
                defaults.insert(key.name.to_owned(), wire.to_owned());
            }
            None if field.values.is_empty() => {
                defaults.insert(key.name.to_owned(), value);
            }
            None => {
                let words = field.values.iter().map(|(wire, _)| format!("`{wire}`")).collect::<Vec<_>>().join(", ");
                let message = format!("`{}.{}` can't be {}.", section.path, key.name, quoted(&value));
                settling.sink.error(&span, message, Some(format!("{} takes {words}", kind.title())));
            }
        }
    }
    defaults
}

fn http(settling: &mut Settling<'_>, section: &Section, kind: ProviderKind, local: bool) -> HttpConfig {
    let number = |name: &str| match section.item_for(name, kind.as_str()) {
        Some(Item::Integer(number)) => Some(number),
        _ => None,
    };
    let concurrency = number("concurrency").unwrap_or(1);
    if kind == ProviderKind::GreenRope && concurrency > GREENROPE_CONCURRENCY {
        let message =
            format!("`{}.concurrency` is {concurrency}, and GreenRope takes {GREENROPE_CONCURRENCY} requests at once.", section.path);
        settling.sink.error(&section.span_of("concurrency"), message, Some(format!("write {GREENROPE_CONCURRENCY} or less")));
    }
    let pace = number("requests_per_minute").map(|pace| u32::try_from(pace).unwrap_or(u32::MAX));
    if kind == ProviderKind::Emfluence && !local && pace.is_some_and(|pace| pace > 100) {
        let message =
            format!("`{}.requests_per_minute` is above 100, from where emfluence's host is known to refuse requests.", section.path);
        settling.sink.warn(&section.span_of("requests_per_minute"), message, None);
    }
    let timeout = section.duration("timeout");
    if timeout.is_zero() {
        let message = format!("`{}.timeout` leaves no time for an answer.", section.path);
        settling.sink.error(&section.span_of("timeout"), message, Some("write a duration such as \"60s\"".to_owned()));
    }
    HttpConfig {
        requests_per_minute: pace,
        concurrency: usize::try_from(concurrency).unwrap_or(1),
        batch_size: number("batch_size").map(|size| usize::try_from(size).unwrap_or(usize::MAX)),
        timeout: Some(timeout),
        max_retries: number("max_retries").map_or(0, |retries| u32::try_from(retries).unwrap_or(u32::MAX)),
        requests_per_day: number("requests_per_day"),
        proxy: section.url("proxy"),
        ca_file: section.text("ca_file").map(|path| settling.path(&path)),
    }
}
