//! A command that takes messages: on standard input as JSON, and in its environment.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStderr, Command};
use tokio::time::timeout;

use super::channel::Failure;
use super::message::Letter;
use crate::model::without_addresses;
use crate::report::harmless;

/// How much of what a command says is looked at.
const HEARD: usize = 4 * 1024;

/// The longest of its lines that is repeated, in characters.
const LONGEST_LINE: usize = 200;

/// How long a command's last words are waited for once it has ended: something that it started may hold
/// the line open for ever.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Runs a command for a message and says how it ended. After the time it is killed with all that it
/// started.
pub(super) async fn run(
    words: &[String],
    hidden: &[String],
    letter: &Letter,
    patience: Duration,
) -> Result<String, Failure> {
    let program = words.first().map_or("", String::as_str);
    let mut command = Command::new(program);
    command
        .args(words.get(1..).unwrap_or_default())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    // The secrets of the config are none of its business.
    for name in hidden {
        command.env_remove(name);
    }
    command.envs(environment(letter));
    #[cfg(unix)]
    command.process_group(0);
    let program = harmless(program);
    let mut child = command
        .spawn()
        .map_err(|error| Failure::of(format!("the command {program} can't be run: {error}")))?;
    let mut family = Family(child.id());
    let body = letter.json.to_string();
    if let Some(mut input) = child.stdin.take() {
        tokio::spawn(async move {
            // Not every command reads what it is given.
            drop(input.write_all(body.as_bytes()).await);
        });
    }
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listening = child
        .stderr
        .take()
        .map(|output| tokio::spawn(listen(output, heard.clone())));
    let Ok(ended) = timeout(patience, child.wait()).await else {
        family.kill();
        drop(child.wait().await);
        return Err(Failure::of(format!(
            "the command {program} did not end within {} seconds and was killed",
            patience.as_secs()
        )));
    };
    family.0 = None;
    if let Some(mut listening) = listening
        && timeout(LAST_WORDS, &mut listening).await.is_err()
    {
        listening.abort();
    }
    let status = ended.map_err(|error| {
        Failure::of(format!("the command {program} can't be followed: {error}"))
    })?;
    if status.success() {
        return Ok(format!("{program} ended with 0"));
    }
    let how = match status.code() {
        Some(code) => format!("ended with {code}"),
        None => "was ended by a signal".to_owned(),
    };
    let said = last_line(
        &heard
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner),
    );
    let said = said.map(|line| format!(": {line}")).unwrap_or_default();
    Err(Failure::of(format!("{program} {how}{said}")))
}

/// What a message brings into the environment of a command.
fn environment(letter: &Letter) -> Vec<(&'static str, String)> {
    // A text with a NUL would keep the command from being started at all.
    let plain = |text: &str| text.replace('\0', "");
    let optional = |text: Option<&String>| plain(text.map_or("", String::as_str));
    vec![
        ("ROSTERD_ALERT_ID", plain(&letter.uid)),
        ("ROSTERD_ALERT_TYPE", plain(&letter.kind)),
        ("ROSTERD_ALERT_JOB", optional(letter.job.as_ref())),
        ("ROSTERD_ALERT_RUN", optional(letter.run.as_ref())),
        (
            "ROSTERD_ALERT_OPT_OUTS_WAIT",
            letter.opt_outs_wait.to_string(),
        ),
        ("ROSTERD_ALERT_SUBJECT", plain(&letter.subject)),
        ("ROSTERD_ALERT_TEXT", plain(&letter.text)),
    ]
}

/// Takes in what a command says, and keeps the beginning.
async fn listen(mut output: ChildStderr, heard: Arc<Mutex<Vec<u8>>>) {
    let mut piece = [0; 1024];
    while let Ok(length) = output.read(&mut piece).await {
        if length == 0 {
            return;
        }
        let mut heard = heard
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let room = HEARD.saturating_sub(heard.len());
        heard.extend_from_slice(&piece[..length.min(room)]);
    }
}

/// Returns the last line of what a command said, as it may stand in a log.
fn last_line(heard: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(heard);
    let line = text
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty())?;
    let short: String = line.chars().take(LONGEST_LINE).collect();
    Some(harmless(&without_addresses(&short)).into_owned())
}

/// A command and all that it started; killed where nobody waits for it any more.
struct Family(Option<u32>);

impl Family {
    fn kill(&mut self) {
        let Some(leader) = self.0.take() else { return };
        #[cfg(unix)]
        if let Some(group) = i32::try_from(leader)
            .ok()
            .and_then(rustix::process::Pid::from_raw)
        {
            // Those that have ended by themselves can't be killed, and that is as good.
            rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
        }
        #[cfg(not(unix))]
        let _ = leader;
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::decide::State;
    use crate::notify::message::letter;
    use crate::notify::testing::delivery;

    async fn shell(script: &str, patience: Duration) -> Result<String, Failure> {
        let letter = letter(
            &delivery(State::Refused("4f2a".to_owned()), State::Well),
            "ops1",
        );
        let words = ["/bin/sh", "-c", script].map(str::to_owned);
        run(&words, &["CARGO_PKG_NAME".to_owned()], &letter, patience).await
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_command_gets_the_message_twice_and_no_secret() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("got").display().to_string();
        let script = format!(
            "{{ cat; echo; echo \"$ROSTERD_ALERT_SUBJECT|$ROSTERD_ALERT_OPT_OUTS_WAIT|$CARGO_PKG_NAME\"; }} > '{path}'"
        );
        let done = shell(&script, Duration::from_secs(20)).await.unwrap();
        assert_eq!(done, "/bin/sh ended with 0");
        let got = std::fs::read_to_string(path).unwrap();
        let (json, line) = got.trim_end().split_once('\n').unwrap();
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(json["type"], "job.refused");
        assert_eq!(
            line,
            "[rosterd] 10 opt-outs wait: a guard refused the plan of crm-to-mail|10|"
        );
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn what_a_command_says_is_cut_and_names_nobody() {
        let script = "printf '\\033[2Jno room for ana@example.org %0500d\\n' 7 >&2; exit 3";
        let error = shell(script, Duration::from_secs(20))
            .await
            .unwrap_err()
            .why;
        assert!(error.starts_with("/bin/sh ended with 3: "), "{error}");
        assert!(
            error.contains("(address)") && error.chars().count() < 300,
            "{error}"
        );
        assert!(!error.contains('@') && !error.contains('\u{1b}'), "{error}");
        let loud = "head -c 300000 /dev/zero >&2; exit 1";
        let error = shell(loud, Duration::from_secs(20)).await.unwrap_err().why;
        assert!(error.len() < 3_000, "{}", error.len());
        let letter = letter(&delivery(State::Failing, State::Well), "ops1");
        let words = ["/nonexistent/page-me".to_owned()];
        let nothing = run(&words, &[], &letter, Duration::from_secs(1)).await;
        assert!(nothing.unwrap_err().why.contains("can't be run"));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_command_that_does_not_end_is_killed_with_all_that_it_started() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("child");
        let script = format!("sleep 600 & echo $! > '{}'; wait", path.display());
        let error = shell(&script, Duration::from_secs(3)).await;
        let error = error.unwrap_err().why;
        assert!(error.contains("was killed"), "{error}");
        let child: i32 = std::fs::read_to_string(path)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        // It is gone, or waits to be reaped by whoever inherited it; the signal may still be on its way.
        let stat = || std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        let is_gone = |stat: &str| stat.is_empty() || stat.contains(") Z ");
        for _ in 0..1_000 {
            if is_gone(&stat()) {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        panic!("{}", stat());
    }
}
