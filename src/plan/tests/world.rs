//! A small model of two accounts and what rosterd remembers of them, in plain text keys.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::model::policy::{
    Adopt, Dynamic, GroupScope, Guards, Limit, MemberPolicy, Missing, Mode, OnDrift, OptOuts,
    Removal,
};
use crate::model::{
    Batches, Capabilities, Certificate, Existence, FieldSpec, FieldType, Forgotten, Group,
    GroupKind, GroupRow, GroupStatus, Join, MemberRow, MemberSink, MemberStatus, MembershipState,
    Name, Names, ObjectKind, OwnRemovals, ProviderKind, Record, Schema, Snapshot, SnapshotBuilder,
    Stage, TotalMeanings, Unlisted, Unread, Unreadable, Value, Writable,
};
use crate::plan::base::{
    Base, BaseMembership, FactId, FieldBases, FormerLink, GroupLink, Ledger, LedgerAudience,
    LedgerPerson, Measure, MemberLink, Origin, Refusal, Resting,
};
use crate::plan::fields::FieldEdit;
use crate::plan::{
    DesiredGroup, Inputs, People, PersonFacts, PersonIx, Plan, Policy, name_by_links, plan,
};
use crate::run::{Cost, Planned};

/// A provider that holds what planning looks at: unique names, an external id, a protected flag and
/// a free field.
pub(super) static RICH: Schema = Schema {
    kind: ProviderKind::Emfluence,
    groups: &[
        FieldSpec {
            wire: "title",
            canonical: "name",
            required: true,
            unique: true,
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "ext",
            canonical: "external_id",
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "locked",
            canonical: "protected",
            kind: FieldType::Boolean,
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "notes",
            canonical: "notes",
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "state",
            canonical: "status",
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "count",
            canonical: "member_count",
            kind: FieldType::Integer,
            writable: Writable::No,
            ..FieldSpec::TEXT
        },
    ],
    members: &[FieldSpec {
        wire: "mail",
        canonical: "email",
        required: true,
        unique: true,
        ..FieldSpec::TEXT
    }],
    unlisted: Unlisted::ByLabel,
};

/// A provider that holds names only, which need not be unique.
pub(super) static POOR: Schema = Schema {
    kind: ProviderKind::GreenRope,
    groups: &[FieldSpec {
        wire: "title",
        canonical: "name",
        required: true,
        ..FieldSpec::TEXT
    }],
    members: &[FieldSpec {
        wire: "mail",
        canonical: "email",
        required: true,
        unique: true,
        ..FieldSpec::TEXT
    }],
    unlisted: Unlisted::ByLabel,
};

/// A provider where a person is in one group only, and which holds no refusal.
pub(super) static SEATS: Capabilities = Capabilities {
    join: Join::WithCreation,
    batches: Batches {
        create_members: 1,
        update_members: 1,
        update_same_fields: false,
        add_memberships: 1,
        remove_memberships: 1,
        account_opt_outs: 1,
        edit_groups: 1,
        change_addresses: 1,
    },
    group_opt_out: false,
    account_opt_out: false,
    account_opt_out_as_lists: false,
    removal_shows_opt_out: false,
    writes_overlap: false,
    detach: false,
    one_group_per_member: true,
    create_opted_out: false,
    archive_group: false,
    protected_flag: false,
    custom_fields_creatable: false,
    separate_opt_out_listing: false,
};

#[derive(Clone, Debug)]
pub(super) struct TestGroup {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) ext: Option<String>,
    pub(super) notes: Option<String>,
    pub(super) protected: bool,
    pub(super) kind: GroupKind,
    pub(super) status: GroupStatus,
    pub(super) for_tests: bool,
    pub(super) auto_response: bool,
    pub(super) unread: Option<Unread>,
    /// The status that mapping wants its partner to have.
    pub(super) asked_status: Option<String>,
    /// `None`: read to its end. `Some(opt-outs)`: not, and whether at least the opt-outs were.
    pub(super) incomplete: Option<bool>,
    /// Whether it is listed in pages by offset.
    pub(super) by_offset: bool,
    pub(super) listed: bool,
    pub(super) members: BTreeMap<String, MembershipState>,
}

