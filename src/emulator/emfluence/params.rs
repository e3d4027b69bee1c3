//! Reading parameters, more strictly than the service is known to.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::Call;
use super::envelope::Failure;
use crate::emulator::exchange::Context;
use crate::emulator::kept::Key;
use crate::emulator::misuse::MisuseKind;
use crate::emulator::world::Account;

/// The parameters of one call.
pub(super) struct Params {
    values: Map<String, Value>,
    /// From a query string, where everything is text.
    is_text: bool,
}

impl Params {
    pub(super) fn new(values: Map<String, Value>, is_text: bool) -> Self {
        Self { values, is_text }
    }

    /// Refuses names that the call does not have.
    pub(super) fn check_names(&self, known: &[&str], context: &mut Context) -> Result<(), Failure> {
        for name in self.values.keys() {
            if !known.contains(&name.as_str()) {
                context.misuse(MisuseKind::UnknownParameter, name.as_str());
                return Err(Failure::new(
                    Failure::UNKNOWN,
                    format!("Unknown parameter {name}."),
                ));
            }
        }
        Ok(())
    }

    /// What is asked for, whichever page of it: the same text means the same.
    pub(super) fn beside_page(&self) -> String {
        let mut values = self.values.clone();
        values.retain(|name, _| !["page", "rpp"].contains(&name.as_str()));
        Value::Object(values).to_string()
    }

    pub(super) fn raw(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    pub(super) fn int(&self, name: &str, context: &mut Context) -> Result<Option<i64>, Failure> {
        match self.values.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if self.is_text => text
                .parse()
                .map(Some)
                .map_err(|_| wrong_type(name, "an integer", context)),
            Some(value) => value
                .as_i64()
                .map(Some)
                .ok_or_else(|| wrong_type(name, "an integer", context)),
        }
    }

    pub(super) fn id(&self, name: &str, context: &mut Context) -> Result<Option<u64>, Failure> {
        match self.int(name, context)? {
            None => Ok(None),
            Some(id) => u64::try_from(id)
                .map(Some)
                .map_err(|_| wrong_type(name, "a positive integer", context)),
        }
    }

    pub(super) fn needed_id(&self, name: &str, context: &mut Context) -> Result<u64, Failure> {
        self.id(name, context)?
            .ok_or_else(|| missing(name, context))
    }

    pub(super) fn ids(
        &self,
        name: &str,
        most: usize,
        context: &mut Context,
    ) -> Result<Option<Vec<u64>>, Failure> {
        let Some(value) = self.values.get(name) else {
            return Ok(None);
        };
        let Some(values) = value.as_array() else {
            return Err(wrong_type(name, "an array of integers", context));
        };
        let ids: Option<Vec<u64>> = values.iter().map(Value::as_u64).collect();
        let ids = ids.ok_or_else(|| wrong_type(name, "an array of integers", context))?;
        if ids.len() > most {
            context.misuse(
                MisuseKind::TooManyItems,
                format!("{} of {most} {name}", ids.len()),
            );
            return Err(Failure::new(
                Failure::INVALID,
                format!("{name} holds more than {most} values."),
            ));
        }
        Ok(Some(ids))
    }

    pub(super) fn flag(&self, name: &str, context: &mut Context) -> Result<Option<bool>, Failure> {
        match self.values.get(name) {
            None => Ok(None),
            Some(value) => read_flag(value, self.is_text)
                .map(Some)
                .ok_or_else(|| wrong_type(name, "0 or 1", context)),
        }
    }

    pub(super) fn text(&self, name: &str, context: &mut Context) -> Result<Option<&str>, Failure> {
        match self.values.get(name) {
            None => Ok(None),
            Some(value) => value
                .as_str()
                .map(Some)
                .ok_or_else(|| wrong_type(name, "text", context)),
        }
    }

    /// A text of at most so many characters.
    pub(super) fn text_up_to(
        &self,
        name: &str,
        most: usize,
        context: &mut Context,
    ) -> Result<Option<&str>, Failure> {
        let text = self.text(name, context)?;
        if text.is_some_and(|text| text.chars().count() > most) {
            context.misuse(
                MisuseKind::TooLong,
                format!("{name} over {most} characters"),
            );
            return Err(Failure::new(
                Failure::INVALID,
                format!("{name} is longer than {most} characters."),
            ));
        }
        Ok(text)
    }

