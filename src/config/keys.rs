//! Every key that a configuration may hold: its shape, its default and what it means.
//!
//! Reading, defaults and the JSON Schema all follow this one table, so that none of them can drift
//! from the others.

use crate::model::ProviderKind::{
    self, ActiveCampaignLists, ActiveCampaignUsers, Emfluence, GreenRope,
};
use Shape::{
    Address, Boolean, Choice, Duration, Expressions, FilePath, Id, IdPairs, Integer, Limit, Listen,
    NamedTables, Refresh, Secret, Size, Table, Text, Texts, TimeZone, Url,
};

/// What a value looks like.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// A text that is not empty.
    Text,
    /// An e-mail address.
    Address,
    /// A text or a whole number, kept as text.
    Id,
    /// True or false.
    Boolean,
    /// A whole number in a range.
    Integer { least: u64, most: u64 },
    /// A friendly duration such as "15m".
    Duration,
    /// An amount of bytes such as "4GiB".
    Size,
    /// "always" or a duration.
    Refresh,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A reference to a secret.
    Secret,
    /// A web address.
    Url(Plain),
    /// A socket address.
    Listen,
    /// An IANA time zone.
    TimeZone,
    /// A list of texts, none of them empty.
    Texts,
    /// A guard's limit.
    Limit,
    /// A table of ids.
    IdPairs,
    /// A table of expressions.
    Expressions,
    /// A path, relative to the configuration file.
    FilePath,
    /// A table with these keys.
    Table(&'static [Key]),
    /// Tables with free names and these keys.
    NamedTables(&'static [Key]),
}

/// Where plain http is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plain {
    /// To the machine itself only.
    Loopback,
    /// Anywhere: a proxy is told only where to connect to, the rest is encrypted.
    Anywhere,
}

/// Which account's kind decides whether a key has a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The account's own; in a job that of either side.
    Any,
    /// That of the job's source.
    Source,
    /// That of the job's target.
    Target,
}

/// One key of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// The name.
    pub(super) name: &'static str,
    /// What its value looks like.
    pub(super) shape: Shape,
    /// The default as TOML, where there is one.
    pub(super) default: Option<&'static str>,
    /// Defaults that depend on the provider's kind, as TOML.
    pub(super) default_by_kind: &'static [(ProviderKind, &'static str)],
    /// Whether the table can't do without.
    pub(super) required: bool,
    /// The provider kinds that know the key; empty for all.
    pub(super) kinds: &'static [ProviderKind],
    /// Whose kind that is.
    pub(super) side: Side,
    /// What it means.
    pub(super) doc: &'static str,
}

const ACTIVECAMPAIGN: &[ProviderKind] = &[ActiveCampaignLists, ActiveCampaignUsers];
const LISTS: &[ProviderKind] = &[ActiveCampaignLists];
const USERS: &[ProviderKind] = &[ActiveCampaignUsers];
const EMFLUENCE: &[ProviderKind] = &[Emfluence];
const GREENROPE: &[ProviderKind] = &[GreenRope];

const fn key(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key {
        name,
        shape,
        default: None,
        default_by_kind: &[],
        required: false,
        kinds: &[],
        side: Side::Any,
        doc,
    }
}

impl Key {
    const fn or(self, default: &'static str) -> Key {
        Key {
            default: Some(default),
            ..self
        }
    }

    const fn or_by_kind(self, default_by_kind: &'static [(ProviderKind, &'static str)]) -> Key {
        Key {
            default_by_kind,
            ..self
        }
    }

    const fn required(self) -> Key {
        Key {
            required: true,
            ..self
        }
    }

    const fn only(self, kinds: &'static [ProviderKind]) -> Key {
        Key { kinds, ..self }
    }

    const fn only_from(self, kinds: &'static [ProviderKind]) -> Key {
        Key {
            kinds,
            side: Side::Source,
            ..self
        }
    }

    const fn only_to(self, kinds: &'static [ProviderKind]) -> Key {
        Key {
            kinds,
            side: Side::Target,
            ..self
        }
    }

    /// Tells whether accounts of a kind know the key.
    pub(super) fn is_of(&self, kind: ProviderKind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }

    /// Returns the default as TOML for an account of a kind.
    pub(super) fn default_for(&self, kind: ProviderKind) -> Option<&'static str> {
        self.default_by_kind
            .iter()
            .find(|(own, _)| *own == kind)
            .map(|(_, default)| *default)
            .or(self.default)
    }
}

