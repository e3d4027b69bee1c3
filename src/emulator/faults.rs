//! Faults that can be played on purpose, per provider, account and operation.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::oddities::Garbage;
use super::world::Kind;

/// Says which requests go wrong and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// Only requests to this account, by its name inside the emulator.
    #[serde(default)]
    pub account: Option<String>,
    /// Only requests to this kind of provider.
    #[serde(default)]
    pub provider: Option<Kind>,
    /// Only this operation, such as `groups/search` or `GetContacts`.
    #[serde(default)]
    pub operation: Option<String>,
    /// Which of the matching requests.
    #[serde(default)]
    pub when: When,
    /// What goes wrong.
    pub fault: Fault,
}

impl FaultRule {
    /// A rule for every request to every account.
    pub fn every(fault: Fault) -> Self {
        Self {
            account: None,
            provider: None,
            operation: None,
            when: When::Every,
            fault,
        }
    }

    /// Narrows the rule to one operation.
    pub fn on(mut self, operation: &str) -> Self {
        self.operation = Some(operation.to_owned());
        self
    }

    /// Narrows the rule to one account.
    pub fn at(mut self, account: &str) -> Self {
        self.account = Some(account.to_owned());
        self
    }

    /// Narrows the rule to some of the matching requests.
    pub fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }

    fn matches(&self, account: &str, provider: Kind, operation: &str) -> bool {
        self.account
            .as_deref()
            .is_none_or(|wanted| wanted == account)
            && self.provider.is_none_or(|wanted| wanted == provider)
            && self
                .operation
                .as_deref()
                .is_none_or(|wanted| wanted.eq_ignore_ascii_case(operation))
    }
}

/// Chooses among the requests that match a rule, counted from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// All of them.
    #[default]
    Every,
    /// Only this one.
    Nth(u64),
    /// The first so many.
    First(u64),
    /// Each one whose number is a multiple of this.
    EachNth(u64),
    /// A share of them, chosen by a seed and the request's number.
    Chance {
        /// The share, from 0 to 1.
        share: f64,
        /// The seed.
        seed: u64,
    },
}

impl When {
    fn strikes(self, count: u64) -> bool {
        match self {
            Self::Every => true,
            Self::Nth(number) => count == number,
            Self::First(number) => count <= number,
            Self::EachNth(number) => number > 0 && count.is_multiple_of(number),
            Self::Chance { share, seed } => dice(seed, count) < share,
        }
    }
}

/// A number from 0 to below 1 that depends on nothing but its arguments.
fn dice(seed: u64, count: u64) -> f64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.update(&count.to_le_bytes());
    let mut bytes = [0_u8; 4];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..4]);
    f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
}

