//! Creating and changing lists.

use super::super::ActiveCampaign;
use super::super::wire::id_of;
use super::super::wire::lists::{self as wire, FullList, SENDER};
use super::refused;
use crate::http::CallError;
use crate::model::{GroupEdit, ItemOutcome, Record, Value};

impl ActiveCampaign {
    /// Creates a list, and compares what it shows with what was asked for.
    pub(super) async fn create_list(
        &self,
        name: &str,
        fields: &Record,
    ) -> Result<ItemOutcome, CallError> {
        let lacking: Vec<&str> = SENDER
            .into_iter()
            .filter(|field| fields.get(*field).is_none_or(Value::is_empty))
            .collect();
        if !lacking.is_empty() {
            return Ok(refused(&format!(
                "a list can't be created without {}; add them to the defaults of this provider in the config",
                lacking.join(", ")
            )));
        }
        let list = self
            .tell_v1(wire::add(name, fields), |answer| Ok(id_of(answer, "id")))
            .await?;
        let Some(list) = list else {
            return Ok(ItemOutcome::Unknown);
        };
        let id = Some(list.to_string());
        Ok(match self.ask_v1(wire::view(list), wire::full).await {
            Ok(Some(shown)) if shown.row.id == list.to_string() => {
                let mut wanted = fields.clone();
                wanted.insert("name".into(), Value::from(name));
                if differing(&wanted, &shown.row.wire).is_empty() {
                    ItemOutcome::Done { id }
                } else {
                    ItemOutcome::Accepted { id }
                }
            }
            _ => ItemOutcome::Accepted { id },
        })
    }

    /// Changes a list: everything it shows goes back with the changes, and whoever could see it can
    /// see it again.
    pub(super) async fn edit_list(&self, edit: &GroupEdit) -> Result<ItemOutcome, CallError> {
        let list = self.id("list_edit", &edit.id)?;
        let Some(current) = self.ask_v1(wire::view(list), wire::full).await? else {
            return Ok(refused(&format!(
                "list {list} is not there any more, or the key may not see it"
            )));
        };
        if current.row.unread.is_some() {
            // An edit repeats what does not change, and nobody knows what that is.
            return Ok(refused(&format!(
                "list {list} holds characters that can't be read, and an edit would write over them; correct its texts there"
            )));
        }
        let edited = self
            .tell_v1(wire::edit(list, &current, &edit.fields), |_| Ok(()))
            .await;
        if let Err(error) = edited {
            if error.may_have_been_done() {
                // The access that the edit may have dropped is not seen by whoever reads the list
                // back.
                drop(self.grant_again(list, &current).await);
            }
            return Err(error);
        }
        let shown = match self.grant_again(list, &current).await {
            Ok(Ok(shown)) => shown,
            Ok(Err(words)) => return Ok(refused(&words)),
            Err(_) => return Ok(ItemOutcome::Unknown),
        };
        let otherwise = differing(&edit.fields, &shown.row.wire);
        Ok(if otherwise.is_empty() {
            ItemOutcome::Done {
                id: Some(list.to_string()),
            }
        } else {
            refused(&format!(
                "ActiveCampaign answered that list {list} is saved and shows another value of {}; compare the list there with the config",
                otherwise.join(", ")
            ))
        })
    }

    /// Lets every user group see the list that saw it before, and returns the list as it is now, or
    /// what is lost.
    async fn grant_again(
        &self,
        list: u64,
        before: &FullList,
    ) -> Result<Result<FullList, String>, CallError> {
        let view = || async {
            let shown = self.ask_v1(wire::view(list), wire::full).await?;
            shown.ok_or_else(|| {
                self.account
                    .broken_rule("list_view", "a list that was just changed can't be seen")
            })
        };
        let mut shown = view().await?;
        let lost: Vec<u64> = before.granted.difference(&shown.granted).copied().collect();
        if lost.is_empty() {
            return Ok(Ok(shown));
        }
        for group in lost {
            // Whether it was granted shows in the next view, so an error is no reason to leave the
            // others out.
            drop(self.tell_v3(wire::grant(list, group), |_| Ok(())).await);
        }
        shown = view().await?;
        let lost: Vec<String> = before
            .granted
            .difference(&shown.granted)
            .map(ToString::to_string)
            .collect();
        if lost.is_empty() {
            return Ok(Ok(shown));
        }
        Ok(Err(format!(
            "list {list} was changed, and user groups {} can't see it any more; grant it to them at ActiveCampaign",
            lost.join(", ")
        )))
    }
}

/// Names the fields of which a list shows another value than was sent.
fn differing(sent: &Record, shown: &Record) -> Vec<String> {
    sent.iter()
        .filter(|(name, value)| {
            let settable = name.as_str() == "name" || wire::TEXTS.contains(&name.as_str());
            let shown = shown.get(*name).map(Value::to_string).unwrap_or_default();
            let sent = value.to_string();
            let stands_in = name.as_str() == "to_name"
                && sent.trim().is_empty()
                && shown.trim() == wire::NOBODY_BY_NAME;
            settable && shown.trim() != sent.trim() && !stands_in
        })
        .map(|(name, _)| name.to_string())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_name_of_the_reader_is_what_stands_in_for_it() {
        let of = |value: &str| Record::from([("to_name".into(), Value::from(value))]);
        assert_eq!(differing(&of(""), &of(wire::NOBODY_BY_NAME)), [""; 0]);
        assert_eq!(differing(&of(""), &of("Reader")), ["to_name"]);
        assert_eq!(
            differing(&of("Reader"), &of(wire::NOBODY_BY_NAME)),
            ["to_name"]
        );
    }
}
