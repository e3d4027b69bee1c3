//! What becomes of target groups whose source left the scope, or is gone.

use std::collections::HashSet;

use super::{Planner, unread_of};
use crate::model::in_quotes;
use crate::model::policy::Missing;
use crate::model::{Group, GroupStatus, Reading};
use crate::plan::base::GroupLink;
use crate::plan::{BlockedReason, Edit, GroupPair, PairIx, Reason, Withheld};

impl Planner<'_> {
    /// Freezes pairs whose source left the scope, and treats those whose source is gone as the
    /// config says.
    pub(super) fn left_behind(&mut self, source_groups: &[&Group], covered: &[&Group]) {
        let inputs = self.inputs;
        let present: HashSet<&str> = source_groups
            .iter()
            .map(|group| group.id.as_str())
            .collect();
        let active: HashSet<&str> = covered.iter().map(|group| group.id.as_str()).collect();
        let trustworthy = inputs.source.groups.complete().is_some() && !inputs.policy.source_shared;
        let mut links: Vec<&GroupLink> = inputs
            .base
            .groups
            .iter()
            .filter(|link| !active.contains(link.source.as_str()))
            .collect();
        links.sort_by(|left, right| left.source.cmp(&right.source));
        for link in links {
            let target = inputs.target.group(&link.target);
            let name = target.map_or_else(|| link.name.clone(), |group| group.name.clone());
            let pair = PairIx(self.out.pairs.len() as u32);
            self.out.pairs.push(GroupPair {
                source: present
                    .contains(link.source.as_str())
                    .then(|| link.source.clone()),
                target: Some(link.target.clone()),
                name: name.clone(),
                source_name: link.name.clone(),
                linked: true,
                writable: false,
            });
            if present.contains(link.source.as_str()) {
                continue;
            }
            // The config or a hand gave the group to another source group, which fills it from now
            // on.
            let pins = &inputs.policy.groups.pin;
            let pinned = pins
                .iter()
                .any(|(source, target)| *target == link.target && *source != link.source);
            let taken = self.out.pairs[..pair.0 as usize]
                .iter()
                .any(|other| other.source.is_some() && other.target.as_ref() == Some(&link.target));
            if pinned || taken {
                self.out.warnings.push(format!(
                    "The source group of {} is gone; another one of this job fills the group, so it is kept.", in_quotes(&name)
                ));
                continue;
            }
            if !trustworthy {
                self.out.warnings.push(format!(
                    "The source group of {} can't be seen; nothing is concluded from that.",
                    in_quotes(&name)
                ));
                continue;
            }
            let Some(target) = target else { continue };
            // The group that takes whoever leaves another one outlives every source.
            let is_parking = inputs.policy.parking_group.as_deref() == Some(link.target.as_str());
            let missing = if is_parking {
                Missing::Keep
            } else {
                inputs.policy.groups.missing
            };
            // Whoever put it away wants to keep it.
            if missing == Missing::Delete && target.status == GroupStatus::Archived {
                self.out.warnings.push(format!(
                    "The source group of {} is gone; the group is archived at the target, so it is kept. Delete it there if nobody needs it.", in_quotes(&name)
                ));
                continue;
            }
            if missing == Missing::Keep {
                self.out.warnings.push(format!(
                    "The source group of {} is gone; the group is kept with its members.",
                    in_quotes(&name)
                ));
                continue;
            }
            if let Some(unread) = target.unread {
                // Whether it is protected may be what can't be seen.
                let detail = unread_of("target", target, unread);
                self.block(
                    &name,
                    Some(&link.target),
                    BlockedReason::IncompleteRead,
                    detail,
                );
                continue;
            }
            if target.protected && !link.protect_set {
                self.out.withheld.push(Withheld {
                    pair,
                    member: None,
                    reason: Reason::Protected,
                });
                continue;
            }
            if inputs.base.groups_of_others.contains(&link.target) {
                self.out.warnings.push(format!(
                    "The source group of {} is gone; another job fills the group, so it is kept.",
                    in_quotes(&name)
                ));
                continue;
            }
            let op = if missing == Missing::Archive {
                "archive_group"
            } else {
                "delete_group"
            };
            if let Some(resting) = self.rests(op, &link.target) {
                let what = "what the config asks for was refused";
                self.rest(&name, &link.target, what, &resting);
                continue;
            }
            let listing = inputs.target.listing(&link.target);
            let listing = listing.filter(|_| missing == Missing::Delete);
            if let Some(Reading::Incomplete(_)) = listing {
                let why = listing.map(|listing| listing.why_incomplete().join("; "));
                let detail = format!(
                    "who would go with the group is not known to the end: {}",
                    why.unwrap_or_default()
                );
                self.block(
                    &name,
                    Some(&link.target),
                    BlockedReason::IncompleteRead,
                    detail,
                );
                continue;
            }
            let lift_protection = target.protected;
            match missing {
                Missing::Archive if target.status == GroupStatus::Archived => {}
                Missing::Archive => self.out.removals.push(Edit::ArchiveGroup {
                    pair,
                    lift_protection,
                }),
                Missing::Delete => self.out.removals.push(Edit::DeleteGroup {
                    pair,
                    lift_protection,
                }),
                Missing::Keep => {}
            }
        }
    }
}
