//! The only place that talks to the network.
//!
//! An adapter builds a [`Call`], hands it to its [`Account`] together with a decoder, and gets back
//! what the decoder made of a complete [`Reply`]. Pacing, retrying, waiting, caps, the circuit
//! breaker and request logs are here and nowhere else, so that no adapter can forget them.
//!
//! The two verbs differ in one thing only: [`Account::read`] repeats whatever failed on the way,
//! while [`Account::write`] repeats a request only when it is known not to have been carried out.
//! Everything in between is [`CallError::OutcomeUnknown`], and the caller has to look before it
//! sends anything again.

mod account;
mod body;
mod breaker;
mod call;
mod error;
mod limit;
mod retry;
mod send;
mod transport;
mod trouble;
mod words;

#[cfg(test)]
mod tests;

pub use account::{Account, AccountOptions, Statistics};
pub use body::{Body, DEFAULT_MAX_BODY, Reading};
pub(crate) use call::Wire;
pub use call::{Call, CallBody, Effect, FormValue, Lane, Method, Reply};
pub use error::{CallError, DecodeError, Problem, Refusal, TransportError};
pub(crate) use transport::Told;
pub use transport::{LocalFault, NetworkOptions, Transport};
