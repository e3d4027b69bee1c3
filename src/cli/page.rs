//! What a page says of the command that made it.

use super::context::Context;
use crate::config::Config;
use crate::config::settled::JobConfig;
use crate::report::{PageAbout, PageAccount};

/// Tells when and by which config a page is made, and which accounts a job has there.
pub(super) fn page_about(context: &Context, config: &Config, job: Option<&JobConfig>) -> PageAbout {
    let account = |name: &String| {
        let provider = config.providers.get(name)?;
        // The host and nothing else: an address may hold a login.
        let host = provider.base_url.host_str().unwrap_or_default();
        Some(PageAccount {
            name: name.clone(),
            kind: provider.kind.to_string(),
            host: match provider.base_url.port() {
                Some(port) => format!("{host}:{port}"),
                None => host.to_owned(),
            },
            id: provider.account_id.clone(),
        })
    };
    let path = context.config_path();
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    PageAbout {
        made: Context::now(),
        zone: Context::zone(),
        config: path.display().to_string(),
        source: job.and_then(|job| account(&job.source)),
        target: job.and_then(|job| account(&job.target)),
        saved: None,
    }
}
