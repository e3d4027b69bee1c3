//! The items of a run, gathered from the state database.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{RunView, View};
use crate::report::{FORMAT_VERSION, ItemFilter};
use crate::state::{
    ItemPlace, JournalOutcome, RunItem, RunRecord, StateError, Store, UnsettledItem,
};

/// What is asked of the items of a run.
#[derive(Clone, Debug, Default)]
pub struct ItemQuery {
    /// Which items are meant.
    pub filter: ItemFilter,
    /// Behind which place the page begins, as [`RunItems::next`] says it.
    pub after: Option<String>,
    /// How many items are shown at most.
    pub limit: usize,
}

/// How many items of a run are of one kind and ended alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct KindCount {
    /// The operation, as the plan format names it.
    pub op: String,
    /// What became of them.
    pub outcome: String,
    /// How many there are.
    pub count: u64,
}

/// A page of the items of a run.
#[derive(Clone, Debug, Serialize)]
pub struct RunItems {
    /// How many items the run has.
    pub total: u64,
    /// How many of them are meant.
    pub meant: u64,
    /// How many that are meant stand before those of this page.
    pub before: u64,
    /// Those that are meant, by kind and outcome; they add up to `meant`.
    pub kinds: Vec<KindCount>,
    /// The names of the groups that the items are about.
    pub groups: Vec<String>,
    /// The items of this page.
    pub items: Vec<RunItem>,
    /// The place behind which the next page begins; nothing on the last one.
    pub next: Option<String>,
}

/// A run with a page of its items, as `show` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct ItemsOfRun {
    /// The version of the format.
    pub version: u32,
    /// The run.
    #[serde(flatten)]
    pub run: RunView,
    /// Its items.
    #[serde(flatten)]
    pub items: RunItems,
}

/// Where a page begins: how many that are meant stand before it, and the place of the last of those.
#[derive(Clone, Copy)]
struct Begin {
    before: u64,
    place: ItemPlace,
}

impl Begin {
    const START: Begin = Begin {
        before: 0,
        place: (i64::MIN, i64::MIN),
    };

    /// Reads what [`RunItems::next`] said; anything else begins at the start.
    fn parse(text: Option<&str>) -> Begin {
        let read = |text: &str| {
            let mut numbers = text.split('.');
            let begin = Begin {
                before: numbers.next()?.parse().ok()?,
                place: (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?),
            };
            numbers.next().is_none().then_some(begin)
        };
        text.and_then(read).unwrap_or(Begin::START)
    }

    fn text(self) -> String {
        format!("{}.{}.{}", self.before, self.place.0, self.place.1)
    }
}

/// How many items are read at a time where some of them are looked for.
const AT_ONCE: usize = 1_000;

impl View<'_> {
    /// Gathers a run with those of its items that are meant, a page at a time; nothing where no run has that
    /// id, or several begin with it.
    pub fn items_of_run(
        &self,
        id: &str,
        query: &ItemQuery,
    ) -> Result<Option<ItemsOfRun>, StateError> {
        let Some(store) = self.store else {
            return Ok(None);
        };
        let Some(run) = store.run(id)? else {
            return Ok(None);
        };
        Ok(Some(ItemsOfRun {
            version: FORMAT_VERSION,
            items: items(store, &run, query)?,
            run: RunView::of(&run),
        }))
    }
}

/// Counts items, and groups them by what is shown of them.
#[derive(Default)]
struct Counted {
    total: u64,
    meant: u64,
    kinds: BTreeMap<(String, String), u64>,
    groups: BTreeSet<String>,
}

impl Counted {
    fn take(&mut self, item: &RunItem, is_meant: bool, count: u64) {
        self.total += count;
        if let Some(group) = &item.group {
            self.groups.insert(group.clone());
        }
        if is_meant {
            self.meant += count;
            let kind = (item.op.clone(), item.outcome.clone());
            *self.kinds.entry(kind).or_default() += count;
        }
    }
}

