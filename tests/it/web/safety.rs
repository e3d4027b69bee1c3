//! What strangers, forged pages and wrong tokens get, and what the log says of it.

use super::bed::{Service, TOKEN, address_in, configure};
use super::client::Client;
use crate::commands::bed::{Bed, JOB};

fn pause() -> String {
    format!("/api/v1/jobs/{JOB}/pause")
}

#[test]
fn without_the_token_there_are_counts_and_no_names() {
    let service = Service::new();
    service.run_well();
    for path in ["/healthz", "/readyz", "/api/v1/counts", "/metrics"] {
        let reply = service.client.get(path).assert(200);
        assert!(!reply.body.contains('@'), "{path}: {}", reply.body);
        assert!(!reply.body.contains("Donors"), "{path}: {}", reply.body);
    }
    let counts = service.client.get("/api/v1/counts").assert(200);
    assert!(!counts.body.contains(JOB), "{}", counts.body);
    for path in ["status", "jobs", "runs", "failures", "session"] {
        service.client.get(&format!("/api/v1/{path}")).assert(401);
    }
    let full = service.admin().get("/metrics").assert(200);
    assert!(full.body.contains("group=\"Donors\"} 10"), "{}", full.body);
    service.stop();
}

#[test]
fn a_page_of_another_site_changes_nothing() {
    let service = Service::new();
    let session = service.client.signed_in(TOKEN);
    let csrf = session.get("/api/v1/session").json()["csrf"].clone();
    let csrf = format!("X-CSRF-Token: {}", csrf.as_str().unwrap());
    let own = format!("Origin: http://{}", service.client.address);
    session.post(&pause(), "").assert(403);
    session
        .with("X-CSRF-Token: guess")
        .post(&pause(), "")
        .assert(403);
    for line in [
        "Origin: http://evil.example",
        "Origin: null",
        "Origin: http://127.0.0.1:1",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
    ] {
        session
            .with(&csrf)
            .with(line)
            .post(&pause(), "")
            .assert(403);
        service.admin().with(line).post(&pause(), "").assert(403);
        let sign_in = service.client.with(line);
        sign_in
            .form("/sign-in", &format!("token={TOKEN}"))
            .assert(403);
    }
    for host in [
        "Host: evil.example",
        "Host: 127.0.0.1.evil.example",
        "Host: ",
    ] {
        for path in ["/healthz", "/metrics", "/api/v1/status"] {
            service.admin().with(host).get(path).assert(421);
        }
        session
            .with(&csrf)
            .with(host)
            .post(&pause(), "")
            .assert(421);
    }
    let two = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n";
    service.client.send(two).assert(421);
    let whole =
        "GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    service.client.send(whole).assert(421);
    let proxied = service.admin().with("Host: rosterd.example.org");
    proxied.get("/api/v1/status").assert(200);
    let state = service.admin().get(&format!("/api/v1/jobs/{JOB}")).json();
    assert_eq!(state["paused_reason"], serde_json::Value::Null);
    session.with(&csrf).with(own).post(&pause(), "").assert(200);
    service.stop();
}

