//! What it takes to sync people who log in: a group to park them in, and consent to mail them.

use super::{Settling, provider::Facts};
use crate::config::diagnostics::quoted;
use crate::config::raw::Section;
use crate::config::settled::{JobConfig, Missing, Mode, OptOuts};
use crate::model::ProviderKind::{self, ActiveCampaignLists, ActiveCampaignUsers};
use crate::provider::capabilities;

/// Tells whether a job turns people who log in into people who get mail, and its config does not
/// say that it may.
pub(in crate::config) fn lacks_users_as_contacts(
    job: &JobConfig,
    source: ProviderKind,
    target: ProviderKind,
) -> bool {
    source == ActiveCampaignUsers && target != ActiveCampaignUsers && !job.users_as_contacts
}

/// Says why a job may have to move users out of their groups; nothing where it never does.
pub(in crate::config) fn why_users_leave(
    job: &JobConfig,
    target: ProviderKind,
) -> Option<&'static str> {
    if !capabilities(target).one_group_per_member {
        return None;
    }
    match job.mode {
        Mode::Managed if job.groups.missing == Missing::Delete => {
            Some("people leave the source, and groups without a source are deleted")
        }
        Mode::Managed => Some("mode `managed` takes out who has left the source"),
        Mode::Mirror => Some("mode `mirror` takes out whom the source lacks"),
        Mode::Add if job.members.opt_outs == OptOuts::Carry => {
            Some("a refusal of mail, which a user group can't hold, ends the membership")
        }
        Mode::Add => None,
    }
}

/// Checks what a job asks of user groups.
pub(super) fn check(
    settling: &mut Settling<'_>,
    section: &Section,
    job: &JobConfig,
    source: &Facts,
    target: &Facts,
) {
    let (Some(source_kind), Some(target_kind)) = (source.kind, target.kind) else {
        return;
    };
    if lacks_users_as_contacts(job, source_kind, target_kind) {
        let message = format!(
            "`{}` would turn people who log in to {} into contacts at {}, who get mail.",
            section.path,
            quoted(&job.source),
            quoted(&job.target)
        );
        let hint = "if staff shall be mailed, add `users_as_contacts = true` to the job";
        settling
            .sink
            .error(&section.span_of("source"), message, Some(hint.to_owned()));
    }
    if let Some(why) = why_users_leave(job, target_kind)
        && target.parking_group.is_none()
    {
        let message = format!(
            "`{}` may have to move users out of their groups ({why}), and `providers.{}.parking_group` does not say where to.",
            section.path, job.target
        );
        let otherwise = if job.mode == Mode::Add {
            "; or write `opt_outs = \"skip\"` under `members`"
        } else {
            ""
        };
        let hint = format!(
            "add `parking_group = \"ID\"` to [providers.{}], the id of an ordinary user group without rights{otherwise}",
            job.target
        );
        settling
            .sink
            .error(&section.span_of("target"), message, Some(hint));
    }
    if target_kind == ActiveCampaignUsers {
        periods_without_limits(settling, &section.table("map"));
    }
    parking_in_scope(settling, &section.table("groups"), source, target);
    if target_kind == ActiveCampaignLists
        && job.mode != Mode::Add
        && section.table("members").entry("removal").is_none()
    {
        let message = format!(
            "`{}` takes people off lists by an unsubscription, which ActiveCampaign shows like a refusal of their own; \
             rosterd remembers which ones it wrote.",
            section.path
        );
        let hint = "write `removal = \"unsubscribe\"` under `members` to confirm that, or \"detach\" to take the membership away without a trace";
        settling
            .sink
            .warn(&section.span_of("target"), message, Some(hint.to_owned()));
    }
}

/// The service takes the period of a limit together with the limit only.
fn periods_without_limits(settling: &mut Settling<'_>, map: &Section) {
    let lines = map.pairs("group");
    for (period, _) in lines {
        let Some(limit) = period.value.trim().strip_suffix("_type") else {
            continue;
        };
        if !lines.iter().any(|(name, _)| name.value.trim() == limit) {
            let message = format!(
                "`{}.group.{}` is not taken without its limit.",
                map.path,
                period.value.trim()
            );
            settling.sink.error(
                &period.span,
                message,
                Some(format!("add a line for `{limit}`, or leave this one out")),
            );
        }
    }
}

/// Whoever leaves a group ends in the parking group: were it in scope, leaving would be joining.
fn parking_in_scope(settling: &mut Settling<'_>, groups: &Section, source: &Facts, target: &Facts) {
    let hint = Some(
        "name another group: users are moved to the parking group when they leave theirs"
            .to_owned(),
    );
    for pattern in groups.texts("include") {
        let id = pattern
            .value
            .strip_prefix("id:")
            .map(|id| id.trim().to_owned());
        if id.is_some() && id == source.parking_group {
            let message = format!(
                "`{}.include` names the parking group of the source, which is never in scope.",
                groups.path
            );
            settling.sink.error(&pattern.span, message, hint.clone());
        }
    }
    for (from, to) in groups.pairs("pin") {
        for (side, parking, id) in [
            ("source", &source.parking_group, from),
            ("target", &target.parking_group, to),
        ] {
            if parking.as_deref() == Some(id.value.trim()) {
                let message = format!(
                    "`{}.pin` names the parking group of the {side}, which is never in scope.",
                    groups.path
                );
                settling.sink.error(&id.span, message, hint.clone());
            }
        }
    }
}
