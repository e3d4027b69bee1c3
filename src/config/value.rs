//! Single values: from TOML's types to those of the key table.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::{Span, SpanRelativeTo};
use toml::de::DeValue;
use url::Url;

use super::diagnostics::did_you_mean;
use super::keys::{Plain, Shape};
use super::raw::Item;
use super::settled::{Limit, is_loopback};

/// Why a text was not taken, to follow the key's name.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) message: String,
    pub(super) hint: Option<String>,
    /// Whether the text holds a secret.
    pub(super) secret: bool,
}

fn problem(message: impl Into<String>, hint: &str) -> Problem {
    Problem {
        message: message.into(),
        hint: Some(hint.to_owned()),
        secret: false,
    }
}

/// Names the type of a value as people do.
pub(super) fn name_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Says what a shape looks like.
pub(super) fn expected(shape: Shape) -> &'static str {
    match shape {
        Shape::Text | Shape::Address | Shape::Choice(_) | Shape::FilePath => "a text",
        Shape::Id => "a text or a whole number",
        Shape::Boolean => "true or false",
        Shape::Integer { .. } => "a whole number",
        Shape::Duration => "a duration such as \"15m\"",
        Shape::Size => "an amount of bytes such as \"4GiB\"",
        Shape::Refresh => "\"always\" or a duration such as \"15m\"",
        Shape::Secret => "a table that says where the secret is",
        Shape::Url(_) => "a web address",
        Shape::Listen => "an address and a port such as \"127.0.0.1:8087\"",
        Shape::TimeZone => "a time zone such as \"Europe/Berlin\"",
        Shape::Texts => "a list of texts",
        Shape::Limit => "a limit",
        Shape::IdPairs | Shape::Expressions | Shape::Table(_) | Shape::NamedTables(_) => "a table",
    }
}

/// Tells whether a shape is written as text.
pub(super) fn is_text(shape: Shape) -> bool {
    matches!(
        shape,
        Shape::Text
            | Shape::Address
            | Shape::Id
            | Shape::Duration
            | Shape::Size
            | Shape::Refresh
            | Shape::Choice(_)
            | Shape::Url(_)
            | Shape::Listen
            | Shape::TimeZone
            | Shape::FilePath
    )
}

/// Reads a text under a shape.
pub(super) fn text(shape: Shape, text: &str) -> Result<Item, Problem> {
    if text.trim().is_empty() {
        return Err(problem("is empty", "write a value or leave the line out"));
    }
    let own = || text.trim().to_owned();
    match shape {
        Shape::Duration => duration(text).map(Item::Duration),
        Shape::Size => size(text).map(Item::Size),
        Shape::Refresh if text == "always" => Ok(Item::Always),
        Shape::Refresh => duration(text).map(Item::Duration).map_err(|_| {
            problem(
                "is neither \"always\" nor a duration",
                "write \"always\" or a duration such as \"6h\"",
            )
        }),
        Shape::Choice(words) if words.contains(&text) => Ok(Item::Text(text.to_owned())),
        Shape::Choice(words) => {
            let list = words
                .iter()
                .map(|word| format!("`{word}`"))
                .collect::<Vec<_>>()
                .join(", ");
            let hint = did_you_mean(text, words.iter().copied())
                .unwrap_or_else(|| format!("the words are {list}"));
            Err(problem(format!("must be one of {list}"), &hint))
        }
        Shape::Url(plain) => web_address(text, plain).map(Item::Url),
        Shape::Listen => text
            .trim()
            .replace("localhost:", "127.0.0.1:")
            .parse::<SocketAddr>()
            .map(Item::Listen)
            .map_err(|_| {
                problem(
                    "is not an address and a port",
                    "write it as \"127.0.0.1:8087\" or \"[::1]:8087\"",
                )
            }),
        Shape::TimeZone => {
            if jiff::tz::TimeZone::get(text.trim()).is_ok() {
                return Ok(Item::Text(own()));
            }
            let names: Vec<String> = jiff::tz::db()
                .available()
                .map(|name| name.to_string())
                .collect();
            let hint = did_you_mean(text, names.iter().map(String::as_str))
                .unwrap_or_else(|| "write a name such as \"Europe/Berlin\" or \"UTC\"".to_owned());
            Err(problem("is not a time zone that this machine knows", &hint))
        }
        Shape::Address if crate::model::normalise_address(text).is_err() => Err(problem(
            "is not an e-mail address",
            "write it as \"name@example.org\"",
        )),
        Shape::Id | Shape::Address => Ok(Item::Text(own())),
        _ => Ok(Item::Text(text.to_owned())),
    }
}