fn items(store: &Store, run: &RunRecord, query: &ItemQuery) -> Result<RunItems, StateError> {
    let filter = &query.filter;
    let mut counted = Counted::default();
    let of_person = match &filter.member {
        Some(member) => Some(store.items_of_person(&run.id, member)?),
        None => None,
    };
    // Who is meant is counted by the few items of that person, and not by going through all of them.
    let of_person_only = |it: &RunItem| it.member == filter.member && filter.is_met_by(it);
    for alike in store.tally_items(&run.id)? {
        let item = RunItem {
            op: alike.op,
            outcome: alike.outcome,
            group: alike.group,
            group_id: alike.group_id,
            ..RunItem::default()
        };
        let is_meant = of_person.is_none() && filter.is_met_by(&item);
        counted.take(&item, is_meant, alike.count);
    }
    for (_, item) in of_person.iter().flatten() {
        if of_person_only(item) {
            counted.meant += 1;
            let kind = (item.op.clone(), item.outcome.clone());
            *counted.kinds.entry(kind).or_default() += 1;
        }
    }
    // What was sent and is not known to be done stands behind all the rest.
    let open = open_items(store, run)?;
    for item in &open {
        counted.take(item, filter.is_met_by(item), 1);
    }
    let begin = Begin::parse(query.after.as_deref());
    let limit = query.limit.max(1);
    let mut page: Vec<(ItemPlace, RunItem)> = Vec::new();
    if let Some(items) = of_person {
        let behind = items.into_iter().filter(|(place, _)| *place > begin.place);
        page.extend(behind.filter(|(_, item)| of_person_only(item)).take(limit));
    } else {
        let mut place = begin.place;
        while page.len() < limit {
            let part = store.items_behind(&run.id, place, AT_ONCE)?;
            let Some((last, _)) = part.last() else { break };
            place = *last;
            let meant = part.into_iter().filter(|(_, item)| filter.is_met_by(item));
            page.extend(meant.take(limit - page.len()));
        }
    }
    let open = open.into_iter().enumerate().map(|(at, item)| {
        let place = (i64::MAX, at as i64);
        (place, item)
    });
    let open = open.filter(|(place, item)| *place > begin.place && filter.is_met_by(item));
    let room = limit - page.len();
    page.extend(open.take(room));
    let shown = begin.before + page.len() as u64;
    let next = page.last().filter(|_| shown < counted.meant);
    Ok(RunItems {
        total: counted.total,
        meant: counted.meant,
        before: begin.before,
        next: next.map(|(place, _)| {
            let begin = Begin {
                before: shown,
                place: *place,
            };
            begin.text()
        }),
        kinds: counted
            .kinds
            .into_iter()
            .map(|((op, outcome), count)| KindCount { op, outcome, count })
            .collect(),
        groups: counted.groups.into_iter().collect(),
        items: page.into_iter().map(|(_, item)| item).collect(),
    })
}

/// What a run had sent and nobody knows the outcome of yet.
pub fn open_items(store: &Store, run: &RunRecord) -> Result<Vec<RunItem>, StateError> {
    let entries = store.unsettled(&run.job)?.into_iter();
    let sent = entries.filter(|entry| entry.run == run.id);
    let items = sent.flat_map(|entry| entry.items).filter(|item| {
        let outcome = item.outcome.as_ref();
        !outcome.is_some_and(JournalOutcome::is_final)
    });
    let links = store.links(&run.job)?;
    let name_of = |id: &str| {
        let link = links.iter().find(|link| link.target == id);
        link.map_or_else(|| id.to_owned(), |link| link.name.clone())
    };
    let mut lines = Vec::new();
    for UnsettledItem { item, .. } in items {
        let op = item.key.split(' ').next().unwrap_or_default();
        let groups: Vec<(String, Option<String>)> = match op {
            // The groups of such an item are those that had the name before.
            "create_group" => item.detail.into_iter().map(|name| (name, None)).collect(),
            _ => item
                .group
                .iter()
                .flat_map(|ids| ids.split(','))
                .map(|id| (name_of(id), Some(id.to_owned())))
                .collect(),
        };
        // Whoever is created in groups may have been there before, and joins them then.
        let op = match op {
            "create_members" if !groups.is_empty() => "add_memberships",
            op => op,
        };
        let line = |(group, group_id)| RunItem {
            op: op.to_owned(),
            group,
            group_id,
            member: item.member.clone(),
            outcome: "open".to_owned(),
            ..RunItem::default()
        };
        if groups.is_empty() {
            lines.push(line((None, None)));
        }
        let groups = groups.into_iter();
        lines.extend(groups.map(|(name, id)| line((Some(name), id))));
    }
    Ok(lines)
}
