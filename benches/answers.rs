//! How much time and memory it takes to read one long answer.
//!
//! `cargo bench --bench answers -- 64 1024` reads a page of 64 MB of JSON (emfluence) and a document
//! of 1 GB of XML (GreenRope), each through its adapter from a service in the same process that
//! makes the bytes as they are asked for. Without numbers the answers are of 16 and 64 MB.
//!
//! Measured on two cores: 1,024 MB of XML with 2,560,000 people in 18.4 s with 37 MB more than before,
//! of which who is in the group takes eight bytes a person; 64 MB of JSON with 160,000 people in 1.3 s
//! with 82 MB more: all people of a page, with the fields that are asked for, and nothing of the page
//! as text. Real pages have 1,000 people at most.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark takes the time, says what it measured, and stops where it can't"
)]

use std::convert::Infallible;
use std::fs;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::stream;
use rosterd::http::{Account, AccountOptions, Transport};
use rosterd::model::{
    Certificate, GroupKind, GroupRow, GroupStatus, MemberRow, MemberSink, MembershipState, Record,
    SinkError, Value,
};
use rosterd::provider::emfluence::{Emfluence, EmfluenceOptions};
use rosterd::provider::greenrope::{GreenRope, GreenRopeCredential, GreenRopeOptions};
use rosterd::provider::{MemberAsk, Role, Source};
use secrecy::SecretString;
use url::Url;

/// So many bytes a record has, about.
const RECORD: usize = 400;

fn main() {
    let sizes: Vec<usize> = std::env::args()
        .filter_map(|size| size.parse().ok())
        .collect();
    let (json, xml) = match sizes.as_slice() {
        [json, xml, ..] => (*json, *xml),
        _ => (16, 64),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let start = peak();
    println!("before: {start} MB");
    runtime.block_on(measure("XML, GreenRope", xml, |records| {
        Box::new(greenrope(records))
    }));
    runtime.block_on(measure("JSON, emfluence", json, |records| {
        Box::new(emfluence(records))
    }));
}

async fn measure(what: &str, megabytes: usize, adapter: fn(usize) -> Box<dyn Source>) {
    let records = megabytes * 1_000_000 / RECORD;
    let adapter = adapter(records);
    let mut counted = Counted::default();
    let group = GroupRow {
        id: "7".to_owned(),
        wire: Record::from([("Name".into(), Value::from("Donors"))]),
        kind: GroupKind::Static,
        status: GroupStatus::Active,
        test_group: false,
        auto_response: false,
        member_count: None,
        detailed: true,
        unread: None,
    };
    let fields = ["firstName", "lastName", "Firstname", "Lastname"].map(str::to_owned);
    let ask = MemberAsk {
        groups: &[group],
        fields: &fields,
        role: Role::Source,
    };
    let before = peak();
    let began = Instant::now();
    adapter.members(&ask, &mut counted).await.unwrap();
    let took = began.elapsed().as_secs_f64();
    let after = peak();
    println!(
        "{what}: {megabytes} MB, {} people in {took:.1} s ({:.0} MB/s); peak memory {after} MB, {} MB more than before; problems: {:?}",
        counted.rows,
        megabytes as f64 / took,
        after - before,
        counted.problems,
    );
}

/// The most memory that the process had so far, in megabytes.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) / 1000
}

/// Keeps nothing but counts.
#[derive(Default)]
struct Counted {
    rows: u64,
    problems: Vec<String>,
}

impl MemberSink for Counted {
    fn begin_reading(&mut self, _group: &str) {}

    fn unreadable(&mut self, _member_id: &str, _what: rosterd::model::Unreadable) {}

    fn refused_at(&mut self, _member_id: &str, _seconds: i64) {}

    fn everybody(&mut self, _certificate: Certificate) {}

    fn member(&mut self, row: MemberRow) -> Result<(), SinkError> {
        self.rows += 1;
        drop(row);
        Ok(())
    }

    fn begin_listing(&mut self, _group: &str) {}

    fn listed(&mut self, _member_id: &str, _state: MembershipState) {}

    fn end_listing(&mut self, certificate: Certificate) {
        self.problems.extend(certificate.problems);
    }

    fn account_state(&mut self, certificate: Certificate) {
        self.problems.extend(certificate.problems);
    }

    fn whole_account(&mut self) {}

    fn absent(&mut self, _address: &str) {}
}

