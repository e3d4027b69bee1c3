//! Who is in doubt, and which listing, where pages of contacts do not bring all that they should.

use serde_json::{Value as Json, json};

use super::codec::fixture;
use super::reading::{forbidden, json_of, list, me};
use super::service::{read_groups, scripted};
use crate::model::Unreadable;
use crate::provider::Role;
use crate::provider::activecampaign::{ActiveCampaign, ActiveCampaignGroups};
use crate::provider::testing::Read;

/// Serves contacts on list 1, of whom `page` gives what comes after an id, beside a custom field.
/// `counted` are said to be on the list.
fn paged(
    counted: u64,
    page: impl Fn(u64, &str) -> Json + Clone + Send + Sync + 'static,
) -> ActiveCampaign {
    let (adapter, _) = scripted(ActiveCampaignGroups::Lists, move |asked| {
        match asked.call.as_str() {
            "contacts" => {
                let include = asked.parameters.get("include").map(String::as_str);
                let after = asked.parameters["id_greater"].parse().unwrap();
                json_of(page(after, include.unwrap_or_default()))
            }
            "fields" => json_of(json!({
                "fields": [{"id": "4", "perstag": "LEVEL", "title": "Level", "type": "text"}], "meta": {"total": "1"},
            })),
            "contactLists" => {
                json_of(json!({"contactLists": [], "meta": {"total": counted.to_string()}}))
            }
            "user_me" => (200, me()),
            "import/bulk_import" => (200, fixture!("good/totals.json").to_vec()),
            _ => forbidden(),
        }
    });
    adapter
}

/// A page of contacts on list 1, of whom nothing stands for one that can't be read.
fn contacts(ids: &[Option<u64>], total: Option<u64>) -> Json {
    let row = |id: &Option<u64>| {
        id.map_or(
            Json::Null,
            |id| json!({"id": id, "email": format!("p{id}@example.org")}),
        )
    };
    let known = || ids.iter().flatten();
    let edge = |id: &u64| json!({"contact": id, "list": "1", "status": "1"});
    let value = |id: &u64| json!({"contact": id, "field": "4", "value": "Gold"});
    let mut page = json!({
        "contacts": ids.iter().map(row).collect::<Vec<_>>(),
        "contactLists": known().map(edge).collect::<Vec<_>>(),
        "fieldValues": known().map(value).collect::<Vec<_>>(),
    });
    if let Some(total) = total {
        page["meta"] = json!({"total": total.to_string()});
    }
    page
}

async fn read_of(adapter: &ActiveCampaign) -> Read {
    let read = read_groups(adapter, &[list("1")], &["custom.LEVEL"], Role::Source).await;
    read.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_later_page_without_custom_values_clears_nobodys() {
    for apart in [false, true] {
        let adapter = paged(3, move |after, include| {
            let ids: &[Option<u64>] = match after {
                0 => &[Some(101), Some(102)],
                102 => &[Some(103)],
                _ => &[],
            };
            let mut page = contacts(ids, Some(3));
            let fields = page.as_object_mut().unwrap();
            // Some accounts give them in a pass of their own only.
            if after > 0 || !include.contains("fieldValues") || (apart && include.contains(',')) {
                fields.remove("fieldValues");
            }
            if !include.contains("contactLists") {
                fields.remove("contactLists");
            }
            page
        });
        let read = read_of(&adapter).await;
        assert_eq!(
            read.listing("1"),
            "101:active 102:active 103:active",
            "{apart}"
        );
        assert!(read.shelf.0.keys().eq(["101", "102"]), "{apart}");
        let unread: Vec<_> = read.snapshot.unreadable.iter().collect();
        let [(id, Unreadable::Value(why))] = unread.as_slice() else {
            panic!("{unread:?}");
        };
        assert_eq!(*id, "103");
        assert_eq!(why, "its page of contacts came without the custom values");
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_that_cannot_be_read_and_comes_again_counts_once() {
    // It is the last of a short page; the one behind it comes with it on the next.
    let adapter = paged(3, |after, _| {
        let ids: &[Option<u64>] = match after {
            0 => &[Some(101), None],
            101 => &[None, Some(103)],
            103 => &[Some(104)],
            _ => &[],
        };
        contacts(ids, Some(4))
    });
    let read = read_of(&adapter).await;
    assert_eq!(read.rows("1"), "101:active 103:active 104:active");
    assert!(
        read.why("1").contains("a row of the contacts is null"),
        "{}",
        read.why("1")
    );
    assert!(read.snapshot.certificates["1"].opt_outs_complete);
}

#[tokio::test(start_paused = true)]
async fn nobody_knows_who_comes_behind_rows_that_cannot_be_read() {
    // Without a total nothing tells whether anybody does; with one that is met, nobody.
    for (total, opt_outs) in [(None, false), (Some(4), false), (Some(3), true)] {
        let adapter = paged(1, move |after, _| match after {
            0 => contacts(&[Some(101)], total),
            _ => contacts(&[None, None], total),
        });
        let read = read_of(&adapter).await;
        assert_eq!(read.rows("1"), "101:active");
        let why = read.why("1");
        assert!(
            why.starts_with("a row of the contacts") || !opt_outs,
            "{why}"
        );
        assert_eq!(
            read.snapshot.certificates["1"].opt_outs_complete, opt_outs,
            "{why}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_left_out_is_told_in_the_same_words_wherever_it_stands() {
    let told = |before: u64, odd: usize| async move {
        let adapter = paged(before + 1, move |after, _| {
            let mut ids: Vec<Option<u64>> = (1..=before).map(Some).collect();
            ids.extend(vec![None; odd]);
            ids.push(Some(900));
            ids.retain(|id| id.is_none_or(|id| id > after));
            let total = ids.len() as u64;
            let mut page = contacts(&ids, Some(total));
            let edges = page["contactLists"].as_array_mut().unwrap();
            let stray = json!({"contact": null, "list": "1", "status": "1"});
            edges.insert(usize::try_from(before).unwrap(), stray);
            page
        });
        read_of(&adapter).await.why("1")
    };
    let words = told(1, 1).await;
    assert!(
        words.contains("a membership of list 1 does not say whose it is"),
        "{words}"
    );
    assert_eq!(told(4, 3).await, words);
}
