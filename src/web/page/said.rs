//! What a page says once something was done.

use std::fmt::{self, Write};

/// What was just done, as the address of the page that follows says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Runs,
    Approved,
    Paused,
    Resumed,
    Accepted,
    Revoked,
}

impl Said {
    const ALL: [Said; 6] = [
        Said::Runs,
        Said::Approved,
        Said::Paused,
        Said::Resumed,
        Said::Accepted,
        Said::Revoked,
    ];

    /// Reads the word of an address; any other one says nothing.
    pub(super) fn parse(word: &str) -> Option<Said> {
        Said::ALL.into_iter().find(|said| said.word() == word)
    }

    /// Returns the word for the address.
    pub(super) fn word(self) -> &'static str {
        match self {
            Said::Runs => "runs",
            Said::Approved => "approved",
            Said::Paused => "paused",
            Said::Resumed => "resumed",
            Said::Accepted => "accepted",
            Said::Revoked => "revoked",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Said::Runs => "A run begins; it may have to wait for an account that is in use.",
            Said::Approved => {
                "Approved: a run begins that lets exactly this plan pass. If the plan has changed meanwhile, it is refused again."
            }
            Said::Paused => "The job is paused; a run that is active goes on to its end.",
            Said::Resumed => "The job runs on its schedule again.",
            Said::Accepted => "Accepted: the item stays listed, and needs nobody until it changes.",
            Said::Revoked => "Taken back: the item needs a person again.",
        }
    }

    /// Writes it where something was done.
    pub(super) fn write(said: Option<Said>, out: &mut String) -> fmt::Result {
        match said {
            None => Ok(()),
            Some(said) => writeln!(
                out,
                "<p class=\"said\" role=\"status\">{}</p>",
                said.words()
            ),
        }
    }
}
