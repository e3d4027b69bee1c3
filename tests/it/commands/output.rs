//! What goes where: results to standard output, all else to standard error, and secrets nowhere.

use super::bed::{Bed, JOB};

#[test]
fn logs_go_to_standard_error_and_hold_no_secret_and_no_address() {
    let bed = Bed::new();
    for arguments in [
        &["-vvv", "plan", JOB][..],
        &["-vvv", "--log-format", "json", "sync", JOB],
        &["-vvv", "check", "--online"],
    ] {
        let ended = bed.run(arguments);
        ended.assert(0);
        assert!(ended.err.lines().count() > 5, "{}", ended.err);
        for secret in bed.secrets() {
            assert!(
                !ended.err.contains(&secret) && !ended.out.contains(&secret),
                "{}",
                ended.err
            );
        }
        assert!(!ended.err.contains('@'), "{}", ended.err);
        if arguments.contains(&"json") {
            for line in ended.err.lines() {
                let line: serde_json::Value =
                    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
                assert!(
                    line["level"].is_string() && line["timestamp"].is_string(),
                    "{line}"
                );
            }
        }
    }
    let state = std::fs::read(bed.path("rosterd.db")).unwrap();
    let wal = std::fs::read(bed.path("rosterd.db-wal")).unwrap_or_default();
    for secret in bed.secrets() {
        let holds = |bytes: &[u8]| {
            bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes())
        };
        assert!(
            !holds(&state) && !holds(&wal),
            "the state database holds a secret"
        );
    }
}

#[test]
fn how_much_is_logged_does_not_change_the_result() {
    let bed = Bed::new();
    let plain = bed.run(&["plan", JOB, "--format", "json"]);
    let quiet = bed.run(&["-q", "plan", JOB, "--format", "json"]);
    let loud = bed.run(&[
        "plan",
        JOB,
        "--format",
        "json",
        "-vv",
        "--log-format",
        "json",
    ]);
    for ended in [&plain, &quiet, &loud] {
        ended.assert(0);
        assert_eq!(ended.out, plain.out);
    }
    assert_eq!((plain.err.as_str(), quiet.err.as_str()), ("", ""));
    assert_ne!(loud.err, "");
}

#[test]
fn a_reader_who_leaves_is_no_failure() {
    let bed = Bed::new();
    for command in [
        "plan crm-to-mail -v",
        "schema",
        "schema fields",
        "man",
        "completions bash",
        "--help",
    ] {
        let line = format!("{{ \"$ROSTERD\" {command}; echo \"ended with $?\" >&2; }} | head -1");
        let ended = bed.end(&mut bed.shell(&line));
        ended.assert(0);
        assert_eq!(ended.err, "ended with 0\n", "{command}");
        assert_eq!(ended.out.lines().count(), 1, "{command}: {}", ended.out);
    }
    let ended = bed.end(
        &mut bed.shell("{ \"$ROSTERD\" sync crm-to-mail; echo \"ended with $?\" >&2; } | true"),
    );
    assert_eq!(ended.err, "ended with 0\n", "the run goes on to its end");
    bed.assert_settled();
}