/// Reads a friendly duration. Days have 24 hours; months and years have no fixed length and are not
/// taken.
pub(super) fn duration(text: &str) -> Result<Duration, Problem> {
    let wrong = || {
        problem(
            "is not a duration",
            "write it as \"30s\", \"15m\", \"6h\" or \"400d\"",
        )
    };
    let span: Span = text.trim().parse().map_err(|_| wrong())?;
    let signed = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| wrong())?;
    Duration::try_from(signed)
        .map_err(|_| problem("is negative", "write a duration that is not below zero"))
}

/// Reads an amount of bytes: a whole number with a unit, of 1024 each ("KiB", "MiB", "GiB") or of 1000
/// ("kB", "MB", "GB").
pub(super) fn size(text: &str) -> Result<u64, Problem> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let bytes: Option<u64> = match unit.trim().to_ascii_lowercase().as_str() {
        "b" => Some(1),
        "kib" => Some(1 << 10),
        "mib" => Some(1 << 20),
        "gib" => Some(1 << 30),
        "kb" => Some(1_000),
        "mb" => Some(1_000_000),
        "gb" => Some(1_000_000_000),
        _ => None,
    };
    let number: Option<u64> = number.parse().ok();
    number
        .zip(bytes)
        .and_then(|(number, bytes)| number.checked_mul(bytes))
        .ok_or_else(|| {
            problem(
                "is not an amount of bytes",
                "write it as \"512MiB\" or \"4GiB\"",
            )
        })
}

/// Reads a whole number that is not negative.
pub(super) fn integer(value: &DeValue<'_>) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str().trim_start_matches('+'), integer.radix()).ok()
}

/// Reads a guard's limit; the error follows the key's name.
pub(super) fn limit(value: &DeValue<'_>) -> Result<Limit, String> {
    match value {
        DeValue::String(text) if text.as_ref() == "none" => Ok(Limit::default()),
        DeValue::String(text) => Ok(Limit {
            share: Some(share(text)?),
            count: None,
        }),
        DeValue::Integer(_) => Ok(Limit {
            share: None,
            count: Some(integer(value).ok_or("is below zero or too large")?),
        }),
        DeValue::Array(items) => {
            let mut both = Limit::default();
            for item in items {
                match item.get_ref() {
                    DeValue::String(text) if text.as_ref() == "none" => {
                        return Err("mixes \"none\" with a limit".to_owned());
                    }
                    DeValue::String(_) | DeValue::Integer(_) => {}
                    other => return Err(format!("holds {}", name_of(other))),
                }
                let one = limit(item.get_ref())?;
                if (one.share.is_some() && both.share.is_some())
                    || (one.count.is_some() && both.count.is_some())
                {
                    return Err("has two limits of one kind".to_owned());
                }
                both = Limit {
                    share: both.share.or(one.share),
                    count: both.count.or(one.count),
                };
            }
            if items.is_empty() {
                Err("is an empty list".to_owned())
            } else {
                Ok(both)
            }
        }
        other => Err(format!("is {}", name_of(other))),
    }
}

fn share(text: &str) -> Result<f64, String> {
    let number = text
        .trim()
        .strip_suffix('%')
        .ok_or("is not a limit")?
        .trim();
    let plain = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '.');
    let percent: f64 = number
        .parse()
        .ok()
        .filter(|_| plain)
        .ok_or("is not a share")?;
    if percent > 100.0 {
        return Err("is more than \"100%\"".to_owned());
    }
    Ok(percent / 100.0)
}

fn web_address(text: &str, plain: Plain) -> Result<Url, Problem> {
    let url = Url::parse(text.trim()).map_err(|_| {
        problem(
            "is not a web address",
            "write it in full, as \"https://host/path\"",
        )
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        let message = "holds a user name or password in plain text";
        return Err(Problem {
            secret: true,
            ..problem(
                message,
                "take the part before `@` out; no secret may stand in this file",
            )
        });
    }
    if url.host().is_none() || !matches!(url.scheme(), "http" | "https") {
        return Err(problem(
            "is not a web address",
            "write it in full, as \"https://host/path\"",
        ));
    }
    if url.scheme() == "http" && plain == Plain::Loopback && !is_loopback(&url) {
        return Err(problem(
            "would send secrets and personal data unencrypted",
            "write https instead of http; plain http is taken to loopback only",
        ));
    }
    Ok(url)
}

/// Tells whether a text can be the name of an environment variable.
pub(super) fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
