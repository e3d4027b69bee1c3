//! Pages of a listing, and the check that they belong to one listing that did not move.

use serde_json::{Map, Value as Json};

use super::{Answer, count, field, text};
use crate::http::DecodeError;
use crate::provider::json::{Place, Rows, protocol};

/// What an answer says of its place in the listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Paging {
    page: u64,
    rows_per_page: u64,
    pages: u64,
    total: u64,
    /// Whether another page is announced; nothing when the key is absent.
    next: Option<bool>,
    /// Whether the total is no more than the number of the rows, for want of another.
    bare: bool,
}

/// One page.
#[derive(Debug)]
pub(in super::super) struct Page<T> {
    pub(in super::super) paging: Paging,
    pub(in super::super) rows: Rows<T>,
}

/// Whether a page may come as a bare array, without paging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Bare {
    /// Never: that would be an unknown shape.
    Refused,
    /// When it is the first page and not full, so that nothing can follow. The envelope of
    /// groups/getContacts is not documented.
    Single {
        /// The page that was asked for.
        page: u64,
        /// The rows that were asked for.
        rows_per_page: u64,
    },
}

/// Decodes one page of a listing; `row` returns nothing for a record without an id.
pub(in super::super) fn page<T>(
    answer: &Answer,
    bare: Bare,
    mut row: impl FnMut(&Map<String, Json>) -> Option<T>,
) -> Result<Page<T>, DecodeError> {
    let document = &answer.document;
    let mut decode = |records: Place| -> Result<Rows<T>, DecodeError> {
        let mut rows = Rows::default();
        document.each_row(records, |record| {
            rows.take(&record, row(&record.fields));
            Ok(())
        })?;
        Ok(rows)
    };
    let data = answer.place()?;
    if data.is_array()
        && let Bare::Single {
            page: 1,
            rows_per_page,
        } = bare
    {
        let rows = decode(data)?;
        let total = rows.len() as u64;
        // Of nothing but what is no record nobody can say that it is a listing.
        if total < rows_per_page && (total == 0 || !rows.known.is_empty()) {
            return Ok(Page {
                paging: Paging {
                    page: 1,
                    rows_per_page,
                    pages: 1,
                    total,
                    next: None,
                    bare: true,
                },
                rows,
            });
        }
    }
    if !data.is_object() {
        return Err(protocol("\"data\" of a listing is not an object"));
    }
    let data = document.fields(data)?;
    let part = |name: &str| {
        let mut parts = data.iter();
        let found = parts.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, place)| *place)
    };
    let paging = part("paging")
        .map(|place| document.value(place))
        .transpose()?;
    let paging = paging
        .as_ref()
        .and_then(Json::as_object)
        .ok_or_else(|| protocol("a listing came without \"paging\""))?;
    let records = part("records")
        .filter(|records| records.is_array())
        .ok_or_else(|| protocol("a listing came without \"records\""))?;
    let number = |name: &str| {
        field(paging, name)
            .and_then(count)
            .ok_or_else(|| protocol(format!("\"paging.{name}\" is not a count")))
    };
    Ok(Page {
        paging: Paging {
            page: number("page")?,
            rows_per_page: number("rpp")?,
            pages: number("totalPages")?,
            total: number("totalRecords")?,
            next: field(paging, "next").map(|next| text(next).is_some_and(|next| next != "false")),
            bare: false,
        },
        rows: decode(records)?,
    })
}

/// What to do after a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Step {
    /// Ask for this page.
    Next(u64),
    /// That was the last one.
    Done,
}

/// Follows the pages of one listing and notices when they do not fit together.
///
/// A listing may grow while it is read: that is the ordinary state of a busy account, and no loss
/// as long as the new rows join at the end. One that joined elsewhere pushes a row that was read
/// onto the next page, so that fewer distinct rows come than the last page announces.
#[derive(Debug, Default)]
pub(in super::super) struct Walk {
    last: Option<Paging>,
    pages: u64,
}

impl Walk {
    /// Returns the number of rows that the listing announced last; nothing where it announced none
    /// beside its rows.
    pub(in super::super) fn total(&self) -> Option<u64> {
        self.last
            .as_ref()
            .filter(|last| !last.bare)
            .map(|last| last.total)
    }

    /// Returns how many pages are still to come.
    pub(in super::super) fn pages_left(&self) -> u64 {
        self.last
            .as_ref()
            .map_or(0, |last| last.pages.saturating_sub(self.pages))
    }

    /// Takes a page of so many rows.
    ///
    /// # Errors
    /// A sentence that says why the listing can't be whole.
    pub(in super::super) fn take(&mut self, paging: &Paging, rows: usize) -> Result<Step, String> {
        self.pages += 1;
        let before = self.last.replace(paging.clone());
        let before = before.as_ref().unwrap_or(paging);
        if paging.total < before.total {
            return Err(format!(
                "the total fell from {} to {} while the pages were read",
                before.total, paging.total
            ));
        }
        if paging.page != self.pages {
            return Err(format!(
                "page {} came where page {} was asked for",
                paging.page, self.pages
            ));
        }
        if paging.rows_per_page == 0 || paging.rows_per_page != before.rows_per_page {
            return Err("the page size changed while the pages were read".to_owned());
        }
        let expected_pages = paging.total.div_ceil(paging.rows_per_page);
        if paging.pages != expected_pages && !(paging.total == 0 && paging.pages <= 1) {
            return Err(format!(
                "{} pages were announced where {} rows make {expected_pages}",
                paging.pages, paging.total
            ));
        }
        let before = paging.rows_per_page.saturating_mul(self.pages - 1);
        let expected_rows = paging
            .total
            .saturating_sub(before)
            .min(paging.rows_per_page);
        if rows as u64 != expected_rows {
            return Err(format!(
                "page {} has {rows} rows where {expected_rows} belong",
                self.pages
            ));
        }
        let last = self.pages >= expected_pages;
        match (last, paging.next) {
            (true, Some(true)) => Err("another page is announced after the last one".to_owned()),
            (false, Some(false)) => Err("no page is announced before the last one".to_owned()),
            (true, _) => Ok(Step::Done),
            (false, _) => Ok(Step::Next(self.pages + 1)),
        }
    }
}
