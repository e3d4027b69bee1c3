//! Completeness of what was read, as a type.
//!
//! Absence is the dangerous observation: that somebody is not in a listing means something only
//! when the listing is whole. A [`Complete`] value can be made in one way, by
//! [`Certificate::certify`], and only what holds one may conclude absence.

use std::collections::BTreeSet;
use std::ops::Deref;

/// Something that was read to its end, with counts that agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complete<T>(T);

impl<T> Deref for Complete<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Something of which a part may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incomplete<T> {
    /// What was read all the same; good for seeing who is there, never for seeing who is not.
    pub partial: T,
    /// Why it can't be trusted to be whole, one sentence each.
    pub why: Vec<String>,
    /// Whether the opt-outs were read to their end, so that additions may still be made from it.
    pub opt_outs_complete: bool,
}

/// A value together with whether it is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading<T> {
    /// All of it.
    Complete(Complete<T>),
    /// Perhaps not all of it.
    Incomplete(Incomplete<T>),
}

impl<T> Reading<T> {
    /// Returns what was read, whole or not: who is in it is there, who is not in it may be there
    /// all the same.
    pub fn seen(&self) -> &T {
        match self {
            Reading::Complete(complete) => &complete.0,
            Reading::Incomplete(incomplete) => &incomplete.partial,
        }
    }

    /// Lends what was read for a correction that makes it neither more nor less whole.
    pub(super) fn seen_mut(&mut self) -> &mut T {
        match self {
            Reading::Complete(complete) => &mut complete.0,
            Reading::Incomplete(incomplete) => &mut incomplete.partial,
        }
    }

    /// Returns the value only when it is whole.
    pub fn complete(&self) -> Option<&Complete<T>> {
        match self {
            Reading::Complete(complete) => Some(complete),
            Reading::Incomplete(_) => None,
        }
    }

    /// Returns why the value is not whole; empty when it is.
    pub fn why_incomplete(&self) -> &[String] {
        match self {
            Reading::Complete(_) => &[],
            Reading::Incomplete(incomplete) => &incomplete.why,
        }
    }
}

/// What a provider's own count of a group may stand for. Which one is not documented, so each
/// listing narrows the candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TotalMeanings {
    /// Every distinct row.
    AllRows,
    /// All but those who opted out.
    AllButOptedOut,
    /// All but those whose address bounced.
    AllButBounced,
}

impl TotalMeanings {
    /// Every meaning that is thought possible.
    pub fn all() -> BTreeSet<TotalMeanings> {
        BTreeSet::from([
            TotalMeanings::AllRows,
            TotalMeanings::AllButOptedOut,
            TotalMeanings::AllButBounced,
        ])
    }

    /// Returns the word kept in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            TotalMeanings::AllRows => "all_rows",
            TotalMeanings::AllButOptedOut => "all_but_opted_out",
            TotalMeanings::AllButBounced => "all_but_bounced",
        }
    }

    /// Reads the word kept in the database.
    pub fn parse(text: &str) -> Option<TotalMeanings> {
        TotalMeanings::all()
            .into_iter()
            .find(|meaning| meaning.as_str() == text)
    }
}

/// How a provider's count of a group's members is held against the rows that were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CountRule {
    /// There is no such count.
    #[default]
    None,
    /// The count may lag behind but must not exceed the rows.
    AtMostRows(u64),
    /// The count equals the rows under one of the [`TotalMeanings`].
    OneOfMeanings(u64),
    /// The count was taken before and after, and people joined in between: under one of the
    /// [`TotalMeanings`] the rows lie within. What the count means is not narrowed by it.
    Grew {
        /// The count before the listing was read.
        before: u64,
        /// The count after it.
        after: u64,
    },
}

