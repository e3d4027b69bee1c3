//! The integration tests: one binary, so that the crate is linked once.

#![expect(clippy::unwrap_used, reason = "a test that finds nothing where something should be may panic")]

mod changes;
mod consent;
mod crash;
mod faults;
mod guards;
mod incomplete;
mod jobs;
mod plans;
mod quirks;
mod requests;
mod support;
mod sync;
