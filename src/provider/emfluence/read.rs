//! The order of calls for reading: access, groups and the definitions of custom fields.
//!
//! Members are read by [`members`] and [`account`].

mod account;
mod members;

use super::wire::groups as group_wire;
use super::wire::paging::{Step, Walk};
use super::wire::{
    self, LISTING_ROWS, LOOKUP_GROUPS, SEARCH_ROWS, contacts as contact_wire, id_number,
};
use super::{Emfluence, Fingerprint};
use crate::http::CallError;
use crate::model::{Certificate, CustomFields, GroupKind, GroupRow, GroupStatus, Unread, Value};
use crate::provider::{Duties, ReadError};

impl Emfluence {
    /// Proves the token and, where a fingerprint is configured, the account.
    pub(super) async fn read_access(&self) -> Result<(), ReadError> {
        let ping = wire::Request::read("helper/ping", serde_json::json!({}));
        // The envelope says whether the call succeeded; "pong" adds nothing to that.
        self.ask(ping, |_| Ok(()))
            .await
            .map_err(|error| self.access_error(error))?;
        // Nothing says that a ping looks at the token, so groups have to be readable as well.
        if let Some(fingerprint) = &self.options.fingerprint {
            self.check_fingerprint(fingerprint).await?;
            return self.check_neighbours().await;
        }
        self.ask(group_wire::search_all(1, 1), |answer| {
            group_wire::summaries(answer).map(|_| ())
        })
        .await
        .map_err(|error| self.access_error(error))
    }

    async fn check_fingerprint(&self, fingerprint: &Fingerprint) -> Result<(), ReadError> {
        let name = self.account.name();
        let Some(number) = id_number(&fingerprint.group_id) else {
            return Err(ReadError::Account(format!(
                "{name}: fingerprint.group_id \"{}\" is not an emfluence group id; give the number that the group has there",
                fingerprint.group_id
            )));
        };
        self.compare(number, fingerprint).await?.map_err(|what| {
            ReadError::Account(format!(
                "{name}: the access token does not open the account of the fingerprint ({what}); check access_token and fingerprint"
            ))
        })
    }

    /// Refuses an account that another name of the config stands for as well, proved by another of
    /// its groups: what is remembered of the one name would not be asked of the other.
    async fn check_neighbours(&self) -> Result<(), ReadError> {
        for (other, fingerprint) in &self.options.neighbours {
            let Some(number) = id_number(&fingerprint.group_id) else {
                continue;
            };
            if self.compare(number, fingerprint).await?.is_ok() {
                let name = self.account.name();
                return Err(ReadError::Account(format!(
                    "{name}: the access token opens the account of \"{other}\" as well, because group {number} is there; give providers.{name} and providers.{other} the same fingerprint, so that both are known as one account"
                )));
            }
        }
        Ok(())
    }

    /// Looks for the group of a fingerprint; the inner error says what is otherwise.
    async fn compare(
        &self,
        number: i64,
        fingerprint: &Fingerprint,
    ) -> Result<Result<(), String>, ReadError> {
        let found = self
            .ask(group_wire::lookup(&[number]), group_wire::details)
            .await;
        let groups = match found {
            Ok(groups) => groups,
            // A refused look-up may say that there is no such group, or that the token is worth
            // nothing.
            Err(CallError::Refused { refusal, .. }) => {
                return Ok(Err(format!(
                    "the look-up of group {number} was refused: {refusal}"
                )));
            }
            Err(error) => return Err(self.access_error(error)),
        };
        let Some(group) = groups.iter().find(|group| group.id == number.to_string()) else {
            return Ok(Err(format!(
                "there is no group {number}, or the token's user may not see it"
            )));
        };
        for (field, expected) in [
            ("groupName", &fingerprint.group_name),
            ("externalID", &fingerprint.external_id),
        ] {
            let found = group
                .wire
                .get(field)
                .map(Value::to_string)
                .unwrap_or_default();
            if let Some(expected) = expected
                && found.trim() != expected.trim()
            {
                return Ok(Err(format!(
                    "{field} of group {number} is \"{found}\" and not \"{expected}\""
                )));
            }
        }
        Ok(Ok(()))
    }

