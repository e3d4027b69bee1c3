//! Reads an account for its own sake, and not as one side of a job: its groups, or everything.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::groups::GroupsToWrite;
use super::members::read_members;
use crate::model::{
    Certificate, CustomFields, Group, GroupKind, GroupRow, Listing, ListingRow, MemberStatus,
    MembershipState, Names, OwnRemovals, ProviderKind, Reading, Snapshot, SnapshotBuilder,
    TotalMeanings, Unlisted, Unreadable, id_order, without_addresses,
};
use crate::provider::{self, MemberAsk, Role};
use crate::run::accounts::{Handle, Runner, unless_stopped};
use crate::run::error::{RunError, staging_error};
use crate::state::Staging;

/// So many people of whom something could not be read are named one by one.
const MOST_NAMED: usize = 100;

/// The groups of an account, as its login shows them.
#[derive(Clone, Debug)]
pub struct AccountGroups {
    /// The configured name of the provider.
    pub provider: String,
    /// Its kind.
    pub kind: ProviderKind,
    /// The groups, in ascending order of the id.
    pub groups: Vec<Group>,
    /// Why there may be others, one sentence each; empty where these are all.
    pub doubts: Vec<String>,
    /// By the group's id, the pairs that jobs have made of it.
    pub links: BTreeMap<String, Vec<LinkedBy>>,
}

/// That a job links a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkedBy {
    /// The job.
    pub job: String,
    /// Whether the group is the target of the pair, and not the source.
    pub is_target: bool,
    /// The id of the other group of the pair.
    pub partner: String,
}

/// Everything that an account shows: what an export holds.
///
/// Profiles are on disk and all the rest is in few bytes, so that memory does not grow with what is
/// known of people.
pub struct Everything {
    /// The configured name of the provider.
    pub provider: String,
    /// Its kind.
    pub kind: ProviderKind,
    /// When reading began.
    pub begun: Timestamp,
    /// When reading ended.
    pub ended: Timestamp,
    /// The definitions of custom fields.
    pub custom: CustomFields,
    /// Groups, people and who is in which group. What rosterd itself did is not set apart: it is
    /// what the account shows.
    pub snapshot: Snapshot,
    /// The texts behind the snapshot's ids and addresses.
    pub names: Names,
    /// The profiles, under the provider's own names.
    pub profiles: Staging,
    /// Requests that it took.
    pub requests: u64,
    /// Why there may be other groups.
    pub group_doubts: Vec<String>,
    /// Why there may be other people, or more to know of those who are there.
    pub member_doubts: Vec<String>,
    /// Whether the login sees all of the account, as far as it can tell.
    pub sees_everything: bool,
}

/// Who is in one group of an account.
pub(in crate::run) struct OneGroup {
    kind: ProviderKind,
    pub(in crate::run) group: Group,
    /// When reading began.
    pub(in crate::run) begun: Timestamp,
    /// The group, and who is in it. Whom rosterd itself took out is not.
    pub(in crate::run) snapshot: Snapshot,
    names: Names,
    /// Why there may be other people, or more to know of those who are there.
    pub(in crate::run) doubts: Vec<String>,
}

impl OneGroup {
    /// Returns the texts behind the snapshot's ids and addresses.
    pub(in crate::run) fn names(&self) -> &Names {
        &self.names
    }

    /// Returns the word for how somebody stands: the strictest of what the group and the account say.
    /// Where it is not certain who refuses, nobody is said to be active.
    pub(in crate::run) fn state_of(
        &self,
        row: ListingRow,
        listing: &Reading<Listing>,
    ) -> &'static str {
        let knows_refusals = match listing {
            Reading::Complete(_) => true,
            Reading::Incomplete(incomplete) => incomplete.opt_outs_complete,
        };
        let account = provider::capabilities(self.kind).account_opt_out;
        let knows_account = !account || self.snapshot.account_state.complete().is_some();
        let is_told = knows_refusals
            && knows_account
            && self.group.kind != GroupKind::Dynamic
            && !self
                .snapshot
                .is_uncertain(listing.seen(), row.member, &self.names);
        match (self.snapshot.members[row.member as usize].status, row.state) {
            (MemberStatus::OptedOut, _) | (_, MembershipState::OptedOut) => "opted_out",
            (_, MembershipState::Active | MembershipState::Unconfirmed) if !is_told => "unknown",
            (MemberStatus::Active, state) => state.as_str(),
            (status, _) => status.as_str(),
        }
    }
}

