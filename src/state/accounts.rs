//! Which account a provider's name in the config stands for.
//!
//! Everything else knows accounts, and no names: a name is the operator's to change.

use rusqlite::{Connection, OptionalExtension};

use super::error::{Fault, StateError};
use super::{Store, ledger};

/// Before the name in the place of an account, in rows of files that knew no accounts.
const NAMED: &str = "name:";

impl Store {
    /// Remembers which account a provider's name stands for.
    ///
    /// The first time, what an older file has under the name becomes the account's. Where the name
    /// stood for another account before, credentials may have moved to another place or the
    /// account may really be another one: nobody can tell, so the refusals of the former one hold
    /// at the new one as well, and nothing else does.
    pub fn know_account(&self, provider: &str, account: &str) -> Result<(), StateError> {
        let known = self.read(|connection| account_of(connection, provider))?;
        if self.read_only || known.as_deref() == Some(account) {
            return Ok(());
        }
        self.write(|connection| {
            // Another process may have been faster between the look and the lock.
            match account_of(connection, provider)? {
                Some(known) if known == account => return Ok(()),
                Some(former) => move_account(connection, &former, account)?,
                None => take_over(connection, &format!("{NAMED}{provider}"), account)?,
            }
            connection.execute(
                "INSERT OR REPLACE INTO accounts (provider, account) VALUES (?1, ?2)",
                (provider, account),
            )?;
            Ok(())
        })
    }
}

fn account_of(connection: &Connection, provider: &str) -> Result<Option<String>, Fault> {
    Ok(connection
        .prepare_cached("SELECT account FROM accounts WHERE provider = ?1")?
        .query_row([provider], |row| row.get(0))
        .optional()?)
}

fn move_account(connection: &Connection, former: &str, account: &str) -> Result<(), Fault> {
    connection.execute(
        "INSERT OR IGNORE INTO account_moves (former, account)
             SELECT ?1, ?2 UNION SELECT former, ?2 FROM account_moves WHERE account = ?1",
        (former, account),
    )?;
    ledger::copy_refusals(connection, former, account)
}

/// Has the rows of a name stand under its account. Where the account, under another name, has the
/// same already, that stays.
fn take_over(connection: &Connection, named: &str, account: &str) -> Result<(), Fault> {
    for sql in [
        "UPDATE jobs SET source_account = ?2 WHERE source_account = ?1",
        "UPDATE jobs SET target_account = ?2 WHERE target_account = ?1",
        "UPDATE journal SET account = ?2 WHERE account = ?1",
        "UPDATE OR IGNORE carried SET account = ?2 WHERE account = ?1",
        "DELETE FROM total_meanings WHERE account = ?1
             AND EXISTS (SELECT 1 FROM total_meanings AS known WHERE known.account = ?2)",
        "UPDATE total_meanings SET account = ?2 WHERE account = ?1",
    ] {
        connection.execute(sql, (named, account))?;
    }
    connection.execute("DELETE FROM carried WHERE account = ?1", [named])?;
    ledger::rename_account(connection, named, account)
}

/// Tells whether some name that stood for one account stands for another now.
pub(super) fn has_moved(
    connection: &Connection,
    former: &str,
    account: &str,
) -> Result<bool, Fault> {
    Ok(connection
        .prepare_cached("SELECT 1 FROM account_moves WHERE former = ?1 AND account = ?2")?
        .exists((former, account))?)
}

/// Returns a name of an account for people: the last in the alphabet that stands for it, or what
/// is remembered of it.
pub(super) fn name_of(connection: &Connection, account: &str) -> Result<String, Fault> {
    let name: Option<String> = connection
        .prepare_cached("SELECT max(provider) FROM accounts WHERE account = ?1")?
        .query_row([account], |row| row.get(0))?;
    let remembered = account.strip_prefix(NAMED).unwrap_or(account);
    Ok(name.unwrap_or_else(|| remembered.to_owned()))
}