    /// Tries the two reads that take the same permission as a write does, on one group: looking it
    /// up takes what saving groups takes, and listing its contacts what adding contacts takes
    /// (groups reference).
    pub(super) async fn read_lacks(
        &self,
        duties: Duties,
        groups: &[GroupRow],
    ) -> Result<Vec<String>, ReadError> {
        // The members of others can't be listed, whatever the rights.
        let ordinary = groups
            .iter()
            .filter(|group| group.kind == GroupKind::Static && group.status == GroupStatus::Active);
        let Some(group) = ordinary.filter_map(|group| id_number(&group.id)).min() else {
            return Ok(Vec::new());
        };
        let mut tried = Vec::new();
        if duties.save_groups || duties.delete_groups {
            let answer = self
                .ask(group_wire::lookup(&[group]), |answer| {
                    group_wire::details(answer).map(|_| ())
                })
                .await;
            tried.push((answer, "Create Groups", "saving groups"));
        }
        if duties.create_members || duties.change_members {
            let request = group_wire::get_contacts(group, 1, 1, None);
            let answer = self
                .ask(request, |answer| {
                    group_wire::listing(answer, 1, 1).map(|_| ())
                })
                .await;
            tried.push((
                answer,
                "Contacts (Edit)",
                "writing to contacts and groups of them",
            ));
        }
        let mut lacks = Vec::new();
        for (answer, permission, purpose) in tried {
            match answer {
                Ok(()) => {}
                Err(CallError::Refused { refusal, .. }) => lacks.push(format!(
                    "the token's user seems to lack the permission {permission}, which {purpose} takes: looking at group {group} was refused ({refusal})"
                )),
                Err(CallError::Denied { reason, .. }) => lacks.push(format!(
                    "the token's user lacks the permission {permission}, which {purpose} takes: looking at group {group} was refused ({reason})"
                )),
                // One group that draws an error says nothing of the rights.
                Err(error) if error.is_of_the_question() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(lacks)
    }

    fn access_error(&self, error: CallError) -> ReadError {
        match error {
            CallError::Refused { refusal, .. } if refusal.is_about_the_address() => {
                ReadError::Account(format!(
                    "{0}: no API of emfluence answers at its address ({refusal}); check `base_url` of `providers.{0}`, which ends in /v1",
                    self.account.name()
                ))
            }
            // Only code 301 is documented; a refusal here is about the token or its user's rights.
            CallError::Refused { refusal, .. } => ReadError::Account(format!(
                "{}: the access token was refused: {refusal}; check access_token and the permissions of the user who owns it",
                self.account.name()
            )),
            other => ReadError::Call(other),
        }
    }

    /// Reads the definitions of custom fields, which takes the permission of a client
    /// administrator.
    pub(super) async fn read_custom_fields(&self) -> Result<CustomFields, ReadError> {
        let (mut fields, mut unread) = (Vec::new(), Vec::new());
        let mut walk = Walk::default();
        let mut page = 1;
        loop {
            let answer = match self
                .ask(
                    contact_wire::search_custom_fields(page),
                    contact_wire::custom_fields,
                )
                .await
            {
                Ok(answer) => answer,
                Err(CallError::Refused { .. } | CallError::Denied { .. }) => {
                    return Ok(CustomFields::default());
                }
                Err(error) => return Err(error.into()),
            };
            let step = walk.take(&answer.paging, answer.rows.len());
            for row in answer.rows.known {
                match row {
                    Ok(field) => fields.push(field),
                    Err(name) => unread.push(name),
                }
            }
            for _ in 0..answer.rows.without_id {
                unread.push("without a name".to_owned());
            }
            match step {
                Ok(Step::Next(next)) => page = next,
                Ok(Step::Done) => break,
                Err(reason) => {
                    return Err(self
                        .account
                        .broken_rule("customFields/search", reason)
                        .into());
                }
            }
        }
        fields.sort_by(|left, right| left.system_name.cmp(&right.system_name));
        Ok(CustomFields {
            known: true,
            fields,
            unread,
        })
    }

    /// Reads all groups, and every field of the wanted ones.
    pub(super) async fn read_groups(
        &self,
        wanted: &(dyn Fn(&str, &str) -> bool + Sync),
    ) -> Result<(Vec<GroupRow>, Certificate), ReadError> {
        let (mut groups, mut certificate) = self.list_groups().await?;
        if !certificate.problems.is_empty() || certificate.total != Some(certificate.distinct) {
            // The list moved while it was read, most likely; once more is worth a few requests.
            (groups, certificate) = self.list_groups().await?;
        }
        let detailed: Vec<i64> = groups
            .iter()
            .filter(|group| {
                wanted(
                    &group.id,
                    &group
                        .wire
                        .get("groupName")
                        .map(Value::to_string)
                        .unwrap_or_default(),
                )
            })
            .filter_map(|group| id_number(&group.id))
            .collect();
        let (mut found, mut spoilt) = (false, None);
        for asked in detailed.chunks(LOOKUP_GROUPS) {
            let (rows, error) = self.look_at_groups(asked, &mut certificate).await?;
            found |= !rows.is_empty();
            spoilt = spoilt.or(error);
            if rows.len() > asked.len()
                || rows
                    .iter()
                    .any(|row| id_number(&row.id).is_none_or(|id| !asked.contains(&id)))
            {
                return Err(self
                    .account
                    .broken_rule(
                        "groups/lookup",
                        "it is answered with groups that nobody asked for",
                    )
                    .into());
            }
            for id in asked {
                let id = id.to_string();
                if let Some(row) = rows.iter().find(|row| row.id == id) {
                    if let Some(group) = groups.iter_mut().find(|group| group.id == id) {
                        *group = row.clone();
                    }
                } else if let Some(group) = groups.iter_mut().find(|group| group.id == id) {
                    // The group alone is left out; the others are as they are.
                    group.unread = Some(Unread::Details);
                }
            }
        }
        // What is refused for every group is no trouble of one of them.
        match spoilt.filter(|_| !found) {
            Some(error) => Err(error.into()),
            None => Ok((groups, certificate)),
        }
    }

    /// Looks at several groups at once, or at each alone where one of them spoils the answer.
    /// Returns what was found, and an error that was met.
    async fn look_at_groups(
        &self,
        asked: &[i64],
        certificate: &mut Certificate,
    ) -> Result<(Vec<GroupRow>, Option<CallError>), ReadError> {
        certificate.pages += 1;
        let error = match self
            .ask(group_wire::lookup(asked), group_wire::details)
            .await
        {
            Ok(rows) => return Ok((rows, None)),
            Err(error) => error,
        };
        self.survivable(error.clone()).await?;
        let mut rows = Vec::new();
        for group in asked.iter().filter(|_| asked.len() > 1) {
            certificate.pages += 1;
            match self
                .ask(group_wire::lookup(&[*group]), group_wire::details)
                .await
            {
                Ok(found) => rows.extend(found),
                Err(error) => drop(self.survivable(error).await?),
            }
        }
        Ok((rows, Some(error)))
    }

    async fn list_groups(&self) -> Result<(Vec<GroupRow>, Certificate), ReadError> {
        let mut groups: Vec<GroupRow> = Vec::new();
        let mut certificate = Certificate {
            opt_outs_complete: true,
            ..Certificate::default()
        };
        let mut walk = Walk::default();
        let mut page = 1;
        loop {
            let answer = self
                .ask(
                    group_wire::search_all(page, SEARCH_ROWS),
                    group_wire::summaries,
                )
                .await?;
            certificate.pages += 1;
            let before = certificate.rows;
            certificate.rows += answer.rows.len() as u64;
            let step = walk.take(&answer.paging, answer.rows.len());
            let left_out = answer.rows.left_out("the groups", before);
            let is_said = |what: &String| certificate.left_out.contains(what);
            let left_out = left_out.filter(|what| !is_said(what));
            certificate.left_out.extend(left_out);
            groups.extend(answer.rows.known);
            match step {
                Ok(Step::Next(next)) => page = next,
                Ok(Step::Done) => break,
                Err(reason) => {
                    certificate
                        .problems
                        .push(format!("the list of groups is not whole: {reason}"));
                    break;
                }
            }
        }
        groups.sort_by_key(|group| id_number(&group.id));
        groups.dedup_by(|later, kept| later.id == kept.id);
        certificate.distinct = groups.len() as u64;
        certificate.total = walk.total();
        Ok((groups, certificate))
    }

    /// Reads one group with every field, or finds that there is none.
    pub(super) async fn read_group(&self, id: &str) -> Result<Option<GroupRow>, ReadError> {
        // What is no number is no group here.
        let Some(number) = id_number(id) else {
            return Ok(None);
        };
        let page = self
            .ask(group_wire::search_one(number), group_wire::summaries)
            .await?;
        Walk::default()
            .take(&page.paging, page.rows.len())
            .map_err(|reason| self.account.broken_rule("groups/search", reason))?;
        if page.rows.len() == 0 {
            return Ok(None);
        }
        if !page
            .rows
            .known
            .iter()
            .any(|row| row.id == number.to_string())
        {
            return Err(self
                .account
                .broken_rule(
                    "groups/search",
                    "the search for one id is answered with other groups",
                )
                .into());
        }
        let rows = self
            .ask(group_wire::lookup(&[number]), group_wire::details)
            .await?;
        match rows.into_iter().find(|row| row.id == number.to_string()) {
            Some(row) => Ok(Some(row)),
            None => Err(self
                .account
                .broken_rule(
                    "groups/lookup",
                    format!("group {number} exists and can't be looked up"),
                )
                .into()),
        }
    }
}

/// Predicts the requests that reading so many groups takes, the other side's addresses apart.
///
/// A target is asked for addresses one by one where that takes fewer requests than reading the
/// whole account; how many that are shows only once the listings are read. The whole account may take fewer
/// requests than its groups as well, but nothing tells how many people it has before it is read.
pub(super) fn predicted(groups: &[GroupRow]) -> u64 {
    predicted_listings(groups) + 1 + by_group(groups)
}

/// The same of a copy of an account that holds so many people, all of whom are read.
pub(super) fn predicted_everything(groups: &[GroupRow], account: u64) -> u64 {
    predicted_listings(groups) + account.div_ceil(SEARCH_ROWS).max(1)
}

/// The same of a target whose account holds so many people, all of whom are read where that takes
/// fewer requests.
pub(super) fn predicted_target(groups: &[GroupRow], account: u64) -> u64 {
    let rest = account.div_ceil(SEARCH_ROWS).max(1) - 1;
    predicted_listings(groups) + 1 + rest.min(by_group(groups))
}

/// The profiles of each group, and the two scans of the account.
fn by_group(groups: &[GroupRow]) -> u64 {
    pages(groups, SEARCH_ROWS) + 2
}

fn pages(groups: &[GroupRow], rows: u64) -> u64 {
    let counts = groups.iter().map(|group| group.member_count.unwrap_or(0));
    counts.map(|count| count.div_ceil(rows).max(1)).sum()
}

/// Everything but the people and the first page of the account, which decides how they are read.
fn predicted_listings(groups: &[GroupRow]) -> u64 {
    let count = groups.len() as u64;
    // A ping and the proof of access, the list of groups and their look-ups.
    let before = 2 + count.div_ceil(SEARCH_ROWS).max(1) + count.div_ceil(LOOKUP_GROUPS as u64);
    // The definitions of custom fields, by label at a source; a target's mapping names them as
    // well.
    let definitions = 1;
    // Whether listings hold both kinds of member.
    let both_kinds = if count == 0 { 0 } else { 2 };
    before + definitions + pages(groups, LISTING_ROWS) + both_kinds
}

/// Predicts the requests that list groups once more: each is found by its id, looked up, and listed.
pub(super) fn predicted_check(groups: u64, listed: u64) -> u64 {
    groups * 3 + listed / LISTING_ROWS
}

/// Predicts the requests that read the profiles of some people of an account: the first page, which
/// decides how the rest is read, and the rest of the account, or its two scans and one look-up each.
pub(super) fn predicted_profiles(people: u64, account: u64) -> u64 {
    let pages = account.div_ceil(SEARCH_ROWS).max(1) - 1;
    1 + pages.min(2 + people)
}
