//! Random jobs, as config text and as what a judge has to know of them.

use std::fmt::Write as _;

use rosterd::emulator::{Kind, World};

use super::dice::Dice;
use super::truth;
use super::world::{ACCOUNTS, joinable};
use crate::support::staff_of;

/// What a job may do, in the words of the config.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub name: &'static str,
    pub source: &'static str,
    pub target: &'static str,
    pub mode: &'static str,
    pub on_drift: &'static str,
    pub missing: &'static str,
    pub carry: bool,
    pub adopt: bool,
    pub protect: bool,
    pub create: bool,
    pub update: bool,
    pub dynamic: bool,
    pub auto_response: bool,
    pub not_internal: bool,
    pub exclude: Option<&'static str>,
    pub remembers: bool,
    /// Whether the limits are those of the default instead of none.
    pub limits: bool,
    pub batch: Option<usize>,
    /// Whether memberships of lists are deleted instead of unsubscribed.
    pub detach: bool,
    /// Whether people may come back whom this job's database has unsubscribed from a list.
    pub readd: bool,
    /// Whether the target keeps lists.
    pub lists: bool,
    /// What stands before the names of groups at the target.
    pub prefix: Option<&'static str>,
    /// Pairs of groups that the config names.
    pub pins: Vec<(u64, u64)>,
    /// Whether the groups at the source, or at the target, are those of users.
    pub from_users: bool,
    pub to_users: bool,
    pub create_users: bool,
}

impl Job {
    fn random(dice: &mut Dice, name: &'static str, pair: (usize, usize), kinds: &[Kind]) -> Job {
        let lists = kinds[pair.1] == Kind::ActiveCampaign;
        let missing = match dice.below(4) {
            0 if kinds[pair.1] == Kind::Emfluence => "archive",
            1 | 2 => "delete",
            _ => "keep",
        };
        Job {
            name,
            source: ACCOUNTS[pair.0].0,
            target: ACCOUNTS[pair.1].0,
            mode: dice.word(&["add", "managed", "managed", "mirror"]),
            on_drift: dice.word(&["overwrite", "overwrite", "keep", "stop"]),
            missing,
            carry: dice.chance(80),
            adopt: dice.chance(80),
            protect: dice.chance(60),
            create: dice.chance(85),
            update: dice.chance(85),
            dynamic: dice.chance(30),
            auto_response: dice.chance(20),
            not_internal: dice.chance(25),
            exclude: dice.chance(20).then_some("Spring*"),
            remembers: dice.chance(20),
            limits: dice.chance(20),
            batch: dice.any(&[None, None, Some(1), Some(2), Some(5)]).flatten(),
            detach: lists && dice.chance(30),
            readd: lists && dice.chance(40),
            lists,
            prefix: None,
            pins: Vec::new(),
            from_users: false,
            to_users: false,
            create_users: false,
        }
    }

    /// The name that a source group has at the target.
    pub fn mapped(&self, name: &str) -> String {
        format!("{}{name}", self.prefix.unwrap_or_default())
    }

    /// Turns a job into one of those that see who is who turned over: without the conditions that
    /// make a person count for less, and with everything that names groups in another way.
    fn wild(mut self, dice: &mut Dice, kinds: &[Kind], world: &World) -> Job {
        self.not_internal = false;
        self.exclude = None;
        self.remembers = false;
        self.limits = false;
        self.dynamic = false;
        self.carry = dice.chance(90);
        self.adopt = dice.chance(90);
        let kind = |name: &str| {
            kinds[ACCOUNTS
                .iter()
                .position(|(known, _)| *known == name)
                .unwrap_or(0)]
        };
        if kind(self.source) == Kind::ActiveCampaign && dice.chance(40) {
            self.from_users = true;
        }
        if kind(self.target) == Kind::ActiveCampaign && dice.chance(30) {
            self.to_users = true;
            self.create_users = dice.chance(60);
            self.lists = false;
            self.detach = false;
            self.readd = false;
            self.missing = "keep";
        }
        if dice.chance(15) {
            self.prefix = Some("Our ");
        }
        if !self.from_users && !self.to_users && dice.chance(15) {
            let any = |dice: &mut Dice, name: &str| {
                let ids = joinable(world.account(name));
                dice.any(&ids)
            };
            if let (Some(here), Some(there)) = (any(dice, self.source), any(dice, self.target)) {
                self.pins.push((here, there));
            }
        }
        self
    }

    /// Whether the job covers groups of this name.
    pub fn covers(&self, name: &str) -> bool {
        !(self.exclude.is_some() && name.to_lowercase().starts_with("spring"))
    }

    /// Whether a run lists the members of a pair: its source group is in scope, and its target
    /// group takes members.
    pub fn sees(&self, pair: &(usize, u64, u64), world: &World) -> bool {
        let source = world.account(self.source).groups.get(&pair.1);
        let target = world.account(self.target).groups.get(&pair.2);
        source.is_some_and(|group| truth::covered(self, group))
            && target.is_some_and(|group| {
                truth::takes_members(group) && (group.auto_response.is_none() || self.auto_response)
            })
    }

