//! Accounts against small routers, with time standing still, and against a few real sockets.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body as WireBody, Bytes};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::response::IntoResponse;
use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;
use url::Url;

use super::*;

mod outcome;
mod pace;
mod wire;

/// A router that answers the n-th request (from 0) with `answer(n)`, and the count of requests.
fn service<F, A, R>(answer: F) -> (Router, Arc<AtomicU32>)
where
    F: Fn(u32) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = R> + Send,
    R: IntoResponse,
{
    let count = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&count);
    let router = Router::new().fallback(move || {
        let answer = answer(counter.fetch_add(1, Ordering::SeqCst));
        async move { answer.await.into_response() }
    });
    (router, count)
}

fn options(router: Router) -> AccountOptions {
    let base = Url::parse("https://api.example.org/v1").unwrap();
    AccountOptions::new("mail", base, Transport::Local(router))
}

fn account(router: Router) -> Account {
    Account::new(options(router))
}

fn read_call() -> Call {
    Call::read("groups/search", Method::Post, "groups/search")
}

fn write_call() -> Call {
    Call::write("groups/save", Method::Post, "groups/save")
}

/// Takes JSON-looking bodies for answers and everything else for none.
fn decode(reply: &mut Reply) -> Result<String, DecodeError> {
    let text = String::from_utf8(reply.body.bytes_capped(1000)?).unwrap();
    if text.starts_with('{') {
        Ok(text)
    } else {
        Err(DecodeError::NotAnAnswer("no JSON".to_owned()))
    }
}

const OK: &str = "{}";