impl TestGroup {
    pub(super) fn new(id: &str, name: &str) -> TestGroup {
        TestGroup {
            id: id.to_owned(),
            name: name.to_owned(),
            ext: None,
            notes: None,
            protected: false,
            kind: GroupKind::Static,
            status: GroupStatus::Active,
            for_tests: false,
            auto_response: false,
            unread: None,
            asked_status: None,
            incomplete: None,
            by_offset: false,
            listed: true,
            members: BTreeMap::new(),
        }
    }

    fn row(&self) -> GroupRow {
        let mut wire = Record::from([("title".into(), Value::from(self.name.as_str()))]);
        for (field, value) in [("ext", &self.ext), ("notes", &self.notes)] {
            if let Some(value) = value {
                wire.insert(field.into(), Value::from(value.as_str()));
            }
        }
        if self.protected {
            wire.insert("locked".into(), Value::Boolean(true));
        }
        GroupRow {
            id: self.id.clone(),
            wire,
            kind: self.kind,
            status: self.status,
            test_group: self.for_tests,
            auto_response: self.auto_response,
            member_count: None,
            detailed: true,
            unread: self.unread,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct TestPerson {
    pub(super) address: Option<String>,
    pub(super) status: MemberStatus,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Side {
    pub(super) groups: Vec<TestGroup>,
    pub(super) groups_incomplete: bool,
    /// Groups that could neither be found nor be known to be gone.
    pub(super) unsure: BTreeSet<String>,
    pub(super) account_incomplete: bool,
    pub(super) existence_unknown: bool,
    pub(super) people: BTreeMap<String, TestPerson>,
    /// The ids of people of whose record some can't be read.
    pub(super) unreadable: BTreeSet<String>,
}

impl Side {
    pub(super) fn group_mut(&mut self, id: &str) -> &mut TestGroup {
        self.groups
            .iter_mut()
            .find(|group| group.id == id)
            .expect("the group is there")
    }
}

#[derive(Clone, Debug)]
pub(super) struct TestMemberLink {
    pub(super) target: String,
    pub(super) address: String,
    pub(super) removed_by_us: bool,
}

/// A remembered refusal, in text.
#[derive(Clone, Debug, Default)]
#[expect(
    clippy::option_option,
    reason = "held nowhere, for the whole account, or at a group"
)]
pub(super) struct TestRefusal {
    pub(super) addresses: BTreeSet<String>,
    pub(super) records: BTreeSet<String>,
    pub(super) contacts: BTreeSet<String>,
    /// Target groups; none for the account.
    pub(super) groups: BTreeSet<Option<String>>,
    pub(super) sources: BTreeSet<String>,
    pub(super) names: BTreeSet<String>,
    /// Where the target was seen to obey it.
    pub(super) held_at: Option<Option<String>>,
    pub(super) ended: bool,
}

impl TestRefusal {
    /// Tells whether any of the keys is one of a person.
    pub(super) fn is_of(&self, other: &TestRefusal) -> bool {
        let shares = |own: &BTreeSet<String>, others: &BTreeSet<String>| !own.is_disjoint(others);
        shares(&self.addresses, &other.addresses)
            || shares(&self.records, &other.records)
            || shares(&self.contacts, &other.contacts)
    }
}

/// What rosterd remembers, in text.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    pub(super) links: Vec<GroupLink>,
    pub(super) members: BTreeMap<String, TestMemberLink>,
    /// Pairs of people that were linked once.
    pub(super) former: BTreeSet<(String, String)>,
    /// Target group and target person, with whether this job brought the membership.
    pub(super) memberships: BTreeMap<(String, String), bool>,
    pub(super) others: BTreeSet<(String, String)>,
    pub(super) other_groups: BTreeSet<String>,
    /// Target group and target person of removals that show as refusals.
    pub(super) own: BTreeSet<(String, String)>,
    /// Group and person of removals, at either side, of which nobody knows yet whether they were
    /// done.
    pub(super) pending: BTreeMap<String, BTreeSet<String>>,
    /// Remembered refusals. None is taken away, so that a position stays its number.
    pub(super) refusals: Vec<TestRefusal>,
    pub(super) resting: BTreeMap<String, Resting>,
    /// Whether `where` can't be asked about anybody.
    pub(super) undecided: bool,
    pub(super) groups_unseen: bool,
    /// Custom fields that the target lacks.
    pub(super) new_fields: Vec<String>,
    pub(super) forgotten: Forgotten,
    pub(super) measure: Option<Measure>,
    /// Whether the measure is of a run in another mode than `mirror`.
    pub(super) unmirrored: bool,
    /// Whether what is remembered was left behind by a first run that did not come to its end.
    pub(super) first_run_is_open: bool,
    pub(super) last_run: Option<String>,
}

#[derive(Clone)]
pub(super) struct TestWorld {
    pub(super) source: Side,
    pub(super) target: Side,
    pub(super) memory: Memory,
    pub(super) policy: Policy,
    pub(super) capabilities: Capabilities,
    pub(super) schema: &'static Schema,
    pub(super) explicit: BTreeSet<String>,
    /// Whom `where` leaves out, by address, or by `#` and the id where there is none.
    pub(super) left_out: BTreeSet<String>,
    /// Who has no value for a field that a creation takes, by address.
    pub(super) nameless: BTreeSet<String>,
    /// Whose profile is to get another city, by address.
    pub(super) edited: BTreeSet<String>,
    /// The city in the profile of somebody at either side, by id.
    pub(super) cities: BTreeMap<String, String>,
    /// What stands for the fields that mapping makes of somebody, by address.
    pub(super) mapped: BTreeMap<String, u64>,
    /// Whether rows are read from the last to the first.
    pub(super) backwards: bool,
    /// How many groups of the target were created by a run.
    pub(super) groups_created: usize,
}

/// Both sides and the memory as a run reads them.
pub(super) struct Read {
    names: Names,
    source: Snapshot,
    target: Snapshot,
    base: Base,
    people: People,
}

impl Read {
    /// Puts a plan of what was read together with what showing it takes.
    pub(super) fn shown(self, plan: Plan) -> Planned {
        let nameless = self.people.iter().map(|(person, _)| person);
        let nameless = nameless.map(|person| {
            let Read {
                names,
                source,
                target,
                people,
                ..
            } = &self;
            let name = people.key(person, source, target, names);
            (person, name.into_owned())
        });
        Planned {
            nameless: nameless.collect(),
            plan,
            names: self.names.into(),
            people: self.people,
            cost: Cost::default(),
            created_values: BTreeMap::new(),
            first_run: false,
            accepted: BTreeSet::new(),
            undoing: None,
            saved: None,
            narrowed: None,
        }
    }
}

pub(super) const NO_LIMIT: Limit = Limit {
    share: None,
    count: None,
};

impl TestWorld {
    pub(super) fn new() -> TestWorld {
        TestWorld {
            source: Side::default(),
            target: Side::default(),
            memory: Memory::default(),
            policy: Policy {
                job: "job".to_owned(),
                source: "crm".to_owned(),
                target: "mail".to_owned(),
                mode: Mode::Managed,
                groups: GroupScope {
                    include: vec!["*".to_owned()],
                    exclude: Vec::new(),
                    adopt: Adopt::ByName,
                    pin: BTreeMap::new(),
                    protect: false,
                    dynamic: Dynamic::Skip,
                    missing: Missing::Keep,
                },
                members: MemberPolicy {
                    r#where: None,
                    create: true,
                    update: true,
                    opt_outs: OptOuts::Carry,
                    create_users: false,
                    removal: Removal::Unsubscribe,
                    readd: false,
                },
                guards: Guards {
                    max_membership_removals: NO_LIMIT,
                    max_membership_removals_per_group: NO_LIMIT,
                    max_group_removals: NO_LIMIT,
                    max_member_creations: NO_LIMIT,
                    max_updates: NO_LIMIT,
                    max_opt_outs: NO_LIMIT,
                    floor: 1,
                    on_drift: OnDrift::Overwrite,
                },
                allow_auto_response: false,
                source_shared: false,
                target_shared: false,
                parking_group: None,
                opt_outs_confirmed: false,
                config_hash: "config".to_owned(),
            },
            capabilities: Capabilities {
                join: Join::Separately,
                batches: Batches {
                    create_members: 50,
                    update_members: 50,
                    update_same_fields: false,
                    add_memberships: 50,
                    remove_memberships: 50,
                    account_opt_outs: 50,
                    edit_groups: 50,
                    change_addresses: 1,
                },
                group_opt_out: true,
                account_opt_out: true,
                create_opted_out: false,
                archive_group: true,
                protected_flag: true,
                custom_fields_creatable: false,
                separate_opt_out_listing: true,
                account_opt_out_as_lists: false,
                removal_shows_opt_out: false,
                writes_overlap: false,
                detach: false,
                one_group_per_member: false,
            },
            schema: &RICH,
            explicit: BTreeSet::new(),
            left_out: BTreeSet::new(),
            nameless: BTreeSet::new(),
            edited: BTreeSet::new(),
            cities: BTreeMap::new(),
            mapped: BTreeMap::new(),
            backwards: false,
            groups_created: 0,
        }
    }

