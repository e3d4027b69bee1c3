//! `rosterd check`: is everything as it should be?

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::{Format, FormatArg};
use crate::cli::output::print;
use crate::cli::paint::{ERROR, GOOD, WARNING};
use crate::config::secrets::SecretError;
use crate::config::{self, Config, ConfigError};
use crate::notify;
use crate::program::ROSTERD;
use crate::report::{JobRow, duration, harmless, write_schedule_text};
use crate::run::{OnlineReport, Prediction, RunError};
use crate::state::StateError;
use crate::web::view::job_rows;

/// Checks the config and the state database; with `--online` also the accounts.
#[derive(clap::Args, Debug)]
pub(crate) struct CheckArgs {
    /// Also logs in everywhere, proves account and rights, reads the groups, and predicts what a
    /// run takes.
    #[arg(long)]
    online: bool,
    #[command(flatten)]
    format: FormatArg,
}

/// What checking found out.
#[derive(Default)]
struct Findings {
    config: config::diagnostics::Diagnostics,
    providers: usize,
    jobs: Vec<JobRow>,
    /// The state database, where there is one, and what is wrong with it.
    state: Option<(String, Vec<String>)>,
    /// What the config refers to on this machine and is not there, each in one sentence.
    unusable: Vec<String>,
    online: BTreeMap<String, Result<OnlineReport, CommandError>>,
    predictions: BTreeMap<String, Result<Prediction, CommandError>>,
}

pub(crate) async fn cmd_check(
    context: &Context,
    args: &CheckArgs,
) -> Result<ExitCode, CommandError> {
    let (config, warnings) = match config::load(context.config_path()) {
        Ok((config, warnings)) => (context.with_state(config), warnings),
        Err(ConfigError::Invalid(found)) => {
            let findings = Findings {
                config: found,
                ..Findings::default()
            };
            show(context, args, &findings, ExitCode::Usage)?;
            return Ok(ExitCode::Usage);
        }
        Err(error) => return Err(error.into()),
    };
    let now = Context::now();
    let unusable = unusable(&config);
    let store = Context::existing_store(&config)?;
    let mut findings = Findings {
        config: config::diagnostics::Diagnostics::new(warnings),
        providers: config.providers.len(),
        jobs: job_rows(&config, store.as_ref(), now, 3)?,
        unusable,
        ..Findings::default()
    };
    if let Some(store) = &store {
        findings.state = Some((
            config.state_path.display().to_string(),
            store.integrity_check()?,
        ));
    }
    drop(store);
    if args.online && findings.unusable.is_empty() {
        online(context, config.clone(), &mut findings).await?;
        // What fired while the accounts were asked is no next fire any more.
        let store = Context::existing_store(&config)?;
        findings.jobs = job_rows(&config, store.as_ref(), Context::now(), 3)?;
    }
    let code = findings.code();
    show(context, args, &findings, code)?;
    Ok(code)
}

/// Finds out what a run would miss on this machine: secrets, as far as no command has to be run for
/// them, and a directory for the state database. Also finds source and target of a job that turn
/// out to be one account by their secrets.
fn unusable(config: &Config) -> Vec<String> {
    let mut problems = Vec::new();
    let mut logins = BTreeMap::new();
    for (place, secret) in config.secrets() {
        if secret.is_command() {
            continue;
        }
        match secret.fetch(&place) {
            Ok(secret) => {
                let provider = place.split('.').nth(1).unwrap_or_default().to_owned();
                logins.insert(provider, blake3::hash(secret.expose_secret().as_bytes()));
            }
            // Credentials are there once systemd has started the service, and a person's shell has
            // none.
            Err(SecretError::NoCredentials { .. }) => {}
            Err(error) => problems.push(error.to_string()),
        }
    }
    problems.extend(notify::problems(config));
    let directory = config.state_path.parent();
    if let Some(directory) = directory.filter(|directory| !directory.as_os_str().is_empty())
        && !directory.is_dir()
    {
        let error = StateError::NoDirectory {
            path: config.state_path.clone(),
            directory: directory.to_owned(),
        };
        problems.push(error.to_string());
    }
    for job in config.jobs.values() {
        let (source, target) = (
            &config.providers[&job.source],
            &config.providers[&job.target],
        );
        let same_login =
            logins.contains_key(&job.source) && logins.get(&job.source) == logins.get(&job.target);
        if source.is_same_account(target, same_login) {
            problems.push(format!(
                "`jobs.{}` has one and the same account as source and target: name the provider of another account.",
                job.name
            ));
        }
    }
    problems
}

