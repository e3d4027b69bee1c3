//! What a job is allowed to do, in the words of the config.

use std::collections::BTreeMap;

/// What a job may do at its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Adds and removes nothing.
    Add,
    /// Removes what this job brought and the source lost.
    Managed,
    /// Removes everything that the source lacks.
    Mirror,
}

impl Mode {
    /// Returns the word of the config.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Add => "add",
            Mode::Managed => "managed",
            Mode::Mirror => "mirror",
        }
    }
}

/// How a group without a link finds its partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adopt {
    /// By its name.
    ByName,
    /// Not at all.
    Never,
}

/// What to do with dynamic groups of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dynamic {
    /// Leave them out.
    Skip,
    /// Copy today's members into a static group.
    Snapshot,
}

/// What to do with a linked target group whose source is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Nothing.
    Keep,
    /// Archive it.
    Archive,
    /// Delete it.
    Delete,
}

/// Whether opt-outs of the source are written at the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptOuts {
    /// They are.
    Carry,
    /// They only bar additions.
    Skip,
}

/// How people leave a group at a provider where leaving is recorded as a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// By a membership that shows as refused, which rosterd remembers as its own doing.
    Unsubscribe,
    /// Without a trace; from the last group of a person by a membership that shows as refused.
    Detach,
}

/// What to do with a mapped field, or a membership, that somebody changed at the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDrift {
    /// Write the source's value again.
    Overwrite,
    /// Leave it as it is.
    Keep,
    /// Refuse the whole plan.
    Stop,
}

impl OnDrift {
    /// Returns the word of the config.
    pub fn as_str(self) -> &'static str {
        match self {
            OnDrift::Overwrite => "overwrite",
            OnDrift::Keep => "keep",
            OnDrift::Stop => "stop",
        }
    }
}

/// A limit of a guard: a share, a count, or both (either trips).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limit {
    /// The share that is still allowed, 0.1 for "10%".
    pub share: Option<f64>,
    /// The number that is still allowed.
    pub count: Option<u64>,
}

/// The guards of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Guards {
    /// Memberships removed over all groups.
    pub max_membership_removals: Limit,
    /// Memberships removed in one group.
    pub max_membership_removals_per_group: Limit,
    /// Groups archived and deleted.
    pub max_group_removals: Limit,
    /// People created.
    pub max_member_creations: Limit,
    /// People and groups changed.
    pub max_updates: Limit,
    /// Opt-outs written; not judged in a first run, nor in the rest of one that was interrupted early.
    pub max_opt_outs: Limit,
    /// A share is judged only when at least so many items would be affected.
    pub floor: u64,
    /// What somebody's change at the target does.
    pub on_drift: OnDrift,
}

/// Which groups a job covers, and how they find each other.
#[derive(Clone, Debug)]
pub struct GroupScope {
    /// Patterns of names, or `id:…`.
    pub include: Vec<String>,
    /// The same, taken out again.
    pub exclude: Vec<String>,
    /// How a group without a link finds its partner.
    pub adopt: Adopt,
    /// Pairs settled by hand: source id to target id.
    pub pin: BTreeMap<String, String>,
    /// Whether groups created here are flagged as protected.
    pub protect: bool,
    /// What to do with dynamic groups.
    pub dynamic: Dynamic,
    /// What to do when a source group is gone.
    pub missing: Missing,
}

impl GroupScope {
    /// Tells whether a source group is covered. Built-in groups are covered only when named by id.
    pub fn covers(&self, id: &str, name: &str, built_in: bool) -> bool {
        let matches = |pattern: &String, by_name: bool| match pattern.strip_prefix("id:") {
            Some(wanted) => wanted.trim() == id,
            None => by_name && wildcard_matches(pattern, name),
        };
        self.include
            .iter()
            .any(|pattern| matches(pattern, !built_in))
            && !self.exclude.iter().any(|pattern| matches(pattern, true))
    }
}

impl GroupScope {
    /// Tells whether a source group may be covered whose name can't be read.
    pub fn may_cover(&self, id: &str) -> bool {
        let by_id = |pattern: &String| {
            pattern
                .strip_prefix("id:")
                .map(|wanted| wanted.trim() == id)
        };
        self.include
            .iter()
            .any(|pattern| by_id(pattern).unwrap_or(true))
            && !self
                .exclude
                .iter()
                .any(|pattern| by_id(pattern).unwrap_or(pattern.trim() == "*"))
    }

    /// Lists the patterns of `include` that cover none of these groups, each of which is an id, a
    /// name, and whether it is built in. The pattern for all groups asks for none in particular.
    pub fn unmatched<'a>(&self, groups: &[(&'a str, &'a str, bool)]) -> Vec<&str> {
        let alone = |pattern: &String| GroupScope {
            include: vec![pattern.clone()],
            exclude: Vec::new(),
            ..self.clone()
        };
        let patterns = self.include.iter().filter(|pattern| pattern.trim() != "*");
        patterns
            .filter(|pattern| {
                let scope = alone(pattern);
                !groups
                    .iter()
                    .any(|(id, name, built_in)| scope.covers(id, name, *built_in))
            })
            .map(String::as_str)
            .collect()
    }
}

/// Matches a name against a pattern with `*` and `?`, ignoring case.
pub fn wildcard_matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.to_lowercase().chars().collect();
    let name: Vec<char> = name.trim().to_lowercase().chars().collect();
    let (mut at, mut in_name, mut star, mut resume) = (0, 0, None, 0);
    while in_name < name.len() {
        if at < pattern.len() && pattern[at] == '*' {
            star = Some(at);
            resume = in_name;
            at += 1;
        } else if at < pattern.len() && (pattern[at] == '?' || pattern[at] == name[in_name]) {
            at += 1;
            in_name += 1;
        } else if let Some(star) = star {
            at = star + 1;
            resume += 1;
            in_name = resume;
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

/// What a job does about people.
#[derive(Clone, Debug)]
pub struct MemberPolicy {
    /// An expression: who counts as a member.
    pub r#where: Option<String>,
    /// Whether people may be created at the target.
    pub create: bool,
    /// Whether mapped profile fields of existing people may change.
    pub update: bool,
    /// Whether opt-outs are written at the target.
    pub opt_outs: OptOuts,
    /// Whether login users are created who do not exist; for targets whose members log in.
    pub create_users: bool,
    /// How people leave a group where leaving is recorded as a refusal.
    pub removal: Removal,
    /// Whether somebody may come back whom rosterd itself removed in a way that shows as a refusal.
    pub readd: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_take_stars_marks_and_ids() {
        for (pattern, name, expected) in [
            ("*", "anything", true),
            ("Test *", "test groups", true),
            ("Test *", "Tests", false),
            ("*-????", "Donors-2024", true),
            ("***2025*", "***2025 Sales", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXbY", false),
            ("", "", true),
        ] {
            assert_eq!(
                wildcard_matches(pattern, name),
                expected,
                "{pattern} on {name}"
            );
        }
    }
}
