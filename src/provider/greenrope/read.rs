//! Which requests answer which question.
//!
//! A listing of contacts is downloaded whole and checked to its closing tag before any of its rows
//! counts; those of a long one wait in few bytes on disk. What is wrong with a listing becomes a problem of its certificate;
//! what makes the whole account unreadable is an error.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::warn;

use super::people::People;
use super::session::PROVES_LOGIN;
use super::wire::{self, Contact, ContactFilter, Count, Request};
use super::{GreenRope, SCHEMA};
use crate::http::{CallError, DecodeError, Reply};
use crate::model::packed::Damaged;
use crate::model::{
    Certificate, CountRule, CustomFields, GroupRow, MemberRow, MemberSink, MemberStatus,
    MembershipState, ObjectKind, SinkError, Unreadable, Value, without_addresses,
};
use crate::provider::{GroupsByPeople, MemberAsk, ReadError, Role};
use crate::spool::Rows;

/// Who, by id, can't be mailed anywhere in the account.
#[derive(Debug, Default)]
struct Unmailable {
    opted_out: HashSet<String>,
    bounced: HashSet<String>,
}

/// The account-wide states as last read whole, by which a later check interprets the counts of
/// groups.
#[derive(Default)]
pub(super) struct AccountStates(Mutex<Option<Arc<Unmailable>>>);

impl AccountStates {
    fn remembered(&self) -> Option<Arc<Unmailable>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn remember(&self, states: &Arc<Unmailable>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(states));
    }
}

/// The id of a group that no account has.
const NO_GROUP: &str = "999999999";

/// The longest answer whose contacts are kept in memory, in bytes.
const KEPT: u64 = 8 * 1024 * 1024;

/// An answer to GetContacts that was read to its end.
struct Answer {
    count: Count,
    contacts: Contacts,
}

/// The contacts of an answer.
enum Contacts {
    Few(Vec<Contact>),
    /// Packed, on disk if they are many; or why they can't be kept there.
    Many(io::Result<Rows>),
}

impl Answer {
    fn of(reply: &mut Reply) -> Result<Answer, DecodeError> {
        if reply.body.len() <= KEPT {
            let mut kept = Vec::new();
            let count = wire::check_contacts(
                reply.body.reader(),
                Some(&mut |contact| {
                    kept.push(contact);
                    Ok(())
                }),
            )?;
            let contacts = Contacts::Few(kept);
            return Ok(Answer { count, contacts });
        }
        // A disk that is full is no fault of the answer, which would be asked for again.
        let mut rows = Rows::new();
        let mut packed = Vec::new();
        let count = wire::check_contacts(
            reply.body.reader(),
            Some(&mut |contact| {
                packed.clear();
                contact.pack(&mut packed);
                if let Ok(kept) = &mut rows
                    && let Err(error) = kept.push(&packed)
                {
                    rows = Err(error);
                }
                Ok(())
            }),
        )?;
        let contacts = Contacts::Many(rows);
        Ok(Answer { count, contacts })
    }

    /// Hands over each contact; the inner error is one of the disk.
    fn take(
        self,
        take: &mut dyn FnMut(Contact) -> Result<(), SinkError>,
    ) -> Result<Result<(), String>, SinkError> {
        match self.contacts {
            Contacts::Few(contacts) => {
                contacts.into_iter().try_for_each(take)?;
                Ok(Ok(()))
            }
            Contacts::Many(mut rows) => unpack(rows.as_mut(), take),
        }
    }

    /// Shows each contact and leaves the answer as it is.
    fn look(&mut self, look: &mut dyn FnMut(&Contact)) -> Result<Result<(), String>, SinkError> {
        match &mut self.contacts {
            Contacts::Few(contacts) => {
                contacts.iter().for_each(look);
                Ok(Ok(()))
            }
            Contacts::Many(rows) => unpack(rows.as_mut(), &mut |contact| {
                look(&contact);
                Ok(())
            }),
        }
    }

    /// Tells whether everybody of a listing, who are so many, is in the answer.
    fn shows_all_of(
        &mut self,
        count: usize,
        is_listed: &dyn Fn(&str) -> bool,
    ) -> Result<bool, SinkError> {
        let mut met = People::default();
        let read = self.look(&mut |contact| {
            if is_listed(&contact.id) {
                met.insert(&contact.id, false);
            }
        })?;
        met.settle();
        Ok(read.is_ok() && met.len() == count)
    }
}

