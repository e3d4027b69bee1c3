//! The forms in which results are printed.

use clap::ValueEnum;

/// How a result is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs; keys may be added in later versions, and none is renamed.
    Json,
}

/// How a plan is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// For people.
    #[default]
    Text,
    /// For programs, and for `apply`.
    Json,
    /// One page for a colleague, to be searched and printed.
    Html,
}

/// How a run is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ShowFormat {
    /// For people.
    #[default]
    Text,
    /// For programs; keys may be added in later versions, and none is renamed.
    Json,
    /// One page for a colleague, to be searched and printed.
    Html,
}

/// The option that every command with a result has.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct FormatArg {
    /// How the result is printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
}
