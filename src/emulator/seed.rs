//! Worlds full of realistic, made-up data that depend on nothing but a seed.

use std::collections::BTreeSet;

use super::login::Login;
use super::names::{COMPANIES, DOMAINS, GROUPS, PEOPLE, PLACES, ZONES};
use super::settings::{ActiveCampaignQuirks, EmfluenceQuirks, GreenRopeQuirks};
use super::world::{
    Account, Contact, CustomField, GroupKind, GroupStatus, Kind, Membership, MembershipState,
    Visibility, World, fold, plus_seconds,
};

#[cfg(test)]
mod tests;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// The accounts of seeded worlds. The second of each kind has a name that ends in 2.
const ACCOUNTS: [(Kind, &str, u32); 6] = [
    (Kind::GreenRope, "crm", 45_429),
    (Kind::Emfluence, "mail", 71_001),
    (Kind::GreenRope, "crm2", 45_430),
    (Kind::Emfluence, "mail2", 71_002),
    (Kind::ActiveCampaign, "campaigns", 30_001),
    (Kind::ActiveCampaign, "campaigns2", 30_002),
];

/// How a world or an account is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed {
    /// The same seed and sizes always give the same world.
    pub seed: u64,
    /// How many groups; an emfluence account gets four special ones on top: dynamic, test, archived
    /// and auto-response.
    pub groups: usize,
    /// How many contacts.
    pub members: usize,
}

impl Default for Seed {
    fn default() -> Self {
        Self {
            seed: 1,
            groups: 12,
            members: 200,
        }
    }
}

impl World {
    /// Makes a world with two accounts of each kind: `crm` and `crm2` at GreenRope, `mail` and
    /// `mail2` at emfluence.
    ///
    /// `crm` is filled as the seed says. `mail` holds a few groups and people of its own, some of
    /// them the same as in `crm` and some opted out. The second accounts are empty. `crm` and
    /// `mail` also have a login that sees a part only.
    pub fn seeded(seed: &Seed) -> Self {
        Self::seeded_in("crm", seed)
    }

    /// Makes the same accounts as [`World::seeded`], with the named one filled and its counterpart
    /// holding a little.
    ///
    /// # Panics
    ///
    /// Panics when `rich` is none of the four names.
    pub fn seeded_in(rich: &str, seed: &Seed) -> Self {
        Self::furnished(&ACCOUNTS[..4], rich, seed)
    }

    /// Makes the accounts of [`World::seeded`], and `campaigns` and `campaigns2` at ActiveCampaign,
    /// where groups are lists.
    ///
    /// The named account is filled as the seed says, and its counterparts at the other two
    /// providers hold a little. An ActiveCampaign account among them also has groups of users with
    /// people in them, and a key that sees a part only.
    ///
    /// # Panics
    ///
    /// Panics when `rich` is none of the six names.
    pub fn seeded_all(rich: &str, seed: &Seed) -> Self {
        Self::furnished(&ACCOUNTS, rich, seed)
    }

    fn furnished(accounts: &[(Kind, &str, u32)], rich: &str, seed: &Seed) -> Self {
        let mut world = Self::empty();
        for (kind, name, number) in accounts {
            let account = world.add_account(Account::new(*kind, name, *number));
            match kind {
                Kind::Emfluence => account.settings.emfluence = EmfluenceQuirks::mixed(),
                Kind::GreenRope => account.settings.greenrope = GreenRopeQuirks::mixed(),
                Kind::ActiveCampaign => {
                    account.settings.activecampaign = ActiveCampaignQuirks::mixed();
                }
            }
        }
        populate(world.account_mut(rich), seed);
        let kind = world.account(rich).kind;
        // Some of many are enough for the other accounts.
        let people: Vec<Contact> = world
            .account(rich)
            .contacts
            .values()
            .filter(|person| !person.email.is_empty())
            .step_by(4)
            .take(40)
            .cloned()
            .collect();
        for account in &mut world.accounts {
            if account.name.ends_with('2') != rich.ends_with('2') {
                continue;
            }
            if account.kind != kind {
                overlap(account, &people);
            }
            if account.kind == Kind::ActiveCampaign {
                hire(account);
                continue;
            }
            let seen: Vec<u64> = account
                .groups
                .values()
                .filter(|group| group.kind == GroupKind::Static)
                .map(|group| group.id)
                .collect();
            let login = Login::restricted(&account.name, 2, seen.into_iter().step_by(2));
            account.logins.push(login);
        }
        world
    }
}

