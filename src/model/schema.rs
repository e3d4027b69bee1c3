//! What a provider's groups and members can hold, as data.
//!
//! Each provider module publishes one [`Schema`]. Mapping, `check`, the loss report, `schema
//! fields` and the docs derive from it.

use std::fmt;

use compact_str::{CompactString, CompactStringExt as _};

use super::value::{Record, Value};

/// A family of provider accounts that speak one API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProviderKind {
    /// emfluence Marketing Platform, JSON.
    Emfluence,
    /// GreenRope, SalesDrip and Mission Suite, XML.
    GreenRope,
    /// ActiveCampaign with its lists of contacts as groups.
    ActiveCampaignLists,
    /// ActiveCampaign with the groups of its users as groups.
    ActiveCampaignUsers,
}

impl ProviderKind {
    /// The kinds that a config can name, in the order of the documentation.
    pub const ALL: [ProviderKind; 4] = [
        ProviderKind::Emfluence,
        ProviderKind::GreenRope,
        ProviderKind::ActiveCampaignLists,
        ProviderKind::ActiveCampaignUsers,
    ];

    /// Returns the kind behind the config's `kind` and, where the service has several things that
    /// could be a group, its `groups`.
    pub fn from_config(kind: &str, groups: Option<&str>) -> Option<ProviderKind> {
        Self::ALL.into_iter().find(|known| {
            known.as_str() == kind && known.groups_word().is_none_or(|word| groups == Some(word))
        })
    }

    /// Returns the config's word for what counts as a group, where the service leaves a choice.
    pub fn groups_word(self) -> Option<&'static str> {
        match self {
            ProviderKind::Emfluence | ProviderKind::GreenRope => None,
            ProviderKind::ActiveCampaignLists => Some("lists"),
            ProviderKind::ActiveCampaignUsers => Some("user-groups"),
        }
    }

    /// Returns the name used in the config, logs and the database; it names the service, so both
    /// kinds of group at ActiveCampaign share it, and with it the account's lock.
    pub fn as_str(self) -> &'static str {
        match self {
            ProviderKind::Emfluence => "emfluence",
            ProviderKind::GreenRope => "greenrope",
            ProviderKind::ActiveCampaignLists | ProviderKind::ActiveCampaignUsers => {
                "activecampaign"
            }
        }
    }

    /// Returns the name of the field tables, which no two kinds share.
    pub fn table_name(self) -> &'static str {
        match self {
            ProviderKind::ActiveCampaignLists => "activecampaign-lists",
            ProviderKind::ActiveCampaignUsers => "activecampaign-user-groups",
            other => other.as_str(),
        }
    }

    /// Returns the name that people use.
    pub fn title(self) -> &'static str {
        match self {
            ProviderKind::Emfluence => "emfluence",
            ProviderKind::GreenRope => "GreenRope",
            ProviderKind::ActiveCampaignLists | ProviderKind::ActiveCampaignUsers => {
                "ActiveCampaign"
            }
        }
    }

    /// Returns what the service calls an object, where it has a word of its own.
    pub fn word_for(self, object: ObjectKind) -> &'static str {
        match (self, object) {
            (ProviderKind::ActiveCampaignLists, ObjectKind::Group) => "list",
            (ProviderKind::ActiveCampaignLists, ObjectKind::Member) => "contact",
            (ProviderKind::ActiveCampaignUsers, ObjectKind::Group) => "user group",
            (ProviderKind::ActiveCampaignUsers, ObjectKind::Member) => "user",
            (ProviderKind::Emfluence | ProviderKind::GreenRope, object) => object.as_str(),
        }
    }

    /// Returns the name that people use, down to what counts as a group.
    pub fn full_title(self) -> &'static str {
        match self {
            ProviderKind::ActiveCampaignLists => "ActiveCampaign lists",
            ProviderKind::ActiveCampaignUsers => "ActiveCampaign user groups",
            other => other.title(),
        }
    }
}

impl fmt::Display for ProviderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which of the two objects a field belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectKind {
    /// A group.
    Group,
    /// A member.
    Member,
}

