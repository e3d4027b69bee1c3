//! The order of calls for reading contacts.
//!
//! One pass over the account by version 3 shows everybody with all memberships. Where the lists are
//! small and the account is not, passes over each list and questions for single addresses take
//! fewer requests. Where memberships do not come along, version 1 lists them by list and status,
//! and the pass over the account is held against that.

use std::collections::BTreeSet;

use super::super::wire::contacts::{
    self as wire, Contact, Include, NOT_SAID, OPTED_OUT, Page, ProfileFields, STATUSES, Scope,
    same_address,
};
use super::super::wire::{PAGE_ROWS, lists};
use super::super::{ActiveCampaign, Known, address_hash};
use super::listing::{Listed, Listings};
use crate::http::CallError;
use crate::model::{
    Certificate, GroupRow, MemberRow, MemberSink, SinkError, Unreadable, normalise_address,
    spellings,
};
use crate::provider::{MemberAsk, ReadError, Role, Source};

/// What comes along with a page of contacts at this account.
struct Shown {
    /// The page that was looked at first, where it can be used.
    first: Option<Page>,
    include: Include,
    memberships: bool,
    /// Whether custom values take a pass of their own.
    values_apart: bool,
    /// Whether custom values do not come along at all.
    values_missing: bool,
}

/// Hands contacts over and keeps in mind who was seen.
struct Taking<'a> {
    role: &'a Role<'a>,
    sink: &'a mut dyn MemberSink,
    /// The lists that are asked for.
    lists: BTreeSet<u64>,
    unseen: BTreeSet<String>,
    seen: Vec<u64>,
    absent: Vec<u64>,
    /// Why the people of the account may not be all.
    doubt: Option<String>,
}

impl Taking<'_> {
    fn is_target(&self) -> bool {
        matches!(self.role, Role::Target { .. })
    }

    /// Tells whether people count who are on none of the lists.
    fn takes_everybody(&self) -> bool {
        self.role.is_account_wide()
    }

    fn absent(&mut self, address: &str) {
        self.absent.push(address_hash(address));
        self.sink.absent(address);
    }

    fn take(&mut self, contact: Contact, profile: bool) -> Result<(), SinkError> {
        if let Some(address) = contact
            .email
            .as_deref()
            .and_then(|email| normalise_address(email).ok())
        {
            self.unseen.remove(address.as_str());
            if self.is_target() {
                self.seen.push(address_hash(address.as_str()));
            }
        }
        let id = contact.id.to_string();
        let standing = contact.unread_standing(&self.lists);
        let unread = if let Some(why) = standing.filter(|_| contact.unreadable) {
            Some(Unreadable::Standing(why))
        } else if contact.unreadable {
            Some(Unreadable::Profile)
        } else {
            contact.lacks.map(Unreadable::Value)
        };
        let profile = profile && unread.is_none();
        if let Some(what) = unread {
            self.sink.unreadable(&id, what);
        }
        self.sink.member(MemberRow {
            id,
            address: contact.email,
            status: None,
            wire: profile.then_some(contact.profile),
        })
    }
}

