//! Where results and messages go: results to standard output, everything else to standard error.

use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};

use super::error::CommandError;
use super::wrap::{LEAST, Wrapping};

/// A writer whose reader may leave.
///
/// Somebody who has seen enough closes the pipe, which is no failure: the rest is dropped, and the
/// command goes on to its end.
pub(super) struct Leavable<W> {
    inner: W,
    left: bool,
}

impl<W: Write> Leavable<W> {
    pub(super) fn new(inner: W) -> Self {
        Leavable { inner, left: false }
    }

    fn forgive<T>(&mut self, result: io::Result<T>, otherwise: T) -> io::Result<T> {
        match result {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.left = true;
                Ok(otherwise)
            }
            other => other,
        }
    }
}

impl<W: Write> Write for Leavable<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.left {
            return Ok(bytes.len());
        }
        let result = self.inner.write(bytes);
        self.forgive(result, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.left {
            return Ok(());
        }
        let result = self.inner.flush();
        self.forgive(result, ())
    }
}

/// Prints a result.
pub(super) fn print(
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), CommandError> {
    let out = BufWriter::new(Leavable::new(anstream::stdout().lock()));
    let mut out = Wrapping::new(out, columns(&io::stdout()));
    write(&mut out)?;
    Ok(out.flush()?)
}

/// Prints a result that is for programs, each line as it is.
pub(super) fn print_as_it_is(
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), CommandError> {
    let mut out = BufWriter::new(Leavable::new(anstream::stdout().lock()));
    write(&mut out)?;
    Ok(out.flush()?)
}

/// How wide a text to be read is: as the terminal, or as most of them are.
pub(super) fn text_width() -> usize {
    columns(&io::stdout()).map_or(78, |columns| columns.clamp(LEAST, 96))
}

/// How wide a terminal is; nothing where the stream is none.
fn columns(stream: &impl IsTerminal) -> Option<usize> {
    if !stream.is_terminal() {
        return None;
    }
    let said = std::env::var("COLUMNS").ok();
    let said = said.and_then(|columns| columns.parse().ok());
    said.or_else(|| terminal_size::terminal_size().map(|(width, _)| usize::from(width.0)))
}

/// Returns standard output for a command that prints while it goes on.
pub(super) fn stdout() -> Leavable<impl Write> {
    Leavable::new(anstream::stdout())
}

/// Tells a person something that is no result. Nobody can be told when that fails.
pub(super) fn tell(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
    let out = anstream::stderr().lock();
    let mut out = Wrapping::new(out, columns(&io::stderr()));
    drop(write(&mut out).and_then(|()| out.flush()));
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Failing(ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn a_closed_pipe_is_no_failure_and_a_full_disk_is() {
        let mut closed = Leavable::new(Failing(ErrorKind::BrokenPipe));
        assert!(
            closed.write_all(b"plan").is_ok()
                && closed.flush().is_ok()
                && closed.write_all(b"more").is_ok()
        );
        let mut full = Leavable::new(Failing(ErrorKind::StorageFull));
        assert!(full.write_all(b"plan").is_err());
    }
}
