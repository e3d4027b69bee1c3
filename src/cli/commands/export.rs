//! `rosterd export`: a copy of an account in files.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{self, SHA256};
use tempfile::{NamedTempFile, TempPath};
use tokio_util::sync::CancellationToken;

use crate::cli::context::{Context, find_provider};
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::{Format, FormatArg};
use crate::cli::output::print;
use crate::cli::wait::WaitArg;
use crate::config::settled::ProviderConfig;
use crate::report::{
    Export, ExportTable, FileNote, Manifest, is_manifest, write_export_text, write_manifest,
};
use crate::run::{Everything, RunError};

/// Written last; where it is not, there is no export.
const MANIFEST: &str = "manifest.json";

/// How the names of files begin that are being written.
const UNFINISHED: &str = ".unfinished-export-";

/// Bytes that are written at once.
const AT_ONCE: usize = 64 * 1024;

/// Copies an account into files: its groups, its people, and who is in which group.
///
/// Every group is read, archived and dynamic ones included, every person with all fields, in a group
/// or not, and how each stands in the account and in each group. What is written is what the
/// account shows; what only rosterd remembers is not in it.
///
/// Writes groups, members and memberships, each as .csv and .jsonl, and manifest.json with what was
/// read when, how much of it, why anything may be missing, and the SHA-256 of each file. A table that
/// may lack something is called groups.incomplete.csv and so on, its reasons stand in the manifest,
/// and the command ends with 4. Where it is not certain whether somebody refuses mail, the state is
/// "unknown" and never "active".
///
/// JSON lines hold every field as it was read. In CSV a cell that begins with = + - @ ' or a tab or
/// line break gets an apostrophe in front, so that no spreadsheet takes it for a formula.
///
/// The files are for their owner only. They get their names once all are written; an export that is
/// interrupted or fails leaves none.
#[derive(clap::Args, Debug)]
pub(crate) struct ExportArgs {
    /// The provider, by its name in the config.
    provider: String,
    /// The directory for the files: one that is empty, or is not there yet.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replaces the earlier export that the directory holds, once the new one is written.
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    wait: WaitArg,
    #[command(flatten)]
    format: FormatArg,
}

pub(crate) async fn cmd_export(
    context: &Context,
    args: &ExportArgs,
) -> Result<ExitCode, CommandError> {
    let config = context.config()?;
    let provider = find_provider(&config, &args.provider)?;
    let account = account_of(provider);
    // Found out before the account is read, which can take hours.
    let directory = Directory::open(&args.out, args.overwrite)?;
    let stop = context.interrupt.stop.clone();
    let runner = context.runner_that_waits(config, args.wait.wait)?;
    let read = context
        .interrupt
        .run(Box::pin(runner.read_everything(&args.provider)))
        .await?;
    let everything = read.map_err(|error| match error {
        RunError::Stopped => interrupted(),
        error => error.into(),
    })?;
    let written = directory.write(&everything, account, &stop);
    let manifest = written.map_err(|error| {
        if stop.is_cancelled() {
            interrupted()
        } else {
            CommandError::file(ExitCode::Failed, "writing the export to", &args.out, &error)
        }
    })?;
    print(|out| match args.format.format {
        Format::Text => write_export_text(out, &manifest, &args.out.display().to_string()),
        Format::Json => write_manifest(out, &manifest),
    })?;
    Ok(if manifest.complete {
        ExitCode::Done
    } else {
        ExitCode::NeedsPerson
    })
}

/// Says which account a provider is.
pub(super) fn account_of(provider: &ProviderConfig) -> String {
    match &provider.account_id {
        Some(id) => format!("{} {id}", provider.base_url),
        None => provider.base_url.to_string(),
    }
}

fn interrupted() -> CommandError {
    CommandError::new(
        ExitCode::Failed,
        "the export was asked to stop, so nothing was exported",
    )
}

/// The directory of an export, which may be written to.
pub(super) struct Directory {
    path: PathBuf,
    /// What an earlier export has there, by name.
    earlier: BTreeSet<String>,
    /// Whether it was made for this export, so that it goes where none comes about.
    made: bool,
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.made {
            // It is empty where nothing was exported, and stays where it is not.
            fs::remove_dir(&self.path).ok();
        }
    }
}

