//! Work that goes on in the background: batches of the importer and the deletion of lists.
//!
//! It advances by the runtime's clock, so that a client has to wait for it, and is carried out by
//! whatever looks at the world next.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::civil::Date;
use tokio::time::Instant;

use super::Call;
use super::contact_values::{Manner, Values, is_address, subscribe, write_values};
use super::rows::zone;
use crate::emulator::misuse::{Misuse, MisuseKind};
use crate::emulator::world::{Account, Contact, MembershipState, World, fold};

/// One contact of a batch.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    pub(super) email: String,
    pub(super) values: Values,
    pub(super) subscribe: Vec<u64>,
    pub(super) unsubscribe: Vec<u64>,
    pub(super) exclude_automations: bool,
    /// Whether a fault makes it fail.
    pub(super) fails: bool,
}

/// One batch of the importer.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) id: String,
    account: String,
    queued: Instant,
    pub(super) day: Date,
    pub(super) contacts: usize,
    /// Folded addresses, for as long as the batch is under way.
    addresses: Vec<String>,
    active: bool,
    pub(super) completed: bool,
    /// The ids of contacts that were made.
    pub(super) created: Vec<u64>,
    /// The addresses that were not taken.
    pub(super) failed: Vec<String>,
}

#[derive(Debug)]
enum Work {
    Import {
        batch: usize,
        rows: Vec<Row>,
        ends: bool,
    },
    DeleteList(u64),
}

#[derive(Debug)]
struct Job {
    due: Instant,
    request: u64,
    account: String,
    work: Work,
}

/// What is still to be done, and what the importer has done.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    jobs: VecDeque<Job>,
    batches: Vec<Batch>,
    /// Recent requests to the importer by account: when, and whether with a single contact.
    arrivals: BTreeMap<String, VecDeque<(Instant, bool)>>,
}

/// Requests to the importer in a minute, with several contacts and with one.
const IMPORTS_A_MINUTE: (usize, usize) = (100, 20);

impl Backlog {
    /// Carries out the first job that is due; returns the request that asked for it and what it
    /// should not have done.
    pub(crate) fn run_one(
        &mut self,
        now: Instant,
        world: &mut World,
    ) -> Option<(u64, Vec<Misuse>)> {
        let (position, _) = self
            .jobs
            .iter()
            .enumerate()
            .filter(|(_, job)| job.due <= now)
            .min_by_key(|(_, job)| job.due)?;
        let job = self.jobs.remove(position)?;
        let mut blame = Vec::new();
        // A world may have been put in the place of the one the job was for.
        let account = world
            .accounts
            .iter_mut()
            .find(|account| account.name == job.account);
        match (job.work, account) {
            (Work::DeleteList(list), Some(account)) => account.delete_group(list),
            (Work::Import { batch, rows, ends }, account) => {
                let batch = self.batches.get_mut(batch)?;
                batch.active = true;
                if let Some(account) = account {
                    for row in rows {
                        take_row(account, row, batch, &mut blame);
                    }
                }
                if ends {
                    batch.completed = true;
                    batch.addresses.clear();
                }
            }
            (Work::DeleteList(_), None) => {}
        }
        let blame = blame
            .into_iter()
            .map(|(kind, detail)| Misuse {
                request: job.request,
                account: job.account.clone(),
                operation: "POST /import/bulk_import".to_owned(),
                kind,
                detail,
            })
            .collect();
        Some((job.request, blame))
    }

    /// Notes a request to the importer, or returns false when there were too many.
    pub(super) fn admit(&mut self, account: &str, now: Instant, single: bool) -> bool {
        let arrivals = self.arrivals.entry(account.to_owned()).or_default();
        while arrivals
            .front()
            .is_some_and(|(at, _)| now.duration_since(*at) >= Duration::from_mins(1))
        {
            arrivals.pop_front();
        }
        let singles = arrivals.iter().filter(|(_, single)| *single).count();
        if arrivals.len() >= IMPORTS_A_MINUTE.0 || (single && singles >= IMPORTS_A_MINUTE.1) {
            return false;
        }
        arrivals.push_back((now, single));
        true
    }

    /// The batches of an account.
    pub(super) fn batches_of(&self, account: &str) -> impl Iterator<Item = &Batch> {
        self.batches
            .iter()
            .filter(move |batch| batch.account == account)
    }