impl Everything {
    /// Tells whether it is certain who refuses all mail of the account.
    pub fn knows_refusals(&self) -> bool {
        self.snapshot.account_state.complete().is_some()
    }
}

/// The groups of an account as they were decoded and as they are meant, with their evidence and the
/// reasons why there may be others.
struct Listed {
    groups: Vec<(GroupRow, Group)>,
    certificate: Certificate,
    doubts: Vec<String>,
}

impl Runner {
    /// Lists the groups of an account, archived ones included, with the jobs that link them.
    pub async fn account_groups(&self, name: &str) -> Result<AccountGroups, RunError> {
        let _held = self.hold_to_read(&[&name.to_owned()]).await?;
        let handle = self.handle(name)?;
        let reading = async {
            self.inner.options.progress.stage(name, "Reading groups");
            let open = handle.adapter.open().await;
            open.map_err(handle.read_error())?;
            self.groups_of(&handle, &|_, _| false).await
        };
        let listed = unless_stopped(&self.inner.options.stop, reading).await?;
        self.inner.options.progress.finish(name);
        Ok(AccountGroups {
            provider: name.to_owned(),
            kind: handle.adapter.kind(),
            groups: listed.groups.into_iter().map(|(_, group)| group).collect(),
            doubts: listed.doubts,
            links: self.links_at(name)?,
        })
    }

    /// Reads everything that an account shows, for a copy of it.
    pub async fn read_everything(&self, name: &str) -> Result<Everything, RunError> {
        let _held = self.hold_to_read(&[&name.to_owned()]).await?;
        let handle = self.handle(name)?;
        let reading = self.everything(&handle);
        let everything = unless_stopped(&self.inner.options.stop, reading).await?;
        self.inner.options.progress.finish(name);
        Ok(everything)
    }

    pub(in crate::run) async fn everything(&self, handle: &Handle) -> Result<Everything, RunError> {
        let name = handle.name.as_str();
        let progress = &self.inner.options.progress;
        let begun = self.now();
        let before = handle.account.statistics().requests();
        progress.stage(name, "Logging in");
        let adapter = &handle.adapter;
        adapter.open().await.map_err(handle.read_error())?;
        // What an interrupted run has begun is in the copy once it is done.
        self.wait_for_earlier(handle).await?;
        let custom = adapter.custom_fields().await;
        let custom = custom.map_err(handle.read_error())?;

        progress.stage(name, "Reading groups");
        let listed = self.groups_of(handle, &|_, _| true).await?;
        let (rows, groups): (Vec<_>, Vec<_>) = listed.groups.into_iter().unzip();

        progress.stage(name, "Reading members");
        let schema = provider::schema(adapter.kind());
        let plain = schema.members.iter().filter(|field| field.readable);
        let plain = plain.map(|field| field.wire.to_owned());
        let plain = plain.filter(|wire| wire != "custom.*");
        let labelled = custom.fields.iter();
        let labelled = labelled.map(|field| format!("custom.{}", field.system_name));
        let fields: Vec<String> = plain.chain(labelled).collect();
        let mut meanings = self.store().meanings(&self.account_hash(name))?;
        let (mut names, mut profiles) = (Names::new(), Staging::new().map_err(staging_error)?);
        let mut builder = SnapshotBuilder::new(name, "", &mut names, &mut profiles);
        let ask = MemberAsk {
            groups: &rows,
            fields: &fields,
            role: Role::Everything,
        };
        read_members(handle, &ask, &mut builder, &meanings).await?;
        self.read_long_again(handle, &rows, &mut builder).await?;
        let everybody = builder.evidence_of_everybody().cloned().unwrap_or_default();
        let everybody = everybody.certify((), &mut TotalMeanings::all());
        let own = OwnRemovals::default();
        let snapshot = builder.finish(groups, &listed.certificate, &mut meanings, &own);
        let mut member_doubts = self.hidden_at(handle);
        member_doubts.extend(doubts_of_members(&snapshot, &names, &everybody));
        // By labels every value comes along, whatever the definitions say.
        if !custom.is_whole() && schema.unlisted != Unlisted::ByLabel {
            let words = "the login may not read every definition of a custom field, so that values of custom fields are missing";
            member_doubts.push(words.to_owned());
        }
        Ok(Everything {
            provider: name.to_owned(),
            kind: adapter.kind(),
            begun,
            ended: self.now(),
            custom,
            snapshot,
            names,
            profiles,
            requests: handle.account.statistics().requests() - before,
            group_doubts: listed.doubts,
            member_doubts,
            sees_everything: adapter.sees_everything(),
        })
    }

