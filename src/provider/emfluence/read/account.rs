//! The state of the whole account, the profiles, and the searches of contacts that show both.

use std::collections::BTreeSet;
use std::sync::{MutexGuard, PoisonError};

use super::super::Emfluence;
use super::super::wire::SEARCH_ROWS;
use super::super::wire::contacts::{self as contact_wire, Contact, ProfileFields, Scan};
use super::super::wire::paging::{Step, Walk};
use super::members::{Listed, Unseen, distinct};
use crate::http::CallError;
use crate::model::{
    Certificate, CountRule, MemberRow, MemberSink, MemberStatus, SinkError, Unreadable,
    normalise_address, spellings,
};
use crate::provider::{ReadError, Role};

/// A search of contacts, page by page.
pub(super) struct Scanned {
    scan: Scan,
    walk: Walk,
    next: Option<u64>,
    ids: Vec<i64>,
    /// What of it is left out, because nobody can tell whom it is about.
    left_out: Option<String>,
    pub(super) certificate: Certificate,
}

impl Scanned {
    pub(super) fn begin(scan: Scan) -> Self {
        Scanned {
            scan,
            walk: Walk::default(),
            next: Some(1),
            ids: Vec::new(),
            left_out: None,
            certificate: Certificate {
                opt_outs_complete: true,
                ..Certificate::default()
            },
        }
    }

    fn stop(&mut self, why: &str) {
        self.next = None;
        self.certificate.problems.push(format!(
            "{} could not be read to the end: {why}",
            self.scan.title()
        ));
        self.certificate.opt_outs_complete = false;
    }

    /// Counts what came, and holds it against the total.
    fn finish(&mut self) {
        if let Some(left_out) = self.left_out.take() {
            self.stop(&left_out);
        }
        let ids = std::mem::take(&mut self.ids);
        self.certificate.rows = ids.len() as u64;
        self.ids = distinct(ids);
        self.certificate.distinct = self.ids.len() as u64;
        self.certificate.total = self.walk.total();
        if self.certificate.problems.is_empty()
            && self
                .certificate
                .total
                .is_none_or(|total| total > self.certificate.distinct)
        {
            self.stop("the same contact came twice");
        }
    }

    fn is_whole(&self) -> bool {
        self.certificate.problems.is_empty()
    }

    /// Returns the number of rows that the search announced last.
    pub(super) fn total(&self) -> Option<u64> {
        self.walk.total()
    }
}

/// After how many look-ups in a row that brought no answer it is asked whether the token is still good.
const DOUBT: u64 = 3;

impl Emfluence {
    /// Reads the state of the account and the profiles in whichever way takes fewer requests.
    pub(super) async fn read_account(
        &self,
        listings: &mut [Listed],
        fields: &ProfileFields,
        role: &Role<'_>,
        unseen: Unseen<'_>,
        sink: &mut dyn MemberSink,
    ) -> Result<(), ReadError> {
        let listed = distinct(
            listings
                .iter()
                .flat_map(|listing| listing.ids.iter().copied())
                .collect(),
        );
        let mut intake = Intake {
            sink,
            unseen,
            listed,
            everybody: role.is_account_wide(),
            profiles: !fields.is_empty(),
            unknown: 0,
        };
        // The first page of the account tells how many there are.
        let mut account = Scanned::begin(Scan::Account);
        self.scan_page(&mut account, fields, &mut |contact| intake.take(contact))
            .await?;
        let by_group: u64 = if fields.is_empty() {
            0
        } else {
            let searched = listings.iter().filter(|listing| !listing.dynamic);
            searched
                .map(|listing| {
                    listing
                        .certificate
                        .total
                        .unwrap_or(0)
                        .div_ceil(SEARCH_ROWS)
                        .max(1)
                })
                .sum()
        };
        // At least one request for each of the two scans, and one for each address.
        let other_way = by_group + 2 + intake.unseen.len() as u64;
        let everything = matches!(role, Role::Everything);
        if account.is_whole() && (everything || account.walk.pages_left() <= other_way) {
            while account.next.is_some() {
                self.scan_page(&mut account, fields, &mut |contact| intake.take(contact))
                    .await?;
            }
            account.finish();
            if !account.is_whole() {
                intake.unknown = 0;
                account = self
                    .scan(Scan::Account, fields, &mut |contact| intake.take(contact))
                    .await?;
            }
            if account.is_whole() || !everything {
                close_whole(account, intake.unknown, listings, intake.sink, everything);
                return Ok(());
            }
        }
        if everything {
            // What the other way brings is kept; nothing shows that it is all.
            intake.sink.everybody(account.certificate.clone());
        }
        self.read_by_group(listings, fields, &mut intake).await?;
        self.read_account_state(fields, account.total(), &mut intake)
            .await?;
        self.look_up(fields, &mut intake).await
    }

