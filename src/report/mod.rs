//! Results for people and for programs: plans, runs, history, status, failures, groups and links, each
//! as text and as JSON, and the files of an export.
//!
//! Everything is written to an [`std::io::Write`] while it is walked, so that a plan for a million
//! people needs no second copy in memory. Text carries colours, which the caller strips where they
//! are not wanted; every colour comes with a symbol or a word that says the same. Nothing here
//! reads a clock: `now` is an argument.

mod channels;
mod explain;
mod export;
mod failures;
mod groups;
mod guide;
mod history;
mod inventory;
mod json;
mod links;
mod members;
mod migration;
mod narrow;
mod page;
mod paint;
mod plan_json;
mod plan_text;
mod rehearsal;
mod run_json;
mod run_text;
mod schedule;
mod seal;
mod sections;
mod show;
mod status;
mod table;
#[cfg(test)]
mod tests;
mod under_way;
mod undo;
mod view;
mod words;

pub use channels::ChannelRow;
pub use explain::{write_explained_json, write_explained_text};
pub use export::{
    Export, ExportTable, FileNote, Manifest, TableNote, is_manifest, write_export_text,
    write_manifest,
};
pub use failures::{
    FailureRow, remedy, write_accepted_json, write_accepted_text, write_failures_json,
    write_failures_text,
};
pub use groups::{write_groups_json, write_groups_text};
pub use guide::write_guide;
pub use history::{RunRow, counted, write_history_json, write_history_text};
pub use inventory::{describe_inventory, inventory_json};
pub use json::{FORMAT_VERSION, summary_from_json, summary_json, write_document};
pub use links::{LinkRow, LinkState, Links, write_links_json, write_links_text};
pub use members::{
    GroupThen, write_members_json, write_members_text, write_then_json, write_then_text,
};
pub use migration::{write_assessment_in_short, write_assessment_json, write_assessment_text};
pub use narrow::{concerns, narrow, tell_twins_apart};
pub(crate) use page::{Escaped, Kind, STYLE, Short, Whole};
pub use page::{PageAbout, PageAccount, page_policy, write_plan_html, write_show_html};
pub use plan_json::{PlanList, write_plan_json};
pub use plan_text::{write_plan_text, write_plans_in_short};
pub use rehearsal::{write_rehearsal_json, write_rehearsal_text};
pub use run_json::{JobResult, write_run_json, write_runs_json};
pub use run_text::write_run_text;
pub use schedule::{write_schedule_json, write_schedule_text};
pub use seal::is_sealed;
pub use show::{ItemFilter, operations, write_show_json, write_show_text};
pub use status::{
    JobRow, JobState, LEFT, Life, ServiceRow, ServiceStatus, StatusRow, no_schedule,
    write_status_json, write_status_text,
};
pub use under_way::{UnderWayRow, under_way_words};
pub(crate) use words::{address, count, grouped, value};
pub use words::{distance, duration, harmless, in_shell, instant, opt_outs_wait, quoted};
