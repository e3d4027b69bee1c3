//! What every provider kind must do alike: the same cases for each, against its emulated account.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rosterd::emulator::{self, ActiveCampaignQuirks, Emulator, Fault, FaultRule, Kind, World};
use rosterd::http::{Account, AccountOptions, CallError, Transport};
use rosterd::model::{
    Capabilities, Certificate, Existence, GroupEdit, GroupRow, ItemOutcome, Join, MemberEdit,
    MemberJoin, MemberSink, MemberStatus, MemberValues, MembershipState, Name, Names, ObjectKind,
    OwnRemovals, ProviderKind, Reading, Record, Settlement, Snapshot, SnapshotBuilder, Stage,
    Ticket, TotalMeanings, Value, Write,
};
use rosterd::provider::activecampaign::{
    ActiveCampaign, ActiveCampaignGroups, ActiveCampaignOptions,
};
use rosterd::provider::emfluence::{Emfluence, EmfluenceOptions};
use rosterd::provider::greenrope::{GreenRope, GreenRopeCredential, GreenRopeOptions};
use rosterd::provider::{MemberAsk, ReadError, Role, Target, capabilities, schema};
use url::Url;

use crate::support::PARKING;

const ACCOUNT: &str = "here";

/// Longer than the emulated services take for what they do after their answer.
const A_WHILE: Duration = Duration::from_secs(20);

/// One kind of provider with a small account: three groups, one of them empty, and people in every
/// state that it knows.
struct Subject {
    kind: ProviderKind,
    emulator: Emulator,
    adapter: Box<dyn Target>,
    donors: String,
    fans: String,
    empty: String,
    people: BTreeMap<&'static str, String>,
}

fn subjects() -> Vec<Subject> {
    ProviderKind::ALL.into_iter().map(subject).collect()
}

fn emulated(kind: ProviderKind) -> Kind {
    match kind {
        ProviderKind::Emfluence => Kind::Emfluence,
        ProviderKind::GreenRope => Kind::GreenRope,
        ProviderKind::ActiveCampaignLists | ProviderKind::ActiveCampaignUsers => {
            Kind::ActiveCampaign
        }
    }
}

fn subject(kind: ProviderKind) -> Subject {
    subject_with(kind, &ActiveCampaignQuirks::default())
}

fn subject_with(kind: ProviderKind, quirks: &ActiveCampaignQuirks) -> Subject {
    let mut world = World::empty();
    let account = world.add_account(emulator::Account::new(emulated(kind), ACCOUNT, 7));
    account.settings.activecampaign = quirks.clone();
    let ([donors, fans, empty], people) = if kind == ProviderKind::ActiveCampaignUsers {
        staff(account)
    } else {
        audience(account)
    };
    let world = world.without_pace();
    let emulator = Emulator::new(world);
    Subject {
        adapter: adapter(&emulator, kind),
        kind,
        emulator,
        donors: donors.to_string(),
        fans: fans.to_string(),
        empty: empty.to_string(),
        people: people
            .into_iter()
            .map(|(name, id)| (name, id.to_string()))
            .collect(),
    }
}

/// Contacts: "bo" refuses a group, "cy" all mail, the address of "dee" is given up, and "eve" is in
/// no group.
fn audience(account: &mut emulator::Account) -> ([u64; 3], BTreeMap<&'static str, u64>) {
    let [donors, fans, empty] =
        ["Donors", "Fans & Friends", "Nobody yet"].map(|name| account.add_group(name));
    let mut people = BTreeMap::new();
    for name in ["ana", "bo", "cy", "dee", "eve"] {
        people.insert(
            name,
            account.add_person(&format!("{name}@example.org"), name, "Example"),
        );
    }
    account.join_all(
        donors,
        people.values().copied().filter(|id| *id != people["eve"]),
    );
    account.join(fans, people["ana"]);
    account.opt_out_of_group(donors, people["bo"]);
    account.opt_out_of_account(people["cy"]);
    account.bounce(people["dee"]);
    ([donors, fans, empty], people)
}

