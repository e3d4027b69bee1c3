//! The order of calls for reading user groups and users.

use std::collections::{BTreeMap, HashMap, HashSet};

use tracing::warn;

use super::super::ActiveCampaign;
use super::super::wire::groups as group_wire;
use super::super::wire::users::{self as wire, User};
use super::super::wire::{PAGE_ROWS, id_number};
use super::listing::Listings;
use crate::http::CallError;
use crate::model::{
    Certificate, GroupKind, GroupRow, MemberRow, MemberSink, Unread, Unreadable, Value,
};
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
        let (mut any, mut spoilt) = (false, None);
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
            let found = match self.read_user_group(&row.id).await {
                Err(ReadError::Call(error)) => {
                    self.survivable(error.clone()).await?;
                    spoilt = spoilt.or(Some(error));
                    None
                }
                found => found?,
            };
            match found {
                Some(full) => {
                    any = true;
                    *row = full;
                }
                // The group alone is left out; the others are as they are.
                None => row.unread = Some(Unread::Details),
            }
            certificate.pages += 1;
        }
        // What is refused for every group is no trouble of one of them.
        if let Some(error) = spoilt.filter(|_| !any) {
            return Err(error.into());
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
        let mut pages = Offsets::default();
        loop {
            let (page, total) = self
                .ask_page(group_wire::page(pages.rows), group_wire::summaries)
                .await?;
            certificate.pages += 1;
            let ids = page.known.iter().filter_map(|row| id_number(&row.id));
            let before = pages.rows;
            let more = pages.take(ids, page.len(), total);
            let left_out = page.left_out("the user groups", before);
            let is_said = |what: &String| certificate.left_out.contains(what);
            let left_out = left_out.filter(|what| !is_said(what));
            certificate.left_out.extend(left_out);
            rows.extend(page.known);
            if !more {
                break;
            }
        }
        certificate.rows = pages.rows;
        certificate.total = pages.total;
        certificate.ended = pages.rising;
        if pages.repeats {
            certificate
                .problems
                .push("a page of user groups came again".to_owned());
        }
        if pages.shrank {
            certificate
                .problems
                .push("user groups went while they were listed".to_owned());
        }
        Ok((rows, certificate))
    }

    /// Lists without ids, which is undocumented and works for some; else asks for ids until none
    /// are left for a while. Neither way has any evidence of being whole.
    async fn list_user_groups_by_v1(&self) -> Result<(Vec<GroupRow>, Certificate), CallError> {
        let certificate = |rows: &Vec<GroupRow>, left_out: Option<String>, pages| Certificate {
            pages,
            rows: rows.len() as u64,
            opt_outs_complete: true,
            left_out: left_out.into_iter().collect(),
            ..Certificate::default()
        };
        if let Ok(Some(rows)) = self
            .ask_listing(group_wire::list(None), group_wire::listed)
            .await
        {
            let certificate = certificate(&rows.known, rows.left_out("the user groups", 0), 1);
            return Ok((rows.known, certificate));
        }
        let mut rows = Vec::new();
        let mut left_out = None;
        let mut seen = HashSet::new();
        let (mut from, mut empty, mut pages) = (1, 0, 1);
        while empty < 2 {
            let ids: Vec<u64> = (from..from + WINDOW).collect();
            let found = self
                .ask_listing(group_wire::list(Some(&ids)), group_wire::listed)
                .await?
                .unwrap_or_default();
            let is_new = found.known.iter().filter(|row| seen.insert(row.id.clone()));
            empty = if is_new.count() == 0 { empty + 1 } else { 0 };
            if left_out.is_none() {
                left_out = found.left_out("the user groups", from);
            }
            // Visitor and User are left out of other listings, and hold no one.
            rows.extend(
                found
                    .known
                    .into_iter()
                    .filter(|row| id_number(&row.id).is_some_and(|id| id > 2)),
            );
            from += WINDOW;
            pages += 1;
        }
        let certificate = certificate(&rows, left_out, pages);
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
        let (users, evidence, seams) = match self.list_users().await {
            Ok(listed) => listed,
            Err(error) => {
                self.survive(error).await?;
                let (users, evidence) = self.list_users_by_v1().await?;
                (users, evidence, false)
            }
        };
        let mut listings = Listings::begin(ask.groups);
        if seams {
            listings.by_offset();
        }
        let whole = evidence == Evidence::Whole;
        if matches!(ask.role, Role::Everything) {
            sink.everybody(Certificate {
                ended: whole,
                problems: match &evidence {
                    Evidence::Whole | Evidence::None => Vec::new(),
                    Evidence::Against(why) => vec![why.clone()],
                },
                ..Certificate::default()
            });
        }
        match evidence {
            Evidence::Whole => listings.ended(),
            // Who is seen is there; nobody is missing for not being seen.
            Evidence::None => {}
            Evidence::Against(why) => listings.doubt(&why),
        }
        let is_target = matches!(ask.role, Role::Target { .. });
        let profile = !matches!(ask.role, Role::Check) && !ask.fields.is_empty();
        let mut seats = HashMap::new();
        let mut untold = None;
        for mut user in users.into_values() {
            let listed = match self.group_of(&user).await {
                Ok(group) => {
                    seats.insert(user.id, group);
                    listings.put(group, user.id)
                }
                // It may be any of them: this user is missing from none, and the others are where
                // they are.
                Err(error) => {
                    let why = self.survivable(error).await?;
                    let why = format!("the group of user {} is not known: {why}", user.id);
                    warn!(
                        account = self.account.name(),
                        "What could not be read of one user: {why}."
                    );
                    // The same words in every run, so that what was accepted stays accepted.
                    let what = format!("the service does not tell the group of user {}", user.id);
                    let what = Unreadable::Standing(what);
                    sink.unreadable(&user.id.to_string(), what);
                    untold.get_or_insert(why);
                    user.unreadable = true;
                    listings.take_maybe(user.id);
                    true
                }
            };
            if listed || ask.role.is_account_wide() {
                let wire = profile.then(|| {
                    user.profile
                        .iter()
                        .filter(|(name, _)| ask.fields.iter().any(|field| field == *name))
                        .map(|(n, v)| (n.clone(), v.clone()))
                        .collect()
                });
                let wire = wire.filter(|_| !user.unreadable);
                if user.unreadable {
                    sink.unreadable(&user.id.to_string(), Unreadable::Profile);
                }
                let address = user.profile.get("email").map(Value::to_string);
                sink.member(MemberRow {
                    id: user.id.to_string(),
                    address,
                    status: None,
                    wire,
                })?;
            }
        }
        // What is told of nobody is no trouble of one of them.
        if let Some(why) = untold.filter(|_| seats.is_empty()) {
            listings.doubt(&why);
        }
        if is_target {
            if whole {
                sink.whole_account();
            }
            if !ask.groups.is_empty() {
                self.memory().seats = seats;
            }
        }
        if !matches!(ask.role, Role::Check) {
            sink.account_state(Certificate {
                opt_outs_complete: true,
                ..Certificate::of_the_end()
            });
        }
        listings.close(sink);
        Ok(())
    }

    /// Reads all users, page after page until an empty one, and says what shows that they are all,
    /// and whether there are seams between their pages.
    ///
    /// Pages may be shorter than asked for in mid-listing, so a short one ends nothing. New users
    /// join at the end; where the total goes down, an offset may have passed over somebody.
    async fn list_users(&self) -> Result<(BTreeMap<u64, User>, Evidence, bool), CallError> {
        let mut users = BTreeMap::new();
        let mut pages = Offsets::default();
        let mut left_out = None;
        loop {
            let (page, total) = self.ask_page(wire::page(pages.rows), wire::users).await?;
            let ids = page.known.iter().map(|user| user.id);
            let before = pages.rows;
            let more = pages.take(ids, page.len(), total);
            left_out = left_out.or(page.left_out("the users", before));
            users.extend(page.known.into_iter().map(|user| (user.id, user)));
            if !more {
                break;
            }
        }
        let seen = users.len() as u64;
        let evidence = if let Some(why) = left_out {
            Evidence::Against(why)
        } else if pages.repeats {
            Evidence::Against("a page of users came again".to_owned())
        } else if pages.shrank || seen != pages.rows {
            Evidence::Against("users came or went while they were listed".to_owned())
        } else if let Some(total) = pages.total.filter(|total| *total > seen) {
            Evidence::Against(format!("{total} users were announced and {seen} came"))
        } else if pages.rising || pages.total.is_some() {
            Evidence::Whole
        } else {
            Evidence::None
        };
        Ok((users, evidence, pages.filled > 1))
    }

    /// Asks for ids until none are left for a while, which shows of nobody that they are missing.
    async fn list_users_by_v1(&self) -> Result<(BTreeMap<u64, User>, Evidence), CallError> {
        let mut users = BTreeMap::new();
        let mut left_out = None;
        let (mut from, mut empty) = (1, 0);
        while empty < 2 {
            let ids: Vec<u64> = (from..from + WINDOW).collect();
            let found = self
                .ask_listing(wire::list(&ids), wire::listed)
                .await?
                .unwrap_or_default();
            if left_out.is_none() {
                left_out = found.left_out("the users", from);
            }
            let before = users.len();
            users.extend(found.known.into_iter().map(|user| (user.id, user)));
            empty = if users.len() == before { empty + 1 } else { 0 };
            from += WINDOW;
        }
        Ok((users, left_out.map_or(Evidence::None, Evidence::Against)))
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

/// What shows that the users of an account were all read.
#[derive(Debug, PartialEq, Eq)]
enum Evidence {
    /// They are all.
    Whole,
    /// Nothing shows it, and nothing speaks against it.
    None,
    /// They are not; the sentence says why.
    Against(String),
}

/// Follows pages by their offset, until one is empty.
#[derive(Default)]
struct Offsets {
    rows: u64,
    /// The pages that held anybody.
    filled: u64,
    last: u64,
    /// Whether each id so far was greater than the one before.
    rising: bool,
    /// The greatest total that was announced.
    total: Option<u64>,
    /// Whether a total was smaller than one before it.
    shrank: bool,
    begun: bool,
    seen: HashSet<u64>,
    /// Whether a page brought nobody new: whoever ignores the offset answers so for ever.
    repeats: bool,
}

impl Offsets {
    /// Takes a page; returns whether another one is to be asked for.
    fn take(&mut self, ids: impl Iterator<Item = u64>, count: usize, total: Option<u64>) -> bool {
        if !std::mem::replace(&mut self.begun, true) {
            self.rising = true;
        }
        let before = self.seen.len();
        for id in ids {
            self.rising &= id > self.last;
            self.last = id;
            self.seen.insert(id);
        }
        self.repeats = count > 0 && self.seen.len() == before;
        self.rows += count as u64;
        self.filled += u64::from(count > 0);
        self.shrank |= total < self.total && total.is_some();
        self.total = self.total.max(total);
        count > 0 && !self.repeats
    }
}

/// Predicts the requests that reading so many users takes: their pages, to an empty one, and the
/// group of each.
pub(in super::super) fn predicted_seats(users: u64) -> u64 {
    users.div_ceil(PAGE_ROWS) + 1 + users
}

/// Predicts the requests that reading so many user groups takes, the users apart: how many there
/// are shows only then.
pub(in super::super) fn predicted_users(groups: &[GroupRow]) -> u64 {
    5 + groups.len() as u64
}
