//! Clients that take more than their share.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use super::bed::{Service, TOKEN};
use super::client::Reply;
use crate::commands::bed::JOB;

#[test]
fn heads_and_bodies_are_bounded() {
    let service = Service::new();
    let client = &service.client;
    client
        .with(format!("X-Long: {}", "x".repeat(100_000)))
        .get("/healthz")
        .assert(431);
    let mut many = client.clone();
    many.lines
        .extend((0..100).map(|number| format!("X-Many-{number}: 1")));
    many.get("/healthz").assert(431);
    let path = format!("/api/v1/jobs/{JOB}/pause");
    let admin = service.admin();
    let said = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\nContent-Length: 1000000000\r\nConnection: close\r\n\r\n"
    );
    client.send(&said).assert(413);
    let chunk = "x".repeat(40_000);
    let chunked = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n9C40\r\n{chunk}\r\n9C40\r\n{chunk}\r\n0\r\n\r\n"
    );
    client.send(&chunked).assert(413);
    let deep = "[".repeat(30_000);
    admin.post(&path, &deep).assert(400);
    for nonsense in ["\r\n\r\n\r\n", "\u{1}\u{2}\u{3}\r\n\r\n", "GET\r\n\r\n"] {
        let mut stream = client.connect();
        stream.write_all(nonsense.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok();
        assert!(!answer.contains(" 200 "), "{answer}");
    }
    client.get("/healthz").assert(200);
    service.stop();
}

#[test]
fn too_many_connections_are_told_so_and_the_rest_goes_on() {
    let service = Service::new();
    // Each is accepted in its turn, so the last of them finds all places taken.
    let mut open: Vec<_> = (0..512).map(|_| service.client.connect()).collect();
    let mut more = service.client.connect();
    let mut answer = String::new();
    more.read_to_string(&mut answer).ok();
    Reply::parse(&answer).assert(503);
    // Those that are there are served.
    let mut last = open.pop().unwrap();
    let request = service.client.request("GET", "/healthz", "", "");
    last.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    last.read_to_string(&mut answer).unwrap();
    Reply::parse(&answer).assert(200);
    drop(open);
    service.run_well();
    service.stop();
}

#[test]
fn a_flood_is_answered_and_runs_go_on() {
    let service = Service::new();
    let slow: Vec<_> = (0..50)
        .map(|number| {
            let mut stream = service.client.connect();
            let request = service.client.request("GET", "/metrics", "", "");
            // Half of them say a part of their request, and the others take no answer.
            let said = if number % 2 == 0 {
                &request[..20]
            } else {
                &request[..]
            };
            stream.write_all(said.as_bytes()).unwrap();
            stream
        })
        .collect();
    let answered = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for number in 0..100 {
            let (client, answered) = (&service.client, &answered);
            scope.spawn(move || {
                let mut stream = client.connect();
                let path = ["/metrics", "/api/v1/counts", "/healthz", "/readyz"][number % 4];
                let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
                let mut buffer = vec![0; 64 * 1024];
                for _ in 0..20 {
                    stream.write_all(request.as_bytes()).unwrap();
                    let mut text = String::new();
                    // An answer ends where its length says.
                    while !is_whole(&text) {
                        let read = stream.read(&mut buffer).unwrap();
                        assert!(read > 0, "{text}");
                        text += std::str::from_utf8(&buffer[..read]).unwrap();
                    }
                    assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        service.run_well();
    });
    assert_eq!(answered.into_inner(), 2_000);
    drop(slow);
    let said = service.stop();
    assert!(!said.contains("WARN"), "{said}");
}

fn is_whole(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    length.is_some_and(|length| body.len() >= length.parse().unwrap())
}
