//! One target field and where its value comes from.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::convert::Shape;
use super::expression::{Compiled, Given, given};
use crate::model::{Record, Value};

/// Where the value of a target field comes from.
#[derive(Clone, Debug)]
pub(super) enum Action {
    /// A canonical field as it is.
    Copy(String),
    /// The external id of the source's group, or else one made of the provider's name and the
    /// group's id.
    ExternalId { source_name: String },
    /// An expression of the config.
    Expression(Arc<Compiled>),
}

/// One target field and where its value comes from.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// The target's name; for a custom field as the config wrote it until it is bound.
    pub(super) wire: String,
    /// What the field takes; for a custom field unknown until it is bound.
    pub(super) shape: Option<Shape>,
    pub(super) action: Action,
    /// Whether the config names the field.
    pub(super) explicit: bool,
}

impl Action {
    /// Returns the action as an expression that a config could hold.
    pub(super) fn text(&self) -> String {
        match self {
            Action::Copy(canonical) => match canonical.strip_prefix("custom.") {
                Some(label) => format!("source.custom['{}']", quoted(label)),
                None => format!("source.{canonical}"),
            },
            Action::ExternalId { source_name } => {
                format!(
                    "source.external_id | default('rosterd:{}:' ~ source.id, true)",
                    quoted(source_name)
                )
            }
            Action::Expression(compiled) => compiled.text().to_owned(),
        }
    }

    /// Returns the canonical names that are read.
    pub(super) fn reads(&self) -> BTreeSet<String> {
        match self {
            Action::Copy(canonical) => BTreeSet::from([canonical.clone()]),
            Action::ExternalId { .. } => {
                BTreeSet::from(["external_id".to_owned(), "id".to_owned()])
            }
            Action::Expression(compiled) => compiled.reads(),
        }
    }

    /// Gets the value out of a canonical record; `view` makes the record visible to expressions.
    pub(super) fn value(
        &self,
        canonical: &Record,
        view: impl FnOnce() -> minijinja::Value,
    ) -> Result<Given, String> {
        match self {
            Action::Copy(name) => Ok(canonical
                .get(name.as_str())
                .map_or(Given::Nothing, |value| Given::Value(value.clone()))),
            Action::ExternalId { source_name } => {
                let own = canonical
                    .get("external_id")
                    .filter(|value| !value.to_string().trim().is_empty());
                let value = own.cloned().or_else(|| {
                    canonical
                        .get("id")
                        .map(|id| Value::from(format!("rosterd:{source_name}:{id}")))
                });
                Ok(value.map_or(Given::Nothing, Given::Value))
            }
            Action::Expression(compiled) => compiled.evaluate(&view()).map(|result| given(&result)),
        }
    }
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}
