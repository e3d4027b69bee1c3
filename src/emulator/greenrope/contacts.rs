//! Reading contacts: GetContacts with its criteria, and the groups of one contact.

use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};

use super::items::matches;
use super::session::reachable;
use super::show;
use super::xml::{Node, Written};
use super::{Answer, Call, Failure};
use crate::emulator::kept::{Key, Rows, Spool};
use crate::emulator::login::Login;
use crate::emulator::misuse::MisuseKind;
use crate::emulator::world::{Account, Contact, Group, MembershipState, fold};

pub(super) const CRITERIA: &[&str] = &[
    "account_id",
    "group_id",
    "contact_id",
    "firstname",
    "lastname",
    "email",
    "get_all",
    "response",
    "start_chunk_page",
    "start_chunk_size",
    "Unsubscribed",
    "Unsubscribed_startdate",
    "Unsubscribed_enddate",
    "Bounced",
    "Bounced_startdate",
    "Bounced_enddate",
    "updated_timestamp",
    "start_lastname",
    "end_lastname",
    "search",
    "do_lead_scoring",
];

/// Rows of one page when everything is asked for in JSON.
const CHUNK: usize = 100;

pub(super) fn get(call: &mut Call<'_>, root: &Node) -> Answer {
    let criteria = Criteria::read(call, root)?;
    let everywhere = root.attribute("get_all") == Some("true");
    if everywhere {
        call.context.misuse(MisuseKind::MixedAccounts, "get_all");
    }
    let is_json = root.attribute("response") == Some("json");
    if !call.context.meets_a_fault && !everywhere && !is_json {
        let rows = written_rows(call, root, &criteria)?;
        if rows.count == 0 && call.account().settings.greenrope.empty_is_error {
            return Err(Failure::new(Failure::NO_CONTACT, "No contacts were found."));
        }
        chunk(call, root, everywhere)?;
        let contacts = Node {
            written: (rows.count > 0).then_some(Written(rows.text)),
            ..Node::new("Contacts")
        };
        return Ok(answer(rows.count, contacts));
    }
    let places = if everywhere {
        reachable(call.world, &call.login.email)
    } else {
        vec![(call.position, call.login.clone())]
    };
    let mut rows = Vec::new();
    for (position, login) in &places {
        let account = &call.world.accounts[*position];
        let found = criteria.find(account, login, root)?;
        each_row(account, login, root, &found, |row| {
            rows.push(row);
            Ok(())
        })
        .ok();
    }
    if rows.is_empty() && call.account().settings.greenrope.empty_is_error {
        return Err(Failure::new(Failure::NO_CONTACT, "No contacts were found."));
    }
    let total = rows.len();
    if let Some((page, size)) = chunk(call, root, everywhere)? {
        let after = rows.into_iter().skip(page.saturating_mul(size));
        rows = after.take(size).collect();
    }
    let contacts = Node {
        children: rows,
        ..Node::new("Contacts")
    };
    Ok(answer(total, contacts))
}

fn answer(total: usize, contacts: Node) -> Vec<Node> {
    vec![
        Node::leaf("Result", "Success"),
        Node::leaf("TotalMatchingContacts", total.to_string()),
        contacts,
    ]
}

/// The rows that the criteria find, written out one by one: as nodes they take ten times as much
/// memory.
fn written_rows(call: &mut Call<'_>, root: &Node, criteria: &Criteria) -> Result<Rows, Failure> {
    let account = &call.world.accounts[call.position];
    let request = format!("{:?} {}", call.login.sees_groups, root.to_xml());
    let key = Key::new(&account.name, request);
    if let Some(rows) = call.kept.rows(&key) {
        return Ok(rows);
    }
    let found = criteria.find(account, &call.login, root)?;
    let mut spool = Spool::default();
    let mut text = String::new();
    let written = each_row(account, &call.login, root, &found, |row| {
        text.clear();
        row.write(&mut text);
        spool.push(&text)
    });
    let text = written
        .and_then(|()| spool.done())
        .map_err(|error| Failure::new(Failure::REFUSED, error.to_string()))?;
    let rows = Rows {
        count: found.len(),
        text: Arc::new(text),
    };
    call.kept.keep(key, &rows);
    Ok(rows)
}

/// Shows contacts in the account's order.
fn each_row(
    account: &Account,
    login: &Login,
    root: &Node,
    found: &[&Contact],
    mut take: impl FnMut(Node) -> io::Result<()>,
) -> io::Result<()> {
    let groups = GroupsOf::each(account, found);
    let mut order: Vec<usize> = (0..found.len()).collect();
    if account.settings.greenrope.scrambled_order {
        order.sort_by_cached_key(|at| *blake3::hash(&found[*at].id.to_le_bytes()).as_bytes());
    }
    for at in order {
        let mut row = show::contact(account, login, found[at], groups.of(at));
        if root.attribute("do_lead_scoring").is_some() {
            row.push(Node::leaf("LeadScore", "0"));
        }
        take(row)?;
    }
    Ok(())
}

