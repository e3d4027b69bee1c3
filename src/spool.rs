//! Where files go that are too long for memory and are gone with the process.

use std::env;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tempfile::SpooledTempFile;

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

/// Bytes of rows that stay in memory.
const IN_MEMORY: usize = 8 * 1024 * 1024;
/// Bytes that are written and read at once.
const AT_ONCE: usize = 64 * 1024;

/// Rows of bytes that are read back in their order; in memory while they are few, on disk beyond.
pub(crate) struct Rows {
    file: SpooledTempFile,
    tail: Vec<u8>,
    count: u64,
}

impl Rows {
    /// Begins without a row.
    ///
    /// # Errors
    /// When no temporary file can be made.
    pub(crate) fn new() -> io::Result<Rows> {
        Ok(Rows {
            file: SpooledTempFile::new_in(IN_MEMORY, directory()?),
            tail: Vec::new(),
            count: 0,
        })
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, row: &[u8]) -> io::Result<()> {
        let length = u32::try_from(row.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.tail.extend_from_slice(&length.to_le_bytes());
        self.tail.extend_from_slice(row);
        self.count += 1;
        if self.tail.len() >= AT_ONCE {
            self.flush()?;
        }
        Ok(())
    }

    /// Hands over each row, until one of them is refused; may be called any number of times.
    pub(crate) fn each<E>(
        &mut self,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> io::Result<Result<(), E>> {
        self.flush()?;
        self.file.seek(SeekFrom::Start(0))?;
        let mut file = BufReader::with_capacity(AT_ONCE, &mut self.file);
        let mut row = Vec::new();
        for _ in 0..self.count {
            let mut length = [0; 4];
            file.read_exact(&mut length)?;
            row.resize(u32::from_le_bytes(length) as usize, 0);
            file.read_exact(&mut row)?;
            if let Err(error) = take(&row) {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.seek(SeekFrom::End(0))?;
        self.file.write_all(&self.tail)?;
        self.tail.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_in_their_order() {
        let mut rows = Rows::new().unwrap();
        let long = vec![7; AT_ONCE];
        for number in 0..300_u32 {
            rows.push(&number.to_le_bytes()).unwrap();
            rows.push(&long).unwrap();
        }
        rows.push(&[]).unwrap();
        assert!(rows.file.is_rolled());
        for _ in 0..2 {
            let mut numbers = Vec::new();
            let read = rows.each(|row| {
                match row.len() {
                    4 => numbers.push(u32::from_le_bytes(row.try_into().unwrap())),
                    length => assert!(length == 0 || row == long),
                }
                Ok::<(), ()>(())
            });
            assert_eq!(read.unwrap(), Ok(()));
            assert_eq!(numbers, (0..300).collect::<Vec<_>>());
        }
        let refused = rows.each(|row| if row.len() == 4 { Err("full") } else { Ok(()) });
        assert_eq!(refused.unwrap(), Err("full"));
        rows.push(b"more").unwrap();
        let mut count = 0;
        let all = rows.each(|_| {
            count += 1;
            Ok::<(), ()>(())
        });
        assert_eq!((all.unwrap(), count), (Ok(()), 602));
    }
}