    /// Remembers a refusal as the last run would have: by the address, and by the record and the
    /// contact that are linked under it.
    pub(super) fn refuse(&mut self, group: Option<String>, address: &str, held: bool) {
        let mut refusal = TestRefusal {
            addresses: BTreeSet::from([address.to_owned()]),
            groups: BTreeSet::from([group.clone()]),
            held_at: held.then_some(group),
            ..TestRefusal::default()
        };
        for (record, link) in &self.memory.members {
            if link.address == address {
                refusal.records.insert(record.clone());
                refusal.contacts.insert(link.target.clone());
            }
        }
        self.memory.refusals.push(refusal);
    }

    /// Links two people, and keeps the pair that the record had before.
    pub(super) fn link_member(&mut self, source: String, link: TestMemberLink) {
        let target = link.target.clone();
        if let Some(before) = self.memory.members.insert(source.clone(), link)
            && before.target != target
        {
            self.memory.former.insert((source, before.target));
        }
    }

    /// What mapping would make of a source group.
    pub(super) fn desired(&self) -> BTreeMap<String, DesiredGroup> {
        let rich = self
            .schema
            .by_canonical(ObjectKind::Group, "external_id")
            .is_some();
        let wish = |group: &TestGroup| {
            let mut fields = Record::from([("title".into(), Value::from(group.name.as_str()))]);
            if rich {
                let ext = group
                    .ext
                    .clone()
                    .unwrap_or_else(|| format!("rosterd:crm:{}", group.id));
                fields.insert("ext".into(), Value::from(ext));
                if let Some(notes) = &group.notes {
                    fields.insert("notes".into(), Value::from(notes.as_str()));
                }
            }
            if let Some(status) = &group.asked_status {
                fields.insert("state".into(), Value::from(status.as_str()));
            }
            let name_problem = (group.name.is_empty()).then(|| "it has no name".to_owned());
            DesiredGroup {
                fields,
                defaults: Record::new(),
                name_problem,
                ..DesiredGroup::default()
            }
        };
        self.source
            .groups
            .iter()
            .map(|group| (group.id.clone(), wish(group)))
            .collect()
    }

