//! Who is behind which record: every simulated human has an identity of its own, whatever ids and
//! addresses stand for them at the moment.

use std::collections::{BTreeMap, BTreeSet};

use rosterd::emulator::{Actor, Change, HistoryEvent, World};

use super::world::fold;
use crate::support::staff_of;

/// The number of a human.
pub(crate) type Human = usize;

/// All humans of a simulated world.
#[derive(Clone, Debug, Default)]
pub(crate) struct Humans {
    /// Of two that turned out to be one, the other one.
    merged: Vec<Human>,
    /// By account and id; a record that is gone stays known.
    records: BTreeMap<(String, u64), Human>,
    /// Who was last seen under an address.
    mailboxes: BTreeMap<String, Human>,
    /// The addresses that each record ever showed.
    shown: BTreeSet<(String, u64, String)>,
    /// How often somebody has changed the address of a record since the last run.
    changes: BTreeMap<(String, u64), u32>,
    /// Of whom nobody can say any more who they are.
    doubtful: BTreeSet<Human>,
    /// Records that were exchanged since the last run that ended well: what comes on top of that shows as something
    /// else.
    exchanged: Vec<(String, u64, u64)>,
}

/// Whether mail can be sent to an address.
pub(crate) fn is_usable(address: &str) -> bool {
    address.split('@').count() == 2 && !address.contains([';', ' '])
}

impl Humans {
    /// Everybody of a world: who has one address is one human.
    pub fn of_world(world: &World) -> Humans {
        let mut humans = Humans::default();
        for account in &world.accounts {
            for contact in account.contacts.values() {
                humans.enter(world, &account.name, contact.id, &contact.email, None);
            }
            for user in account.users.values() {
                let staff = staff_of(&account.name);
                humans.enter(world, &staff, user.id, &user.email, None);
            }
        }
        humans
    }

    fn root(&self, mut human: Human) -> Human {
        while self.merged[human] != human {
            human = self.merged[human];
        }
        human
    }

    fn create(&mut self) -> Human {
        self.merged.push(self.merged.len());
        self.merged.len() - 1
    }

    /// Who a record stands for.
    pub fn of(&self, account: &str, id: u64) -> Option<Human> {
        self.records
            .get(&(account.to_owned(), id))
            .map(|human| self.root(*human))
    }

    /// Whether two numbers mean one human.
    pub fn is(&self, one: Human, other: Human) -> bool {
        self.root(one) == self.root(other)
    }

    /// Whether nobody can say who this is.
    pub fn is_doubtful(&self, human: Human) -> bool {
        self.doubtful.iter().any(|one| self.root(*one) == human)
    }

    /// Whether a record ever showed an address.
    pub fn ever_showed(&self, account: &str, id: u64, address: &str) -> bool {
        self.shown
            .contains(&(account.to_owned(), id, fold(address)))
    }

    /// Whoever has a record that ever showed an address which this one showed.
    pub fn behind_addresses(&self, account: &str, id: u64) -> BTreeSet<Human> {
        let of_this = |(name, one, _): &&(String, u64, String)| name == account && *one == id;
        let addresses: BTreeSet<&String> = self
            .shown
            .iter()
            .filter(of_this)
            .map(|row| &row.2)
            .collect();
        let all = self.shown.iter();
        all.filter(|row| addresses.contains(&row.2))
            .filter_map(|(name, one, _)| self.of(name, *one))
            .collect()
    }

    /// From here on nobody can say who a record stands for.
    pub fn doubt(&mut self, account: &str, id: u64) {
        if let Some(human) = self.of(account, id) {
            self.doubtful.insert(human);
        }
    }

    /// What comes on top of an exchange shows as something else: nobody can say any more who is who
    /// of all that took part.
    pub fn doubt_mixed(&mut self, account: &str, id: u64) {
        let mut part = BTreeSet::from([id]);
        loop {
            let before = part.len();
            for (name, one, other) in &self.exchanged {
                if name == account && (part.contains(one) || part.contains(other)) {
                    part.extend([*one, *other]);
                }
            }
            if part.len() == before {
                break;
            }
        }
        if part.len() > 1 {
            for id in part {
                self.doubt(account, id);
            }
        }
    }

    /// A record is gone: whoever took an address that it showed may be its heir or not.
    fn doubt_heirs(&mut self, account: &str, gone: u64) {
        let theirs = |id| {
            let mut shown = self.shown.iter();
            shown.any(|(name, one, address)| {
                name == account
                    && *one == id
                    && self
                        .shown
                        .contains(&(account.to_owned(), gone, address.clone()))
            })
        };
        let at_account = self.records.keys().filter(|(name, _)| name == account);
        let heirs: Vec<u64> = at_account
            .map(|(_, id)| *id)
            .filter(|id| *id != gone && theirs(*id))
            .collect();
        for heir in heirs {
            self.doubt(account, heir);
        }
    }

