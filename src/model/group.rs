//! Groups, whatever a provider calls them.

use super::schema::{CustomFields, ObjectKind, Schema};
use super::value::{Record, Value};

/// How a group gets its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GroupKind {
    /// By adding and removing them.
    Static,
    /// By a query that the provider evaluates.
    Dynamic,
    /// By the provider itself, such as a group of everybody.
    BuiltIn,
    /// By people leaving other groups, where nobody can be in none: the config names it, and no job
    /// reads or fills it.
    Parking,
}

impl GroupKind {
    /// Returns the canonical word.
    pub fn as_str(self) -> &'static str {
        match self {
            GroupKind::Static => "static",
            GroupKind::Dynamic => "dynamic",
            GroupKind::BuiltIn => "built-in",
            GroupKind::Parking => "parking",
        }
    }
}

/// Whether a group is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GroupStatus {
    /// In use.
    Active,
    /// Put away, and refused as a target until a person restores it.
    Archived,
}

impl GroupStatus {
    /// Returns the canonical word.
    pub fn as_str(self) -> &'static str {
        match self {
            GroupStatus::Active => "active",
            GroupStatus::Archived => "archived",
        }
    }
}

/// Who can see a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Visibility {
    /// Everybody, on the provider's public pages.
    Public,
    /// Those who are in it.
    Private,
    /// Nobody outside the account.
    Hidden,
}

impl Visibility {
    /// Reads the canonical word.
    pub fn parse(text: &str) -> Option<Visibility> {
        match text {
            "public" => Some(Visibility::Public),
            "private" => Some(Visibility::Private),
            "hidden" => Some(Visibility::Hidden),
            _ => None,
        }
    }
}

/// Why a group can't be a target (rule 4, and rule 12 for mail on joining).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TargetRefusal {
    /// Its members come from a query.
    Dynamic,
    /// The provider fills it.
    BuiltIn,
    /// It takes whoever leaves another group.
    Parking,
    /// It is archived.
    Archived,
    /// It is used for test mailings.
    TestGroup,
}

impl TargetRefusal {
    /// Says it in a few words, to follow "the target group ".
    pub fn explain(self) -> &'static str {
        match self {
            TargetRefusal::Dynamic => "is dynamic: a query decides who is in it",
            TargetRefusal::BuiltIn => "is built in: the provider decides who is in it",
            TargetRefusal::Parking => "is the parking group: it takes whoever leaves another one",
            TargetRefusal::Archived => "is archived: restore it at the provider first",
            TargetRefusal::TestGroup => "is a test group",
        }
    }
}

/// What of a group could not be read. The group alone is affected: others are as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unread {
    /// Some of its texts hold characters that nobody can read, or far too many. Its fields say nothing, neither to
    /// compare nor to copy.
    Texts,
    /// Its name is among those texts: nobody is to take it for the group of that name.
    Name,
    /// It is in the list of groups and can't be looked at, so that no more is known of it than the
    /// list shows: not whether joining it sends mail, nor what else it holds.
    Details,
}

impl Unread {
    /// Judges a group by whether its name can be read, and whether all of its texts can.
    pub fn of_texts(name: bool, texts: bool) -> Option<Unread> {
        match (name, texts) {
            (true, true) => None,
            (true, false) => Some(Unread::Texts),
            (false, _) => Some(Unread::Name),
        }
    }

    /// Tells whether the name that is shown may be another one in truth.
    pub fn hides_name(self) -> bool {
        self == Unread::Name
    }

    /// Says it in a few words, to follow "the group 5 ".
    pub fn explain(self) -> &'static str {
        match self {
            Unread::Texts => {
                "holds characters that can't be read, or far too many; correct its texts there"
            }
            Unread::Name => "has a name that can't be read; correct it there",
            Unread::Details => {
                "is in the list of groups and can't be looked at; look at it and at the login's rights there"
            }
        }
    }
}

/// A group as an adapter decoded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRow {
    /// The provider's id, as text.
    pub id: String,
    /// Values under the provider's own names, as in its field table.
    pub wire: Record,
    /// How it gets its members.
    pub kind: GroupKind,
    /// Whether it is in use.
    pub status: GroupStatus,
    /// Whether it is used for test mailings.
    pub test_group: bool,
    /// Whether joining sends mail.
    pub auto_response: bool,
    /// The provider's own count of members.
    pub member_count: Option<u64>,
    /// Whether `wire` holds every readable field, and not only a summary.
    pub detailed: bool,
    /// What of it could not be read.
    pub unread: Option<Unread>,
}

/// A group of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The provider's id, as text.
    pub id: String,
    /// The name, exactly as the provider holds it.
    pub name: String,
    /// How it gets its members.
    pub kind: GroupKind,
    /// Whether it is in use.
    pub status: GroupStatus,
    /// Whether it is used for test mailings.
    pub test_group: bool,
    /// Whether joining sends mail.
    pub auto_response: bool,
    /// Whether the provider holds it as protected.
    pub protected: bool,
    /// The provider's own count of members.
    pub member_count: Option<u64>,
    /// Values under canonical names, carried values included.
    pub canonical: Record,
    /// Values under the provider's own names.
    pub wire: Record,
    /// What of it could not be read.
    pub unread: Option<Unread>,
}

impl Group {
    /// Makes a group of a decoded row.
    pub fn from_row(row: GroupRow, schema: &Schema) -> Group {
        let mut canonical =
            schema.to_canonical(ObjectKind::Group, &row.wire, &CustomFields::default());
        canonical.insert("id".into(), Value::from(row.id.as_str()));
        canonical.insert("kind".into(), Value::from(row.kind.as_str()));
        canonical.insert("status".into(), Value::from(row.status.as_str()));
        if let Some(count) = row.member_count {
            canonical.insert(
                "member_count".into(),
                Value::Integer(i64::try_from(count).unwrap_or(i64::MAX)),
            );
        }
        Group {
            name: canonical
                .get("name")
                .map(Value::to_string)
                .unwrap_or_default(),
            protected: canonical
                .get("protected")
                .and_then(Value::as_bool)
                .unwrap_or(false),
            id: row.id,
            kind: row.kind,
            status: row.status,
            test_group: row.test_group,
            auto_response: row.auto_response,
            member_count: row.member_count,
            canonical,
            wire: row.wire,
            unread: row.unread,
        }
    }

    /// Tells why this group can't be a target, if so (rule 4).
    pub fn refuses_members(&self) -> Option<TargetRefusal> {
        match (self.kind, self.status, self.test_group) {
            (GroupKind::BuiltIn, ..) => Some(TargetRefusal::BuiltIn),
            (GroupKind::Parking, ..) => Some(TargetRefusal::Parking),
            (GroupKind::Dynamic, ..) => Some(TargetRefusal::Dynamic),
            (_, GroupStatus::Archived, _) => Some(TargetRefusal::Archived),
            (_, _, true) => Some(TargetRefusal::TestGroup),
            _ => None,
        }
    }
}

/// A group that must exist under this id and name, which proves that a token opens the right
/// account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// The group's id.
    pub group_id: String,
    /// The group's name.
    pub group_name: Option<String>,
    /// The group's external id.
    pub external_id: Option<String>,
}