impl Directory {
    /// Makes the directory, or makes sure that nothing in it is lost: it is empty, or holds nothing
    /// but an earlier export that is to be replaced.
    pub(super) fn open(path: &Path, overwrite: bool) -> Result<Directory, CommandError> {
        let failed = |error: &io::Error| {
            CommandError::file(ExitCode::Usage, "using the directory", path, error)
        };
        let mut directory = Directory {
            path: path.to_owned(),
            earlier: BTreeSet::new(),
            made: false,
        };
        match make_private(path) {
            Ok(()) => directory.made = true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let names = names_in(path).map_err(|error| failed(&error))?;
                directory.earlier = may_be_replaced(path, names, overwrite)?;
            }
            Err(error) => return Err(failed(&error)),
        }
        // Whether files can be made in it is known now, and not after the reading.
        NamedTempFile::with_prefix_in(UNFINISHED, path).map_err(|error| failed(&error))?;
        Ok(directory)
    }

    /// Writes all files under other names, and gives them their own once all are whole.
    pub(super) fn write(
        mut self,
        everything: &Everything,
        account: String,
        stop: &CancellationToken,
    ) -> io::Result<Manifest> {
        let export = Export::new(everything);
        let mut manifest = export.manifest(account);
        let mut files = Vec::new();
        for table in ExportTable::ALL {
            let note = &manifest.tables[table.as_str()];
            let (rows, complete) = (note.rows, note.complete);
            let (mut csv, mut lines) = (self.begin(stop)?, self.begin(stop)?);
            export.write(table, &mut csv, &mut lines)?;
            for (file, extension) in [(csv, "csv"), (lines, "jsonl")] {
                let name = table.file_name(extension, complete);
                let (path, bytes, sha256) = finish(file)?;
                manifest.files.push(FileNote {
                    name: name.clone(),
                    bytes,
                    rows,
                    sha256,
                });
                files.push((name, path));
            }
        }
        let mut file = self.begin(stop)?;
        write_manifest(&mut file, &manifest)?;
        files.push((MANIFEST.to_owned(), finish(file)?.0));
        self.place(files)?;
        self.made = false;
        Ok(manifest)
    }

    fn begin(&self, stop: &CancellationToken) -> io::Result<BufWriter<Summed>> {
        // Only its owner may read it: it holds addresses.
        let file = NamedTempFile::with_prefix_in(UNFINISHED, &self.path)?;
        let summed = Summed {
            file,
            bytes: 0,
            sum: digest::Context::new(&SHA256),
            stop: stop.clone(),
        };
        Ok(BufWriter::with_capacity(AT_ONCE, summed))
    }

    /// Gives the files their names, the manifest last. An earlier export loses its manifest first:
    /// where this is cut short, what is left has none, and so is no export.
    fn place(&self, files: Vec<(String, TempPath)>) -> io::Result<()> {
        if self.earlier.contains(MANIFEST) {
            fs::remove_file(self.path.join(MANIFEST))?;
        }
        let kept: BTreeSet<String> = files.iter().map(|(name, _)| name.clone()).collect();
        let outdated = self.earlier.difference(&kept);
        for name in outdated.filter(|name| *name != MANIFEST) {
            fs::remove_file(self.path.join(name))?;
        }
        let mut placed = Vec::new();
        for (name, file) in files {
            let path = self.path.join(&name);
            let done = if self.earlier.contains(&name) {
                file.persist(&path)
            } else {
                // Somebody else may have put a file there meanwhile.
                file.persist_noclobber(&path)
            };
            if let Err(error) = done {
                for path in placed {
                    fs::remove_file(path).ok();
                }
                return Err(error.error);
            }
            placed.push(path);
        }
        // The names are on disk once the directory is.
        fs::File::open(&self.path)?.sync_all()
    }
}

