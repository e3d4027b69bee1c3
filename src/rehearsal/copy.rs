//! Makes an emulated account of what was read of a real one, under the same ids.
//!
//! The emulator keeps values under neutral names, which are the canonical ones. What it has no place
//! for, and what was not shown, is said in words.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::emulator::{
    Account, Contact, Counted, CustomField, Group, GroupKind, GroupStatus, Kind, Membership,
    MembershipState, User, UserGroup, UserGroupLimit, Visibility,
};
use crate::model::{
    self, CountRule, FieldType, MemberStatus, ObjectKind, OwnRemovals, ProviderKind, Record, Value,
};
use crate::provider;
use crate::run::{Everything, RunError};

/// The user group of full rights, which comes with every ActiveCampaign account.
const ADMIN: u64 = 3;
/// The user group that holds whoever shows in none.
const USER: u64 = 2;

/// What a group's auto-response is called where only its being there is known.
const SOME_EMAIL: u64 = 1;

/// What of an account came into the copy, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Copied {
    /// The provider's configured name.
    pub provider: String,
    /// Groups, whatever their kind and status.
    pub groups: u64,
    /// People, in a group or not.
    pub members: u64,
    /// Who is in which group.
    pub memberships: u64,
    /// Requests that reading took.
    pub requests: u64,
    /// What the copy lacks, or may lack, one sentence each.
    pub lacks: Vec<String>,
}

/// Names the emulator's kind of a provider.
pub(super) fn kind_of(kind: ProviderKind) -> Kind {
    match kind {
        ProviderKind::Emfluence => Kind::Emfluence,
        ProviderKind::GreenRope => Kind::GreenRope,
        ProviderKind::ActiveCampaignLists | ProviderKind::ActiveCampaignUsers => {
            Kind::ActiveCampaign
        }
    }
}

/// An account that is being copied.
struct Copy<'a> {
    from: &'a Everything,
    own: &'a OwnRemovals,
    account: Account,
    copied: Copied,
    /// The ids of people by their position among those who were read; nothing of an id that the
    /// emulator can't have.
    ids: Vec<Option<u64>>,
    /// A moment before the rehearsal began.
    past: Timestamp,
}

/// Makes the copy of an account; `number` tells it from the other one.
pub(super) fn copy(
    from: &Everything,
    own: &OwnRemovals,
    number: u32,
    now: Timestamp,
) -> Result<(Account, Copied), RunError> {
    let names = &from.names;
    let members = from.snapshot.members.iter();
    let mut copy = Copy {
        from,
        own,
        account: blank(from, number),
        copied: Copied {
            provider: from.provider.clone(),
            requests: from.requests,
            lacks: lacks(from),
            ..Copied::default()
        },
        ids: members
            .map(|member| names.text(member.id).parse().ok())
            .collect(),
        past: now
            .checked_sub(SignedDuration::from_hours(24))
            .unwrap_or(now),
    };
    copy.define_fields();
    if from.kind == ProviderKind::ActiveCampaignUsers {
        copy.fill_with_users()?;
    } else {
        copy.fill_with_contacts()?;
    }
    let unnumbered = copy.ids.iter().filter(|id| id.is_none()).count();
    if unnumbered > 0 {
        copy.copied.lacks.push(format!(
            "{unnumbered} people whose id is no number, which a copy can't have"
        ));
    }
    Ok((copy.account, copy.copied))
}

/// An account without anything in it, as fast as it is asked: its pace is the configured one.
fn blank(from: &Everything, number: u32) -> Account {
    let mut account = Account::new(kind_of(from.kind), &from.provider, number);
    account.groups.clear();
    account.settings.requests_per_minute = None;
    account.settings.requests_per_second = None;
    account.settings.max_in_flight = usize::MAX;
    account.settings.greenrope.counted = counted(from);
    account
}

/// Finds out what the account's own totals of groups count: all members, unless another meaning fits
/// every group and this one does not.
fn counted(from: &Everything) -> Counted {
    let fits = |left_out: &dyn Fn(&model::Certificate) -> u64| {
        from.snapshot.certificates.values().all(|listing| {
            let CountRule::OneOfMeanings(count) = listing.group_total else {
                return true;
            };
            !listing.problems.is_empty()
                || listing.distinct.saturating_sub(left_out(listing)) == count
        })
    };
    if fits(&|_| 0) {
        Counted::All
    } else if fits(&|listing| listing.opted_out) {
        Counted::NotOptedOut
    } else if fits(&|listing| listing.bounced) {
        Counted::NotBounced
    } else {
        Counted::All
    }
}