    /// One of several words.
    pub(super) fn word<'a>(
        &'a self,
        name: &str,
        allowed: &[&str],
        context: &mut Context,
    ) -> Result<Option<&'a str>, Failure> {
        let text = self.text(name, context)?;
        if text.is_some_and(|text| !allowed.contains(&text)) {
            return Err(wrong_type(name, &allowed.join(", "), context));
        }
        Ok(text)
    }

    /// A date, or a date with a time, in UTC.
    pub(super) fn moment(
        &self,
        name: &str,
        context: &mut Context,
    ) -> Result<Option<Timestamp>, Failure> {
        let Some(text) = self.text(name, context)? else {
            return Ok(None);
        };
        let civil = DateTime::strptime("%Y-%m-%d %H:%M:%S", text)
            .or_else(|_| Date::strptime("%Y-%m-%d", text).map(|date| date.at(0, 0, 0, 0)));
        civil
            .and_then(|civil| civil.to_zoned(TimeZone::UTC))
            .map(|zoned| Some(zoned.timestamp()))
            .map_err(|_| wrong_type(name, "YYYY-MM-DD HH:MM:SS", context))
    }
}

/// Reads a boolean: 0 and 1, or JSON's own.
pub(super) fn read_flag(value: &Value, is_text: bool) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        Value::String(text) if is_text => match text.as_str() {
            "0" | "false" => Some(false),
            "1" | "true" => Some(true),
            _ => None,
        },
        _ => None,
    }
}

pub(super) fn wrong_type(name: &str, expected: &str, context: &mut Context) -> Failure {
    context.misuse(MisuseKind::WrongType, format!("{name} must be {expected}"));
    Failure::new(Failure::INVALID, format!("{name} must be {expected}."))
}

pub(super) fn missing(name: &str, context: &mut Context) -> Failure {
    context.misuse(MisuseKind::MissingParameter, name);
    Failure::new(Failure::MISSING, format!("{name} is required."))
}

/// Which page of a listing is asked for.
pub(super) struct Page {
    number: usize,
    rows: usize,
}

impl Call<'_> {
    /// Under what a listing is kept for its other pages, if no fault is played.
    pub(super) fn listing_key(&self, operation: &str, params: &Params) -> Option<Key> {
        let reader = self.login.user_id;
        let sees = &self.login.sees_groups;
        let request = format!("{operation} {reader} {sees:?} {}", params.beside_page());
        let key = Key::new(&self.account.name, request);
        (!self.context.meets_a_fault).then_some(key)
    }

    pub(super) fn page(
        &mut self,
        params: &Params,
        default: usize,
        most: usize,
    ) -> Result<Page, Failure> {
        let number = params.int("page", self.context)?.unwrap_or(1);
        let rows = params
            .int("rpp", self.context)?
            .map_or(Ok(default), usize::try_from)
            .unwrap_or(0);
        let Ok(number @ 1..) = usize::try_from(number) else {
            return Err(wrong_type("page", "1 or more", self.context));
        };
        if rows == 0 {
            return Err(wrong_type("rpp", "1 or more", self.context));
        }
        if rows > most {
            self.context
                .misuse(MisuseKind::TooManyItems, format!("rpp {rows} of {most}"));
            return Err(Failure::new(
                Failure::INVALID,
                format!("rpp must not exceed {most}."),
            ));
        }
        Ok(Page { number, rows })
    }

    /// Cuts a page out of a complete listing and wraps it.
    pub(super) fn paged<T>(
        &mut self,
        page: &Page,
        all: &[T],
        mut show: impl FnMut(&Account, &T) -> Value,
    ) -> Value {
        let total = all.len();
        let pages = total.div_ceil(page.rows);
        if page.number > pages.max(1) {
            self.context.misuse(
                MisuseKind::PageBeyondEnd,
                format!("page {} of {pages}", page.number),
            );
        }
        let start = (page.number - 1).saturating_mul(page.rows).min(total);
        let end = start.saturating_add(page.rows).min(total);
        let records: Vec<Value> = all[start..end]
            .iter()
            .map(|row| show(self.account, row))
            .collect();
        let link = |wanted: bool, number: usize| {
            if wanted {
                format!("page={number}&rpp={}", page.rows)
            } else {
                String::new()
            }
        };
        json!({
            "paging": {
                "page": page.number, "rpp": page.rows, "totalPages": pages, "totalRecords": total,
                "next": link(page.number < pages, page.number + 1), "prev": link(page.number > 1, page.number - 1),
            },
            "records": records,
        })
    }
}
