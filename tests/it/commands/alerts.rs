//! Who is told of what: whole commands and a service, with receivers on loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rosterd::emulator::{Fault, FaultRule};
use serde_json::Value;

use super::bed::{Bed, JOB};

/// How often to look whether something has come, and for how long at most.
const LOOK: Duration = Duration::from_millis(20);
const LOOKS: usize = 3_000;

/// A web address that takes messages.
struct Receiver {
    address: SocketAddr,
    got: Arc<Mutex<Vec<Value>>>,
    pings: Arc<Mutex<usize>>,
}

impl Receiver {
    /// Listens, and answers every request with a status.
    fn answering(status: u16) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let receiver = Receiver {
            address,
            got: Arc::default(),
            pings: Arc::default(),
        };
        let (got, pings) = (receiver.got.clone(), receiver.pings.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let (mut length, mut line) = (0, String::new());
                while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
                    let lower = line.to_ascii_lowercase();
                    if let Some(said) = lower.strip_prefix("content-length:") {
                        length = said.trim().parse().unwrap();
                    }
                    line.clear();
                }
                let mut body = vec![0; length];
                stream.read_exact(&mut body).unwrap();
                if body.is_empty() {
                    *pings.lock().unwrap() += 1;
                } else {
                    got.lock()
                        .unwrap()
                        .push(serde_json::from_slice(&body).unwrap());
                }
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
                stream.get_mut().write_all(answer.as_bytes()).ok();
            }
        });
        receiver
    }

    fn kinds(&self) -> Vec<String> {
        let got = self.got.lock().unwrap();
        got.iter()
            .map(|it| it["type"].as_str().unwrap().to_owned())
            .collect()
    }

    fn wait_for(&self, number: usize) {
        for _ in 0..LOOKS {
            if self.got.lock().unwrap().len() >= number {
                return;
            }
            std::thread::park_timeout(LOOK);
        }
        panic!("{number} messages did not come: {:?}", self.kinds());
    }

    /// Waits until so many good runs more have ended.
    fn wait_for_good_runs(&self, number: usize) {
        let before = *self.pings.lock().unwrap();
        for _ in 0..LOOKS {
            if *self.pings.lock().unwrap() >= before + number {
                return;
            }
            std::thread::park_timeout(LOOK);
        }
        panic!("no {number} good runs");
    }

    /// Nobody's address and no secret stands in anything that came.
    fn assert_harmless(&self, bed: &Bed) {
        for message in self.got.lock().unwrap().iter() {
            let text = message.to_string();
            assert!(!text.contains('@'), "{text}");
            for secret in bed.secrets() {
                assert!(!text.contains(&secret), "{text}");
            }
        }
    }
}

/// Has a bed tell a receiver, and run its job by more lines.
fn tell(bed: &Bed, receiver: &Receiver, job: &str) {
    let address = receiver.address;
    let notify = format!(
        "\n[notify]\nwebhook = {{ url = \"http://{address}/hook/s3cret\" }}\nalive = \"http://{address}/alive\"\n"
    );
    bed.write("rosterd.toml", &(bed.config(job) + &notify));
}

#[test]
fn a_newcomer_breaks_a_token_and_gets_one_alert_and_one_all_clear() {
    let bed = Bed::new();
    let receiver = Receiver::answering(204);
    tell(&bed, &receiver, "schedule = \"* * * * * *\"");
    let mut service = bed.start(&["run"]);
    service.wait_for("The service is running.");
    receiver.wait_for_good_runs(1);
    bed.emulator
        .add_fault(FaultRule::every(Fault::ExpiredToken).at("mail"));
    receiver.wait_for(1);
    let failing = bed.line("status --format json").json(&["jobs"]);
    assert_eq!(failing["jobs"][0]["job"], JOB, "{failing}");
    bed.emulator.clear_faults();
    receiver.wait_for(2);
    receiver.wait_for_good_runs(2);
    service.signal("TERM");
    let (code, said) = service.end();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(receiver.kinds(), ["job.failing", "job.well"]);
    receiver.assert_harmless(&bed);
    assert!(!said.contains("s3cret"), "{said}");
}