fn unpack(
    rows: Result<&mut Rows, &mut io::Error>,
    take: &mut dyn FnMut(Contact) -> Result<(), SinkError>,
) -> Result<Result<(), String>, SinkError> {
    let lost = |error: &dyn std::fmt::Display| {
        Ok(Err(format!(
            "its contacts can't be kept on the disk that holds temporary files: {error}"
        )))
    };
    let rows = match rows {
        Ok(rows) => rows,
        Err(error) => return lost(error),
    };
    let read = rows.each(|row| match Contact::unpack(row) {
        Ok(contact) => take(contact).map_err(Some),
        Err(_) => Err(None),
    });
    match read {
        Ok(Ok(())) => Ok(Ok(())),
        Ok(Err(Some(full))) => Err(full),
        Ok(Err(None)) => lost(&Damaged),
        Err(error) => lost(&error),
    }
}

/// What is carried from one listing to the next.
struct Tally {
    /// Whether this is a check of what was written, which takes no profiles.
    check: bool,
    /// People in groups who can be mailed, marked once they are met in the listing of the whole
    /// account.
    expected: People,
    /// The ids of contacts whose profile holds what can't be read.
    unreadable: HashSet<String>,
    /// Whether the question for the members of a group depends on the group, once that was asked.
    members_apart: Option<bool>,
    /// The same of the question for the opt-outs of a group.
    opt_outs_apart: Option<bool>,
}

impl Tally {
    fn row(&mut self, contact: Contact) -> MemberRow {
        if contact.profile.is_none() {
            self.unreadable.insert(contact.id.clone());
        }
        MemberRow {
            id: contact.id,
            address: contact.address,
            status: match contact.unsubscribed {
                Some(true) => Some(MemberStatus::OptedOut),
                Some(false) => Some(MemberStatus::Active),
                // Perhaps a refusal: nobody is added for it, and none is carried. Whoever does refuse
                // comes among the account's opt-outs as well.
                None => contact.may_refuse.then_some(MemberStatus::Held),
            },
            wire: contact.profile.filter(|_| !self.check),
        }
    }
}

/// Tells whether an error will meet every other request as well.
fn is_fatal(error: &CallError) -> bool {
    match error {
        CallError::LoginExpired { .. }
        | CallError::CircuitOpen { .. }
        | CallError::Throttled { .. }
        | CallError::DayQuota { .. }
        | CallError::NoRoom { .. }
        | CallError::Unsendable { .. } => true,
        // A login that fails, or a fixed token that is refused; anything else is of its question.
        CallError::Denied { operation, .. } => PROVES_LOGIN.contains(operation),
        CallError::Network { operation, .. } => *operation == "GetAuthToken",
        _ => false,
    }
}

impl GreenRope {
    async fn contacts(&self, filter: ContactFilter<'_>) -> Result<Answer, CallError> {
        let request = Request::contacts(&self.account_id, filter);
        self.ask(&request, Answer::of).await
    }

    /// Logs in and finds the configured account among those that the login reaches.
    pub(super) async fn read_open(&self) -> Result<(), ReadError> {
        let numbers = match self
            .ask(&Request::accounts(), |reply| {
                wire::accounts(reply.body.reader())
            })
            .await
        {
            Err(CallError::Denied {
                account, reason, ..
            }) => {
                return Err(ReadError::Account(format!(
                    "{account}: the login was refused: {reason}; check email and password, or auth_token"
                )));
            }
            answer => answer?,
        };
        if self.account_id.is_empty() || !numbers.contains(&self.account_id) {
            return Err(ReadError::Account(format!(
                "{}: the login does not reach account {}; check account_id, and ask the account's owner for access",
                self.account.name(),
                self.account_id
            )));
        }
        Ok(())
    }