impl ObjectKind {
    /// Returns the word used in the config and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            ObjectKind::Group => "group",
            ObjectKind::Member => "member",
        }
    }
}

/// The type of a field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// Free text.
    Text,
    /// A whole number.
    Integer,
    /// Yes or no.
    Boolean,
    /// A moment, as the provider writes it.
    Timestamp,
    /// Several texts.
    List,
}

impl FieldType {
    /// Returns the word shown by `schema fields`.
    pub fn as_str(self) -> &'static str {
        match self {
            FieldType::Text => "text",
            FieldType::Integer => "integer",
            FieldType::Boolean => "boolean",
            FieldType::Timestamp => "timestamp",
            FieldType::List => "list",
        }
    }
}

/// When a field can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writable {
    /// Never.
    No,
    /// Only in the request that creates the object.
    OnCreate,
    /// At any time.
    Always,
}

/// One field of a provider's group or member.
#[derive(Clone, Copy, Debug)]
pub struct FieldSpec {
    /// The provider's own name, as the config's `map` tables write it; `custom.*` stands for the
    /// custom fields.
    pub wire: &'static str,
    /// The canonical name, as expressions write it after `source.`; `custom.*` for the custom
    /// fields.
    pub canonical: &'static str,
    /// The type of the value.
    pub kind: FieldType,
    /// Whether the provider returns it.
    pub readable: bool,
    /// Whether a reading may leave the field out although it is set, so that its absence says
    /// nothing.
    pub may_be_unshown: bool,
    /// When the provider takes it.
    pub writable: Writable,
    /// Whether an object can't be created without it.
    pub required: bool,
    /// Whether no two objects of an account may share a value.
    pub unique: bool,
    /// The longest value in characters, where one is known or assumed.
    pub max_length: Option<usize>,
    /// The only values allowed, as (the provider's word, the canonical word); empty where anything
    /// goes.
    pub values: &'static [(&'static str, &'static str)],
    /// The provider default in the config that stands in when a created group has no value
    /// (`sender_name`), if any.
    pub default_key: Option<&'static str>,
    /// Where this row comes from.
    pub source: &'static str,
}

impl FieldSpec {
    /// A readable and writable text field without limits; the starting point of the tables.
    pub const TEXT: FieldSpec = FieldSpec {
        wire: "",
        canonical: "",
        kind: FieldType::Text,
        readable: true,
        may_be_unshown: false,
        writable: Writable::Always,
        required: false,
        unique: false,
        max_length: None,
        values: &[],
        default_key: None,
        source: "",
    };

    /// Translates a value under the provider's words into canonical words.
    pub fn to_canonical(&self, value: &Value) -> Value {
        if self.values.is_empty() {
            return value.clone();
        }
        let text = value.to_string();
        match self
            .values
            .iter()
            .find(|(wire, _)| wire.eq_ignore_ascii_case(text.trim()))
        {
            Some((_, canonical)) => Value::from(*canonical),
            None => Value::from(text),
        }
    }
}

/// A custom field that an account has defined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomField {
    /// The name that requests use (`custom3`, or the label itself where the provider has no other
    /// name).
    pub system_name: String,
    /// The name that people see, and that expressions use.
    pub label: String,
    /// The type of the value.
    pub kind: FieldType,
    /// The longest value in characters, where one is known.
    pub max_length: Option<usize>,
    /// The only values allowed; empty where anything goes.
    pub options: Vec<String>,
}

/// The custom fields of an account, or the fact that they could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomFields {
    /// Whether `fields` is the whole list; a login without the right to read definitions leaves it
    /// unknown.
    pub known: bool,
    /// The fields, by system name.
    pub fields: Vec<CustomField>,
    /// What is left to name those by whose definitions can't be read. They are not among `fields`,
    /// and no label is known to be free as long as there are any.
    pub unread: Vec<String>,
}

impl CustomFields {
    /// Tells whether every definition is known, so that a label tells which field is meant.
    pub fn is_whole(&self) -> bool {
        self.known && self.unread.is_empty()
    }

