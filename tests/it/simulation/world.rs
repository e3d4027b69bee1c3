//! Random accounts: few people and groups, and every odd thing that an account can hold.

use rosterd::emulator::{
    Account, Counted, CustomField, GroupKind, GroupStatus, Kind, MembershipState, UnknownGroup,
    Visibility, World,
};

use super::dice::Dice;

/// The accounts of a simulated world, with their numbers.
pub(crate) const ACCOUNTS: [(&str, u32); 3] =
    [("left", 51_001), ("right", 51_002), ("third", 51_003)];

/// Names of groups that both sides draw from.
const NAMES: [&str; 7] = [
    "Donors",
    "News",
    "Board",
    "Volunteers",
    "Gäste & Freunde",
    "Spring 50%",
    "Alumni",
];

const CITIES: [&str; 3] = ["Springfield", "Shelbyville", ""];

/// Makes the accounts of a seed: the first one freely, the others from it or on their own.
pub(crate) fn world(dice: &mut Dice, kinds: &[Kind]) -> World {
    let mut world = World::empty();
    let mut pool: Vec<usize> = (0..24).collect();
    for number in (1..pool.len()).rev() {
        let other = dice.below(number + 1);
        pool.swap(number, other);
    }
    for ((name, number), kind) in ACCOUNTS.iter().zip(kinds) {
        let mut account = Account::new(*kind, name, *number);
        quirks(dice, &mut account);
        define_fields(&mut account);
        let known = dice.below(18) + 2;
        // Each side knows a window of the same people.
        let from = if dice.chance(70) {
            0
        } else {
            dice.below(pool.len())
        };
        for offset in 0..known {
            let person = pool[(from + offset) % pool.len()];
            add_person(dice, &mut account, person);
        }
        for group in groups(dice, &mut account) {
            fill(dice, &mut account, group);
        }
        refusals(dice, &mut account);
        world.add_account(account);
    }
    world
}

/// One of several spellings of a person's address.
fn spelling(dice: &mut Dice, person: usize) -> String {
    let domain = match person % 8 {
        3 => *dice.pick(&["bücher.test", "xn--bcher-kva.test", "BÜCHER.test"]),
        5 => *dice.pick(&["Example.org", "EXAMPLE.ORG", "example.org"]),
        _ => "example.org",
    };
    let local = if dice.chance(15) {
        format!("P{person}")
    } else {
        format!("p{person}")
    };
    format!("{local}@{domain}")
}

/// The form in which two spellings of an address are the same.
pub(crate) fn fold(address: &str) -> String {
    address
        .trim()
        .to_lowercase()
        .replace("@bücher.test", "@xn--bcher-kva.test")
}

/// The form in which two spellings of a group's name are the same.
pub(crate) fn fold_name(name: &str) -> String {
    name.trim().to_lowercase()
}

/// Adds one of the people everybody knows, unless the account knows them already.
pub(crate) fn add_person(dice: &mut Dice, account: &mut Account, person: usize) -> Option<u64> {
    let address = spelling(dice, person);
    add_address(dice, account, &address)
}

/// Adds somebody with an address and a random profile.
pub(crate) fn add_address(dice: &mut Dice, account: &mut Account, address: &str) -> Option<u64> {
    let known = account.contact_by_email(address).is_some();
    if known && (account.kind != Kind::GreenRope || dice.chance(60)) {
        return None;
    }
    let contact = account.add_person(
        address,
        dice.word(&["Ana", "Bo", "Cem"]),
        dice.word(&["Example", "Muster"]),
    );
    let company = *dice.pick(&["Example Society", "Internal", ""]);
    account.change_contact(contact, [("company", company)], []);
    if account.kind == Kind::ActiveCampaign {
        if dice.chance(30) {
            account.change_contact(contact, [], [("MEMBERSHIP_LEVEL", "Gold")]);
        }
        return Some(contact);
    }
    account.change_contact(contact, [("city", *dice.pick(&CITIES))], []);
    if account.kind == Kind::Emfluence && dice.chance(30) {
        account.change_contact(contact, [], [("custom1", "Gold")]);
    }
    if account.kind == Kind::GreenRope && dice.chance(30) {
        account.change_contact(contact, [], [("Membership level", "Silver")]);
    }
    Some(contact)
}

