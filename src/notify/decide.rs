//! What is told, and when: pure, with the moment given.
//!
//! A job stands in one of four ways, and somebody is told whenever it begins to stand in another one.
//! Nothing else is ever told, which is why nothing is told twice.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// How long another refusal of a job that stays refused waits until it is told: where people go on
/// working at the source, each plan holds a little more than the one before.
const REFUSAL_REST: SignedDuration = SignedDuration::from_hours(1);

/// How long after each failed attempt the next one follows; after the last of them it is given up. Two
/// days in all.
const INTERVALS: [Duration; 11] = [
    Duration::from_secs(10),
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(15),
    Duration::from_hours(1),
    Duration::from_hours(2),
    Duration::from_hours(4),
    Duration::from_hours(8),
    Duration::from_hours(8),
    Duration::from_hours(12),
    Duration::from_hours(12),
];

/// The longest time between two attempts.
pub(crate) const LONGEST_INTERVAL: Duration = Duration::from_hours(24);

/// How a job stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Its last run went well, or there was none.
    #[default]
    Well,
    /// It runs, and items need a person.
    Items,
    /// A guard refuses its plan; an approval of this id lets it pass.
    Refused(String),
    /// It could not go on.
    Failing,
}

impl State {
    /// Every state, with no approval.
    pub const ALL: [State; 4] = [
        State::Well,
        State::Items,
        State::Refused(String::new()),
        State::Failing,
    ];

    /// Returns the word used in messages and in the database.
    pub fn as_str(&self) -> &'static str {
        match self {
            State::Well => "well",
            State::Items => "items",
            State::Refused(_) => "refused",
            State::Failing => "failing",
        }
    }

    /// Returns the approval that would let the refused plan pass.
    pub fn approval(&self) -> Option<&str> {
        match self {
            State::Refused(approval) => Some(approval),
            _ => None,
        }
    }

    /// Reads the word used in the database; one that nobody knows is taken for well, so that whatever
    /// is not is told.
    pub fn parse(word: &str, approval: Option<String>) -> State {
        match word {
            "items" => State::Items,
            "refused" => State::Refused(approval.unwrap_or_default()),
            "failing" => State::Failing,
            _ => State::Well,
        }
    }

    /// Tells whether two states are of one kind, whatever the approval.
    pub fn is_like(&self, other: &State) -> bool {
        self.as_str() == other.as_str()
    }
}

/// How a job stands as it was told last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The state.
    pub state: State,
    /// Since when.
    pub since: Timestamp,
    /// When something was told last.
    pub told: Timestamp,
}

/// How a run ended, as far as it says how its job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It went through, and so many items need a person.
    Through(u64),
    /// A guard refused, and offered this approval.
    Refused(String),
    /// It could not go on.
    Failed,
    /// It says nothing: the job was busy, the run was stopped, or somebody sat before it.
    Silent,
}

/// Decides how a job stands after a run; nothing where that is as it was told before.
///
/// A job of which nothing is known counts as well.
pub fn turn(before: Option<&Standing>, ended: &Ended, now: Timestamp) -> Option<Standing> {
    let state = match ended {
        Ended::Through(0) => State::Well,
        Ended::Through(_) => State::Items,
        Ended::Refused(approval) => State::Refused(approval.clone()),
        Ended::Failed => State::Failing,
        Ended::Silent => return None,
    };
    let Some(before) = before else {
        return (state != State::Well).then_some(Standing {
            state,
            since: now,
            told: now,
        });
    };
    if state == before.state {
        return None;
    }
    let goes_on = state.is_like(&before.state);
    // What was told in the future was told before the clock was set back.
    if goes_on && now.duration_since(before.told).abs() < REFUSAL_REST {
        return None;
    }
    Some(Standing {
        state,
        since: if goes_on { before.since } else { now },
        told: now,
    })
}

/// What becomes of the states of one job that a receiver has still to be told, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    /// The last one is told, and says that those before it were not.
    TellLast,
    /// None: the job stands again as the receiver knows it.
    TellNone,
}

/// Decides what of several states that could not be told in time is still worth telling: only how the
/// job stands now. That it is well is told in any case, so that nobody misses that it was not.
pub fn pending(told: Option<&State>, states: &[State]) -> Pending {
    match states {
        [_, .., last] if *last != State::Well && Some(last) == told => Pending::TellNone,
        _ => Pending::TellLast,
    }
}

