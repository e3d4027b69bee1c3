//! The accounts.

use std::collections::BTreeMap;
use std::ops::Range;

use url::Url;

use super::{Kinds, Settling};
use crate::config::diagnostics::quoted;
use crate::config::keys;
use crate::config::raw::{Item, Section};
use crate::config::settled::{Credentials, Fingerprint, HttpConfig, ProviderConfig, is_loopback};
use crate::model::ProviderKind;
use crate::provider::schema;

/// GreenRope takes so many requests at once, by the one published client that speaks of a limit.
const GREENROPE_CONCURRENCY: u64 = 4;
/// A cap below this would turn ordinary answers away.
const LEAST_ANSWER: u64 = 1024 * 1024;
/// ActiveCampaign's limit of five requests a second, which its reference states for every account.
const ACTIVECAMPAIGN_PACE: u32 = 300;
/// More than two requests in flight gain nothing at that pace, and public clients keep to two.
const ACTIVECAMPAIGN_CONCURRENCY: u64 = 2;

/// What the checks of jobs need to know of an account, even where its table is not sound.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// The kind, where the table says it.
    pub(super) kind: Option<ProviderKind>,
    /// What tells the groups of the account from those of others, where that is known.
    pub(super) groups: Option<String>,
    /// The user group that takes whoever leaves another one.
    pub(super) parking_group: Option<String>,
    /// The defaults for new groups.
    pub(super) defaults: BTreeMap<String, String>,
}

pub(super) fn settle(
    settling: &mut Settling<'_>,
    name: &str,
    section: &Section,
) -> (Facts, Option<ProviderConfig>) {
    let Some(word) = section.text("kind") else {
        return (Facts::default(), None);
    };
    let Some(kind) = ProviderKind::from_config(&word, section.text("groups").as_deref()) else {
        let possible: Vec<ProviderKind> = ProviderKind::ALL
            .into_iter()
            .filter(|kind| kind.as_str() == word)
            .collect();
        settling.check_kinds(section, Kinds::of_account(&possible));
        // A wrong word has been reported where it was read.
        if section.entry("groups").is_none() {
            groups_missing(settling, section);
        }
        return (Facts::default(), None);
    };
    settling.check_kinds(section, Kinds::of_account(&[kind]));
    let base_url = base_url(settling, section, kind);
    let credentials = credentials(settling, section, kind);
    let account_id = section
        .text("account_id")
        .filter(|_| kind == ProviderKind::GreenRope);
    if kind == ProviderKind::GreenRope && section.entry("account_id").is_none() {
        lacks(
            settling,
            section,
            "account_id",
            "the number that GreenRope shows for the account",
        );
    }
    let parking_group = section.text("parking_group").map(|id| id.trim().to_owned());
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
            parking_group: parking_group.clone(),
            fingerprint,
            defaults: defaults.clone(),
            http,
        }),
        _ => None,
    };
    let groups = provider.as_ref().map(ProviderConfig::groups_key);
    (
        Facts {
            kind: Some(kind),
            groups,
            parking_group,
            defaults,
        },
        provider,
    )
}

/// Refuses two names of which nobody can tell whether they stand for one account: what is
/// remembered of one of them would be asked of that one only, and both could be written at once.
pub(super) fn check_told_apart(
    settling: &mut Settling<'_>,
    span: &Range<usize>,
    provider: &ProviderConfig,
    others: &BTreeMap<String, ProviderConfig>,
) {
    let mut others = others.values();
    let Some(other) = others.find(|other| provider.is_confused_with(other)) else {
        return;
    };
    let message = format!(
        "`providers.{}` and `providers.{}` may be one account: two tokens at one address do not tell.",
        other.name, provider.name
    );
    let hint = "add a `fingerprint` to each of them, the same group where they are one account, as in `fingerprint = { group_id = 4711, group_name = \"All staff\" }`";
    settling.sink.error(span, message, Some(hint.to_owned()));
}

/// Explains the two things at ActiveCampaign that a config may mean by a group.
fn groups_missing(settling: &mut Settling<'_>, section: &Section) {
    let message = format!(
        "`{}` lacks `groups`: ActiveCampaign has two things that could be a group. \
         `groups = \"lists\"` means the lists, whose members are contacts and get mail; \
         `groups = \"user-groups\"` means the groups of the people who log in to the account, with their permissions.",
        section.path
    );
    let hint =
        "write `groups = \"lists\"` to sync audiences, `groups = \"user-groups\"` to sync staff";
    settling
        .sink
        .error(&section.span, message, Some(hint.to_owned()));
}

fn lacks(settling: &mut Settling<'_>, section: &Section, key: &str, what: &str) {
    settling.sink.error(
        &section.span,
        format!("`{}` lacks `{key}`.", section.path),
        Some(format!("add {what}")),
    );
}

fn is_activecampaign(kind: ProviderKind) -> bool {
    matches!(
        kind,
        ProviderKind::ActiveCampaignLists | ProviderKind::ActiveCampaignUsers
    )
}

