//! The integration tests: one binary, so that the crate is linked once.

mod architecture;
mod conformance;
mod support;
mod sync;