/// Returns how long to wait after so many failed attempts; nothing where it is given up. A receiver may
/// ask for more patience, within reason.
pub fn wait_after(attempts: u32, asked: Option<Duration>) -> Option<Duration> {
    let index = usize::try_from(attempts.checked_sub(1)?).ok()?;
    let wait = INTERVALS.get(index)?;
    let asked = asked.unwrap_or_default().min(LONGEST_INTERVAL);
    Some(asked.max(*wait))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(minutes: i64) -> Timestamp {
        let start: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        start + SignedDuration::from_mins(minutes)
    }

    fn refused(id: &str) -> Ended {
        Ended::Refused(id.to_owned())
    }

    /// What is told of runs that end a quarter of an hour apart.
    fn told(runs: &[Ended]) -> Vec<String> {
        let mut standing = None;
        let mut told = Vec::new();
        for (number, run) in runs.iter().enumerate() {
            if let Some(now) = turn(standing.as_ref(), run, at(15 * number as i64)) {
                told.push(format!(
                    "{number} {}{}",
                    now.state.as_str(),
                    now.state.approval().unwrap_or_default()
                ));
                standing = Some(now);
            }
        }
        told
    }

    #[test]
    fn a_job_that_turns_bad_is_told_once_and_so_is_that_it_is_well_again() {
        use Ended::{Failed, Silent, Through};
        let runs = [
            Through(0),
            Failed,
            Failed,
            Silent,
            Failed,
            Through(0),
            Through(0),
        ];
        assert_eq!(told(&runs), ["1 failing", "5 well"]);
        assert_eq!(
            told(&[Through(3), Through(4), Through(0)]),
            ["0 items", "2 well"]
        );
        assert_eq!(
            told(&[Failed, Through(3), Failed, Silent, Through(1)]),
            ["0 failing", "1 items", "2 failing", "4 items"]
        );
    }

    #[test]
    fn a_refusal_is_told_again_only_if_it_is_another_one_and_not_at_each_run() {
        assert_eq!(
            told(&[refused("a"), refused("a"), Ended::Failed, refused("a")]),
            ["0 refuseda", "2 failing", "3 refuseda"]
        );
        // People go on working at the source.
        let runs: Vec<Ended> = "abcdefghi"
            .chars()
            .map(|id| refused(&id.to_string()))
            .collect();
        assert_eq!(told(&runs), ["0 refuseda", "4 refusede", "8 refusedi"]);
    }

    #[test]
    fn since_when_a_job_is_refused_does_not_change_with_the_refusal() {
        let first = turn(None, &refused("a"), at(0)).unwrap();
        let second = turn(Some(&first), &refused("b"), at(90)).unwrap();
        assert_eq!((second.since, second.told), (at(0), at(90)));
        // A clock that was set back by a day silences nobody.
        let third = turn(Some(&second), &refused("c"), at(90 - 1440)).unwrap();
        assert_eq!(third.since, at(0));
    }

    #[test]
    fn what_could_not_be_told_in_time_is_told_as_it_is_now() {
        let a = State::Refused("a".to_owned());
        let b = State::Refused("b".to_owned());
        let (well, bad) = (State::Well, State::Failing);
        for (told, states, expected) in [
            (None, vec![&bad], Pending::TellLast),
            (None, vec![&bad, &well], Pending::TellLast),
            (Some(&well), vec![&bad, &well], Pending::TellLast),
            (Some(&bad), vec![&well, &bad], Pending::TellNone),
            (Some(&a), vec![&well, &a], Pending::TellNone),
            (Some(&a), vec![&well, &b], Pending::TellLast),
            // Told and not known of: an answer that was lost is no reason to be silent.
            (Some(&bad), vec![&bad], Pending::TellLast),
        ] {
            let states: Vec<State> = states.into_iter().cloned().collect();
            assert_eq!(pending(told, &states), expected, "{told:?} {states:?}");
        }
    }

    #[test]
    fn attempts_are_further_and_further_apart_and_end_within_days() {
        let mut total = Duration::ZERO;
        let mut before = Duration::ZERO;
        for attempts in 1..=INTERVALS.len() as u32 {
            let wait = wait_after(attempts, None).unwrap();
            assert!(wait >= before);
            (before, total) = (wait, total + wait);
        }
        let days = Duration::from_hours(24);
        assert!(total > days && total < 3 * days, "{total:?}");
        assert_eq!(wait_after(INTERVALS.len() as u32 + 1, None), None);
        let asked = |hours| wait_after(1, Some(Duration::from_hours(hours)));
        assert_eq!(asked(3), Some(Duration::from_hours(3)));
        assert_eq!(asked(999), Some(LONGEST_INTERVAL));
        assert_eq!(wait_after(0, None), None);
    }

    fn any_end() -> impl Strategy<Value = Ended> {
        prop_oneof![
            Just(Ended::Through(0)),
            (1..5_u64).prop_map(Ended::Through),
            "[a-c]".prop_map(Ended::Refused),
            Just(Ended::Failed),
            Just(Ended::Silent),
        ]
    }

    proptest! {
        #[test]
        fn nothing_is_told_twice_in_a_row_and_no_turn_is_left_out(
            runs in proptest::collection::vec((any_end(), 0..200_i64), 0..40)
        ) {
            let mut standing: Option<Standing> = None;
            let mut last_told: Option<State> = None;
            let mut minute = 0;
            for (run, later) in &runs {
                minute += later;
                let turned = turn(standing.as_ref(), run, at(minute));
                if let Some(now) = &turned {
                    prop_assert_ne!(Some(&now.state), last_told.as_ref());
                    // Nobody hears first of all that a job is well.
                    prop_assert!(last_told.is_some() || now.state != State::Well);
                    last_told = Some(now.state.clone());
                    standing = turned;
                }
                let known = last_told.clone().unwrap_or_default();
                match run {
                    Ended::Through(0) => prop_assert_eq!(known, State::Well),
                    Ended::Through(_) => prop_assert_eq!(known, State::Items),
                    Ended::Failed => prop_assert_eq!(known, State::Failing),
                    Ended::Refused(_) => prop_assert!(known.approval().is_some()),
                    Ended::Silent => {}
                }
            }
        }
    }
}