    /// Reads once more what a listing by offsets may have skipped.
    async fn read_long_again(
        &self,
        handle: &Handle,
        rows: &[GroupRow],
        builder: &mut SnapshotBuilder<'_>,
    ) -> Result<(), RunError> {
        let by_offset = builder.listings_by_offset();
        if by_offset.is_empty() {
            return Ok(());
        }
        let progress = &self.inner.options.progress;
        progress.stage(&handle.name, "Reading long groups once more");
        let long = rows.iter().filter(|row| by_offset.contains(&row.id));
        let long: Vec<GroupRow> = long.cloned().collect();
        builder.add_to_listings();
        let ask = MemberAsk {
            groups: &long,
            fields: &[],
            role: Role::Check,
        };
        let read = handle.adapter.members(&ask, builder).await;
        read.map_err(handle.read_error())
    }

    /// Reads who is in one group of an account, whatever they refuse, once `pick` has said which.
    pub(in crate::run) async fn read_one_group<E>(
        &self,
        name: &str,
        pick: &(dyn Fn(&[Group]) -> Result<String, E> + Sync),
    ) -> Result<Result<OneGroup, E>, RunError> {
        let handle = self.handle(name)?;
        let progress = &self.inner.options.progress;
        progress.stage(name, "Reading groups");
        let open = handle.adapter.open().await;
        open.map_err(handle.read_error())?;
        self.wait_for_earlier(&handle).await?;
        let listed = self.groups_of(&handle, &|_, _| false).await?;
        let (rows, groups): (Vec<_>, Vec<_>) = listed.groups.into_iter().unzip();
        let id = match pick(&groups) {
            Ok(id) => id,
            Err(why) => return Ok(Err(why)),
        };
        let begun = self.now();
        progress.stage(name, "Reading members");
        let rows: Vec<GroupRow> = rows.into_iter().filter(|row| row.id == id).collect();
        let groups: Vec<Group> = groups.into_iter().filter(|group| group.id == id).collect();
        let Some(group) = groups.first().cloned() else {
            return Err(RunError::Groups {
                provider: name.to_owned(),
                why: format!("group {id} is not among them"),
            });
        };
        let mut meanings = self.store().meanings(&self.account_hash(name))?;
        let (mut names, mut profiles) = (Names::new(), Staging::new().map_err(staging_error)?);
        let mut builder = SnapshotBuilder::new(name, "", &mut names, &mut profiles);
        let ask = MemberAsk {
            groups: &rows,
            fields: &[],
            role: Role::Source,
        };
        read_members(&handle, &ask, &mut builder, &meanings).await?;
        self.read_long_again(&handle, &rows, &mut builder).await?;
        let own = OwnRemovals::default();
        let mut snapshot = builder.finish(groups, &listed.certificate, &mut meanings, &own);
        self.set_own_apart(&mut snapshot, &names)?;
        let mut doubts = self.hidden_at(&handle);
        if let Some(listing) = snapshot.listing(&id) {
            doubts.extend(without_names(listing.why_incomplete()));
        }
        for why in without_names(snapshot.account_state.why_incomplete()) {
            if !doubts.contains(&why) {
                doubts.push(why);
            }
        }
        let unread = group
            .unread
            .map(|what| format!("the group {}", what.explain()));
        doubts.extend(unread);
        Ok(Ok(OneGroup {
            kind: handle.adapter.kind(),
            group,
            begun,
            snapshot,
            names,
            doubts,
        }))
    }