#[test]
fn a_refused_run_by_hand_is_told_once_with_the_command_that_lets_it_pass() {
    let bed = Bed::new();
    let receiver = Receiver::answering(200);
    tell(&bed, &receiver, "");
    bed.sync();
    assert_eq!(receiver.kinds(), [""; 0]);
    assert_eq!(*receiver.pings.lock().unwrap(), 1);
    for group in ["Donors", "Board", "Press"] {
        bed.leave(group, 10);
    }
    bed.line("plan crm-to-mail").assert(0);
    assert_eq!(receiver.kinds(), [""; 0], "a plan tells nobody");
    bed.line("sync crm-to-mail").assert(3);
    bed.line("sync crm-to-mail").assert(3);
    assert_eq!(receiver.kinds(), ["job.refused"]);
    let message = receiver.got.lock().unwrap()[0].clone();
    let data = &message["data"];
    assert!(data["refusals"][0]["value"].is_number(), "{message}");
    let command = data["next"][1].as_str().unwrap();
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    bed.run(&words).assert(0);
    assert_eq!(receiver.kinds(), ["job.refused", "job.well"]);
    receiver.assert_harmless(&bed);
}

#[test]
fn a_dead_receiver_changes_no_exit_code_and_status_says_that_nobody_is_told() {
    let bed = Bed::new();
    let receiver = Receiver::answering(500);
    tell(&bed, &receiver, "");
    bed.emulator
        .add_fault(FaultRule::every(Fault::ExpiredToken).at("mail"));
    let ended = bed.line("sync crm-to-mail");
    ended.assert(1);
    assert!(
        ended.err.contains("A message could not be delivered"),
        "{}",
        ended.err
    );
    assert!(!ended.err.contains("s3cret"), "{}", ended.err);
    assert_eq!(receiver.kinds(), ["job.failing"]);
    let status = bed.line("status");
    status.assert(0);
    let line = "Nobody is told by webhook: http://127.0.0.1";
    assert!(status.out.contains(line), "{}", status.out);
    assert!(status.out.contains("1 message waits"), "{}", status.out);
    let status = bed.line("status --format json").json(&["channels"]);
    let channels = status["channels"].as_array().unwrap();
    let webhook = channels.iter().find(|it| it["channel"] == "webhook");
    let webhook = webhook.unwrap();
    assert!(webhook["failing_since"].is_string(), "{webhook}");
    assert_eq!(webhook["waiting"], 1);
    assert!(!status.to_string().contains("s3cret"), "{status}");
}

#[test]
fn a_test_says_in_a_line_what_each_channel_answered() {
    let bed = Bed::new();
    let none = bed.line("notify --test");
    let said = none.complaint(2);
    assert!(said.contains("the config has no `[notify]`"), "{said}");
    let receiver = Receiver::answering(503);
    tell(&bed, &receiver, "");
    let shell = "\ncommand = [\"/bin/sh\", \"-c\", \"exit 3\"]\n";
    bed.write("rosterd.toml", &(bed.read("rosterd.toml") + shell));
    let ended = bed.line("notify --test");
    ended.assert(1);
    let port = receiver.address.port();
    assert_eq!(
        ended.out,
        format!(
            "failed webhook: http://127.0.0.1:{port} answered with HTTP 503\n\
             failed command: /bin/sh ended with 3\n\
             failed alive: http://127.0.0.1:{port} answered with HTTP 503\n"
        )
    );
    let one = bed.line("notify --test --channel command --format json");
    one.assert(1);
    let document = one.json(&["exit_code", "channels"]);
    assert_eq!(document["channels"][0]["ok"], false);
    assert_eq!(document["channels"].as_array().unwrap().len(), 1);
    assert_eq!(receiver.kinds(), ["test"]);
    bed.line("notify --test --channel email").assert(2);
    bed.line("notify").assert(2);
}

#[test]
fn a_check_finds_a_command_that_is_not_there_and_a_secret_that_is_none() {
    let bed = Bed::new();
    bed.write("hook", "hunter2!");
    let notify = "\n[notify]\ncommand = [\"/nonexistent/page-me\"]\nwebhook = { url = \"https://hooks.example.org/s3cret\", secret = { file = \"hook\" } }\n";
    bed.write("rosterd.toml", &(bed.config("") + notify));
    let ended = bed.line("check");
    ended.assert(2);
    for problem in [
        "`notify.command`: /nonexistent/page-me is not there",
        "`notify.webhook.secret` is not base64",
    ] {
        assert!(ended.out.contains(problem), "{}", ended.out);
    }
    assert!(
        !ended.out.contains("hunter2") && !ended.out.contains("s3cret"),
        "{}",
        ended.out
    );
}