    /// Reads the profiles group by group; the contacts found must be those of the listing.
    async fn read_by_group(
        &self,
        listings: &mut [Listed],
        fields: &ProfileFields,
        intake: &mut Intake<'_>,
    ) -> Result<(), ReadError> {
        if fields.is_empty() {
            return Ok(());
        }
        for listing in listings.iter_mut().filter(|listing| !listing.dynamic) {
            let Some(number) = listing.number else {
                continue;
            };
            let found = self
                .scan(Scan::Group(number), fields, &mut |contact| {
                    intake.take(contact)
                })
                .await?;
            listing.certificate.pages += found.certificate.pages;
            if !found.is_whole() {
                listing
                    .certificate
                    .problems
                    .extend(found.certificate.problems);
            } else if found.ids != listing.ids
                && !self.only_grew(number, listing, &found.ids).await?
            {
                listing.problem(format!(
                    "the listing of group {number} holds {} contacts and the search for its contacts {}, and they are not the same",
                    listing.ids.len(),
                    found.ids.len()
                ));
            }
        }
        Ok(())
    }

    /// Tells whether a search shows everybody of a listing and others besides who joined since, by
    /// what the listing counts now.
    async fn only_grew(
        &self,
        group: i64,
        listing: &Listed,
        found: &[i64],
    ) -> Result<bool, ReadError> {
        let lost = listing
            .ids
            .iter()
            .any(|id| found.binary_search(id).is_err());
        if lost {
            return Ok(false);
        }
        let now = self.count_members(group, None).await?;
        Ok(now.is_some_and(|now| now >= found.len() as u64))
    }

    /// Reads who opted out of the account and whose address is on hold.
    async fn read_account_state(
        &self,
        fields: &ProfileFields,
        everybody: Option<u64>,
        intake: &mut Intake<'_>,
    ) -> Result<(), ReadError> {
        // Where everybody counts, so do their profiles; a source has read those of its members.
        let nothing = ProfileFields::default();
        let fields = if intake.everybody { fields } else { &nothing };
        let mut state = Certificate {
            total: Some(0),
            opt_outs_complete: true,
            ..Certificate::default()
        };
        for (scan, status) in [
            (Scan::Suppressed, MemberStatus::OptedOut),
            (Scan::Held, MemberStatus::Held),
        ] {
            let (mut ignored, mut unsaid) = (0_u64, 0_u64);
            let mut scanned = self
                .scan(scan, fields, &mut |contact| {
                    intake.take_as(contact, status, &mut ignored, &mut unsaid)
                })
                .await?;
            if !scanned.is_whole() {
                (ignored, unsaid) = (0, 0);
                scanned = self
                    .scan(scan, fields, &mut |contact| {
                        intake.take_as(contact, status, &mut ignored, &mut unsaid)
                    })
                    .await?;
            }
            // Where rows do not say what they were asked for, that they are everybody's tells.
            let everybody = scanned.certificate.distinct > 0
                && everybody.is_none_or(|all| all <= scanned.certificate.distinct);
            if ignored > 0 || (everybody && unsaid > 0) {
                scanned.stop("the answer holds others as well");
            }
            let certificate = scanned.certificate;
            if scan == Scan::Suppressed {
                state.opted_out = certificate.distinct;
            } else {
                state.bounced = certificate.distinct;
            }
            state.pages += certificate.pages;
            state.rows += certificate.rows;
            state.distinct += certificate.distinct;
            state.total = state
                .total
                .zip(certificate.total)
                .map(|(all, more)| all + more);
            state.opt_outs_complete &= certificate.opt_outs_complete;
            state.problems.extend(certificate.problems);
        }
        intake.sink.account_state(state);
        Ok(())
    }

