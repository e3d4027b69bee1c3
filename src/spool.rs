//! Where files go that are too long for memory and are gone with the process.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{env, io};

/// Returns the first directory in which a temporary file can be made: `TMPDIR` where it is set, the one
/// for large files, which is on a disk where the other one may be memory, and the other one.
///
/// # Errors
/// When no file can be made in any of them; that shows here and not in the middle of a reading.
pub(crate) fn directory() -> io::Result<&'static Path> {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    if let Some(found) = FOUND.get() {
        return Ok(found);
    }
    let can_be_used = |directory: &PathBuf| tempfile::tempfile_in(directory).is_ok();
    let large = PathBuf::from("/var/tmp");
    let directory = if env::var_os("TMPDIR").is_none() && can_be_used(&large) {
        large
    } else {
        let other = env::temp_dir();
        tempfile::tempfile_in(&other)?;
        other
    };
    Ok(FOUND.get_or_init(|| directory))
}
