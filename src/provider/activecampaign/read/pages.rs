//! Reading contacts page after page.

use std::collections::BTreeMap;

use super::super::ActiveCampaign;
use super::super::wire::PAGE_ROWS;
use super::super::wire::contacts::{self as wire, Contact, Include, Page, ProfileFields, Scope};
use super::listing::Listed;
use crate::http::CallError;
use crate::model::SinkError;
use crate::provider::ReadError;

/// What a pass over pages came to.
#[derive(Default)]
pub(super) struct Scanned {
    pub(super) pages: u64,
    rows: u64,
    /// Whether the ids were followed until a page was empty, or to the announced number.
    pub(super) ended: bool,
    /// Why it may not be whole.
    problem: Option<String>,
    /// What of it is left out, because nobody can tell whom it is about.
    left_out: Option<String>,
    /// The lists of memberships that are of nobody, each with a sentence; nothing for one that is of
    /// no list either.
    strays: BTreeMap<Option<u64>, String>,
}

impl Scanned {
    /// Says why it may not be all, for either reason.
    pub(super) fn doubt(&self) -> Option<&String> {
        self.problem.as_ref().or(self.left_out.as_ref())
    }

    /// Says in its listing why a list may not be whole. Whoever is left out takes no refusal of
    /// anybody else along. A membership that is nobody's concerns its own list; one that is of no
    /// list either concerns all of them.
    pub(super) fn tell(&self, listed: &mut Listed) {
        if let Some(problem) = &self.problem {
            listed.broken(problem);
        }
        if let Some(left_out) = &self.left_out {
            listed.doubt(left_out);
        }
        for (list, why) in &self.strays {
            if list.is_none() || *list == listed.number {
                listed.broken(why);
            }
        }
    }
}

impl ActiveCampaign {
    /// Asks for a page. Whoever is on one without the custom values that were asked for is in doubt.
    pub(super) async fn contact_page(
        &self,
        scope: Scope<'_>,
        after: u64,
        include: Include,
        fields: &ProfileFields,
    ) -> Result<Page, CallError> {
        let mut page = self
            .ask_page(wire::page(scope, after, include), |answer| {
                wire::contacts(answer, after, fields)
            })
            .await?;
        if include.has_values() && fields.has_custom() {
            page.miss_values();
        }
        Ok(page)
    }

    /// Reads all pages of a question, and holds their rows against what the first page announces.
    ///
    /// Rows that can't be read come again where none behind them can be, since a page follows the
    /// last known id; they count once.
    pub(super) async fn scan(
        &self,
        scope: Scope<'_>,
        include: Include,
        fields: &ProfileFields,
        mut first: Option<Page>,
        take: &mut (dyn FnMut(Contact) -> Result<(), SinkError> + Send),
    ) -> Result<Scanned, ReadError> {
        let mut scanned = Scanned::default();
        let mut announced = None;
        let mut after = 0;
        let mut settled = 0;
        loop {
            let page = match first.take() {
                Some(page) => Ok(page),
                None => self.contact_page(scope, after, include, fields).await,
            };
            let page = match page {
                Ok(page) => page,
                Err(error) => {
                    scanned.problem = Some(self.survivable(error).await?);
                    return Ok(scanned);
                }
            };
            let count = page.contacts.len() as u64;
            scanned.strays.extend(page.strays);
            if scanned.left_out.is_none() {
                scanned.left_out = page.contacts.left_out("the contacts", after);
            }
            if scanned.pages == 0 {
                announced = page.total;
                if announced.is_some_and(|total| total < count) {
                    scanned.problem =
                        Some("a listing counts fewer contacts than it shows".to_owned());
                }
            }
            scanned.pages += 1;
            let again = page.contacts.trailing();
            scanned.rows = settled + count;
            settled += count - again;
            let is_stuck = page.contacts.known.is_empty();
            for contact in page.contacts.known {
                after = contact.id;
                take(contact)?;
            }
            // A page may be short in mid-listing, so it ends nothing before all have come that were
            // announced; whoever joins meanwhile has a greater id.
            let enough = announced.is_some_and(|total| scanned.rows >= total);
            if is_stuck && count > 0 && announced != Some(scanned.rows) {
                // Nobody can ask for what comes behind rows that show no id.
                let what = "nobody can tell whether contacts follow those that can't be read";
                scanned.problem.get_or_insert(what.to_owned());
                return Ok(scanned);
            }
            if is_stuck || (count < PAGE_ROWS && enough) {
                break;
            }
        }
        scanned.ended = true;
        if let Some(total) = announced.filter(|total| *total > scanned.rows) {
            scanned.problem = Some(format!(
                "{total} contacts were announced and {} came",
                scanned.rows
            ));
        }
        Ok(scanned)
    }
}
