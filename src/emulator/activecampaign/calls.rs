//! The table of the version 1 calls.

use super::answer::Answer;
use super::form::Form;
use super::{
    Call, contact_reading, contact_removal, contact_writing, list_fields, lists, user_groups, users,
};
use crate::emulator::exchange::Context;
use crate::emulator::misuse::MisuseKind;
use crate::emulator::users::{LIMITS, WRITABLE_FLAGS};

/// One version 1 call.
pub(super) struct Known {
    pub(super) name: &'static str,
    pub(super) is_write: bool,
    /// Whether its data must come by POST; deletions come by GET.
    pub(super) needs_post: bool,
    pub(super) permission: Option<&'static str>,
    /// Its parameters, arrays without their keys.
    parameters: &'static [&'static str],
    pub(super) run: fn(&mut Call<'_>) -> Answer,
}

const READ: Known = Known {
    name: "",
    is_write: false,
    needs_post: false,
    permission: None,
    parameters: &[],
    run: users::me,
};
const SAVE: Known = Known {
    is_write: true,
    needs_post: true,
    ..READ
};
const DELETE: Known = Known {
    is_write: true,
    ..READ
};

const CALLS: &[Known] = &[
    Known {
        name: "list_add",
        permission: Some("pg_list_add"),
        parameters: lists::WRITABLE,
        run: lists::add,
        ..SAVE
    },
    Known {
        name: "list_edit",
        permission: Some("pg_list_edit"),
        parameters: lists::WRITABLE,
        run: lists::edit,
        ..SAVE
    },
    Known {
        name: "list_view",
        parameters: &["id"],
        run: lists::view,
        ..READ
    },
    Known {
        name: "list_list",
        parameters: &["ids", "filters", "global_fields", "full"],
        run: lists::list,
        ..READ
    },
    Known {
        name: "list_paginator",
        parameters: &["sort", "offset", "limit", "filter", "public"],
        run: lists::paginator,
        ..READ
    },
    Known {
        name: "list_delete",
        permission: Some("pg_list_delete"),
        parameters: &["id"],
        run: lists::delete,
        ..DELETE
    },
    Known {
        name: "list_delete_list",
        permission: Some("pg_list_delete"),
        parameters: &["ids"],
        run: lists::delete_several,
        ..DELETE
    },
    Known {
        name: "list_field_add",
        permission: Some("pg_subscriber_fields"),
        parameters: list_fields::WRITABLE,
        run: list_fields::add,
        ..SAVE
    },
    Known {
        name: "list_field_edit",
        permission: Some("pg_subscriber_fields"),
        parameters: list_fields::WRITABLE,
        run: list_fields::edit,
        ..SAVE
    },
    Known {
        name: "list_field_view",
        parameters: &["id", "ids"],
        run: list_fields::view,
        ..READ
    },
    Known {
        name: "list_field_delete",
        permission: Some("pg_subscriber_fields"),
        parameters: &["id"],
        run: list_fields::delete,
        ..DELETE
    },
    Known {
        name: "contact_add",
        permission: Some("pg_subscriber_add"),
        parameters: contact_writing::WRITABLE,
        run: contact_writing::add,
        ..SAVE
    },
    Known {
        name: "contact_sync",
        permission: Some("pg_subscriber_add"),
        parameters: contact_writing::WRITABLE,
        run: contact_writing::sync,
        ..SAVE
    },
    Known {
        name: "contact_edit",
        permission: Some("pg_subscriber_edit"),
        parameters: contact_writing::WRITABLE,
        run: contact_writing::edit,
        ..SAVE
    },
    Known {
        name: "contact_view",
        parameters: &["id"],
        run: contact_reading::view,
        ..READ
    },
    Known {
        name: "contact_view_email",
        parameters: &["email"],
        run: contact_reading::view_email,
        ..READ
    },
    Known {
        name: "contact_view_hash",
        parameters: &["hash"],
        run: contact_reading::view_hash,
        ..READ
    },
    Known {
        name: "contact_list",
        parameters: &["ids", "filters", "full", "sort", "sort_direction", "page"],
        run: contact_reading::list,
        ..READ
    },
    Known {
        name: "contact_paginator",
        parameters: &["sort", "offset", "limit", "filter", "public"],
        run: contact_reading::paginator,
        ..READ
    },
    Known {
        name: "contact_delete",
        permission: Some("pg_subscriber_delete"),
        parameters: &["id", "listids"],
        run: contact_removal::delete,
        ..DELETE
    },
    Known {
        name: "contact_delete_list",
        permission: Some("pg_subscriber_delete"),
        parameters: &["ids", "listids"],
        run: contact_removal::delete_several,
        ..DELETE
    },
    Known {
        name: "contact_tag_add",
        permission: Some("pg_subscriber_edit"),
        parameters: &["email", "id", "tags"],
        run: contact_removal::add_tags,
        ..SAVE
    },
    Known {
        name: "contact_tag_remove",
        permission: Some("pg_subscriber_edit"),
        parameters: &["email", "id", "tags"],
        run: contact_removal::remove_tags,
        ..SAVE
    },
    Known {
        name: "group_add",
        permission: Some("pg_group_add"),
        parameters: user_groups::WRITABLE,
        run: user_groups::add,
        ..SAVE
    },
    Known {
        name: "group_edit",
        permission: Some("pg_group_edit"),
        parameters: user_groups::WRITABLE,
        run: user_groups::edit,
        ..SAVE
    },
    Known {
        name: "group_view",
        parameters: &["id"],
        run: user_groups::view,
        ..READ
    },
    Known {
        name: "group_list",
        parameters: &["ids"],
        run: user_groups::list,
        ..READ
    },
    Known {
        name: "group_delete",
        permission: Some("pg_group_delete"),
        parameters: &["id", "alt"],
        run: user_groups::delete,
        ..DELETE
    },
    Known {
        name: "group_delete_list",
        permission: Some("pg_group_delete"),
        parameters: &["ids", "alt"],
        run: user_groups::delete_several,
        ..DELETE
    },
    Known {
        name: "user_add",
        permission: Some("pg_user_add"),
        parameters: users::WRITABLE,
        run: users::add,
        ..SAVE
    },
    Known {
        name: "user_edit",
        permission: Some("pg_user_edit"),
        parameters: users::WRITABLE,
        run: users::edit,
        ..SAVE
    },
    Known {
        name: "user_view",
        parameters: &["id", "ids"],
        run: users::view,
        ..READ
    },
    Known {
        name: "user_view_email",
        parameters: &["email"],
        run: users::view_email,
        ..READ
    },
    Known {
        name: "user_view_username",
        parameters: &["username"],
        run: users::view_username,
        ..READ
    },
    Known {
        name: "user_list",
        parameters: &["ids"],
        run: users::list,
        ..READ
    },
    Known {
        name: "user_delete",
        permission: Some("pg_user_delete"),
        parameters: &["id", "extra"],
        run: users::delete,
        ..DELETE
    },
    Known {
        name: "user_delete_list",
        permission: Some("pg_user_delete"),
        parameters: &["ids", "extra"],
        run: users::delete_several,
        ..DELETE
    },
    Known {
        name: "user_me",
        run: users::me,
        ..READ
    },
];

pub(super) fn find(name: &str) -> Option<&'static Known> {
    CALLS.iter().find(|call| call.name == name)
}

impl Known {
    /// Records parameters that the call does not have; the service passes them over.
    pub(super) fn check_names(&self, form: &Form, context: &mut Context) {
        for (name, _) in form.pairs() {
            let base = name.split('[').next().unwrap_or(name);
            let is_limit = || {
                LIMITS.iter().any(|limit| {
                    base == format!("limit_{limit}")
                        || base == format!("group_limit_{limit}_checkbox")
                        || (matches!(*limit, "mail" | "campaign")
                            && base == format!("limit_{limit}_type"))
                })
            };
            let known = matches!(base, "api_action" | "api_output" | "api_key")
                || self.parameters.contains(&base)
                || (self.name.starts_with("group_")
                    && self.needs_post
                    && (WRITABLE_FLAGS.contains(&base) || is_limit()));
            if !known {
                context.misuse(
                    MisuseKind::UnknownParameter,
                    base.chars().take(40).collect::<String>(),
                );
            }
        }
    }
}
