//! Keeps groups and their members the same at two email-marketing or CRM providers.

pub mod cli;
pub mod config;
pub mod demo;
pub mod emulate;
pub mod emulator;
pub mod http;
pub mod mapping;
pub mod model;
pub mod plan;
pub mod provider;
pub mod report;
pub mod run;
pub mod schedule;
mod signals;
pub mod state;