fn groups(dice: &mut Dice, account: &mut Account) -> Vec<u64> {
    let mut made = Vec::new();
    for _ in 0..=dice.below(4) {
        let name = *dice.pick(&NAMES);
        let name = if dice.chance(10) {
            name.to_uppercase()
        } else {
            name.to_owned()
        };
        if let Some(group) = add_group(dice, account, &name) {
            made.push(group);
        }
    }
    if dice.chance(30) {
        // A group that has no counterpart anywhere.
        made.extend(add_group(
            dice,
            account,
            &format!("Only {}", account.name.clone()),
        ));
    }
    if account.kind == Kind::GreenRope && dice.chance(40) {
        let nobody = account.add_person("", "No", "Address");
        if let Some(group) = dice.any(&made) {
            account.join(group, nobody);
        }
    }
    made
}

/// Adds some user groups with the names that everybody uses.
pub(crate) fn add_user_groups(dice: &mut Dice, account: &mut Account) -> Vec<u64> {
    let mut made = Vec::new();
    for name in NAMES {
        if dice.chance(35) {
            made.push(account.add_user_group(name));
        }
    }
    made
}

/// Adds a group, unless one of that name is there.
pub(crate) fn add_group(dice: &mut Dice, account: &mut Account, name: &str) -> Option<u64> {
    // ActiveCampaign takes a name twice.
    let twice = account.kind == Kind::ActiveCampaign && dice.chance(30);
    if !twice
        && account
            .groups
            .values()
            .any(|group| fold_name(&group.name) == fold_name(name))
    {
        return None;
    }
    let id = account.add_group(name);
    let (kind, number) = (account.kind, account.number.clone());
    let group = account.group_mut(id);
    if kind == Kind::Emfluence {
        group.friendly_name = if dice.chance(30) {
            format!("Friends of {name}")
        } else {
            String::new()
        };
        group.description = if dice.chance(30) {
            "Twice a month.".to_owned()
        } else {
            String::new()
        };
        group.protected = dice.chance(50);
        group.auto_response = dice.chance(15).then_some(9001);
        group.visibility = *dice.pick(&[Visibility::Public, Visibility::Private]);
        if dice.chance(20) {
            group.external_id = format!("ext-{number}-{id}");
        }
        match dice.below(12) {
            0 => group.kind = GroupKind::Dynamic,
            1 => group.status = GroupStatus::Archived,
            2 => group.send_tests = true,
            _ => {}
        }
    } else if kind == Kind::GreenRope {
        group.visibility =
            *dice.pick(&[Visibility::Public, Visibility::Private, Visibility::Hidden]);
        "Example Society".clone_into(&mut group.sender_name);
        "news@example.org".clone_into(&mut group.sender_email);
        if dice.chance(60) {
            "2 Example Road, Springfield, IL, 62701, USA".clone_into(&mut group.postal_address);
        }
    }
    Some(id)
}

fn fill(dice: &mut Dice, account: &mut Account, group: u64) {
    let share = *dice.pick(&[0, 20, 50, 80]);
    let contacts: Vec<u64> = account.contacts.keys().copied().collect();
    for contact in contacts {
        if dice.chance(share) {
            account.join(group, contact);
        }
    }
}

fn refusals(dice: &mut Dice, account: &mut Account) {
    let contacts: Vec<u64> = account.contacts.keys().copied().collect();
    for contact in contacts {
        match dice.below(14) {
            0 => {
                account.opt_out_of_account(contact);
            }
            1 | 2 => {
                if let Some(group) = dice.any(&joinable(account)) {
                    account.opt_out_of_group(group, contact);
                }
            }
            3 => {
                account.bounce(contact);
            }
            4 if account.kind == Kind::ActiveCampaign => {
                if let Some(group) = dice.any(&joinable(account)) {
                    account.set_membership_state(group, contact, MembershipState::Unconfirmed);
                }
            }
            _ => {}
        }
    }
}

