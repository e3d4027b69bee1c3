//! The way to the accounts: counts requests, kills runs at one of them, and has each write judged
//! the moment it is done.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use rosterd::emulator::{Actor, Emulator};
use rosterd::state::Store;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::dice::Dice;
use super::hands::meanwhile;
use super::judge::Judge;

/// Where a run ends without a word.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kill {
    /// At the nth request of any kind.
    Request { nth: usize, after: bool },
    /// At the nth request with an open entry in the journal.
    Write { nth: usize, after: bool },
}

/// Where a run is asked to stop.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop {
    /// At the nth request of any kind.
    Request(usize),
    /// Where it asks what became of an import.
    Import,
}

/// What the way knows of the run of the moment.
#[derive(Default)]
pub(crate) struct Trip {
    pub requests: usize,
    pub writes: usize,
    pub kill: Option<Kill>,
    pub died: Arc<Notify>,
    /// Where the run is asked to stop.
    pub stop: Option<(Stop, CancellationToken)>,
    /// When it was asked.
    pub stopped: Option<Instant>,
    /// At which request the clock of the runs is set, and by how many seconds.
    pub step: Option<(usize, i64)>,
    /// Whether people come and go by themselves while the run goes on.
    pub busy: bool,
    /// The last event that was a person's.
    pub last_person: u64,
    /// At which request somebody edits an account, and what.
    pub meddle: Option<(usize, u64)>,
    /// What was edited while the run went on.
    pub meddled: Vec<String>,
    /// What was sent, as operation and number of items.
    pub sent: Vec<(String, usize)>,
}

pub(crate) struct State {
    /// The number of the last request that was seen.
    pub seq: u64,
    pub judge: Judge,
    pub store: Arc<Store>,
    pub trip: Trip,
}

/// Shared by the simulation and the requests on their way.
pub(crate) struct Wire {
    pub emulator: Emulator,
    /// The clock of the runs.
    pub seconds: Arc<AtomicI64>,
    state: Mutex<State>,
}

