//! Which people and groups of a plan somebody means by an address, a name or an id.

use super::RunError;
use super::accounts::{Access, Runner, unless_stopped};
use super::prepare::{Asks, Planned, Prepared};
use crate::config::settled::JobConfig;
use crate::model::normalise_address;
use crate::plan::{PairIx, PersonIx, fold_group_name};

/// What one word means in a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meant {
    /// The word, an address as it is kept: an address, `#` and an id at the source, `##` and one at the target, or else a
    /// group's name or id at either side.
    pub asked: String,
    /// The people whom it means.
    pub people: Vec<PersonIx>,
    /// The pairs of groups that it means; of one name there can be several.
    pub pairs: Vec<PairIx>,
    /// Whether either account shows a group that it means, be that in the plan or not.
    pub is_shown: bool,
}

/// Tells whether a word means a person, and no group.
pub(super) fn is_person(word: &str) -> bool {
    word.contains('@') || word.starts_with('#')
}

impl Meant {
    /// Tells whether the word means a person, and no group.
    pub fn is_person(&self) -> bool {
        is_person(&self.asked)
    }
}

impl Runner {
    /// Reads both sides and makes the plan, and finds who and what is meant by words in it; writes to
    /// no provider.
    pub async fn plan_about(
        &self,
        job: &str,
        words: &[String],
    ) -> Result<(Planned, Vec<Meant>), RunError> {
        let job = self.job(job)?;
        let prepared = self.prepare_to_show(job).await?;
        let meant = words.iter().map(|word| prepared.meant(word)).collect();
        Ok((prepared.planned, meant))
    }

    async fn prepare_to_show(&self, job: &JobConfig) -> Result<Prepared, RunError> {
        let _held = self.hold(job, Access::Read).await?;
        self.refuse_one_account(job)?;
        let mut prepared =
            unless_stopped(&self.inner.options.stop, self.prepare(job, Asks::SHOWN)).await?;
        self.offer_approval(job, &mut prepared.planned.plan)?;
        self.inner.options.progress.finish(&job.name);
        Ok(prepared)
    }
}

impl Prepared {
    pub(super) fn meant(&self, word: &str) -> Meant {
        if is_person(word) {
            let address = normalise_address(word);
            return Meant {
                asked: address
                    .map_or_else(|_| word.to_owned(), |address| address.as_str().to_owned()),
                people: self.find_people(word),
                pairs: Vec::new(),
                is_shown: false,
            };
        }
        let groups = [&self.sides.source, &self.sides.target].into_iter();
        let mut groups = groups.flat_map(|side| side.groups.seen());
        Meant {
            asked: word.to_owned(),
            people: Vec::new(),
            pairs: self.find_pairs(word),
            is_shown: groups.any(|group| is_named(word, Some(&group.id), &group.name)),
        }
    }

    /// Finds the pairs of groups that are meant by a name or an id at either side.
    pub(super) fn find_pairs(&self, what: &str) -> Vec<PairIx> {
        let plan = &self.planned.plan;
        let pairs = plan.pairs.iter().zip(0..);
        let meant = pairs.filter(|(pair, _)| {
            let target = pair.target.as_deref();
            let there = target.and_then(|id| self.sides.target.group(id));
            let names = [
                Some(pair.name.as_str()),
                Some(pair.source_name.as_str()),
                there.map(|group| group.name.as_str()),
            ];
            is_named(what, pair.source.as_deref(), "")
                || is_named(what, target, "")
                || names
                    .into_iter()
                    .flatten()
                    .any(|name| is_named(what, None, name))
        });
        meant.map(|(_, at)| PairIx(at)).collect()
    }
}

/// Tells whether a word means a group of this id and this name.
pub(super) fn is_named(word: &str, id: Option<&str>, name: &str) -> bool {
    id == Some(word) || (!name.is_empty() && fold_group_name(name) == fold_group_name(word))
}
