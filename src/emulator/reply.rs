//! An answer before it is written out, and what faults do to its content.

use axum::http::StatusCode;
use serde_json::Value;

use super::greenrope::Node;
use super::oddities::shorten;

/// An answer before it is written out.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) document: Document,
    pub(super) outcome: String,
}

/// The body of an answer.
pub(super) enum Document {
    /// A JSON text.
    Json(Value),
    /// An XML text.
    Xml(Node),
    /// The JSON rendering of what would be an XML text.
    XmlAsJson(Node),
    /// An ActiveCampaign answer in one of its formats.
    Campaigns(super::activecampaign::Page),
}

impl Document {
    pub(super) fn content_type(&self) -> &'static str {
        match self {
            Self::Json(_) | Self::XmlAsJson(_) => "application/json; charset=utf-8",
            Self::Xml(_) => "text/xml; charset=utf-8",
            Self::Campaigns(page) => page.content_type(),
        }
    }

    pub(super) fn render(&self) -> Vec<u8> {
        match self {
            Self::Json(value) => value.to_string().into_bytes(),
            Self::Xml(node) => node.to_xml().into_bytes(),
            Self::XmlAsJson(node) => node.to_json().to_string().into_bytes(),
            Self::Campaigns(page) => page.render().into_bytes(),
        }
    }

    pub(super) fn shift_counts(&mut self, by: i64) {
        match self {
            Self::Json(value) => shift_json(value, by),
            Self::Xml(node) | Self::XmlAsJson(node) => node.shift_counts(by),
            Self::Campaigns(page) => page.shift_counts(by),
        }
    }

    /// Takes the last row out of the longest list.
    pub(super) fn shorten(&mut self) {
        match self {
            Self::Json(value) => shorten(value),
            Self::Xml(node) | Self::XmlAsJson(node) => node.shorten(),
            Self::Campaigns(page) => shorten(&mut page.value),
        }
    }

    pub(super) fn remove_lists(&mut self) {
        match self {
            Self::Json(value) => {
                let Some(envelope) = value.as_object_mut() else {
                    return;
                };
                match envelope.get_mut("data") {
                    Some(Value::Object(data)) => {
                        data.remove("records");
                        data.remove("contactResults");
                    }
                    Some(Value::Array(_)) => {
                        envelope.remove("data");
                    }
                    _ => {}
                }
            }
            Self::Xml(node) | Self::XmlAsJson(node) => node.remove_lists(),
            Self::Campaigns(page) => page.remove_lists(),
        }
    }
}

fn shift_json(value: &mut Value, by: i64) {
    const COUNTS: [&str; 6] = [
        "totalRecords",
        "totalMembers",
        "recordsInserted",
        "recordsUpdated",
        "recordsInData",
        "totalSuccess",
    ];
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value.as_i64() {
                    Some(count) if COUNTS.contains(&key.as_str()) => {
                        *value = (count + by).max(0).into();
                    }
                    _ => shift_json(value, by),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| shift_json(value, by)),
        _ => {}
    }
}
