//! Where results and messages go: results to standard output, everything else to standard error.

use std::io::{self, BufWriter, ErrorKind, Write};

use super::error::CommandError;

/// Prints a result.
///
/// A reader who has seen enough closes the pipe, which is no failure: the rest is dropped and the command goes on to its end.
pub(super) fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), CommandError> {
    let mut out = BufWriter::new(anstream::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {
            // What is still buffered would fail once more when it is dropped.
            drop(out.into_parts());
            Ok(())
        }
        other => Ok(other?),
    }
}

/// Tells a person something that is no result. Nobody can be told when that fails.
pub(super) fn tell(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
    let mut out = anstream::stderr().lock();
    drop(write(&mut out).and_then(|()| out.flush()));
}