/// Users, each in one group and "eve" in the one that takes whoever leaves another.
fn staff(account: &mut emulator::Account) -> ([u64; 3], BTreeMap<&'static str, u64>) {
    let groups =
        ["Donors", "Fans & Friends", "Nobody yet"].map(|name| account.add_user_group(name));
    let parking = account.add_user_group(PARKING);
    let mut people = BTreeMap::new();
    for (name, group) in [
        ("ana", groups[0]),
        ("bo", groups[0]),
        ("cy", groups[0]),
        ("dee", groups[1]),
        ("eve", parking),
    ] {
        let user = account.add_user(name, &format!("{name}@example.org"), group);
        name.clone_into(&mut account.user_mut(user).first_name);
        "Example".clone_into(&mut account.user_mut(user).last_name);
        people.insert(name, user);
    }
    (groups, people)
}

fn adapter(emulator: &Emulator, kind: ProviderKind) -> Box<dyn Target> {
    let (login, parking) = emulator.with_world(|world| {
        let account = world.account(ACCOUNT);
        (
            account.credentials(),
            account.find_user_group(PARKING).map(|id| id.to_string()),
        )
    });
    let base = Url::parse("https://emulator.test")
        .unwrap()
        .join(&login.base_path)
        .unwrap();
    let options = AccountOptions {
        max_retries: 1,
        ..AccountOptions::new(ACCOUNT, base, Transport::Local(emulator.router()))
    };
    let account = Account::new(options);
    match kind {
        ProviderKind::ActiveCampaignLists | ProviderKind::ActiveCampaignUsers => {
            let lists = kind == ProviderKind::ActiveCampaignLists;
            let options = ActiveCampaignOptions {
                api_key: login.token.into(),
                groups: if lists {
                    ActiveCampaignGroups::Lists
                } else {
                    ActiveCampaignGroups::UserGroups
                },
                parking_group: parking,
                batch_cap: None,
            };
            Box::new(ActiveCampaign::new(options, account))
        }
        ProviderKind::Emfluence => {
            let options = EmfluenceOptions {
                access_token: login.token.into(),
                fingerprint: None,
                neighbours: Vec::new(),
                batch_cap: None,
            };
            Box::new(Emfluence::new(options, account))
        }
        ProviderKind::GreenRope => {
            let options = GreenRopeOptions {
                account_id: login.account_id,
                email: login.email,
                credential: GreenRopeCredential::Password(login.password.into()),
                shared_access: false,
                batch_cap: None,
            };
            Box::new(GreenRope::new(options, account))
        }
    }
}

struct Nowhere;

impl Stage for Nowhere {
    fn put(&mut self, _id: &str, _record: &Record) -> Result<(), String> {
        Ok(())
    }
}

/// What was read, with the texts behind it.
struct Seen {
    names: Names,
    snapshot: Snapshot,
}

impl Seen {
    fn text(&self, name: Name) -> &str {
        self.names.text(name)
    }

    /// The rows of a group as id and state.
    fn rows(&self, group: &str) -> BTreeMap<String, MembershipState> {
        let listing = self
            .snapshot
            .listing(group)
            .unwrap_or_else(|| panic!("group {group} has a listing"));
        listing
            .seen()
            .rows
            .iter()
            .map(|row| {
                (
                    self.text(self.snapshot.members[row.member as usize].id)
                        .to_owned(),
                    row.state,
                )
            })
            .collect()
    }

    fn status(&self, id: &str) -> Option<MemberStatus> {
        self.snapshot
            .members
            .iter()
            .find(|member| self.text(member.id) == id)
            .map(|member| member.status)
    }
}

