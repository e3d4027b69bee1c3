//! Whole commands, as a shell would start them, against emulated accounts on a loopback socket.

mod accounts;
mod alerts;
mod backup;
pub(crate) mod bed;
mod config;
mod disk;
mod explain;
mod export;
mod forget;
mod groups;
mod guards;
mod guide;
mod hostile;
mod kill;
mod members;
mod migrate;
mod output;
mod plan;
mod readme;
mod rehearse;
mod service;
mod signals;
mod small;
mod state;
mod story;
mod undo;
