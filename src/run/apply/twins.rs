//! Looks for groups that were created twice.

use super::Applying;
use crate::plan::fold_group_name;
use crate::run::error::RunError;

impl Applying<'_> {
    /// Looks, once everything is written, whether a group whose creation was in doubt has a twin by
    /// now: the request that was given up may have had its effect after all.
    pub(super) async fn look_for_twins(&mut self) -> Result<(), RunError> {
        let doubted = std::mem::take(&mut self.doubted_groups);
        if doubted.is_empty() {
            return Ok(());
        }
        let (rows, _) = self
            .handle
            .adapter
            .groups(&|_, _| false)
            .await
            .map_err(self.handle.read_error())?;
        let field = self.prepared.schema.group_name_field();
        for pair in doubted {
            let Some(ours) = self.so_far.group_ids.get(&pair) else {
                continue;
            };
            let name = self.prepared.planned.plan.pair(pair).name.clone();
            let wanted = fold_group_name(&name);
            let twins: Vec<&str> = rows
                .iter()
                .filter(|row| {
                    row.id != *ours
                        && !self.prepared.sides.target_rows.contains_key(&row.id)
                        && row
                            .wire
                            .get(field)
                            .is_some_and(|held| fold_group_name(&held.to_string()) == wanted)
                })
                .map(|row| row.id.as_str())
                .collect();
            if twins.is_empty() {
                continue;
            }
            let message = format!(
                "The group \"{name}\" was created twice, because the first request took effect late: {ours} is used, and {} stands beside it; look at it and delete it at {}.",
                twins.join(" and "),
                self.job.target
            );
            self.tally.twin(name, message);
        }
        Ok(())
    }
}
