//! From two snapshots to a plan: pure, total, deterministic.

pub mod base;
