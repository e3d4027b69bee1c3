//! What a state database or a copy of one holds, for telling one from another.

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::words::{count, harmless, instant, listed};
use crate::state::Inventory;

/// How many jobs are named.
const NAMED: usize = 5;

/// Says what a database holds: its size, its schema, and what ran from it.
pub fn describe_inventory(inventory: &Inventory, zone: &TimeZone) -> String {
    let mut names: Vec<String> = inventory
        .jobs
        .iter()
        .take(NAMED)
        .map(|name| harmless(name).into_owned())
        .collect();
    if inventory.jobs.len() > NAMED {
        names.push(format!("{} more", inventory.jobs.len() - NAMED));
    }
    let names = if names.is_empty() {
        String::new()
    } else {
        format!(" ({})", listed(&names))
    };
    let last = match inventory.last_run {
        Some(last) => format!(", the last begun {}", instant(last, zone)),
        None => String::new(),
    };
    format!(
        "{}, schema version {}, {}{names}, {}{last}",
        count(inventory.bytes, "byte", "bytes"),
        inventory.schema,
        count(inventory.jobs.len() as u64, "job", "jobs"),
        count(inventory.runs, "run", "runs"),
    )
}

/// The same for programs.
pub fn inventory_json(inventory: &Inventory) -> Value {
    json!({
        "bytes": inventory.bytes,
        "schema_version": inventory.schema,
        "jobs": inventory.jobs,
        "runs": inventory.runs,
        "last_run": inventory.last_run.map(|last| last.to_string()),
        "unsettled": inventory.unsettled,
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_database_is_described_in_one_line() {
        let mut inventory = Inventory {
            bytes: 1_212_416,
            schema: 11,
            jobs: Vec::new(),
            runs: 0,
            last_run: None,
            unsettled: 0,
        };
        let text = |inventory: &Inventory| describe_inventory(inventory, &TimeZone::UTC);
        assert_eq!(
            text(&inventory),
            "1,212,416 bytes, schema version 11, 0 jobs, 0 runs"
        );
        inventory.jobs = (1..8).map(|number| format!("job-{number}")).collect();
        inventory.runs = 1_200;
        inventory.last_run = Some(Timestamp::UNIX_EPOCH);
        let said = text(&inventory);
        assert!(
            said.contains("7 jobs (job-1, job-2, job-3, job-4, job-5 and 2 more), 1,200 runs, the last begun 1970-01-01"),
            "{said}"
        );
    }
}