/// Says what reading has not seen.
fn lacks(from: &Everything) -> Vec<String> {
    let snapshot = &from.snapshot;
    let mut lacks = Vec::new();
    let doubts = from.group_doubts.iter().chain(&from.member_doubts);
    for doubt in doubts {
        if !lacks.contains(doubt) {
            lacks.push(doubt.clone());
        }
    }
    for group in snapshot.groups.seen() {
        let title = format!("group {} ({})", group.id, group.name);
        let Some(listing) = snapshot.listing(&group.id) else {
            lacks.push(format!("{title}: its members were not listed"));
            continue;
        };
        let why: Vec<String> = listing
            .why_incomplete()
            .iter()
            .map(|why| model::without_addresses(why))
            .collect();
        if !why.is_empty() {
            let adds = match listing {
                model::Reading::Incomplete(incomplete) if !incomplete.opt_outs_complete => {
                    " and adds nobody, as its opt-outs may be missing"
                }
                _ => "",
            };
            lacks.push(format!(
                "{title}: {}; the copy has less than the account, and as in a real run nobody is taken out for not being listed there{adds}",
                why.join("; ")
            ));
        }
    }
    lacks
}

fn text_of(record: &Record, name: &str) -> String {
    let value = record.get(name).map(Value::words);
    value.unwrap_or_default().into_owned()
}

fn flag_of(record: &Record, name: &str) -> bool {
    record
        .get(name)
        .and_then(Value::as_bool)
        .unwrap_or_default()
}

fn ids_of(record: &Record, name: &str) -> Vec<u64> {
    match record.get(name) {
        Some(Value::List(ids)) => ids.iter().filter_map(|id| id.parse().ok()).collect(),
        _ => Vec::new(),
    }
}