impl Subject {
    fn can(&self) -> &'static Capabilities {
        capabilities(self.kind)
    }

    /// The provider's own name of a canonical field.
    fn wire(&self, object: ObjectKind, canonical: &str) -> String {
        schema(self.kind)
            .by_canonical(object, canonical)
            .unwrap_or_else(|| panic!("{} has no {canonical}", self.kind))
            .wire
            .to_owned()
    }

    fn record(&self, object: ObjectKind, fields: &[(&str, &str)]) -> Record {
        fields
            .iter()
            .map(|(canonical, text)| (self.wire(object, canonical).into(), Value::from(*text)))
            .collect()
    }

    /// Reads the groups and their members.
    async fn read(&self, role: Role<'_>) -> Result<Seen, ReadError> {
        let (groups, certificate) = self.adapter.groups(&|_, _| true).await?;
        self.read_of(groups, &certificate, role).await
    }

    async fn read_of(
        &self,
        rows: Vec<GroupRow>,
        certificate: &Certificate,
        role: Role<'_>,
    ) -> Result<Seen, ReadError> {
        let mut names = Names::new();
        let mut stage = Nowhere;
        let mut builder = SnapshotBuilder::new(ACCOUNT, "", &mut names, &mut stage);
        let fields = [self.wire(ObjectKind::Member, "first_name")];
        let ask = MemberAsk {
            groups: &rows,
            fields: &fields,
            role,
        };
        self.adapter
            .members(&ask, &mut builder as &mut dyn MemberSink)
            .await?;
        let groups = rows
            .iter()
            .map(|row| rosterd::model::Group::from_row(row.clone(), schema(self.kind)))
            .collect();
        let snapshot = builder.finish(
            groups,
            certificate,
            &mut TotalMeanings::all(),
            &OwnRemovals::default(),
        );
        Ok(Seen { names, snapshot })
    }

    fn is_users(&self) -> bool {
        self.kind == ProviderKind::ActiveCampaignUsers
    }

    /// Who is in a group of the emulated account, and who of them refuses it.
    fn truth(&self, group: &str) -> BTreeMap<String, bool> {
        let group = group.parse().unwrap();
        self.emulator.with_world(|world| {
            let account = world.account(ACCOUNT);
            if self.is_users() {
                return account
                    .users_in(group)
                    .into_iter()
                    .map(|user| (user.to_string(), false))
                    .collect();
            }
            let members = account.members_of(group);
            members
                .into_iter()
                .map(|(id, state)| (id.to_string(), state == emulator::MembershipState::OptedOut))
                .collect()
        })
    }

    /// What the emulated account holds of a person, as text.
    fn profile(&self, id: &str) -> String {
        let id = id.parse().unwrap();
        self.emulator.with_world(|world| {
            let account = world.account(ACCOUNT);
            if self.is_users() {
                format!("{:?}", account.user(id).unwrap())
            } else {
                format!("{:?}", account.contact(id).unwrap())
            }
        })
    }

    /// The requests that bring people into a group, whoever of them exists already.
    fn joining(&self, group: &str, people: &[(Option<&str>, &str)]) -> Vec<Write> {
        let fields = |name: &str| {
            self.record(
                ObjectKind::Member,
                &[("first_name", name), ("last_name", "Example")],
            )
        };
        let address = |name: &str| format!("{name}@example.org");
        if self.can().join == Join::PerRow {
            let row = |(id, name): &(Option<&str>, &str)| MemberJoin {
                id: id.map(str::to_owned),
                address: address(name),
                fields: fields(name),
                groups: vec![group.to_owned()],
            };
            return vec![Write::JoinGroups {
                rows: people.iter().map(row).collect(),
            }];
        }
        let (known, new): (Vec<_>, Vec<_>) = people.iter().partition(|(id, _)| id.is_some());
        let mut writes = Vec::new();
        for rows in new.chunks(self.can().batches.create_members) {
            let rows = rows
                .iter()
                .map(|(_, name)| MemberValues {
                    address: address(name),
                    fields: fields(name),
                })
                .collect();
            let join = if self.can().join == Join::WithCreation {
                vec![group.to_owned()]
            } else {
                Vec::new()
            };
            writes.push(Write::CreateMembers { rows, join });
        }
        let known: Vec<String> = known
            .iter()
            .filter_map(|(id, _)| id.map(str::to_owned))
            .collect();
        for members in known.chunks(self.can().batches.add_memberships) {
            writes.push(Write::AddMemberships {
                group: group.to_owned(),
                members: members.to_vec(),
            });
        }
        writes
    }

    /// Sends a write as a run does: a refused batch is split until the poisoned item is alone.
    async fn send(&self, write: Write) -> Vec<ItemOutcome> {
        let mut waiting = vec![write];
        let mut outcomes = Vec::new();
        while let Some(write) = waiting.pop() {
            match self.adapter.send(&write).await {
                Ok(Settlement::Items(items)) => {
                    assert_eq!(
                        items.len(),
                        write.items(),
                        "{}: one outcome per item",
                        self.kind
                    );
                    outcomes.extend(items);
                }
                Ok(Settlement::Pending(ticket)) => outcomes.extend(self.wait_for(ticket).await),
                Err(CallError::Refused { refusal, .. }) => {
                    if let (first, Some(second)) = write.halve() {
                        waiting.extend([second, first]);
                    } else {
                        let message = refusal.message.clone();
                        outcomes.push(ItemOutcome::Refused(rosterd::model::Refusal {
                            code: None,
                            message,
                            request_id: None,
                        }));
                    }
                }
                Err(other) => panic!("{}: {other}", self.kind),
            }
        }
        outcomes
    }

    async fn wait_for(&self, ticket: Ticket) -> Vec<ItemOutcome> {
        let mut ticket = ticket;
        loop {
            tokio::time::sleep(Duration::from_secs(2)).await;
            match self.adapter.poll(&ticket).await {
                Ok(Settlement::Items(items)) => return items,
                Ok(Settlement::Pending(next)) => ticket = next,
                Err(error) => panic!("{}: {error}", self.kind),
            }
        }
    }

    /// Sends a write of which every item must be taken.
    async fn done(&self, write: Write) -> Vec<Option<String>> {
        let what = format!("{}: {write:?}", self.kind);
        let ids = self
            .send(write)
            .await
            .into_iter()
            .map(|outcome| match outcome {
                ItemOutcome::Done { id } | ItemOutcome::Accepted { id } => id,
                other => panic!("{what}: {other:?}"),
            });
        ids.collect()
    }

    fn person(&self, address: &str) -> Option<String> {
        let id = self.emulator.with_world(|world| {
            let account = world.account(ACCOUNT);
            if self.is_users() {
                account.user_by_email(address)
            } else {
                account.contact_by_email(address)
            }
        });
        id.map(|id| id.to_string())
    }

    fn assert_no_misuse(&self) {
        let misuse = self.emulator.misuse();
        assert!(misuse.is_empty(), "{}: {misuse:#?}", self.kind);
    }
}

