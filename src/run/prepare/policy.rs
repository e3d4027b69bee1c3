//! What of the config decides.

use crate::config::settled::JobConfig;
use crate::plan::Policy;
use crate::run::accounts::Runner;

impl Runner {
    pub(super) fn policy(&self, job: &JobConfig) -> Policy {
        let config = self.config();
        let mut hasher = blake3::Hasher::new();
        // The settled job in its debug form holds no secret and changes with every setting that
        // matters.
        hasher.update(format!("{job:?}").as_bytes());
        for name in [&job.source, &job.target] {
            let provider = &config.providers[name];
            hasher.update(provider.account_key().as_bytes());
            hasher.update(
                format!(
                    "{:?} {:?} {:?}",
                    provider.kind, provider.parking_group, provider.defaults
                )
                .as_bytes(),
            );
        }
        Policy {
            job: job.name.clone(),
            source: job.source.clone(),
            target: job.target.clone(),
            mode: job.mode,
            groups: job.groups.clone(),
            members: job.members.clone(),
            guards: job.guards.clone(),
            allow_auto_response: job.allow_auto_response,
            source_shared: config.providers[&job.source].shared_access,
            target_shared: config.providers[&job.target].shared_access,
            parking_group: config.providers[&job.target].parking_group.clone(),
            opt_outs_confirmed: false,
            config_hash: hasher.finalize().to_hex()[..32].to_owned(),
        }
    }
}
