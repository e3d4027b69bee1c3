//! What unit tests of several modules share.

use proptest::test_runner::{Config, RngSeed};

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