    fn text(&self) -> String {
        let Job {
            name,
            source,
            target,
            mode,
            on_drift,
            missing,
            protect,
            create,
            update,
            auto_response,
            ..
        } = self;
        let side = |account: &str, users: bool| {
            if users {
                staff_of(account)
            } else {
                account.to_owned()
            }
        };
        let (here, there) = (side(source, self.from_users), side(target, self.to_users));
        let mut text = format!(
            "[jobs.{name}]\nsource = \"{here}\"\ntarget = \"{there}\"\nmode = \"{mode}\"\nallow_auto_response = {auto_response}\n"
        );
        if self.to_users {
            writeln!(text, "create_users = {}", self.create_users)
                .expect("a text takes everything");
        }
        if self.from_users && !self.to_users {
            text.push_str("users_as_contacts = true\n");
        }
        if self.remembers {
            text.push_str("refresh = \"6h\"\n");
        }
        let adopt = if self.adopt { "by-name" } else { "never" };
        let dynamic = if self.dynamic { "snapshot" } else { "skip" };
        let opt_outs = if self.carry { "carry" } else { "skip" };
        write!(text, "[jobs.{name}.groups]\nadopt = \"{adopt}\"\nprotect = {protect}\nmissing = \"{missing}\"\ndynamic = \"{dynamic}\"\n")
            .expect("a text takes everything");
        if let Some(pattern) = self.exclude {
            writeln!(text, "exclude = [\"{pattern}\"]").expect("a text takes everything");
        }
        for (number, (source, target)) in self.pins.iter().enumerate() {
            if number == 0 {
                text.push_str("pin = { ");
            } else {
                text.push_str(", ");
            }
            write!(text, "\"{source}\" = \"{target}\"").expect("a text takes everything");
        }
        if !self.pins.is_empty() {
            text.push_str(" }\n");
        }
        write!(text, "[jobs.{name}.members]\ncreate = {create}\nupdate = {update}\nopt_outs = \"{opt_outs}\"\n")
            .expect("a text takes everything");
        if self.lists {
            let removal = if self.detach { "detach" } else { "unsubscribe" };
            write!(text, "removal = \"{removal}\"\nreadd = {}\n", self.readd)
                .expect("a text takes everything");
        }
        if self.not_internal {
            text.push_str("where = \"source.company != 'Internal'\"\n");
        }
        if let Some(prefix) = self.prefix {
            write!(
                text,
                "[jobs.{name}.map.group]\nNAME = \"'{prefix}' ~ source.name\"\n"
            )
            .expect("a text takes everything");
        }
        write!(text, "[jobs.{name}.guards]\non_drift = \"{on_drift}\"\n")
            .expect("a text takes everything");
        if self.limits {
            text.push_str("floor = 2\n");
        } else {
            for limit in [
                "max_membership_removals",
                "max_membership_removals_per_group",
                "max_group_removals",
                "max_opt_outs",
            ] {
                writeln!(text, "{limit} = \"none\"").expect("a text takes everything");
            }
        }
        text
    }
}

/// One job, two jobs into one target, or a chain of two.
pub(crate) fn jobs(dice: &mut Dice, kinds: &[Kind]) -> Vec<Job> {
    if kinds.len() < 3 {
        return vec![Job::random(dice, "one", (0, 1), kinds)];
    }
    if dice.chance(50) {
        let mut both = vec![
            Job::random(dice, "one", (0, 1), kinds),
            Job::random(dice, "two", (2, 1), kinds),
        ];
        for job in &mut both {
            // A mirror would take out what the other job brings.
            if job.mode == "mirror" {
                job.mode = "managed";
            }
            // Two sources that ask for different values of one field would overwrite each other for
            // ever.
            job.on_drift = "keep";
        }
        both
    } else {
        vec![
            Job::random(dice, "one", (0, 1), kinds),
            Job::random(dice, "two", (1, 2), kinds),
        ]
    }
}

/// The same for a world in which who is who is turned over.
pub(crate) fn wild_jobs(dice: &mut Dice, kinds: &[Kind], world: &World) -> Vec<Job> {
    jobs(dice, kinds)
        .into_iter()
        .map(|job| job.wild(dice, kinds, world))
        .collect()
}

/// The config text of the jobs and of what they ask of the accounts.
pub(crate) fn text(jobs: &[Job], world: &World) -> String {
    let mut text = String::new();
    for job in jobs {
        let name = match world.account(job.target).kind {
            Kind::Emfluence => "groupName",
            Kind::GreenRope => "Name",
            Kind::ActiveCampaign if job.to_users => "title",
            Kind::ActiveCampaign => "name",
        };
        text.push_str(&job.text().replace("\nNAME = ", &format!("\n{name} = ")));
    }
    let mut capped: Vec<&str> = Vec::new();
    for job in jobs {
        if let Some(batch) = job.batch
            && !capped.contains(&job.target)
        {
            capped.push(job.target);
            write!(
                text,
                "[providers.{}.http]\nbatch_size = {batch}\n",
                job.target
            )
            .expect("a text takes everything");
        }
    }
    text
}