/// Which page is asked for and of how many rows, which works in JSON only.
fn chunk(
    call: &mut Call<'_>,
    root: &Node,
    everywhere: bool,
) -> Result<Option<(usize, usize)>, Failure> {
    let number = |name: &str| root.attribute(name).map(str::parse::<usize>).transpose();
    let (Ok(page), Ok(size)) = (number("start_chunk_page"), number("start_chunk_size")) else {
        call.context.misuse(
            MisuseKind::WrongType,
            "start_chunk_page and start_chunk_size are numbers",
        );
        return Err(Failure::new(Failure::MALFORMED, "The chunk is not valid."));
    };
    if root.attribute("response") != Some("json") {
        if page.is_some() || size.is_some() {
            call.context.misuse(
                MisuseKind::WrongType,
                "pages in XML, where they have no known effect",
            );
        }
        return Ok(None);
    }
    if page.is_none() && size.is_none() && !everywhere {
        return Ok(None);
    }
    Ok(Some((page.unwrap_or(0), size.unwrap_or(CHUNK).max(1))))
}

/// The groups of several contacts.
struct GroupsOf {
    /// The groups of the first contact, of the second, and so on.
    groups: Vec<u64>,
    /// Where the groups of each contact begin.
    starts: Vec<usize>,
}

impl GroupsOf {
    /// Looking for somebody costs about as much as passing so many members.
    const PASSED: usize = 64;

    /// Finds the groups of contacts that come in the order of their ids.
    fn each(account: &Account, contacts: &[&Contact]) -> Self {
        let mut pairs: Vec<(usize, u64)> = Vec::new();
        for group in account.groups.values() {
            if contacts.len() * Self::PASSED < group.members.len() {
                let is_in = |contact: &&Contact| group.members.contains_key(&contact.id);
                let places = contacts.iter().enumerate();
                let places = places.filter(|(_, contact)| is_in(contact));
                pairs.extend(places.map(|(at, _)| (at, group.id)));
                continue;
            }
            let mut at = 0;
            for member in group.members.keys() {
                while contacts.get(at).is_some_and(|contact| contact.id < *member) {
                    at += 1;
                }
                if contacts
                    .get(at)
                    .is_some_and(|contact| contact.id == *member)
                {
                    pairs.push((at, group.id));
                }
            }
        }
        pairs.sort_unstable();
        let starts = (0..=contacts.len()).map(|at| pairs.partition_point(|(place, _)| *place < at));
        Self {
            starts: starts.collect(),
            groups: pairs.iter().map(|(_, group)| *group).collect(),
        }
    }

    fn of(&self, at: usize) -> &[u64] {
        &self.groups[self.starts[at]..self.starts[at + 1]]
    }
}

/// A range of days, both ends included.
#[derive(Debug, Default)]
struct Days {
    start: Option<String>,
    end: Option<String>,
}

impl Days {
    fn hold(&self, account: &Account, moment: Option<Timestamp>) -> bool {
        let Some(moment) = moment else { return false };
        let day = show::day(account, moment);
        self.start.as_ref().is_none_or(|start| day >= *start)
            && self.end.as_ref().is_none_or(|end| day <= *end)
    }
}

/// The criteria beside exact matches.
struct Criteria {
    group: Option<u64>,
    unsubscribed: Option<Days>,
    bounced: Option<Days>,
    updated_after: Option<DateTime>,
    start_lastname: Option<String>,
    end_lastname: Option<String>,
    search: Option<String>,
}

impl Criteria {
    fn read(call: &mut Call<'_>, root: &Node) -> Result<Self, Failure> {
        let group = match root.attribute("group_id") {
            None => None,
            Some(id) => Some(
                id.trim()
                    .parse()
                    .ok()
                    .filter(|id| call.account().group(*id).is_some() && call.login.sees(*id))
                    .ok_or_else(|| Failure::new(Failure::NO_GROUP, "The group was not found."))?,
            ),
        };
        let updated_after = match root.attribute("updated_timestamp") {
            None => None,
            Some(text) => Some(
                DateTime::strptime("%Y-%m-%d %H:%M:%S", text)
                    .or_else(|_| Date::strptime("%Y-%m-%d", text).map(|date| date.at(0, 0, 0, 0)))
                    .map_err(|_| {
                        call.context
                            .misuse(MisuseKind::WrongType, "updated_timestamp");
                        Failure::new(Failure::MALFORMED, "updated_timestamp is not valid.")
                    })?,
            ),
        };
        Ok(Self {
            group,
            unsubscribed: days(call, root, "Unsubscribed")?,
            bounced: days(call, root, "Bounced")?,
            updated_after,
            start_lastname: root.attribute("start_lastname").map(fold),
            end_lastname: root.attribute("end_lastname").map(fold),
            search: root.attribute("search").map(fold),
        })
    }

