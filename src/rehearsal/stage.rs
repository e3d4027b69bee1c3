//! The copies as they are reached: the config of the real accounts, which leads into the emulator,
//! and a clock that runs ahead of the world's.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::Uri;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tracing::subscriber::NoSubscriber;
use url::Url;

use super::copy::kind_of;
use crate::config::Config;
use crate::config::settled::Credentials;
use crate::emulator::{Account, Credentials as Login, Emulator, Kind};
use crate::http::Transport;
use crate::model::Gaps;
use crate::run::{Clock, Progress, RunError, Runner, RunnerOptions};
use crate::state::Store;

/// What a deep call needs of a thread of its own; the main one has as much.
const STACK: usize = 16 << 20;

/// Leads requests for the real addresses into the emulator.
#[derive(Clone)]
struct Bridge {
    /// Where an account is reached, without its last slash, and where its copy is.
    ways: Arc<Vec<(Url, &'static str)>>,
    router: Router,
}

impl Bridge {
    /// Returns where in the emulator a request goes; nothing where it goes to neither account.
    fn lead(&self, uri: &Uri) -> Option<Uri> {
        let asked = Url::parse(&uri.to_string()).ok()?;
        let fits = self.ways.iter().filter_map(|(real, copy)| {
            let rest = asked
                .path()
                .strip_prefix(real.path().trim_end_matches('/'))?;
            let is_there =
                asked.origin() == real.origin() && (rest.is_empty() || rest.starts_with('/'));
            is_there.then_some((real.path().len(), rest, *copy))
        });
        // One address may begin with another one, and the longest that fits is meant.
        let (_, rest, copy) = fits.max_by_key(|(length, ..)| *length)?;
        let query = asked.query().map(|query| format!("?{query}"));
        let query = query.unwrap_or_default();
        format!("{copy}{rest}{query}").parse().ok()
    }

    fn router(self) -> Router {
        Router::new().fallback(move |mut request: Request| {
            let bridge = self.clone();
            async move {
                if let Some(uri) = bridge.lead(request.uri()) {
                    *request.uri_mut() = uri;
                }
                // Where it leads nowhere, the emulator says that there is nothing.
                let Ok(response) = bridge.router.oneshot(request).await;
                response
            }
        })
    }
}

fn base_path(kind: Kind) -> &'static str {
    match kind {
        Kind::Emfluence => "/emfluence/v1",
        Kind::GreenRope => "/greenrope/api-xml",
        Kind::ActiveCampaign => "/activecampaign",
    }
}

/// What a rehearsal is played on.
pub(super) struct Stage {
    config: Arc<Config>,
    transport: Transport,
    progress: Arc<dyn Progress>,
    clock: Clock,
    stop: CancellationToken,
    gaps: Arc<BTreeMap<String, Gaps>>,
}

impl Stage {
    /// Points the config of a job at the copies of its accounts: the same addresses, and logins that
    /// open nothing else. `half_seen` names the providers whose login does not see everything.
    pub(super) fn build(
        config: &Config,
        emulator: &Emulator,
        half_seen: &[&str],
        gaps: BTreeMap<String, Gaps>,
        outside: &RunnerOptions,
        clock: Clock,
    ) -> Stage {
        let logins: Vec<Login> = emulator.with_world(|world| {
            let accounts = world.accounts.iter();
            accounts.map(Account::credentials).collect()
        });
        let mut config = config.clone();
        let mut ways = Vec::new();
        for login in logins {
            let Some(provider) = config.providers.get_mut(&login.account) else {
                continue;
            };
            ways.push((provider.base_url.clone(), base_path(kind_of(provider.kind))));
            provider.shared_access |= half_seen.contains(&login.account.as_str());
            match &mut provider.credentials {
                Credentials::AccessToken(secret) | Credentials::ApiKey(secret) => {
                    *secret = secret.stand_in(&login.token);
                }
                Credentials::Password { email, password } => {
                    email.clone_from(&login.email);
                    *password = password.stand_in(&login.password);
                }
                Credentials::AuthToken { email, token } => {
                    email.clone_from(&login.email);
                    *token = token.stand_in(&login.token);
                }
            }
        }
        let bridge = Bridge {
            ways: Arc::new(ways),
            router: emulator.router(),
        };
        Stage {
            config: Arc::new(config),
            transport: Transport::Local(bridge.router()),
            progress: outside.progress.clone(),
            clock,
            stop: outside.stop.clone(),
            gaps: Arc::new(gaps),
        }
    }

