//! What a page says of the command that made it.

use super::context::Context;
use crate::config::Config;
use crate::config::settled::JobConfig;
use crate::report::PageAbout;

/// Tells when and by which config a page is made, and which accounts a job has there.
pub(super) fn page_about(context: &Context, config: &Config, job: Option<&JobConfig>) -> PageAbout {
    PageAbout::of(
        context.config_path(),
        config,
        job,
        Context::now(),
        Context::zone(),
    )
}
