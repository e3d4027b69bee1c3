//! Which target group stands for a source group: by a pin or a link, by its mark, by its name.

use std::collections::BTreeMap;

use unicode_normalization::UnicodeNormalization;

use super::{Found, Partner, Planner, fold, unread_of};
use crate::model::policy::Adopt;
use crate::model::{Group, ObjectKind, Unread, Value};
use crate::plan::{BlockedReason, DesiredGroup};

/// Reduces a text to what stays readable of it in any encoding, so that one that can't be read can
/// be held against one that can.
fn skeleton(text: &str) -> String {
    let letters = text.nfc().filter(char::is_ascii_alphanumeric);
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Lets only those partners pass of which enough is known: whether joining one sends mail shows only
/// on a look at it, and only a linked one needs no fields to be recognised by.
pub(super) fn readable(partner: Partner<'_>) -> Result<Partner<'_>, (BlockedReason, String)> {
    match &partner {
        Partner::Existing { group, link } => match group.unread {
            Some(unread) if unread == Unread::Details || link.is_none() => Err((
                BlockedReason::IncompleteRead,
                unread_of("target", group, unread),
            )),
            _ => Ok(partner),
        },
        Partner::New => Ok(partner),
    }
}

impl<'a> Planner<'a> {
    pub(super) fn partner(
        &self,
        group: &Group,
        desired: Option<&DesiredGroup>,
    ) -> Result<Partner<'a>, (BlockedReason, String)> {
        let inputs = self.inputs;
        let link = inputs.base.group_of_source(&group.id);
        let pinned = inputs.policy.groups.pin.get(&group.id);
        if let Some(id) = pinned
            .map(String::as_str)
            .or(link.map(|link| link.target.as_str()))
        {
            let link = link.filter(|link| link.target == id);
            return match inputs.target.group(id) {
                Some(target) => Ok(Partner::Existing {
                    group: target,
                    link,
                }),
                None if inputs.target.groups.complete().is_none()
                    || inputs.target.unsure_groups.contains(id)
                    || inputs.policy.target_shared =>
                {
                    Err((
                        BlockedReason::IncompleteRead,
                        format!(
                            "the target group {id} can't be seen, and nobody can tell whether it is gone"
                        ),
                    ))
                }
                None => Err((
                    BlockedReason::GoneAtTarget,
                    format!("the target group {id} no longer exists"),
                )),
            };
        }
        if let Some(unread) = group.unread {
            return Err((
                BlockedReason::IncompleteRead,
                unread_of("source", group, unread),
            ));
        }
        if let Some(problem) = desired.and_then(|desired| desired.name_problem.as_ref()) {
            return Err((BlockedReason::ValueRefused, problem.clone()));
        }
        if self.inputs.target.groups.complete().is_none() {
            return Err((
                BlockedReason::IncompleteRead,
                format!(
                    "the list of target groups is not whole: {}",
                    self.inputs.target.groups.why_incomplete().join("; ")
                ),
            ));
        }
        let external_field = inputs
            .target_schema
            .by_canonical(ObjectKind::Group, "external_id")
            .map(|spec| spec.wire);
        let external_id = external_field
            .and_then(|field| desired?.fields.get(field))
            .map(Value::to_string);
        if let Some(candidates) = external_id
            .as_ref()
            .and_then(|id| self.by_external_id.get(id))
        {
            let free: Vec<&&Group> = candidates
                .iter()
                .filter(|group| !self.linked_targets.contains(group.id.as_str()))
                .collect();
            match free.as_slice() {
                [] => {}
                [only] => {
                    return Ok(Partner::Existing {
                        group: only,
                        link: None,
                    });
                }
                several => {
                    let ids: Vec<&str> = several.iter().map(|group| group.id.as_str()).collect();
                    return Err((
                        BlockedReason::TwoCandidates,
                        format!(
                            "the target groups {} carry its external id",
                            ids.join(" and ")
                        ),
                    ));
                }
            }
        }
        let name = self.desired_name(group, desired);
        if let Some(why) = self.may_be_there(&name, external_id.as_deref()) {
            return Err((BlockedReason::IncompleteRead, why));
        }
        let same_name = self
            .by_name
            .get(&fold(&name))
            .map_or(&[][..], Vec::as_slice);
        let free: Vec<&&'a Group> = same_name
            .iter()
            .filter(|group| !self.linked_targets.contains(group.id.as_str()))
            .collect();
        match free.as_slice() {
            [] if self.may_be_hidden() => Err((
                BlockedReason::IncompleteRead,
                format!(
                    "no group \"{name}\" is seen at {:?}, but its login sees only a part of the account, and the provider would make a second one; use a login that sees everything, or make the group there by hand and pin it",
                    inputs.policy.target
                ),
            )),
            [] => Ok(Partner::New),
            [only] if inputs.policy.groups.adopt == Adopt::ByName => Ok(Partner::Existing {
                group: only,
                link: None,
            }),
            [only] => Err((
                BlockedReason::NameTaken,
                format!(
                    "the target group {} has the name already, and `adopt = \"never\"` keeps rosterd from taking it over",
                    only.id
                ),
            )),
            several => {
                let ids: Vec<&str> = several.iter().map(|group| group.id.as_str()).collect();
                Err((
                    BlockedReason::TwoCandidates,
                    format!("the target groups {} have the same name", ids.join(" and ")),
                ))
            }
        }
    }

    /// Tells whether a group may be at the target that the login does not see, and that the provider
    /// would not keep anybody from making again.
    fn may_be_hidden(&self) -> bool {
        let schema = self.inputs.target_schema;
        let name = schema.by_canonical(ObjectKind::Group, "name");
        self.inputs.policy.target_shared && !name.is_some_and(|field| field.unique)
    }

    /// Looks for a group at the target that may be the one that is wanted, but can't be read well
    /// enough to tell: a second one of its kind could not be undone, and one that only has the name
    /// may be somebody else's.
    fn may_be_there(&self, name: &str, external_id: Option<&str>) -> Option<String> {
        let group = self.hidden.iter().find(|group| {
            let has_name = group.unread.is_some_and(Unread::hides_name)
                && (group.name.is_empty() || skeleton(&group.name) == skeleton(name));
            let shown_id = group.canonical.get("external_id").and_then(Value::as_text);
            let mut ids = shown_id.zip(external_id).into_iter();
            let has_id = ids.any(|(shown, wanted)| skeleton(shown) == skeleton(wanted));
            !self.linked_targets.contains(group.id.as_str()) && (has_name || has_id)
        })?;
        Some(format!(
            "{}, and may be this group",
            unread_of("target", group, group.unread?)
        ))
    }

    /// Blocks all source groups that found the same partner, or would create the same name: one of
    /// them would win by chance.
    pub(super) fn refuse_shared_partners(&self, found: &mut [Found<'_, 'a>]) {
        let mut claims: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, (group, desired, partner)) in found.iter().enumerate() {
            let claim = match partner {
                Ok(Partner::Existing { group: target, .. }) => format!("id {}", target.id),
                Ok(Partner::New) => format!("name {}", fold(&self.desired_name(group, *desired))),
                Err(_) => continue,
            };
            claims.entry(claim).or_default().push(at);
        }
        for rivals in claims.values().filter(|rivals| rivals.len() > 1) {
            // A linked pair is settled; only those who would join it now are refused.
            let settled =
                |at: &usize| matches!(&found[*at].2, Ok(Partner::Existing { link: Some(_), .. }));
            let keep: Vec<usize> = rivals.iter().copied().filter(settled).collect();
            let ids: Vec<String> = rivals.iter().map(|at| found[*at].0.id.clone()).collect();
            for at in rivals {
                if keep.len() == 1 && keep[0] == *at {
                    continue;
                }
                found[*at].2 = Err((
                    BlockedReason::TwoCandidates,
                    format!(
                        "the source groups {} would be the same group at the target",
                        ids.join(" and ")
                    ),
                ));
            }
        }
    }
}
