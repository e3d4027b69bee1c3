//! Tests of the planner: worlds go in as text, plans come out as text.

mod guards;
mod hands;
mod identity;
mod ledger;
mod memberships;
mod outside;
mod packing;
mod people;
mod prints;
mod properties;
mod renames;
mod scope;
mod seats;
mod shown;
mod table;
mod text;
mod world;

use text::{parse, render};

/// Plans the world that `input` describes (see [`text`]) and compares the plan, line by line, with
/// `expected`.
#[track_caller]
fn check(input: &str, expected: &str) {
    let world = parse(input);
    let found = world.planned(render);
    let expected: Vec<&str> = expected
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let found: Vec<&str> = found.lines().collect();
    assert_eq!(found, expected, "\nof the world\n{input}\n");
}
