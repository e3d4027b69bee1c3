//! What is gathered, over a state of a few runs.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Counts, ItemQuery, View};
use crate::config::Config;
use crate::report::ItemFilter;
use crate::state::{FailureNote, Outcome, RunEnd, RunItem, RunStart, Store};

const CONFIG: &str = r#"
[providers.crm]
kind = "greenrope"
account_id = "1"
email = "ops@example.org"
password = { env = "ROSTERD_TEST_NOBODY" }
[providers.mail]
kind = "emfluence"
base_url = "https://mail.test/v1"
access_token = { env = "ROSTERD_TEST_NOBODY" }
[jobs.onward]
source = "crm"
target = "mail"
schedule = "*/15 * * * *"
time_zone = "Europe/Berlin"
"#;

pub(crate) fn config() -> Config {
    let (config, _) = crate::config::parse(CONFIG, Path::new("rosterd.toml")).unwrap();
    config
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

/// Takes down a run that ended after a second.
pub(crate) fn run(store: &Store, id: &str, seconds: i64, outcome: Outcome, summary: Value) {
    store
        .start_run(&RunStart {
            id: id.into(),
            job: "onward".into(),
            trigger: "schedule".into(),
            started: at(seconds),
        })
        .unwrap();
    let end = RunEnd {
        finished: at(seconds + 1),
        outcome,
        exit_code: outcome.exit_code(),
        wrote: false,
        completed: false,
        summary,
        error: None,
        measure: None,
        approved: None,
    };
    store.finish_run(id, &end, &[]).unwrap();
}

/// What a view is over.
pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) store: Store,
}

impl World {
    pub(crate) fn new() -> World {
        World {
            config: config(),
            store: Store::in_memory(),
        }
    }

    pub(crate) fn view(&self, seconds: i64) -> View<'_> {
        View {
            config: &self.config,
            store: Some(&self.store),
            now: at(seconds),
        }
    }
}

fn item(seq: u64, op: &str, group: &str, member: &str, outcome: &str) -> RunItem {
    RunItem {
        seq,
        op: op.into(),
        group: Some(group.into()),
        group_id: Some("70".into()),
        member: (!member.is_empty()).then(|| member.into()),
        outcome: outcome.into(),
        ..RunItem::default()
    }
}

#[test]
fn an_overview_has_the_keys_of_status_and_its_counts_are_those_of_its_jobs() {
    let world = World::new();
    world.store.service_began(7, at(0)).unwrap();
    let summary = json!({
        "memberships": {"add": 3}, "waiting_opt_outs": 10,
        "refusals": [{"guard": "max_opt_outs", "value": 12, "of": 20, "limit": "10%", "key": "k", "approval": "gone", "explanation": "e"}],
    });
    run(&world.store, "r1", 5, Outcome::Refused, summary);
    let note = FailureNote {
        key: "k".into(),
        what: "member".into(),
        reason: "bad_address".into(),
        item: "b7f3c1".into(),
        ..FailureNote::default()
    };
    world
        .store
        .replace_blocked("onward", &[note], at(6))
        .unwrap();
    let overview = world.view(10).overview().unwrap();
    let json = serde_json::to_value(&overview).unwrap();
    let job = &json["jobs"][0];
    assert_eq!(json["service"]["state"], "alive");
    assert_eq!(job["job"], "onward");
    assert_eq!(job["state"], "refused");
    assert_eq!(job["last_run"]["outcome"], "refused");
    assert_eq!(job["waiting_opt_outs"], 10);
    assert_eq!(job["open"], 1);
    assert_eq!(job["time_zone"], "Europe/Berlin");
    assert_eq!(
        job["approval"],
        Value::Null,
        "an approval that nobody offered can't be used"
    );
    let counts = Counts::of(&overview);
    assert_eq!(
        (counts.jobs, counts.open, counts.waiting_opt_outs),
        (1, 1, 10)
    );
    assert_eq!(counts.states["refused"], 1);
    assert!(counts.needs_a_person);
    let refusal = world.view(10).refusal("onward").unwrap().unwrap();
    assert_eq!(refusal.waiting_opt_outs, 10);
    assert_eq!(refusal.refusals[0].guard, "max_opt_outs");
    assert_eq!(refusal.refusals[0].value, 12);
    let failures = world.view(10).failures(Some("onward"), 0, 10).unwrap();
    assert_eq!(
        (failures.total, failures.open, failures.accepted),
        (1, 1, 0)
    );
}

