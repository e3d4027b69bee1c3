//! The order of calls for reading user groups and users.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::ActiveCampaign;
use super::super::wire::groups as group_wire;
use super::super::wire::users::{self as wire, User};
use super::super::wire::{PAGE_ROWS, id_number};
use super::listing::Listings;
use crate::http::CallError;
use crate::model::{Certificate, GroupKind, GroupRow, MemberRow, MemberSink, Value};
use crate::provider::{MemberAsk, ReadError, Role};

/// So many ids are asked for at once where nothing lists them.
const WINDOW: u64 = 200;

impl ActiveCampaign {
    /// Reads all user groups, and every field of the wanted ones.
    pub(in super::super) async fn read_user_groups(
        &self,
        wanted: &(dyn Fn(&str, &str) -> bool + Sync),
    ) -> Result<(Vec<GroupRow>, Certificate), ReadError> {
        let (mut rows, mut certificate) = match self.list_user_groups().await {
            Ok(listed) => listed,
            Err(error) => {
                self.survive(error).await?;
                self.list_user_groups_by_v1().await?
            }
        };
        rows.sort_by_key(|row| id_number(&row.id));
        rows.dedup_by(|later, kept| later.id == kept.id);
        certificate.distinct = rows.len() as u64;
        for row in &mut rows {
            if !wanted(
                &row.id,
                &row.wire
                    .get("title")
                    .map(Value::to_string)
                    .unwrap_or_default(),
            ) {
                continue;
            }
            match self.read_user_group(&row.id).await? {
                Some(full) => *row = full,
                None => certificate.problems.push(format!(
                    "user group {} is in the list and can't be looked at",
                    row.id
                )),
            }
            certificate.pages += 1;
        }
        for row in &mut rows {
            self.mark_parking(row);
        }
        Ok((rows, certificate))
    }

    async fn list_user_groups(&self) -> Result<(Vec<GroupRow>, Certificate), CallError> {
        let mut rows = Vec::new();
        let mut certificate = Certificate {
            opt_outs_complete: true,
            ..Certificate::default()
        };
        loop {
            let (page, total) = self
                .ask_v3(group_wire::page(rows.len() as u64), group_wire::summaries)
                .await?;
            let count = page.len() as u64;
            rows.extend(page);
            certificate.pages += 1;
            certificate.total = total;
            if count < PAGE_ROWS {
                break;
            }
        }
        certificate.rows = rows.len() as u64;
        Ok((rows, certificate))
    }

    /// Lists without ids, which is undocumented and works for some; else asks for ids until none
    /// are left for a while.
    async fn list_user_groups_by_v1(&self) -> Result<(Vec<GroupRow>, Certificate), CallError> {
        let certificate = |rows: &Vec<GroupRow>, pages| Certificate {
            pages,
            rows: rows.len() as u64,
            opt_outs_complete: true,
            ..Certificate::default()
        };
        if let Ok(Some(rows)) = self
            .ask_v1(group_wire::list(None), group_wire::listed)
            .await
        {
            return Ok((rows.clone(), certificate(&rows, 1)));
        }
        let mut rows = Vec::new();
        let (mut from, mut empty, mut pages) = (1, 0, 1);
        while empty < 2 {
            let ids: Vec<u64> = (from..from + WINDOW).collect();
            let found = self
                .ask_v1(group_wire::list(Some(&ids)), group_wire::listed)
                .await?
                .unwrap_or_default();
            empty = if found.is_empty() { empty + 1 } else { 0 };
            // Visitor and User are left out of other listings, and hold no one.
            rows.extend(
                found
                    .into_iter()
                    .filter(|row| id_number(&row.id).is_some_and(|id| id > 2)),
            );
            from += WINDOW;
            pages += 1;
        }
        let certificate = certificate(&rows, pages);
        Ok((rows, certificate))
    }

    /// Reads one user group with every field, or finds that there is none.
    pub(in super::super) async fn read_user_group(
        &self,
        id: &str,
    ) -> Result<Option<GroupRow>, ReadError> {
        let Some(number) = id_number(id) else {
            return Ok(None);
        };
        match self
            .ask_v1(group_wire::view(number), group_wire::full)
            .await?
        {
            None => Ok(None),
            Some(mut row) if row.id == number.to_string() => {
                self.mark_parking(&mut row);
                Ok(Some(row))
            }
            Some(_) => Err(self
                .account
                .broken_rule(
                    "group_view",
                    "the question for one user group is answered with another",
                )
                .into()),
        }
    }

    /// The parking group is filled by removals alone, so nothing may be added to it or read from it
    /// as a group in scope.
    fn mark_parking(&self, row: &mut GroupRow) {
        if self.parking().is_some() && self.parking() == id_number(&row.id) {
            row.kind = GroupKind::Parking;
        }
    }