/// A file that is being written: how long it is, and the sum of its bytes.
struct Summed {
    file: NamedTempFile,
    bytes: u64,
    sum: digest::Context,
    stop: CancellationToken,
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.stop.is_cancelled() {
            return Err(io::Error::other("it was asked to stop"));
        }
        let written = self.file.write(bytes)?;
        self.sum.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Brings a file to the disk, and returns where it is, its length and its sum.
fn finish(file: BufWriter<Summed>) -> io::Result<(TempPath, u64, String)> {
    let summed = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    summed.file.as_file().sync_all()?;
    let sum = summed.sum.finish();
    let digits = sum.as_ref().iter().map(|byte| format!("{byte:02x}"));
    Ok((summed.file.into_temp_path(), summed.bytes, digits.collect()))
}

/// Makes a directory that only its owner can look into.
pub(super) fn make_private(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn names_in(path: &Path) -> io::Result<Vec<String>> {
    let entries = fs::read_dir(path)?;
    entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

/// Returns what of a directory may be replaced: all of an earlier export and what an export that was
/// killed has left, where that is asked for, and nothing else.
fn may_be_replaced(
    path: &Path,
    names: Vec<String>,
    overwrite: bool,
) -> Result<BTreeSet<String>, CommandError> {
    if names.is_empty() {
        return Ok(BTreeSet::new());
    }
    let shown = path.display();
    let known = ExportTable::file_names();
    let is_ours =
        |name: &String| *name == MANIFEST || known.contains(name) || name.starts_with(UNFINISHED);
    let manifest = fs::read_to_string(path.join(MANIFEST));
    let is_export = manifest.is_ok_and(|text| is_manifest(&text));
    let only_rests = names.iter().all(|name| name.starts_with(UNFINISHED));
    if !(is_export || only_rests) || !names.iter().all(is_ours) {
        return Err(CommandError::usage(format!(
            "{shown} is not empty and holds other things than an export, so it is left as it is"
        ))
        .hint("name another directory with `--out`"));
    }
    if !overwrite {
        let what = if is_export {
            "an export already"
        } else {
            "what an interrupted export has left"
        };
        return Err(CommandError::usage(format!("{shown} holds {what}"))
            .hint("name another directory with `--out`, or replace it with `--overwrite`"));
    }
    Ok(names.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADE_BY_US: &str =
        r#"{"version":1,"rosterd":"1","provider":"crm","complete":true,"tables":{},"files":[]}"#;

    fn holding(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        directory
    }

    #[test]
    fn only_an_earlier_export_is_replaced_and_only_when_asked() {
        let ours = ("manifest.json", MADE_BY_US);
        for (files, plain, overwrite) in [
            (&[][..], true, true),
            (&[ours], false, true),
            (&[ours, ("members.incomplete.csv", "")], false, true),
            (&[(".unfinished-export-x", "")], false, true),
            (&[ours, ("diary", "")], false, false),
            (&[("manifest.json", "{}")], false, false),
            // Anybody may have a file of that name.
            (&[("members.csv", "")], false, false),
            (&[("diary", "")], false, false),
        ] {
            let directory = holding(files);
            for (asked, may) in [(false, plain), (true, overwrite)] {
                let opened = Directory::open(directory.path(), asked);
                let code = opened.map(|_| ()).map_err(|error| error.code());
                let expected = if may { Ok(()) } else { Err(ExitCode::Usage) };
                assert_eq!(code, expected, "{files:?} {asked}");
                assert_eq!(names_in(directory.path()).unwrap().len(), files.len());
            }
        }
    }

    #[test]
    fn a_directory_that_was_made_goes_with_what_failed() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("export");
        let directory = Directory::open(&path, false).unwrap();
        assert!(path.is_dir());
        drop(directory);
        assert!(!path.exists());
        assert!(Directory::open(&parent.path().join("no/such"), false).is_err());
        fs::write(&path, "a file").unwrap();
        assert!(Directory::open(&path, true).is_err());
    }

    #[test]
    fn what_stands_in_the_way_is_kept_and_nothing_half_is_left() {
        let directory = holding(&[]);
        let opened = Directory::open(directory.path(), false).unwrap();
        let stop = CancellationToken::new();
        let mut files = Vec::new();
        for name in ["groups.csv", "members.csv", MANIFEST] {
            let mut file = opened.begin(&stop).unwrap();
            file.write_all(b"new").unwrap();
            files.push((name.to_owned(), finish(file).unwrap().0));
        }
        fs::write(directory.path().join("members.csv"), "somebody else's").unwrap();
        assert!(opened.place(files).is_err());
        assert_eq!(names_in(directory.path()).unwrap(), ["members.csv"]);
        let kept = fs::read_to_string(directory.path().join("members.csv")).unwrap();
        assert_eq!(kept, "somebody else's");
    }

    #[test]
    fn a_file_is_private_and_its_sum_is_what_others_compute() {
        let directory = holding(&[]);
        let opened = Directory::open(directory.path(), false).unwrap();
        let stop = CancellationToken::new();
        let mut file = opened.begin(&stop).unwrap();
        file.write_all(b"abc").unwrap();
        let (path, bytes, sum) = finish(file).unwrap();
        assert_eq!(bytes, 3);
        assert_eq!(
            sum,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        stop.cancel();
        let mut file = opened.begin(&stop).unwrap();
        file.write_all(b"abc").unwrap();
        assert!(finish(file).is_err());
    }
}
