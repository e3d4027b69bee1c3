//! The integration tests: one binary, so that the crate is linked once.

mod architecture;
mod changes;
mod commands;
mod consent;
mod crash;
mod faults;
mod guards;
mod incomplete;
mod jobs;
mod plans;
mod requests;
mod support;
mod sync;