#[test]
fn every_change_leaves_a_line_and_no_secret_is_in_the_log() {
    let service = Service::new();
    let session = service.client.signed_in(TOKEN);
    let cookie = session.lines[0].rsplit('=').next().unwrap().to_owned();
    let csrf = session.get("/api/v1/session").json()["csrf"].clone();
    let csrf = csrf.as_str().unwrap().to_owned();
    let reason = r#"{"reason":"asked by ana@example.org"}"#;
    let by_session = session.with(format!("X-CSRF-Token: {csrf}"));
    by_session.post(&pause(), reason).assert(200);
    service
        .admin()
        .post(&format!("/api/v1/jobs/{JOB}/resume"), "")
        .assert(200);
    service
        .admin()
        .post("/api/v1/jobs/bo@example.org/pause", "")
        .assert(404);
    service
        .client
        .bearer("wrong-guess-1")
        .get("/api/v1/status")
        .assert(401);
    service
        .client
        .form("/sign-in", "token=wrong-guess-2")
        .assert(303);
    service
        .admin()
        .with("Origin: http://evil.example")
        .post(&pause(), "")
        .assert(403);
    service.run_well();
    by_session
        .form("/sign-out", &format!("csrf={csrf}"))
        .assert(303);
    let log = service.stop();
    let audit: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("Audit: "))
        .collect();
    for (words, who) in [
        (["action=\"sign in\"", "outcome=\"done\""], "session "),
        (["action=\"pause\"", "outcome=\"done\""], "session "),
        (["action=\"resume\"", "outcome=\"done\""], "bearer"),
        (["action=\"pause\"", "outcome=\"refused\""], "bearer"),
        (["action=\"sign in\"", "outcome=\"refused\""], ""),
        (["another site", "outcome=\"refused\""], ""),
        (["action=\"run\"", "outcome=\"done\""], "bearer"),
        (["action=\"sign out\"", "outcome=\"done\""], "session "),
    ] {
        let said = audit
            .iter()
            .any(|line| words.iter().all(|word| line.contains(word)) && line.contains(who));
        assert!(said, "{words:?} by {who:?} is not in\n{}", audit.join("\n"));
    }
    for secret in [TOKEN, &cookie, &csrf, "wrong-guess", "ana@", "bo@"] {
        assert!(!log.contains(secret), "{secret} is in\n{log}");
    }
}

#[test]
fn wrong_tokens_are_slowed_down_and_tie_nothing_up() {
    let service = Service::new();
    let guess = |number: usize| {
        service
            .client
            .bearer(&format!("guess-{number}"))
            .get("/metrics")
    };
    let answers: Vec<u16> = (0..40).map(|number| guess(number).status).collect();
    let tried = answers.iter().filter(|status| **status == 401).count();
    // One more is forgiven every ten seconds, on a slow machine as well.
    assert!((5..=10).contains(&tried), "{answers:?}");
    let waits = guess(41).assert(429);
    let seconds: u64 = waits.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=10).contains(&seconds), "{seconds}");
    service.client.get("/healthz").assert(200);
    service.stop();
}

#[test]
fn an_address_in_use_ends_with_2_before_anything_runs() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bed = Bed::new();
    let address = taken.local_addr().unwrap().to_string();
    configure(&bed, "schedule = \"* * * * * *\"", &address);
    let ended = bed.line("run");
    let said = ended.complaint(2);
    assert!(
        said.contains(&format!("`daemon.listen`: {address} can't be listened on")),
        "{said}"
    );
    assert!(said.contains("hint: "), "{said}");
    assert_eq!(bed.emulator.requests().len(), 0);
}

#[test]
fn a_reload_moves_the_listener_or_keeps_the_old_config_whole() {
    let mut service = Service::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let far = "schedule = \"0 0 1 1 *\"";
    configure(&service.bed, far, &at);
    service.running.signal("HUP");
    service
        .running
        .wait_for("The new config is wrong; the old one stays.");
    service.admin().get("/api/v1/status").assert(200);

    drop(taken);
    service.running.signal("HUP");
    let said = service
        .running
        .wait_for_line("The status page, the metrics and the API are served.");
    service.running.wait_for("The config was read again.");
    assert_eq!(address_in(&said).to_string(), at);
    let moved = Client::of(address_in(&said)).bearer(TOKEN);
    moved.get("/api/v1/status").assert(200);
    assert!(std::net::TcpStream::connect(service.client.address).is_err());

    service.bed.write("admin-token", "another-token");
    service.running.signal("HUP");
    service.running.wait_for("The config was read again.");
    moved.get("/api/v1/status").assert(401);
    Client::of(moved.address)
        .bearer("another-token")
        .get("/api/v1/status")
        .assert(200);
    service.stop();
}