/// Asks every provider, and predicts every job whose providers answered.
async fn online(
    context: &Context,
    config: Config,
    findings: &mut Findings,
) -> Result<(), CommandError> {
    let jobs: Vec<(String, [String; 2])> = config
        .jobs
        .values()
        .map(|job| (job.name.clone(), [job.source.clone(), job.target.clone()]))
        .collect();
    let providers: Vec<String> = config.providers.keys().cloned().collect();
    let runner = context.runner(config)?;
    for provider in providers {
        let answer = context
            .interrupt
            .run(Box::pin(runner.check_online(&provider)))
            .await?;
        findings.online.insert(
            provider,
            answer.map_err(|error| CommandError::from(error).without_hints()),
        );
    }
    for (job, sides) in jobs {
        if context.interrupt.stop.is_cancelled() {
            return Err(RunError::Stopped.into());
        }
        if sides
            .iter()
            .all(|side| matches!(findings.online.get(side), Some(Ok(_))))
        {
            let prediction = context
                .interrupt
                .run(Box::pin(runner.predict(&job)))
                .await?;
            findings.predictions.insert(
                job,
                prediction.map_err(|error| CommandError::from(error).without_hints()),
            );
        }
    }
    Ok(())
}

impl Findings {
    fn code(&self) -> ExitCode {
        let state = self
            .state
            .iter()
            .filter(|(_, problems)| !problems.is_empty())
            .map(|_| ExitCode::Usage);
        let online = self
            .online
            .values()
            .filter_map(|answer| answer.as_ref().err());
        let predicted = self
            .predictions
            .values()
            .filter_map(|answer| answer.as_ref().err());
        let wrong = self.config.has_errors() || !self.unusable.is_empty();
        let config = wrong.then_some(ExitCode::Usage);
        ExitCode::worst(
            state
                .chain(config)
                .chain(online.chain(predicted).map(CommandError::code)),
        )
    }
}

/// Writes a number of things.
fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// Says whether a run takes longer than the time between two of them.
fn too_slow(prediction: &Prediction) -> Option<String> {
    let period = prediction.period?;
    let takes = Duration::from_secs_f64(prediction.minutes.max(0.0) * 60.0);
    (takes > period).then(|| {
        format!(
            "reading takes about {} and the schedule fires every {}: a run can't end before the next one starts",
            duration(takes),
            duration(period)
        )
    })
}

fn show(
    context: &Context,
    args: &CheckArgs,
    findings: &Findings,
    code: ExitCode,
) -> Result<(), CommandError> {
    print(|out| match args.format.format {
        Format::Text => write_text(out, context, findings),
        Format::Json => crate::report::write_document(out, &document(findings, code)),
    })
}

