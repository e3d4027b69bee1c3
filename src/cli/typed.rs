//! What was typed before a command and belongs into the commands that are shown.

use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::program;
use crate::report::{harmless, in_shell};

/// Commands that need neither a config nor a state database.
const ALONE: [&str; 7] = [
    "completions",
    "demo",
    "emulate",
    "help",
    "init",
    "man",
    "schema",
];

/// Takes down what was typed. What stands in the environment is there for the next command as well.
pub(super) fn remember(matches: &ArgMatches) {
    let mut typed = [("config", None), ("state", None)];
    let mut level = Some(("", matches));
    while let Some((name, matches)) = level {
        if ALONE.contains(&name) {
            return;
        }
        for (option, value) in &mut typed {
            if matches.value_source(option) == Some(ValueSource::CommandLine) {
                *value = matches.get_raw(option).and_then(Iterator::last);
            }
        }
        level = matches.subcommand();
    }
    let mut options = String::new();
    for (option, value) in typed {
        if let Some(value) = value {
            options.push_str(" --");
            options.push_str(option);
            options.push(' ');
            options.push_str(&in_shell(&harmless(&value.to_string_lossy())));
        }
    }
    if !options.is_empty() {
        program::remember(options);
    }
}
