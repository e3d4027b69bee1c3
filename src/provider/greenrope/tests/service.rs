//! A scripted service: answers by operation, and a log of what was asked.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse;
use secrecy::SecretString;
use url::{Url, form_urlencoded};

use super::super::{GreenRope, GreenRopeCredential, GreenRopeOptions};
use super::fixture;
use crate::http::{Account, AccountOptions, Transport};

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub form: Vec<(String, String)>,
    pub path: String,
}

impl Asked {
    pub(super) fn xml(&self) -> &str {
        self.field("xml")
    }

    pub(super) fn field(&self, name: &str) -> &str {
        self.form
            .iter()
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value)
    }
}

/// What the service says: status and body.
pub(super) type Said = (u16, Vec<u8>);

/// The requests so far.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<Asked>>>);

impl Log {
    pub(super) fn all(&self) -> Vec<Asked> {
        self.0.lock().unwrap().clone()
    }

    /// The requests of an operation, by the beginning of their document.
    pub(super) fn of(&self, operation: &str) -> Vec<Asked> {
        self.all()
            .into_iter()
            .filter(|asked| asked.xml().starts_with(&format!("<{operation}Request")))
            .collect()
    }
}

/// Makes an adapter whose service answers with `answer`, or as a sound small account where that
/// says nothing.
pub(super) fn adapter(
    answer: impl Fn(&Asked, usize) -> Option<Said> + Send + Sync + 'static,
) -> (GreenRope, Log) {
    with_options(
        answer,
        GreenRopeCredential::Password(SecretString::from("hush")),
        false,
    )
}

pub(super) fn with_options(
    answer: impl Fn(&Asked, usize) -> Option<Said> + Send + Sync + 'static,
    credential: GreenRopeCredential,
    shared_access: bool,
) -> (GreenRope, Log) {
    let log = Log::default();
    let requests = log.clone();
    let answer = Arc::new(answer);
    let router = Router::new().fallback(move |uri: Uri, body: Bytes| {
        let asked = Asked {
            form: form_urlencoded::parse(&body).into_owned().collect(),
            path: uri.path().to_owned(),
        };
        let number = {
            let mut requests = requests.0.lock().unwrap();
            requests.push(asked.clone());
            requests.len()
        };
        let (status, body) = answer(&asked, number).unwrap_or_else(|| (200, sound(&asked)));
        async move { (StatusCode::from_u16(status).unwrap(), body).into_response() }
    });
    let base = Url::parse("https://api.example.org/api-xml").unwrap();
    let options = AccountOptions {
        max_retries: 1,
        ..AccountOptions::new("crm", base, Transport::Local(router))
    };
    let options = (
        options,
        GreenRopeOptions {
            account_id: "45429".to_owned(),
            email: "ops+crm@example.org".to_owned(),
            credential,
            shared_access,
            batch_cap: None,
        },
    );
    (GreenRope::new(options.1, Account::new(options.0)), log)
}

/// A small account: group 7 with 101, 102, 103 and the opted-out 104, group 8 empty, 105 in no
/// group.
fn sound(asked: &Asked) -> Vec<u8> {
    let xml = asked.xml();
    let body: &[u8] = if xml.starts_with("<GetAuthToken") {
        b"<GetAuthTokenResponse><Result>Success</Result><Token>t+1</Token></GetAuthTokenResponse>"
    } else if xml.starts_with("<GetAccountsWithAccess") {
        fixture!("accounts.xml")
    } else if xml.starts_with("<GetGroups") {
        fixture!("groups.xml")
    } else if xml.starts_with("<GetUserDefinedFields") {
        fixture!("custom_fields.xml")
    } else if xml.contains("29990101") {
        // What is asked for since a day that has not come.
        fixture!("nobody.xml")
    } else if xml.contains("group_id=\"999999999\"") {
        // A group that the account does not have.
        b"<GetContactsResponse><Result>Error</Result><ErrorCode>9002</ErrorCode><ErrorText>The group was not found.</ErrorText></GetContactsResponse>"
    } else if xml.contains("group_id=\"7\" Unsubscribed") {
        fixture!("opt_outs.xml")
    } else if xml.contains("group_id=\"8\"") || xml.contains("Bounced=") {
        fixture!("nobody.xml")
    } else if xml.contains("Unsubscribed") {
        fixture!("account_opt_outs.xml")
    } else if xml.contains("group_id=\"7\"") {
        fixture!("members.xml")
    } else if xml.starts_with("<GetContacts") {
        fixture!("account.xml")
    } else {
        panic!("nothing is scripted for {xml}")
    };
    body.to_vec()
}
