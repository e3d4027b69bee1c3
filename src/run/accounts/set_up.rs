//! The accounts of a config, set up when a job first needs them and shared by all jobs.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::Handle;
use super::runner::Runner;
use crate::config::settled::{Credentials, HttpConfig, JobConfig, ProviderConfig, hash_of_account};
use crate::http::{Account, AccountOptions, NetworkOptions, Transport};
use crate::model::ProviderKind;
use crate::provider::activecampaign::{
    ActiveCampaign, ActiveCampaignGroups, ActiveCampaignOptions,
};
use crate::provider::emfluence::{Emfluence, EmfluenceOptions};
use crate::provider::greenrope::{GreenRope, GreenRopeCredential, GreenRopeOptions};
use crate::provider::{self, Target};
use crate::run::error::RunError;

/// How long a request may take where the config does not say.
const TIMEOUT_EMFLUENCE: Duration = Duration::from_mins(1);
/// GreenRope answers whole accounts at once; its clients wait two minutes.
const TIMEOUT_GREENROPE: Duration = Duration::from_mins(2);
/// ActiveCampaign is slow where it rebuilds the rights of a user group's users; its own client
/// waits half a minute.
const TIMEOUT_ACTIVECAMPAIGN: Duration = Duration::from_mins(2);

impl Runner {
    /// Returns a provider of the config, set up on first use.
    pub(in crate::run) fn handle(&self, name: &str) -> Result<Arc<Handle>, RunError> {
        let mut handles = self
            .inner
            .handles
            .lock()
            .expect("nothing panics while it holds this lock");
        if let Some(handle) = handles.get(name) {
            return Ok(handle.clone());
        }
        let config = self.inner.config.providers.get(name).ok_or_else(|| {
            RunError::Setup(format!("there is no provider \"{name}\" in the config"))
        })?;
        let handle = Arc::new(self.set_up(config)?);
        handles.insert(name.to_owned(), handle.clone());
        Ok(handle)
    }

    /// Refuses a job whose source and target are one account under two names, before the first
    /// request: the same login, or one host spelt in two ways.
    pub(in crate::run) fn refuse_one_account(&self, job: &JobConfig) -> Result<(), RunError> {
        let providers = &self.inner.config.providers;
        let (Some(source), Some(target)) = (providers.get(&job.source), providers.get(&job.target))
        else {
            return Ok(());
        };
        if source.kind != target.kind {
            return Ok(());
        }
        let same_login = self.handle(&job.source)?.login == self.handle(&job.target)?.login;
        if source.is_same_account(target, same_login) {
            return Err(RunError::Config {
                job: job.name.clone(),
                problems: format!(
                    "source \"{}\" and target \"{}\" are one and the same account; name the provider of another account",
                    job.source, job.target
                ),
            });
        }
        Ok(())
    }

    /// Returns the account of a provider, as the state database knows it.
    pub fn account_hash(&self, provider: &str) -> String {
        let providers = &self.inner.config.providers;
        providers
            .get(provider)
            .map(ProviderConfig::state_key)
            .unwrap_or_default()
    }

    /// Tells the state database which accounts the names of a job's providers stand for.
    pub(in crate::run) fn know_accounts(&self, job: &JobConfig) -> Result<(), RunError> {
        let is_named = |name: &str| self.config().providers.contains_key(name);
        for (provider, account) in [
            (&job.source, &job.source_account),
            (&job.target, &job.target_account),
        ] {
            self.store().know_renamed(provider, account, is_named)?;
            self.store().know_account(provider, account)?;
        }
        Ok(())
    }

    /// Warns of refusals in an older file that nobody can say the account of: the provider was
    /// renamed before a run could tell.
    pub(in crate::run) fn unclaimed_refusals(&self) -> Result<Vec<String>, RunError> {
        let names = self.store().unclaimed_names()?.into_iter();
        let unknown = names.filter(|name| !self.config().providers.contains_key(name));
        let warning = |name| {
            format!(
                "The state database holds refusals of a provider \"{name}\", which the config does not name any more, and they bind nobody: give the provider that name again for one run."
            )
        };
        Ok(unknown.map(warning).collect())
    }

