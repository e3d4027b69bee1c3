//! Fetching secrets at the moment they are needed.
//!
//! Errors name the config key and the place, never the text: a command's output, standard error
//! included, is not shown.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use secrecy::SecretString;

use super::settled::{Config, Credentials, Secret, SecretSource};

/// How long a command may take.
const COMMAND_PATIENCE: Duration = Duration::from_secs(30);

/// The longest secret; whatever is longer is the wrong file or the wrong command.
const LONGEST: u64 = 64 * 1024;

/// Why a secret could not be fetched. `place` is the config key.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The environment variable is not set, or is not text.
    #[error(
        "`{place}`: the environment variable `{name}` is not set: set it, or give the secret another way."
    )]
    NoVariable {
        /// The config key.
        place: String,
        /// The variable.
        name: String,
    },
    /// The file can't be read.
    #[error("`{place}`: the file `{}` can't be read: {reason}.", path.display())]
    File {
        /// The config key.
        place: String,
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// The program was not started with systemd credentials.
    #[error(
        "`{place}`: there is no directory of credentials: start rosterd as a systemd unit with LoadCredential={name}:…, or give the secret another way."
    )]
    NoCredentials {
        /// The config key.
        place: String,
        /// The credential.
        name: String,
    },
    /// The command could not be started or followed.
    #[error("`{place}`: the command `{program}` can't be run: {reason}.")]
    Command {
        /// The config key.
        place: String,
        /// The program, without its arguments.
        program: String,
        /// What the system says.
        reason: io::Error,
    },
    /// The command ended with a failure.
    #[error("`{place}`: the command `{program}` failed with {status}: run it by hand to see why.")]
    CommandFailed {
        /// The config key.
        place: String,
        /// The program, without its arguments.
        program: String,
        /// The exit code, or the signal.
        status: String,
    },
    /// The command took too long and was ended.
    #[error("`{place}`: the command `{program}` did not end within {} seconds.", COMMAND_PATIENCE.as_secs())]
    CommandTimedOut {
        /// The config key.
        place: String,
        /// The program, without its arguments.
        program: String,
    },
    /// There is a place, and nothing in it.
    #[error("`{place}`: the secret is empty: {what} holds no text.")]
    Empty {
        /// The config key.
        place: String,
        /// The place.
        what: String,
    },
    /// What was found can't be a secret.
    #[error("`{place}`: {what} is not a secret: it is not one line of text of at most 64 KiB.")]
    NotText {
        /// The config key.
        place: String,
        /// The place.
        what: String,
    },
}

impl Secret {
    /// Fetches the secret; `place` is the config key that errors name.
    ///
    /// This blocks: a command may take 30 seconds.
    ///
    /// # Errors
    /// Says why there is no secret, without a word of what was found.
    pub fn fetch(&self, place: &str) -> Result<SecretString, SecretError> {
        match self {
            Secret::Known(secret) | Secret::StandIn { text: secret, .. } => Ok(secret.clone()),
            Secret::Source(source) => fetch(
                source,
                place,
                COMMAND_PATIENCE,
                std::env::var_os("CREDENTIALS_DIRECTORY")
                    .as_deref()
                    .map(Path::new),
            ),
        }
    }
}

impl Config {
    /// Lists every secret of the configuration with its config key, so that they can be tried
    /// before they are needed.
    pub fn secrets(&self) -> Vec<(String, &Secret)> {
        let mut secrets = Vec::new();
        for (name, provider) in &self.providers {
            let (key, secret) = match &provider.credentials {
                Credentials::AccessToken(secret) => ("access_token", secret),
                Credentials::ApiKey(secret) => ("api_key", secret),
                Credentials::Password { password, .. } => ("password", password),
                Credentials::AuthToken { token, .. } => ("auth_token", token),
            };
            secrets.push((format!("providers.{name}.{key}"), secret));
        }
        secrets.extend(
            self.daemon
                .admin_token
                .as_ref()
                .map(|secret| ("daemon.admin_token".to_owned(), secret)),
        );
        let hook = self
            .notify
            .webhook
            .as_ref()
            .and_then(|(_, secret)| secret.as_ref());
        secrets.extend(hook.map(|secret| ("notify.webhook.secret".to_owned(), secret)));
        let mail = self.notify.email.as_ref();
        let mail = mail.and_then(|email| email.password.as_ref());
        secrets.extend(mail.map(|secret| ("notify.email.password".to_owned(), secret)));
        secrets
    }
}

fn fetch(
    source: &SecretSource,
    place: &str,
    patience: Duration,
    credentials: Option<&Path>,
) -> Result<SecretString, SecretError> {
    let place = place.to_owned();
    match source {
        SecretSource::Env(name) => {
            let text = std::env::var(name).map_err(|_| SecretError::NoVariable {
                place: place.clone(),
                name: name.clone(),
            })?;
            finish(
                text.into_bytes(),
                place,
                format!("the environment variable `{name}`"),
            )
        }
        SecretSource::File(path) => from_file(path, place, true),
        SecretSource::Credential(name) => match credentials {
            Some(directory) => from_file(&directory.join(name), place, false),
            None => Err(SecretError::NoCredentials {
                place,
                name: name.clone(),
            }),
        },
        SecretSource::Command(words) => from_command(words, place, patience),
    }
}

