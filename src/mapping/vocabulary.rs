//! The canonical names that expressions may read, and what the built-in map leaves alone.

use strsim::damerau_levenshtein;

use crate::model::{FieldSpec, FieldType, ObjectKind, Schema, Writable};

/// The canonical names of a group that any provider may hold, or that may be carried for one that
/// can't.
pub const GROUP_NAMES: &[&str] = &[
    "id",
    "name",
    "display_name",
    "description",
    "external_id",
    "protected",
    "visibility",
    "status",
    "kind",
    "notes",
    "sender_name",
    "sender_email",
    "postal_address",
    "time_zone",
    "permissions",
    "limits",
    "settings",
    "lists",
    "member_count",
];

/// The canonical names of a member that any provider may hold, or that may be carried for one that
/// can't.
pub const MEMBER_NAMES: &[&str] = &[
    "id",
    "email",
    "first_name",
    "last_name",
    "title",
    "company",
    "phone",
    "mobile",
    "fax",
    "address1",
    "address2",
    "city",
    "state",
    "zip",
    "country",
    "website",
    "external_id",
    "notes",
    "birth_date",
    "gender",
    "status",
    "custom",
];

/// Returns the shared names of an object.
pub fn shared_names(object: ObjectKind) -> &'static [&'static str] {
    match object {
        ObjectKind::Group => GROUP_NAMES,
        ObjectKind::Member => MEMBER_NAMES,
    }
}

/// Returns every name that may stand after `source.`, in order: the shared ones and those of the
/// source's own table.
pub(super) fn readable_names(source: &Schema, object: ObjectKind) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = shared_names(object).to_vec();
    for field in source.fields(object) {
        let name = first_part(field.canonical);
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Tells whether a name has parts of its own, as in `source.custom.label`.
pub(super) fn has_parts(source: &Schema, object: ObjectKind, name: &str) -> bool {
    matches!(name, "custom" | "permissions" | "limits" | "settings")
        || source
            .fields(object)
            .iter()
            .any(|field| field.canonical != name && first_part(field.canonical) == name)
}

/// Returns the part of a canonical name before the first dot.
pub(super) fn first_part(canonical: &str) -> &str {
    canonical
        .split_once('.')
        .map_or(canonical, |(first, _)| first)
}

/// Tells why the config may not map a target field of this canonical name; nothing when it may.
pub(super) fn not_mappable(object: ObjectKind, canonical: &str) -> Option<&'static str> {
    match (object, canonical) {
        (_, "id") => Some("the provider gives the id; it can't be mapped"),
        (ObjectKind::Member, "email") => {
            Some("the address tells who a member is; it can't be mapped")
        }
        // The status of a member is a consent, which the rules of the plan decide and never a
        // mapping.
        (ObjectKind::Member, "status") | (_, "kind") => {
            Some("the plan decides it by its own rules; it can't be mapped")
        }
        _ => None,
    }
}

/// Tells whether the built-in map copies a source's canonical field of the same meaning into a
/// field of the target.
pub(super) fn built_in(
    object: ObjectKind,
    field: &FieldSpec,
    source: &Schema,
    target: &Schema,
) -> bool {
    let canonical = field.canonical;
    if not_mappable(object, canonical).is_some() || is_bookkeeping(canonical) {
        return false;
    }
    if !shared_names(object).contains(&first_part(canonical)) {
        // What only one service has goes from account to account there (the parts of a list's
        // sender, the memo of a contact), also by way of a provider that can't hold it, where it
        // comes as a carried value. What is unique belongs to its account.
        let known = source.by_canonical(object, canonical);
        return field.readable
            && !field.unique
            && known.is_none_or(|row| row.readable && source.kind == target.kind);
    }
    match canonical {
        // The planner owns the flag: it may set it, and never clears it by a copied value (rule 2).
        "protected" => false,
        // Custom fields are paired by their labels once both accounts are known.
        _ if first_part(canonical) == "custom" => false,
        // Spelled differently by each kind of provider, so that a copy would be wrong more often
        // than right.
        "birth_date" | "gender" => source.kind == target.kind,
        _ => true,
    }
}

/// Tells whether a canonical field says what the members of a group may do or see in their account:
/// permissions, limits, settings and ids of other objects. No built-in map grants any of it, since
/// only the config's own lines say that somebody wants that.
pub(super) fn is_right(canonical: &str) -> bool {
    matches!(
        first_part(canonical),
        "permissions" | "limits" | "settings" | "lists"
    )
}

/// Tells whether a canonical field describes the account rather than the group or person, so that
/// it is not missed elsewhere.
pub(super) fn is_bookkeeping(canonical: &str) -> bool {
    is_right(canonical)
        || matches!(
            first_part(canonical),
            "id" | "kind" | "status" | "member_count"
        )
}

/// Tells whether a canonical field of the source is worth keeping where the target has no home for
/// it.
pub(super) fn is_worth_carrying(
    object: ObjectKind,
    canonical: &str,
    source: &Schema,
    target: &Schema,
) -> bool {
    if is_bookkeeping(canonical) || not_mappable(object, canonical).is_some() {
        return false;
    }
    let row = source.by_canonical(object, canonical);
    if is_derived(row, source, target) {
        return false;
    }
    if shared_names(object).contains(&first_part(canonical)) {
        return true;
    }
    // What a provider computes itself (dates, scores) is not data that anybody entered; what it
    // does not know was carried to it.
    row.is_none_or(|row| row.writable != Writable::No && row.kind != FieldType::Timestamp)
}

/// Tells whether the target makes a field of others by itself, as the source of the same kind did.
fn is_derived(row: Option<&FieldSpec>, source: &Schema, target: &Schema) -> bool {
    source.kind == target.kind && row.is_some_and(|row| row.writable == Writable::No)
}

/// Returns the known name that was probably meant.
pub(super) fn nearest<'a>(
    typed: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    known
        .into_iter()
        .map(|name| (damerau_levenshtein(&typed, &name.to_lowercase()), name))
        .filter(|(distance, name)| {
            *distance
                <= (name.chars().count() / 3)
                    .max(2)
                    .min(typed.chars().count().saturating_sub(1))
        })
        .min()
        .map(|(_, name)| name)
}
