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
    /// stood for another account before, the refusals of the former one hold at the new one as
    /// well: one too many is better than one too few. So do, where it may be the same account under other
    /// credentials, the values that its objects can't hold and the hashes of whoever was forgotten.
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

impl Store {
    /// Returns the providers' names of an older file with refusals whose account no run has told
    /// yet.
    pub fn unclaimed_names(&self) -> Result<Vec<String>, StateError> {
        let accounts = self.read(ledger::accounts_that_refuse)?.into_iter();
        let names = accounts.filter_map(|account| Some(account.strip_prefix(NAMED)?.to_owned()));
        Ok(names.collect())
    }
}

impl Store {
    /// Takes a provider of a new name for one that the config no longer names, where both may be one
    /// account under other credentials: its refusals hold here as well, and its jobs may go on.
    /// `is_named` tells of a name whether the config has it.
    pub fn know_renamed(
        &self,
        provider: &str,
        account: &str,
        is_named: impl Fn(&str) -> bool,
    ) -> Result<(), StateError> {
        if self.read_only
            || self
                .read(|connection| account_of(connection, provider))?
                .is_some()
        {
            return Ok(());
        }
        self.write(|connection| {
            let mut select = connection.prepare_cached("SELECT provider, account FROM accounts")?;
            let known: Vec<(String, String)> = select
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<_>>()?;
            let former = known.iter().filter(|(name, known)| {
                !is_named(name)
                    && known != account
                    && known.contains('.')
                    && may_be_one(known, account)
            });
            for (_, former) in former {
                move_account(connection, former, account)?;
            }
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
    if may_be_one(former, account) {
        connection.execute(
            "INSERT OR IGNORE INTO carried (account, object, id, field, value)
                 SELECT ?2, object, id, field, value FROM carried WHERE account = ?1 /* walks: an account gets new credentials once */",
            (former, account),
        )?;
        ledger::copy_hashes(connection, former, account)?;
    }
    ledger::copy_refusals(connection, former, account)
}

/// Tells whether two accounts may be one under other credentials: they are at one place, and only
/// what follows the dot differs. A file of before the dot can't tell.
fn may_be_one(former: &str, account: &str) -> bool {
    match (former.split_once('.'), account.split_once('.')) {
        (Some((before, _)), Some((now, _))) => before == now,
        (None, Some(_)) => true,
        (_, None) => false,
    }
}

/// Has the rows of a name stand under its account. Where the account, under another name, has the
/// same already, that stays.
fn take_over(connection: &Connection, named: &str, account: &str) -> Result<(), Fault> {
    for sql in [
        "UPDATE jobs SET source_account = ?2 WHERE source_account = ?1",
        "UPDATE jobs SET target_account = ?2 WHERE target_account = ?1",
        "UPDATE journal SET account = ?2 WHERE account = ?1 /* walks: an account is named once */",
        "UPDATE OR IGNORE carried SET account = ?2 WHERE account = ?1 /* walks: an account is named once */",
        "DELETE FROM total_meanings WHERE account = ?1
             AND EXISTS (SELECT 1 FROM total_meanings AS known WHERE known.account = ?2)",
        "UPDATE total_meanings SET account = ?2 WHERE account = ?1",
    ] {
        connection.execute(sql, (named, account))?;
    }
    connection.execute(
        "DELETE FROM carried WHERE account = ?1 /* walks: an account is named once */",
        [named],
    )?;
    ledger::rename_account(connection, named, account)
}

/// Tells whether some name that stood for one account stands for another now, which may be the same
/// under other credentials.
pub(super) fn has_new_login(
    connection: &Connection,
    former: &str,
    account: &str,
) -> Result<bool, Fault> {
    Ok(may_be_one(former, account)
        && connection
            .prepare_cached("SELECT 1 FROM account_moves WHERE former = ?1 AND account = ?2")?
            .exists((former, account))?)
}

/// Returns words for an account: the last name in the alphabet that stands for it, or that stood
/// for it before, or what an older file knew.
pub(super) fn words_of(connection: &Connection, account: &str) -> Result<String, Fault> {
    let name = |sql: &str| -> Result<Option<String>, Fault> {
        Ok(connection
            .prepare_cached(sql)?
            .query_row([account], |row| row.get(0))?)
    };
    if let Some(name) = name("SELECT max(provider) FROM accounts WHERE account = ?1")? {
        return Ok(format!("\"{name}\""));
    }
    let former = "SELECT max(provider) FROM accounts WHERE account IN (SELECT account FROM account_moves WHERE former = ?1)";
    Ok(match (name(former)?, account.strip_prefix(NAMED)) {
        (Some(name), _) => format!("the account that \"{name}\" stood for before"),
        (None, Some(name)) => format!("\"{name}\""),
        (None, None) => "an account that no provider of the config has".to_owned(),
    })
}