    /// Reads both sides, plans, and lends out everything.
    pub(super) fn planned<R>(&self, look: impl FnOnce(&Inputs<'_>, &Plan) -> R) -> R {
        self.planned_from(&self.read(), look)
    }

    /// Reads both sides, which does not depend on the policy.
    pub(super) fn read(&self) -> Read {
        let mut names = Names::new();
        names.intern("");
        // Names are interned in another order, so that nothing can depend on their numbers.
        if self.backwards {
            let barred = self
                .memory
                .refusals
                .iter()
                .rev()
                .flat_map(|refusal| &refusal.addresses);
            for text in barred.chain(self.target.people.keys().rev()) {
                names.intern(text);
            }
        }
        let source = self.snapshot(&self.source, "crm", &mut names);
        let target = self.snapshot(&self.target, "mail", &mut names);
        let base = self.base(&mut names);
        let people = People::pair(
            &source,
            &target,
            &base,
            &names,
            self.policy.guards.on_drift,
            self.policy.members.opt_outs,
        );
        Read {
            names,
            source,
            target,
            base,
            people,
        }
    }

    /// Plans from what was read.
    pub(super) fn planned_from<R>(
        &self,
        read: &Read,
        look: impl FnOnce(&Inputs<'_>, &Plan) -> R,
    ) -> R {
        let Read {
            names,
            source,
            target,
            base,
            people,
        } = read;
        let facts: BTreeMap<PersonIx, PersonFacts> = people
            .iter()
            .map(|(ix, person)| {
                let key = people.key(ix, source, target, names);
                let counts = !self.left_out.contains(&*key);
                let missing = if self.nameless.contains(names.text(person.address)) {
                    vec!["last_name"]
                } else {
                    Vec::new()
                };
                (
                    ix,
                    PersonFacts {
                        counts,
                        missing,
                        desired_hash: self
                            .mapped
                            .get(names.text(person.address))
                            .copied()
                            .unwrap_or_default(),
                        edit: self
                            .edited
                            .contains(names.text(person.address))
                            .then(|| FieldEdit {
                                set: Record::from([("city".into(), Value::from("Rome"))]),
                                ..FieldEdit::default()
                            }),
                        ..PersonFacts::default()
                    },
                )
            })
            .collect();
        let desired = self.desired();
        let inputs = Inputs {
            policy: &self.policy,
            names,
            source,
            target,
            target_groups_unseen: self.memory.groups_unseen,
            base,
            people,
            facts: &facts,
            desired: &desired,
            target_schema: self.schema,
            explicit_group_fields: &self.explicit,
            capabilities: &self.capabilities,
            losses: &[],
            undecided: self.memory.undecided.then_some("nobody can tell"),
            new_custom_fields: &self.memory.new_fields,
            warnings: &[],
        };
        let made = plan(&inputs);
        look(&inputs, &made)
    }

    fn snapshot(&self, side: &Side, provider: &str, names: &mut Names) -> Snapshot {
        let mut stage = Nowhere;
        let base = (provider == "crm").then(|| self.base(names));
        let mut builder = SnapshotBuilder::new(provider, "", names, &mut stage);
        let in_order = |count: usize| -> Box<dyn Iterator<Item = usize>> {
            if self.backwards {
                Box::new((0..count).rev())
            } else {
                Box::new(0..count)
            }
        };
        let people: Vec<(&String, &TestPerson)> = side.people.iter().collect();
        for at in in_order(people.len()) {
            let (id, person) = people[at];
            let row = MemberRow {
                id: id.clone(),
                address: person.address.clone(),
                status: Some(person.status),
                wire: self
                    .cities
                    .get(id)
                    .map(|city| Record::from([("city".into(), Value::from(city.as_str()))])),
            };
            builder.member(row).expect("nowhere takes everything");
        }
        for id in &side.unreadable {
            builder.unreadable(
                id,
                Unreadable::Standing("its status is not shown".to_owned()),
            );
        }
        for at in in_order(side.groups.len()) {
            let group = &side.groups[at];
            if !group.listed {
                continue;
            }
            builder.begin_listing(&group.id);
            let members: Vec<(&String, &MembershipState)> = group.members.iter().collect();
            for at in in_order(members.len()) {
                builder.listed(members[at].0, *members[at].1);
            }
            builder.end_listing(match group.incomplete {
                None => Certificate {
                    by_offset: group.by_offset,
                    ..Certificate::of_the_end()
                },
                Some(opt_outs_complete) => Certificate {
                    opt_outs_complete,
                    problems: vec!["a page failed".to_owned()],
                    ..Certificate::of_the_end()
                },
            });
        }
        let evidence = |broken: bool, what: &str| Certificate {
            problems: if broken {
                vec![format!("{what} could not be read")]
            } else {
                Vec::new()
            },
            ..Certificate::of_the_end()
        };
        builder.account_state(evidence(side.account_incomplete, "the opt-outs"));
        if !side.existence_unknown {
            builder.whole_account();
        }
        let schema = if provider == "mail" {
            self.schema
        } else {
            &RICH
        };
        let mut groups: Vec<Group> = side
            .groups
            .iter()
            .map(|group| Group::from_row(group.row(), schema))
            .collect();
        if let Some(base) = &base {
            name_by_links(&mut groups, base);
        }
        if self.backwards {
            groups.reverse();
        }
        let mut own = OwnRemovals::default();
        if provider == "mail" {
            for (group, member) in &self.memory.own {
                own.recall(group.clone(), member.clone(), None, 0);
            }
        }
        let mut snapshot = builder.finish(
            groups,
            &evidence(side.groups_incomplete, "a group"),
            &mut TotalMeanings::all(),
            &own,
        );
        snapshot.unsure_groups.clone_from(&side.unsure);
        snapshot.set_pending_apart(&self.memory.pending, names);
        if side.existence_unknown {
            snapshot.existence = Existence::Unknown;
        }
        snapshot
    }

    fn base(&self, names: &mut Names) -> Base {
        let memory = &self.memory;
        let mut members: Vec<MemberLink> = memory
            .members
            .iter()
            .map(|(source, link)| MemberLink {
                source: names.intern(source),
                target: names.intern(&link.target),
                address: names.intern(&link.address),
                origin: Origin::Adopted,
                source_hash: 0,
                target_hash: 0,
                removed_by_us: link.removed_by_us,
            })
            .collect();
        members.sort_by_key(|link| link.source);
        let mut memberships: BTreeMap<String, Vec<BaseMembership>> = BTreeMap::new();
        for ((group, member), brought) in &memory.memberships {
            memberships
                .entry(group.clone())
                .or_default()
                .push(BaseMembership {
                    member: names.intern(member),
                    brought: *brought,
                });
        }
        for rows in memberships.values_mut() {
            rows.sort_unstable();
        }
        let mut held_by_others: BTreeMap<String, HashSet<Name>> = BTreeMap::new();
        for (group, member) in &memory.others {
            held_by_others
                .entry(group.clone())
                .or_default()
                .insert(names.intern(member));
        }
        let mut ledger = Ledger::default();
        for (at, refusal) in memory.refusals.iter().enumerate() {
            if refusal.ended {
                continue;
            }
            let people = refusal
                .addresses
                .iter()
                .map(|text| (LedgerPerson::Address as fn(Name) -> _, text));
            let people = people
                .chain(
                    refusal
                        .records
                        .iter()
                        .map(|text| (LedgerPerson::Record as fn(Name) -> _, text)),
                )
                .chain(
                    refusal
                        .contacts
                        .iter()
                        .map(|text| (LedgerPerson::Contact as fn(Name) -> _, text)),
                )
                .map(|(key, text)| key(names.intern(text)))
                .collect();
            let groups = refusal.groups.iter().map(|group| match group {
                None => LedgerAudience::Account,
                Some(group) => LedgerAudience::Group(group.clone()),
            });
            let audience = groups
                .chain(refusal.sources.iter().cloned().map(LedgerAudience::Source))
                .chain(refusal.names.iter().cloned().map(LedgerAudience::Name))
                .collect();
            ledger.refusals.push(Refusal {
                id: FactId(at as i64),
                people,
                audience,
                held_at: refusal.held_at.clone().map(Option::unwrap_or_default),
            });
        }
        let former = memory
            .former
            .iter()
            .map(|(source, target)| FormerLink {
                source: names.intern(source),
                target: names.intern(target),
                address: names.intern(""),
            })
            .collect();
        Base {
            groups: memory.links.clone(),
            members,
            former,
            memberships,
            put_away: HashSet::new(),
            undo_open: None,
            put_back: BTreeMap::new(),
            held_by_others,
            groups_of_others: memory.other_groups.iter().cloned().collect(),
            ledger,
            forgotten: memory.forgotten.clone(),
            source_account: "crm".to_owned(),
            target_account: "mail".to_owned(),
            measure: memory.measure,
            mirrored: memory.measure.is_some() && !memory.unmirrored,
            first_run_is_open: memory.first_run_is_open,
            resting: memory
                .resting
                .clone()
                .into_iter()
                .collect::<HashMap<_, _>>(),
            last_writing_run: memory.last_run.clone(),
        }
    }

    /// Links two groups as a settled run would have left them, with the fields that both held then.
    pub(super) fn link(&mut self, source: &str, target: &str, protect_set: bool) {
        let then =
            |group: Option<&TestGroup>| group.map(|group| group.row().wire).unwrap_or_default();
        let held = then(self.target.groups.iter().find(|group| group.id == target));
        let fields: FieldBases = held
            .iter()
            .map(|(field, value)| {
                (
                    field.clone(),
                    crate::plan::base::FieldBase {
                        desired: Some(value.clone()),
                        target: Some(value.clone()),
                        written: false,
                    },
                )
            })
            .collect();
        let name = held
            .get("title")
            .map_or_else(|| format!("group {target}"), Value::to_string);
        let link = GroupLink {
            source: source.to_owned(),
            target: target.to_owned(),
            origin: Origin::Adopted,
            protect_set,
            name,
            fields,
        };
        self.memory.links.push(link);
    }
}

struct Nowhere;

impl Stage for Nowhere {
    fn put(&mut self, _id: &str, _record: &Record) -> Result<(), String> {
        Ok(())
    }
}
