//! Logs on standard error, as text for people or as JSON for collectors.

use std::io;

use clap::ValueEnum;
use indicatif::MultiProgress;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Starts the logs. `verbose` counts how often `-v` was given; `quiet` leaves errors only;
/// `service` begins at INFO.
pub(super) fn start(
    format: LogFormat,
    verbose: u8,
    quiet: bool,
    service: bool,
    bars: &MultiProgress,
) {
    let filter = EnvFilter::new(directives(verbose, quiet, service));
    let writer = BesideBars(bars.clone());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_target(verbose > 1);
    // A second start in one process, as in tests, keeps the first.
    let started = match format {
        LogFormat::Text => builder
            .with_ansi(anstream::stderr().is_terminal())
            .try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    drop(started);
}

/// Says what is logged: other crates stay below DEBUG, where they would show requests.
fn directives(verbose: u8, quiet: bool, service: bool) -> &'static str {
    match (quiet, verbose + u8::from(service)) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "warn,rosterd=info",
        (false, 2) => "warn,rosterd=debug",
        (false, _) => "info,rosterd=trace",
    }
}

/// Writes log lines above the progress bars instead of into them.
struct BesideBars(MultiProgress);

impl<'a> MakeWriter<'a> for BesideBars {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(&self.0)
    }
}

struct Line<'a>(&'a MultiProgress);

impl io::Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().lock().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_crates_never_log_below_info() {
        for verbose in 0..5 {
            for service in [false, true] {
                let others = directives(verbose, false, service)
                    .split(',')
                    .next()
                    .unwrap();
                assert!(["warn", "info"].contains(&others), "{others}");
            }
        }
        assert_eq!(directives(3, true, true), "error");
        assert_eq!(directives(0, false, true), "warn,rosterd=info");
    }
}
