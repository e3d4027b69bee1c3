//! Whether all is well, and what is not.

use super::{Ended, Rehearsed};

/// One thing that is not well, and what a command ends with for it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Verdict {
    /// The exit code.
    pub exit_code: u8,
    /// The thing, as the end of a sentence.
    pub what: String,
}

/// From the worst to the best, as several jobs of one command end.
const WORST_FIRST: [u8; 6] = [2, 1, 3, 5, 4, 0];

/// What an exit code says of a run, in a few words.
pub(crate) fn meaning(code: u8) -> &'static str {
    match code {
        0 => "done",
        3 => "refused: nothing written",
        4 => "finished, and items need a person",
        _ => "failed",
    }
}

impl Rehearsed {
    /// Returns what the command would end with in truth.
    pub fn real_exit_code(&self) -> u8 {
        match self.refused {
            Some(_) => 3,
            None => self.runs[0].exit_code(),
        }
    }

    /// Lists what is not well; nothing where the job can be run without a thought.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        let mut add = |exit_code, what: String| verdicts.push(Verdict { exit_code, what });
        if !self.mail.breaches.is_empty() {
            add(1, "people would be mailed who refuse it".to_owned());
        }
        if self.refused.is_some() {
            add(
                3,
                "a guard refuses the run until a person approves it".to_owned(),
            );
        }
        let first = self.runs[0].exit_code();
        if first != 0 {
            let once = match self.refused {
                Some(_) => "once it is approved, ",
                None => "",
            };
            let what = format!("{once}the run would end with {first} ({})", meaning(first));
            add(first, what);
        }
        let last = self.last();
        if self.runs.len() > 1 && !last.is_finished() {
            let code = last.exit_code();
            let what = "the runs after it did not finish what the faults had left";
            add(if code == 0 { 4 } else { code }, what.to_owned());
        }
        match &self.again {
            Some(Ended::NoRun { exit_code, .. }) => {
                add(*exit_code, "the next run could not be made".to_owned());
            }
            Some(again) if again.is_refused() => {
                add(3, "a guard refuses the next run".to_owned());
            }
            Some(again) if !again.did_nothing() => {
                let code = match again.exit_code() {
                    0 => 4,
                    code => code,
                };
                add(code, "the next run still has something to do".to_owned());
            }
            Some(_) | None => {}
        }
        if !self.differences.is_empty() {
            add(
                4,
                "the copies show something else than the accounts".to_owned(),
            );
        }
        if self.copies.iter().any(|copied| !copied.lacks.is_empty()) {
            let what = "the copies lack, or may lack, something of the accounts";
            add(4, what.to_owned());
        }
        verdicts
    }

    /// Lists what is not well beside how the command would end in truth.
    pub fn other_verdicts(&self) -> Vec<Verdict> {
        let mut verdicts = self.verdicts();
        if self.refused.is_none() {
            let end = format!("the run would end with {} ", self.real_exit_code());
            verdicts.retain(|verdict| !verdict.what.starts_with(&end));
        }
        verdicts
    }

    /// Returns what a rehearsal ends with: 0 only where all is well, and else the worst of what is
    /// not.
    pub fn exit_code(&self) -> u8 {
        let verdicts = self.verdicts();
        let codes = verdicts.iter().map(|verdict| verdict.exit_code);
        let rank = |code: &u8| WORST_FIRST.iter().position(|known| known == code);
        codes
            .min_by_key(|code| rank(code).unwrap_or(1))
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::ProviderKind;
    use crate::rehearsal::{Copied, Refused, Requests, Time};

    /// A rehearsal of which runs could not be made, with these codes.
    fn ended(codes: &[u8]) -> Rehearsed {
        let ended = |code: &u8| Ended::NoRun {
            error: "it could not be made".to_owned(),
            exit_code: *code,
        };
        Rehearsed {
            job: "a".to_owned(),
            command: "rosterd sync a".to_owned(),
            is_migration: false,
            refused: None,
            providers: ["crm".to_owned(), "mail".to_owned()],
            target_kind: ProviderKind::Emfluence,
            read_at: Timestamp::UNIX_EPOCH,
            copies: [Copied::default(), Copied::default()],
            differences: Vec::new(),
            faults: Vec::new(),
            struck: 0,
            runs: codes.iter().map(ended).collect(),
            again: None,
            requests: [Requests::default(), Requests::default()],
            time: Time::default(),
            mail: crate::rehearsal::Mail::default(),
        }
    }

    #[test]
    fn nothing_that_is_not_well_ends_with_nought() {
        assert_eq!(ended(&[0]).exit_code(), 0);
        for code in [1, 3, 4, 5] {
            assert_eq!(ended(&[code]).exit_code(), code);
        }
        let mut differs = ended(&[0]);
        differs.differences = vec![("mail".to_owned(), "one person less".to_owned())];
        assert_eq!(differs.exit_code(), 4);
        let mut lacks = ended(&[0]);
        lacks.copies[1].lacks = vec!["a group".to_owned()];
        assert_eq!(lacks.exit_code(), 4);
        let mut again = ended(&[0]);
        again.again = Some(Ended::NoRun {
            error: "it could not be made".to_owned(),
            exit_code: 1,
        });
        assert_eq!(again.exit_code(), 1);
        let mut breach = ended(&[4]);
        breach.mail.breaches.push(crate::rehearsal::Breach {
            group: "Donors".to_owned(),
            member: "ana@example.org".to_owned(),
        });
        assert_eq!(breach.exit_code(), 1);
        let refused = Refused {
            refusals: Vec::new(),
            waiting_opt_outs: 0,
            is_offered: false,
            why: None,
        };
        let mut guarded = ended(&[0]);
        guarded.refused = Some(refused.clone());
        assert_eq!((guarded.exit_code(), guarded.real_exit_code()), (3, 3));
        // Approving it would not help.
        let mut failing = ended(&[1]);
        failing.refused = Some(refused);
        assert_eq!((failing.exit_code(), failing.real_exit_code()), (1, 3));
    }

    #[test]
    fn how_the_run_ends_is_not_told_beside_itself() {
        let told = |rehearsed: &Rehearsed| {
            let verdicts = rehearsed.other_verdicts().into_iter();
            verdicts.map(|one| one.what).collect::<Vec<_>>()
        };
        let mut rehearsed = ended(&[4]);
        assert_eq!(rehearsed.verdicts().len(), 1);
        assert!(told(&rehearsed).is_empty(), "{:?}", told(&rehearsed));
        rehearsed.copies[1].lacks = vec!["a group".to_owned()];
        assert!(told(&rehearsed).len() == 1 && told(&rehearsed)[0].contains("lack"));
    }

    #[test]
    fn what_the_runs_after_faults_leave_is_told() {
        let unfinished = ended(&[1, 1, 1]);
        assert_eq!(unfinished.exit_code(), 1);
        let told = unfinished.verdicts();
        assert!(
            told.iter().any(|one| one.what.contains("did not finish")),
            "{told:?}"
        );
    }
}