    /// Finds a field by its system name or label, ignoring case.
    pub fn find(&self, name: &str) -> Option<&CustomField> {
        let name = name.trim();
        self.fields
            .iter()
            .find(|field| field.system_name.eq_ignore_ascii_case(name))
            .or_else(|| {
                self.fields
                    .iter()
                    .find(|field| field.label.trim().to_lowercase() == name.to_lowercase())
            })
    }

    /// Returns the label behind a system name, or the system name itself when no label is known.
    pub fn label<'a>(&'a self, system_name: &'a str) -> &'a str {
        self.fields
            .iter()
            .find(|field| field.system_name.eq_ignore_ascii_case(system_name))
            .map_or(system_name, |field| field.label.as_str())
    }
}

/// The field tables of one provider kind.
#[derive(Debug)]
pub struct Schema {
    /// The kind that these tables describe.
    pub kind: ProviderKind,
    /// The fields of a group.
    pub groups: &'static [FieldSpec],
    /// The fields of a member.
    pub members: &'static [FieldSpec],
    /// Which custom fields can be named where the login may not list them.
    pub unlisted: Unlisted,
}

/// Which custom fields can be named where the login may not list them. Under any other name no value
/// of anybody would show, which is not to be taken for an empty one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlisted {
    /// Any: values come and go under the names that people see.
    ByLabel,
    /// Those named by their system names, which are this word and a number.
    ByNumber(&'static str),
    /// None: values go by ids that only the definitions tell.
    Nothing,
}

impl Unlisted {
    /// Tells whether a name tells which field is meant.
    pub fn knows(self, name: &str) -> bool {
        self.system_name(name).is_some()
    }

    /// Returns a name in the provider's own spelling, as far as that can be told, where it tells
    /// which field is meant.
    pub fn system_name(self, name: &str) -> Option<String> {
        let name = name.trim();
        match self {
            Self::ByLabel => Some(name.to_owned()),
            Self::ByNumber(word) => {
                let name = name.to_ascii_lowercase();
                let number = name.strip_prefix(word);
                let is_number = number.is_some_and(|number| {
                    !number.starts_with('0')
                        && !number.is_empty()
                        && number.bytes().all(|digit| digit.is_ascii_digit())
                });
                is_number.then_some(name)
            }
            Self::Nothing => None,
        }
    }
}

impl Schema {
    /// Returns the table of an object.
    pub fn fields(&self, object: ObjectKind) -> &'static [FieldSpec] {
        match object {
            ObjectKind::Group => self.groups,
            ObjectKind::Member => self.members,
        }
    }

    /// Finds a field by the provider's own name; `custom.anything` finds the row of the custom
    /// fields.
    pub fn by_wire(&self, object: ObjectKind, wire: &str) -> Option<&'static FieldSpec> {
        let key = if wire.starts_with("custom.") {
            "custom.*"
        } else {
            wire
        };
        self.fields(object).iter().find(|field| field.wire == key)
    }

    /// Finds a field by its canonical name; `custom.anything` finds the row of the custom fields.
    pub fn by_canonical(&self, object: ObjectKind, canonical: &str) -> Option<&'static FieldSpec> {
        let key = if canonical.starts_with("custom.") {
            "custom.*"
        } else {
            canonical
        };
        self.fields(object)
            .iter()
            .find(|field| field.canonical == key)
    }

    /// Returns the provider's name of the field that holds a group's name.
    pub fn group_name_field(&self) -> &'static str {
        self.by_canonical(ObjectKind::Group, "name")
            .map_or("name", |field| field.wire)
    }

    /// Translates a record under the provider's names into canonical names and words.
    ///
    /// Empty values are left out, and so is every key that the table does not know.
    pub fn to_canonical(&self, object: ObjectKind, wire: &Record, custom: &CustomFields) -> Record {
        let translated = |(name, value): (&CompactString, &Value)| {
            if let Some(system_name) = name.strip_prefix("custom.") {
                let name = ["custom.", custom.label(system_name)].concat_compact();
                return Some((name, value.clone()));
            }
            let field = self.by_wire(object, name)?;
            Some((field.canonical.into(), field.to_canonical(value)))
        };
        let told = wire.iter().filter(|(_, value)| !value.is_empty());
        told.filter_map(translated).collect()
    }
}