fn write_text(out: &mut dyn Write, context: &Context, findings: &Findings) -> io::Result<()> {
    if !findings.config.is_empty() {
        writeln!(out, "{}\n", findings.config.render(true))?;
    }
    let path = context.config_path().display();
    if findings.config.has_errors() {
        let errors = findings
            .config
            .iter()
            .filter(|finding| finding.severity == config::diagnostics::Severity::Error)
            .count();
        return writeln!(
            out,
            "{ERROR}{}{ERROR:#} in {path}.",
            counted(errors, "problem")
        );
    }
    let (providers, jobs) = (findings.providers, findings.jobs.len());
    let counts = format!(
        "{path}: {}, {}",
        counted(providers, "provider"),
        counted(jobs, "job")
    );
    // A file that is sound is not all that a run needs.
    if findings.unusable.is_empty() {
        writeln!(out, "{GOOD}ok{GOOD:#} {counts}")?;
    } else {
        writeln!(out, "{counts}, and what they need is not all there:")?;
    }
    for problem in &findings.unusable {
        writeln!(out, "{ERROR}error:{ERROR:#} {}", harmless(problem))?;
    }
    match &findings.state {
        None if !findings.unusable.is_empty() => {}
        None => writeln!(
            out,
            "{GOOD}ok{GOOD:#} no state database yet; the first run makes one"
        )?,
        Some((path, problems)) if problems.is_empty() => {
            writeln!(out, "{GOOD}ok{GOOD:#} state database {path}")?;
        }
        Some((path, problems)) => {
            writeln!(
                out,
                "{ERROR}error:{ERROR:#} the state database {path} is damaged; put a copy back with `{ROSTERD} restore`"
            )?;
            problems
                .iter()
                .try_for_each(|problem| writeln!(out, "  {}", harmless(problem)))?;
        }
    }
    for (provider, answer) in &findings.online {
        match answer {
            Ok(report) => {
                writeln!(
                    out,
                    "{GOOD}ok{GOOD:#} {}: logged in, {}",
                    harmless(provider),
                    counted(report.groups, "group")
                )?;
                for doubt in &report.doubts {
                    writeln!(
                        out,
                        "  {WARNING}warning:{WARNING:#} the list of groups may not be whole: {}",
                        harmless(doubt)
                    )?;
                }
                for remark in report.remarks.iter().chain(&report.lacks) {
                    writeln!(out, "  {WARNING}warning:{WARNING:#} {}", harmless(remark))?;
                }
                if !report.custom_fields_known {
                    writeln!(
                        out,
                        "  {WARNING}warning:{WARNING:#} this login may not read the definitions of custom fields"
                    )?;
                }
            }
            Err(error) => error.print(out)?,
        }
    }
    for (job, answer) in &findings.predictions {
        match answer {
            Ok(prediction) => {
                let reads: Vec<String> = prediction
                    .reads
                    .iter()
                    .map(|(provider, reads)| format!("{reads} times from {}", harmless(provider)))
                    .collect();
                let takes = duration(Duration::from_secs_f64(prediction.minutes.max(0.0) * 60.0));
                let takes = if prediction.minutes * 60.0 < 1.0 {
                    takes
                } else {
                    format!("about {takes}")
                };
                let (job, reads) = (harmless(job), reads.join(" and "));
                writeln!(
                    out,
                    "{GOOD}ok{GOOD:#} {job}: a run reads {reads}; that takes {takes}"
                )?;
                if let Some(first) = prediction.first {
                    let minutes = prediction.minutes + first.minutes;
                    let all = duration(Duration::from_secs_f64(minutes.max(0.0) * 60.0));
                    writeln!(
                        out,
                        "  a first run writes as well, up to about {}, and takes about {all} in all",
                        counted(first.requests as usize, "request")
                    )?;
                }
                for warning in too_slow(prediction).iter().chain(&prediction.warnings) {
                    writeln!(out, "  {WARNING}warning:{WARNING:#} {}", harmless(warning))?;
                }
            }
            Err(error) => error.print(out)?,
        }
    }
    writeln!(out, "\nNext fires:")?;
    write_schedule_text(out, &findings.jobs, None, Context::now())
}

fn document(findings: &Findings, code: ExitCode) -> Value {
    let jobs: Vec<Value> = findings
        .jobs
        .iter()
        .map(|job| {
            let next: Vec<String> = job.next.iter().map(ToString::to_string).collect();
            let mut row = json!({"job": job.job, "schedule": job.schedule, "enabled": job.enabled, "runs_here": job.runs_here, "next": next});
            match findings.predictions.get(&job.job) {
                Some(Ok(prediction)) => {
                    row["reads"] = json!(prediction.reads);
                    row["minutes"] = json!(prediction.minutes);
                    row["first_run"] = json!(prediction.first.map(|first| {
                        json!({"requests": first.requests, "minutes": first.minutes + prediction.minutes})
                    }));
                    row["warning"] = json!(too_slow(prediction));
                    row["warnings"] = json!(prediction.warnings);
                }
                Some(Err(error)) => row["error"] = json!(error.message()),
                None => {}
            }
            row
        })
        .collect();
    let providers: Vec<Value> = findings
        .online
        .iter()
        .map(|(provider, answer)| match answer {
            Ok(report) => json!({
                "provider": provider,
                "ok": true,
                "groups": report.groups,
                "doubts": report.doubts,
                "remarks": report.remarks,
                "lacks": report.lacks,
                "custom_fields_known": report.custom_fields_known,
                "requests": report.requests,
            }),
            Err(error) => json!({"provider": provider, "ok": false, "error": error.message()}),
        })
        .collect();
    json!({
        "version": super::VERSION,
        "ok": code == ExitCode::Done,
        "findings": findings.config.to_json(),
        "unusable": findings.unusable,
        "state": findings.state.as_ref().map(|(path, problems)| json!({"path": path, "problems": problems})),
        "jobs": jobs,
        "providers": providers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_to_fit_its_schedule() {
        let prediction = |minutes, period| Prediction {
            reads: BTreeMap::new(),
            minutes,
            first: None,
            period,
            warnings: Vec::new(),
        };
        assert_eq!(too_slow(&prediction(20.0, None)), None);
        assert_eq!(
            too_slow(&prediction(5.0, Some(Duration::from_mins(15)))),
            None
        );
        assert!(
            too_slow(&prediction(20.0, Some(Duration::from_mins(15))))
                .unwrap()
                .contains("about 20 min")
        );
    }
}