fn from_file(path: &Path, place: String, judge_mode: bool) -> Result<SecretString, SecretError> {
    let failed = |reason| SecretError::File {
        place: place.clone(),
        path: path.to_path_buf(),
        reason,
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    if judge_mode
        && file
            .metadata()
            .is_ok_and(|metadata| is_open_to_all(&metadata))
    {
        tracing::warn!(
            key = place,
            "A file that holds a secret can be read by every user of this machine."
        );
    }
    let mut bytes = Vec::new();
    file.take(LONGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    finish(bytes, place, format!("the file `{}`", path.display()))
}

#[cfg(unix)]
fn is_open_to_all(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.is_file() && metadata.permissions().mode() & 0o004 != 0
}

#[cfg(not(unix))]
fn is_open_to_all(_: &std::fs::Metadata) -> bool {
    false
}

fn from_command(
    words: &[String],
    place: String,
    patience: Duration,
) -> Result<SecretString, SecretError> {
    let program = words.first().cloned().unwrap_or_default();
    let failed = |reason| SecretError::Command {
        place: place.clone(),
        program: program.clone(),
        reason,
    };
    let mut command = Command::new(&program);
    command
        .args(words.get(1..).unwrap_or_default())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().map_err(failed)?;
    let output = child
        .stdout
        .take()
        .ok_or_else(|| failed(io::Error::other("it has no output")))?;
    // A thread reads, so that a command that prints nothing and never ends can be given up.
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = output
            .take(LONGEST + 1)
            .read_to_end(&mut bytes)
            .map(|_| bytes);
        // The receiver is gone once the command was given up; there is nobody left to tell.
        drop(sender.send(read));
    });
    #[expect(
        clippy::disallowed_methods,
        reason = "a process outside is waited for, whatever tokio's clock says"
    )]
    let started = std::time::Instant::now();
    let Ok(read) = receiver.recv_timeout(patience) else {
        end(&mut child);
        return Err(SecretError::CommandTimedOut { place, program });
    };
    let bytes = read.map_err(failed)?;
    loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            if !status.success() {
                let status = status
                    .code()
                    .map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"));
                return Err(SecretError::CommandFailed {
                    place,
                    program,
                    status,
                });
            }
            return finish(bytes, place, format!("the output of `{program}`"));
        }
        if started.elapsed() >= patience {
            end(&mut child);
            return Err(SecretError::CommandTimedOut { place, program });
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "secrets are fetched before any job runs"
        )]
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Ends a command that is no longer waited for.
fn end(child: &mut Child) {
    // A process that has just ended by itself can't be killed, and that is as good.
    drop(child.kill());
    drop(child.wait());
}

fn finish(bytes: Vec<u8>, place: String, what: String) -> Result<SecretString, SecretError> {
    let whole = bytes.len() as u64 <= LONGEST;
    let Some(text) = String::from_utf8(bytes)
        .ok()
        .filter(|_| whole)
        .map(SecretString::from)
    else {
        return Err(SecretError::NotText { place, what });
    };
    let trimmed = secrecy::ExposeSecret::expose_secret(&text).trim();
    if trimmed.is_empty() {
        return Err(SecretError::Empty { place, what });
    }
    if trimmed.chars().any(char::is_control) {
        return Err(SecretError::NotText { place, what });
    }
    Ok(SecretString::from(trimmed))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn check(source: SecretSource, credentials: Option<&Path>, expected: Result<&str, &str>) {
        let fetched = fetch(
            &source,
            "providers.crm.password",
            Duration::from_millis(300),
            credentials,
        );
        let fetched = fetched
            .map(|secret| secret.expose_secret().to_owned())
            .map_err(|error| error.to_string());
        match (&fetched, expected) {
            (Ok(text), Ok(expected)) => assert_eq!(text, expected),
            (Err(text), Err(expected)) => assert!(
                text.starts_with("`providers.crm.password`: ") && text.contains(expected),
                "{text}"
            ),
            _ => panic!("{source:?} gave {fetched:?}"),
        }
    }

    fn command(script: &str) -> SecretSource {
        SecretSource::Command(["sh", "-c", script].map(str::to_owned).to_vec())
    }

    #[test]
    fn secrets_come_from_every_place() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, "  s3cret \n").unwrap();
        std::fs::write(directory.path().join("empty"), "\n").unwrap();
        std::fs::write(directory.path().join("odd"), "two\nlines").unwrap();
        check(SecretSource::File(file), None, Ok("s3cret"));
        check(
            SecretSource::Credential("token".to_owned()),
            Some(directory.path()),
            Ok("s3cret"),
        );
        check(
            SecretSource::Credential("token".to_owned()),
            None,
            Err("LoadCredential=token"),
        );
        check(
            SecretSource::File(directory.path().join("none")),
            None,
            Err("can't be read"),
        );
        check(
            SecretSource::File(directory.path().join("empty")),
            None,
            Err("is empty"),
        );
        check(
            SecretSource::File(directory.path().join("odd")),
            None,
            Err("not a secret"),
        );
        check(
            SecretSource::Env("ROSTERD_TEST_NOT_SET".to_owned()),
            None,
            Err("`ROSTERD_TEST_NOT_SET` is not set"),
        );
        check(
            SecretSource::Env("CARGO_PKG_NAME".to_owned()),
            None,
            Ok("rosterd"),
        );
    }

    #[cfg(unix)]
    #[test]
    fn commands_are_followed_to_their_end() {
        check(command("printf 's3cret\\n'"), None, Ok("s3cret"));
        check(command("echo s3cret; exit 7"), None, Err("exit code 7"));
        check(command("echo s3cret >&2"), None, Err("is empty"));
        check(command("sleep 20"), None, Err("did not end"));
        check(
            SecretSource::Command(vec!["/nonexistent/program".to_owned()]),
            None,
            Err("can't be run"),
        );
    }

    #[cfg(unix)]
    #[test]
    fn an_error_shows_neither_output_nor_arguments() {
        let error = fetch(
            &command("echo s3cret; echo s3cret >&2; exit 1"),
            "key",
            COMMAND_PATIENCE,
            None,
        )
        .unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }
}