    /// A record appears. Who has its address already is who it stands for: at one account, if
    /// somebody has it there, else anywhere, else whoever had it last and has no other.
    fn enter(&mut self, world: &World, account: &str, id: u64, email: &str, first: Option<&str>) {
        let address = fold(email);
        self.shown.insert((account.to_owned(), id, address.clone()));
        let mut found = None;
        if is_usable(&address) {
            let names = first
                .into_iter()
                .chain(world.accounts.iter().map(|account| account.name.as_str()));
            for name in names {
                let holder = world.account(name).contacts.values().find(|contact| {
                    fold(&contact.email) == address && (name, contact.id) != (account, id)
                });
                found = found.or_else(|| self.of(name, holder?.id));
                // What a run made of a user stands for whom the user stands for.
                let mut users = world.account(name).users.values();
                let user = users.find(|user| first == Some(name) && fold(&user.email) == address);
                found = found.or_else(|| self.of(&staff_of(name), user?.id));
            }
            found = found.or_else(|| {
                let last = self.root(*self.mailboxes.get(&address)?);
                let elsewhere = world.accounts.iter().any(|account| {
                    account.contacts.values().any(|contact| {
                        fold(&contact.email) != address
                            && self.of(&account.name, contact.id) == Some(last)
                    })
                });
                (!elsewhere).then_some(last)
            });
        }
        // Whoever is at the same account under another address is somebody else, unless a request
        // says who it is.
        let found = found.filter(|human| {
            first.is_some()
                || !world
                    .find_account(account)
                    .into_iter()
                    .flat_map(|account| account.contacts.values())
                    .any(|contact| {
                        contact.id != id
                            && is_usable(&contact.email)
                            && fold(&contact.email) != address
                            && self.of(account, contact.id) == Some(*human)
                    })
        });
        let human = found.unwrap_or_else(|| self.create());
        self.records.insert((account.to_owned(), id), human);
        if is_usable(&address) {
            self.mailboxes.insert(address, human);
        }
    }

    /// A run has ended well, and has seen things as they are.
    pub fn show(&mut self) {
        self.exchanged.clear();
        self.changes.clear();
    }

    /// Takes in what has happened. A record that a request made stands for whoever has the address
    /// at the source of the run. One that was never paired with a contact is whoever has its
    /// address.
    pub fn take_in(
        &mut self,
        event: &HistoryEvent,
        now: &World,
        source: Option<&str>,
        paired: bool,
    ) {
        let account = now.account(&event.account);
        match &event.change {
            Change::ContactCreated { contact } => {
                if let Some(entry) = account.contacts.get(contact) {
                    self.enter(now, &account.name, *contact, &entry.email, source);
                }
            }
            Change::UserCreated { user, .. } => {
                if let Some(entry) = account.users.get(user) {
                    let staff = staff_of(&account.name);
                    self.enter(now, &staff, *user, &entry.email, source);
                }
            }
            Change::ContactDeleted { contact, .. } if event.actor == Actor::Person => {
                self.doubt_mixed(&account.name, *contact);
                self.doubt_heirs(&account.name, *contact);
            }
            Change::AddressChanged { contact, to, .. } if event.actor == Actor::Person => {
                let place = (account.name.clone(), *contact);
                *self.changes.entry(place).or_default() += 1;
                self.doubt_mixed(&account.name, *contact);
                // Whoever takes the address of a record that is gone may be its heir or not, and may
                // get its contact.
                let gone = self.shown.iter().filter(|(name, id, address)| {
                    *name == account.name
                        && *address == fold(to)
                        && !account.contacts.contains_key(id)
                        && !account.users.contains_key(id)
                });
                let gone: Vec<u64> = gone.map(|(_, id, _)| *id).collect();
                for id in gone {
                    self.doubt(&account.name, *contact);
                    self.doubt(&account.name, id);
                }
                // So does whoever takes an address that was in the game.
                let exchanged = self.exchanged.clone();
                for (name, one, other) in exchanged {
                    let showed = |id| self.ever_showed(&name, id, to);
                    if name == account.name && (showed(one) || showed(other)) {
                        self.doubt(&name, *contact);
                        self.doubt_mixed(&name, one);
                    }
                }
                if !is_usable(to) {
                    return;
                }
                if !paired {
                    self.enter(now, &account.name, *contact, to, None);
                    return;
                }
                if let Some(human) = self.of(&account.name, *contact) {
                    self.mailboxes.insert(fold(to), human);
                }
                self.shown
                    .insert((account.name.clone(), *contact, fold(to)));
            }
            _ => {}
        }
    }

    /// Two records were mixed up: each stands for whom the other stood for.
    pub fn exchange(&mut self, account: &str, one: u64, other: u64) {
        // The exchange itself takes three changes. What came before shows as something else.
        let changes = |id| self.changes.get(&(account.to_owned(), id)).copied();
        let in_the_game = |id| {
            let mut pairs = self.exchanged.iter();
            pairs.any(|(name, one, other)| name == account && [*one, *other].contains(&id))
        };
        let mixed = in_the_game(one) || in_the_game(other);
        if mixed || changes(one) > Some(2) || changes(other) > Some(1) {
            for id in [one, other] {
                self.doubt(account, id);
                self.doubt_mixed(account, id);
            }
            return;
        }
        self.exchanged.push((account.to_owned(), one, other));
        if let (Some(first), Some(second)) = (self.of(account, one), self.of(account, other)) {
            self.records.insert((account.to_owned(), one), second);
            self.records.insert((account.to_owned(), other), first);
        }
    }

    /// A contact stands for whoever a record stands for.
    pub fn equate(&mut self, account: &str, contact: u64, source: &str, record: u64) {
        if let Some(human) = self.of(source, record) {
            self.records.insert((account.to_owned(), contact), human);
        }
    }

    /// In how many accounts, those of a list, a human has a record.
    pub fn count(&self, world: &World, accounts: &[&str], human: Human) -> usize {
        accounts
            .iter()
            .filter(|name| {
                let mut contacts = world.account(name).contacts.keys();
                contacts.any(|id| self.of(name, *id) == Some(human))
            })
            .count()
    }

    /// Two records turned out to stand for one human.
    pub fn unite(&mut self, account: &str, one: u64, other: u64) {
        for id in [one, other] {
            self.doubt_mixed(account, id);
        }
        self.exchanged.push((account.to_owned(), one, other));
        if let (Some(first), Some(second)) = (self.of(account, one), self.of(account, other)) {
            self.merged[second] = first;
        }
    }
}