    /// Reads the groups of an account, with every field of the wanted ones, and says why there may
    /// be others.
    async fn groups_of(
        &self,
        handle: &Handle,
        wanted: &(dyn Fn(&str, &str) -> bool + Sync),
    ) -> Result<Listed, RunError> {
        let GroupsToWrite {
            rows,
            certificate,
            belief,
        } = self.groups_to_write(handle, wanted).await?;
        let reading = certificate.certify((), &mut TotalMeanings::all());
        let mut doubts = self.hidden_at(handle);
        doubts.extend(without_names(reading.why_incomplete()));
        let bare = belief.filter(|belief| belief.is_bare);
        doubts.extend(bare.map(|belief| belief.words));
        let unread = rows.iter().filter_map(|row| {
            let what = row.unread?.explain();
            Some(format!("group {} {what}", row.id))
        });
        doubts.extend(unread);
        let schema = provider::schema(handle.adapter.kind());
        let mut groups: Vec<(GroupRow, Group)> = rows
            .into_iter()
            .map(|row| (row.clone(), Group::from_row(row, schema)))
            .collect();
        groups.sort_by(|(left, _), (right, _)| id_order(&left.id).cmp(&id_order(&right.id)));
        Ok(Listed {
            groups,
            certificate,
            doubts,
        })
    }

    /// Says what keeps a login from seeing all of its account.
    fn hidden_at(&self, handle: &Handle) -> Vec<String> {
        let provider = self.config().providers.get(&handle.name);
        if provider.is_some_and(|provider| provider.shared_access) {
            let part = "the login sees only a part of the account (`shared_access = true`)";
            return vec![part.to_owned()];
        }
        let mut remarks = handle.adapter.remarks();
        if remarks.is_empty() && !handle.adapter.sees_everything() {
            remarks.push("the login does not see everything of the account".to_owned());
        }
        remarks
    }

    /// Returns the pairs that the jobs of the config have made of a provider's groups.
    fn links_at(&self, name: &str) -> Result<BTreeMap<String, Vec<LinkedBy>>, RunError> {
        let account = self.account_hash(name);
        let mut links: BTreeMap<String, Vec<LinkedBy>> = BTreeMap::new();
        for job in self.config().jobs.values() {
            let sides = [(&job.source_account, false), (&job.target_account, true)];
            for (_, is_target) in sides.into_iter().filter(|(of, _)| **of == account) {
                for link in self.store().links(&job.name)? {
                    let (group, partner) = if is_target {
                        (link.target, link.source)
                    } else {
                        (link.source, link.target)
                    };
                    links.entry(group).or_default().push(LinkedBy {
                        job: job.name.clone(),
                        is_target,
                        partner,
                    });
                }
            }
        }
        Ok(links)
    }
}

/// Says why there may be other people than these, or more to know of them.
fn doubts_of_members(snapshot: &Snapshot, names: &Names, everybody: &Reading<()>) -> Vec<String> {
    let mut doubts = without_names(everybody.why_incomplete());
    for why in without_names(snapshot.account_state.why_incomplete()) {
        if !doubts.contains(&why) {
            doubts.push(why);
        }
    }
    let unread = |what: &str, id: &str| format!("member {id}: {what}");
    let odd = snapshot.unreadable.iter().map(|(id, what)| match what {
        Unreadable::Profile => unread("the profile holds what can't be read", id),
        Unreadable::Value(why) | Unreadable::Standing(why) => unread(&without_addresses(why), id),
    });
    let bare = snapshot.members.iter().filter_map(|member| {
        let id = names.text(member.id);
        let is_bare = member.hash.is_none() && !snapshot.is_unreadable(id);
        is_bare.then(|| unread("the profile was not shown", id))
    });
    let mut people = odd.chain(bare);
    doubts.extend(people.by_ref().take(MOST_NAMED));
    match people.count() {
        0 => {}
        more => doubts.push(format!("{more} more profiles could not be read")),
    }
    doubts
}

/// The provider's words name nobody in what is shown.
fn without_names(why: &[String]) -> Vec<String> {
    why.iter().map(|why| without_addresses(why)).collect()
}
