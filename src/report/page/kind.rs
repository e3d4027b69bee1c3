//! The kinds of items that a page tells apart, in the order in which it shows them.

use crate::plan::Edit;

/// What is done with one group or person, or why nothing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    OptOut,
    CreateField,
    ReadGroup,
    CreateGroup,
    AdoptGroup,
    ChangeGroup,
    LiftProtection,
    CreatePerson,
    ChangePerson,
    Add,
    Remove,
    ArchiveGroup,
    DeleteGroup,
    Withheld,
    Blocked,
    Accepted,
    /// What somebody changed at the target since the last run.
    Outside,
    /// What a plan that takes a run back does not take back.
    NotUndone,
    /// What an older or newer rosterd did and this one has no word for.
    Other,
}

impl Kind {
    pub(super) const ALL: [Kind; 19] = [
        Kind::OptOut,
        Kind::CreateField,
        Kind::ReadGroup,
        Kind::CreateGroup,
        Kind::AdoptGroup,
        Kind::ChangeGroup,
        Kind::LiftProtection,
        Kind::CreatePerson,
        Kind::ChangePerson,
        Kind::Add,
        Kind::Remove,
        Kind::ArchiveGroup,
        Kind::DeleteGroup,
        Kind::Withheld,
        Kind::Blocked,
        Kind::Accepted,
        Kind::Outside,
        Kind::NotUndone,
        Kind::Other,
    ];

    /// Returns the kind of an edit's items.
    pub(super) fn of(edit: &Edit) -> Kind {
        Kind::of_op(edit.op())
    }

    /// Returns the kind of the items of an operation, as the plan format names it.
    pub(crate) fn of_op(op: &str) -> Kind {
        match op {
            "set_opt_out" => Kind::OptOut,
            "create_field" => Kind::CreateField,
            "list_group" => Kind::ReadGroup,
            "create_group" => Kind::CreateGroup,
            "adopt_group" => Kind::AdoptGroup,
            "update_group" | "rename_group" => Kind::ChangeGroup,
            "lift_protection" => Kind::LiftProtection,
            "create_members" => Kind::CreatePerson,
            "update_member" | "change_address" => Kind::ChangePerson,
            "add_memberships" => Kind::Add,
            "remove_memberships" => Kind::Remove,
            "archive_group" => Kind::ArchiveGroup,
            "delete_group" => Kind::DeleteGroup,
            _ => Kind::Other,
        }
    }

    /// Returns the place in [`Kind::ALL`].
    pub(super) fn place(self) -> usize {
        self as usize
    }

    /// Says in a row of the list what is done.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Kind::OptOut => "opt out",
            Kind::CreateField => "create custom field",
            Kind::ReadGroup => "read group",
            Kind::CreateGroup => "create group",
            Kind::AdoptGroup => "adopt group",
            Kind::ChangeGroup => "change group",
            Kind::LiftProtection => "lift protection",
            Kind::CreatePerson => "create person",
            Kind::ChangePerson => "change profile",
            Kind::Add => "add to group",
            Kind::Remove => "remove from group",
            Kind::ArchiveGroup => "archive group",
            Kind::DeleteGroup => "delete group",
            Kind::Withheld => "withheld",
            Kind::Blocked => "blocked",
            Kind::Accepted => "blocked, accepted",
            Kind::Outside => "changed outside",
            Kind::NotUndone => "not undone",
            Kind::Other => "other",
        }
    }

    /// Says what so many items of the kind are: of a plan, or of a run that did them.
    pub(super) fn words(self, number: u64, done: bool) -> String {
        let (one, many, planned, finished) = match self {
            Kind::OptOut => ("opt-out", "opt-outs", "to carry", "carried"),
            Kind::CreateField => ("custom field", "custom fields", "to create", "created"),
            Kind::ReadGroup => ("group", "groups", "to read", "read"),
            Kind::CreateGroup => ("group", "groups", "to create", "created"),
            Kind::AdoptGroup => ("group", "groups", "to adopt", "adopted"),
            Kind::ChangeGroup => ("group", "groups", "to change", "changed"),
            Kind::LiftProtection => ("protection", "protections", "to lift", "lifted"),
            Kind::CreatePerson => ("person", "people", "to create", "created"),
            Kind::ChangePerson => ("person", "people", "to update", "updated"),
            Kind::Add => ("membership", "memberships", "to add", "added"),
            Kind::Remove => ("membership", "memberships", "to remove", "removed"),
            Kind::ArchiveGroup => ("group", "groups", "to archive", "archived"),
            Kind::DeleteGroup => ("group", "groups", "to delete", "deleted"),
            Kind::Withheld => ("item", "items", "withheld", "withheld"),
            Kind::Blocked => ("item", "items", "blocked", "blocked"),
            Kind::Accepted => (
                "item",
                "items",
                "blocked, and accepted",
                "blocked, and accepted",
            ),
            Kind::Outside => ("value", "values", "changed outside", "changed outside"),
            Kind::NotUndone => (
                "thing",
                "things",
                "not undone, or in part",
                "not undone, or in part",
            ),
            Kind::Other => ("item", "items", "of other kinds", "of other kinds"),
        };
        format!(
            "{} {}",
            if number == 1 { one } else { many },
            if done { finished } else { planned }
        )
    }

    /// Returns the sign that says the same as the colour.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Kind::OptOut => "⊘",
            Kind::CreateField | Kind::CreateGroup | Kind::CreatePerson | Kind::Add => "+",
            Kind::AdoptGroup => "=",
            Kind::ChangeGroup | Kind::ChangePerson => "~",
            Kind::Remove => "−",
            Kind::ArchiveGroup | Kind::DeleteGroup | Kind::Outside => "!",
            Kind::ReadGroup
            | Kind::LiftProtection
            | Kind::Withheld
            | Kind::Accepted
            | Kind::NotUndone
            | Kind::Other => "○",
            Kind::Blocked => "×",
        }
    }

    /// Returns the class that gives the colour.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Kind::OptOut => "optout",
            Kind::CreateField | Kind::CreateGroup | Kind::CreatePerson | Kind::Add => "add",
            Kind::AdoptGroup => "keep",
            Kind::ChangeGroup | Kind::ChangePerson | Kind::Outside => "change",
            Kind::Remove | Kind::ArchiveGroup | Kind::DeleteGroup | Kind::Blocked => "gone",
            Kind::ReadGroup
            | Kind::LiftProtection
            | Kind::Withheld
            | Kind::Accepted
            | Kind::NotUndone
            | Kind::Other => "quiet",
        }
    }

    /// Tells whether the item is a group itself, and nobody in it.
    pub(super) fn is_of_group(self) -> bool {
        matches!(
            self,
            Kind::ReadGroup
                | Kind::CreateGroup
                | Kind::AdoptGroup
                | Kind::ChangeGroup
                | Kind::LiftProtection
                | Kind::ArchiveGroup
                | Kind::DeleteGroup
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::operations;

    #[test]
    fn every_operation_of_a_run_has_a_kind_and_every_kind_its_place() {
        for op in operations() {
            assert_ne!(Kind::of_op(op), Kind::Other, "{op}");
        }
        for (at, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind.place(), at, "{kind:?}");
        }
    }
}
