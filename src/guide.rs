//! The guide: what an operator has to know, chapter by chapter.
//!
//! Each chapter is one text, which `rosterd help TOPIC` prints as well.

/// A chapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chapter {
    /// The word after `rosterd help`.
    pub name: &'static str,
    /// What it is about, in a few words.
    pub about: &'static str,
    /// The text, in Markdown.
    pub text: &'static str,
}

/// Lists the chapters, each with its text, and gives each a page of the documentation.
macro_rules! chapters {
    ($($name:ident: $about:literal,)+) => {
        /// The chapters, in the order in which they are best read.
        pub const CHAPTERS: &[Chapter] = &[$(
            Chapter {
                name: stringify!($name),
                about: $about,
                text: include_str!(concat!("guide/", stringify!($name), ".md")),
            },
        )+];

        $(
            #[doc = include_str!(concat!("guide/", stringify!($name), ".md"))]
            pub mod $name {}
        )+
    };
}

// One line a chapter: the word after `rosterd help`, which is the name of the file as well.
chapters! {
    install: "from nothing to a first run: program, config, service",
    emfluence: "the first config: login, rights, and what is different there",
    greenrope: "the first config: login, rights, and what is different there",
    activecampaign: "the first config, for lists and for user groups",
    providers: "what all providers share: secrets, pace, what one can't hold",
    mapping: "which value goes where, and the language of expressions",
    consent: "opt-outs: what is carried, what bars whom, what no command undoes",
    guards: "what stops a plan before the first write, and how to let it pass",
    migration: "moving an account once: assess, rehearse, move, verify",
    daily: "one look a day, and what to do about what it shows",
    mistakes: "why something is as it is, and how to take a run back",
    service: "running for years: schedules, pauses, signals, systemd",
    alerts: "what you are told when a job turns bad, and what to do then",
    metrics: "figures for Prometheus, each with its meaning; health checks",
    recovery: "backups, and what to do after a crash or a lost database",
    security: "secrets, personal data, the network, the service",
    emulator: "trying everything, trouble included, without an account",
    extending: "how to add a provider",
}

/// Finds a chapter by its name.
pub fn chapter(name: &str) -> Option<&'static Chapter> {
    CHAPTERS
        .iter()
        .find(|chapter| chapter.name.eq_ignore_ascii_case(name))
}
