//! The integration tests: one binary, so that the crate is linked once.

mod changes;
mod consent;
mod guards;
mod support;
mod sync;
