//! Progress on a terminal, one line per job.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::report::harmless;
use crate::run::{Progress, Silent};

/// Returns progress bars where a person can see them, and silence elsewhere.
pub(super) fn progress(bars: &MultiProgress, wanted: bool) -> Arc<dyn Progress> {
    if wanted && std::io::stderr().is_terminal() {
        Arc::new(Bars {
            all: bars.clone(),
            by_job: Mutex::default(),
        })
    } else {
        Arc::new(Silent)
    }
}

struct Bars {
    all: MultiProgress,
    by_job: Mutex<HashMap<String, ProgressBar>>,
}

impl Bars {
    fn bar(&self, job: &str) -> ProgressBar {
        let mut bars = self.by_job.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = bars.entry(job.to_owned()).or_insert_with(|| {
            let bar = self.all.add(ProgressBar::new_spinner());
            bar.set_prefix(harmless(job).into_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        bar.clone()
    }
}

impl Progress for Bars {
    fn stage(&self, job: &str, text: &str) {
        let bar = self.bar(job);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}: {wide_msg} {elapsed}")
        {
            bar.set_style(style);
        }
        bar.set_message(harmless(text).into_owned());
    }

    fn advance(&self, job: &str, done: u64, of: u64) {
        let bar = self.bar(job);
        if let Ok(style) = ProgressStyle::with_template(
            "{spinner} {prefix}: {msg} {wide_bar} {pos}/{len}, {eta} left",
        ) {
            bar.set_style(style);
        }
        bar.set_length(of);
        bar.set_position(done);
    }

    fn finish(&self, job: &str) {
        let bar = self
            .by_job
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(job);
        if let Some(bar) = bar {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }
}