impl ActiveCampaign {
    /// Reads the contacts on lists into a sink.
    pub(in super::super) async fn read_contacts(
        &self,
        ask: &MemberAsk<'_>,
        sink: &mut dyn MemberSink,
    ) -> Result<(), ReadError> {
        // What an earlier import still does would look like a change by somebody else.
        self.settle_imports(matches!(ask.role, Role::Target { .. }))
            .await?;
        let fields = self.profile_fields(ask).await?;
        let unseen = match &ask.role {
            Role::Target { wanted } => wanted.iter().cloned().collect(),
            Role::Source | Role::Check | Role::Everything => BTreeSet::new(),
        };
        let mut listings = Listings::begin(ask.groups);
        let mut taking = Taking {
            role: &ask.role,
            sink,
            lists: listings.numbers(),
            unseen,
            seen: Vec::new(),
            absent: Vec::new(),
            doubt: None,
        };
        let everything = matches!(ask.role, Role::Everything);
        let mut whole = false;
        match self.what_comes_along(&fields).await {
            Ok(shown) if shown.memberships => {
                let by_account = everything || shown.values_apart || shown.values_missing;
                if by_account || !is_cheaper_by_list(ask, &shown) {
                    whole = self
                        .read_account(shown, &fields, &mut listings, &mut taking)
                        .await?;
                } else {
                    self.read_each_list(shown.include, &fields, &mut listings, &mut taking)
                        .await?;
                }
            }
            Ok(shown) => {
                whole = self
                    .read_two_ways(shown, &fields, &mut listings, &mut taking)
                    .await?;
            }
            Err(error) => {
                taking.doubt = Some(format!(
                    "the contacts of the account could not be read: {error}"
                ));
                self.survive(error).await?;
                self.list_by_v1(&fields, true, &mut listings, &mut taking)
                    .await?;
                self.look_up_by_v1(&fields, &mut taking).await?;
            }
        }
        let Taking {
            seen,
            absent,
            sink,
            role,
            doubt,
            ..
        } = taking;
        if everything {
            sink.everybody(Certificate {
                ended: whole,
                problems: doubt.into_iter().collect(),
                ..Certificate::default()
            });
        }
        if matches!(role, Role::Target { .. }) {
            self.note_known(seen, absent, whole);
        }
        if whole && self.sees_everything() && matches!(role, Role::Target { .. }) {
            sink.whole_account();
        }
        if !matches!(role, Role::Check) {
            // Nothing holds for a whole account here: refusals stand on the memberships.
            sink.account_state(Certificate {
                opt_outs_complete: true,
                ..Certificate::of_the_end()
            });
        }
        listings.close(sink);
        Ok(())
    }

    async fn profile_fields(&self, ask: &MemberAsk<'_>) -> Result<ProfileFields, ReadError> {
        if matches!(ask.role, Role::Check) {
            return Ok(ProfileFields::default());
        }
        let custom = ask.fields.iter().any(|field| field.starts_with("custom."));
        let definitions = if custom {
            self.definitions().await?
        } else {
            std::sync::Arc::default()
        };
        Ok(ProfileFields::of(ask.fields, &definitions))
    }

    fn note_known(&self, seen: Vec<u64>, absent: Vec<u64>, whole: bool) {
        let known = &mut self.memory().known;
        if whole {
            *known = Known {
                whole,
                ..Known::default()
            };
        }
        // Whoever came meanwhile was asked for by the reading that precedes each run's writes.
        known.absent.extend(absent);
        known.present.extend(seen);
    }

    /// Looks at the first page with all that is wanted, and where some of it does not come along,
    /// with each alone.
    async fn what_comes_along(&self, fields: &ProfileFields) -> Result<Shown, CallError> {
        let custom = fields.has_custom();
        let nothing = ProfileFields::default();
        let both = self
            .contact_page(Scope::Account, 0, Include::of(true, custom), fields)
            .await?;
        let (memberships, values) = (
            both.has_memberships(),
            !custom || both.has_values || both.contacts.len() == 0,
        );
        let include = Include::of(true, custom);
        if memberships && values {
            return Ok(Shown {
                first: Some(both),
                include,
                memberships,
                values_apart: false,
                values_missing: false,
            });
        }
        let alone = |page: Page| (page.has_memberships(), page.has_values);
        let memberships = memberships
            || (custom
                && alone(
                    self.contact_page(Scope::Account, 0, Include::Memberships, &nothing)
                        .await?,
                )
                .0);
        let values = custom
            && alone(
                self.contact_page(Scope::Account, 0, Include::Values, &nothing)
                    .await?,
            )
            .1;
        Ok(Shown {
            first: None,
            include: Include::of(memberships, false),
            memberships,
            values_apart: values,
            values_missing: custom && !values,
        })
    }

