//! What is told of a run, and what is kept of it: the last room.
//!
//! Applying leaves behind what happened, in order; here it is counted, put into words and written
//! down.

mod finish;
mod report;
mod retention;
mod tally;

pub use report::{ItemFailure, Outcome, RunReport};
