//! Files that nobody sound has written: refused before the first request, and left as they are.

use std::path::PathBuf;

use rusqlite::Connection;

use super::bed::{Bed, Ended, JOB, small_world};

/// Texts that are hard on a reader of JSON.
fn hostile_texts() -> Vec<(&'static str, Vec<u8>)> {
    let plan = |operations: &str| {
        format!("{{\"version\":1,\"job\":\"{JOB}\",\"fingerprint\":\"f\",\"operations\":{operations},\"refusals\":[]}}").into_bytes()
    };
    vec![
        ("nothing", Vec::new()),
        ("arrays, open", "[".repeat(100_000).into_bytes()),
        (
            "arrays, deep",
            plan(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))),
        ),
        (
            "objects, deep",
            plan(&format!(
                "{}1{}",
                "{\"a\":".repeat(100_000),
                "}".repeat(100_000)
            )),
        ),
        (
            "a number without end",
            plan(&format!("[{}]", "9".repeat(1_000_000))),
        ),
        (
            "a version without end",
            format!("{{\"version\":{}}}", "9".repeat(100_000)).into_bytes(),
        ),
        ("a number beyond all", plan("[1e999999]")),
        (
            "a long text",
            format!(
                "{{\"version\":1,\"job\":\"{}\",\"fingerprint\":\"f\",\"operations\":[]}}",
                "x".repeat(10_000_000)
            )
            .into_bytes(),
        ),
        ("no text", b"\xff\xfe\x00{\x00}".to_vec()),
        ("zeros", vec![0; 4096]),
        (
            "half a letter",
            b"{\"version\":1,\"job\":\"\\ud800\",\"fingerprint\":\"f\",\"operations\":[]}".to_vec(),
        ),
        (
            "keys twice",
            b"{\"version\":1,\"job\":\"a\",\"job\":\"b\",\"fingerprint\":\"f\",\"operations\":[]}"
                .to_vec(),
        ),
        ("more after the end", [plan("[]"), b"{}".to_vec()].concat()),
    ]
}

#[test]
fn a_hostile_plan_is_no_plan() {
    let bed = Bed::new();
    for (name, text) in hostile_texts() {
        std::fs::write(bed.path("plan.json"), &text).unwrap();
        let ended = bed.line("apply plan.json");
        // A long number among the operations, which are read again anyway, is no reason to refuse;
        // the fingerprint is.
        assert!(
            matches!(ended.code, Some(2 | 3)),
            "{name}: {:?}\n{}",
            ended.code,
            &ended.err[..ended.err.len().min(500)]
        );
        assert!(ended.err.len() < 2_000, "{name}: {} bytes", ended.err.len());
        assert!(!ended.err.contains("panicked"), "{name}: {}", ended.err);
        bed.assert_unwritten();
    }
}

#[test]
fn hostile_faults_are_refused_before_the_emulator_listens() {
    let bed = Bed::new();
    for (name, text) in hostile_texts() {
        std::fs::write(bed.path("faults.json"), &text).unwrap();
        let ended =
            bed.line("emulate --listen 127.0.0.1:0 --groups 1 --members 1 --faults faults.json");
        let said = ended.complaint(2);
        assert!(
            said.contains("faults.json") && said.len() < 2_000 && !said.contains("panicked"),
            "{name}: {} bytes",
            said.len()
        );
    }
}

#[tokio::test]
async fn a_hostile_body_changes_nothing_at_the_control_endpoint() {
    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use tower::ServiceExt;

    let emulator = rosterd::emulator::Emulator::new(super::bed::small_world());
    let world = || emulator.with_world(|world| serde_json::to_string(&world.accounts).unwrap());
    let before = world();
    for (method, path) in [("PUT", "world"), ("POST", "faults"), ("PUT", "clock")] {
        for (name, text) in hostile_texts() {
            let request = Request::builder()
                .method(method)
                .uri(format!("/_emulator/{path}"))
                .body(Body::from(text))
                .unwrap();
            let answer = emulator.router().oneshot(request).await.unwrap();
            assert!(
                matches!(
                    answer.status(),
                    StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE
                ),
                "{path}, {name}: {}",
                answer.status()
            );
            let said = axum::body::to_bytes(answer.into_body(), 100_000)
                .await
                .unwrap();
            assert!(said.len() < 2_000, "{path}, {name}: {} bytes", said.len());
            assert!(
                world() == before,
                "{path}, {name}: the accounts have changed"
            );
        }
    }
    // The accounts themselves take hostile bodies as services do: with an error.
    for path in [
        "emfluence/v1/groups/search",
        "greenrope/api-xml",
        "activecampaign/admin/api.php",
        "activecampaign/api/3/contacts",
    ] {
        for (name, text) in hostile_texts() {
            let request = Request::builder()
                .method("POST")
                .uri(format!("/{path}"))
                .body(Body::from(text))
                .unwrap();
            let answer = emulator.router().oneshot(request).await.unwrap();
            let said = axum::body::to_bytes(answer.into_body(), 100_000)
                .await
                .unwrap();
            assert!(said.len() < 10_000, "{path}, {name}: {} bytes", said.len());
            assert!(
                world() == before,
                "{path}, {name}: the accounts have changed"
            );
        }
    }
}