    /// Reads the whole account once, or once more for custom values that do not come along. Returns
    /// whether it was all of it.
    async fn read_account(
        &self,
        shown: Shown,
        fields: &ProfileFields,
        listings: &mut Listings,
        taking: &mut Taking<'_>,
    ) -> Result<bool, ReadError> {
        let everybody = taking.takes_everybody();
        let profile = !fields.is_empty() && !shown.values_apart && !shown.values_missing;
        // Counted first, so that whoever joins meanwhile makes more rows and never fewer.
        for listed in listings.each() {
            self.count_against(listed).await?;
        }
        let mut bare = 0_u64;
        let scanned = self
            .scan(
                Scope::Account,
                shown.include,
                fields,
                shown.first,
                &mut |contact| {
                    bare += u64::from(contact.memberships.is_none());
                    // People on none of the lists matter only where it is asked who exists.
                    if listings.take(&contact) || everybody {
                        taking.take(contact, profile)
                    } else {
                        Ok(())
                    }
                },
            )
            .await?;
        let mut whole = scanned.ended && scanned.doubt().is_none();
        taking.doubt = scanned.doubt().cloned();
        for listed in listings.each() {
            listed.certificate.pages += scanned.pages;
            scanned.tell(listed);
        }
        if bare > 0 {
            listings.broken("some pages of contacts came without their memberships");
        }
        // A membership of an unknown list leaves its list one short. Asked for that list, the
        // service says who is on it; the profiles have come already.
        if whole && bare == 0 {
            let nothing = ProfileFields::default();
            for listed in listings.each().filter(|listed| listed.is_short()) {
                self.read_one_list(shown.include, &nothing, listed, taking)
                    .await?;
            }
        }
        if shown.values_apart {
            whole &= self.read_values(fields, listings, taking).await?;
        } else if shown.values_missing {
            self.list_by_v1(fields, false, listings, taking).await?;
        }
        Ok(whole)
    }

    /// Reads everybody's profile by a pass of its own. Returns whether it was all of the account.
    async fn read_values(
        &self,
        fields: &ProfileFields,
        listings: &mut Listings,
        taking: &mut Taking<'_>,
    ) -> Result<bool, ReadError> {
        let wanted: BTreeSet<u64> = if taking.takes_everybody() {
            BTreeSet::new()
        } else {
            listings.each().flat_map(|listed| listed.ids()).collect()
        };
        let everybody = taking.takes_everybody();
        let scanned = self
            .scan(
                Scope::Account,
                Include::Values,
                fields,
                None,
                &mut |contact| {
                    if everybody || wanted.contains(&contact.id) {
                        taking.take(contact, true)
                    } else {
                        Ok(())
                    }
                },
            )
            .await?;
        for listed in listings.each() {
            scanned.tell(listed);
        }
        taking.doubt = taking.doubt.take().or(scanned.doubt().cloned());
        Ok(scanned.doubt().is_none())
    }

    /// Reads each list, and asks for each wanted address that was not met on them.
    async fn read_each_list(
        &self,
        include: Include,
        fields: &ProfileFields,
        listings: &mut Listings,
        taking: &mut Taking<'_>,
    ) -> Result<(), ReadError> {
        let profile = !fields.is_empty();
        for listed in listings.each() {
            self.read_one_list(include, fields, listed, taking).await?;
        }
        for address in std::mem::take(&mut taking.unseen) {
            let mut is_absent = true;
            for spelling in spellings(&address) {
                let page = match self
                    .contact_page(Scope::Address(&spelling), 0, include, fields)
                    .await
                {
                    Ok(page) => page,
                    // Nobody is known to be absent by a question that failed.
                    Err(error) => {
                        self.survivable(error).await?;
                        is_absent = false;
                        continue;
                    }
                };
                is_absent &= page.contacts.len() == 0;
                for contact in page.contacts.known {
                    if contact
                        .email
                        .as_deref()
                        .is_some_and(|email| same_address(email, &address))
                    {
                        if contact.on_unknown_list {
                            listings.take_maybe(contact.id);
                        }
                        taking.take(contact, profile)?;
                    }
                }
            }
            if is_absent {
                taking.absent(&address);
            }
        }
        Ok(())
    }

    /// Reads one list. Whoever comes for it without saying so is a stranger, whom the filter let
    /// through, unless a membership of theirs does not say of which list: it is of this one then.
    async fn read_one_list(
        &self,
        include: Include,
        fields: &ProfileFields,
        listed: &mut Listed,
        taking: &mut Taking<'_>,
    ) -> Result<(), ReadError> {
        let Some(list) = listed.number else {
            return Ok(());
        };
        let profile = !fields.is_empty();
        taking.sink.begin_reading(&listed.group);
        self.count_against(listed).await?;
        let mut strangers = 0_u64;
        let scanned = self
            .scan(Scope::List(list), include, fields, None, &mut |contact| {
                let mut memberships = contact.memberships.iter().flatten();
                let held = memberships.find(|(other, _)| *other == list);
                let unknown = contact.on_unknown_list.then_some(NOT_SAID);
                let Some(held) = held.map(|(_, status)| *status).or(unknown) else {
                    strangers += 1;
                    return Ok(());
                };
                listed.take(contact.id, held);
                listed.take_time(&contact);
                taking.take(contact, profile)
            })
            .await?;
        listed.certificate.pages += scanned.pages;
        scanned.tell(listed);
        if strangers > 0 {
            listed.broken(format!(
                "{strangers} contacts came who are not on list {list}"
            ));
        }
        Ok(())
    }

