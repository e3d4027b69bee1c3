//! Whether there can be a group name that several jobs cover.

use std::collections::{HashSet, VecDeque};

use crate::config::settled::GroupScope;

/// How many states the search looks at before it assumes the worst.
const PATIENCE: usize = 20_000;

/// The patterns on names of one job.
struct Scope {
    include: Vec<Vec<char>>,
    exclude: Vec<Vec<char>>,
}

/// Tells whether some name is covered by all scopes; ids are left out of account.
///
/// All patterns run side by side over every text there could be. Patterns beyond reason count as
/// overlapping.
pub(super) fn names_overlap(scopes: &[&GroupScope]) -> bool {
    let scopes: Vec<Scope> = scopes
        .iter()
        .map(|scope| Scope {
            include: patterns(&scope.include),
            exclude: patterns(&scope.exclude),
        })
        .collect();
    let all = || {
        scopes
            .iter()
            .flat_map(|scope| scope.include.iter().chain(&scope.exclude))
    };
    if all().any(|pattern| pattern.len() > 120) {
        return true;
    }
    let mut letters: Vec<char> = all()
        .flatten()
        .copied()
        .filter(|letter| !matches!(letter, '*' | '?'))
        .collect();
    // Stands for every letter that no pattern names.
    letters.push('\u{0}');
    letters.sort_unstable();
    letters.dedup();

    let start: Vec<u128> = all().map(|pattern| closure(pattern, 1)).collect();
    let mut seen = HashSet::from([start.clone()]);
    let mut queue = VecDeque::from([start]);
    while let Some(state) = queue.pop_front() {
        for letter in &letters {
            let next: Vec<u128> = all()
                .zip(&state)
                .map(|(pattern, places)| step(pattern, *places, *letter))
                .collect();
            if accepted(&scopes, &next) {
                return true;
            }
            if seen.len() > PATIENCE {
                return true;
            }
            if seen.insert(next.clone()) {
                queue.push_back(next);
            }
        }
    }
    false
}

fn patterns(list: &[String]) -> Vec<Vec<char>> {
    let by_name = list.iter().filter(|pattern| !pattern.starts_with("id:"));
    by_name
        .map(|pattern| pattern.trim().to_lowercase().chars().collect())
        .collect()
}

/// Adds the places that a star lets through without a letter.
fn closure(pattern: &[char], mut places: u128) -> u128 {
    for (at, letter) in pattern.iter().enumerate() {
        if *letter == '*' && places & (1 << at) != 0 {
            places |= 1 << (at + 1);
        }
    }
    places
}

fn step(pattern: &[char], places: u128, letter: char) -> u128 {
    let mut next = 0;
    for (at, wanted) in pattern.iter().enumerate() {
        if places & (1 << at) == 0 {
            continue;
        }
        match wanted {
            '*' => next |= 1 << at,
            '?' => next |= 1 << (at + 1),
            wanted if *wanted == letter => next |= 1 << (at + 1),
            _ => {}
        }
    }
    closure(pattern, next)
}

fn accepted(scopes: &[Scope], state: &[u128]) -> bool {
    let mut states = state.iter();
    scopes.iter().all(|scope| {
        let mut any = |patterns: &[Vec<char>]| {
            let mut hit = false;
            for (pattern, places) in patterns.iter().zip(states.by_ref().take(patterns.len())) {
                hit |= places & (1 << pattern.len()) != 0;
            }
            hit
        };
        let included = any(&scope.include);
        let excluded = any(&scope.exclude);
        included && !excluded
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::settled::{Adopt, Dynamic, Missing, wildcard_matches};
    use proptest::prelude::*;

    fn scope(include: &[&str], exclude: &[&str]) -> GroupScope {
        let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        GroupScope {
            include: own(include),
            exclude: own(exclude),
            adopt: Adopt::ByName,
            pin: BTreeMap::new(),
            protect: true,
            dynamic: Dynamic::Skip,
            missing: Missing::Keep,
        }
    }

    #[test]
    fn scopes_overlap_where_a_name_fits_all() {
        for (left, right, expected) in [
            ((&["*"][..], &[][..]), (&["*"][..], &[][..]), true),
            ((&["A*"], &[]), (&["*b"], &[]), true),
            ((&["A*"], &[]), (&["B*"], &[]), false),
            ((&["crm *"], &[]), (&["*"], &["CRM *"]), false),
            ((&["*"], &["Test *"]), (&["Test 1"], &[]), false),
            ((&["????"], &[]), (&["abc*"], &["abcd"]), true),
            ((&["id:4"], &[]), (&["*"], &[]), false),
        ] {
            assert_eq!(
                names_overlap(&[&scope(left.0, left.1), &scope(right.0, right.1)]),
                expected,
                "{left:?} {right:?}"
            );
        }
    }

    proptest! {
        #![proptest_config(crate::testing::cases(256))]

        #[test]
        fn a_common_name_is_never_missed(left in "[ab*?]{0,6}", right in "[ab*?]{0,6}", out in "[ab*?]{1,4}", name in "[abc]{1,6}") {
            if wildcard_matches(&left, &name) && wildcard_matches(&right, &name) && !wildcard_matches(&out, &name) {
                prop_assert!(names_overlap(&[&scope(&[&left], &[&out]), &scope(&[&right], &[])]));
            }
        }
    }
}
