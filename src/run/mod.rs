//! One run end to end: read, plan, guard, apply, verify.

mod error;
mod report;

pub use error::RunError;
pub use report::{Cost, ItemFailure, Outcome, Planned, RunReport};
