//! Every statement of the store, and how SQLite finds what it asks for.

use std::fs;
use std::path::Path;

use rusqlite::{Connection, params_from_iter, types::Null};

use crate::state::Store;
use crate::state::runs::RUN_COLUMNS;

/// The tables that grow with an account or with history, and how many columns of a key a statement
/// has to name so that what it reads does not grow with them.
const GROWING: [(&str, usize); 27] = [
    ("accepted", 2),
    ("approval_items", 2),
    ("approvals", 1),
    ("carried", 3),
    ("consent_audiences", 1),
    ("consent_facts", 1),
    ("consent_people", 1),
    ("deliveries", 1),
    ("failures", 3),
    ("former_links", 2),
    ("group_sizes", 3),
    ("journal", 1),
    ("journal_items", 1),
    ("journal_values", 1),
    ("member_fields", 2),
    ("member_links", 2),
    ("memberships", 3),
    ("notices", 1),
    ("past_memberships", 4),
    ("remembered_absent", 2),
    ("remembered_listings", 2),
    ("remembered_members", 2),
    ("request_counts", 2),
    ("run_items", 1),
    ("run_values", 1),
    ("runs", 1),
    ("texts", 1),
];

/// Keys by which a statement has to name another number of columns than the rest of its table.
const KEYS: [(&str, &str, usize); 7] = [
    // From a person or an audience to the facts, and not through all of a kind.
    ("consent_people", "PRIMARY KEY", 3),
    ("consent_audiences", "PRIMARY KEY", 3),
    // All that an account has open.
    ("consent_facts", "consent_facts_open", usize::MAX),
    // The whole history of a job.
    ("runs", "runs_started", 2),
    ("runs", "runs_open", 1),
    // What a channel has still to tell.
    ("deliveries", "deliveries_waiting", 1),
    // What of a job is missing.
    ("memberships", "memberships_missing", 1),
];

/// What SQLite does where no key has the order that is asked for: it reads all rows before the first.
const SORTS: &str = "USE TEMP B-TREE FOR ORDER BY";

/// A statement that reads more than it asks for has this in a comment, with the reason.
const WALKS: &str = "/* walks: ";

#[test]
fn no_statement_walks_through_what_grows_without_saying_why() {
    let store = Store::in_memory();
    let connection = store.lock();
    let statements = statements();
    assert!(statements.len() > 100, "{} were found", statements.len());
    let mut wrong = Vec::new();
    for (place, sql) in statements {
        let plans = variants(&sql)
            .into_iter()
            .map(|sql| plan(&connection, &sql));
        let steps: Vec<String> = plans.flatten().collect();
        let says = sql.contains(WALKS);
        if says != steps.iter().any(|step| walks(step, &sql)) {
            let what = if says { "says that it walks" } else { "walks" };
            wrong.push(format!("{place} {what}: {sql}\n    {steps:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The steps by which SQLite answers a statement.
fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let mut explain = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    let parameters = vec![Null; explain.parameter_count()];
    let steps = explain.query_map(params_from_iter(parameters), |row| row.get(3));
    steps.unwrap().collect::<Result<_, _>>().unwrap()
}

/// Whether a step reads rows of a growing table that the statement does not ask for.
fn walks(step: &str, sql: &str) -> bool {
    if step == SORTS && sql.contains(" LIMIT ") {
        return true;
    }
    let mut words = step.split_whitespace();
    let (Some(how), Some(name)) = (words.next(), words.next()) else {
        return false;
    };
    let named = format!(" AS {name} ");
    let is_table = |table: &str| {
        let alias = sql.split_whitespace().collect::<Vec<_>>().join(" ") + " ";
        table == name || alias.contains(&format!("{table}{named}"))
    };
    let Some((table, least)) = GROWING.iter().find(|(table, _)| is_table(table)) else {
        return false;
    };
    let own = KEYS
        .iter()
        .find(|(of, key, _)| of == table && step.contains(key));
    let least = own.map_or(*least, |(_, _, least)| *least);
    match how {
        "SCAN" => true,
        "SEARCH" => step.matches("=?").count() < least && !is_range(step),
        _ => false,
    }
}

/// Whether a step ends where the rows that are asked for end.
fn is_range(step: &str) -> bool {
    let ends = step.contains("<?") || step.contains(">?");
    ends && !step.contains("consent_facts_open")
}

/// The statements in the sources, with their files.
fn statements() -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/state");
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let place = path.file_name().unwrap().to_string_lossy().into_owned();
        // An older file is moved once.
        if path.extension().is_none_or(|kind| kind != "rs") || place == "renumber.rs" {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for sql in code.split('"').filter(|literal| is_statement(literal)) {
            found.push((place.clone(), sql.replace("{RUN_COLUMNS}", RUN_COLUMNS)));
        }
    }
    found
}

fn is_statement(literal: &str) -> bool {
    ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "]
        .iter()
        .any(|word| literal.starts_with(word))
}

/// A statement with each of the conditions that it is made for.
fn variants(sql: &str) -> Vec<String> {
    let mut made = vec![sql.to_owned()];
    for (place, conditions) in [
        ("{of_job}", ["job = ?1", "?1 IS NULL"]),
        ("{of}", ["group_id = ?1 AND member IS NULL", "member = ?1"]),
    ] {
        if sql.contains(place) {
            made = made
                .iter()
                .flat_map(|sql| conditions.map(|condition| sql.replace(place, condition)))
                .collect();
        }
    }
    made
}
