//! Field rules from one provider's schema to another's.
//!
//! A [`Mapping`] is compiled once from the config and the two field tables, and finds everything
//! that is wrong with the config's expressions at once. It is bound to the custom fields of two
//! accounts when these have been read; only the [`BoundMapping`] turns records into values. Nothing
//! here does I/O or knows a clock: the same mapping, tables and record give the same values.
//!
//! Where the config is silent, every writable target field takes the source's canonical field of
//! the same meaning. What the provider or the plan decides is left alone: ids, addresses, statuses,
//! protection, permissions, and ids that mean nothing in another account. The config's own lines
//! stand in for built-in ones field by field.
//!
//! Values are never cut or repaired to fit: what a field does not take is reported in
//! [`Mapped::left_out`].

mod bind;
mod bound;
mod builtin;
mod compile;
mod convert;
mod expression;
mod rule;
mod scan;
#[cfg(test)]
mod tests;
mod vocabulary;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

pub use bound::BoundMapping;
pub use vocabulary::{GROUP_NAMES, MEMBER_NAMES, shared_names};

use crate::model::{LeftAlone, ObjectKind, Record, Schema};
use expression::Compiled;
use rule::Rule;

/// What a mapping is made of.
#[derive(Clone, Copy, Debug)]
pub struct MappingSpec<'a> {
    /// The field tables of the provider that is read.
    pub source: &'static Schema,
    /// The field tables of the provider that is written.
    pub target: &'static Schema,
    /// The name of the source provider in the config; it enters the external ids of groups.
    pub source_name: &'a str,
    /// The config's own lines for groups: the target's name of a field, and an expression.
    pub group: &'a BTreeMap<String, String>,
    /// The config's own lines for members: the target's name of a field, and an expression.
    pub member: &'a BTreeMap<String, String>,
    /// The expression that says who counts as a member.
    pub r#where: Option<&'a str>,
    /// Whether custom fields that the target lacks are created: the job asks for it and the target
    /// can do it.
    pub create_fields: bool,
}

/// Which line of the config a problem is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The expression that says who counts as a member.
    Where,
    /// The line of a group field, by the name on its left.
    Group(String),
    /// The line of a member field, by the name on its left.
    Member(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Where => f.write_str("members.where"),
            Place::Group(wire) => write!(f, "map.group.{wire}"),
            Place::Member(wire) => write!(f, "map.member.{wire}"),
        }
    }
}

/// Something wrong with a line of the config.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct MappingProblem {
    /// Which line.
    pub place: Place,
    /// What is wrong.
    pub message: String,
    /// What to do, where that can be said.
    pub hint: Option<String>,
    /// The bytes of the expression that are wrong; none when it is the whole line or its left side.
    pub span: Option<Range<usize>>,
}

/// Why a value is not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeftOutReason {
    /// It has more characters than the field holds.
    TooLong {
        /// The most characters.
        max: usize,
    },
    /// The field takes only certain words.
    NotAllowed {
        /// These words.
        allowed: Vec<String>,
    },
    /// It can't be turned into the type of the field.
    WrongType,
    /// It holds characters that mean nothing in a text and that some providers can't carry.
    ControlCharacters,
}

impl fmt::Display for LeftOutReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LeftOutReason::TooLong { max } => write!(f, "longer than {max} characters"),
            LeftOutReason::NotAllowed { allowed } => write!(f, "not one of {}", allowed.join(", ")),
            LeftOutReason::WrongType => f.write_str("not of the field's type"),
            LeftOutReason::ControlCharacters => f.write_str("with control characters"),
        }
    }
}

/// A value that its target field does not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The target's name of the field.
    pub wire: String,
    /// The value as text.
    pub value: String,
    /// Why it is not written.
    pub reason: LeftOutReason,
}

/// The values of one record at the target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapped {
    /// Values under the target's names, each of the type in its table; no empty ones.
    pub fields: Record,
    /// Values that their field does not take.
    pub left_out: Vec<LeftOut>,
    /// Fields whose expression could not be evaluated on this record, and why.
    pub failed: Vec<(String, String)>,
    /// Fields that may be meant where the definition of some custom field can't be read: nobody can
    /// tell what they should hold.
    pub unsaid: LeftAlone,
}

impl Mapped {
    /// Names the fields whose value does not fit there, or could not be found out.
    pub fn left_out_fields(&self) -> LeftAlone {
        let unfit = self.left_out.iter().map(|left| &left.wire);
        let failed = self.failed.iter().map(|(field, _)| field);
        let mut fields = self.unsaid.clone();
        fields.extend(unfit.chain(failed).cloned());
        fields
    }
}

/// Field rules that passed every check that needs no account.
#[derive(Clone, Debug)]
pub struct Mapping {
    source: &'static Schema,
    target: &'static Schema,
    source_name: String,
    create_fields: bool,
    group: Vec<Rule>,
    member: Vec<Rule>,
    filter: Option<Arc<Compiled>>,
}

impl Mapping {
    fn rules(&self, object: ObjectKind) -> &[Rule] {
        match object {
            ObjectKind::Group => &self.group,
            ObjectKind::Member => &self.member,
        }
    }
}

/// Returns a label in the form in which two labels are compared.
fn normal_label(label: &str) -> String {
    label.trim().to_lowercase()
}
