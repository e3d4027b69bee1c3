//! What unit tests of several modules share.

use std::sync::OnceLock;

use proptest::test_runner::{Config, RngSeed};
use tracing::subscriber::DefaultGuard;
use tracing::{Dispatch, Subscriber};

/// How many cases of each property a search tries, from a seed of its own.
const SEARCH: &str = "ROSTERD_SEARCH";

/// Returns how a property is tried: the same `count` cases in every run, so that the suite tells of
/// a change and never of chance; or as many fresh ones as `ROSTERD_SEARCH` says.
pub(crate) fn cases(count: u32) -> Config {
    let search = std::env::var(SEARCH).ok();
    let search = search.map(|text| text.parse().expect("ROSTERD_SEARCH is a number of cases"));
    Config {
        cases: search.unwrap_or(count),
        rng_seed: search.map_or(RngSeed::Fixed(1), |_| RngSeed::Random),
        // What a search finds is kept as a test of its own, with its minimal input.
        failure_persistence: None,
        ..Config::default()
    }
}

/// Has a subscriber hear what this thread logs, until the guard is dropped.
///
/// While there is one subscriber only, a place that logs and that another thread, which hears nothing,
/// meets first counts as one that nobody hears. So there is another one, for good. A place that such a
/// thread is about to meet at this very moment takes `tracing::callsite::rebuild_interest_cache`.
pub(crate) fn hear(subscriber: impl Subscriber + Send + Sync + 'static) -> DefaultGuard {
    static ANOTHER: OnceLock<Dispatch> = OnceLock::new();
    ANOTHER.get_or_init(|| Dispatch::new(tracing_subscriber::registry()));
    tracing::subscriber::set_default(subscriber)
}