impl Copy<'_> {
    /// Defines the custom fields: those that the account defines, and those that only profiles show.
    fn define_fields(&mut self) {
        let custom = &self.from.custom;
        let (text, date, choice) = match self.account.kind {
            Kind::GreenRope => ("Text", "Text", "Select"),
            Kind::Emfluence => ("Text", "Date", "Text"),
            Kind::ActiveCampaign => ("1", "9", "4"),
        };
        let defined: BTreeSet<&str> = custom
            .fields
            .iter()
            .map(|field| field.system_name.as_str())
            .collect();
        let mut fields = Vec::new();
        for field in &custom.fields {
            let data_type = match field.kind {
                _ if !field.options.is_empty() => choice,
                FieldType::Timestamp => date,
                _ => text,
            };
            fields.push(CustomField {
                name: field.system_name.clone(),
                label: field.label.clone(),
                data_type: data_type.to_owned(),
                max_length: field.max_length.unwrap_or_default(),
                possible_values: field.options.clone(),
                editable: "Visible".to_owned(),
                modified: self.past,
                ..CustomField::default()
            });
        }
        let shown = self.from.snapshot.shown_custom.iter().flatten();
        let undefined = shown.filter(|name| !defined.contains(name.as_str()));
        fields.extend(undefined.map(|name| CustomField {
            name: name.to_string(),
            label: name.to_string(),
            data_type: text.to_owned(),
            editable: "Visible".to_owned(),
            modified: self.past,
            ..CustomField::default()
        }));
        for (id, field) in (1..).zip(&mut fields) {
            field.id = id;
        }
        self.account.fields = fields;
    }

    fn count(&mut self, groups: usize, members: usize, memberships: u64) {
        self.copied.groups = groups as u64;
        self.copied.members = members as u64;
        self.copied.memberships = memberships;
    }

    /// Says of a group that its id is none that a copy can have.
    fn numbered(&mut self, group: &model::Group) -> Option<u64> {
        let id = group.id.parse().ok();
        if id.is_none() {
            self.copied.lacks.push(format!(
                "group {} ({}): its id is no number, which a copy can't have",
                group.id, group.name
            ));
        }
        id
    }

    fn fill_with_contacts(&mut self) -> Result<(), RunError> {
        let snapshot = &self.from.snapshot;
        for at in 0..snapshot.members.len() {
            if let Some(contact) = self.contact(at)? {
                self.account.contacts.insert(contact.id, contact);
            }
        }
        let mut memberships = 0;
        for group in snapshot.groups.seen() {
            let Some(id) = self.numbered(group) else {
                continue;
            };
            let mut made = self.group(group, id);
            let own = self.own.of_group(&group.id);
            let listing = snapshot.listing(&group.id).map(model::Reading::seen);
            for row in listing.map(|listing| &listing.rows).into_iter().flatten() {
                let Some(member) = self.ids[row.member as usize] else {
                    continue;
                };
                let refused_at = listing.and_then(|listing| listing.refused_at(row.member));
                let changed = refused_at.and_then(|at| Timestamp::from_second(at).ok());
                let state = state(row.state);
                // Of whoever refused anew since it is the person's own doing.
                let removal = || own.and_then(|own| own.get(&member.to_string()));
                let is_own = || removal().is_some_and(|removal| removal.still_fits(refused_at));
                let membership = Membership {
                    state,
                    since: self.past,
                    changed: (state != MembershipState::Active)
                        .then_some(changed.unwrap_or(self.past)),
                    by_api: state == MembershipState::OptedOut && is_own(),
                };
                made.members.insert(member, membership);
                memberships += 1;
            }
            self.account.groups.insert(id, made);
            // Everybody who logs in as an administrator sees every list.
            for seer in self.account.user_groups.values_mut() {
                seer.lists.insert(id);
            }
        }
        self.count(
            self.account.groups.len(),
            self.account.contacts.len(),
            memberships,
        );
        Ok(())
    }

    fn profile(&self, at: usize) -> Result<Record, RunError> {
        let id = self.from.names.text(self.from.snapshot.members[at].id);
        Ok(self.from.profiles.get(id)?.unwrap_or_default())
    }

    /// The address as the account spells it, as far as that was shown.
    fn address(&self, at: usize, profile: &Record) -> String {
        let schema = provider::schema(self.from.kind);
        let email = schema.by_canonical(ObjectKind::Member, "email");
        if let Some(spelt) = email.and_then(|field| profile.get(field.wire)) {
            return spelt.words().into_owned();
        }
        let member = &self.from.snapshot.members[at];
        let known = member.address.or(member.unusable);
        known.map_or_else(String::new, |known| self.from.names.text(known).to_owned())
    }

    fn contact(&self, at: usize) -> Result<Option<Contact>, RunError> {
        let Some(id) = self.ids[at] else {
            return Ok(None);
        };
        let wire = self.profile(at)?;
        let schema = provider::schema(self.from.kind);
        let (mut profile, mut custom, mut tags) = (Vec::new(), Vec::new(), Vec::new());
        for (name, value) in &wire {
            if let Some(system_name) = name.strip_prefix("custom.") {
                custom.push((system_name, value.words()));
                continue;
            }
            let Some(field) = schema.by_wire(ObjectKind::Member, name) else {
                continue;
            };
            match (field.canonical, value) {
                ("id" | "email", _) => {}
                ("tags", Value::List(listed)) => tags.clone_from(listed),
                (canonical, value) => profile.push((canonical, value.words())),
            }
        }
        let status = self.from.snapshot.members[at].status;
        let is_bounced = matches!(status, MemberStatus::Held | MemberStatus::Bounced);
        Ok(Some(Contact {
            id,
            email: self.address(at, &wire),
            profile: profile.into_iter().collect(),
            custom: custom.into_iter().collect(),
            opted_out: (status == MemberStatus::OptedOut).then_some(self.past),
            bounced: is_bounced.then_some(self.past),
            owner: 1,
            added: self.past,
            modified: self.past,
            tags,
            ..Contact::default()
        }))
    }

    fn group(&self, group: &model::Group, id: u64) -> Group {
        let text = |name: &str| text_of(&group.canonical, name);
        let mut made = Group {
            id,
            name: group.name.clone(),
            kind: match group.kind {
                model::GroupKind::Static | model::GroupKind::Parking => GroupKind::Static,
                model::GroupKind::Dynamic => GroupKind::Dynamic,
                model::GroupKind::BuiltIn => GroupKind::BuiltIn,
            },
            status: match group.status {
                model::GroupStatus::Active => GroupStatus::Active,
                model::GroupStatus::Archived => GroupStatus::Archived,
            },
            visibility: match text("visibility").as_str() {
                "public" => Visibility::Public,
                "hidden" => Visibility::Hidden,
                _ => Visibility::Private,
            },
            added: self.past,
            modified: self.past,
            owner: Some(1),
            ..Group::default()
        };
        made.auto_response = group
            .auto_response
            .then(|| text("auto_response").parse().unwrap_or(SOME_EMAIL));
        made.send_tests = group.test_group;
        made.sender_name = text("sender_name");
        match self.account.kind {
            Kind::Emfluence => {
                made.friendly_name = text("display_name");
                made.description = text("description");
                made.external_id = text("external_id");
                made.notes = text("notes");
                made.protected = group.protected;
                made.user_ids = ids_of(&group.canonical, "permissions");
                made.owner = text("owner").parse().ok();
            }
            Kind::GreenRope => {
                made.sender_email = text("sender_email");
                made.postal_address = text("postal_address");
                made.time_zone = text("time_zone");
                made.login_link = flag_of(&group.canonical, "permissions");
            }
            Kind::ActiveCampaign => {
                // The settings of a list go by the service's own names.
                let settings = group.wire.iter().filter(|(name, _)| {
                    name.starts_with("sender_") && *name != "sender_name" || *name == "to_name"
                });
                made.settings = settings
                    .map(|(name, value)| (name.to_string(), value.words().into_owned()))
                    .collect();
            }
        }
        made
    }

    /// Fills the account with the people who log in, and their groups.
    fn fill_with_users(&mut self) -> Result<(), RunError> {
        let snapshot = &self.from.snapshot;
        let (mut seats, mut lists) = (BTreeMap::new(), BTreeSet::new());
        for group in snapshot.groups.seen() {
            let Some(id) = self.numbered(group) else {
                continue;
            };
            let made = self.user_group(group, id);
            lists.extend(made.lists.iter().copied());
            self.account.user_groups.insert(id, made);
            let listing = snapshot.listing(&group.id).map(model::Reading::seen);
            for row in listing.map(|listing| &listing.rows).into_iter().flatten() {
                seats.insert(row.member as usize, id);
            }
        }
        // A group can see no list that is not there; which ones there are, the groups say.
        for id in lists {
            self.account.groups.insert(
                id,
                Group {
                    id,
                    name: format!("List {id}"),
                    ..Group::default()
                },
            );
        }
        let invented = std::mem::take(&mut self.account.users);
        let mut seatless = 0_u64;
        for at in 0..snapshot.members.len() {
            let Some(id) = self.ids[at] else { continue };
            let profile = self.profile(at)?;
            let text = |name: &str| text_of(&profile, name);
            let group = seats.get(&at).copied().unwrap_or_else(|| {
                seatless += 1;
                USER
            });
            let user = User {
                id,
                username: text("username"),
                email: self.address(at, &profile),
                first_name: text("first_name"),
                last_name: text("last_name"),
                language: "english".to_owned(),
                password_hash: "none".to_owned(),
                group,
                ..User::default()
            };
            self.account.users.insert(id, user);
        }
        if seatless > 0 {
            self.copied.lacks.push(format!(
                "{seatless} users who show in no user group; in the copy they are in the built-in group {USER}"
            ));
        }
        self.count(
            snapshot.groups.seen().len(),
            self.account.users.len(),
            seats.len() as u64,
        );
        self.let_somebody_in(invented);
        Ok(())
    }

    /// Whose key it is was not shown: an administrator's, or of one who is made up where there is
    /// none.
    fn let_somebody_in(&mut self, invented: BTreeMap<u64, User>) {
        let admin = self.account.users.values();
        let admin = admin.filter(|user| user.group == ADMIN).map(|user| user.id);
        let id = admin.min().unwrap_or_else(|| {
            let free = self.account.users.keys().next_back().map_or(1, |id| id + 1);
            if let Some(mut user) = invented.into_values().next() {
                user.id = free;
                self.account.users.insert(free, user);
                self.copied.lacks.push(
                    "whoever the key belongs to, who shows in no group; in the copy it is somebody made up".to_owned(),
                );
            }
            free
        });
        for login in &mut self.account.logins {
            login.user_id = id;
        }
    }

    fn user_group(&self, group: &model::Group, id: u64) -> UserGroup {
        let wire = &group.wire;
        let mut made = self
            .account
            .user_groups
            .get(&id)
            .cloned()
            .unwrap_or_else(|| UserGroup {
                send_methods: BTreeSet::from([1]),
                abuse_ratio: 4,
                ..UserGroup::default()
            });
        made.id = id;
        made.title.clone_from(&group.name);
        made.description = text_of(wire, "descript");
        made.saved = Some(self.past);
        if wire.contains_key("lists") {
            made.lists = ids_of(wire, "lists").into_iter().collect();
        }
        if wire.contains_key("sendmethods") {
            made.send_methods = ids_of(wire, "sendmethods").into_iter().collect();
        }
        made.unsubscribe_link = flag_of(wire, "unsubscribelink");
        if let Ok(ratio) = text_of(wire, "abuseratio").parse() {
            made.abuse_ratio = ratio;
        }
        for name in [
            "attachment",
            "campaign",
            "list",
            "mail",
            "subscriber",
            "user",
        ] {
            if let Ok(quantity) = text_of(wire, &format!("limit_{name}")).parse() {
                let per = text_of(wire, &format!("limit_{name}_type"));
                let limit = UserGroupLimit { quantity, per };
                made.limits.insert(name.to_owned(), limit);
            }
        }
        for (name, value) in wire.iter().filter(|(name, _)| name.starts_with("pg_")) {
            if value.as_bool() == Some(true) {
                made.permissions.insert(name.to_string());
            } else if id != ADMIN {
                made.permissions.remove(name.as_str());
            }
        }
        made
    }
}

fn state(state: model::MembershipState) -> MembershipState {
    match state {
        model::MembershipState::Active => MembershipState::Active,
        model::MembershipState::Unconfirmed => MembershipState::Unconfirmed,
        model::MembershipState::Bounced => MembershipState::Bounced,
        model::MembershipState::OptedOut => MembershipState::OptedOut,
    }
}
