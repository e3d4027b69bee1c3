//! Reads members, and what is doubtful of them once more.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use crate::model::{MemberRow, SnapshotBuilder, Tap, TotalMeanings};
use crate::provider::{MemberAsk, ReadError};
use crate::run::accounts::Handle;
use crate::run::error::RunError;

/// Asks for members once. Where several listings come out of one stream of requests, they began
/// with it.
async fn ask_members(
    handle: &Handle,
    ask: &MemberAsk<'_>,
    builder: &mut SnapshotBuilder<'_>,
    began: &mut BTreeMap<String, Instant>,
) -> Result<(), RunError> {
    let now = handle.account.now();
    began.extend(ask.groups.iter().map(|row| (row.id.clone(), now)));
    let mut sink = Tap {
        sink: builder,
        row: |_: &MemberRow| {},
        begins: |group: &str| {
            began.insert(group.to_owned(), handle.account.now());
        },
    };
    handle
        .adapter
        .members(ask, &mut sink)
        .await
        .map_err(handle.read_error())
}

/// Reads members, and each doubtful listing once more: a listing may move while it is read. Returns
/// when the reading of each listing began.
pub(super) async fn read_members(
    handle: &Handle,
    ask: &MemberAsk<'_>,
    builder: &mut SnapshotBuilder<'_>,
    meanings: &BTreeSet<TotalMeanings>,
) -> Result<BTreeMap<String, Instant>, RunError> {
    let mut began = BTreeMap::new();
    ask_members(handle, ask, builder, &mut began).await?;
    let doubtful = builder.doubtful_listings(meanings);
    if doubtful.is_empty() {
        return Ok(began);
    }
    // The counts that a listing is held against may be older than the listing, so they are read
    // again as well.
    let mut rows = Vec::new();
    for id in &doubtful {
        match handle.adapter.group(id).await {
            Ok(row) => rows.extend(row),
            // It stays as doubtful as it is.
            Err(ReadError::Call(error)) if error.is_of_the_question() => {}
            Err(error) => return Err(handle.read_error()(error)),
        }
    }
    let again = MemberAsk {
        groups: &rows,
        fields: ask.fields,
        role: ask.role,
    };
    ask_members(handle, &again, builder, &mut began).await?;
    Ok(began)
}
