//! One run per job, one process per account (rule 8): lock files beside the state database.
//!
//! The operating system holds the locks, so that one of a dead process does not block. A file stays
//! when its lock is released: deleting it could take the lock away from somebody who has just
//! opened it. A database in memory is known to one process only, so its locks live in memory as
//! well.
//!
//! Whoever holds any lock also shares one of the whole database, so that who wants all of it for
//! itself, to put a copy back, needs to know neither jobs nor accounts.

use std::collections::HashSet;
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::backup::{beside, create_private};

/// Why a lock could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else holds it.
    #[error("{what} is in use by {}; wait until it is done, or stop it", holder(*.holder_pid))]
    Busy {
        /// What is locked, as a noun phrase.
        what: String,
        /// The process that holds it, where it could be read.
        holder_pid: Option<u32>,
    },
    /// The lock file can't be used.
    #[error("the lock file {} can't be used: {source}; give this user write access to the directory", path.display())]
    File {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk has no room for the name of the process.
    #[error("the disk that holds the lock file {} is full; make room and run again", path.display())]
    Full {
        /// The lock file.
        path: PathBuf,
    },
}

impl LockError {
    fn of_file(path: PathBuf, source: io::Error) -> LockError {
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => LockError::Full { path },
            _ => LockError::File { path, source },
        }
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(
        || "another process".to_owned(),
        |pid| format!("process {pid}"),
    )
}

/// A lock that is held; dropping it releases the lock.
#[derive(Debug)]
pub struct Guard {
    _held: Held,
    /// The share in the whole database, where it is a file.
    _share: Option<File>,
}

#[derive(Debug)]
enum Held {
    File {
        _file: File,
    },
    Name {
        name: String,
        names: Arc<Mutex<HashSet<String>>>,
    },
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Held::Name { name, names } = self {
            names
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(name);
        }
    }
}

/// The locks of one state database.
#[derive(Clone, Debug)]
pub struct Locks {
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    Beside(PathBuf),
    Memory(Arc<Mutex<HashSet<String>>>),
}

impl Locks {
    /// Names the lock files beside a state database, which need not exist yet.
    pub fn new(state_path: &Path) -> Locks {
        // Two spellings of one path must lead to one lock.
        let canonical = state_path.canonicalize().or_else(|error| {
            let directory = state_path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            let name = state_path.file_name().ok_or(error)?;
            directory
                .canonicalize()
                .map(|directory| directory.join(name))
        });
        Locks {
            place: Place::Beside(canonical.unwrap_or_else(|_| state_path.to_owned())),
        }
    }

    /// Makes the locks of a database in memory; clones share them.
    pub fn in_memory() -> Locks {
        Locks {
            place: Place::Memory(Arc::default()),
        }
    }

    /// Takes the lock of a job, for one run.
    ///
    /// # Errors
    /// [`LockError::Busy`] when another run of the job is active.
    pub fn lock_job(&self, job: &str) -> Result<Guard, LockError> {
        let plain = !job.is_empty()
            && job.len() <= 64
            && job
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        let name = if plain {
            job.to_owned()
        } else {
            format!("~{}", hash(job))
        };
        self.take(&format!("job-{name}"), format!("the job \"{job}\""))
    }

    /// Takes the lock of a provider's account, for one run. The key stands for kind, base URL and
    /// account.
    ///
    /// # Errors
    /// [`LockError::Busy`] when another process uses the account.
    pub fn lock_account(&self, key: &str) -> Result<Guard, LockError> {
        // The name of the file tells nothing of the account.
        self.take(
            &format!("account-{}", hash(key)),
            "the provider's account".to_owned(),
        )
    }

    /// Takes the lock of the service, of which there is one per state database.
    ///
    /// # Errors
    /// [`LockError::Busy`] when another service runs.
    pub fn lock_service(&self) -> Result<Guard, LockError> {
        self.take("service", "the service of this state database".to_owned())
    }

    /// Takes the whole database: no service is up, no run and no other use of an account is active,
    /// and none begins until this is dropped.
    ///
    /// # Errors
    /// [`LockError::Busy`] when any lock of the database is held.
    pub fn lock_whole(&self) -> Result<Guard, LockError> {
        let state = match &self.place {
            Place::Beside(state) => state,
            Place::Memory(names) => {
                let mut held = names.lock().unwrap_or_else(PoisonError::into_inner);
                if !held.is_empty() {
                    return Err(busy_whole(Some(std::process::id())));
                }
                held.insert(WHOLE.to_owned());
                return Ok(in_memory(WHOLE, names));
            }
        };
        let (path, mut file) = open(state, WHOLE)?;
        match file.try_lock() {
            Ok(()) => {}
            // Those who share it left no name; only the service can be asked for its own.
            Err(TryLockError::WouldBlock) => {
                let service = self.lock_service().err();
                return Err(service.unwrap_or_else(|| busy_whole(None)));
            }
            Err(TryLockError::Error(source)) => return Err(LockError::of_file(path, source)),
        }
        write_pid(&mut file).map_err(|source| LockError::of_file(path, source))?;
        Ok(Guard {
            _held: Held::File { _file: file },
            _share: None,
        })
    }

