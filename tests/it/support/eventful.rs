//! A job whose next run does a bit of everything that a run can do, as a stage for crashes.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use rosterd::emulator::{Account, Actor, Change, Emulator, HistoryEvent, Kind, Visibility, World};
use rosterd::state::Store;
use tempfile::NamedTempFile;

use super::{Bench, bench, group_of, plain_world, shoe_size};

/// One direction and what becomes of groups that are gone.
#[derive(Clone, Copy, Debug)]
pub struct Course {
    pub source: &'static str,
    pub target: &'static str,
    pub missing: &'static str,
}

/// Every kind of target, and both fates of a group whose source is gone.
pub const COURSES: [Course; 4] = [
    Course {
        source: "crm",
        target: "mail",
        missing: "archive",
    },
    Course {
        source: "crm",
        target: "mail",
        missing: "delete",
    },
    Course {
        source: "mail",
        target: "crm",
        missing: "delete",
    },
    Course {
        source: "mail",
        target: "campaigns",
        missing: "delete",
    },
];

/// What the plan of an eventful run consists of at a kind of target, so that a test which misses a
/// kind fails.
pub fn expected_operations(course: Course) -> BTreeSet<&'static str> {
    let gone = if course.missing == "archive" {
        "archive_group"
    } else {
        "delete_group"
    };
    let mut operations = BTreeSet::from([
        "create_group",
        "adopt_group",
        "rename_group",
        "update_group",
        "set_opt_out",
        "create_members",
        "change_address",
        "update_member",
        "add_memberships",
        "remove_memberships",
    ]);
    operations.insert(gone);
    if course.target == "campaigns" {
        // What changes of a list here is its name alone.
        operations.remove("update_group");
    }
    operations
}

/// The stage at its beginning, to be set up once and entered often.
pub struct Stage {
    world: World,
    memory: NamedTempFile,
    bench: Bench,
}

impl Stage {
    /// Sets the stage: a first state, synced, and then one of each thing that can happen at the
    /// source.
    pub async fn new(course: Course) -> Stage {
        let bench = eventful(course).await;
        let memory = NamedTempFile::new().unwrap();
        bench.store.backup_to(memory.path()).unwrap();
        Stage {
            world: bench.emulator.with_world(|world| world.clone()),
            memory,
            bench,
        }
    }

    /// A bench of its own, with its database in memory.
    pub fn enter(&self) -> Bench {
        let store = Store::in_memory();
        store
            .restore_from(self.memory.path(), Timestamp::UNIX_EPOCH)
            .unwrap();
        self.bench.woken(self.world.clone(), store)
    }

    /// A bench of its own, with its database in a file.
    pub fn enter_at(&self, path: &Path) -> Bench {
        std::fs::copy(self.memory.path(), path).unwrap();
        self.bench.woken(
            self.world.clone(),
            Store::open(path, Timestamp::UNIX_EPOCH).unwrap(),
        )
    }
}

async fn eventful(course: Course) -> Bench {
    let mut world = plain_world();
    let account = world.account_mut(course.source);
    if account.kind == Kind::Emfluence {
        account.fields.push(shoe_size());
    }
    group_of(account, "One", "one", 12);
    group_of(account, "Two", "two", 12);
    group_of(account, "Left", "left", 2);
    group_of(account, "Right", "right", 2);
    group_of(account, "Gone", "gone", 2);
    let create_fields = course.target != "mail";
    let job = format!(
        "mode = \"managed\"\ncreate_fields = {create_fields}\n[jobs.test.groups]\nmissing = \"{}\"\n[jobs.test.guards]\nmax_membership_removals = \"none\"\nmax_membership_removals_per_group = \"none\"\nmax_group_removals = \"none\"",
        course.missing
    );
    let bench = bench(world, course.source, course.target, &job);
    bench.settle().await;
    bench.account(course.target, |account| {
        group_of(account, "Adopted", "adopted", 2);
        account.add_person("three0@example.org", "Ana", "Example");
    });
    bench.account(course.source, happen);
    bench.assert_no_misuse();
    bench
}

fn happen(account: &mut Account) {
    let group = |account: &Account, name: &str| account.find_group(name).unwrap();
    let who = |account: &Account, name: &str| {
        account
            .contact_by_email(&format!("{name}@example.org"))
            .unwrap()
    };
    let (one, two) = (group(account, "One"), group(account, "Two"));
    let (left, right, gone) = (
        group(account, "Left"),
        group(account, "Right"),
        group(account, "Gone"),
    );
    account.rename_group(one, "Uno");
    account.rename_group(left, "in between");
    account.rename_group(right, "Left");
    account.rename_group(left, "Right");
    account.group_mut(two).visibility = Visibility::Public;
    account.delete_group(gone);
    for name in ["one0", "one1"] {
        let contact = who(account, name);
        account.leave(one, contact);
    }
    for name in ["one2", "one3"] {
        let contact = who(account, name);
        account.join(two, contact);
    }
    let contact = who(account, "one4");
    account.change_contact(contact, [("city", "Springfield")], []);
    if account.kind == Kind::Emfluence {
        account.change_contact(contact, [], [("custom1", "42")]);
    }
    let contact = who(account, "one5");
    account.change_address(contact, "uno5@example.org");
    let contact = who(account, "one6");
    account.opt_out_of_account(contact);
    let contact = who(account, "one7");
    account.opt_out_of_group(one, contact);
    group_of(account, "Three", "three", 6);
    group_of(account, "Adopted", "adopted", 4);
    let stranger = account.add_person("stranger@example.org", "Ana", "Example");
    account.join(two, stranger);
    account.opt_out_of_account(stranger);
}

/// What requests have created at an account since the stage was set: group names and addresses,
/// each as often as it was created.
pub fn created(emulator: &Emulator, account: &str) -> Vec<String> {
    let by_request =
        |event: &HistoryEvent| event.account == account && matches!(event.actor, Actor::Request(_));
    let events: Vec<HistoryEvent> = emulator.history().into_iter().filter(by_request).collect();
    emulator.with_world(|world| {
        let account = world.account(account);
        let mut created: Vec<String> = events
            .into_iter()
            .filter_map(|event| match event.change {
                Change::GroupCreated { name, .. } => Some(format!("group {name}")),
                Change::ContactCreated { contact } => {
                    Some(format!("contact {}", account.contacts[&contact].email))
                }
                _ => None,
            })
            .collect();
        created.sort();
        created
    })
}

/// The addresses and group names that an account holds more than once.
pub fn doubled(account: &Account) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let names = account
        .groups
        .values()
        .map(|group| format!("group {}", group.name));
    let addresses = account
        .contacts
        .values()
        .map(|contact| format!("contact {}", contact.email.to_lowercase()));
    names
        .chain(addresses)
        .filter(|name| !seen.insert(name.clone()))
        .collect()
}