/// The evidence of a listing: what was counted while it was read.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Certificate {
    /// Answers read.
    pub pages: u64,
    /// Rows in them.
    pub rows: u64,
    /// Distinct keys among the rows.
    pub distinct: u64,
    /// Distinct rows of people who opted out of the group or the account.
    pub opted_out: u64,
    /// Distinct rows of people whose address bounced.
    pub bounced: u64,
    /// The count that the answer itself gave beside its rows. Fewer distinct rows are a loss; more
    /// of them are a busy account, where new ones joined at the end meanwhile.
    pub total: Option<u64>,
    /// The count that the group gave elsewhere.
    pub group_total: CountRule,
    /// Whether the rows were followed by their rising keys until a page was empty, or are one
    /// document, read to its end, of a listing that the provider does not page. Where there is no
    /// count, this is the evidence.
    pub ended: bool,
    /// Whether the rows came in several pages that are counted by offset: where somebody leaves and
    /// another joins between two of them, one who stays is passed over, and no count shows it. Such
    /// a listing is read once more before anybody who is missing from it is taken out or added.
    pub by_offset: bool,
    /// Whether the opt-outs of the group were read to their end.
    pub opt_outs_complete: bool,
    /// The records that can't be read, one sentence each that names it by its id: they alone are
    /// left out. They are counted as read; who is not in the listing may be one of them.
    pub left_out: Vec<String>,
    /// What went wrong, one sentence each; anything here makes the listing incomplete.
    pub problems: Vec<String>,
}

impl Certificate {
    /// The evidence of something that was read to its end where nothing is counted.
    pub fn of_the_end() -> Certificate {
        Certificate {
            ended: true,
            ..Certificate::default()
        }
    }

    /// Says what speaks against the listing's being whole, one sentence each. That nothing does is
    /// no evidence yet.
    pub fn contradictions(&self) -> Vec<String> {
        let mut why = self.problems.clone();
        if let Some(total) = self.total
            && total > self.distinct
        {
            why.push(format!(
                "the provider announced {total} rows and {} different ones came",
                self.distinct
            ));
        }
        why
    }

    /// Tells whether anything but the rows themselves shows that they are all.
    fn has_evidence(&self) -> bool {
        self.ended
            || self.total.is_some()
            || match self.group_total {
                CountRule::None => false,
                // A count that lags behind says nothing of the rows beyond it.
                CountRule::AtMostRows(count) => count == self.distinct,
                CountRule::OneOfMeanings(_) | CountRule::Grew { .. } => true,
            }
    }

    /// Judges the evidence and wraps the value accordingly: complete is what has evidence and no
    /// contradiction, never what merely drew no complaint.
    ///
    /// `meanings` are the candidates remembered for the account; a listing that agrees narrows
    /// them.
    pub fn certify<T>(&self, value: T, meanings: &mut BTreeSet<TotalMeanings>) -> Reading<T> {
        let mut why = self.contradictions();
        why.extend(self.left_out.iter().cloned());
        if why.is_empty() && !self.has_evidence() {
            why.push(
                "nothing shows that this is all: no count came from another place than the rows"
                    .to_owned(),
            );
        }
        if why.is_empty() {
            match self.group_total {
                CountRule::None => {}
                CountRule::Grew { before, after } => {
                    let fits = meanings
                        .iter()
                        .any(|meaning| (before..=after).contains(&self.count_under(*meaning)));
                    if !fits {
                        why.push(format!(
                            "the group counts {before} to {after} members, and {} were read ({} opted out, {} bounced)",
                            self.distinct, self.opted_out, self.bounced
                        ));
                    }
                }
                CountRule::AtMostRows(count) if count <= self.distinct => {}
                CountRule::AtMostRows(count) => {
                    why.push(format!(
                        "the group counts {count} members and only {} can be seen",
                        self.distinct
                    ));
                }
                CountRule::OneOfMeanings(count) => {
                    let agreeing: BTreeSet<TotalMeanings> = meanings
                        .iter()
                        .copied()
                        .filter(|meaning| self.count_under(*meaning) == count)
                        .collect();
                    if agreeing.is_empty() {
                        why.push(format!(
                            "the group counts {count} members, and {} were read ({} opted out, {} bounced)",
                            self.distinct, self.opted_out, self.bounced
                        ));
                    } else {
                        *meanings = agreeing;
                    }
                }
            }
        }
        if why.is_empty() {
            Reading::Complete(Complete(value))
        } else {
            Reading::Incomplete(Incomplete {
                partial: value,
                why,
                opt_outs_complete: self.opt_outs_complete,
            })
        }
    }

    /// Tells whether the count can be held against the rows, and returns it.
    fn comparable_count(&self) -> Option<u64> {
        match self.group_total {
            CountRule::OneOfMeanings(count)
                if self.problems.is_empty()
                    && self.total.is_none_or(|total| total <= self.distinct) =>
            {
                Some(count)
            }
            _ => None,
        }
    }