    /// Asks for the contact with an address by one of its spellings; nothing where the question was
    /// not answered.
    async fn look_up_one(
        &self,
        address: &str,
        spelling: &str,
        fields: &ProfileFields,
    ) -> Result<Option<Option<Contact>>, ReadError> {
        let answer = self
            .ask(contact_wire::lookup(spelling), |answer| {
                contact_wire::looked_up(answer, address, fields)
            })
            .await;
        match answer {
            Ok(found) => Ok(Some(found)),
            Err(CallError::Refused { refusal, .. })
                // What a refusal means is learnt from the ordinary spelling alone: another one may be
                // refused as no address.
                if match refusal.code.as_deref() {
                    Some(code) if spelling != address => self.codes().contains(code),
                    code => self.means_not_found(code, address).await?,
                } =>
            {
                Ok(Some(None))
            }
            Err(error) => {
                self.survivable(error).await?;
                Ok(None)
            }
        }
    }

    /// Asks for each address that has not been seen anywhere.
    async fn look_up(
        &self,
        fields: &ProfileFields,
        intake: &mut Intake<'_>,
    ) -> Result<(), ReadError> {
        let (mut failed, mut in_a_row) = (0_u64, 0_u64);
        for address in std::mem::take(&mut intake.unseen) {
            // Nobody is absent before each spelling has been asked for.
            let (mut met, mut open) = (false, false);
            for spelling in spellings(address) {
                match self.look_up_one(address, &spelling, fields).await? {
                    Some(Some(contact)) => {
                        met = true;
                        intake.take(contact)?;
                    }
                    Some(None) => {}
                    None => open = true,
                }
            }
            failed += u64::from(open);
            in_a_row = if open { in_a_row + 1 } else { 0 };
            if in_a_row == DOUBT {
                // A token that was taken away meanwhile is refused for each person, for hours.
                self.read_access().await?;
                in_a_row = 0;
            }
            if !met && !open {
                intake.sink.absent(address);
            }
        }
        if failed > 0 {
            tracing::warn!(
                account = self.account.name(),
                failed,
                "Some addresses could not be looked up; whether they exist stays unknown."
            );
        }
        Ok(())
    }

    /// Tells whether the refusal of a look-up says that nobody has the address.
    ///
    /// The code for that is not documented. The first time that one is met, a search, whose empty
    /// answer is documented, shows whether it means that.
    async fn means_not_found(&self, code: Option<&str>, address: &str) -> Result<bool, ReadError> {
        let Some(code) = code else { return Ok(false) };
        if self.codes().contains(code) {
            return Ok(true);
        }
        // An asterisk would search for more than the address.
        if address.contains('*') {
            return Ok(false);
        }
        let nothing = ProfileFields::default();
        let searched = self
            .ask(contact_wire::search_address(address), |answer| {
                contact_wire::contacts(answer, &nothing)
            })
            .await;
        match searched {
            Ok(page) => {
                let mut walk = Walk::default();
                let empty =
                    walk.take(&page.paging, page.rows.len()).is_ok() && walk.total() == Some(0);
                if empty {
                    self.codes().insert(code.to_owned());
                }
                Ok(empty)
            }
            Err(error) => {
                self.survivable(error).await?;
                Ok(false)
            }
        }
    }

    fn codes(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.not_found_codes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Searches contacts from the first page to the last.
    pub(super) async fn scan(
        &self,
        scan: Scan,
        fields: &ProfileFields,
        take: Take<'_>,
    ) -> Result<Scanned, ReadError> {
        let mut scanned = Scanned::begin(scan);
        while scanned.next.is_some() {
            self.scan_page(&mut scanned, fields, take).await?;
        }
        scanned.finish();
        Ok(scanned)
    }

    /// Asks for the next page of a search.
    pub(super) async fn scan_page(
        &self,
        scanned: &mut Scanned,
        fields: &ProfileFields,
        take: Take<'_>,
    ) -> Result<(), ReadError> {
        let Some(page) = scanned.next else {
            return Ok(());
        };
        let request = contact_wire::search(scanned.scan, fields, page);
        let answer = match self
            .ask(request, |answer| contact_wire::contacts(answer, fields))
            .await
        {
            Ok(answer) => answer,
            Err(error) => {
                scanned.stop(&self.survivable(error).await?);
                return Ok(());
            }
        };
        scanned.certificate.pages += 1;
        let step = scanned.walk.take(&answer.paging, answer.rows.len());
        if scanned.left_out.is_none() {
            let before = (page - 1) * SEARCH_ROWS;
            scanned.left_out = answer.rows.left_out(&scanned.scan.title(), before);
        }
        for contact in answer.rows.known {
            scanned.ids.push(contact.id);
            take(contact)?;
        }
        match step {
            Ok(Step::Next(next)) => scanned.next = Some(next),
            Ok(Step::Done) => scanned.next = None,
            Err(reason) => scanned.stop(&reason),
        }
        Ok(())
    }
}

/// What takes the rows of a search.
pub(super) type Take<'a> = &'a mut (dyn FnMut(Contact) -> Result<(), SinkError> + Send);

/// Hands contacts on to the sink.
struct Intake<'a> {
    sink: &'a mut dyn MemberSink,
    unseen: Unseen<'a>,
    /// The contacts of all listings, in ascending order.
    listed: Vec<i64>,
    /// Whether people count who are in none of the groups.
    everybody: bool,
    /// Whether profiles are asked for; an empty one would replace what is known.
    profiles: bool,
    /// Rows that do not say what holds for the contact in the account.
    unknown: u64,
}