    /// Reads users into a sink: all of them, each with the one group that holds them.
    pub(in super::super) async fn read_users(
        &self,
        ask: &MemberAsk<'_>,
        sink: &mut dyn MemberSink,
    ) -> Result<(), ReadError> {
        let (users, mut problem) = match self.list_users().await {
            Ok(listed) => listed,
            Err(error) => {
                self.survive(error).await?;
                (self.list_users_by_v1().await?, None)
            }
        };
        let mut listings = Listings::begin(ask.groups);
        let is_target = matches!(ask.role, Role::Target { .. });
        let profile = !matches!(ask.role, Role::Check) && !ask.fields.is_empty();
        let mut seats = HashMap::new();
        for user in users.into_values() {
            let group = match self.group_of(&user).await {
                Ok(group) => {
                    seats.insert(user.id, group);
                    Some(group)
                }
                // Nobody knows which of the groups lacks this user.
                Err(error) => {
                    problem = Some(super::contacts::survivable(error)?);
                    None
                }
            };
            let listed = group.is_some_and(|group| listings.put(group, user.id));
            if listed || is_target {
                let wire = profile.then(|| {
                    user.profile
                        .iter()
                        .filter(|(name, _)| ask.fields.contains(name))
                        .map(|(n, v)| (n.clone(), v.clone()))
                        .collect()
                });
                let address = user.profile.get("email").map(Value::to_string);
                sink.member(MemberRow {
                    id: user.id.to_string(),
                    address,
                    status: None,
                    wire,
                })?;
            }
        }
        if let Some(problem) = &problem {
            listings.broken(problem);
        }
        if is_target {
            sink.whole_account();
            if !ask.groups.is_empty() {
                self.memory().seats = seats;
            }
        }
        if !matches!(ask.role, Role::Check) {
            sink.account_state(Certificate {
                opt_outs_complete: true,
                ..Certificate::default()
            });
        }
        listings.close(sink);
        Ok(())
    }

    /// Reads all users, page after page until a short one, and says what speaks against their being
    /// all.
    ///
    /// Their total is not always right, so it is not held against their number. But one that
    /// changes from page to page says that users came or went meanwhile, and then an offset may
    /// have passed over somebody.
    async fn list_users(&self) -> Result<(BTreeMap<u64, User>, Option<String>), CallError> {
        let mut users = BTreeMap::new();
        let mut offset = 0;
        let mut totals = BTreeSet::new();
        loop {
            let (page, total) = self.ask_v3(wire::page(offset), wire::users).await?;
            let count = page.len() as u64;
            offset += count;
            totals.insert(total);
            users.extend(page.into_iter().map(|user| (user.id, user)));
            if count < PAGE_ROWS {
                let moved = totals.len() > 1 || users.len() as u64 != offset;
                return Ok((
                    users,
                    moved.then(|| "users came or went while they were listed".to_owned()),
                ));
            }
        }
    }

    async fn list_users_by_v1(&self) -> Result<BTreeMap<u64, User>, CallError> {
        let mut users = BTreeMap::new();
        let (mut from, mut empty) = (1, 0);
        while empty < 2 {
            let ids: Vec<u64> = (from..from + WINDOW).collect();
            let found = self
                .ask_v1(wire::list(&ids), wire::listed)
                .await?
                .unwrap_or_default();
            empty = if found.is_empty() { empty + 1 } else { 0 };
            users.extend(found.into_iter().map(|user| (user.id, user)));
            from += WINDOW;
        }
        Ok(users)
    }

    /// Finds the group of a user, by the answer at hand, by version 3, or by version 1.
    pub(in super::super) async fn group_of(&self, user: &User) -> Result<u64, CallError> {
        let several = || {
            self.account.broken_rule(
                "user_view",
                format!("user {} is not in exactly one group", user.id),
            )
        };
        if let Some([group]) = user.groups.as_deref() {
            return Ok(*group);
        }
        match self
            .ask_v3(wire::edge(user.id), |answer| {
                wire::group_of(answer, user.id)
            })
            .await
        {
            Err(
                CallError::Refused { .. } | CallError::Protocol { .. } | CallError::Denied { .. },
            ) => {}
            found => return found,
        }
        let shown = self.ask_v1(wire::view(user.id), wire::user).await?;
        match shown
            .filter(|shown| shown.id == user.id)
            .and_then(|shown| shown.groups)
            .as_deref()
        {
            Some([group]) => Ok(*group),
            _ => Err(several()),
        }
    }
}

/// Predicts the requests that reading so many user groups takes, the users apart: how many there
/// are shows only then.
pub(in super::super) fn predicted_users(groups: &[GroupRow]) -> u64 {
    3 + groups.len() as u64
}