/// What can go wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Nothing happens for this long, then the request is carried out; in JSON a number of
    /// milliseconds.
    Latency(#[serde(with = "millis")] Duration),
    /// The request is carried out at once and its answer takes this long; in JSON a number of
    /// milliseconds.
    SlowAnswer(#[serde(with = "millis")] Duration),
    /// Status 429, nothing done.
    TooManyRequests {
        /// Seconds in the `Retry-After` header, if it is sent.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// A status of the 500s, nothing done.
    ServerError(u16),
    /// The connection breaks before anything is done.
    ResetBeforeEffect,
    /// The request is carried out and the connection breaks in the middle of the answer.
    ResetAfterEffect,
    /// The request is carried out and the answer ends too early, though the connection is fine.
    TruncatedBody,
    /// The request is carried out and the answer is empty.
    EmptyBody,
    /// A page for people with status 200, nothing done.
    HtmlWith200,
    /// Totals in the answer are off by this much.
    WrongCount(i64),
    /// The list in the answer is missing.
    MissingList,
    /// Each item whose number in the request is a multiple of this fails.
    PartialBatchFailure {
        /// The multiple.
        every: usize,
    },
    /// A request that holds this address or id is refused as a whole.
    PoisonItem(String),
    /// The answer comes in pieces with pauses between them.
    SlowDrip {
        /// Bytes in one piece.
        bytes: usize,
        /// Milliseconds between pieces.
        pause: u64,
    },
    /// The token is treated as expired.
    ExpiredToken,
    /// Status 504 at once, and a change is carried out this much later all the same; in JSON a
    /// number of milliseconds.
    LateEffect(#[serde(with = "millis")] Duration),
    /// A reading shows what the accounts held this long ago; in JSON a number of milliseconds.
    /// What was before the rule came into force is not known.
    LaggingRead(#[serde(with = "millis")] Duration),
    /// Right before the request is carried out, the first member of the fullest group leaves it and
    /// somebody new joins it.
    Turnover,
    /// Right before the request is carried out, somebody new joins the fullest group.
    SignUp,
    /// The parameter of this name is taken no notice of by what reads.
    IgnoredParameter(String),
    /// A request that names this address draws status 500, nothing done.
    CrashesOn(String),
    /// Wherever the answer shows this text, something follows that nobody can read.
    Garbled {
        /// The text.
        text: String,
        /// What follows.
        with: Garbage,
    },
    /// The longest list in the answer, where it has more rows than one, lacks its last row, and
    /// nothing else says so.
    ShortPage,
}

impl Fault {
    /// The name used in the request log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Latency(_) => "latency",
            Self::SlowAnswer(_) => "slow_answer",
            Self::TooManyRequests { .. } => "too_many_requests",
            Self::ServerError(_) => "server_error",
            Self::ResetBeforeEffect => "reset_before_effect",
            Self::ResetAfterEffect => "reset_after_effect",
            Self::TruncatedBody => "truncated_body",
            Self::EmptyBody => "empty_body",
            Self::HtmlWith200 => "html_with_200",
            Self::WrongCount(_) => "wrong_count",
            Self::MissingList => "missing_list",
            Self::PartialBatchFailure { .. } => "partial_batch_failure",
            Self::PoisonItem(_) => "poison_item",
            Self::SlowDrip { .. } => "slow_drip",
            Self::ExpiredToken => "expired_token",
            Self::LateEffect(_) => "late_effect",
            Self::LaggingRead(_) => "lagging_read",
            Self::Turnover => "turnover",
            Self::SignUp => "sign_up",
            Self::IgnoredParameter(_) => "ignored_parameter",
            Self::CrashesOn(_) => "crashes_on",
            Self::Garbled { .. } => "garbled",
            Self::ShortPage => "short_page",
        }
    }
}

mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

/// The rules in force, each with the number of requests that matched it so far.
#[derive(Debug, Default)]
pub(super) struct Faults {
    rules: Vec<(FaultRule, u64)>,
}

impl Faults {
    pub(super) fn add(&mut self, rule: FaultRule) {
        self.rules.push((rule, 0));
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    pub(super) fn rules(&self) -> Vec<FaultRule> {
        self.rules.iter().map(|(rule, _)| rule.clone()).collect()
    }

    /// How far back a reading may have to look, if any rule asks for that.
    pub(super) fn lag(&self) -> Option<Duration> {
        self.rules
            .iter()
            .filter_map(|(rule, _)| match rule.fault {
                Fault::LaggingRead(lag) => Some(lag),
                _ => None,
            })
            .max()
    }

    /// Counts a request against each rule and returns the faults that strike it.
    pub(super) fn strike(&mut self, account: &str, provider: Kind, operation: &str) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (rule, count) in &mut self.rules {
            if rule.matches(account, provider, operation) {
                *count += 1;
                if rule.when.strikes(*count) {
                    faults.push(rule.fault.clone());
                }
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_counts_only_what_it_matches() {
        let mut faults = Faults::default();
        faults.add(
            FaultRule::every(Fault::EmptyBody)
                .on("groups/search")
                .when(When::Nth(2)),
        );
        assert!(
            faults
                .strike("mail", Kind::Emfluence, "groups/search")
                .is_empty()
        );
        assert!(
            faults
                .strike("mail", Kind::Emfluence, "contacts/import")
                .is_empty()
        );
        assert_eq!(
            faults.strike("mail", Kind::Emfluence, "groups/search"),
            [Fault::EmptyBody]
        );
        assert!(
            faults
                .strike("mail", Kind::Emfluence, "groups/search")
                .is_empty()
        );
    }

    #[test]
    fn chance_is_repeatable_and_near_its_share() {
        let hits = |seed| {
            (1..=1000)
                .filter(|count| When::Chance { share: 0.3, seed }.strikes(*count))
                .collect::<Vec<_>>()
        };
        assert_eq!(hits(7), hits(7));
        assert_ne!(hits(7), hits(8));
        assert!((200..400).contains(&hits(7).len()));
    }

    #[test]
    fn rules_are_read_from_json() {
        let text = r#"[{"provider":"emfluence","operation":"contacts/import","when":{"nth":2},
            "fault":{"too_many_requests":{"retry_after":30}}},
            {"account":"crm","when":{"chance":{"share":0.5,"seed":1}},"fault":{"latency":1500}},
            {"fault":"reset_after_effect"}]"#;
        let rules: Vec<FaultRule> = serde_json::from_str(text).unwrap();
        assert_eq!(
            rules[0].fault,
            Fault::TooManyRequests {
                retry_after: Some(30)
            }
        );
        assert_eq!(rules[1].fault, Fault::Latency(Duration::from_millis(1500)));
        assert_eq!(rules[2].when, When::Every);
        assert!(
            serde_json::from_str::<FaultRule>(r#"{"fault":"empty_body","operaton":"x"}"#).is_err()
        );
    }
}
