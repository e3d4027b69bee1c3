//! The integration tests: one binary, so that the crate is linked once.

mod housekeeping;
mod refresh;
mod settings;
mod support;
mod sync;