/// The whole file.
pub(super) const ROOT: &[Key] = &[
    key("state", Table(STATE), "The state database."),
    key(
        "providers",
        NamedTables(PROVIDER),
        "The provider accounts, each under a name of your choice.",
    ),
    key(
        "jobs",
        NamedTables(JOB),
        "The jobs, each one direction between two providers.",
    ),
    key(
        "daemon",
        Table(DAEMON),
        "The service that `rosterd run` starts.",
    ),
    key("notify", Table(NOTIFY), "Who is told what happens."),
];

const STATE: &[Key] = &[
    key(
        "path",
        FilePath,
        "The state database, relative to this file.",
    )
    .or("\"rosterd.db\""),
    key("retention", Duration, "How long history is kept.").or("\"400d\""),
];

/// The table of a provider.
pub(super) const PROVIDER: &[Key] = &[
    key("kind", Choice(&["emfluence", "greenrope", "activecampaign"]), "Which API the account speaks.").required(),
    key(
        "base_url",
        Url(Plain::Loopback),
        "Where the API is reached: GreenRope's whole endpoint, emfluence's address up to `/v1`, ActiveCampaign's host as its Developer page shows it.",
    )
    .or_by_kind(&[(GreenRope, "\"https://api.stgi.net/api-xml\""), (Emfluence, "\"https://api.emailer.emfluence.com/v1\"")]),
    key("account_id", Id, "The account number.").only(GREENROPE),
    key("email", Address, "The address of the login.").only(GREENROPE),
    key("password", Secret, "The password of the login; or `auth_token`.").only(GREENROPE),
    key("auth_token", Secret, "A fixed token of the login; or `password`.").only(GREENROPE),
    key("access_token", Secret, "The access token of a user.").only(EMFLUENCE),
    key("api_key", Secret, "The API key of a user.").only(ACTIVECAMPAIGN),
    key("shared_access", Boolean, "Whether the login sees only part of the account, so that absence proves nothing.")
        .or("false")
        .only(&[GreenRope, ActiveCampaignLists, ActiveCampaignUsers]),
    key("fingerprint", Table(FINGERPRINT), "A group that proves that the token opens the right account.").only(EMFLUENCE),
    key(
        "groups",
        Choice(&["lists", "user-groups"]),
        "What counts as a group: lists of contacts who get mail, or groups of the users who log in to the account.",
    )
    .only(ACTIVECAMPAIGN),
    key("parking_group", Id, "The user group that users are moved to who leave another one; never in scope itself.").only(USERS),
    key("defaults", Table(DEFAULTS), "Values for groups created here, where the source has none."),
    key("http", Table(HTTP), "Pace, time-outs and the way to the provider."),
];

const FINGERPRINT: &[Key] = &[
    key("group_id", Id, "The id of the group.").required(),
    key("group_name", Text, "The name that it must have."),
    key("external_id", Text, "The external id that it must have."),
];

/// The defaults of a provider.
pub(super) const DEFAULTS: &[Key] = &[
    key("group_type", Text, "Who sees the group.")
        .or("\"Hidden\"")
        .only(GREENROPE),
    key("sender_name", Text, "The sender's name.").only(&[GreenRope, ActiveCampaignLists]),
    key("sender_email", Address, "The sender's address.").only(GREENROPE),
    key(
        "postal_address",
        Text,
        "The postal address shown in mails, on one line.",
    )
    .only(GREENROPE),
    key(
        "time_zone",
        TimeZone,
        "The time zone of the group's events.",
    )
    .only(GREENROPE),
    key("sender_addr1", Text, "The sender's street.").only(LISTS),
    key("sender_addr2", Text, "The sender's second address line.").only(LISTS),
    key("sender_city", Text, "The sender's city.").only(LISTS),
    key("sender_state", Text, "The sender's state.").only(LISTS),
    key("sender_zip", Text, "The sender's zip code.").only(LISTS),
    key("sender_country", Text, "The sender's country.").only(LISTS),
    key("sender_url", Text, "The sender's web site.").only(LISTS),
    key(
        "sender_reminder",
        Text,
        "Why people get mail from this list.",
    )
    .only(LISTS),
];

const HTTP: &[Key] = &[
    key(
        "requests_per_minute",
        Integer { least: 1, most: 100_000 },
        "Requests per minute, evenly spaced; GreenRope has no pace by default, ActiveCampaign takes 300 at most.",
    )
    .or_by_kind(&[(Emfluence, "100"), (ActiveCampaignLists, "240"), (ActiveCampaignUsers, "240")]),
    key("concurrency", Integer { least: 1, most: 64 }, "Requests in flight at once; GreenRope takes 4 at most, ActiveCampaign 2.")
        .or("1")
        .or_by_kind(&[(ActiveCampaignLists, "2"), (ActiveCampaignUsers, "2")]),
    key("batch_size", Integer { least: 1, most: 100_000 }, "A cap on items per request; each endpoint's documented maximum without it."),
    key("timeout", Duration, "How long one request may take.").or("\"60s\""),
    key("max_retries", Integer { least: 0, most: 100 }, "How often a request is repeated where that is safe.").or("5"),
    key(
        "max_answer",
        Size,
        "How long one answer may be; longer ones are turned away. Answers are kept on disk while they are read. One in JSON that is no listing is read up to 64 MiB, and so is each row of a listing, whatever is said here.",
    )
    .or("\"4GiB\""),
    key("requests_per_day", Integer { least: 1, most: 1_000_000_000 }, "A cap on the requests of a day."),
    key("proxy", Url(Plain::Anywhere), "A proxy."),
    key("ca_file", FilePath, "An additional certificate authority, as PEM."),
];

