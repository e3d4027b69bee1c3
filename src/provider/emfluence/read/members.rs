//! The order of calls for reading members.
//!
//! First the listings of the groups, whose rows wait here as pairs of id and state (16 bytes each).
//! Then the state of the whole account and the profiles, by one scan of the account or by searches
//! per group and two short scans, whichever takes fewer requests. Then the listings are closed,
//! each with what was found against it.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::Ordering;

use super::super::Emfluence;
use super::super::wire::contacts::{ProfileFields, Scan};
use super::super::wire::groups::{self as group_wire, ListedContact};
use super::super::wire::paging::{Step, Walk};
use super::super::wire::{self, LISTING_ROWS, id_number};
use super::account::{Scanned, hand_over};
use crate::http::CallError;
use crate::model::{
    Certificate, CountRule, GroupRow, MemberRow, MemberSink, MembershipState, Unreadable, Value,
    normalise_address,
};
use crate::provider::{MemberAsk, ReadError, Role};

/// The addresses that a target is asked for and that have not been seen yet.
pub(super) type Unseen<'a> = BTreeSet<&'a str>;

/// A group's listing that waits to be closed.
pub(super) struct Listed {
    pub(super) group: String,
    /// Nothing where the id is no number of this provider.
    pub(super) number: Option<i64>,
    pub(super) dynamic: bool,
    rows: Vec<(i64, MembershipState)>,
    /// Distinct ids in ascending order.
    pub(super) ids: Vec<i64>,
    pub(super) certificate: Certificate,
}

impl Listed {
    fn begin(group: &GroupRow, role: &Role<'_>) -> Self {
        // After a write the count of the listing of groups is out of date.
        let counted = group.member_count.filter(|_| !matches!(role, Role::Check));
        Listed {
            group: group.id.clone(),
            number: id_number(&group.id),
            dynamic: group
                .wire
                .get("type")
                .map(Value::to_string)
                .is_some_and(|kind| !kind.eq_ignore_ascii_case("static")),
            rows: Vec::new(),
            ids: Vec::new(),
            certificate: Certificate {
                group_total: counted.map_or(CountRule::None, CountRule::AtMostRows),
                opt_outs_complete: true,
                ..Certificate::default()
            },
        }
    }

    pub(super) fn problem(&mut self, what: impl Into<String>) {
        self.certificate.problems.push(what.into());
    }

    /// Marks the listing as one that does not even show all opt-outs.
    fn broken(&mut self, what: impl Into<String>) {
        self.problem(what);
        self.certificate.opt_outs_complete = false;
    }

    fn count(&mut self) {
        self.certificate.rows = self.certificate.rows.max(self.rows.len() as u64);
        self.ids = distinct(self.rows.iter().map(|(contact, _)| *contact).collect());
        self.certificate.distinct = self.ids.len() as u64;
        let opted_out = self
            .rows
            .iter()
            .filter(|(_, state)| *state == MembershipState::OptedOut);
        self.certificate.opted_out =
            distinct(opted_out.map(|(contact, _)| *contact).collect()).len() as u64;
    }
}

