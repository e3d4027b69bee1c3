//! The JSON Schema of the configuration, and the rows of the field tables.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::keys::{self, Key, Shape};
use crate::model::{FieldType, ObjectKind, ProviderKind, Writable};
use crate::provider::schema;

/// One row of `schema fields`: a field of a provider's group or member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldRow {
    /// The provider kind, as the config writes it.
    pub kind: &'static str,
    /// `group` or `member`.
    pub object: &'static str,
    /// The provider's own name, as it stands left of a mapping line.
    pub wire: &'static str,
    /// The canonical name, as it stands after `source.`.
    pub canonical: &'static str,
    /// The type of the value.
    pub r#type: &'static str,
    /// Whether the provider returns it.
    pub readable: bool,
    /// `no`, `on creation` or `yes`.
    pub writable: &'static str,
    /// Whether an object can't be created without it.
    pub required: bool,
    /// Whether no two objects of an account may share a value.
    pub unique: bool,
    /// The longest value in characters.
    pub max_length: Option<usize>,
    /// The only values allowed, in the provider's words; empty where anything goes.
    pub values: Vec<&'static str>,
    /// The provider default that stands in for it.
    pub default_key: Option<&'static str>,
    /// Where the row comes from.
    pub source: &'static str,
}

/// Returns the fields of every provider kind, groups before members.
pub fn fields_table() -> Vec<FieldRow> {
    let mut rows = Vec::new();
    for kind in ProviderKind::ALL {
        for object in [ObjectKind::Group, ObjectKind::Member] {
            rows.extend(schema(kind).fields(object).iter().map(|field| FieldRow {
                kind: kind.table_name(),
                object: object.as_str(),
                wire: field.wire,
                canonical: field.canonical,
                r#type: field.kind.as_str(),
                readable: field.readable,
                writable: match field.writable {
                    Writable::No => "no",
                    Writable::OnCreate => "on creation",
                    Writable::Always => "yes",
                },
                required: field.required,
                unique: field.unique,
                max_length: field.max_length,
                values: match field.kind {
                    FieldType::Boolean => Vec::new(),
                    _ => field.values.iter().map(|(wire, _)| *wire).collect(),
                },
                default_key: field.default_key,
                source: field.source,
            }));
        }
    }
    rows
}

/// Returns the JSON Schema (draft 2020-12) of the configuration.
pub fn json_schema() -> Value {
    let Value::Object(body) = table(keys::ROOT) else {
        return Value::Null;
    };
    let mut root = Map::new();
    root.insert(
        "$schema".to_owned(),
        json!("https://json-schema.org/draft/2020-12/schema"),
    );
    root.insert("title".to_owned(), json!("rosterd configuration"));
    root.extend(body);
    let definitions = json!({ "secret": secret(), "limit": limit(), "duration": duration() });
    root.insert("$defs".to_owned(), definitions);
    Value::Object(root)
}

fn table(keys: &[Key]) -> Value {
    let properties: Map<String, Value> = keys
        .iter()
        .map(|key| (key.name.to_owned(), property(key)))
        .collect();
    let required: Vec<&str> = keys
        .iter()
        .filter(|key| key.required)
        .map(|key| key.name)
        .collect();
    let mut schema =
        json!({ "type": "object", "additionalProperties": false, "properties": properties });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    if keys.iter().any(|key| key.name == "kind") {
        schema["allOf"] = by_kind(keys);
    }
    schema
}

/// Says for each provider kind which keys are not its own, and which defaults are.
fn by_kind(keys: &[Key]) -> Value {
    ProviderKind::ALL
        .into_iter()
        .map(|kind| {
            let mut properties = Map::new();
            for key in keys {
                if !key.is_of(kind) {
                    properties.insert(key.name.to_owned(), allowed_elsewhere(key));
                } else if let Some((_, default)) = key.default_by_kind.iter().find(|(own, _)| *own == kind) {
                    properties.insert(key.name.to_owned(), json!({ "default": as_json(default) }));
                }
            }
            let mut asked = json!({ "properties": { "kind": { "const": kind.as_str() } }, "required": ["kind"] });
            let mut then = json!({ "properties": properties });
            if let Some(word) = kind.groups_word() {
                asked["properties"]["groups"] = json!({ "const": word });
                then["required"] = json!(["groups", "base_url", "api_key"]);
            }
            json!({ "if": asked, "then": then })
        })
        .collect()
}

