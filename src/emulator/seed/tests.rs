use super::*;
use crate::emulator::{Emulator, Group};

#[test]
fn the_same_seed_gives_the_same_world() {
    let seed = Seed {
        seed: 3,
        groups: 9,
        members: 120,
    };
    let text = |seed: &Seed| serde_json::to_string(&World::seeded(seed)).unwrap();
    assert_eq!(text(&seed), text(&seed));
    assert_ne!(text(&seed), text(&Seed { seed: 4, ..seed }));
}

#[test]
fn a_seeded_crm_has_every_oddity() {
    let world = World::seeded(&Seed::default());
    let crm = world.account("crm");
    let contact = |test: &dyn Fn(&Contact) -> bool| crm.contacts.values().any(test);
    let group = |test: &dyn Fn(&Group) -> bool| crm.groups.values().any(test);
    assert_eq!((crm.groups.len(), crm.contacts.len()), (12, 200));
    assert!(contact(&|contact| contact.email.contains('+')));
    assert!(contact(&|contact| contact.email.is_empty()));
    assert!(contact(&|contact| contact.email.contains('ü')));
    assert!(contact(&|contact| contact.opted_out.is_some()));
    assert!(contact(&|contact| contact.bounced.is_some()));
    assert!(contact(&|contact| contact.get("zip").starts_with('0')));
    assert!(contact(&|contact| !contact.get("last_name").is_ascii()));
    assert!(contact(&|one| crm
        .contacts
        .values()
        .any(|two| one.id != two.id && one.has_address(&two.email))));
    for part in ["***", "[", "&", "2024", "日本"] {
        assert!(group(&|group| group.name.contains(part)), "{part}");
    }
    assert!(group(&|group| group
        .members
        .values()
        .any(|member| member.state == MembershipState::OptedOut)));
    assert!(group(&|group| group.members.is_empty()));
}

#[test]
fn a_seeded_mail_account_has_every_oddity() {
    let world = World::seeded_in("mail", &Seed::default());
    let mail = world.account("mail");
    let group = |test: &dyn Fn(&Group) -> bool| mail.groups.values().any(test);
    assert!(group(&|group| group.kind == GroupKind::Dynamic));
    assert!(group(
        &|group| group.kind == GroupKind::BuiltIn && group.members.len() == 200
    ));
    assert!(group(&|group| group.send_tests));
    assert!(group(&|group| group.status == GroupStatus::Archived));
    assert!(group(&|group| group.auto_response.is_some()));
    assert!(group(
        &|group| !group.external_id.is_empty() && !group.friendly_name.is_empty()
    ));
    assert!(group(&|group| !group.notes.is_empty()));
    assert!(
        mail.contacts
            .values()
            .all(|contact| !contact.email.is_empty())
    );
    let mut addresses: Vec<String> = mail
        .contacts
        .values()
        .map(|contact| contact.email.to_lowercase())
        .collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 200);
}

#[test]
fn the_other_account_overlaps_and_holds_refusals() {
    let world = World::seeded(&Seed::default());
    let (crm, mail) = (world.account("crm"), world.account("mail"));
    assert!(
        mail.contacts
            .values()
            .filter(|contact| crm.contact_by_email(&contact.email).is_some())
            .count()
            > 10
    );
    assert!(
        mail.contacts
            .values()
            .any(|contact| contact.opted_out.is_some())
    );
    assert!(mail.find_group("Donors").is_some() && crm.find_group("Donors").is_some());
    assert!(world.account("mail2").contacts.is_empty() && world.account("crm2").groups.is_empty());
}

#[test]
fn seeding_is_not_part_of_the_history() {
    assert_eq!(Emulator::new(World::seeded(&Seed::default())).history(), []);
}

#[test]
fn a_world_survives_its_own_json() {
    let world = World::seeded(&Seed::default());
    let text = serde_json::to_string(&world).unwrap();
    let back: World = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&back).unwrap(), text);
}

#[test]
fn a_seeded_campaigns_account_has_every_state_and_users() {
    let world = World::seeded_all("campaigns", &Seed::default());
    let campaigns = world.account("campaigns");
    assert_eq!(
        (campaigns.groups.len(), campaigns.contacts.len()),
        (12, 200)
    );
    let states = |state| {
        campaigns
            .groups
            .values()
            .flat_map(|group| group.members.values())
            .any(|membership| membership.state == state)
    };
    for state in [
        MembershipState::Active,
        MembershipState::Unconfirmed,
        MembershipState::OptedOut,
        MembershipState::Bounced,
    ] {
        assert!(states(state), "{state:?}");
    }
    assert!(
        campaigns
            .contacts
            .values()
            .all(|contact| contact.opted_out.is_none() && contact.bounced.is_none())
    );
    assert!(
        campaigns
            .contacts
            .values()
            .any(|contact| contact.custom.contains_key("MEMBERSHIP_LEVEL"))
    );
    assert!(
        campaigns
            .groups
            .values()
            .any(|group| group.visibility == Visibility::Private)
    );
    assert_eq!((campaigns.users.len(), campaigns.logins.len()), (3, 2));
    assert!(
        !world.account("crm").contacts.is_empty() && !world.account("mail").contacts.is_empty()
    );
    assert!(world.account("campaigns2").contacts.is_empty());
    let text = serde_json::to_string(&world).unwrap();
    let back: World = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&back).unwrap(), text);
}

#[test]
fn a_third_kind_leaves_the_others_as_they_were() {
    let seed = Seed {
        seed: 3,
        groups: 9,
        members: 120,
    };
    let (two, three) = (World::seeded(&seed), World::seeded_all("crm", &seed));
    for name in ["crm", "mail", "crm2", "mail2"] {
        let text = |world: &World| serde_json::to_string(world.account(name)).unwrap();
        assert_eq!(text(&two), text(&three), "{name}");
    }
    let campaigns = three.account("campaigns");
    assert!(
        campaigns
            .groups
            .values()
            .flat_map(|group| group.members.values())
            .any(|member| member.state == MembershipState::OptedOut)
    );
    assert_eq!(Emulator::new(three).history(), []);
}
