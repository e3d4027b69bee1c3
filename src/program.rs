//! How this program is called in the commands that it shows, so that they can be typed as they stand.
//!
//! What was typed before a command, `--config` and `--state`, the next command needs as well. It is put
//! in where a command is made, and never into a finished text: that holds the data of other people,
//! which can look like a command.

use std::fmt;
use std::sync::OnceLock;

/// The options that were typed and every command needs again, with a blank in front.
static OPTIONS: OnceLock<String> = OnceLock::new();

/// The program's name as a command begins with it: `{ROSTERD} plan JOB`.
///
/// Commands that need neither a config nor a state database are written with the bare name.
#[derive(Clone, Copy, Debug)]
pub struct Rosterd;

/// The program's name with what was typed before the command.
pub const ROSTERD: Rosterd = Rosterd;

impl fmt::Display for Rosterd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rosterd")?;
        f.write_str(OPTIONS.get().map_or("", String::as_str))
    }
}

/// Takes down the options that every command shown from now on is to carry.
pub fn remember(options: String) {
    // One program runs one command.
    drop(OPTIONS.set(options));
}

/// Completes the commands of a sentence that is whole the program's own, with no name, path or word of
/// anybody else in it.
pub fn completed(own: &str) -> String {
    own.replace("`rosterd ", &format!("`{ROSTERD} "))
}