/// Gives an ActiveCampaign account a few people who log in, the groups they are in, and a key that
/// sees a part.
fn hire(account: &mut Account) {
    let staff = account.add_user_group("Campaign staff");
    account.add_user_group("Parking");
    let lists: Vec<u64> = account.groups.keys().copied().step_by(2).collect();
    let group = account.user_group_mut(staff);
    "People who write campaigns".clone_into(&mut group.description);
    group.lists.extend(lists);
    group.permissions.extend(
        [
            "pg_list_edit",
            "pg_message_add",
            "pg_subscriber_add",
            "pg_subscriber_edit",
        ]
        .map(str::to_owned),
    );
    let writer = account.add_user("wanda", "wanda.writer@example.org", staff);
    account.add_user("edgar", "edgar.editor@example.org", staff);
    let login = Login::of_user(&account.name, u32::try_from(writer).unwrap_or(u32::MAX));
    account.logins.push(login);
    account.pending.clear();
}

/// A generator of numbers that look random (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.roll() % (limit.max(1) as u64)).unwrap_or(0)
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// Fills an account. The oddities come early, so that seven contacts and five groups are enough to
/// have most of them.
///
/// What is added this way is not part of the history.
pub fn populate(account: &mut Account, seed: &Seed) {
    let recorded = account.pending.len();
    let mut dice = Dice(seed.seed);
    define_fields(account);
    let groups: Vec<u64> = (0..seed.groups)
        .map(|number| make_group(account, number, &mut dice))
        .collect();
    let mut first_address = String::new();
    // Addresses made here differ by their number, so only earlier contacts can have one of them.
    let taken: BTreeSet<String> = account
        .contacts
        .values()
        .map(|contact| fold(&contact.email))
        .collect();
    for number in 0..seed.members {
        let contact = make_contact(account, number, &first_address, &taken, &mut dice);
        if number == 0 {
            first_address = account.contacts[&contact].email.clone();
        }
        let now = account.now;
        for place in 0..=dice.below(3) {
            // The last of many groups stays empty, as happens in every account.
            let choices = if groups.len() > 8 {
                groups.len() - 1
            } else {
                groups.len()
            };
            let Some(group) = groups
                .get((number + place * 5 + dice.below(choices)) % choices.max(1))
                .copied()
            else {
                break;
            };
            let since = plus_seconds(now, -DAY * (1 + dice.below(700) as i64));
            let campaigns = account.kind == Kind::ActiveCampaign;
            // ActiveCampaign has no state of the whole account: what would be one stands on every
            // list.
            let state = match number % 50 {
                3 | 23 | 33 if place == 0 => MembershipState::OptedOut,
                2 | 22 if campaigns => MembershipState::OptedOut,
                4 | 34 if campaigns => MembershipState::Bounced,
                7 | 37 if campaigns => MembershipState::Unconfirmed,
                _ => MembershipState::Active,
            };
            let changed =
                (state == MembershipState::OptedOut).then(|| plus_seconds(since, DAY / 2));
            let membership = Membership {
                state,
                since,
                changed,
                by_api: false,
            };
            account
                .group_mut(group)
                .members
                .get_or_insert(contact, membership);
        }
        account.pending.truncate(recorded);
    }
    if account.kind == Kind::Emfluence {
        special_groups(account);
    }
    account.pending.truncate(recorded);
}

fn define_fields(account: &mut Account) {
    let now = account.now;
    let definitions: [(&str, &str, &str, usize); 3] = match account.kind {
        Kind::GreenRope => [
            ("Membership level", "Membership level", "Select", 0),
            ("External ref", "External ref", "ShortText", 50),
            ("Dietary notes", "Dietary notes", "Text", 0),
        ],
        Kind::Emfluence => [
            ("custom1", "Membership level", "Text", 50),
            ("custom2", "Joined on", "Date", 10),
            ("custom3", "External ref", "Text", 50),
        ],
        Kind::ActiveCampaign => [
            ("MEMBERSHIP_LEVEL", "Membership level", "5", 0),
            ("EXTERNAL_REF", "External ref", "1", 0),
            ("JOINED_ON", "Joined on", "9", 0),
        ],
    };
    for (position, (name, label, data_type, max_length)) in definitions.into_iter().enumerate() {
        if account.fields.iter().any(|field| field.name == name) {
            continue;
        }
        account.fields.push(CustomField {
            id: position as u64 + 1,
            name: name.to_owned(),
            label: label.to_owned(),
            data_type: data_type.to_owned(),
            max_length,
            possible_values: if matches!(data_type, "Select" | "5") {
                ["Gold", "Silver", "Bronze"].map(str::to_owned).to_vec()
            } else {
                Vec::new()
            },
            editable: "Visible".to_owned(),
            lists: Vec::new(),
            modified: now,
        });
    }
}

