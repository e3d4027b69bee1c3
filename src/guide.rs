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

/// The chapters, in the order in which they are best read.
pub const CHAPTERS: [Chapter; 7] = [
    Chapter {
        name: "mapping",
        about: "which value goes where, and the language of expressions",
        text: include_str!("guide/mapping.md"),
    },
    Chapter {
        name: "consent",
        about: "opt-outs: what is carried, what bars whom, what no command undoes",
        text: include_str!("guide/consent.md"),
    },
    Chapter {
        name: "guards",
        about: "what stops a plan before the first write, and how to let it pass",
        text: include_str!("guide/guards.md"),
    },
    Chapter {
        name: "recovery",
        about: "after a crash, a lost database or a mistake",
        text: include_str!("guide/recovery.md"),
    },
    Chapter {
        name: "providers",
        about: "logins, rights and what each provider can't hold",
        text: include_str!("guide/providers.md"),
    },
    Chapter {
        name: "service",
        about: "running for years: schedules, pauses, signals, systemd",
        text: include_str!("guide/service.md"),
    },
    Chapter {
        name: "metrics",
        about: "figures for Prometheus, each with its meaning; health checks",
        text: include_str!("guide/metrics.md"),
    },
];

/// Finds a chapter by its name.
pub fn chapter(name: &str) -> Option<&'static Chapter> {
    CHAPTERS
        .iter()
        .find(|chapter| chapter.name.eq_ignore_ascii_case(name))
}

#[doc = include_str!("guide/mapping.md")]
pub mod mapping {}

#[doc = include_str!("guide/consent.md")]
pub mod consent {}

#[doc = include_str!("guide/guards.md")]
pub mod guards {}

#[doc = include_str!("guide/recovery.md")]
pub mod recovery {}

#[doc = include_str!("guide/providers.md")]
pub mod providers {}

#[doc = include_str!("guide/service.md")]
pub mod service {}

#[doc = include_str!("guide/metrics.md")]
pub mod metrics {}
