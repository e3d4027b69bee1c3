//! Whole files: what they settle to, and what is said about broken ones.

mod activecampaign;
mod broken;
mod defaults;
mod robust;

use std::path::Path;

use super::settled::Config;
use super::*;

/// A sound configuration that the tests change.
const SOUND: &str = include_str!("../../config/greenrope-to-emfluence.toml");

fn config(text: &str) -> Config {
    match parse(text, Path::new("etc/rosterd.toml")) {
        Ok((config, _)) => config,
        Err(findings) => panic!("{findings}"),
    }
}

fn rendered(text: &str) -> String {
    match parse(text, Path::new("rosterd.toml")) {
        Ok((_, warnings)) => warnings
            .iter()
            .map(|warning| warning.render(false))
            .collect::<Vec<_>>()
            .join("\n\n"),
        Err(findings) => findings.to_string(),
    }
}