impl Intake<'_> {
    fn take(&mut self, contact: Contact) -> Result<(), SinkError> {
        if contact.suppressed.is_none() || contact.held.is_none() {
            self.unknown += 1;
        }
        // The loss report counts the profiles of a source, so those of people in no group stay out.
        let profile =
            self.profiles && (self.everybody || self.listed.binary_search(&contact.id).is_ok());
        hand_over(contact, profile, &mut self.unseen, self.sink)
    }

    /// Takes a row of a search for one status; a row that denies the status shows that the filter
    /// was ignored.
    fn take_as(
        &mut self,
        mut contact: Contact,
        status: MemberStatus,
        ignored: &mut u64,
        unsaid: &mut u64,
    ) -> Result<(), SinkError> {
        let shown = if status == MemberStatus::OptedOut {
            &mut contact.suppressed
        } else {
            &mut contact.held
        };
        match shown {
            Some(false) => {
                *ignored += 1;
                return Ok(());
            }
            Some(true) => {}
            None => {
                *unsaid += 1;
                *shown = Some(true);
            }
        }
        let profile = self.profiles && self.everybody;
        hand_over(contact, profile, &mut self.unseen, self.sink)
    }
}

/// Hands a contact to the sink, with or without its profile.
pub(super) fn hand_over(
    contact: Contact,
    profile: bool,
    unseen: &mut Unseen<'_>,
    sink: &mut dyn MemberSink,
) -> Result<(), SinkError> {
    if let Some(address) = contact
        .email
        .as_deref()
        .and_then(|email| normalise_address(email).ok())
    {
        unseen.remove(address.as_str());
    }
    let status = Some(contact.status());
    let unread = if contact.unreadable {
        Some(Unreadable::Profile)
    } else {
        contact.lacks.map(Unreadable::Value)
    };
    let profile = profile && unread.is_none();
    if let Some(what) = unread {
        sink.unreadable(&contact.id.to_string(), what);
    }
    sink.member(MemberRow {
        id: contact.id.to_string(),
        address: contact.email,
        status,
        wire: profile.then_some(contact.profile),
    })
}

/// Closes a scan of the whole account: what it says of the account and against the listings.
fn close_whole(
    account: Scanned,
    unknown: u64,
    listings: &mut [Listed],
    sink: &mut dyn MemberSink,
    everything: bool,
) {
    let mut sees_all = account.is_whole();
    let mut hidden = false;
    for listing in listings.iter_mut().filter(|listing| !listing.dynamic) {
        let missing = listing
            .ids
            .iter()
            .filter(|contact| account.ids.binary_search(contact).is_err())
            .count();
        // A group that counts more than is listed shows that the token's user sees only a part of
        // the account.
        let counts_more = matches!(listing.certificate.group_total, CountRule::AtMostRows(count) if count > listing.certificate.distinct);
        sees_all &= missing == 0 && !counts_more;
        // A listing that failed does not show that anybody is hidden.
        hidden |= missing > 0 || (counts_more && listing.certificate.problems.is_empty());
        if missing > 0 {
            listing
                .problem(format!("{missing} members of group {} are not among the contacts of the account that were read", listing.group));
        }
    }
    if everything {
        let mut everybody = account.certificate.clone();
        if hidden {
            let partly = "groups have more members than the token's user can see in the account";
            everybody.problems.push(partly.to_owned());
        }
        sink.everybody(everybody);
    }
    let mut state = account.certificate;
    if unknown > 0 {
        state.problems.push(format!(
            "{unknown} contacts do not say whether they opted out of the account or are on hold"
        ));
        state.opt_outs_complete = false;
    }
    sink.account_state(state);
    if sees_all {
        sink.whole_account();
    }
}
