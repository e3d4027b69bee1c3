//! The adapter against bodies at hand and against a scripted service. Every body is made up from
//! the manual's rules.

mod codec;
mod excess;
mod hostile;
mod reading;
mod rehearsal;
mod service;
mod writing;

/// Returns a fixture.
macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/greenrope/",
            $name
        ))
    };
}
use fixture;