#[test]
fn a_hostile_config_is_refused() {
    let bed = Bed::new();
    let sound = bed.read("rosterd.toml");
    let nested = |open: &str, close: &str| {
        format!(
            "x = {}{}\n{sound}",
            open.repeat(100_000),
            close.repeat(100_000)
        )
        .into_bytes()
    };
    for (name, text) in [
        ("arrays, deep", nested("[", "]")),
        ("tables, deep", nested("{ a = ", "}")),
        (
            "a header, deep",
            format!("{sound}\n[{}x]\n", "a.".repeat(100_000)).into_bytes(),
        ),
        (
            "a long text",
            format!("x = \"{}\"\n{sound}", "x".repeat(10_000_000)).into_bytes(),
        ),
        ("no text", [sound.as_bytes(), b"\xff\xfe"].concat()),
        ("zeros", [sound.as_bytes(), &[0; 4096]].concat()),
        (
            "a number beyond all",
            format!("{sound}\n[state]\nretention = {}\n", "9".repeat(100_000)).into_bytes(),
        ),
        ("a table twice", format!("{sound}\n{sound}").into_bytes()),
        (
            "an expression, deep",
            format!(
                "{sound}\n[jobs.{JOB}.map.group]\nnotes = \"{}source.id{}\"\n",
                "(".repeat(50_000),
                ")".repeat(50_000)
            )
            .into_bytes(),
        ),
    ] {
        std::fs::write(bed.path("rosterd.toml"), &text).unwrap();
        let ended = bed.line(&format!("plan {JOB}"));
        assert_eq!(
            ended.code,
            Some(2),
            "{name}: {}",
            &ended.err[..ended.err.len().min(2_000)]
        );
        assert!(
            ended.err.len() < 100_000 && !ended.err.contains("panicked"),
            "{name}: {} bytes",
            ended.err.len()
        );
        assert_eq!(bed.emulator.requests(), [], "{name}");
    }
}

#[test]
fn a_damaged_state_file_is_refused_and_left_alone() {
    let bed = Bed::new();
    bed.sync();
    // All in one file, without a log beside it.
    Connection::open(bed.path("rosterd.db"))
        .unwrap()
        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE;")
        .unwrap();
    let sound = std::fs::read(bed.path("rosterd.db")).unwrap();
    bed.emulator.clear_log();
    let middle = sound.len() / 2;
    let scrambled = |from: usize, to: usize| {
        let mut bytes = sound.clone();
        bytes[from..to].iter_mut().for_each(|byte| *byte ^= 0x5a);
        bytes
    };
    for (name, bytes) in [
        ("half of it", sound[..middle].to_vec()),
        (
            "all but the last page",
            sound[..sound.len() - 4096].to_vec(),
        ),
        ("the head of it", sound[..100].to_vec()),
        ("the first page only", sound[..4096].to_vec()),
        ("another head", scrambled(0, 16)),
        ("a scrambled first page", scrambled(100, 4096)),
        ("scrambled pages", scrambled(4096, sound.len())),
    ] {
        std::fs::write(bed.path("broken.db"), &bytes).unwrap();
        for command in ["sync", "plan"] {
            let ended = bed.run(&["--state", "broken.db", command, JOB]);
            let said = ended.complaint(2);
            assert!(
                said.contains("broken.db") && !said.contains("panicked"),
                "{name}, {command}: {said}"
            );
            assert!(
                std::fs::read(bed.path("broken.db")).unwrap() == bytes,
                "{name}, {command}: the file was changed"
            );
            assert_eq!(bed.emulator.requests(), [], "{name}, {command}");
            for beside in ["broken.db-wal", "broken.db-shm", "broken.db-journal"] {
                assert!(
                    !bed.path(beside).exists(),
                    "{name}, {command}: {beside} was made"
                );
            }
        }
    }
}

