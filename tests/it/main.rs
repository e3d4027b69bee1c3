//! The integration tests: one binary, so that the crate is linked once.

#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]
#![allow(unreachable_pub, reason = "a test binary has no outside")]

mod architecture;
mod bars;
mod chains;
mod changes;
mod commands;
mod conformance;
mod consent;
mod crash;
mod drift;
mod early;
mod estimates;
mod faults;
mod goners;
mod growth;
mod guards;
mod housekeeping;
mod identity;
mod incomplete;
mod jobs;
mod late;
mod lists;
mod looks;
mod meanwhile;
mod migrations;
mod pace;
mod packaging;
mod page;
mod pairs;
mod plans;
mod proof;
mod quirks;
mod redaction;
mod refresh;
mod requests;
mod rights;
mod rules;
mod settings;
mod simulation;
mod support;
mod sync;
mod troubles;
mod turned_down;
mod undo;
mod undo_since;
mod undo_unread;
mod user_groups;
mod web;