    /// Lists by version 1 and reads the account by version 3: whoever only the first has seen makes
    /// a listing incomplete.
    async fn read_two_ways(
        &self,
        shown: Shown,
        fields: &ProfileFields,
        listings: &mut Listings,
        taking: &mut Taking<'_>,
    ) -> Result<bool, ReadError> {
        let by_v1 = shown.values_missing;
        for listing in listings.each() {
            self.count_against(listing).await?;
        }
        // Where version 3 brings the profiles, what version 1 shows of them is not asked.
        let nothing = ProfileFields::default();
        let shown_by_v1 = if by_v1 { fields } else { &nothing };
        self.list_by_v1(shown_by_v1, true, listings, taking).await?;
        let listed: BTreeSet<u64> = listings.each().flat_map(|listed| listed.ids()).collect();
        let mut met: BTreeSet<u64> = BTreeSet::new();
        let everybody = taking.takes_everybody();
        let include = Include::of(false, shown.values_apart);
        let scanned = self
            .scan(Scope::Account, include, fields, None, &mut |contact| {
                let known = listed.contains(&contact.id);
                if known {
                    met.insert(contact.id);
                }
                if known || everybody {
                    taking.take(contact, !fields.is_empty() && !by_v1)
                } else {
                    Ok(())
                }
            })
            .await?;
        for listing in listings.each() {
            let missing = listing.ids().iter().filter(|id| !met.contains(id)).count();
            scanned.tell(listing);
            if scanned.doubt().is_none() && missing > 0 {
                listing.broken(format!(
                    "{missing} members are not among the contacts of the account"
                ));
            }
        }
        taking.doubt = scanned.doubt().cloned();
        Ok(scanned.doubt().is_none())
    }

    /// Lists by version 1: one pass for each list and status. `listing` is unset where only
    /// profiles are read.
    ///
    /// What ends such a pass is "nothing is returned", which may mean anything, so a listing made
    /// of them alone has no evidence of being whole.
    async fn list_by_v1(
        &self,
        fields: &ProfileFields,
        listing: bool,
        listings: &mut Listings,
        taking: &mut Taking<'_>,
    ) -> Result<(), ReadError> {
        // Only full rows show whether the filter by list was heeded.
        let full = listing || !fields.is_empty();
        for listed in listings.each() {
            let Some(list) = listed.number else { continue };
            if listing {
                taking.sink.begin_reading(&listed.group);
            }
            let mut strangers = 0_u64;
            let mut silent: Vec<(Contact, i64)> = Vec::new();
            for status in STATUSES {
                let mut after = 0;
                loop {
                    let call = wire::listed(list, status, after, full);
                    let rows = match self
                        .ask_listing(call, |answer| wire::listed_rows(answer, after, fields))
                        .await
                    {
                        Ok(rows) => rows.unwrap_or_default(),
                        Err(error) => {
                            listed.broken(self.survivable(error).await?);
                            break;
                        }
                    };
                    listed.certificate.pages += 1;
                    let what = format!("the contacts of list {list} with status {status}");
                    match rows.left_out(&what, after) {
                        Some(refusal) if status == OPTED_OUT => listed.broken(refusal),
                        Some(other) => listed.doubt(&other),
                        None => {}
                    }
                    let is_stuck = rows.known.is_empty();
                    for contact in rows.known {
                        after = contact.id;
                        if listing {
                            let shown = contact.memberships.as_ref();
                            let held =
                                shown.map(|shown| shown.iter().find(|(other, _)| *other == list));
                            match held {
                                Some(None) if !contact.on_unknown_list => {
                                    strangers += 1;
                                    continue;
                                }
                                // One that says no status has the one that was asked for.
                                Some(Some((_, NOT_SAID))) => listed.take(contact.id, status),
                                Some(Some((_, held))) => listed.take(contact.id, *held),
                                Some(None) | None => {
                                    silent.push((contact, status));
                                    continue;
                                }
                            }
                            listed.take_time(&contact);
                        }
                        taking.take(contact, !fields.is_empty())?;
                    }
                    if is_stuck {
                        break;
                    }
                }
            }
            if strangers > 0 {
                listed.broken(format!(
                    "{strangers} contacts came who are not on list {list}"
                ));
            }
            // Where the filter by list was passed over, others or too many came as well.
            let all = (listed.ids().len() + silent.len()) as u64;
            let is_heeded = strangers == 0
                && listed
                    .certificate
                    .total
                    .is_some_and(|counted| all <= counted);
            if !silent.is_empty() && !is_heeded {
                listed.broken(format!(
                    "{} contacts came that do not say which lists they are on",
                    silent.len()
                ));
            }
            for (contact, status) in silent.into_iter().filter(|_| is_heeded) {
                listed.take(contact.id, status);
                listed.take_time(&contact);
                taking.take(contact, !fields.is_empty())?;
            }
        }
        Ok(())
    }

