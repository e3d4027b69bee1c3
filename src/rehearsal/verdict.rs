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
            None => {}
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
            Some(_) => {}
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