    /// Makes a runner over a state database of its own; `what` says what it is for.
    pub(super) fn runner(&self, state: &Path, what: &'static str) -> Result<Runner, RunError> {
        let store = Store::open(state, (self.clock)())?;
        let options = RunnerOptions {
            transport: Some(self.transport.clone()),
            progress: Arc::new(Told {
                to: self.progress.clone(),
                what,
            }),
            clock: self.clock.clone(),
            stop: self.stop.clone(),
            gaps: self.gaps.clone(),
            ..RunnerOptions::default()
        };
        Ok(Runner::new(self.config.clone(), Arc::new(store), options))
    }
}

/// Tells of progress in the copy, so that nobody takes it for the accounts'.
struct Told {
    to: Arc<dyn Progress>,
    what: &'static str,
}

impl Progress for Told {
    fn stage(&self, job: &str, text: &str) {
        self.to.stage(job, &format!("{}: {text}", self.what));
    }

    fn finish(&self, job: &str) {
        self.to.finish(job);
    }
}

/// Does work on a clock of its own, which leaps to whatever is waited for next: hours at a provider's
/// pace pass in seconds. What happens there is not logged, since none of it happens at a provider.
///
/// # Errors
/// When no thread can be had for it.
pub(super) async fn ahead_of_time<T, W, F>(stop: CancellationToken, work: W) -> Result<T, RunError>
where
    T: Send + 'static,
    W: FnOnce() -> F + Send + 'static,
    F: Future<Output = Result<T, RunError>>,
{
    // Whoever is not waited for any more stops by itself.
    let _stops = stop.drop_guard();
    let (answer, answered) = oneshot::channel();
    let failed = |what: String| RunError::Setup(format!("the rehearsal could not start: {what}"));
    let thread = std::thread::Builder::new()
        .name("rehearsal".to_owned())
        .stack_size(STACK);
    let started = thread.spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        let done = match runtime {
            Ok(runtime) => tracing::subscriber::with_default(NoSubscriber::default(), || {
                runtime.block_on(async { work().await })
            }),
            Err(error) => Err(failed(error.to_string())),
        };
        // Nobody listens any more where everything was dropped.
        drop(answer.send(done));
    });
    started.map_err(|error| failed(error.to_string()))?;
    answered
        .await
        .unwrap_or_else(|_| Err(failed("it ended without a word".to_owned())))
}

/// Returns a clock that shows a moment now, and goes with the clock of the runtime that it is asked
/// in.
pub(super) fn clock_from(began: Timestamp) -> Clock {
    let start = Instant::now();
    Arc::new(move || {
        let passed = SignedDuration::try_from(start.elapsed()).unwrap_or(SignedDuration::MAX);
        began.checked_add(passed).unwrap_or(began)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_leads_into_its_copy_and_no_other_does() {
        let url = |text: &str| Url::parse(text).unwrap();
        let bridge = Bridge {
            ways: Arc::new(vec![
                (url("https://api.example.org/v1"), "/emfluence/v1"),
                (
                    url("https://api.example.org/v1/api-xml"),
                    "/greenrope/api-xml",
                ),
                (url("https://a.example.org/"), "/activecampaign"),
            ]),
            router: Router::new(),
        };
        for (asked, led) in [
            (
                "https://api.example.org/v1/groups/search?a=1%202",
                Some("/emfluence/v1/groups/search?a=1%202"),
            ),
            (
                "https://api.example.org/v1/api-xml",
                Some("/greenrope/api-xml"),
            ),
            (
                "https://a.example.org/admin/api.php?x=y",
                Some("/activecampaign/admin/api.php?x=y"),
            ),
            ("https://a.example.org:8443/api/3/lists", None),
            ("https://b.example.org/v1/groups", None),
            ("https://api.example.org/v10/groups", None),
        ] {
            let uri: Uri = asked.parse().unwrap();
            let found = bridge.lead(&uri).map(|uri| uri.to_string());
            assert_eq!(found.as_deref(), led, "{asked}");
        }
    }

    #[tokio::test]
    async fn a_day_passes_at_once() {
        let began = Timestamp::UNIX_EPOCH;
        let stop = CancellationToken::new();
        let passed = ahead_of_time(stop.clone(), move || async move {
            let clock = clock_from(began);
            tokio::time::sleep(std::time::Duration::from_hours(24)).await;
            Ok(clock())
        });
        let passed = passed.await.unwrap();
        assert_eq!(passed.duration_since(began), SignedDuration::from_hours(24));
        assert!(stop.is_cancelled(), "nothing of it goes on afterwards");
    }
}