#[test]
fn the_disk_of_temporary_files_is_full() {
    let mut world = super::bed::small_world();
    let crm = world.account_mut("crm");
    let group = crate::support::group_of(crm, "Everybody", "somebody", 150);
    let long = "long-winded ".repeat(2_500);
    for (contact, _) in crm.members_of(group) {
        crm.change_contact(contact, [("company", long.as_str())], []);
    }
    let bed = Bed::over(world);
    // The answer outgrows what is kept in memory, and no file may grow beyond 768 KiB: dash counts
    // in blocks of 512 bytes.
    let ended = bed.end(&mut bed.shell(&format!(
        "trap '' XFSZ; ulimit -f 1536; exec \"$ROSTERD\" sync {JOB}"
    )));
    let said = ended.complaint(1);
    assert!(
        said.contains("crm: ")
            && said.contains("the directory for temporary files")
            && said.contains("make room"),
        "{said}"
    );
    bed.assert_unwritten();
    let left: Vec<PathBuf> = std::fs::read_dir(bed.path("tmp"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(
        left,
        Vec::<PathBuf>::new(),
        "nothing is left in the directory for temporary files"
    );
    bed.sync();
    assert_eq!(bed.size("mail", "Everybody"), 150);
}

/// What people type into names: markup, quotes, letters that turn the direction, and what a terminal would
/// obey.
const EVIL: &str = "A \"B\" C <b>x</b> \u{1b}]0;owned\u{7}\u{1b}[2J \u{202e}txt & 'd'";

#[test]
fn names_that_are_hard_on_a_reader_are_harmless_in_what_every_command_says() {
    let mut world = small_world();
    let crm = world.account_mut("crm");
    let group = crm.find_group("Donors").unwrap();
    let person = *crm.groups[&group].members.keys().next().unwrap();
    let address = crm.contacts[&person].email.clone();
    crm.rename_group(group, EVIL);
    crm.change_contact(person, [("last_name", EVIL), ("company", EVIL)], []);
    let long = "long ".repeat(2_000);
    let other = crm.add_group(&long);
    crm.join(other, person);
    let bed = Bed::over(world);
    let id = group.to_string();
    let mut said: Vec<(String, Ended)> = Vec::new();
    let mut tell = |arguments: &[&str]| {
        let ended = bed.run(arguments);
        assert!(
            matches!(ended.code, Some(0..=4)),
            "{arguments:?}: {}\n{}",
            ended.out,
            ended.err
        );
        said.push((arguments.join(" "), ended));
    };
    for format in ["text", "json"] {
        tell(&["plan", "--format", format]);
        tell(&["plan", "-v", "--only", EVIL, "--format", format]);
        tell(&["migrate", JOB, "--assess", "--format", format]);
        tell(&["rehearse", JOB, "--format", format]);
        tell(&["groups", "crm", "--format", format]);
    }
    tell(&["plan", "--format", "html"]);
    tell(&["-v", "sync", JOB]);
    let run = bed.newest_run();
    for format in ["text", "json"] {
        for arguments in [
            &["sync", JOB][..],
            &["show", &run],
            &["show", &run, "-v", "--group", EVIL],
            &["show", &run, "--group", "A \u{1b}[2J"],
            &["show", &run, "--person", &address, "-v"],
            &["undo", &run],
            &["undo", &run, "-v"],
            &["explain", EVIL],
            &["explain", &id],
            &["explain", &address],
            &["explain", "\u{1b}[2J"],
            &["members", EVIL],
            &["members", EVIL, "--at", "0s ago"],
            &["links"],
            &["groups", "mail"],
            &["failures"],
            &["history"],
            &["status"],
            &["link", "\u{1b}[2J", "\u{202e}"],
        ] {
            let mut arguments = arguments.to_vec();
            if arguments[0] != "link" {
                arguments.extend(["--format", format]);
            }
            tell(&arguments);
        }
    }
    tell(&["show", &run, "--format", "html"]);
    for (what, ended) in &said {
        let is_page = what.ends_with("html");
        let is_json = what.ends_with("json");
        for text in [&ended.out, &ended.err] {
            let bad: &[char] = if is_json {
                &['\u{1b}', '\u{7}']
            } else {
                &['\u{1b}', '\u{7}', '\u{202e}']
            };
            assert!(!text.contains(bad), "{what}:\n{text}");
        }
        assert!(
            !is_page || !ended.out.contains("<b>x"),
            "{what}:\n{}",
            ended.out
        );
        // Quotes inside a name that stands in quotes are told from those around it.
        if !is_page && !is_json {
            for text in [&ended.out, &ended.err] {
                assert!(!text.contains("\"A \"B\" C"), "{what}:\n{text}");
            }
        }
        if is_json {
            serde_json::from_str::<serde_json::Value>(&ended.out)
                .unwrap_or_else(|error| panic!("{what}: {error}\n{}", ended.out));
        }
    }
}