impl Emfluence {
    /// Reads the members of groups into a sink.
    pub(in super::super) async fn read_members(
        &self,
        ask: &MemberAsk<'_>,
        sink: &mut dyn MemberSink,
    ) -> Result<(), ReadError> {
        let mut fields = ProfileFields::of(ask.fields);
        if matches!(ask.role, Role::Check) {
            fields = ProfileFields::default();
        }
        let mut unseen: Unseen<'_> = match &ask.role {
            Role::Target { wanted } => wanted.iter().map(String::as_str).collect(),
            Role::Source | Role::Check | Role::Everything => Unseen::new(),
        };
        let mut listings: Vec<Listed> = ask
            .groups
            .iter()
            .map(|group| Listed::begin(group, &ask.role))
            .collect();
        self.list_all(
            &mut listings,
            &fields,
            &ask.role,
            ask.groups,
            &mut unseen,
            sink,
        )
        .await?;
        if !matches!(ask.role, Role::Check) {
            self.read_account(&mut listings, &fields, &ask.role, unseen, sink)
                .await?;
        }
        for mut listing in listings {
            listing.certificate.by_offset = listing.certificate.pages > 1;
            sink.begin_listing(&listing.group);
            for (contact, state) in listing.rows {
                sink.listed(&contact.to_string(), state);
            }
            sink.end_listing(listing.certificate);
        }
        Ok(())
    }

    /// Lists every group, the fullest static one first: it shows best whether listings hold both
    /// kinds of member.
    async fn list_all(
        &self,
        listings: &mut [Listed],
        fields: &ProfileFields,
        role: &Role<'_>,
        groups: &[GroupRow],
        unseen: &mut Unseen<'_>,
        sink: &mut dyn MemberSink,
    ) -> Result<(), ReadError> {
        let fullest = (0..listings.len())
            .filter(|at| !listings[*at].dynamic && listings[*at].number.is_some())
            .max_by_key(|at| (groups[*at].member_count, std::cmp::Reverse(*at)));
        let order = fullest
            .into_iter()
            .chain((0..listings.len()).filter(|at| Some(*at) != fullest));
        for at in order {
            let listing = &mut listings[at];
            sink.begin_reading(&listing.group);
            let Some(number) = listing.number else {
                listing.broken(format!(
                    "\"{}\" is not the id of an emfluence group",
                    listing.group
                ));
                continue;
            };
            if listing.dynamic {
                self.list_dynamic(listing, number, fields, unseen, sink)
                    .await?;
                continue;
            }
            self.list_static(listing, number, unseen, sink).await?;
            if Some(at) == fullest
                && !matches!(role, Role::Check)
                && listing.certificate.problems.is_empty()
            {
                let filtered = self
                    .leaves_out_a_kind(number, listing.certificate.total)
                    .await?;
                self.listings_filtered.store(filtered, Ordering::Relaxed);
            }
        }
        if self.listings_filtered.load(Ordering::Relaxed) {
            for listing in listings.iter_mut().filter(|listing| !listing.dynamic) {
                listing
                    .broken("listings of this account leave out members: those who opted out and those who did not do not add up to all");
            }
        }
        Ok(())
    }

    async fn list_static(
        &self,
        listing: &mut Listed,
        number: i64,
        unseen: &mut Unseen<'_>,
        sink: &mut dyn MemberSink,
    ) -> Result<(), ReadError> {
        let mut walk = Walk::default();
        let mut page = 1;
        let mut owners: HashMap<u64, i64> = HashMap::new();
        let (mut nameless, mut unknown, mut shared) = (0_u64, 0_u64, 0_u64);
        let mut left_out = None;
        loop {
            let request = group_wire::get_contacts(number, page, LISTING_ROWS, None);
            let answer = match self
                .ask(request, |answer| {
                    group_wire::listing(answer, page, LISTING_ROWS)
                })
                .await
            {
                Ok(answer) => answer,
                Err(error) => {
                    listing.broken(self.survivable(error).await?);
                    break;
                }
            };
            listing.certificate.pages += 1;
            let before = listing.certificate.rows;
            listing.certificate.rows += answer.rows.len() as u64;
            let step = walk.take(&answer.paging, answer.rows.len());
            if left_out.is_none() {
                let what = format!("the members of group {number}");
                left_out = answer.rows.left_out(&what, before);
            }
            for ListedContact {
                contact,
                email,
                unreadable,
                suppressed,
            } in answer.rows.known
            {
                if email.is_none() && !unreadable {
                    nameless += 1;
                    continue;
                }
                if let Some(email) = &email {
                    let address = normalise_address(email).map_or_else(
                        |_| email.trim().to_lowercase(),
                        |address| address.as_str().to_owned(),
                    );
                    // The service keeps spellings apart that mean one address.
                    let spelt = hash(&email.trim().to_lowercase());
                    if *owners.entry(spelt).or_insert(contact) != contact {
                        shared += 1;
                    }
                    unseen.remove(address.as_str());
                } else {
                    sink.unreadable(&contact.to_string(), Unreadable::Profile);
                }
                sink.member(MemberRow {
                    id: contact.to_string(),
                    address: email,
                    status: None,
                    wire: None,
                })?;
                let state = match suppressed {
                    Some(true) => MembershipState::OptedOut,
                    Some(false) => MembershipState::Active,
                    None => {
                        unknown += 1;
                        // Neither mailed nor written on as an opt-out: the state that nothing is
                        // done with.
                        MembershipState::Unconfirmed
                    }
                };
                listing.rows.push((contact, state));
            }
            match step {
                Ok(Step::Next(next)) => page = next,
                Ok(Step::Done) => break,
                Err(reason) => {
                    listing.broken(format!(
                        "the listing of group {number} is not whole: {reason}"
                    ));
                    break;
                }
            }
        }
        listing.certificate.total = walk.total();
        listing.count();
        if let Some(left_out) = left_out {
            listing.broken(left_out);
        }
        if nameless > 0 {
            listing.broken(format!("{nameless} rows of group {number} have no email"));
        }
        if unknown > 0 {
            listing.broken(format!(
                "{unknown} rows of group {number} do not say whether the person opted out of it"
            ));
        }
        if shared > 0 {
            listing.problem(format!(
                "{shared} rows of group {number} have the email of another contact in it"
            ));
        }
        Ok(())
    }

    /// Finds out whether the members who opted out of a group and those who did not make more or
    /// less than its listing.
    ///
    /// Nobody documents that a listing without a filter holds both.
    async fn leaves_out_a_kind(&self, group: i64, listed: Option<u64>) -> Result<bool, ReadError> {
        let mut listed = listed;
        // Somebody may leave between the calls, so a mismatch is looked at twice.
        for _ in 0..2 {
            let all = match listed.take() {
                Some(all) => all,
                None => match self.count_members(group, None).await? {
                    Some(all) => all,
                    None => return Ok(true),
                },
            };
            let (Some(staying), Some(opted_out)) = (
                self.count_members(group, Some(false)).await?,
                self.count_members(group, Some(true)).await?,
            ) else {
                return Ok(true);
            };
            let Some(both) = staying.checked_add(opted_out) else {
                return Ok(true);
            };
            if both == all {
                return Ok(false);
            }
            // Whoever joined meanwhile is in the next count of all as well.
            if both > all
                && self
                    .count_members(group, None)
                    .await?
                    .is_some_and(|later| later >= both)
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) async fn count_members(
        &self,
        group: i64,
        suppressed: Option<bool>,
    ) -> Result<Option<u64>, ReadError> {
        let request = group_wire::get_contacts(group, 1, 1, suppressed);
        match self
            .ask(request, |answer| group_wire::listing(answer, 1, 1))
            .await
        {
            Ok(page) => {
                let mut walk = Walk::default();
                Ok(walk
                    .take(&page.paging, page.rows.len())
                    .ok()
                    .and_then(|_| walk.total()))
            }
            Err(error) => {
                self.survivable(error).await?;
                Ok(None)
            }
        }
    }

    /// Lists a dynamic group, which only a search can do; it does not show opt-outs of the group.
    async fn list_dynamic(
        &self,
        listing: &mut Listed,
        number: i64,
        fields: &ProfileFields,
        unseen: &mut Unseen<'_>,
        sink: &mut dyn MemberSink,
    ) -> Result<(), ReadError> {
        let rows = &mut listing.rows;
        let scanned = self
            .scan(Scan::Group(number), fields, &mut |contact| {
                rows.push((contact.id, MembershipState::Active));
                hand_over(contact, !fields.is_empty(), unseen, sink)
            })
            .await?;
        listing.certificate.pages = scanned.certificate.pages;
        listing.certificate.rows = scanned.certificate.rows;
        listing.certificate.total = scanned.certificate.total;
        listing
            .certificate
            .problems
            .extend(scanned.certificate.problems);
        listing.certificate.opt_outs_complete &= scanned.certificate.opt_outs_complete;
        listing.count();
        // A search that passes over the group answers with everybody.
        let counted = match listing.certificate.group_total {
            CountRule::AtMostRows(count) => Some(count),
            _ => None,
        };
        if listing.certificate.distinct > 0 && counted != Some(listing.certificate.distinct) {
            let mut everybody = Scanned::begin(Scan::Account);
            self.scan_page(&mut everybody, &ProfileFields::default(), &mut |_| Ok(()))
                .await?;
            if everybody
                .total()
                .is_none_or(|all| all <= listing.certificate.distinct)
            {
                // So nobody is known to be a member.
                listing.rows.clear();
                listing.count();
                listing.broken(format!(
                    "the search for the contacts of group {number} is answered with everybody"
                ));
            }
        }
        Ok(())
    }
}

impl Emfluence {
    /// Turns an error that spoils one question into its reason, and passes on one that every other
    /// question would meet as well. What is denied although the token is good concerns that
    /// question alone.
    pub(super) async fn survivable(&self, error: CallError) -> Result<String, CallError> {
        match error {
            CallError::Denied { .. } => {
                self.ask(
                    wire::Request::read("helper/ping", serde_json::json!({})),
                    |_| Ok(()),
                )
                .await?;
                Ok(error.to_string())
            }
            CallError::Refused { .. }
            | CallError::Protocol { .. }
            | CallError::TooLarge { .. }
            | CallError::Network { .. } => Ok(error.to_string()),
            fatal => Err(fatal),
        }
    }
}

/// Puts ids in ascending order, each once.
pub(super) fn distinct(mut ids: Vec<i64>) -> Vec<i64> {
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Eight bytes stand for an address; that two share them is less likely than a flipped bit, and
/// would cost one reading.
fn hash(address: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    address.hash(&mut hasher);
    hasher.finish()
}