    fn take(&self, name: &str, what: String) -> Result<Guard, LockError> {
        let state = match &self.place {
            Place::Beside(state) => state,
            Place::Memory(names) => {
                let mut held = names.lock().unwrap_or_else(PoisonError::into_inner);
                let holder_pid = Some(std::process::id());
                if held.contains(WHOLE) {
                    return Err(busy_whole(holder_pid));
                }
                if !held.insert(name.to_owned()) {
                    return Err(LockError::Busy { what, holder_pid });
                }
                return Ok(in_memory(name, names));
            }
        };
        let share = share_whole(state)?;
        let (path, mut file) = open(state, name)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Busy {
                    what,
                    holder_pid: read_pid(&mut file),
                });
            }
            Err(TryLockError::Error(source)) => return Err(LockError::of_file(path, source)),
        }
        write_pid(&mut file).map_err(|source| LockError::of_file(path, source))?;
        Ok(Guard {
            _held: Held::File { _file: file },
            _share: Some(share),
        })
    }
}

/// The name of the lock of the whole database.
const WHOLE: &str = "whole";

/// Keeps anybody from taking the whole database.
fn share_whole(state: &Path) -> Result<File, LockError> {
    let (path, mut file) = open(state, WHOLE)?;
    match file.try_lock_shared() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(busy_whole(read_pid(&mut file))),
        Err(TryLockError::Error(source)) => Err(LockError::of_file(path, source)),
    }
}

fn busy_whole(holder_pid: Option<u32>) -> LockError {
    LockError::Busy {
        what: "the state database".to_owned(),
        holder_pid,
    }
}

fn in_memory(name: &str, names: &Arc<Mutex<HashSet<String>>>) -> Guard {
    Guard {
        _held: Held::Name {
            name: name.to_owned(),
            names: names.clone(),
        },
        _share: None,
    }
}

fn open(state: &Path, name: &str) -> Result<(PathBuf, File), LockError> {
    let path = beside(state, &format!(".{name}.lock"));
    match create_private(&path) {
        Ok(file) => Ok((path, file)),
        Err(source) => Err(LockError::of_file(path, source)),
    }
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.write_all(std::process::id().to_string().as_bytes())
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn hash(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_handle_finds_the_lock_taken_until_it_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let locks = Locks::new(&directory.path().join("rosterd.db"));
        let other = Locks::new(&directory.path().join(".").join("rosterd.db"));
        let held = [
            locks.lock_job("crm-to-mail").unwrap(),
            locks
                .lock_account("emfluence https://api.example.org 1")
                .unwrap(),
        ];
        let error = other.lock_job("crm-to-mail").unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "the job \"crm-to-mail\" is in use by process {}; wait until it is done, or stop it",
                std::process::id()
            )
        );
        assert!(matches!(
            other.lock_account("emfluence https://api.example.org 1"),
            Err(LockError::Busy { .. })
        ));
        let _free = [
            other
                .lock_account("emfluence https://api.example.org 2")
                .unwrap(),
            other.lock_service().unwrap(),
        ];
        let _odd = [
            other.lock_job("a/../b").unwrap(),
            other.lock_job("a/../c").unwrap(),
        ];
        drop(held);
        other.lock_job("crm-to-mail").unwrap();
        let files = std::fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(
            files, 7,
            "released files stay, and odd names stay beside the database"
        );
    }

    #[test]
    fn what_a_dead_process_left_does_not_block() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rosterd.db");
        std::fs::write(
            directory.path().join("rosterd.db.job-nightly.lock"),
            "4194304000",
        )
        .unwrap();
        let _held = Locks::new(&path).lock_job("nightly").unwrap();
        let text =
            std::fs::read_to_string(directory.path().join("rosterd.db.job-nightly.lock")).unwrap();
        assert_eq!(text, std::process::id().to_string());
    }

    #[test]
    fn the_whole_database_is_taken_only_when_nobody_uses_it() {
        let directory = tempfile::tempdir().unwrap();
        for locks in [
            Locks::new(&directory.path().join("rosterd.db")),
            Locks::in_memory(),
        ] {
            for held in [
                locks.lock_job("nightly"),
                locks.lock_account("emfluence https://api.example.org 1"),
                locks.lock_service(),
            ] {
                let held = held.unwrap();
                assert!(matches!(locks.lock_whole(), Err(LockError::Busy { .. })));
                drop(held);
            }
            let whole = locks.lock_whole().unwrap();
            for refused in [
                locks.lock_job("another"),
                locks.lock_account("another"),
                locks.lock_service(),
                locks.lock_whole(),
            ] {
                let said = refused.unwrap_err().to_string();
                let holder = format!("process {}", std::process::id());
                assert!(
                    said.starts_with("the state database is in use by") && said.contains(&holder),
                    "{said}"
                );
            }
            drop(whole);
            let _several = [locks.lock_job("a").unwrap(), locks.lock_job("b").unwrap()];
        }
    }

    #[test]
    fn who_wants_the_whole_database_hears_of_the_service() {
        let directory = tempfile::tempdir().unwrap();
        let locks = Locks::new(&directory.path().join("rosterd.db"));
        let _service = locks.lock_service().unwrap();
        let said = locks.lock_whole().unwrap_err().to_string();
        assert!(
            said.starts_with("the service of this state database is in use by process"),
            "{said}"
        );
    }

    #[test]
    fn a_database_in_memory_leaves_no_files_and_shares_its_locks_with_nobody_else() {
        let (locks, other) = (Locks::in_memory(), Locks::in_memory());
        let held = locks.lock_job("nightly").unwrap();
        assert!(matches!(
            locks.clone().lock_job("nightly"),
            Err(LockError::Busy { .. })
        ));
        let _elsewhere = other.lock_job("nightly").unwrap();
        drop(held);
        locks.lock_job("nightly").unwrap();
        assert!(!Path::new(":memory:.job-nightly.lock").exists());
    }

    #[test]
    fn a_missing_directory_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let error = Locks::new(&directory.path().join("none").join("rosterd.db"))
            .lock_service()
            .unwrap_err();
        assert!(matches!(error, LockError::File { .. }), "{error:?}");
    }
}