    fn count_under(&self, meaning: TotalMeanings) -> u64 {
        match meaning {
            TotalMeanings::AllRows => self.distinct,
            TotalMeanings::AllButOptedOut => self.distinct - self.opted_out.min(self.distinct),
            TotalMeanings::AllButBounced => self.distinct - self.bounced.min(self.distinct),
        }
    }
}

/// Decides which meanings of a provider's count stay possible after a reading of several listings.
///
/// One count may be wrong and agree with a meaning by chance, so it takes two listings of one
/// reading to rule a meaning out for good, and none is ruled out by a reading in which a count fits
/// nothing that was known. Where the counts of two listings or more contradict what is known and
/// all of them have another meaning in common, what is known was wrong or the provider has changed:
/// every meaning is possible again. The listings of that reading stay incomplete, so that it takes
/// a second reading to act on.
pub(super) fn meanings_after<'a>(
    known: &BTreeSet<TotalMeanings>,
    listings: impl IntoIterator<Item = &'a Certificate>,
) -> BTreeSet<TotalMeanings> {
    let mut comparable: Vec<(&Certificate, u64)> = Vec::new();
    for listing in listings {
        match (listing.comparable_count(), listing.group_total) {
            (Some(count), _) => comparable.push((listing, count)),
            // A listing that is not whole in itself leaves the others as doubtful as it is.
            (None, CountRule::OneOfMeanings(_)) => return known.clone(),
            (None, _) => {}
        }
    }
    let against = |meaning: TotalMeanings| {
        comparable
            .iter()
            .filter(|(listing, count)| listing.count_under(meaning) != *count)
            .count()
    };
    if known.iter().any(|meaning| against(*meaning) == 0) {
        return known
            .iter()
            .copied()
            .filter(|meaning| against(*meaning) < 2)
            .collect();
    }
    let contradicted = known.iter().all(|meaning| against(*meaning) >= 2);
    if contradicted
        && TotalMeanings::all()
            .into_iter()
            .any(|meaning| against(meaning) == 0)
    {
        return TotalMeanings::all();
    }
    known.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(distinct: u64, opted_out: u64, bounced: u64, rule: CountRule) -> Certificate {
        Certificate {
            pages: 1,
            rows: distinct,
            distinct,
            opted_out,
            bounced,
            total: Some(distinct),
            group_total: rule,
            ended: false,
            by_offset: false,
            opt_outs_complete: true,
            left_out: vec![],
            problems: vec![],
        }
    }

    #[test]
    fn a_count_that_disagrees_is_incomplete() {
        let mut meanings = TotalMeanings::all();
        let certificate = Certificate {
            total: Some(3),
            distinct: 2,
            ..Certificate::default()
        };
        assert!(certificate.certify((), &mut meanings).complete().is_none());
        assert!(
            read(2, 0, 0, CountRule::AtMostRows(3))
                .certify((), &mut meanings)
                .complete()
                .is_none()
        );
        assert!(
            read(3, 0, 0, CountRule::AtMostRows(2))
                .certify((), &mut meanings)
                .complete()
                .is_some(),
            "a counter may lag"
        );
    }

    #[test]
    fn nothing_is_whole_for_want_of_complaints() {
        let all = &mut TotalMeanings::all();
        let bare = Certificate {
            pages: 3,
            rows: 41,
            distinct: 41,
            opt_outs_complete: true,
            ..Certificate::default()
        };
        let Reading::Incomplete(incomplete) = bare.certify((), all) else {
            panic!("a listing that nothing vouches for counts as whole")
        };
        assert!(incomplete.opt_outs_complete, "additions may be made of it");
        let lagging = Certificate {
            group_total: CountRule::AtMostRows(40),
            ..bare.clone()
        };
        assert!(lagging.certify((), all).complete().is_none());
        for evidence in [
            Certificate {
                ended: true,
                ..bare.clone()
            },
            Certificate {
                total: Some(41),
                ..bare.clone()
            },
            Certificate {
                group_total: CountRule::AtMostRows(41),
                ..bare.clone()
            },
        ] {
            assert!(
                evidence.certify((), all).complete().is_some(),
                "{evidence:?}"
            );
        }
    }

    #[test]
    fn growth_is_no_loss_and_a_loss_is_no_growth() {
        let all = &mut TotalMeanings::all();
        let of = |total, distinct| Certificate {
            total: Some(total),
            distinct,
            ..Certificate::default()
        };
        assert!(of(10, 12).certify((), all).complete().is_some());
        assert!(of(12, 10).certify((), all).complete().is_none());
        let grew = |before, after| read(10, 2, 0, CountRule::Grew { before, after });
        assert!(grew(9, 11).certify((), all).complete().is_some());
        assert!(
            grew(7, 8).certify((), all).complete().is_some(),
            "all but refusals"
        );
        assert!(grew(11, 13).certify((), all).complete().is_none());
        assert_eq!(
            *all,
            TotalMeanings::all(),
            "nothing is concluded of the meaning"
        );
    }

    #[test]
    fn each_listing_narrows_what_the_count_means() {
        let mut meanings = TotalMeanings::all();
        assert!(
            read(10, 2, 0, CountRule::OneOfMeanings(8))
                .certify((), &mut meanings)
                .complete()
                .is_some()
        );
        assert_eq!(meanings, BTreeSet::from([TotalMeanings::AllButOptedOut]));
        assert!(
            read(10, 2, 2, CountRule::OneOfMeanings(10))
                .certify((), &mut meanings)
                .complete()
                .is_none(),
            "all rows was ruled out"
        );
        assert_eq!(
            meanings,
            BTreeSet::from([TotalMeanings::AllButOptedOut]),
            "a listing that disagrees narrows nothing"
        );
    }

    const BUT_REFUSALS: [TotalMeanings; 1] = [TotalMeanings::AllButOptedOut];

    fn after(known: &[TotalMeanings], listings: &[Certificate]) -> Vec<TotalMeanings> {
        meanings_after(&known.iter().copied().collect(), listings)
            .into_iter()
            .collect()
    }

    #[test]
    fn it_takes_two_listings_to_rule_a_meaning_out_for_good() {
        let all: Vec<TotalMeanings> = TotalMeanings::all().into_iter().collect();
        // All rows is what this account counts, and one count is wrong and looks like another
        // meaning.
        let (wrong, right) = (
            read(10, 2, 1, CountRule::OneOfMeanings(8)),
            read(10, 2, 1, CountRule::OneOfMeanings(10)),
        );
        assert_eq!(
            after(&all, std::slice::from_ref(&wrong)),
            all,
            "one listing may agree by chance"
        );
        let silent = read(5, 0, 0, CountRule::OneOfMeanings(5));
        assert_eq!(
            after(&all, &[wrong.clone(), silent]),
            all,
            "a listing under which all meanings are alike is no second witness"
        );
        assert_eq!(
            after(&all, &[wrong.clone(), right.clone()]),
            all,
            "listings that contradict each other decide nothing"
        );
        assert_eq!(after(&all, &[wrong.clone(), wrong.clone()]), BUT_REFUSALS);
        assert_eq!(
            after(&BUT_REFUSALS, &[right]),
            BUT_REFUSALS,
            "one listing overturns nothing"
        );
    }

    #[test]
    fn a_whole_reading_that_contradicts_what_is_known_opens_the_question_again() {
        let all: Vec<TotalMeanings> = TotalMeanings::all().into_iter().collect();
        let right = read(10, 2, 1, CountRule::OneOfMeanings(10));
        assert_eq!(after(&BUT_REFUSALS, &[right.clone(), right.clone()]), all);
        let cut_short = Certificate {
            problems: vec!["a page failed".into()],
            ..right.clone()
        };
        assert_eq!(
            after(&BUT_REFUSALS, &[right.clone(), right.clone(), cut_short]),
            BUT_REFUSALS
        );
        let unexplained = read(10, 2, 1, CountRule::OneOfMeanings(7));
        assert_eq!(
            after(&BUT_REFUSALS, &[right.clone(), right, unexplained]),
            BUT_REFUSALS
        );
    }

    #[test]
    fn a_problem_is_never_outweighed_by_counts() {
        let certificate = Certificate {
            problems: vec!["a page failed".into()],
            ..read(1, 0, 0, CountRule::None)
        };
        let reading = certificate.certify((), &mut TotalMeanings::all());
        assert_eq!(reading.why_incomplete(), ["a page failed"]);
    }
}
