//! A client that sends what it is told, also what no well-behaved one would.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// How long a socket may be silent before a test fails.
const PATIENCE: Duration = Duration::from_mins(1);

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Reply {
    pub(super) fn parse(text: &str) -> Reply {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Reply {
            status: status.unwrap_or_else(|| panic!("no answer of HTTP: {text:?}")),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    /// Finds a header by its name in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1);
        let mut pairs = lines.filter_map(|line| line.split_once(": "));
        let found = pairs.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    }

    /// Fails unless it has this status.
    #[track_caller]
    pub(super) fn assert(self, status: u16) -> Reply {
        assert_eq!(self.status, status, "{}\n\n{}", self.head, self.body);
        self
    }

    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// Who asks, and of whom.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) address: SocketAddr,
    /// Header lines that go with every request.
    pub(super) lines: Vec<String>,
}

impl Client {
    pub(super) fn of(address: SocketAddr) -> Client {
        Client {
            address,
            lines: Vec::new(),
        }
    }

    /// The same with one header line more.
    pub(super) fn with(&self, line: impl Into<String>) -> Client {
        let mut client = self.clone();
        client.lines.push(line.into());
        client
    }

    pub(super) fn bearer(&self, token: &str) -> Client {
        self.with(format!("Authorization: Bearer {token}"))
    }

    pub(super) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Writes a request down. Without a line `Host` it names the address.
    pub(super) fn request(&self, method: &str, path: &str, kind: &str, body: &str) -> String {
        let mut text = format!("{method} {path} HTTP/1.1\r\n");
        if !self.lines.iter().any(|line| line.starts_with("Host:")) {
            write!(text, "Host: {}\r\n", self.address).unwrap();
        }
        for line in &self.lines {
            write!(text, "{line}\r\n").unwrap();
        }
        if !body.is_empty() {
            write!(
                text,
                "Content-Type: {kind}\r\nContent-Length: {}\r\n",
                body.len()
            )
            .unwrap();
        }
        text + "Connection: close\r\n\r\n" + body
    }

    /// Sends bytes as they are, and reads what comes until the other side is done.
    pub(super) fn send(&self, text: &str) -> Reply {
        let mut stream = self.connect();
        // The service may have heard enough before all of it is written.
        stream.write_all(text.as_bytes()).ok();
        let mut answer = Vec::new();
        // A reset after the answer is no less an answer.
        stream.read_to_end(&mut answer).ok();
        Reply::parse(&String::from_utf8_lossy(&answer))
    }

    pub(super) fn get(&self, path: &str) -> Reply {
        self.send(&self.request("GET", path, "", ""))
    }

    pub(super) fn post(&self, path: &str, body: &str) -> Reply {
        self.send(&self.request("POST", path, "application/json", body))
    }

    pub(super) fn form(&self, path: &str, body: &str) -> Reply {
        self.send(&self.request("POST", path, "application/x-www-form-urlencoded", body))
    }

    /// Signs in, and returns a client with the cookie and one header line short of the token of the
    /// session.
    pub(super) fn signed_in(&self, token: &str) -> Client {
        let reply = self.form("/sign-in", &format!("token={token}")).assert(303);
        let cookie = reply.header("set-cookie").expect("a session begins");
        let pair = cookie.split(';').next().unwrap();
        self.with(format!("Cookie: {pair}"))
    }
}
