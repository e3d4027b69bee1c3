//! A group called "News" whose members are `reader0@example.org` and so on.

use rosterd::emulator::Account;

use super::Bench;

/// All pairs of the two providers that have contacts in groups.
pub const PAIRS: [(&str, &str); 4] = [
    ("crm", "mail"),
    ("mail", "crm"),
    ("crm", "crm2"),
    ("mail", "mail2"),
];

/// The address of a reader.
pub fn address(number: usize) -> String {
    format!("reader{number}@example.org")
}

/// Does something with an account, its group and a reader.
pub fn on<R>(
    bench: &Bench,
    account: &str,
    number: usize,
    work: impl FnOnce(&mut Account, u64, u64) -> R,
) -> R {
    bench.account(account, |account| {
        let contact = account.contact_by_email(&address(number)).unwrap();
        let group = account.find_group("News").unwrap();
        work(account, group, contact)
    })
}

/// Tells whether a reader refuses all mail of an account.
pub fn refuses_all(bench: &Bench, account: &str, number: usize) -> bool {
    bench.account(account, |account| {
        let contact = account.contact_by_email(&address(number)).unwrap();
        account.contacts[&contact].opted_out.is_some()
    })
}

/// Tells whether a mail to the group of an account reaches a reader.
pub fn mailed(bench: &Bench, account: &str, number: usize) -> bool {
    bench.account(account, |account| {
        account
            .mailed_by(account.find_group("News").unwrap())
            .contains(&address(number))
    })
}
