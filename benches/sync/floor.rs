//! The floor under a run: the same requests with the same HTTP client, whose answers are decoded and
//! checked row by row, and of which nothing is kept.
//!
//! The emulator writes down what a command asks, and the floor asks it again.

use std::borrow::Cow;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_TYPE, USER_AGENT};
use axum::middleware::{Next, from_fn};
use quick_xml::events::Event;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

/// The longest request that is written down, in bytes.
const LONGEST: usize = 64 << 20;

/// Writes down every request in a file, a line each, for as long as the file exists.
pub(super) fn recording(router: Router, file: PathBuf) -> Router {
    router.layer(from_fn(move |request: Request, next: Next| {
        let file = file.clone();
        async move {
            if !file.exists() {
                return next.run(request).await;
            }
            let (parts, body) = request.into_parts();
            let body = to_bytes(body, LONGEST).await.unwrap();
            let header = |name| {
                let value = parts.headers.get(name)?;
                Some(value.to_str().unwrap().to_owned())
            };
            let line = json!({
                "method": parts.method.as_str(),
                "path": parts.uri.path_and_query().unwrap().as_str(),
                "type": header(CONTENT_TYPE),
                "encoding": header(ACCEPT_ENCODING),
                "agent": header(USER_AGENT),
                "body": std::str::from_utf8(&body).unwrap(),
            });
            let mut recording = OpenOptions::new().append(true).open(&file).unwrap();
            writeln!(recording, "{line}").unwrap();
            next.run(Request::from_parts(parts, Body::from(body))).await
        }
    }))
}

/// Asks everything anew that a recording holds.
pub(super) fn replay(recording: &Path, base: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::new();
        let mut rows = 0;
        for line in fs::read_to_string(recording).unwrap().lines() {
            let asked: Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| asked[key].as_str();
            let method = text("method").unwrap().parse().unwrap();
            let mut request = client.request(method, format!("{base}{}", text("path").unwrap()));
            for (name, value) in [
                (CONTENT_TYPE, text("type")),
                (ACCEPT_ENCODING, text("encoding")),
                (USER_AGENT, text("agent")),
            ] {
                if let Some(value) = value {
                    request = request.header(name, value);
                }
            }
            let body = text("body").unwrap().to_owned();
            let answer = request.body(body).send().await.unwrap();
            assert!(answer.status().is_success(), "{line}: {}", answer.status());
            let answer = answer.bytes().await.unwrap();
            rows += if answer.trim_ascii_start().starts_with(b"<") {
                xml_rows(&answer)
            } else {
                json_rows(&answer)
            };
        }
        println!("{rows}");
    });
}

/// Counts the contacts of an XML answer, each of whose texts is unescaped.
fn xml_rows(answer: &[u8]) -> u64 {
    let mut reader = quick_xml::Reader::from_reader(answer);
    let (mut rows, mut bytes) = (0, 0);
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => rows += u64::from(start.name().as_ref() == "Contact"),
            Event::Text(text) => bytes += text.xml10_content().len(),
            Event::CData(text) => bytes += text.xml10_content().len(),
            Event::Eof => break,
            _ => {}
        }
    }
    assert!(bytes > 0, "an answer without any text");
    rows
}

/// A page of emfluence's, or anything else that it answers.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    data: Rows<'a>,
}

#[derive(Deserialize)]
struct Rows<'a> {
    #[serde(borrow)]
    results: Vec<Row<'a>>,
}

/// A contact or a group, with the fields that the job maps.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    #[serde(borrow)]
    email: Option<Cow<'a, str>>,
    #[serde(borrow)]
    group_name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    first_name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    last_name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    company: Option<Cow<'a, str>>,
    #[serde(borrow)]
    city: Option<Cow<'a, str>>,
    #[serde(borrow)]
    phone: Option<Cow<'a, str>>,
    #[serde(rename = "contactID")]
    contact_id: Option<IgnoredAny>,
}

/// Counts the rows of a JSON answer.
fn json_rows(answer: &[u8]) -> u64 {
    let Ok(page) = serde_json::from_slice::<Page<'_>>(answer) else {
        let _: IgnoredAny = serde_json::from_slice(answer).unwrap();
        return 0;
    };
    let rows = page.data.results;
    let is_sound = |row: &Row<'_>| {
        let texts = [
            &row.first_name,
            &row.last_name,
            &row.company,
            &row.city,
            &row.phone,
        ];
        let texts = texts.into_iter().flatten();
        let length: usize = texts.map(|text| text.len()).sum();
        let is_contact = row.contact_id.is_some() && row.email.is_some();
        (is_contact || row.group_name.is_some()) && length < LONGEST
    };
    assert!(
        rows.iter().all(is_sound),
        "a row that is no contact and no group"
    );
    rows.len() as u64
}