/// The groups that people can join and leave.
pub(crate) fn joinable(account: &Account) -> Vec<u64> {
    account
        .groups
        .values()
        .filter(|group| group.kind == GroupKind::Static)
        .map(|group| group.id)
        .collect()
}

fn define_fields(account: &mut Account) {
    let definitions: &[(&str, &str, &str, usize)] = match account.kind {
        Kind::GreenRope => &[("Membership level", "Membership level", "Select", 0)],
        Kind::Emfluence => &[("custom1", "Membership level", "Text", 50)],
        Kind::ActiveCampaign => &[("MEMBERSHIP_LEVEL", "Membership level", "5", 0)],
    };
    for (name, label, data_type, max_length) in definitions {
        let choices = matches!(*data_type, "Select" | "5");
        account.fields.push(CustomField {
            id: 1,
            name: (*name).to_owned(),
            label: (*label).to_owned(),
            data_type: (*data_type).to_owned(),
            max_length: *max_length,
            possible_values: if choices {
                ["Gold", "Silver"].map(str::to_owned).to_vec()
            } else {
                Vec::new()
            },
            editable: "Visible".to_owned(),
            ..CustomField::default()
        });
    }
}

fn quirks(dice: &mut Dice, account: &mut Account) {
    let settings = &mut account.settings;
    let emfluence = &mut settings.emfluence;
    emfluence.digits_as_numbers = dice.chance(50);
    emfluence.words_as_booleans = dice.chance(50);
    emfluence.mixed_flags = dice.chance(50);
    emfluence.no_empty_data = dice.chance(50);
    emfluence.missing_as_empty = dice.chance(50);
    emfluence.strict_rows = dice.chance(30);
    emfluence.bad_row_refuses_import = dice.chance(30);
    emfluence.update_resets_flags = dice.chance(50);
    settings.activecampaign.portuguese = dice.chance(30);
    settings.activecampaign.background_seconds = *dice.pick(&[1, 5, 40]);
    settings.activecampaign.page_cap = dice.chance(30).then(|| dice.below(4) + 2);
    let greenrope = &mut settings.greenrope;
    greenrope.odd_item_tags = dice.chance(50);
    greenrope.zone_slash = dice.chance(50);
    // Such an account can never be certified where nobody has refused, so nobody is added.
    greenrope.empty_is_error = dice.chance(3);
    greenrope.counted = *dice.pick(&[
        Counted::All,
        Counted::All,
        Counted::NotOptedOut,
        Counted::NotBounced,
    ]);
    greenrope.no_id_in_failed_items = dice.chance(30);
    greenrope.no_request_id = dice.chance(30);
    greenrope.strict_items = dice.chance(30);
    greenrope.scrambled_order = dice.chance(50);
    greenrope.omit_empty = dice.chance(50);
    // Thrown aside, so that the worlds of all seeds stay what they were.
    let mut aside = dice.clone();
    for _ in 0..5 {
        aside.below(1_000);
    }
    greenrope.omit_groups = aside.chance(15);
    greenrope.unknown_group = *dice.pick(&[
        UnknownGroup::Fail,
        UnknownGroup::Ignore,
        UnknownGroup::Create,
    ]);
}

/// Tells whether nobody is ever added at an account because nothing proves its listings: an empty
/// answer can't be told from a failure, or contacts do not say which groups they are in and the count
/// of a group leaves out people of whom nobody can say how many they are.
pub(super) fn proves_nothing(account: &Account) -> bool {
    let greenrope = &account.settings.greenrope;
    greenrope.empty_is_error || (greenrope.omit_groups && greenrope.counted != Counted::All)
}