    async fn look_up_by_v1(
        &self,
        fields: &ProfileFields,
        taking: &mut Taking<'_>,
    ) -> Result<(), ReadError> {
        for address in std::mem::take(&mut taking.unseen) {
            let mut is_absent = true;
            for spelling in spellings(&address) {
                let answer = self
                    .ask_v1(wire::view_email(&spelling), |answer| {
                        wire::viewed(answer, fields)
                    })
                    .await;
                is_absent &= matches!(answer, Ok(None));
                match answer {
                    Ok(Some(contact))
                        if contact
                            .email
                            .as_deref()
                            .is_some_and(|email| same_address(email, &address)) =>
                    {
                        taking.take(contact, !fields.is_empty())?;
                    }
                    Ok(_) => {}
                    Err(error) => drop(self.survivable(error).await?),
                }
            }
            if is_absent {
                taking.absent(&address);
            }
        }
        Ok(())
    }

    /// Takes the number of memberships that the service counts into the evidence of a listing.
    async fn count_against(&self, listed: &mut Listed) -> Result<(), ReadError> {
        let Some(list) = listed.number else {
            return Ok(());
        };
        match self
            .ask_v3(lists::count_members(list), |answer| {
                lists::member_total(answer, list)
            })
            .await
        {
            Ok(total) => listed.certificate.total = Some(total),
            // Nothing vouches for the listing then; who is seen on it is on it all the same.
            Err(error) => listed.doubt(&self.survivable(error).await?),
        }
        listed.certificate.pages += 1;
        Ok(())
    }

    /// Turns an error that spoils one question into its reason, and passes on one that every other
    /// question would meet as well. What is denied although the key is good concerns that question
    /// alone.
    pub(super) async fn survivable(&self, error: CallError) -> Result<String, CallError> {
        match error {
            CallError::Denied { .. } => {
                self.prove_key().await?;
                Ok(error.to_string())
            }
            CallError::Refused { .. }
            | CallError::Protocol { .. }
            | CallError::TooLarge { .. }
            | CallError::Network { .. } => Ok(error.to_string()),
            fatal => Err(fatal),
        }
    }

    /// Tells whether version 1 may be tried where version 3 gave an error: not where nothing
    /// answers, nor with a bad key.
    pub(super) async fn survive(&self, error: CallError) -> Result<(), ReadError> {
        match error {
            CallError::Denied { .. } => Ok(self.prove_key().await?),
            CallError::Refused { .. } | CallError::Protocol { .. } => Ok(()),
            fatal => Err(fatal.into()),
        }
    }
}

/// Compares what both ways of reading take, as far as the counts tell.
fn is_cheaper_by_list(ask: &MemberAsk<'_>, shown: &Shown) -> bool {
    let Some(total) = shown.first.as_ref().and_then(|page| page.total) else {
        return false;
    };
    let pages = |group: &GroupRow| group.member_count.unwrap_or(0) / PAGE_ROWS + 2;
    let listing: u64 = ask.groups.iter().map(pages).sum();
    let questions = match &ask.role {
        Role::Target { wanted } => wanted.len() as u64,
        Role::Source | Role::Check | Role::Everything => 0,
    };
    listing + questions < total / PAGE_ROWS + 1
}
