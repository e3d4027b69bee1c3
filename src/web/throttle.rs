//! How often a token may be tried.
//!
//! Whoever has tried too often is told to come back later, at once: nothing waits in here, so a flood
//! of attempts ties nothing up. Each neighbourhood has tries of its own, so that a stranger can't keep
//! the operator out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many wrong tokens are forgiven in a row.
const TRIES: u32 = 5;

/// How long it takes to be given another one.
const REFILL: Duration = Duration::from_secs(10);

/// How many neighbourhoods are remembered; beyond that the one that has been quiet longest is
/// forgotten.
const REMEMBERED: usize = 1_024;

#[derive(Debug)]
struct Tries {
    wrong: u32,
    last: Instant,
}

impl Tries {
    /// How many wrong ones count by now.
    fn counted(&self, now: Instant) -> u32 {
        let forgiven = now.duration_since(self.last).as_secs() / REFILL.as_secs();
        self.wrong
            .saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX))
    }
}

/// Counts wrong tokens.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    tries: Mutex<HashMap<IpAddr, Tries>>,
}

impl Throttle {
    /// Tells how long this neighbourhood has to wait before its next try.
    pub(super) fn wait(&self, peer: IpAddr) -> Option<Duration> {
        let now = Instant::now();
        let tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        let tries = tries.get(&neighbourhood(peer))?;
        if tries.counted(now) < TRIES {
            return None;
        }
        let since = now.duration_since(tries.last).as_secs() % REFILL.as_secs();
        Some(REFILL.saturating_sub(Duration::from_secs(since)))
    }

    /// Takes down a wrong token.
    pub(super) fn failed(&self, peer: IpAddr) {
        let now = Instant::now();
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        let peer = neighbourhood(peer);
        if tries.len() >= REMEMBERED && !tries.contains_key(&peer) {
            tries.retain(|_, tries| tries.counted(now) > 0);
            if tries.len() >= REMEMBERED
                && let Some(oldest) = tries.iter().min_by_key(|(_, tries)| tries.last)
            {
                let oldest = *oldest.0;
                tries.remove(&oldest);
            }
        }
        let known = tries.entry(peer).or_insert(Tries {
            wrong: 0,
            last: now,
        });
        known.wrong = known.counted(now).saturating_add(1).min(TRIES);
        known.last = now;
    }

    /// Forgets the wrong ones of whoever knew the token in the end.
    pub(super) fn passed(&self, peer: IpAddr) {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        tries.remove(&neighbourhood(peer));
    }
}

/// Whoever has one IPv6 address has a whole net of them.
fn neighbourhood(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    #[tokio::test(start_paused = true)]
    async fn wrong_tokens_are_forgiven_one_by_one() {
        let throttle = Throttle::default();
        for _ in 0..TRIES {
            assert_eq!(throttle.wait(PEER), None);
            throttle.failed(PEER);
        }
        assert_eq!(throttle.wait(PEER), Some(REFILL));
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(throttle.wait(PEER), Some(Duration::from_secs(6)));
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(throttle.wait(PEER), None);
        throttle.failed(PEER);
        assert!(throttle.wait(PEER).is_some(), "one was forgiven, not all");
        let other = "198.51.100.1".parse().unwrap();
        assert_eq!(throttle.wait(other), None, "others have their own tries");
        throttle.passed(PEER);
        assert_eq!(throttle.wait(PEER), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_whole_net_counts_as_one_and_many_nets_take_no_more_memory() {
        let throttle = Throttle::default();
        let net = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]);
        for last in 0..5 {
            throttle.failed(net(last));
        }
        assert!(throttle.wait(net(99)).is_some());
        for many in 0..5_000_u16 {
            throttle.failed(IpAddr::from([0x2001, 0xdb8, 1, many, 0, 0, 0, 1]));
        }
        assert!(throttle.tries.lock().unwrap().len() <= REMEMBERED);
    }
}