#[test]
fn nothing_is_there_before_a_first_run_and_no_job_without_a_name() {
    let config = config();
    let view = View {
        config: &config,
        store: None,
        now: at(0),
    };
    assert_eq!(view.counts().unwrap().service, "never");
    assert!(view.job("other").unwrap().is_none());
    assert!(view.run("r").unwrap().is_none());
    assert_eq!(view.runs(None, None, 10).unwrap().total, 0);
    assert!(view.refusal("onward").unwrap().is_none());
    assert_eq!(view.failures(None, 0, 10).unwrap().total, 0);
    assert!(view.runs_over_time("onward").unwrap().runs.is_empty());
    let lines = view.members_over_time("onward", SignedDuration::from_hours(24));
    assert!(lines.unwrap().groups.is_empty());
}

#[test]
fn history_is_paged_without_losing_or_repeating_a_run() {
    let world = World::new();
    for number in 0..25 {
        // Some of them begin at the same moment.
        run(
            &world.store,
            &format!("r{number:02}"),
            number / 3,
            Outcome::Done,
            Value::Null,
        );
    }
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = world
            .view(100)
            .runs(Some("onward"), before.as_deref(), 4)
            .unwrap();
        assert_eq!(page.total, 25);
        seen.extend(page.runs.into_iter().map(|run| run.row.run));
        match page.next {
            Some(next) => before = Some(next),
            None => break,
        }
    }
    let mut all: Vec<String> = (0..25).map(|number| format!("r{number:02}")).collect();
    all.reverse();
    assert_eq!(seen, all);
    let all_jobs = world.view(100).runs(None, Some("r20"), 3).unwrap();
    assert_eq!(all_jobs.runs[0].row.run, "r19");
    let figures = world.view(100).runs_over_time("onward").unwrap();
    assert_eq!(figures.runs.len(), 25);
    assert_eq!(figures.runs[24].run, "r24", "the newest is the last");
    assert_eq!(figures.runs[0].seconds, Some(1.0));
}

#[test]
fn items_are_paged_and_filtered_and_their_counts_add_up() {
    let world = World::new();
    run(&world.store, "r1", 0, Outcome::Partial, Value::Null);
    let mut items = vec![item(1, "create_group", "News", "", "done")];
    for number in 0..30 {
        let outcome = if number % 10 == 0 { "failed" } else { "done" };
        let group = if number < 20 { "News" } else { "Donors" };
        let member = format!("p{number}@example.org");
        items.push(item(2, "add_memberships", group, &member, outcome));
    }
    world.store.add_run_items("r1", &items).unwrap();
    let walk = |filter: ItemFilter| {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let query = ItemQuery {
                filter: filter.clone(),
                after,
                limit: 7,
            };
            let page = world
                .view(9)
                .items_of_run("r1", &query)
                .unwrap()
                .unwrap()
                .items;
            assert_eq!(page.before, seen.len() as u64);
            assert_eq!(page.total, 31);
            assert_eq!(
                page.kinds.iter().map(|kind| kind.count).sum::<u64>(),
                page.meant
            );
            assert_eq!(page.groups, ["Donors", "News"]);
            seen.extend(page.items);
            let Some(next) = page.next else {
                assert_eq!(seen.len() as u64, page.meant);
                return seen;
            };
            after = Some(next);
        }
    };
    assert_eq!(walk(ItemFilter::default()).len(), 31);
    let of = |group: &str| ItemFilter {
        group: Some(group.into()),
        ..ItemFilter::default()
    };
    assert_eq!(walk(of("donors")).len(), 10);
    assert_eq!(walk(of("nobody")).len(), 0);
    let failed = walk(ItemFilter {
        outcome: Some("failed".into()),
        ..of("News")
    });
    assert_eq!(failed.len(), 2);
    let one = walk(ItemFilter {
        member: Some("p25@example.org".into()),
        ..ItemFilter::default()
    });
    assert_eq!(one.len(), 1);
    assert_eq!(one[0].group.as_deref(), Some("Donors"));
    let odd = ItemQuery {
        after: Some("x.y".into()),
        limit: 7,
        ..ItemQuery::default()
    };
    let page = world.view(9).items_of_run("r1", &odd).unwrap().unwrap();
    assert_eq!(
        page.items.items.len(),
        7,
        "what is no place is the beginning"
    );
    assert!(world.view(9).items_of_run("zz", &odd).unwrap().is_none());
}
