//! A plan or a run as one HTML page, to be handed to a colleague for review.
//!
//! The page is whole in itself and asks nobody for anything: a policy in it allows one style and one
//! script by their prints, and nothing else. The items stand in it as data, which the script shows a
//! part at a time, so that tens of thousands of people don't stall a browser. Without the script the
//! page still tells everything but the single items, and says how to get those.

mod html;
mod kind;
mod parts;
mod plan;
mod rows;
mod run;
#[cfg(test)]
mod tests;
mod undo;

use std::io::{self, Write};
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::words::instant;
use crate::config::Config;
use crate::config::settled::JobConfig;

pub(crate) use html::{Escaped, Short, Whole};
pub(crate) use kind::Kind;
pub use plan::write_plan_html;
pub use run::write_show_html;

pub(crate) const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// What a page says about itself.
#[derive(Clone, Debug)]
pub struct PageAbout {
    /// When it is made.
    pub made: Timestamp,
    /// The zone in which times are shown.
    pub zone: TimeZone,
    /// The config that it is made by.
    pub config: String,
    /// The account that is read.
    pub source: Option<PageAccount>,
    /// The account that is written to.
    pub target: Option<PageAccount>,
    /// The file in which the same plan was saved.
    pub saved: Option<String>,
}

/// An account as a page names it; nothing of it is secret.
#[derive(Clone, Debug)]
pub struct PageAccount {
    /// The provider's name in the config.
    pub name: String,
    /// What it speaks.
    pub kind: String,
    /// Where it is reached.
    pub host: String,
    /// The account's number, where it has one.
    pub id: Option<String>,
}

/// Writes everything before the data.
fn begin(out: &mut dyn Write, title: &str) -> io::Result<()> {
    writeln!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src '{}'; \
         script-src '{}'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta name=\"robots\" content=\"noindex, nofollow\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>",
        print_of(STYLE),
        print_of(SCRIPT),
        Escaped(title)
    )
}

/// Ends the page with its script.
fn end(out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "<footer><p>This page holds addresses and values of people; keep it as you keep the accounts themselves.</p></footer>\n\
         </main>\n<script>{SCRIPT}</script>\n</body>\n</html>"
    )
}

/// Returns the policy that allows the style and the script of a page of its own, and nothing else, as
/// the answer's header says it where such a page is served.
pub fn page_policy() -> String {
    format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
        print_of(STYLE),
        print_of(SCRIPT)
    )
}

/// Returns the print of a text by which a policy allows it.
fn print_of(text: &str) -> String {
    let print = digest(&SHA256, text.as_bytes());
    format!("sha256-{}", BASE64_STANDARD.encode(print))
}

impl PageAbout {
    /// Says by which config a page is made, and which accounts a job has there.
    pub fn of(
        path: &Path,
        config: &Config,
        job: Option<&JobConfig>,
        made: Timestamp,
        zone: TimeZone,
    ) -> PageAbout {
        let account = |name: &String| {
            let provider = config.providers.get(name)?;
            // The host and nothing else: an address may hold a login.
            let host = provider.base_url.host_str().unwrap_or_default();
            Some(PageAccount {
                name: name.clone(),
                kind: provider.kind.to_string(),
                host: match provider.base_url.port() {
                    Some(port) => format!("{host}:{port}"),
                    None => host.to_owned(),
                },
                id: provider.account_id.clone(),
            })
        };
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        PageAbout {
            made,
            zone,
            config: path.display().to_string(),
            source: job.and_then(|job| account(&job.source)),
            target: job.and_then(|job| account(&job.target)),
            saved: None,
        }
    }

    /// Writes the rows of the head's list that all pages have.
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        for (title, account) in [("From", &self.source), ("To", &self.target)] {
            let Some(account) = account else { continue };
            let id = account
                .id
                .as_ref()
                .map(|id| format!(", account {id}"))
                .unwrap_or_default();
            writeln!(
                out,
                "<dt>{title}</dt><dd><strong>{}</strong>: {} at {}{}</dd>",
                Escaped(&account.name),
                Escaped(&account.kind),
                Escaped(&account.host),
                Escaped(&id)
            )?;
        }
        writeln!(
            out,
            "<dt>Config</dt><dd><code>{}</code></dd>",
            Escaped(&self.config)
        )?;
        writeln!(
            out,
            "<dt>Page made</dt><dd>{}</dd>",
            Escaped(&instant(self.made, &self.zone))
        )
    }
}