#[tokio::test(start_paused = true)]
async fn groups_are_listed_completely() {
    for subject in subjects() {
        subject.adapter.open().await.unwrap();
        let (rows, certificate) = subject.adapter.groups(&|_, _| true).await.unwrap();
        assert!(
            matches!(
                certificate.certify((), &mut TotalMeanings::all()),
                Reading::Complete(_)
            ),
            "{}",
            subject.kind
        );
        let expected: BTreeSet<(String, String)> = subject.emulator.with_world(|world| {
            let account = world.account(ACCOUNT);
            if subject.is_users() {
                // The first two come with every account and are shown to nobody.
                let shown = account.user_groups.values().filter(|group| group.id > 2);
                return shown
                    .map(|group| (group.id.to_string(), group.title.clone()))
                    .collect();
            }
            account
                .groups
                .values()
                .map(|group| (group.id.to_string(), group.name.clone()))
                .collect()
        });
        let name = subject.wire(ObjectKind::Group, "name");
        let found: BTreeSet<(String, String)> = rows
            .iter()
            .map(|row| (row.id.clone(), row.wire[name.as_str()].to_string()))
            .collect();
        assert_eq!(found, expected, "{}", subject.kind);
        subject.assert_no_misuse();
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_is_found_by_id_and_an_unknown_one_is_nothing() {
    for subject in subjects() {
        let row = subject
            .adapter
            .group(&subject.fans)
            .await
            .unwrap()
            .expect("it exists");
        assert_eq!(
            row.wire[subject.wire(ObjectKind::Group, "name").as_str()],
            Value::from("Fans & Friends"),
            "{}",
            subject.kind
        );
        assert_eq!(
            subject.adapter.group("987654").await.unwrap(),
            None,
            "{}",
            subject.kind
        );
    }
}

#[tokio::test(start_paused = true)]
async fn members_come_with_their_states_and_an_empty_group_is_certainly_empty() {
    for subject in subjects() {
        for role in [Role::Source, Role::Target { wanted: &[] }, Role::Check] {
            let whole = !matches!(role, Role::Check);
            let seen = subject.read(role).await.unwrap();
            for group in [&subject.donors, &subject.fans, &subject.empty] {
                let listing = seen
                    .snapshot
                    .listing(group)
                    .expect("every group of the ask has a listing");
                assert!(
                    listing.complete().is_some(),
                    "{}: {:?}",
                    subject.kind,
                    listing.why_incomplete()
                );
                let found: BTreeMap<String, bool> = seen
                    .rows(group)
                    .into_iter()
                    .map(|(id, state)| (id, state == MembershipState::OptedOut))
                    .collect();
                assert_eq!(found, subject.truth(group), "{}", subject.kind);
            }
            assert!(seen.rows(&subject.empty).is_empty());
            if subject.kind == ProviderKind::ActiveCampaignLists {
                // A list says itself whose address is given up.
                assert_eq!(
                    seen.rows(&subject.donors)[&subject.people["dee"]],
                    MembershipState::Bounced
                );
            }
            if whole {
                assert!(
                    seen.snapshot.account_state.complete().is_some(),
                    "{}",
                    subject.kind
                );
                assert_eq!(
                    seen.status(&subject.people["ana"]),
                    Some(MemberStatus::Active),
                    "{}",
                    subject.kind
                );
                if subject.can().account_opt_out {
                    assert_eq!(
                        seen.status(&subject.people["cy"]),
                        Some(MemberStatus::OptedOut),
                        "{}",
                        subject.kind
                    );
                    let dee = seen.status(&subject.people["dee"]);
                    assert!(
                        matches!(dee, Some(MemberStatus::Bounced | MemberStatus::Held)),
                        "{}: {dee:?}",
                        subject.kind
                    );
                }
            }
        }
        subject.assert_no_misuse();
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_says_who_exists_outside_the_groups_as_well() {
    for subject in subjects() {
        let wanted = [
            "eve@example.org".to_owned(),
            "nobody@example.org".to_owned(),
        ];
        let seen = subject
            .read(Role::Target { wanted: &wanted })
            .await
            .unwrap();
        assert_eq!(
            seen.status(&subject.people["eve"]),
            Some(MemberStatus::Active),
            "{}",
            subject.kind
        );
        let absent = match &seen.snapshot.existence {
            Existence::Whole => true,
            Existence::Asked(asked) => asked
                .iter()
                .any(|name| seen.text(*name) == "nobody@example.org"),
            Existence::Unknown => false,
        };
        assert!(absent, "{}", subject.kind);
    }
}

#[tokio::test(start_paused = true)]
async fn groups_are_created_renamed_and_deleted() {
    for subject in subjects() {
        let mut fields = subject.record(ObjectKind::Group, &[("name", "New & shiny")]);
        for field in schema(subject.kind)
            .groups
            .iter()
            .filter(|field| field.default_key.is_some())
        {
            let value = match field.values.first() {
                Some((word, _)) => (*word).to_owned(),
                None if field.canonical == "sender_email" => "news@example.org".to_owned(),
                None if field.canonical == "time_zone" => "America/Chicago".to_owned(),
                None => "Example Society".to_owned(),
            };
            fields.insert(field.wire.into(), Value::from(value));
        }
        let create = Write::CreateGroup {
            name: "New & shiny".to_owned(),
            fields,
        };
        let id = subject
            .done(create.clone())
            .await
            .remove(0)
            .expect("a new group has an id");
        if schema(subject.kind)
            .by_canonical(ObjectKind::Group, "name")
            .is_some_and(|field| field.unique)
        {
            assert!(
                matches!(
                    subject.send(create).await.as_slice(),
                    [ItemOutcome::Refused(_)]
                ),
                "{}: names are unique",
                subject.kind
            );
        }
        let current = subject
            .adapter
            .group(&id)
            .await
            .unwrap()
            .expect("it was created")
            .wire;
        let fields = subject.record(ObjectKind::Group, &[("name", "Old & dull")]);
        subject
            .done(Write::EditGroups {
                edits: vec![GroupEdit {
                    id: id.clone(),
                    fields,
                    current: current.clone(),
                }],
            })
            .await;
        let row = subject
            .adapter
            .group(&id)
            .await
            .unwrap()
            .expect("it is still there");
        let name = subject.wire(ObjectKind::Group, "name");
        assert_eq!(
            row.wire[name.as_str()],
            Value::from("Old & dull"),
            "{}",
            subject.kind
        );
        let same = |record: &Record| {
            record
                .iter()
                .filter(|(field, _)| **field != name)
                .map(|(_, value)| value.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            same(&row.wire).len(),
            same(&current).len(),
            "{}: a rename resets nothing",
            subject.kind
        );
        subject.done(Write::DeleteGroup { id: id.clone() }).await;
        tokio::time::sleep(A_WHILE).await;
        assert_eq!(
            subject.adapter.group(&id).await.unwrap(),
            None,
            "{}",
            subject.kind
        );
        subject.assert_no_misuse();
    }
}

#[tokio::test(start_paused = true)]
async fn people_are_created_changed_joined_and_taken_out() {
    for subject in subjects() {
        for write in subject.joining(&subject.empty, &[(None, "fay"), (None, "gus")]) {
            subject.done(write).await;
        }
        let (fay, gus) = (
            subject.person("fay@example.org").unwrap(),
            subject.person("gus@example.org").unwrap(),
        );
        if subject.truth(&subject.empty).is_empty() {
            for write in
                subject.joining(&subject.empty, &[(Some(&fay), "fay"), (Some(&gus), "gus")])
            {
                subject.done(write).await;
            }
        }
        let both = BTreeMap::from([(fay.clone(), false), (gus.clone(), false)]);
        assert_eq!(subject.truth(&subject.empty), both, "{}", subject.kind);

        let fields = subject.record(ObjectKind::Member, &[("last_name", "Öström")]);
        let edit = MemberEdit {
            id: fay.clone(),
            address: "fay@example.org".to_owned(),
            fields,
        };
        subject
            .done(Write::UpdateMembers { edits: vec![edit] })
            .await;
        let values = subject.profile(&fay);
        assert!(
            values.contains("Öström") && values.contains("\"fay\""),
            "{}: {values}",
            subject.kind
        );
        subject
            .done(Write::ChangeAddress {
                id: gus.clone(),
                address: "gus@example.test".to_owned(),
            })
            .await;
        assert_eq!(
            subject.person("gus@example.test").as_ref(),
            Some(&gus),
            "{}",
            subject.kind
        );

        subject
            .done(Write::RemoveMemberships {
                group: subject.empty.clone(),
                members: vec![fay.clone()],
            })
            .await;
        let left = if subject.can().removal_shows_opt_out {
            Some(true)
        } else {
            None
        };
        let now = subject.truth(&subject.empty);
        assert_eq!(
            (now.get(&fay).copied(), now.get(&gus).copied()),
            (left, Some(false)),
            "{}",
            subject.kind
        );
        assert!(
            subject.person("fay@example.org").is_some(),
            "{}: rule 6",
            subject.kind
        );
        for write in subject.joining(&subject.fans, &[(Some(&subject.people["eve"]), "eve")]) {
            subject.done(write).await;
        }
        assert_eq!(
            subject.truth(&subject.fans).get(&subject.people["eve"]),
            Some(&false),
            "{}",
            subject.kind
        );
        subject.assert_no_misuse();
    }
}

#[tokio::test(start_paused = true)]
async fn opt_outs_are_written_as_far_as_the_provider_can_hold_them() {
    for subject in subjects() {
        let ana = subject.people["ana"].clone();
        let of_group = Write::OptOutOfGroups {
            member: ana.clone(),
            groups: vec![subject.fans.clone()],
        };
        if subject.can().group_opt_out {
            subject.done(of_group).await;
            assert!(subject.truth(&subject.fans)[&ana], "{}", subject.kind);
            assert!(
                !subject.truth(&subject.donors)[&ana],
                "{}: it never grows",
                subject.kind
            );
        } else {
            assert_unsendable(&subject, of_group).await;
        }
        let opted_out = |id: &str| {
            if subject.is_users() {
                return false;
            }
            let id = id.parse().unwrap();
            subject.emulator.with_world(|world| {
                world
                    .account(ACCOUNT)
                    .contact(id)
                    .is_some_and(|contact| contact.opted_out.is_some())
            })
        };
        let refusing = [ana.clone(), subject.people["eve"].clone()];
        let mut of_account =
            refusing
                .chunks(subject.can().batches.account_opt_outs)
                .map(|members| Write::OptOutOfAccount {
                    members: members.to_vec(),
                });
        if subject.can().account_opt_out {
            assert!(
                !opted_out(&ana),
                "{}: a group's opt-out never grows",
                subject.kind
            );
            for write in of_account {
                subject.done(write).await;
            }
            assert!(
                opted_out(&ana) && opted_out(&subject.people["eve"]),
                "{}",
                subject.kind
            );
        } else {
            assert_unsendable(&subject, of_account.next().expect("there are people")).await;
        }
        let born = Write::CreateOptedOut {
            address: "never@example.org".to_owned(),
        };
        if subject.can().create_opted_out {
            subject.done(born).await;
            assert!(
                opted_out(&subject.person("never@example.org").expect("it was created")),
                "{}",
                subject.kind
            );
        } else {
            assert_unsendable(&subject, born).await;
            assert_eq!(
                subject.person("never@example.org"),
                None,
                "{}",
                subject.kind
            );
        }
        subject.assert_no_misuse();
    }
}

async fn assert_unsendable(subject: &Subject, write: Write) {
    let before = subject
        .emulator
        .requests()
        .iter()
        .filter(|request| request.is_write)
        .count();
    let answer = subject.adapter.send(&write).await;
    let refused_here = match &answer {
        Err(CallError::Unsendable { .. }) => true,
        Ok(Settlement::Items(items)) => items
            .iter()
            .all(|item| matches!(item, ItemOutcome::Refused(_))),
        _ => false,
    };
    assert!(refused_here, "{}: {answer:?}", subject.kind);
    let after = subject
        .emulator
        .requests()
        .iter()
        .filter(|request| request.is_write)
        .count();
    assert_eq!(
        before, after,
        "{}: nothing is sent that can't work",
        subject.kind
    );
}

#[tokio::test(start_paused = true)]
async fn one_bad_item_does_not_take_the_others_with_it() {
    for subject in subjects() {
        let edit = |id: &str, address: &str| MemberEdit {
            id: id.to_owned(),
            address: address.to_owned(),
            fields: subject.record(ObjectKind::Member, &[("first_name", "Changed")]),
        };
        let (ana, bo) = (
            subject.people["ana"].as_str(),
            subject.people["bo"].as_str(),
        );
        // What nobody could send is not sent at all by some; this can be sent, and is refused.
        let bad = if emulated(subject.kind) == Kind::ActiveCampaign {
            edit("987654", "no address")
        } else {
            edit("", "")
        };
        let edits = [
            edit(ana, "ana@example.org"),
            bad,
            edit(bo, "bo@example.org"),
        ];
        let mut outcomes = Vec::new();
        for edits in edits.chunks(subject.can().batches.update_members) {
            outcomes.extend(
                subject
                    .send(Write::UpdateMembers {
                        edits: edits.to_vec(),
                    })
                    .await,
            );
        }
        let refused: Vec<bool> = outcomes
            .iter()
            .map(|outcome| matches!(outcome, ItemOutcome::Refused(_)))
            .collect();
        assert_eq!(
            refused,
            [false, true, false],
            "{}: {outcomes:?}",
            subject.kind
        );
        for id in [ana, bo] {
            let values = subject.profile(id);
            assert!(values.contains("Changed"), "{}: {values}", subject.kind);
        }
    }
}

/// Breaks every answer of one operation in one way, for each operation and each way: whatever is
/// then read as whole must be so.
#[tokio::test(start_paused = true)]
async fn no_broken_answer_reads_as_a_smaller_account() {
    let faults = [
        Fault::TruncatedBody,
        Fault::EmptyBody,
        Fault::HtmlWith200,
        Fault::MissingList,
        Fault::WrongCount(1),
        Fault::WrongCount(-1),
        Fault::ServerError(503),
        Fault::ResetAfterEffect,
    ];
    let plain = ActiveCampaignQuirks::default();
    let localised = ActiveCampaignQuirks {
        portuguese: true,
        ..plain.clone()
    };
    let apart = ActiveCampaignQuirks {
        no_include: true,
        ..plain.clone()
    };
    let kinds = ProviderKind::ALL.into_iter().map(|kind| (kind, &plain));
    for (kind, quirks) in kinds.chain([
        (ProviderKind::ActiveCampaignLists, &localised),
        (ProviderKind::ActiveCampaignLists, &apart),
    ]) {
        let subject = |kind| subject_with(kind, quirks);
        let operations: BTreeSet<String> = {
            let subject = subject(kind);
            subject.adapter.open().await.unwrap();
            subject.read(Role::Target { wanted: &[] }).await.unwrap();
            subject.adapter.group(&subject.fans).await.unwrap();
            subject
                .emulator
                .requests()
                .into_iter()
                .map(|request| request.operation)
                .collect()
        };
        assert!(operations.len() > 2, "{kind}: {operations:?}");
        for operation in &operations {
            for fault in &faults {
                let subject = subject(kind);
                // The list of groups is read whole first, so that the members are asked for at all.
                let (rows, certificate) = subject.adapter.groups(&|_, _| true).await.unwrap();
                subject
                    .emulator
                    .add_fault(FaultRule::every(fault.clone()).on(operation));
                let place = format!("{kind}, {operation}, {fault:?}");
                if let Ok((found, evidence)) = subject.adapter.groups(&|_, _| true).await
                    && evidence
                        .certify((), &mut TotalMeanings::all())
                        .complete()
                        .is_some()
                {
                    assert_eq!(found.len(), rows.len(), "{place}: groups");
                }
                assert!(
                    !matches!(subject.adapter.group(&subject.fans).await, Ok(None)),
                    "{place}: an existing group is nothing"
                );
                let Ok(seen) = subject
                    .read_of(rows, &certificate, Role::Target { wanted: &[] })
                    .await
                else {
                    continue;
                };
                for (group, listing) in seen
                    .snapshot
                    .listings
                    .iter()
                    .filter(|(_, listing)| listing.complete().is_some())
                {
                    let opted_out: BTreeMap<String, bool> = seen
                        .rows(group)
                        .into_iter()
                        .map(|(id, state)| (id, state == MembershipState::OptedOut))
                        .collect();
                    assert_eq!(
                        opted_out,
                        subject.truth(group),
                        "{place}: group {group}, {} rows",
                        listing.seen().rows.len()
                    );
                }
                if seen.snapshot.account_state.complete().is_some() && subject.can().account_opt_out
                {
                    assert_eq!(
                        seen.status(&subject.people["cy"]),
                        Some(MemberStatus::OptedOut),
                        "{place}: an opt-out is lost"
                    );
                }
                if seen.snapshot.existence == Existence::Whole {
                    assert!(
                        seen.status(&subject.people["eve"]).is_some(),
                        "{place}: somebody does not exist"
                    );
                }
            }
        }
    }
}
