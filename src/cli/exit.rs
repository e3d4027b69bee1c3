//! Exit codes, which are part of what rosterd promises.

/// What a command tells whoever called it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExitCode {
    /// Done, and nothing is left that a person must see.
    Done,
    /// Network, provider, credentials, disk, or interrupted.
    Failed,
    /// Something was wrong before the first request.
    Usage,
    /// A guard refused, or the plan has moved or is used up: nothing was written.
    Refused,
    /// Finished, and items need a person.
    NeedsPerson,
    /// Another run of the job, or a use of the account, is active.
    Busy,
    /// `plan --detailed-exitcode`: changes are pending.
    Pending,
}

/// From the worst to the best.
const WORST_FIRST: [ExitCode; 7] = [
    ExitCode::Usage,
    ExitCode::Failed,
    ExitCode::Refused,
    ExitCode::Busy,
    ExitCode::NeedsPerson,
    ExitCode::Pending,
    ExitCode::Done,
];

impl ExitCode {
    /// Returns the number.
    pub fn number(self) -> u8 {
        match self {
            ExitCode::Done => 0,
            ExitCode::Failed => 1,
            ExitCode::Usage => 2,
            ExitCode::Refused => 3,
            ExitCode::NeedsPerson => 4,
            ExitCode::Busy => 5,
            ExitCode::Pending => 10,
        }
    }

    /// Returns the code of a number that a run gave; an unknown one is a failure, and so is
    /// [`ExitCode::Pending`], which belongs to no run.
    pub fn of(number: u8) -> ExitCode {
        WORST_FIRST
            .into_iter()
            .find(|code| code.number() == number && *code != ExitCode::Pending)
            .unwrap_or(ExitCode::Failed)
    }

    /// Returns the code that several jobs end with: the worst of theirs.
    pub fn worst(codes: impl IntoIterator<Item = ExitCode>) -> ExitCode {
        let rank = |code: &ExitCode| WORST_FIRST.iter().position(|known| known == code);
        codes
            .into_iter()
            .min_by_key(|code| rank(code).unwrap_or(WORST_FIRST.len()))
            .unwrap_or(ExitCode::Done)
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        std::process::ExitCode::from(code.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_jobs_end_with_the_worst_code() {
        for (codes, expected) in [
            (&[][..], 0),
            (&[0, 0], 0),
            (&[0, 4], 4),
            (&[4, 5], 5),
            (&[5, 3], 3),
            (&[3, 1], 1),
            (&[1, 2], 2),
            (&[0, 4, 5, 3, 1, 2], 2),
            (&[4, 0, 3], 3),
        ] {
            assert_eq!(
                ExitCode::worst(codes.iter().map(|code| ExitCode::of(*code))).number(),
                expected,
                "{codes:?}"
            );
        }
    }

    #[test]
    fn a_pending_plan_is_worse_than_none_and_better_than_whatever_went_wrong() {
        let worst = |other| ExitCode::worst([ExitCode::Pending, other]);
        assert_eq!(worst(ExitCode::Done), ExitCode::Pending);
        for other in [
            ExitCode::Usage,
            ExitCode::Failed,
            ExitCode::Refused,
            ExitCode::Busy,
        ] {
            assert_eq!(worst(other), other);
        }
    }

    #[test]
    fn every_number_of_a_run_is_known() {
        for number in 0..=5 {
            assert_eq!(ExitCode::of(number).number(), number);
        }
        assert_eq!(ExitCode::of(99), ExitCode::Failed);
        assert_eq!(ExitCode::of(10), ExitCode::Failed);
        assert_eq!(ExitCode::Pending.number(), 10);
    }
}