/// The table of a job.
pub(super) const JOB: &[Key] = &[
    key("source", Text, "The provider that is read.").required(),
    key("target", Text, "The provider that is written.").required(),
    key(
        "schedule",
        Text,
        "When it runs: a cron line of five fields as in Unix, or six with seconds first. Without it the job runs by hand.",
    ),
    key("time_zone", TimeZone, "The time zone of the schedule.").or("\"UTC\""),
    key("jitter", Duration, "The largest delay that is added to a start, so that not everything starts at once.").or("\"0s\""),
    key("enabled", Boolean, "Whether the service runs it.").or("true"),
    key(
        "mode",
        Choice(&["add", "managed", "mirror"]),
        "What it may do at the target: add only, also remove what it brought, or also remove what the source lacks.",
    )
    .or("\"add\""),
    key("refresh", Refresh, "How old the remembered target may be: \"always\" reads it anew in each run.").or("\"always\""),
    key("allow_auto_response", Boolean, "Whether groups that mail people who join may be targets.").or("false"),
    key("create_users", Boolean, "Whether login users are created who do not exist; each is a paid seat and a credential.")
        .or("false")
        .only_to(USERS),
    key("users_as_contacts", Boolean, "Whether login users of the source become marketing contacts at the target.")
        .or("false")
        .only_from(USERS),
    key("create_fields", Boolean, "Whether custom fields that the target lacks are created.").or("false"),
    key("groups", Table(GROUPS), "Which groups the job covers."),
    key("members", Table(MEMBERS), "Which people, and what of them."),
    key("map", Table(MAP), "Fields that are mapped otherwise than built in."),
    key("guards", Table(GUARDS), "Limits that stop a plan before anything is written."),
];

const GROUPS: &[Key] = &[
    key("include", Texts, "Patterns with * and ? on the name, or \"id:9985\"; built-in groups only by id.").or("[\"*\"]"),
    key("exclude", Texts, "Patterns of groups that are left out again.").or("[]"),
    key("adopt", Choice(&["by-name", "never"]), "How a group without a link finds its partner at the target.").or("\"by-name\""),
    key("pin", IdPairs, "Pairs settled by hand: source id = target id."),
    key("protect", Boolean, "Whether groups created here are flagged as protected, where the flag exists.").or("true"),
    key(
        "dynamic",
        Choice(&["skip", "snapshot"]),
        "What to do with dynamic groups: leave them out, or copy today's members into a static group.",
    )
    .or("\"skip\""),
    key("missing", Choice(&["keep", "archive", "delete"]), "What to do with a linked target group whose source is gone.").or("\"keep\""),
];

const MEMBERS: &[Key] = &[
    key("where", Text, "An expression: who counts as a member."),
    key("create", Boolean, "Whether people may be created at the target.").or("true"),
    key("update", Boolean, "Whether mapped profile fields of existing people may change.").or("true"),
    key(
        "opt_outs",
        Choice(&["carry", "skip"]),
        "Whether opt-outs of the source are written at the target; they bar additions in any case.",
    )
    .or("\"carry\""),
    key(
        "removal",
        Choice(&["unsubscribe", "detach"]),
        "How a person leaves a list: by an unsubscription that rosterd remembers as its own, or without a trace.",
    )
    .or("\"unsubscribe\"")
    .only_to(LISTS),
    key("readd", Boolean, "Whether a person whom rosterd itself unsubscribed from a list may come back.").or("false").only_to(LISTS),
];

const MAP: &[Key] = &[
    key(
        "group",
        Expressions,
        "The target's field name = an expression over the source group.",
    ),
    key(
        "member",
        Expressions,
        "The target's field name = an expression over the source member; `custom.NAME` for custom fields.",
    ),
];

