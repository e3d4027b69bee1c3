//! The HTTP side of a real service, over a socket.

mod api;
mod bed;
mod client;
mod limits;
mod metrics;
mod page;
mod safety;