/// An answer that is made while it is read.
fn long(
    before: String,
    records: usize,
    record: fn(usize) -> String,
    separator: &'static str,
    after: &'static str,
) -> Response {
    const AT_ONCE: usize = 100;
    let pieces = (0..records).step_by(AT_ONCE).map(move |from| {
        let to = records.min(from + AT_ONCE);
        let mut piece = String::new();
        for at in from..to {
            piece.push_str(&record(at));
            if at + 1 < records {
                piece.push_str(separator);
            }
        }
        piece
    });
    let all = std::iter::once(before)
        .chain(pieces)
        .chain([after.to_owned()]);
    let all = all.map(|piece| Ok::<Bytes, Infallible>(Bytes::from(piece)));
    Response::new(Body::from_stream(stream::iter(all)))
}

fn account(base: &str, router: Router) -> Account {
    Account::new(AccountOptions {
        timeout: std::time::Duration::from_mins(30),
        ..AccountOptions::new("bench", Url::parse(base).unwrap(), Transport::Local(router))
    })
}

fn greenrope(records: usize) -> GreenRope {
    let router = Router::new().fallback(move |body: Bytes| async move {
        let form: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
        let xml = form.iter().find(|(name, _)| name == "xml");
        let xml = xml.map_or("", |(_, xml)| xml.as_str());
        let said = if xml.starts_with("<GetAuthToken") {
            "<GetAuthTokenResponse><Result>Success</Result><Token>t</Token></GetAuthTokenResponse>"
        } else if xml.contains("group_id=\"7\"") && !xml.contains("Unsubscribed") {
            let before = format!(
                "<GetContactsResponse><Result>Success</Result><TotalMatchingContacts>{records}</TotalMatchingContacts><Contacts>"
            );
            return long(before, records, contact_xml, "", "</Contacts></GetContactsResponse>");
        } else {
            "<GetContactsResponse><Result>Success</Result><TotalMatchingContacts>0</TotalMatchingContacts><Contacts></Contacts></GetContactsResponse>"
        };
        Response::new(Body::from(said))
    });
    let options = GreenRopeOptions {
        account_id: "45429".to_owned(),
        email: "ops@example.org".to_owned(),
        credential: GreenRopeCredential::Password(SecretString::from("hush")),
        shared_access: false,
        batch_cap: None,
    };
    GreenRope::new(options, account("https://api.example.org/api-xml", router))
}

fn contact_xml(at: usize) -> String {
    format!(
        "<Contact><Contact_id>{at}</Contact_id><Firstname>Ana</Firstname><Lastname>Example {at}</Lastname><Company>Example Society of Springfield</Company><Email>person{at}@example.org</Email><Zip>01234</Zip><Unsubscribed>0</Unsubscribed><Groups><Group><Group_id>7</Group_id><Name>Donors</Name></Group></Groups><UserDefinedFields><UserDefinedField><FieldName>Size</FieldName><FieldValue>42</FieldValue></UserDefinedField></UserDefinedFields></Contact>"
    )
}

fn emfluence(records: usize) -> Emfluence {
    let router = Router::new().fallback(move |uri: axum::http::Uri, body: Bytes| async move {
        let asked = String::from_utf8_lossy(&body).into_owned();
        let path = uri.path().to_owned();
        let page = |total: usize| {
            format!(
                "{{\"success\":1,\"code\":0,\"data\":{{\"paging\":{{\"page\":1,\"rpp\":{0},\"totalPages\":1,\"totalRecords\":{total},\"next\":\"\",\"prev\":\"\"}},\"records\":[",
                total.max(1)
            )
        };
        // The first page of the account is all of it.
        if path.ends_with("contacts/search") && !asked.contains("groupID") {
            return long(page(records), records, contact_json, ",", "]}}");
        }
        Response::new(Body::from(format!("{}]}}}}", page(0))))
    });
    let options = EmfluenceOptions {
        access_token: SecretString::from("hush"),
        fingerprint: None,
        neighbours: Vec::new(),
        batch_cap: None,
    };
    Emfluence::new(options, account("https://api.example.org/v1", router))
}

fn contact_json(at: usize) -> String {
    let id = at + 1;
    format!(
        "{{\"contactID\":{id},\"email\":\"person{id}@example.org\",\"held\":0,\"suppressed\":0,\"firstName\":\"Ana\",\"lastName\":\"Example {id}\",\"company\":\"Example Society of Springfield\",\"address1\":\"1 Example Street\",\"city\":\"Springfield\",\"state\":\"IL\",\"zipCode\":\"62701\",\"country\":\"USA\",\"phone\":\"555-0100\",\"dateAdded\":\"2024-02-03 04:05:06\",\"dateModified\":\"2025-02-03 04:05:06\",\"customFields\":{{\"custom1\":\"Gold\",\"custom2\":\"member\"}}}}"
    )
}