impl Wire {
    pub fn new(emulator: Emulator, judge: Judge, store: Arc<Store>) -> Arc<Wire> {
        Arc::new(Wire {
            emulator,
            seconds: Arc::new(AtomicI64::new(1_800_000_000)),
            state: Mutex::new(State {
                seq: 0,
                judge,
                store,
                trip: Trip::default(),
            }),
        })
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All routes of the emulated accounts, watched.
    pub fn router(self: &Arc<Self>) -> Router {
        let wire = self.clone();
        let inner = self.emulator.router();
        Router::new()
            .fallback(move |request: Request<Body>| forward(wire.clone(), inner.clone(), request))
    }

    /// Lets somebody edit an account if it is time for that.
    fn meddle(&self) {
        let seed = {
            let mut state = self.lock();
            let due = state
                .trip
                .meddle
                .is_some_and(|(nth, _)| state.trip.requests >= nth);
            match state.trip.meddle.take_if(|_| due) {
                Some((_, seed)) => seed,
                None => return,
            }
        };
        let mut dice = Dice::new(seed);
        let told = self.emulator.with_world(|world| {
            let number = dice.below(world.accounts.len());
            let account = &mut world.accounts[number];
            let told = meanwhile(&mut dice, account)?;
            Some(format!("{}: {told}", account.name))
        });
        let Some(told) = told else { return };
        self.look();
        let now = self.emulator.with_world(|world| world.clone());
        let mut state = self.lock();
        state.trip.meddled.push(told);
        state.judge.meddled(&now);
    }

    /// Takes note of what people have done by themselves where an account is busy.
    fn look_for_people(&self) {
        if !self.lock().trip.busy {
            return;
        }
        self.look();
        let history = self.emulator.history();
        let mut events = history.iter().rev();
        let last = events.find(|event| event.actor == Actor::Person);
        let last = last.map_or(0, |event| event.seq);
        let now = self.emulator.with_world(|world| world.clone());
        let mut state = self.lock();
        if std::mem::replace(&mut state.trip.last_person, last) < last {
            state.judge.meddled(&now);
        }
    }

    /// Judges what has happened since the last look.
    pub fn look(&self) {
        let now = self.emulator.with_world(|world| world.clone());
        let history = self.emulator.history();
        let mut state = self.lock();
        let pairs = pairs(&state);
        state.judge.look(now, &history, pairs);
    }
}

/// The pairs of groups that the database knows: job, source group, target group.
fn pairs(state: &State) -> BTreeSet<(usize, u64, u64)> {
    let mut pairs = BTreeSet::new();
    for (number, job) in state.judge.jobs.iter().enumerate() {
        for link in state.store.links(job.name).unwrap() {
            pairs.insert((
                number,
                link.source.parse().unwrap(),
                link.target.parse().unwrap(),
            ));
        }
    }
    pairs
}

/// Looks at what a request did, also when nobody waits for its answer any more.
struct After {
    wire: Arc<Wire>,
    last: u64,
    /// Whether the target keeps lists.
    lists: bool,
    /// The numbers of items of the open entries of the journal, with what they are.
    open: Vec<(String, usize)>,
}

impl Drop for After {
    fn drop(&mut self) {
        // Whoever joins or refuses a list is created there on the way.
        let creates = self.open.iter().any(|(operation, _)| {
            operation == "create_members"
                || (self.lists && matches!(operation.as_str(), "add_memberships" | "set_opt_out"))
        });
        {
            let mut state = self.wire.lock();
            state.seq = state.seq.max(
                self.wire
                    .emulator
                    .requests()
                    .last()
                    .map_or(0, |request| request.seq),
            );
            if let Some(run) = state.judge.runs.values_mut().next_back() {
                run.creates = creates || (self.lists && run.creates);
            }
        }
        let fresh: Vec<_> = self
            .wire
            .emulator
            .requests()
            .into_iter()
            .filter(|request| request.seq > self.last && request.is_write)
            .collect();
        for request in &fresh {
            // The refusals of one person are one item of the journal, whatever the number of
            // groups.
            let of_a_person = request.operation == "contacts/saveGroups";
            let fits = self.open.iter().any(|(operation, items)| {
                (of_a_person || *items >= request.items) && may_carry(operation, &request.operation)
            });
            let mut state = self.wire.lock();
            state
                .trip
                .sent
                .push((request.operation.clone(), request.items));
            if !fits {
                let text = format!(
                    "{} with {} items was sent, and the journal had {:?}",
                    request.operation, request.items, self.open
                );
                state.judge.complain("rule 5", text);
            }
        }
        if !fresh.is_empty() {
            self.wire.look();
        }
    }
}

/// The bulk importer of lists.
const IMPORT: &str = "POST /import/bulk_import";

/// Whether a request of this operation may be sent for a journal entry.
fn may_carry(entry: &str, operation: &str) -> bool {
    let operations: &[&str] = match entry {
        "create_group" => &["groups/save", "CreateGroup", "list_add", "group_add"],
        "edit_groups" => &["groups/save", "EditGroups", "list_edit", "group_edit"],
        "delete_group" => &[
            "groups/delete",
            "DeleteGroups",
            "list_delete",
            "group_delete",
        ],
        "create_members" => &[
            "user_add",
            "user_edit",
            "PUT /users/{id}",
            "POST /users",
            "contacts/import",
            "contacts/save",
            "AddContacts",
            IMPORT,
            "contact_sync",
        ],
        "update_members" => &[
            "user_add",
            "user_edit",
            "PUT /users/{id}",
            "POST /users",
            "contacts/import",
            "contacts/save",
            "EditContacts",
            IMPORT,
            "contact_sync",
        ],
        "change_address" => &[
            "user_edit",
            "PUT /users/{id}",
            "contacts/save",
            "EditContacts",
            "contact_edit",
        ],
        "add_memberships" => &[
            "user_add",
            "user_edit",
            "PUT /users/{id}",
            "POST /users",
            "groups/addContacts",
            "contacts/import",
            "AddContactsToGroup",
            IMPORT,
            "contact_sync",
        ],
        "remove_memberships" => &[
            "user_add",
            "user_edit",
            "PUT /users/{id}",
            "POST /users",
            "groups/removeContacts",
            "DeleteContactsFromGroup",
            IMPORT,
            "contact_sync",
            "contact_delete",
        ],
        "set_opt_out" => &[
            "user_add",
            "user_edit",
            "PUT /users/{id}",
            "POST /users",
            "contacts/import",
            "contacts/save",
            "contacts/saveGroups",
            "UnsubscribeContacts",
            IMPORT,
            "contact_sync",
        ],
        _ => &[],
    };
    operations.contains(&operation)
}

async fn forward(wire: Arc<Wire>, inner: Router, request: Request<Body>) -> Response {
    let (dies_before, dies_after, died, after) = {
        let mut guard = wire.lock();
        let state = &mut *guard;
        let jobs: Vec<&str> = state
            .judge
            .run
            .iter()
            .flat_map(|run| std::iter::once(&run.job).chain(&run.beside))
            .map(|job| state.judge.jobs[*job].name)
            .collect();
        let open: Vec<(String, usize)> = jobs
            .into_iter()
            .flat_map(|job| state.store.unsettled(job).unwrap())
            .filter(|entry| entry.items.iter().any(|item| item.outcome.is_none()))
            .map(|entry| (entry.operation, entry.items.len()))
            .collect();
        let lists = state.judge.run.as_ref().is_some_and(|run| {
            run.start.account(state.judge.jobs[run.job].target).kind
                == rosterd::emulator::Kind::ActiveCampaign
        });
        let trip = &mut state.trip;
        trip.requests += 1;
        trip.writes += usize::from(!open.is_empty());
        let requests = trip.requests;
        let due = |stop: &mut (Stop, CancellationToken)| match stop.0 {
            Stop::Request(nth) => requests >= nth,
            Stop::Import => request.uri().path().ends_with("/import/info"),
        };
        if let Some((_, token)) = trip.stop.take_if(due) {
            token.cancel();
            trip.stopped = Some(Instant::now());
        }
        if let Some((_, seconds)) = trip.step.take_if(|(nth, _)| requests >= *nth) {
            wire.seconds.fetch_add(seconds, Ordering::Relaxed);
        }
        let (now, after) = match trip.kill {
            Some(Kill::Request { nth, after }) => (trip.requests == nth, after),
            Some(Kill::Write { nth, after }) => (trip.writes == nth && !open.is_empty(), after),
            None => (false, false),
        };
        let last = wire
            .emulator
            .requests()
            .last()
            .map_or(0, |request| request.seq);
        (
            now && !after,
            now && after,
            trip.died.clone(),
            After {
                wire: wire.clone(),
                last,
                lists,
                open,
            },
        )
    };
    wire.meddle();
    if dies_before {
        died.notify_one();
        return std::future::pending().await;
    }
    let Ok(response) = inner.oneshot(request).await;
    drop(after);
    wire.look_for_people();
    if dies_after {
        died.notify_one();
        return std::future::pending().await;
    }
    response
}
