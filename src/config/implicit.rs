//! The job behind `migrate --from P --to P`.

use super::diagnostics::{nearest, quoted};
use super::settle::{lacks_users_as_contacts, missing_defaults, why_users_leave, without_section};
use super::settled::{Config, JobConfig, ProviderConfig};

/// Why there is no implicit job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImplicitJobError {
    /// The configuration has no provider of this name.
    #[error("The configuration has no provider {}{}.", quoted(.name), suggestion(.known.as_deref()))]
    UnknownProvider {
        /// The name that was asked for.
        name: String,
        /// The configured name that is closest.
        known: Option<String>,
    },
    /// Both names stand for one account.
    #[error("{} and {} are one account: name two accounts.", quoted(.0), quoted(.1))]
    SameAccount(String, String),
    /// A configured job has the name that the implicit job would have.
    #[error("A job {} is configured: name it instead of its providers, or rename it.", quoted(.0))]
    NameTaken(String),
    /// The name of the job could stand for another pair as well.
    #[error("The job of {} and {} would be named {}, which could be that of other providers too: configure a job of another name, or rename one of them.", quoted(.from), quoted(.to), quoted(.name))]
    AmbiguousName {
        /// The source.
        from: String,
        /// The target.
        to: String,
        /// The name.
        name: String,
    },
    /// The job would mail people who log in at the source.
    #[error("Users who log in to {} would become contacts at {}: configure a job with `users_as_contacts = true` if that is meant.", quoted(.0), quoted(.1))]
    UsersAsContacts(String, String),
    /// The job may have to move users at the target.
    #[error("Users may have to leave their groups at {}: add `parking_group` to [providers.{target}], the id of an ordinary user group.", quoted(.target))]
    NoParkingGroup {
        /// The target.
        target: String,
    },
    /// Groups can't be created at the target without these defaults.
    #[error("Groups can't be created at {} without {}: add them to [providers.{target}.defaults].", quoted(.target), .keys.join(", "))]
    MissingDefaults {
        /// The target.
        target: String,
        /// The keys.
        keys: Vec<&'static str>,
    },
}

/// Makes the job of a pair of providers that has none: every default, mode `add`, no schedule,
/// named `FROM-to-TO`.
///
/// # Errors
/// Says what is missing in the configuration for such a job.
pub fn implicit_job(config: &Config, from: &str, to: &str) -> Result<JobConfig, ImplicitJobError> {
    let (source, target) = (provider(config, from)?, provider(config, to)?);
    if from == to || source.groups_key() == target.groups_key() {
        return Err(ImplicitJobError::SameAccount(
            from.to_owned(),
            to.to_owned(),
        ));
    }
    let name = format!("{from}-to-{to}");
    if config.jobs.contains_key(&name) {
        return Err(ImplicitJobError::NameTaken(name));
    }
    if implicit_pair(config, &name).is_none() {
        return Err(ImplicitJobError::AmbiguousName {
            from: from.to_owned(),
            to: to.to_owned(),
            name,
        });
    }
    let job = JobConfig {
        source_account: source.state_key(),
        target_account: target.state_key(),
        ..without_section(&name, from, to)
    };
    if lacks_users_as_contacts(&job, source.kind, target.kind) {
        return Err(ImplicitJobError::UsersAsContacts(
            from.to_owned(),
            to.to_owned(),
        ));
    }
    if why_users_leave(&job, target.kind).is_some() && target.parking_group.is_none() {
        return Err(ImplicitJobError::NoParkingGroup {
            target: to.to_owned(),
        });
    }
    let keys = missing_defaults(&job, source.kind, target.kind, &target.defaults);
    if keys.is_empty() {
        Ok(job)
    } else {
        Err(ImplicitJobError::MissingDefaults {
            target: to.to_owned(),
            keys,
        })
    }
}

/// Returns the providers that the name of an implicit job stands for; nothing where it could stand for
/// several pairs, since what is remembered is remembered by the name.
pub fn implicit_pair<'a>(config: &Config, name: &'a str) -> Option<(&'a str, &'a str)> {
    let pairs = name.match_indices("-to-");
    let pairs = pairs.map(|(at, to)| (&name[..at], &name[at + to.len()..]));
    let known = |name: &str| config.providers.contains_key(name);
    let mut pairs = pairs.filter(|(from, to)| known(from) && known(to));
    let pair = pairs.next()?;
    pairs.next().is_none().then_some(pair)
}

fn provider<'a>(config: &'a Config, name: &str) -> Result<&'a ProviderConfig, ImplicitJobError> {
    config
        .providers
        .get(name)
        .ok_or_else(|| ImplicitJobError::UnknownProvider {
            name: name.to_owned(),
            known: nearest(name, config.providers.keys().map(String::as_str))
                .map(ToOwned::to_owned),
        })
}

fn suggestion(known: Option<&str>) -> String {
    known
        .map(|known| format!("; the closest name is {}", quoted(known)))
        .unwrap_or_default()
}