    fn find<'a>(
        &self,
        account: &'a Account,
        login: &Login,
        root: &Node,
    ) -> Result<Vec<&'a Contact>, Failure> {
        let group = match self.group {
            None => None,
            Some(id) => Some(
                account
                    .group(id)
                    .ok_or_else(|| Failure::new(Failure::NO_GROUP, "The group was not found."))?,
            ),
        };
        let visible: Option<Vec<&Group>> = login.sees_groups.as_ref().map(|groups| {
            groups
                .iter()
                .filter_map(|group| account.group(*group))
                .collect()
        });
        let candidates: Vec<&Contact> = match group {
            Some(group) => group
                .members
                .keys()
                .filter_map(|contact| account.contact(*contact))
                .collect(),
            None => account.contacts.values().collect(),
        };
        Ok(candidates
            .into_iter()
            .filter(|contact| {
                visible.as_ref().is_none_or(|groups| {
                    groups
                        .iter()
                        .any(|group| group.members.contains_key(&contact.id))
                })
            })
            .filter(|contact| matches(contact, root) && self.fits(account, group, contact))
            .collect())
    }

    fn fits(&self, account: &Account, group: Option<&Group>, contact: &Contact) -> bool {
        let membership = group.and_then(|group| group.members.get(&contact.id));
        let unsubscribed = self
            .unsubscribed
            .as_ref()
            .is_none_or(|days| match membership {
                // With a group, its own opt-outs; without one, those of the account.
                Some(membership) => {
                    membership.state == MembershipState::OptedOut
                        && days.hold(account, membership.changed)
                }
                None => days.hold(account, contact.opted_out),
            });
        let bounced = self.bounced.as_ref().is_none_or(|days| {
            let in_group =
                membership.filter(|membership| membership.state == MembershipState::Bounced);
            days.hold(account, contact.bounced)
                || in_group.is_some_and(|membership| days.hold(account, membership.changed))
        });
        let updated = self
            .updated_after
            .is_none_or(|after| contact.modified.to_zoned(show::zone(account)).datetime() > after);
        let last_name = || fold(contact.get("last_name"));
        let in_range = self
            .start_lastname
            .as_ref()
            .is_none_or(|start| last_name() >= *start)
            && self
                .end_lastname
                .as_ref()
                .is_none_or(|end| last_name() <= *end);
        let found = self.search.as_ref().is_none_or(|text| {
            fold(&contact.email).contains(text)
                || contact
                    .profile
                    .values()
                    .any(|value| fold(value).contains(text))
        });
        unsubscribed && bounced && updated && in_range && found
    }
}

fn days(call: &mut Call<'_>, root: &Node, name: &str) -> Result<Option<Days>, Failure> {
    let mut range = Days::default();
    for (end, place) in [("startdate", &mut range.start), ("enddate", &mut range.end)] {
        let Some(text) = root.attribute(&format!("{name}_{end}")) else {
            continue;
        };
        if text.len() != 8 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            call.context.misuse(
                MisuseKind::WrongType,
                format!("{name}_{end} must be YYYYMMDD"),
            );
            return Err(Failure::new(Failure::MALFORMED, "The date is not valid."));
        }
        *place = Some(text.to_owned());
    }
    match root.attribute(name) {
        Some("true") => Ok(Some(range)),
        other => {
            if other.is_some() || range.start.is_some() || range.end.is_some() {
                call.context.misuse(
                    MisuseKind::WrongType,
                    format!("{name} must be true for its dates to count"),
                );
            }
            Ok(None)
        }
    }
}

/// Answers GetContactGroups.
pub(super) fn groups_of_contact(call: &mut Call<'_>, root: &Node) -> Answer {
    let contact = call.match_contact(root)?;
    let account = call.account();
    let mut list = Node::new("ContactGroups");
    for group in account
        .groups_of(contact)
        .into_iter()
        .filter(|group| call.login.sees(*group))
    {
        if let Some(group) = account.group(group) {
            list.push(Node {
                name: "ContactGroup".to_owned(),
                ..show::group(account, group)
            });
        }
    }
    Ok(vec![Node::leaf("Result", "Success"), list])
}
