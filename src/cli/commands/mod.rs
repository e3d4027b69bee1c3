//! One file per command: what can be typed, and what happens then.

pub(super) mod accept;
pub(super) mod apply;
pub(super) mod backup;
pub(super) mod check;
pub(super) mod completions;
mod copies;
pub(super) mod demo;
pub(super) mod emulate;
pub(super) mod explain;
pub(super) mod export;
pub(super) mod failures;
pub(super) mod forget;
pub(super) mod groups;
pub(super) mod help;
pub(super) mod history;
pub(super) mod init;
pub(super) mod link;
pub(super) mod links;
pub(super) mod man;
pub(super) mod members;
pub(super) mod migrate;
pub(super) mod notify;
pub(super) mod pause;
pub(super) mod plan;
pub(super) mod rehearse;
pub(super) mod restore;
pub(super) mod retry;
pub(super) mod run;
pub(super) mod schedule;
pub(super) mod schema;
pub(super) mod show;
pub(super) mod status;
pub(super) mod sync;
pub(super) mod undo;

/// The version of every JSON result.
const VERSION: u32 = crate::report::FORMAT_VERSION;
