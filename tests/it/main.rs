//! The integration tests: one binary, so that the crate is linked once.

#![allow(unreachable_pub, reason = "a test binary has no outside")]
#![expect(clippy::unwrap_used, reason = "a test that finds nothing where something should be may panic")]

mod architecture;
mod changes;
mod commands;
mod conformance;
mod consent;
mod crash;
mod faults;
mod guards;
mod housekeeping;
mod incomplete;
mod jobs;
mod plans;
mod quirks;
mod refresh;
mod requests;
mod settings;
mod support;
mod sync;