fn make_group(account: &mut Account, number: usize, dice: &mut Dice) -> u64 {
    let name = match GROUPS.get(number) {
        Some(name) => (*name).to_owned(),
        None => format!(
            "Chapter {} {}",
            number - GROUPS.len() + 1,
            dice.pick(&PLACES).0
        ),
    };
    // Populating an account that holds a group of this name must not make a second one.
    if let Some(id) = account.group_named_like(&name, None) {
        return id;
    }
    let id = account.add_group(&name);
    let kind = account.kind;
    let added = plus_seconds(account.now, -DAY * (800 + dice.below(900) as i64));
    let group = account.group_mut(id);
    group.added = added;
    group.modified = plus_seconds(added, DAY * 30);
    group.last_sent = (!number.is_multiple_of(3)).then(|| plus_seconds(added, DAY * 90));
    match kind {
        Kind::GreenRope => {
            group.visibility =
                [Visibility::Hidden, Visibility::Private, Visibility::Public][number % 3];
            "Example Society".clone_into(&mut group.sender_name);
            "news@example.org".clone_into(&mut group.sender_email);
            "1 Example Street, Springfield, IL, 62701, USA".clone_into(&mut group.postal_address);
            ZONES[number % ZONES.len()].clone_into(&mut group.time_zone);
            group.login_link = number.is_multiple_of(4);
        }
        Kind::Emfluence => {
            group.visibility = if number.is_multiple_of(3) {
                Visibility::Public
            } else {
                Visibility::Private
            };
            group.protected = number % 4 == 1;
            if !number.is_multiple_of(2) {
                group.friendly_name = format!("Friends of {name}");
                group.external_id = format!("grp-{number:04}");
            }
            group.description = format!("News for {name}, twice a month.");
            if number.is_multiple_of(5) {
                "Fed by the front desk.".clone_into(&mut group.notes);
            }
        }
        Kind::ActiveCampaign => {
            group.visibility = if number.is_multiple_of(3) {
                Visibility::Private
            } else {
                Visibility::Public
            };
            group.settings.insert(
                "sender_city".to_owned(),
                PLACES[number % PLACES.len()].0.to_owned(),
            );
            group
                .settings
                .insert("stringid".to_owned(), format!("list-{number}"));
        }
    }
    id
}

