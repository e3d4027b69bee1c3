//! Compiles the mapping of a job and binds it to the custom fields of its accounts.

use crate::config::settled::JobConfig;
use crate::mapping::{BoundMapping, Mapping, MappingSpec};
use crate::model::CustomFields;
use crate::provider;
use crate::run::accounts::Runner;
use crate::run::error::RunError;

/// Compiles the mapping of a job; the config was checked, so problems here are of a changed
/// program.
pub(in crate::run) fn compile(runner: &Runner, job: &JobConfig) -> Result<Mapping, RunError> {
    let kind = |name: &str| runner.config().providers[name].kind;
    let spec = MappingSpec {
        source: provider::schema(kind(&job.source)),
        target: provider::schema(kind(&job.target)),
        source_name: &job.source,
        group: &job.map_group,
        member: &job.map_member,
        r#where: job.members.r#where.as_deref(),
        create_fields: job.create_fields
            && provider::capabilities(kind(&job.target)).custom_fields_creatable,
    };
    Mapping::compile(&spec).map_err(|problems| config_error(job, &problems))
}

fn config_error(job: &JobConfig, problems: &[crate::mapping::MappingProblem]) -> RunError {
    let problems: Vec<String> = problems
        .iter()
        .map(|problem| match &problem.hint {
            Some(hint) => format!("{problem} ({hint})"),
            None => problem.to_string(),
        })
        .collect();
    RunError::Config {
        job: job.name.clone(),
        problems: problems.join("; "),
    }
}

impl Runner {
    /// Binds the mapping of a job to the custom fields of its accounts.
    pub(in crate::run) fn bind(
        &self,
        job: &JobConfig,
        source: &CustomFields,
        target: &CustomFields,
    ) -> Result<BoundMapping, RunError> {
        let (mapping, problems) = compile(self, job)?.bind(source, target);
        if problems.is_empty() {
            Ok(mapping)
        } else {
            Err(config_error(job, &problems))
        }
    }
}