    /// Whether an address is in a batch that is still under way.
    pub(super) fn is_in_flight(&self, account: &str, email: &str) -> bool {
        let email = fold(email);
        self.batches_of(account)
            .any(|batch| batch.addresses.contains(&email))
    }
}

impl Batch {
    /// The word for how far the batch has come; nothing in its first second.
    pub(super) fn status(&self, now: Instant) -> Option<&'static str> {
        match (self.completed, self.active) {
            (true, _) => Some("completed"),
            (false, true) => Some("active"),
            (false, false) => {
                (now.duration_since(self.queued) >= Duration::from_secs(1)).then_some("waiting")
            }
        }
    }
}

impl Call<'_> {
    fn background(&self) -> Duration {
        Duration::from_secs(self.account.settings.activecampaign.background_seconds)
    }

    /// Deletes a list a little later, with all its memberships.
    pub(super) fn delete_list_later(&mut self, list: u64) {
        let due = self.context.instant() + self.background();
        self.backlog.jobs.push_back(Job {
            due,
            request: self.context.seq,
            account: self.account.name.clone(),
            work: Work::DeleteList(list),
        });
    }

    /// Puts a batch into the queue and returns its id. Its first half is done when it becomes
    /// active, the rest at its end.
    pub(super) fn queue_import(&mut self, mut rows: Vec<Row>) -> String {
        let queued = self.context.instant();
        let number = self.backlog.batches.len();
        let name = self.account.name.clone();
        let digest = blake3::hash(format!("{name}:{number}").as_bytes()).to_hex();
        let id = format!(
            "{}-{}-4{}-8{}-{}",
            &digest[..8],
            &digest[8..12],
            &digest[13..16],
            &digest[17..20],
            &digest[20..32]
        );
        self.backlog.batches.push(Batch {
            id: id.clone(),
            account: name.clone(),
            queued,
            day: self.account.now.to_zoned(zone()).date(),
            contacts: rows.len(),
            addresses: rows.iter().map(|row| fold(&row.email)).collect(),
            active: false,
            completed: false,
            created: Vec::new(),
            failed: Vec::new(),
        });
        let rest = rows.split_off(rows.len() / 2);
        for (step, (rows, ends)) in [(rows, false), (rest, true)].into_iter().enumerate() {
            let due = queued + self.background() * (step as u32 + 1);
            let work = Work::Import {
                batch: number,
                rows,
                ends,
            };
            self.backlog.jobs.push_back(Job {
                due,
                request: self.context.seq,
                account: name.clone(),
                work,
            });
        }
        id
    }
}

/// Takes in one contact of a batch.
fn take_row(
    account: &mut Account,
    row: Row,
    batch: &mut Batch,
    blame: &mut Vec<(MisuseKind, String)>,
) {
    if account.excluded.contains(&fold(&row.email)) {
        return;
    }
    if row.fails || !is_address(&row.email) {
        batch.failed.push(row.email);
        return;
    }
    let id = account.contact_by_email(&row.email).unwrap_or_else(|| {
        let id = account.insert_contact(Contact {
            email: row.email.trim().to_owned(),
            owner: 1,
            ..Contact::default()
        });
        // Only people who are new are reported.
        batch.created.push(id);
        id
    });
    write_values(account, id, &row.values);
    for list in row.unsubscribe {
        if account.groups.contains_key(&list) {
            account.unsubscribe_by_api(list, id);
        }
    }
    for list in row.subscribe {
        let Some(group) = account.group(list) else {
            continue;
        };
        match group.members.get(&id).map(|membership| membership.state) {
            Some(MembershipState::Active) => continue,
            // The importer leaves a refusal as it is.
            Some(MembershipState::OptedOut) => {
                blame.push((
                    MisuseKind::AddedExistingMember,
                    format!("list {list}, contact {id}"),
                ));
                continue;
            }
            Some(_) => blame.push((
                MisuseKind::AddedExistingMember,
                format!("list {list}, contact {id}"),
            )),
            None if group.former.get(&id) == Some(&MembershipState::OptedOut) => {
                blame.push((
                    MisuseKind::Resubscribed,
                    format!("list {list}, contact {id}, taken out and added again"),
                ));
            }
            None => {}
        }
        let manner = if row.exclude_automations {
            Manner::WithoutAutomations
        } else {
            Manner::Usual
        };
        subscribe(account, list, id, manner);
    }
}