fn make_contact(
    account: &mut Account,
    number: usize,
    first_address: &str,
    taken: &BTreeSet<String>,
    dice: &mut Dice,
) -> u64 {
    let (first_name, last_name, local) = dice.pick(&PEOPLE);
    let domain = dice.pick(&DOMAINS);
    let greenrope = account.kind == Kind::GreenRope;
    let email = match number % 50 {
        1 | 21 | 41 => format!("{local}+news{number}@{domain}"),
        5 if greenrope => String::new(),
        6 if greenrope => first_address.to_uppercase(),
        8 => format!("{local}{number}@bücher.test"),
        9 | 29 => format!("{local}{number}@{domain}").to_uppercase(),
        _ => format!("{local}{number}@{domain}"),
    };
    let place = dice.pick(&PLACES);
    let company = dice.pick(&COMPANIES);
    let phone = format!("+1 555 01{:02}", number % 100);
    let mobile = format!("+155501{:05}", number % 100_000);
    let reference = format!("{number:06}");
    let mut contact = Contact {
        email,
        owner: 1 + (number % 3) as u64,
        ..Contact::default()
    };
    contact.profile = [
        ("first_name", first_name),
        ("last_name", last_name),
        ("company", company),
        ("city", place.0),
        ("state", place.1),
        ("zip", place.2),
        ("country", place.3),
        ("phone", phone.as_str()),
        ("mobile", mobile.as_str()),
        ("title", if number.is_multiple_of(7) { "Dr." } else { "" }),
        (
            "external_id",
            if account.kind == Kind::Emfluence {
                reference.as_str()
            } else {
                ""
            },
        ),
        (
            "website",
            if greenrope && number.is_multiple_of(9) {
                "https://www.example.org/~me?a=1&b=2"
            } else {
                ""
            },
        ),
        (
            "notes",
            if number.is_multiple_of(11) {
                "Met at the fair <2024>.\nCalls back & forth."
            } else {
                ""
            },
        ),
    ]
    .into_iter()
    .filter(|(name, value)| {
        let held = account.kind != Kind::ActiveCampaign
            || matches!(*name, "first_name" | "last_name" | "company" | "phone");
        held && !value.is_empty()
    })
    .collect();
    let level = ["Gold", "Silver", "Bronze", ""][number % 4];
    let custom: [(&str, &str); 2] = match account.kind {
        Kind::GreenRope => [("Membership level", level), ("External ref", &reference)],
        Kind::Emfluence => [("custom1", level), ("custom3", &reference)],
        Kind::ActiveCampaign => [("MEMBERSHIP_LEVEL", level), ("EXTERNAL_REF", &reference)],
    };
    contact.custom = custom
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect();
    if account.kind != Kind::Emfluence && number.is_multiple_of(6) {
        contact.tags.push("Fair".to_owned());
    }
    let moment = plus_seconds(account.now, -DAY * (1 + dice.below(300) as i64));
    let campaigns = account.kind == Kind::ActiveCampaign;
    if matches!(number % 50, 2 | 22) && !campaigns {
        contact.opted_out = Some(moment);
    }
    if matches!(number % 50, 4 | 34) && !campaigns {
        contact.bounced = Some(moment);
    }
    if account.kind != Kind::GreenRope && taken.contains(&fold(&contact.email)) {
        contact.email = format!("second.{number}.{}", contact.email);
    }
    let id = account.insert_contact(contact);
    let now = account.now;
    let contact = account.contact_mut(id);
    contact.added = plus_seconds(now, -DAY * (301 + dice.below(900) as i64));
    contact.modified = plus_seconds(now, -DAY * (1 + dice.below(300) as i64));
    contact.last_activity = (!number.is_multiple_of(4)).then_some(moment);
    contact.last_click = number.is_multiple_of(3).then_some(moment);
    id
}

/// The groups that are no targets, which emfluence has beside ordinary ones.
fn special_groups(account: &mut Account) {
    let members: Vec<u64> = account.contacts.keys().copied().step_by(7).collect();
    for name in [
        "Clicked last month",
        "Proof readers",
        "Gala 2019",
        "Welcome series",
    ] {
        if account.find_group(name).is_some() {
            continue;
        }
        let id = account.add_group(name);
        let now = account.now;
        let group = account.group_mut(id);
        match name {
            "Clicked last month" => group.kind = GroupKind::Dynamic,
            "Proof readers" => group.send_tests = true,
            "Gala 2019" => group.status = GroupStatus::Archived,
            _ => group.auto_response = Some(9001),
        }
        for contact in &members {
            group.members.insert(
                *contact,
                Membership {
                    since: plus_seconds(now, -DAY),
                    ..Membership::default()
                },
            );
        }
    }
}

/// Gives an account a few groups and people of its own, many of whom the other account has as well.
fn overlap(account: &mut Account, people: &[Contact]) {
    define_fields(account);
    let donors = account.add_group("Donors");
    let newsletter = account.add_group("Old newsletter");
    let empty = account.add_group("Waiting list");
    account.group_mut(empty).protected = account.kind == Kind::Emfluence;
    for (number, person) in people.iter().enumerate() {
        if account.contact_by_email(&person.email).is_some() {
            continue;
        }
        let keep = |name| Some((name, person.profile.get(name)?));
        let contact = account.insert_contact(Contact {
            email: person.email.clone(),
            profile: ["first_name", "last_name"]
                .into_iter()
                .filter_map(keep)
                .collect(),
            owner: 1,
            ..Contact::default()
        });
        account.join(
            if number.is_multiple_of(2) {
                donors
            } else {
                newsletter
            },
            contact,
        );
        match number % 5 {
            1 => {
                account.opt_out_of_account(contact);
            }
            2 => {
                account.opt_out_of_group(donors, contact);
            }
            4 => {
                account.hold(contact);
            }
            _ => {}
        }
    }
    for number in 1..=3 {
        let contact = account.add_person(&format!("only.here{number}@example.net"), "Only", "Here");
        account.join(newsletter, contact);
    }
    account.pending.clear();
}