/// A key of another kind is taken at its default and refused otherwise.
fn allowed_elsewhere(key: &Key) -> Value {
    key.default.map_or(
        Value::Bool(false),
        |default| json!({ "const": as_json(default) }),
    )
}

fn property(key: &Key) -> Value {
    let mut schema = shape(key.shape);
    schema["description"] = match key.kinds {
        [] => json!(key.doc),
        kinds => {
            let names: Vec<&str> = kinds.iter().map(|kind| kind.full_title()).collect();
            json!(format!("{} Only for {}.", key.doc, names.join(" and ")))
        }
    };
    if let Some(default) = key.default {
        schema["default"] = as_json(default);
    }
    schema
}

fn shape(shape: Shape) -> Value {
    match shape {
        Shape::Text | Shape::TimeZone | Shape::FilePath | Shape::Listen => {
            json!({ "type": "string", "minLength": 1 })
        }
        Shape::Address => json!({ "type": "string", "format": "email" }),
        Shape::Id => json!({ "type": ["string", "integer"], "minLength": 1, "minimum": 0 }),
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Integer { least, most } => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Shape::Duration => json!({ "$ref": "#/$defs/duration" }),
        Shape::Size => {
            json!({ "type": "string", "pattern": "^ *[0-9]+ *([kKmMgG][iI]?)?[bB] *$" })
        }
        Shape::Refresh => {
            json!({ "anyOf": [{ "const": "always" }, { "$ref": "#/$defs/duration" }] })
        }
        Shape::Choice(words) => json!({ "enum": words }),
        Shape::Secret => json!({ "$ref": "#/$defs/secret" }),
        Shape::Url(_) => json!({ "type": "string", "format": "uri" }),
        Shape::Texts => json!({ "type": "array", "items": { "type": "string", "minLength": 1 } }),
        Shape::Limit => json!({ "$ref": "#/$defs/limit" }),
        Shape::IdPairs => {
            json!({ "type": "object", "additionalProperties": { "type": ["string", "integer"] } })
        }
        // `custom.name` without quotes is a table to TOML.
        Shape::Expressions => json!({
            "type": "object",
            "properties": { "custom": { "type": ["object", "string"], "additionalProperties": { "type": "string" } } },
            "additionalProperties": { "type": "string", "minLength": 1 },
        }),
        Shape::Table(keys) => table(keys),
        Shape::NamedTables(keys) => {
            json!({ "type": "object", "propertyNames": { "minLength": 1, "maxLength": 64 }, "additionalProperties": table(keys) })
        }
    }
}

fn secret() -> Value {
    let mut schema = table(keys::SECRET);
    schema["description"] = json!("Where a secret is. A secret itself never stands in the file.");
    schema["minProperties"] = json!(1);
    schema["maxProperties"] = json!(1);
    schema
}

fn limit() -> Value {
    let share = json!({ "type": "string", "pattern": "^([0-9]+(\\.[0-9]*)?|\\.[0-9]+) *%$" });
    let count = json!({ "type": "integer", "minimum": 0 });
    let both = json!({ "type": "array", "minItems": 1, "maxItems": 2, "items": { "anyOf": [share, count] } });
    json!({ "description": "A share, a number, both (either trips), or \"none\".", "anyOf": [{ "const": "none" }, share, count, both] })
}

fn duration() -> Value {
    json!({ "type": "string", "minLength": 2, "description": "A duration such as \"30s\", \"15m\", \"6h\" or \"400d\"." })
}

/// Reads a default of the key table as JSON.
fn as_json(default: &str) -> Value {
    let line = format!("value = {default}");
    line.parse::<toml::Table>()
        .ok()
        .and_then(|table| serde_json::to_value(table.get("value")?).ok())
        .unwrap_or_default()
}
