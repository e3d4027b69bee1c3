//! What every provider kind must do alike: the same cases for each, against its emulated account.

use std::collections::{BTreeMap, BTreeSet};

use rosterd::emulator::{self, Emulator, Fault, FaultRule, Kind, World};
use rosterd::http::{Account, AccountOptions, CallError, Transport};
use rosterd::model::{
    Capabilities, Certificate, Existence, GroupEdit, GroupRow, ItemOutcome, Join, MemberEdit, MemberSink, MemberStatus, MemberValues,
    MembershipState, Name, Names, ObjectKind, OwnRemovals, ProviderKind, Reading, Record, Settlement, Snapshot, SnapshotBuilder, Stage,
    TotalMeanings, Value, Write,
};
use rosterd::provider::emfluence::{Emfluence, EmfluenceOptions};
use rosterd::provider::greenrope::{GreenRope, GreenRopeCredential, GreenRopeOptions};
use rosterd::provider::{MemberAsk, ReadError, Role, Target, capabilities, schema};
use url::Url;

const ACCOUNT: &str = "here";

/// The kinds whose members refuse mail and leave groups in the same ways.
const KINDS: [ProviderKind; 2] = [ProviderKind::Emfluence, ProviderKind::GreenRope];

/// One kind of provider with a small account: three groups, one of them empty, and people in every state.
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
    KINDS.into_iter().map(subject).collect()
}

fn subject(kind: ProviderKind) -> Subject {
    let emulated = match kind {
        ProviderKind::Emfluence => Kind::Emfluence,
        ProviderKind::GreenRope => Kind::GreenRope,
        ProviderKind::ActiveCampaignLists | ProviderKind::ActiveCampaignUsers => {
            panic!("{} are held against their own suite", kind.full_title())
        }
    };
    let mut world = World::empty();
    let account = world.add_account(emulator::Account::new(emulated, ACCOUNT, 7));
    let [donors, fans, empty] = ["Donors", "Fans & Friends", "Nobody yet"].map(|name| account.add_group(name));
    let mut people = BTreeMap::new();
    for name in ["ana", "bo", "cy", "dee", "eve"] {
        people.insert(name, account.add_person(&format!("{name}@example.org"), name, "Example"));
    }
    account.join_all(donors, people.values().copied().filter(|id| *id != people["eve"]));
    account.join(fans, people["ana"]);
    account.opt_out_of_group(donors, people["bo"]);
    account.opt_out_of_account(people["cy"]);
    account.bounce(people["dee"]);
    let world = world.without_pace();
    let emulator = Emulator::new(world);
    Subject {
        adapter: adapter(&emulator, kind),
        kind,
        emulator,
        donors: donors.to_string(),
        fans: fans.to_string(),
        empty: empty.to_string(),
        people: people.into_iter().map(|(name, id)| (name, id.to_string())).collect(),
    }
}

