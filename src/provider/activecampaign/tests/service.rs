//! What the tests of the order of calls have in common: an adapter before a router.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse;
use secrecy::SecretString;
use url::{Url, form_urlencoded};

use crate::http::{Account, AccountOptions, Transport};
use crate::model::{
    Certificate, GroupRow, ItemOutcome, Record, Settlement, TotalMeanings, Value, Write,
};
use crate::provider::activecampaign::{
    ActiveCampaign, ActiveCampaignGroups, ActiveCampaignOptions,
};
use crate::provider::testing::{Read, read_members};
use crate::provider::{ReadError, Role, Source, Target};

/// Makes an adapter for an account behind a router.
pub(super) fn adapter(
    router: Router,
    path: &str,
    key: &str,
    groups: ActiveCampaignGroups,
    parking: Option<u64>,
) -> ActiveCampaign {
    let base = Url::parse(&format!("https://emulator.test{path}")).unwrap();
    let mut options = AccountOptions::new("campaigns", base, Transport::Local(router));
    options.requests_per_minute = Some(240);
    options.max_retries = 1;
    let own = ActiveCampaignOptions {
        api_key: SecretString::from(key),
        groups,
        parking_group: parking.map(|group| group.to_string()),
        batch_cap: None,
    };
    ActiveCampaign::new(own, Account::new(options))
}

/// Makes an adapter of user groups, before nobody, with some parking group.
pub(super) fn parking(group: &str) -> ActiveCampaign {
    let base = Url::parse("https://emulator.test").unwrap();
    let own = ActiveCampaignOptions {
        api_key: SecretString::from("hush"),
        groups: ActiveCampaignGroups::UserGroups,
        parking_group: Some(group.to_owned()),
        batch_cap: None,
    };
    ActiveCampaign::new(
        own,
        Account::new(AccountOptions::new(
            "campaigns",
            base,
            Transport::Local(Router::new()),
        )),
    )
}

/// A request as the scripted service saw it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// The action of version 1, or the path of version 3.
    pub(super) call: String,
    /// The parameters of address and form.
    pub(super) parameters: BTreeMap<String, String>,
    /// The body, as text.
    pub(super) body: String,
}

/// The requests of a scripted service.
pub(super) type Log = Arc<Mutex<Vec<Asked>>>;

/// Makes an adapter whose service answers as `answer` says.
pub(super) fn scripted(
    groups: ActiveCampaignGroups,
    answer: impl Fn(&Asked) -> (u16, Vec<u8>) + Send + Sync + 'static,
) -> (ActiveCampaign, Log) {
    let log = Log::default();
    let requests = Arc::clone(&log);
    let answer = Arc::new(answer);
    let router = Router::new().fallback(move |uri: Uri, body: Bytes| {
        let mut parameters: BTreeMap<String, String> =
            form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect();
        let body = String::from_utf8(body.to_vec()).unwrap();
        if !body.starts_with('{') {
            parameters.extend(form_urlencoded::parse(body.as_bytes()).into_owned());
        }
        let call = match parameters.get("api_action") {
            Some(action) => action.clone(),
            None => uri.path().trim_start_matches("/api/3/").to_owned(),
        };
        let asked = Asked {
            call,
            parameters,
            body,
        };
        requests.lock().unwrap().push(asked.clone());
        let (status, body) = answer(&asked);
        async move { (StatusCode::from_u16(status).unwrap(), body).into_response() }
    });
    (adapter(router, "", "hush", groups, Some(5)), log)
}

pub(super) async fn read(
    adapter: &ActiveCampaign,
    fields: &[&str],
    role: Role<'_>,
) -> Result<Read, ReadError> {
    adapter.open().await?;
    let (groups, certificate) = adapter.groups(&|_, _| true).await?;
    assert!(
        certificate
            .certify((), &mut TotalMeanings::all())
            .complete()
            .is_some(),
        "{certificate:?}"
    );
    read_groups(adapter, &groups, fields, role).await
}

pub(super) async fn read_groups(
    adapter: &ActiveCampaign,
    groups: &[GroupRow],
    fields: &[&str],
    role: Role<'_>,
) -> Result<Read, ReadError> {
    read_members(adapter, groups, &Certificate::of_the_end(), fields, role).await
}

/// Sends a write and asks after it to its end.
pub(super) async fn sent(adapter: &ActiveCampaign, write: &Write) -> Vec<ItemOutcome> {
    let mut settlement = adapter
        .send(write)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    loop {
        match settlement {
            Settlement::Items(outcomes) => {
                assert_eq!(outcomes.len(), write.items(), "one outcome per item");
                return outcomes;
            }
            Settlement::Pending(ticket) => {
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                settlement = adapter
                    .poll(&ticket)
                    .await
                    .unwrap_or_else(|error| panic!("{error}"));
            }
        }
    }
}

pub(super) fn record(pairs: &[(&str, &str)]) -> Record {
    pairs
        .iter()
        .map(|(name, text)| ((*name).into(), Value::from(*text)))
        .collect()
}

/// Returns the id of an item that went well.
pub(super) fn id(outcome: &ItemOutcome) -> String {
    match outcome {
        ItemOutcome::Done { id: Some(id) } | ItemOutcome::Accepted { id: Some(id) } => id.clone(),
        other => panic!("no id: {other:?}"),
    }
}
