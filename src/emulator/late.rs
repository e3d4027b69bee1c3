//! Changes that come after their answer, and readings of what was a while ago.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::State;
use super::exchange::Underway;
use super::world::World;

/// The requests that are answered and not yet carried out.
#[derive(Default)]
pub(super) struct Late {
    waiting: Vec<(Instant, Underway)>,
}

impl Late {
    /// Has a request carried out at a later moment.
    pub(super) fn add(&mut self, due: Instant, underway: Underway) {
        self.waiting.push((due, underway));
    }

    /// Takes the first of the requests that are due.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Underway> {
        let (at, (due, _)) = self
            .waiting
            .iter()
            .enumerate()
            .min_by_key(|(_, (due, _))| *due)?;
        (*due <= now).then(|| self.waiting.remove(at).1)
    }
}

/// What the accounts held before each of their latest changes, kept while readings lag.
#[derive(Default)]
pub(super) struct Past {
    worlds: VecDeque<(Instant, World)>,
}

impl State {
    /// Keeps what the accounts hold before something changes, as far back as readings may look.
    pub(super) fn keep_past(&mut self, now: Instant) {
        let Some(lag) = self.faults.lag() else {
            self.past.worlds.clear();
            return;
        };
        while self
            .past
            .worlds
            .front()
            .is_some_and(|(until, _)| *until + lag <= now)
        {
            self.past.worlds.pop_front();
        }
        self.past.worlds.push_back((now, self.world.clone()));
    }

    /// Does something with the accounts as they were a while ago, which changes nothing.
    pub(super) fn in_the_past<R>(
        &mut self,
        now: Instant,
        lag: Duration,
        work: impl FnOnce(&mut Self) -> R,
    ) -> R {
        let then = self
            .past
            .worlds
            .iter()
            .find(|(until, _)| *until + lag > now)
            .map(|(_, world)| world.clone());
        let Some(mut then) = then else {
            return work(self);
        };
        then.clock = self.world.clock;
        then.sync_clock();
        let present = std::mem::replace(&mut self.world, then);
        let result = work(self);
        self.world = present;
        result
    }
}