fn base_url(settling: &mut Settling<'_>, section: &Section, kind: ProviderKind) -> Option<Url> {
    if section.entry("base_url").is_none() && section.item_for("base_url", kind).is_none() {
        lacks(
            settling,
            section,
            "base_url",
            "the address that Settings > Developer shows, as in \"https://example.api-us1.com\"",
        );
    }
    let Some(Item::Url(mut url)) = section.item_for("base_url", kind) else {
        return None;
    };
    let span = section.span_of("base_url");
    if url.query().is_some() || url.fragment().is_some() {
        let hint = "write the address without `?` and `#`".to_owned();
        settling.sink.error(
            &span,
            format!("`{}.base_url` has a query or a fragment.", section.path),
            Some(hint),
        );
    }
    // One host is known by one spelling.
    if let Some(host) = url.host_str().and_then(|host| host.strip_suffix('.')) {
        let host = host.to_owned();
        url.set_host(Some(&host)).ok();
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    if kind == ProviderKind::Emfluence && !path.ends_with("/v1") {
        let hint =
            "write the address up to the version, as in \"https://api.emailer.emfluence.com/v1\""
                .to_owned();
        settling.sink.error(
            &span,
            format!("`{}.base_url` does not end in `/v1`.", section.path),
            Some(hint),
        );
    }
    if is_activecampaign(kind)
        && let Some(ending) = ["/admin/api.php", "/api.php", "/admin", "/api/3", "/api"]
            .into_iter()
            .find(|ending| path.ends_with(ending))
    {
        let message = format!(
            "`{}.base_url` ends in `{ending}`, which rosterd adds itself.",
            section.path
        );
        let hint = "write the host alone, as in \"https://example.api-us1.com\"".to_owned();
        settling.sink.error(&span, message, Some(hint));
    }
    Some(url)
}

fn credentials(
    settling: &mut Settling<'_>,
    section: &Section,
    kind: ProviderKind,
) -> Option<Credentials> {
    let typed = |name: &str| section.entry(name).is_some();
    if kind == ProviderKind::Emfluence {
        if !typed("access_token") {
            lacks(
                settling,
                section,
                "access_token",
                "access_token = { env = \"NAME\" } or { file = \"PATH\" }",
            );
        }
        return settling
            .secret(section, "access_token")
            .map(Credentials::AccessToken);
    }
    if is_activecampaign(kind) {
        if !typed("api_key") {
            lacks(
                settling,
                section,
                "api_key",
                "api_key = { env = \"NAME\" } or { file = \"PATH\" }, the key that Settings > Developer shows",
            );
        }
        return settling.secret(section, "api_key").map(Credentials::ApiKey);
    }
    if !typed("email") {
        lacks(settling, section, "email", "the address of the login");
    }
    match (typed("password"), typed("auth_token")) {
        (true, true) => {
            let message = format!("`{}` has both `password` and `auth_token`.", section.path);
            settling.sink.error(
                &section.entry("auth_token")?.key_span,
                message,
                Some("keep one of them".to_owned()),
            );
            return None;
        }
        (false, false) => lacks(
            settling,
            section,
            "password",
            "password = { env = \"NAME\" } or { file = \"PATH\" }, or `auth_token`",
        ),
        _ => {}
    }
    let email = section.text("email")?;
    let password = settling
        .secret(section, "password")
        .map(|password| Credentials::Password {
            email: email.clone(),
            password,
        });
    password.or_else(|| {
        settling
            .secret(section, "auth_token")
            .map(|token| Credentials::AuthToken { email, token })
    })
}

fn fingerprint(
    settling: &mut Settling<'_>,
    section: &Section,
    kind: ProviderKind,
) -> Option<Fingerprint> {
    let Some(Item::Table(table)) = section.given("fingerprint") else {
        return None;
    };
    if kind != ProviderKind::Emfluence {
        return None;
    }
    let (group_name, external_id) = (table.text("group_name"), table.text("external_id"));
    if table.entry("group_name").is_none() && table.entry("external_id").is_none() {
        let message = format!(
            "`{}` proves little: another account may have a group of the same id.",
            table.path
        );
        settling.sink.warn(
            &table.span,
            message,
            Some("add `group_name` or `external_id`".to_owned()),
        );
    }
    Some(Fingerprint {
        group_id: table.text("group_id")?,
        group_name,
        external_id,
    })
}

/// Holds the defaults against the provider's own field table.
fn defaults(
    settling: &mut Settling<'_>,
    section: &Section,
    kind: ProviderKind,
) -> BTreeMap<String, String> {
    let mut defaults = BTreeMap::new();
    for key in keys::DEFAULTS.iter().filter(|key| key.is_of(kind)) {
        let Some(value) = section.text(key.name) else {
            continue;
        };
        let span = section.span_of(key.name);
        let Some(field) = schema(kind)
            .groups
            .iter()
            .find(|field| field.default_key == Some(key.name))
        else {
            defaults.insert(key.name.to_owned(), value);
            continue;
        };
        if let Some(most) = field
            .max_length
            .filter(|most| value.chars().count() > *most)
        {
            let message = format!(
                "`{}.{}` is longer than the {most} characters that {} takes.",
                section.path,
                key.name,
                kind.title()
            );
            settling
                .sink
                .error(&span, message, Some("shorten it".to_owned()));
        }
        let word = |(wire, canonical): &(&'static str, &'static str)| {
            (wire.eq_ignore_ascii_case(value.trim())
                || canonical.eq_ignore_ascii_case(value.trim()))
            .then_some(*wire)
        };
        match field.values.iter().find_map(word) {
            Some(wire) => {
                defaults.insert(key.name.to_owned(), wire.to_owned());
            }
            None if field.values.is_empty() => {
                defaults.insert(key.name.to_owned(), value);
            }
            None => {
                let words = field
                    .values
                    .iter()
                    .map(|(wire, _)| format!("`{wire}`"))
                    .collect::<Vec<_>>()
                    .join(", ");
                let message = format!(
                    "`{}.{}` can't be {}.",
                    section.path,
                    key.name,
                    quoted(&value)
                );
                settling.sink.error(
                    &span,
                    message,
                    Some(format!("{} takes {words}", kind.title())),
                );
            }
        }
    }
    defaults
}

fn http(
    settling: &mut Settling<'_>,
    section: &Section,
    kind: ProviderKind,
    local: bool,
) -> HttpConfig {
    let number = |name: &str| match section.item_for(name, kind) {
        Some(Item::Integer(number)) => Some(number),
        _ => None,
    };
    let concurrency = number("concurrency").unwrap_or(1);
    if kind == ProviderKind::GreenRope && concurrency > GREENROPE_CONCURRENCY {
        let message = format!(
            "`{}.concurrency` is {concurrency}, and GreenRope takes {GREENROPE_CONCURRENCY} requests at once.",
            section.path
        );
        settling.sink.error(
            &section.span_of("concurrency"),
            message,
            Some(format!("write {GREENROPE_CONCURRENCY} or less")),
        );
    }
    if is_activecampaign(kind) && concurrency > ACTIVECAMPAIGN_CONCURRENCY {
        let message = format!(
            "`{}.concurrency` is {concurrency}, and rosterd sends ActiveCampaign at most {ACTIVECAMPAIGN_CONCURRENCY} requests at once.",
            section.path
        );
        settling.sink.error(
            &section.span_of("concurrency"),
            message,
            Some(format!("write {ACTIVECAMPAIGN_CONCURRENCY} or less")),
        );
    }
    let pace = number("requests_per_minute").map(|pace| u32::try_from(pace).unwrap_or(u32::MAX));
    if kind == ProviderKind::Emfluence && !local && pace.is_some_and(|pace| pace > 100) {
        let message = format!(
            "`{}.requests_per_minute` is above 100, from where emfluence's host is known to refuse requests.",
            section.path
        );
        settling
            .sink
            .warn(&section.span_of("requests_per_minute"), message, None);
    }
    if is_activecampaign(kind) && !local && pace.is_some_and(|pace| pace > ACTIVECAMPAIGN_PACE) {
        let message = format!(
            "`{}.requests_per_minute` is above {ACTIVECAMPAIGN_PACE}: ActiveCampaign takes five requests a second from an account.",
            section.path
        );
        let hint = "write 240, which leaves room for other users of the account, or 300 at most"
            .to_owned();
        settling
            .sink
            .error(&section.span_of("requests_per_minute"), message, Some(hint));
    }
    let timeout = section.duration("timeout");
    if timeout.is_zero() {
        let message = format!("`{}.timeout` leaves no time for an answer.", section.path);
        settling.sink.error(
            &section.span_of("timeout"),
            message,
            Some("write a duration such as \"60s\"".to_owned()),
        );
    }
    let max_answer = section.size("max_answer");
    if max_answer < LEAST_ANSWER {
        let message = format!(
            "`{}.max_answer` is below 1 MiB, which ordinary answers are longer than.",
            section.path
        );
        settling.sink.error(
            &section.span_of("max_answer"),
            message,
            Some("write \"4GiB\", or leave the line out".to_owned()),
        );
    }
    HttpConfig {
        requests_per_minute: pace,
        concurrency: usize::try_from(concurrency).unwrap_or(1),
        batch_size: number("batch_size").map(|size| usize::try_from(size).unwrap_or(usize::MAX)),
        timeout: Some(timeout),
        max_retries: number("max_retries")
            .map_or(0, |retries| u32::try_from(retries).unwrap_or(u32::MAX)),
        max_answer,
        requests_per_day: number("requests_per_day"),
        proxy: section.url("proxy"),
        ca_file: section.text("ca_file").map(|path| settling.path(&path)),
    }
}
