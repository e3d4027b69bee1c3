//! The configuration: what was typed ([`raw`]), what it means ([`settled`]), and everything that is wrong with it, at once.

pub mod settled;