    fn set_up(&self, config: &ProviderConfig) -> Result<Handle, RunError> {
        let account = self.account(config)?;
        let place = format!("providers.{}", config.name);
        let login = Cell::new(blake3::hash(b""));
        let fetch = |secret: &crate::config::settled::Secret, key: &str| {
            secret
                .fetch(&format!("{place}.{key}"))
                .inspect(|secret| {
                    account.keep_out(secret);
                    login.set(blake3::hash(secret.expose_secret().as_bytes()));
                })
                .map_err(|error| RunError::Setup(error.to_string()))
        };
        let batch_cap = config.http.batch_size;
        let adapter: Arc<dyn Target> = match (config.kind, &config.credentials) {
            (ProviderKind::Emfluence, Credentials::AccessToken(token)) => Arc::new(Emfluence::new(
                EmfluenceOptions {
                    access_token: fetch(token, "access_token")?,
                    fingerprint: config.fingerprint.clone(),
                    neighbours: config.neighbours(self.config().providers.values()),
                    batch_cap,
                },
                account.clone(),
            )),
            (
                ProviderKind::GreenRope,
                Credentials::Password { email, .. } | Credentials::AuthToken { email, .. },
            ) => {
                let credential = match &config.credentials {
                    Credentials::Password { password, .. } => {
                        GreenRopeCredential::Password(fetch(password, "password")?)
                    }
                    Credentials::AuthToken { token, .. }
                    | Credentials::AccessToken(token)
                    | Credentials::ApiKey(token) => {
                        GreenRopeCredential::Token(fetch(token, "auth_token")?)
                    }
                };
                Arc::new(GreenRope::new(
                    GreenRopeOptions {
                        account_id: config.account_id.clone().unwrap_or_default(),
                        email: email.clone(),
                        credential,
                        shared_access: config.shared_access,
                        batch_cap,
                    },
                    account.clone(),
                ))
            }
            (
                kind @ (ProviderKind::ActiveCampaignLists | ProviderKind::ActiveCampaignUsers),
                Credentials::ApiKey(key),
            ) => Arc::new(ActiveCampaign::new(
                ActiveCampaignOptions {
                    api_key: fetch(key, "api_key")?,
                    groups: match kind {
                        ProviderKind::ActiveCampaignUsers => ActiveCampaignGroups::UserGroups,
                        _ => ActiveCampaignGroups::Lists,
                    },
                    parking_group: config.parking_group.clone(),
                    batch_cap,
                },
                account.clone(),
            )),
            (kind, _) => {
                return Err(RunError::Setup(format!(
                    "{place}: these credentials are not of the kind that {kind} takes"
                )));
            }
        };
        let mut capabilities = *provider::capabilities(config.kind);
        capabilities.batches = capabilities.batches.capped(batch_cap);
        Ok(Handle {
            name: config.name.clone(),
            adapter,
            account,
            capabilities,
            requests_per_minute: config.http.requests_per_minute,
            stop: self.inner.options.stop.clone(),
            login: login.get(),
        })
    }

    /// Fetches every secret of the config that can be had without running a command, and those of
    /// commands that have run already: no provider may say any of them again.
    fn secrets_at_hand(&self) -> Vec<SecretString> {
        let all = self.inner.config.secrets().into_iter();
        all.filter(|(_, secret)| !secret.is_command())
            .filter_map(|(place, secret)| secret.fetch(&place).ok())
            .collect()
    }

    /// Two provider names may stand for one account, which has one pace and one breaker.
    fn account(&self, config: &ProviderConfig) -> Result<Account, RunError> {
        let mut accounts = self
            .inner
            .accounts
            .lock()
            .expect("nothing panics while it holds this lock");
        let key = config.account_key();
        if let Some(account) = accounts.get(&key) {
            return Ok(account.clone());
        }
        let transport = match &self.inner.options.transport {
            Some(transport) => transport.clone(),
            None => Transport::network(&NetworkOptions {
                proxy: config.http.proxy.clone(),
                ca_file: config.http.ca_file.clone(),
            })
            .map_err(|error| RunError::Setup(format!("providers.{}.http: {error}", config.name)))?,
        };
        let mut options =
            AccountOptions::new(config.name.clone(), config.base_url.clone(), transport);
        // Whichever name comes first, the account gets the strictest pace of all that stand for it.
        let sharing: Vec<&HttpConfig> = self
            .inner
            .config
            .providers
            .values()
            .filter(|other| other.account_key() == key)
            .map(|other| &other.http)
            .collect();
        options.requests_per_minute = sharing
            .iter()
            .filter_map(|http| http.requests_per_minute)
            .min();
        options.concurrency = sharing
            .iter()
            .map(|http| http.concurrency)
            .min()
            .unwrap_or(config.http.concurrency);
        options.max_retries = config.http.max_retries;
        options.requests_per_day = sharing
            .iter()
            .filter_map(|http| http.requests_per_day)
            .min();
        options.timeout = config.http.timeout.unwrap_or(match config.kind {
            ProviderKind::Emfluence => TIMEOUT_EMFLUENCE,
            ProviderKind::GreenRope => TIMEOUT_GREENROPE,
            ProviderKind::ActiveCampaignLists | ProviderKind::ActiveCampaignUsers => {
                TIMEOUT_ACTIVECAMPAIGN
            }
        });
        options.max_body = config.http.max_answer;
        let capped = options.requests_per_day.is_some();
        let account = Account::new(options);
        if capped {
            account.count_earlier_requests(
                self.store()
                    .requests_of_a_day(&hash_of_account(&key), self.now())?,
            );
        }
        for secret in self.secrets_at_hand() {
            account.keep_out(&secret);
        }
        accounts.insert(key, account.clone());
        Ok(account)
    }
}
