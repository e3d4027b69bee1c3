//! The copies of both accounts that `rosterd migrate` makes before its first write.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::export::{Directory, account_of, make_private};
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::output::tell;
use crate::config::Config;
use crate::report::harmless;
use crate::run::{Everything, KeptCopy};

/// Where the copies go: one directory for each account, named after the provider.
pub(super) struct Copies {
    root: PathBuf,
    /// By provider, with how the account is called; what was written is not in it any more.
    places: BTreeMap<String, (Directory, String)>,
    /// Whether it was made for this, so that it goes where nothing comes into it.
    made: bool,
    stop: CancellationToken,
}

impl Copies {
    /// Makes the directories, or makes sure that nothing in them is lost.
    ///
    /// What an earlier migration has copied stays: it is the account as it was before that, and what
    /// is there now may be half changed.
    pub(super) fn open(
        root: &Path,
        config: &Config,
        providers: [&String; 2],
        stop: &CancellationToken,
    ) -> Result<Copies, CommandError> {
        let made = match make_private(root) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => {
                return Err(CommandError::file(
                    ExitCode::Usage,
                    "making the directory",
                    root,
                    &error,
                ));
            }
        };
        let mut copies = Copies {
            root: root.to_owned(),
            places: BTreeMap::new(),
            made,
            stop: stop.clone(),
        };
        for provider in providers {
            let place = Directory::open(&root.join(provider), false).map_err(|error| {
                // What replaces an export, `rosterd migrate` does not take.
                let error = error.without_hints();
                let error = error.hint("to have another copy, name another directory with `--export DIR`");
                error.hint("a migration that goes on needs no second copy: leave `--export` out, so that the first one stays")
            })?;
            let account = account_of(&config.providers[provider]);
            copies.places.insert(provider.clone(), (place, account));
        }
        Ok(copies)
    }

    /// Writes the copy of an account, and says so.
    pub(super) fn keep(&mut self, account: &Everything) -> Result<KeptCopy, String> {
        let provider = &account.provider;
        let place = self.root.join(provider);
        let (directory, name) = self
            .places
            .remove(provider)
            .ok_or_else(|| format!("{} holds its copy already", place.display()))?;
        let manifest = directory
            .write(account, name, &self.stop)
            .map_err(|error| format!("writing to {} failed: {error}", place.display()))?;
        let rows = |table: &str| manifest.tables.get(table).map_or(0, |table| table.rows);
        let complete = manifest.complete;
        tell(|out| {
            writeln!(
                out,
                "Copied {} into {}: {} groups, {} members, {} memberships.{}",
                harmless(provider),
                place.display(),
                rows("groups"),
                rows("members"),
                rows("memberships"),
                if complete {
                    ""
                } else {
                    " It may lack something: manifest.json says what."
                }
            )
        });
        Ok(KeptCopy {
            provider: provider.clone(),
            place: place.display().to_string(),
            complete,
        })
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        // What was made for a copy that did not come about goes first.
        self.places.clear();
        if self.made {
            // It stays where a copy is in it.
            fs::remove_dir(&self.root).ok();
        }
    }
}
