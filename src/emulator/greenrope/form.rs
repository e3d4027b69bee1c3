//! The form around each request, and whether it is as the service wants it.

use axum::http::{Method, header};

use super::xml::Node;
use super::{Failure, Operation};
use crate::emulator::exchange::{Context, Incoming};
use crate::emulator::misuse::MisuseKind;

/// The fields of the form; names are case sensitive.
#[derive(Default)]
pub(super) struct Form {
    pub(super) email: String,
    pub(super) password: Option<String>,
    pub(super) auth_token: Option<String>,
    pub(super) xml: String,
    others: Vec<String>,
}

impl Form {
    pub(super) fn read(incoming: &Incoming) -> Self {
        let mut form = Self::default();
        for (name, value) in url::form_urlencoded::parse(&incoming.body) {
            let value = value.into_owned();
            match name.as_ref() {
                "email" => form.email = value,
                "password" => form.password = Some(value),
                "auth_token" => form.auth_token = Some(value),
                "xml" => form.xml = value,
                // A body that is no form at all would be one long name.
                other => form.others.push(
                    other
                        .chars()
                        .take(40)
                        .filter(char::is_ascii_alphanumeric)
                        .collect(),
                ),
            }
        }
        form
    }

    /// Checks everything but the login and returns the request document.
    pub(super) fn check(
        &self,
        incoming: &Incoming,
        context: &mut Context,
    ) -> Result<Node, Failure> {
        if incoming.method != Method::POST {
            context.misuse(MisuseKind::WrongMethod, incoming.method.as_str());
            return Err(Failure::new(Failure::MALFORMED, "Only POST is accepted."));
        }
        if incoming.query.is_some() {
            context.misuse(MisuseKind::QueryOnPost, "a query string on a POST");
        }
        let content_type = incoming.header(header::CONTENT_TYPE);
        let media_type = content_type.split(';').next().unwrap_or("").trim();
        if !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            context.misuse(
                MisuseKind::WrongContentType,
                "the body is not declared as a form",
            );
            return Err(Failure::new(Failure::MALFORMED, "The body must be a form."));
        }
        if std::str::from_utf8(&incoming.body).is_err() {
            context.misuse(MisuseKind::UnreadableBody, "the form is not UTF-8");
            return Err(Failure::new(Failure::MALFORMED, "The body must be UTF-8."));
        }
        for name in &self.others {
            context.misuse(MisuseKind::UnknownParameter, format!("form field {name}"));
        }
        let parsed = Node::parse(&self.xml).map_err(|reason| {
            context.misuse(
                MisuseKind::UnreadableBody,
                format!("the XML can't be read: {reason}"),
            );
            Failure::new(Failure::MALFORMED, "The XML could not be parsed.")
        })?;
        if parsed.declared {
            context.misuse(
                MisuseKind::XmlDeclaration,
                "an XML declaration before the root",
            );
            return Err(Failure::new(
                Failure::MALFORMED,
                "The XML must not begin with a declaration.",
            ));
        }
        Ok(parsed.root)
    }
}

/// All account numbers that a request names, on its root and on its items.
pub(super) fn account_ids(root: &Node) -> Vec<&str> {
    let items = root
        .children
        .iter()
        .flat_map(|container| &container.children);
    std::iter::once(root)
        .chain(items)
        .filter_map(|node| node.attribute("account_id"))
        .collect()
}

/// Records names that the operation does not know. They have no effect, which may mean that
/// everything comes back.
pub(super) fn check_names(root: &Node, operation: &Operation, context: &mut Context) {
    let mut unknown = |place: &str, name: &str| {
        context.misuse(MisuseKind::UnknownParameter, format!("{place} {name}"));
    };
    for (name, _) in &root.attributes {
        if !operation.attributes.contains(&name.as_str()) {
            unknown("attribute", name);
        }
    }
    for child in &root.children {
        if !operation.children.contains(&child.name.as_str()) {
            unknown("element", &child.name);
        }
    }
    let Some(items) = operation.items else { return };
    for item in root
        .child(items.container)
        .map(|container| container.children.as_slice())
        .unwrap_or_default()
    {
        if item.name != items.item {
            unknown("item", &item.name);
        }
        for (name, _) in &item.attributes {
            if !items.attributes.contains(&name.as_str()) {
                unknown("item attribute", name);
            }
        }
        for child in &item.children {
            if !items.children.contains(&child.name.as_str()) {
                unknown("item element", &child.name);
            }
        }
    }
}