fn adapter(emulator: &Emulator, kind: ProviderKind) -> Box<dyn Target> {
    let login = emulator.with_world(|world| world.account(ACCOUNT).credentials());
    let base = Url::parse("https://emulator.test").unwrap().join(&login.base_path).unwrap();
    let options = AccountOptions { max_retries: 1, ..AccountOptions::new(ACCOUNT, base, Transport::Local(emulator.router())) };
    let account = Account::new(options);
    match kind {
        ProviderKind::ActiveCampaignLists | ProviderKind::ActiveCampaignUsers => {
            panic!("{} are held against their own suite", kind.full_title())
        }
        ProviderKind::Emfluence => {
            let options = EmfluenceOptions { access_token: login.token.into(), fingerprint: None, batch_cap: None };
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
        let listing = self.snapshot.listing(group).unwrap_or_else(|| panic!("group {group} has a listing"));
        listing.seen().rows.iter().map(|row| (self.text(self.snapshot.members[row.member as usize].id).to_owned(), row.state)).collect()
    }

    fn status(&self, id: &str) -> Option<MemberStatus> {
        self.snapshot.members.iter().find(|member| self.text(member.id) == id).map(|member| member.status)
    }
}

impl Subject {
    fn can(&self) -> &'static Capabilities {
        capabilities(self.kind)
    }

    /// The provider's own name of a canonical field.
    fn wire(&self, object: ObjectKind, canonical: &str) -> String {
        schema(self.kind).by_canonical(object, canonical).unwrap_or_else(|| panic!("{} has no {canonical}", self.kind)).wire.to_owned()
    }

    fn record(&self, object: ObjectKind, fields: &[(&str, &str)]) -> Record {
        fields.iter().map(|(canonical, text)| (self.wire(object, canonical), Value::from(*text))).collect()
    }

    /// Reads the groups and their members.
    async fn read(&self, role: Role<'_>) -> Result<Seen, ReadError> {
        let (groups, certificate) = self.adapter.groups(&|_, _| true).await?;
        self.read_of(groups, &certificate, role).await
    }

    async fn read_of(&self, rows: Vec<GroupRow>, certificate: &Certificate, role: Role<'_>) -> Result<Seen, ReadError> {
        let mut names = Names::new();
        let mut stage = Nowhere;
        let mut builder = SnapshotBuilder::new(ACCOUNT, "", &mut names, &mut stage);
        let fields = [self.wire(ObjectKind::Member, "first_name")];
        let ask = MemberAsk { groups: &rows, fields: &fields, role };
        self.adapter.members(&ask, &mut builder as &mut dyn MemberSink).await?;
        let groups = rows.iter().map(|row| rosterd::model::Group::from_row(row.clone(), schema(self.kind))).collect();
        let snapshot = builder.finish(groups, certificate, &mut TotalMeanings::all(), &OwnRemovals::default());
        Ok(Seen { names, snapshot })
    }

    /// Who is in a group of the emulated account, and who of them refuses it.
    fn truth(&self, group: &str) -> BTreeMap<String, bool> {
        let group = group.parse().unwrap();
        self.emulator.with_world(|world| {
            let members = world.account(ACCOUNT).members_of(group);
            members.into_iter().map(|(id, state)| (id.to_string(), state == emulator::MembershipState::OptedOut)).collect()
        })
    }

    /// Sends a write as a run does: a refused batch is split until the poisoned item is alone.
    async fn send(&self, write: Write) -> Vec<ItemOutcome> {
        let mut waiting = vec![write];
        let mut outcomes = Vec::new();
        while let Some(write) = waiting.pop() {
            match self.adapter.send(&write).await {
                Ok(Settlement::Items(items)) => {
                    assert_eq!(items.len(), write.items(), "{}: one outcome per item", self.kind);
                    outcomes.extend(items);
                }
                Ok(Settlement::Pending(_)) => panic!("{}: nothing here takes time", self.kind),
                Err(CallError::Refused { refusal, .. }) => {
                    if let (first, Some(second)) = write.halve() {
                        waiting.extend([second, first]);
                    } else {
                        let message = refusal.message.clone();
                        outcomes.push(ItemOutcome::Refused(rosterd::model::Refusal { code: None, message, request_id: None }));
                    }
                }
                Err(other) => panic!("{}: {other}", self.kind),
            }
        }
        outcomes
    }

    /// Sends a write of which every item must be taken.
    async fn done(&self, write: Write) -> Vec<Option<String>> {
        let what = format!("{}: {write:?}", self.kind);
        let ids = self.send(write).await.into_iter().map(|outcome| match outcome {
            ItemOutcome::Done { id } | ItemOutcome::Accepted { id } => id,
            other => panic!("{what}: {other:?}"),
        });
        ids.collect()
    }

    fn contact(&self, address: &str) -> Option<String> {
        self.emulator.with_world(|world| world.account(ACCOUNT).contact_by_email(address)).map(|id| id.to_string())
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
        assert!(matches!(certificate.certify((), &mut TotalMeanings::all()), Reading::Complete(_)), "{}", subject.kind);
        let expected: BTreeSet<(String, String)> = subject
            .emulator
            .with_world(|world| world.account(ACCOUNT).groups.values().map(|group| (group.id.to_string(), group.name.clone())).collect());
        let name = subject.wire(ObjectKind::Group, "name");
        let found: BTreeSet<(String, String)> = rows.iter().map(|row| (row.id.clone(), row.wire[&name].to_string())).collect();
        assert_eq!(found, expected, "{}", subject.kind);
        subject.assert_no_misuse();
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_is_found_by_id_and_an_unknown_one_is_nothing() {
    for subject in subjects() {
        let row = subject.adapter.group(&subject.fans).await.unwrap().expect("it exists");
        assert_eq!(row.wire[&subject.wire(ObjectKind::Group, "name")], Value::from("Fans & Friends"), "{}", subject.kind);
        assert_eq!(subject.adapter.group("987654").await.unwrap(), None, "{}", subject.kind);
    }
}

#[tokio::test(start_paused = true)]
async fn members_come_with_their_states_and_an_empty_group_is_certainly_empty() {
    for subject in subjects() {
        for role in [Role::Source, Role::Target { wanted: &[] }, Role::Check] {
            let whole = !matches!(role, Role::Check);
            let seen = subject.read(role).await.unwrap();
            for group in [&subject.donors, &subject.fans, &subject.empty] {
                let listing = seen.snapshot.listing(group).expect("every group of the ask has a listing");
                assert!(listing.complete().is_some(), "{}: {:?}", subject.kind, listing.why_incomplete());
                let found: BTreeMap<String, bool> =
                    seen.rows(group).into_iter().map(|(id, state)| (id, state == MembershipState::OptedOut)).collect();
                assert_eq!(found, subject.truth(group), "{}", subject.kind);
            }
            assert!(seen.rows(&subject.empty).is_empty());
            if whole {
                assert!(seen.snapshot.account_state.complete().is_some(), "{}", subject.kind);
                assert_eq!(seen.status(&subject.people["ana"]), Some(MemberStatus::Active), "{}", subject.kind);
                assert_eq!(seen.status(&subject.people["cy"]), Some(MemberStatus::OptedOut), "{}", subject.kind);
                let dee = seen.status(&subject.people["dee"]);
                assert!(matches!(dee, Some(MemberStatus::Bounced | MemberStatus::Held)), "{}: {dee:?}", subject.kind);
            }
        }
        subject.assert_no_misuse();
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_says_who_exists_outside_the_groups_as_well() {
    for subject in subjects() {
        let wanted = ["eve@example.org".to_owned(), "nobody@example.org".to_owned()];
        let seen = subject.read(Role::Target { wanted: &wanted }).await.unwrap();
        assert_eq!(seen.status(&subject.people["eve"]), Some(MemberStatus::Active), "{}", subject.kind);
        let absent = match &seen.snapshot.existence {
            Existence::Whole => true,
            Existence::Asked(asked) => asked.iter().any(|name| seen.text(*name) == "nobody@example.org"),
            Existence::Unknown => false,
        };
        assert!(absent, "{}", subject.kind);
    }
}

#[tokio::test(start_paused = true)]
async fn groups_are_created_renamed_and_deleted() {
    for subject in subjects() {
        let mut fields = subject.record(ObjectKind::Group, &[("name", "New & shiny")]);
        for field in schema(subject.kind).groups.iter().filter(|field| field.default_key.is_some()) {
            let value = match field.values.first() {
                Some((word, _)) => (*word).to_owned(),
                None if field.canonical == "sender_email" => "news@example.org".to_owned(),
                None if field.canonical == "time_zone" => "America/Chicago".to_owned(),
                None => "Example Society".to_owned(),
            };
            fields.insert(field.wire.to_owned(), Value::Text(value));
        }
        let create = Write::CreateGroup { name: "New & shiny".to_owned(), fields };
        let id = subject.done(create.clone()).await.remove(0).expect("a new group has an id");
        assert!(matches!(subject.send(create).await.as_slice(), [ItemOutcome::Refused(_)]), "{}: names are unique", subject.kind);
        let current = subject.adapter.group(&id).await.unwrap().expect("it was created").wire;
        let fields = subject.record(ObjectKind::Group, &[("name", "Old & dull")]);
        subject.done(Write::EditGroups { edits: vec![GroupEdit { id: id.clone(), fields, current: current.clone() }] }).await;
        let row = subject.adapter.group(&id).await.unwrap().expect("it is still there");
        let name = subject.wire(ObjectKind::Group, "name");
        assert_eq!(row.wire[&name], Value::from("Old & dull"), "{}", subject.kind);
        let same = |record: &Record| record.iter().filter(|(field, _)| **field != name).map(|(_, value)| value.clone()).collect::<Vec<_>>();
        assert_eq!(same(&row.wire).len(), same(&current).len(), "{}: a rename resets nothing", subject.kind);
        subject.done(Write::DeleteGroup { id: id.clone() }).await;
        assert_eq!(subject.adapter.group(&id).await.unwrap(), None, "{}", subject.kind);
        subject.assert_no_misuse();
    }
}

#[tokio::test(start_paused = true)]
async fn people_are_created_changed_joined_and_taken_out() {
    for subject in subjects() {
        let person = |name: &str| MemberValues {
            address: format!("{name}@example.org"),
            fields: subject.record(ObjectKind::Member, &[("first_name", name)]),
        };
        let joins = subject.can().join == Join::WithCreation;
        let join = if joins { vec![subject.empty.clone(), subject.fans.clone()] } else { Vec::new() };
        subject.done(Write::CreateMembers { rows: vec![person("fay"), person("gus")], join }).await;
        let (fay, gus) = (subject.contact("fay@example.org").unwrap(), subject.contact("gus@example.org").unwrap());
        let both = vec![fay.clone(), gus.clone()];
        if !joins {
            subject.done(Write::AddMemberships { group: subject.empty.clone(), members: both.clone() }).await;
        }
        assert_eq!(subject.truth(&subject.empty).into_keys().collect::<BTreeSet<_>>(), both.iter().cloned().collect(), "{}", subject.kind);

        let fields = subject.record(ObjectKind::Member, &[("last_name", "Öström")]);
        let edit = MemberEdit { id: fay.clone(), address: "fay@example.org".to_owned(), fields };
        subject.done(Write::UpdateMembers { edits: vec![edit] }).await;
        subject.emulator.with_world(|world| {
            let contact = world.account(ACCOUNT).contact(fay.parse().unwrap()).unwrap().clone();
            let values = format!("{contact:?}");
            assert!(values.contains("Öström") && values.contains("\"fay\""), "{}: {values}", subject.kind);
        });
        subject.done(Write::ChangeAddress { id: gus.clone(), address: "gus@example.test".to_owned() }).await;
        assert_eq!(subject.contact("gus@example.test").as_ref(), Some(&gus), "{}", subject.kind);

        subject.done(Write::RemoveMemberships { group: subject.empty.clone(), members: vec![fay] }).await;
        assert_eq!(subject.truth(&subject.empty).into_keys().collect::<Vec<_>>(), std::slice::from_ref(&gus), "{}", subject.kind);
        assert!(subject.contact("fay@example.org").is_some(), "{}: rule 6", subject.kind);
        subject.done(Write::AddMemberships { group: subject.fans.clone(), members: vec![subject.people["eve"].clone()] }).await;
        assert!(subject.truth(&subject.fans).contains_key(&subject.people["eve"]), "{}", subject.kind);
        subject.assert_no_misuse();
    }
}

#[tokio::test(start_paused = true)]
async fn opt_outs_are_written_as_far_as_the_provider_can_hold_them() {
    for subject in subjects() {
        let ana = subject.people["ana"].clone();
        let of_group = Write::OptOutOfGroups { member: ana.clone(), groups: vec![subject.fans.clone()] };
        if subject.can().group_opt_out {
            subject.done(of_group).await;
            assert!(subject.truth(&subject.fans)[&ana], "{}", subject.kind);
            assert!(!subject.truth(&subject.donors)[&ana], "{}: it never grows", subject.kind);
        } else {
            assert_unsendable(&subject, of_group).await;
        }
        let opted_out = |id: &str| {
            let id = id.parse().unwrap();
            subject.emulator.with_world(|world| world.account(ACCOUNT).contact(id).is_some_and(|contact| contact.opted_out.is_some()))
        };
        let refusing = [ana.clone(), subject.people["eve"].clone()];
        let mut of_account =
            refusing.chunks(subject.can().batches.account_opt_outs).map(|members| Write::OptOutOfAccount { members: members.to_vec() });
        if subject.can().account_opt_out {
            assert!(!opted_out(&ana), "{}: a group's opt-out never grows", subject.kind);
            for write in of_account {
                subject.done(write).await;
            }
            assert!(opted_out(&ana) && opted_out(&subject.people["eve"]), "{}", subject.kind);
        } else {
            assert_unsendable(&subject, of_account.next().expect("there are people")).await;
        }
        let born = Write::CreateOptedOut { address: "never@example.org".to_owned() };
        if subject.can().create_opted_out {
            subject.done(born).await;
            assert!(opted_out(&subject.contact("never@example.org").expect("it was created")), "{}", subject.kind);
        } else {
            assert_unsendable(&subject, born).await;
            assert_eq!(subject.contact("never@example.org"), None, "{}", subject.kind);
        }
        subject.assert_no_misuse();
    }
}

async fn assert_unsendable(subject: &Subject, write: Write) {
    let before = subject.emulator.requests().iter().filter(|request| request.is_write).count();
    let answer = subject.adapter.send(&write).await;
    let refused_here = match &answer {
        Err(CallError::Unsendable { .. }) => true,
        Ok(Settlement::Items(items)) => items.iter().all(|item| matches!(item, ItemOutcome::Refused(_))),
        _ => false,
    };
    assert!(refused_here, "{}: {answer:?}", subject.kind);
    let after = subject.emulator.requests().iter().filter(|request| request.is_write).count();
    assert_eq!(before, after, "{}: nothing is sent that can't work", subject.kind);
}

#[tokio::test(start_paused = true)]
async fn one_bad_item_does_not_take_the_others_with_it() {
    for subject in subjects() {
        let edit = |id: &str, address: &str| MemberEdit {
            id: id.to_owned(),
            address: address.to_owned(),
            fields: subject.record(ObjectKind::Member, &[("first_name", "Changed")]),
        };
        let (ana, bo) = (subject.people["ana"].as_str(), subject.people["bo"].as_str());
        let edits = vec![edit(ana, "ana@example.org"), edit("", ""), edit(bo, "bo@example.org")];
        let outcomes = subject.send(Write::UpdateMembers { edits }).await;
        let refused: Vec<bool> = outcomes.iter().map(|outcome| matches!(outcome, ItemOutcome::Refused(_))).collect();
        assert_eq!(refused, [false, true, false], "{}: {outcomes:?}", subject.kind);
        for id in [ana, bo] {
            let values = subject.emulator.with_world(|world| format!("{:?}", world.account(ACCOUNT).contact(id.parse().unwrap()).unwrap()));
            assert!(values.contains("Changed"), "{}: {values}", subject.kind);
        }
    }
}

/// Breaks every answer of one operation in one way, for each operation and each way: whatever is then read as whole must be so.
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
    for kind in KINDS {
        let operations: BTreeSet<String> = {
            let subject = subject(kind);
            subject.adapter.open().await.unwrap();
            subject.read(Role::Target { wanted: &[] }).await.unwrap();
            subject.adapter.group(&subject.fans).await.unwrap();
            subject.emulator.requests().into_iter().map(|request| request.operation).collect()
        };
        assert!(operations.len() > 2, "{kind}: {operations:?}");
        for operation in &operations {
            for fault in &faults {
                let subject = subject(kind);
                // The list of groups is read whole first, so that the members are asked for at all.
                let (rows, certificate) = subject.adapter.groups(&|_, _| true).await.unwrap();
                subject.emulator.add_fault(FaultRule::every(fault.clone()).on(operation));
                let place = format!("{kind}, {operation}, {fault:?}");
                if let Ok((found, evidence)) = subject.adapter.groups(&|_, _| true).await
                    && evidence.certify((), &mut TotalMeanings::all()).complete().is_some()
                {
                    assert_eq!(found.len(), rows.len(), "{place}: groups");
                }
                assert!(!matches!(subject.adapter.group(&subject.fans).await, Ok(None)), "{place}: an existing group is nothing");
                let Ok(seen) = subject.read_of(rows, &certificate, Role::Target { wanted: &[] }).await else { continue };
                for (group, listing) in seen.snapshot.listings.iter().filter(|(_, listing)| listing.complete().is_some()) {
                    let opted_out: BTreeMap<String, bool> =
                        seen.rows(group).into_iter().map(|(id, state)| (id, state == MembershipState::OptedOut)).collect();
                    assert_eq!(opted_out, subject.truth(group), "{place}: group {group}, {} rows", listing.seen().rows.len());
                }
                if seen.snapshot.account_state.complete().is_some() {
                    assert_eq!(seen.status(&subject.people["cy"]), Some(MemberStatus::OptedOut), "{place}: an opt-out is lost");
                }
                if seen.snapshot.existence == Existence::Whole {
                    assert!(seen.status(&subject.people["eve"]).is_some(), "{place}: somebody does not exist");
                }
            }
        }
    }
}
