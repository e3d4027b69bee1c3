//! What is told of a run, and what is kept of it: the last room.
//!
//! Applying leaves behind what happened, counted and in words; here the rest is added and written down.

mod finish;
mod report;
mod retention;

pub use report::{Outcome, RunReport};