    /// Reads the definitions of custom fields; unknown where the login may not see them.
    pub(super) async fn read_custom_fields(&self) -> Result<CustomFields, ReadError> {
        let request = Request::custom_fields(&self.account_id);
        match self
            .ask(&request, |reply| wire::custom_fields(reply.body.reader()))
            .await
        {
            Ok(fields) => Ok(fields),
            Err(error @ (CallError::Refused { .. } | CallError::Denied { .. }))
                if !is_fatal(&error) =>
            {
                warn!(
                    account = self.account.name(),
                    "Definitions of custom fields can't be seen by this login."
                );
                Ok(CustomFields::default())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Looks what the contacts of the account, all of them, show of its groups; an account without
    /// contacts may say so with an error.
    pub(super) async fn read_groups_by_people(&self) -> Result<GroupsByPeople, ReadError> {
        match self.contacts(ContactFilter::All).await {
            Ok(answer) => Ok(answer.count.groups_by_people()),
            Err(CallError::Refused { refusal, .. }) => {
                Ok(if wire::says_no_contacts(&refusal.message) {
                    GroupsByPeople::Nobody
                } else {
                    GroupsByPeople::Unsaid
                })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Reads all groups that the login sees.
    pub(super) async fn read_groups(&self) -> Result<(Vec<GroupRow>, Certificate), ReadError> {
        let request = Request::groups(&self.account_id, None);
        let listed = self
            .ask(&request, |reply| {
                wire::groups_if_any(reply.body.reader(), &self.account_id)
            })
            .await;
        let (groups, without_id) = match listed {
            Ok(Some(listed)) => listed,
            Ok(None) => {
                let words = wire::NO_LIST_OF_GROUPS;
                return Err(ReadError::NoGroups(
                    self.account.broken_rule("GetGroups", words),
                ));
            }
            Err(error) => {
                let is_empty = matches!(&error, CallError::Refused { refusal, .. }
                    if wire::says_no_groups(&refusal.message));
                return Err(if is_empty {
                    ReadError::NoGroups(error)
                } else {
                    error.into()
                });
            }
        };
        let left_out =
            (without_id > 0).then(|| "some groups have no id that can be read".to_owned());
        let distinct = groups
            .iter()
            .map(|group| group.id.as_str())
            .collect::<HashSet<_>>()
            .len();
        let problems = if distinct == groups.len() {
            vec![]
        } else {
            vec!["the list of groups has one id twice".to_owned()]
        };
        // Nothing counts the groups. The answer is one document, read to its closing tag, and a
        // group that is linked and not in it is asked for by its id.

        let rows = groups.len() as u64;
        Ok((
            groups,
            Certificate {
                pages: 1,
                rows,
                distinct: distinct as u64,
                problems,
                left_out: left_out.into_iter().collect(),
                ..Certificate::of_the_end()
            },
        ))
    }

    /// Reads one group. That it does not exist is believed only of the whole list, because an error
    /// may mean anything.
    pub(super) async fn read_group(&self, id: &str) -> Result<Option<GroupRow>, ReadError> {
        let id = id.trim();
        if id.is_empty() {
            return Ok(None);
        }
        let request = Request::groups(&self.account_id, Some(id));
        match self
            .ask(&request, |reply| {
                wire::groups(reply.body.reader(), &self.account_id)
            })
            .await
        {
            Ok((groups, _)) => {
                if let Some(group) = groups.into_iter().find(|group| group.id == id) {
                    return Ok(Some(group));
                }
            }
            Err(CallError::Refused { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let (groups, _) = self.read_groups().await.map_err(|error| match error {
            ReadError::NoGroups(error) => error.into(),
            error => error,
        })?;
        Ok(groups.into_iter().find(|group| group.id == id))
    }

    /// Reads members: the account's opt-outs and bounces, each group's listing, and as a target the
    /// whole account.
    ///
    /// In this order, so that an opt-out that arrives meanwhile still shows in a later answer.
    pub(super) async fn read_members(
        &self,
        ask: &MemberAsk<'_>,
        sink: &mut dyn MemberSink,
    ) -> Result<(), ReadError> {
        let check = matches!(ask.role, Role::Check);
        let states = match self.states.remembered() {
            Some(states) if check => states,
            _ => self.read_states(ask.groups, check, sink).await?,
        };
        // What was written since has moved the counts of the groups that were handed in.
        let fresh = if check {
            Some(self.read_groups().await?.0)
        } else {
            None
        };
        let mut tally = Tally {
            check,
            expected: People::default(),
            unreadable: HashSet::new(),
            members_apart: None,
            opt_outs_apart: None,
        };
        for group in ask.groups {
            let current = match &fresh {
                Some(fresh) => fresh.iter().find(|known| known.id == group.id),
                None => Some(group),
            };
            if let Some(group) = current {
                self.read_listing(group, &states, &mut tally, sink).await?;
            } else {
                sink.begin_listing(&group.id);
                let gone = "the group is no longer in the list of groups".to_owned();
                sink.end_listing(Certificate {
                    problems: vec![gone],
                    ..Certificate::default()
                });
            }
        }
        if ask.role.is_account_wide() {
            let everybody = self.read_whole_account(&mut tally, sink).await?;
            if matches!(ask.role, Role::Everything) {
                sink.everybody(everybody);
            }
        }
        if !check {
            for id in &tally.unreadable {
                sink.unreadable(id, Unreadable::Profile);
            }
        }
        Ok(())
    }

    /// Reads who opted out of the account and whose address bounced.
    async fn read_states(
        &self,
        groups: &[GroupRow],
        check: bool,
        sink: &mut dyn MemberSink,
    ) -> Result<Arc<Unmailable>, ReadError> {
        let mut states = Unmailable::default();
        let mut certificate = Certificate::of_the_end();
        let fullest = groups.iter().filter_map(|group| group.member_count).max();
        let listings = [
            (ContactFilter::OptOuts, MemberStatus::OptedOut),
            (ContactFilter::Bounced, MemberStatus::Bounced),
        ];
        for (filter, status) in listings {
            let title = if status == MemberStatus::OptedOut {
                "the account's opt-outs"
            } else {
                "the account's bounces"
            };
            let before = certificate.problems.len();
            match self.contacts(filter).await {
                Ok(answer) => {
                    note(&mut certificate, title, answer.count);
                    // Rows that do not say what they were asked for may be everybody's.
                    let count = answer.count;
                    let silent = match status {
                        MemberStatus::OptedOut => count.doubtful_refusals(),
                        _ => count.contacts,
                    };
                    let is_heeded = silent == 0
                        || fullest.map_or(groups.is_empty(), |fullest| count.contacts < fullest)
                        || self.is_heeded(&filter).await?;
                    let mut unasked = 0_u64;
                    let (mut opted_out, mut bounced) = (Vec::new(), Vec::new());
                    let read = answer.take(&mut |contact| {
                        // The service ignores a filter that it does not know and then answers with
                        // everybody.
                        if status == MemberStatus::OptedOut && contact.unsubscribed == Some(false) {
                            unasked += 1;
                            return Ok(());
                        }
                        let says =
                            status == MemberStatus::OptedOut && contact.unsubscribed.is_some();
                        if !says && !is_heeded {
                            unasked += 1;
                            return Ok(());
                        }
                        // Whoever bounced may have opted out as well; the strictest counts.
                        let status = if contact.unsubscribed == Some(true) {
                            MemberStatus::OptedOut
                        } else {
                            status
                        };
                        if !check {
                            let row = MemberRow {
                                id: contact.id.clone(),
                                address: contact.address,
                                status: Some(status),
                                wire: None,
                            };
                            sink.member(row)?;
                        }
                        if status == MemberStatus::OptedOut {
                            opted_out.push(contact.id.clone());
                        }
                        if filter == ContactFilter::Bounced {
                            bounced.push(contact.id);
                        }
                        Ok(())
                    })?;
                    states.opted_out.extend(opted_out);
                    states.bounced.extend(bounced);
                    certificate.problems.extend(read.err());
                    if unasked > 0 {
                        certificate.problems.push(format!(
                            "{title}: {unasked} contacts came that were not asked for"
                        ));
                    }
                }
                Err(error) if is_fatal(&error) => return Err(error.into()),
                // An error is never "nobody": only a listing that ends says so.
                Err(error) => certificate
                    .problems
                    .push(format!("{title} could not be read: {error}")),
            }
            if status == MemberStatus::OptedOut {
                certificate.opt_outs_complete = certificate.problems.len() == before;
            }
        }
        certificate.distinct = states.opted_out.union(&states.bounced).count() as u64;
        certificate.opted_out = states.opted_out.len() as u64;
        certificate.bounced = states.bounced.len() as u64;
        let complete = certificate.problems.is_empty();
        if !check {
            sink.account_state(certificate);
        }
        let states = Arc::new(states);
        if complete {
            self.states.remember(&states);
        }
        Ok(states)
    }

    /// Tells whether a filter is known to keep somebody out, by asking for nobody with it. An error
    /// shows nothing, unless it says that nobody was found: it may as well be about a date that the
    /// service does not take, or that it takes only with a filter which it knows.
    async fn is_heeded(&self, filter: &ContactFilter<'_>) -> Result<bool, ReadError> {
        match self.contacts(ContactFilter::Later(filter)).await {
            Ok(answer) => Ok(answer.count.contacts == 0),
            Err(error) if is_fatal(&error) => Err(error.into()),
            Err(CallError::Refused { refusal, .. }) => Ok(wire::says_no_contacts(&refusal.message)),
            Err(_) => Ok(false),
        }
    }

    /// Reads one group into a listing of its own.
    async fn read_listing(
        &self,
        group: &GroupRow,
        states: &Unmailable,
        tally: &mut Tally,
        sink: &mut dyn MemberSink,
    ) -> Result<(), ReadError> {
        sink.begin_reading(&group.id);
        sink.begin_listing(&group.id);
        let name = SCHEMA
            .by_canonical(ObjectKind::Group, "name")
            .and_then(|field| group.wire.get(field.wire))
            .and_then(Value::as_text);
        let name = name.unwrap_or_default();
        let mut certificate = Certificate::default();
        // Marked who opted out of the group or the account.
        let mut people = People::default();
        let mut strangers: HashSet<String> = HashSet::new();
        let mut silent: HashSet<String> = HashSet::new();
        let mut total = None;
        let mut listed_total = 0;

        match self.contacts(ContactFilter::Group(&group.id)).await {
            Ok(mut answer) => {
                note(&mut certificate, "the members", answer.count);
                total = answer.count.total;
                if answer.count.contacts == 0 && group.member_count.is_some_and(|count| count > 0) {
                    certificate
                        .problems
                        .push("the listing is empty and the group is not".to_owned());
                }
                let known = &mut tally.members_apart;
                let is_heeded = self
                    .is_of_group(&mut answer, group, name, states, known)
                    .await?;
                let read = answer.take(&mut |contact| {
                    if contact.denies_group(&group.id, name) {
                        strangers.insert(contact.id);
                        return Ok(());
                    }
                    if !is_heeded && !contact.names_a_group() {
                        silent.insert(contact.id);
                        return Ok(());
                    }
                    let opted_out = contact.unsubscribed == Some(true)
                        || states.opted_out.contains(&contact.id);
                    let row = tally.row(contact);
                    sink.listed(&row.id, MembershipState::Active);
                    people.insert(&row.id, opted_out);
                    sink.member(row)
                })?;
                people.settle();
                certificate.problems.extend(read.err());
                if !silent.is_empty() {
                    certificate.problems.push(format!(
                        "{} contacts came that do not say which groups they are in",
                        silent.len()
                    ));
                }
                listed_total = people.len();
            }
            Err(error) if is_fatal(&error) => return Err(error.into()),
            // Some services answer a question without a hit with an error; it means "nobody" only
            // if the group says so too.
            Err(CallError::Refused { .. }) if group.member_count == Some(0) => {
                certificate.pages += 1;
            }
            Err(error) => certificate
                .problems
                .push(format!("the members could not be read: {error}")),
        }

        let before = certificate.problems.len();
        // Everybody who came without the filter, members or not; nobody is in two of the three, unless
        // an answer shows one person in two ways.
        let mut others: HashSet<&String> = strangers.iter().chain(&silent).collect();
        others.retain(|id| !people.contains(id));
        let came = people.len() + others.len();
        match self.contacts(ContactFilter::GroupOptOuts(&group.id)).await {
            // Held against the rows without a filter: where all of them came, it may have been
            // passed over, and nobody is taken for somebody who refuses.
            Ok(mut answer) => {
                note(&mut certificate, "the group's opt-outs", answer.count);
                let is_listed =
                    |id: &str| people.contains(id) || strangers.contains(id) || silent.contains(id);
                let everybody = answer.count.contacts > 0
                    && answer.count.contacts >= came as u64
                    && answer.shows_all_of(came, &is_listed)?;
                let asked = ContactFilter::GroupOptOuts(&group.id);
                if everybody && !self.is_heeded(&asked).await? {
                    certificate.problems.push(
                        "the question for the group's opt-outs is answered with everybody"
                            .to_owned(),
                    );
                } else {
                    let (rows, mut of_group) = (answer.count.contacts, 0);
                    let mut refusers: Vec<String> = Vec::new();
                    let read = answer.take(&mut |contact| {
                        // Without the group the question asks for those who opted out of the
                        // account, and only such a row can't be one of theirs.
                        of_group += u64::from(
                            contact.unsubscribed == Some(false)
                                && !states.opted_out.contains(&contact.id),
                        );
                        refusers.extend(strangers.get(&contact.id).cloned());
                        let row = tally.row(contact);
                        sink.listed(&row.id, MembershipState::OptedOut);
                        people.insert(&row.id, true);
                        sink.member(row)
                    })?;
                    people.settle();
                    certificate.problems.extend(read.err());
                    let about_no_group = ContactFilter::GroupOptOuts(NO_GROUP);
                    let known = &mut tally.opt_outs_apart;
                    if rows == 0 || of_group > 0 || self.tells_apart(about_no_group, known).await? {
                        for refuser in &refusers {
                            strangers.remove(refuser);
                        }
                    } else {
                        certificate.problems.push(
                            "the question for the group's opt-outs is answered with the account's"
                                .to_owned(),
                        );
                    }
                }
            }
            Err(error) if is_fatal(&error) => return Err(error.into()),
            Err(error) => certificate
                .problems
                .push(format!("the group's opt-outs could not be read: {error}")),
        }
        // Where the group was passed over in the one question, it may have been in the other one too.
        certificate.opt_outs_complete =
            certificate.problems.len() == before && strangers.is_empty() && silent.is_empty();

        if !strangers.is_empty() {
            certificate.problems.push(format!(
                "{} contacts came that are in other groups only",
                strangers.len()
            ));
        }
        match group.member_count {
            Some(count) => certificate.group_total = CountRule::OneOfMeanings(count),
            None => certificate
                .problems
                .push("the list of groups does not say how many members the group has".to_owned()),
        }
        certificate.distinct = people.len() as u64;
        certificate.opted_out = people.marked() as u64;
        let of_account = states.bounced.iter();
        let mut bounced: HashSet<String> = of_account
            .filter(|id| people.contains(id))
            .cloned()
            .collect();
        certificate.bounced = bounced.len() as u64;
        if group
            .member_count
            .is_some_and(|count| !may_count(&certificate, count))
        {
            // Addresses may have bounced in this group alone, which only a question about it tells.
            match self.contacts(ContactFilter::GroupBounced(&group.id)).await {
                Ok(answer) => {
                    note(&mut certificate, "the group's bounces", answer.count);
                    let read = answer.take(&mut |contact| {
                        if people.contains(&contact.id) {
                            sink.listed(&contact.id, MembershipState::Bounced);
                            bounced.insert(contact.id);
                        }
                        Ok(())
                    })?;
                    certificate.problems.extend(read.err());
                    certificate.bounced = bounced.len() as u64;
                }
                Err(error) if is_fatal(&error) => return Err(error.into()),
                // The count stays unexplained, and that alone makes the listing incomplete.
                Err(_) => certificate.pages += 1,
            }
        }
        if let Some(count) = group.member_count
            && !may_count(&certificate, count)
            && count < certificate.distinct
            && let Some(later) = self.counted_now(&group.id).await?
        {
            // Somebody joined since the list of groups was read: the ordinary state of a busy
            // account.
            certificate.group_total = CountRule::Grew {
                before: count,
                after: later,
            };
        }
        // The answer's own total is about the members alone; opted-out people who came from the
        // other listing are not in it.
        certificate.total = total.filter(|_| listed_total == people.len());
        sink.end_listing(certificate);
        for id in &bounced {
            people.mark(id);
        }
        tally.expected.take_in(people);
        Ok(())
    }

    /// Tells whether contacts who name no group may be taken for members of the one that was asked
    /// for: not where others came as well, nor where more came than the group counts, nor where the
    /// same would come for any group.
    async fn is_of_group(
        &self,
        answer: &mut Answer,
        group: &GroupRow,
        name: &str,
        states: &Unmailable,
        known: &mut Option<bool>,
    ) -> Result<bool, ReadError> {
        let count = answer.count;
        if count.in_no_group == 0 {
            return Ok(true);
        }
        let (mut strangers, mut opted_out, mut bounced) = (0_u64, 0_u64, 0_u64);
        let read = answer.look(&mut |contact| {
            strangers += u64::from(contact.denies_group(&group.id, name));
            let refuses =
                contact.unsubscribed == Some(true) || states.opted_out.contains(&contact.id);
            opted_out += u64::from(refuses);
            bounced += u64::from(states.bounced.contains(&contact.id));
        })?;
        if read.is_err() || strangers > 0 {
            return Ok(false);
        }
        let seen = Certificate {
            distinct: count.contacts,
            opted_out,
            bounced,
            ..Certificate::default()
        };
        let fits = |total: u64| total >= count.contacts || may_count(&seen, total);
        let fitting = group.member_count.is_some_and(fits)
            || self.counted_now(&group.id).await?.is_some_and(fits);
        Ok(fitting
            && self
                .tells_apart(ContactFilter::Group(NO_GROUP), known)
                .await?)
    }

    /// Tells whether a question about a group depends on which one it is: about one that does not
    /// exist it is refused, or answered with nobody. Counts that fit may fit by chance. Asked once
    /// per reading.
    async fn tells_apart(
        &self,
        about_no_group: ContactFilter<'_>,
        known: &mut Option<bool>,
    ) -> Result<bool, ReadError> {
        if let Some(known) = known {
            return Ok(*known);
        }
        let tells = match self.contacts(about_no_group).await {
            Ok(answer) => answer.count.contacts == 0,
            Err(error) if is_fatal(&error) => return Err(error.into()),
            // Whoever says no has looked at the group.
            Err(error) => matches!(error, CallError::Refused { .. } | CallError::Denied { .. }),
        };
        *known = Some(tells);
        Ok(tells)
    }

    /// Asks how many members a group counts by now; nothing where it does not say.
    async fn counted_now(&self, group: &str) -> Result<Option<u64>, ReadError> {
        match self.read_group(group).await {
            Ok(group) => Ok(group.and_then(|group| group.member_count)),
            Err(ReadError::Call(error)) if !is_fatal(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads everybody of the account, so that an address that is not among them is known not to
    /// exist. Returns the evidence that they are all.
    async fn read_whole_account(
        &self,
        tally: &mut Tally,
        sink: &mut dyn MemberSink,
    ) -> Result<Certificate, ReadError> {
        let mut certificate = Certificate::of_the_end();
        let answer = match self.contacts(ContactFilter::All).await {
            Ok(answer) => answer,
            Err(error) if is_fatal(&error) => return Err(error.into()),
            Err(error) => {
                let error = without_addresses(&error.to_string());
                warn!(
                    account = self.account.name(),
                    error, "The whole account could not be read."
                );
                certificate.problems.push(format!(
                    "the contacts of the account could not be read: {error}"
                ));
                return Ok(certificate);
            }
        };
        let count = answer.count;
        note(&mut certificate, "the contacts of the account", count);
        certificate.distinct = count.contacts;
        certificate.total = count.total;
        let read = answer.take(&mut |contact| {
            let met = tally.expected.mark(&contact.id);
            let mut row = tally.row(contact);
            if met {
                // The group's listing brought the same profile a moment ago.
                row.wire = None;
            }
            sink.member(row)
        })?;
        let sound = !count.disagrees() && count.without_id == 0;
        let missing = tally.expected.len() - tally.expected.marked();
        if missing > 0 {
            certificate.problems.push(format!(
                "{missing} members of groups are not among the contacts of the account"
            ));
        }
        let complete = read.is_ok() && sound && missing == 0;
        if complete && !self.shared_access {
            sink.whole_account();
        } else if !complete {
            warn!(
                account = self.account.name(),
                contacts = count.contacts,
                missing,
                "The listing of the whole account is not whole."
            );
        }
        certificate.problems.extend(read.err());
        Ok(certificate)
    }
}

/// Tells whether a group's count fits what was read under any of its possible meanings.
fn may_count(certificate: &Certificate, count: u64) -> bool {
    [0, certificate.opted_out, certificate.bounced]
        .iter()
        .any(|left_out| count == certificate.distinct.saturating_sub(*left_out))
}

/// Takes into a certificate what one answer counted.
fn note(certificate: &mut Certificate, title: &str, count: Count) {
    certificate.pages += 1;
    certificate.rows += count.contacts;
    if count.without_id > 0 {
        certificate.problems.push(format!(
            "{title}: some contacts have no id that can be read"
        ));
    }
    if let Some(total) = count.total
        && count.disagrees()
    {
        certificate.problems.push(format!(
            "{title}: the answer announces {total} contacts and has {}",
            count.contacts
        ));
    }
}