const GUARDS: &[Key] = &[
    key(
        "max_membership_removals",
        Limit,
        "Memberships removed over all groups.",
    )
    .or("\"10%\""),
    key(
        "max_membership_removals_per_group",
        Limit,
        "Memberships removed in one group.",
    )
    .or("\"50%\""),
    key(
        "max_group_removals",
        Limit,
        "Groups archived and deleted, together.",
    )
    .or("0"),
    key("max_member_creations", Limit, "People created.").or("\"none\""),
    key("max_updates", Limit, "People and groups changed.").or("\"none\""),
    key(
        "max_opt_outs",
        Limit,
        "Opt-outs written; not judged in a first run, nor in the rest of one that was interrupted early.",
    )
    .or("\"10%\""),
    key(
        "floor",
        Integer {
            least: 0,
            most: 1_000_000_000,
        },
        "A share is judged only when at least so many items would be affected.",
    )
    .or("10"),
    key(
        "on_drift",
        Choice(&["overwrite", "keep", "stop"]),
        "What to do when somebody changed a mapped field at the target.",
    )
    .or("\"overwrite\""),
];

const DAEMON: &[Key] = &[
    key(
        "listen",
        Listen,
        "Where the status page, the metrics and the API listen; another address than loopback needs `admin_token`. Without it there is no HTTP.",
    ),
    key(
        "hosts",
        Texts,
        "Further names under which the status page is reached, as a proxy before it passes them on.",
    ),
    key(
        "admin_token",
        Secret,
        "The token that signs in at the status page and opens the API.",
    ),
    key(
        "grace",
        Duration,
        "How long a request in flight may take when the service is asked to stop.",
    )
    .or("\"30s\""),
    key(
        "jobs",
        Texts,
        "Patterns with * and ? of the jobs that this service runs; the others are left to other processes.",
    )
    .or("[\"*\"]"),
];

const NOTIFY: &[Key] = &[
    key(
        "webhook",
        Table(WEBHOOK),
        "A web address that takes notifications.",
    ),
    key(
        "command",
        Texts,
        "A command that takes notifications on standard input.",
    ),
    key("email", Table(EMAIL), "Mail to people."),
    key(
        "alive",
        Url(Plain::Loopback),
        "A web address that is called after each good run.",
    ),
    key(
        "proxy",
        Url(Plain::Anywhere),
        "A proxy on the way to the web addresses.",
    ),
    key(
        "ca_file",
        FilePath,
        "An additional certificate authority of the web addresses and the mail server, as PEM.",
    ),
];

const EMAIL: &[Key] = &[
    key(
        "smtp",
        Text,
        "The server that takes the mail on: \"smtps://HOST\", or \"smtp://HOST\" with STARTTLS; unencrypted to loopback only.",
    )
    .required(),
    key("user", Text, "The name of the login at the server."),
    key("password", Secret, "The password of the login."),
    key("from", Text, "The sender's address.").required(),
    key("to", Texts, "The addresses of those who are told.").required(),
];

const WEBHOOK: &[Key] = &[
    key("url", Url(Plain::Loopback), "The address.").required(),
    key("secret", Secret, "The secret that signs the notifications."),
];

/// The ways to give a secret.
pub(super) const SECRET: &[Key] = &[
    key("env", Text, "An environment variable."),
    key(
        "file",
        FilePath,
        "A file, relative to this one; white space around the text is left out.",
    ),
    key("credential", Text, "The name of a systemd credential."),
    key("command", Texts, "A command that prints the secret."),
];

/// Tells whether a key's name speaks of a secret, so that its line is better not shown.
pub(super) fn sounds_secret(name: &str) -> bool {
    const WORDS: &[&str] = &[
        "pass",
        "pw",
        "token",
        "secret",
        "key",
        "auth",
        "credential",
        "bearer",
    ];
    const NAMES: &[&str] = &[
        "password",
        "auth_token",
        "access_token",
        "api_key",
        "admin_token",
        "secret",
    ];
    let name = name.to_lowercase();
    if name.len() > 200 {
        return true;
    }
    WORDS.iter().any(|word| name.contains(word))
        || NAMES
            .iter()
            .any(|known| strsim::damerau_levenshtein(known, &name) <= 2)
}

/// Finds the tables that know a key, written as the config writes them.
pub(super) fn homes_of(name: &str) -> Vec<String> {
    fn search(keys: &'static [Key], path: &str, name: &str, found: &mut Vec<String>) {
        for key in keys {
            if key.name == name && !path.is_empty() {
                found.push(format!("[{path}]"));
            }
            let inner = if path.is_empty() {
                key.name.to_owned()
            } else {
                format!("{path}.{}", key.name)
            };
            match key.shape {
                Table(keys) => search(keys, &inner, name, found),
                NamedTables(keys) => search(keys, &format!("{inner}.NAME"), name, found),
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    search(ROOT, "", name, &mut found);
    found
}
