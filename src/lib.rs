//! Keeps groups and their members the same at two email-marketing or CRM providers.
//!
//! rosterd reads groups and members from one account, maps the fields into the other provider's
//! schema, compares the result with what it remembers and with what the target holds, shows a plan,
//! and applies it in batches: once as a migration, or on a schedule for years. Nothing happens that
//! the plan did not show.
//!
//! # The tour
//!
//! A run goes through the modules in this order:
//!
//! | step | module | what it does, and what it does not know |
//! |---|---|---|
//! | configure | [`config`] | turns the file into settled types, or into every problem at once; fetches secrets when asked |
//! | read | [`provider`] over [`http`] | adapters are codecs: they build calls and decode replies; pacing, retrying and logging are shared |
//! | hold | [`model`] | snapshots with their evidence; knows no wire format, file, clock or database |
//! | map | [`mapping`] | compiled expressions from canonical fields to the target's; pure |
//! | decide | [`plan`] | source, target, base and policy in, plan out; pure, total, deterministic |
//! | remember | [`state`] | links, bases, journal, runs, and whole copies of them; the only module that knows SQL |
//! | carry out | [`run`] | one run end to end, in rooms that use only those before them: accounts, read, settle, prepare, apply, record; the only module that sees everything |
//! | repeat | [`daemon`], [`schedule`] | cron lines in time zones, several jobs, signals |
//! | serve | [`web`] | the status page, metrics and the API of the running service; asks the loop, and never a provider |
//! | tell | [`notify`] | once when a job turns bad and once when it is well again, through channels that may be dead |
//! | show | [`report`], [`cli`] | text and JSON of plans, runs, failures, groups and links, and the files of an export; one file per command |
//! | rehearse | [`emulator`], [`demo`], [`rehearsal`] | stand-ins for the providers, stricter than the services, which share no code with the adapters; and the engine itself over copies of both real accounts |
//!
//! The [`guide`] is for operators: its chapters are what `rosterd help TOPIC` prints.
//!
//! [`program`] says how this program is called in the commands that it shows.
//!
//! `spool` finds the directory in which what is too long for memory goes.
//!
//! Dependencies point one way: `cli → daemon → web → run → {provider, mapping, plan, state}`, `provider →
//! http, model`, `plan, mapping → model` and nothing else. A test reads the `use` lines and holds
//! the code to that.
//!
//! # Five ideas that carry the rest
//!
//! **Absence is the dangerous observation.** That somebody is missing from a listing means
//! something only if the listing is whole. Each reading carries a [`model::Certificate`]; only
//! [`model::Certificate::certify`] makes a [`model::Complete`] value, and only code that holds one
//! may plan a removal. No error is ever an empty list.
//!
//! **Three trees.** A decision needs source now, target now, and the base: what both were at the
//! end of the last confirmed run. Without the base, "added here" and "removed there" look the same.
//! See [`plan::base`] and [`plan::fields`].
//!
//! **A plan is a value.** It is made without waiting for anything, judged by guards as a whole, and
//! only then applied. The same inputs give the same plan byte for byte, which is why a saved plan
//! can be checked by its fingerprint.
//!
//! **Journal before wire.** An intent is on disk before its request leaves
//! ([`state::Store::begin_write`]). A write of unknown outcome is read back, and only what is
//! missing is sent again. After a crash the next run does the same.
//!
//! **Consent only grows stricter.** No request type can say "active again" of somebody who refused
//! ([`model::Write`]); whom rosterd itself took out may come back by the proof of it alone
//! ([`model::OwnRemoval`]). Nobody who is listed in a group in any state is added to it, and
//! refusals that a target can't hold are remembered as bars.
//!
//! # The rules that are never broken
//!
//! Tests name them by number; [`rules`] says where each is held, and which tests fail without it.
//!
//! 1. An opt-out is never undone: not by mapping, updates, retries, adoption, changed addresses or
//!    a lost database.
//! 2. Protected groups are neither archived nor deleted, wherever the flag is held.
//! 3. An incomplete read removes nothing; where opt-outs can't be read to their end, nobody is
//!    added either.
//! 4. Dynamic, built-in, archived and test groups are refused as targets.
//! 5. Nothing is sent that is not in the journal.
//! 6. People are never deleted.
//! 7. Secrets and request bodies reach no log, error, report or database.
//! 8. One run per job, one process per account, and one run that writes to an account, at a time; a
//!    copy of the database is put back only while there is none at all.
//! 9. An answer of OK proves nothing: what it does not confirm item by item is read back.
//! 10. What rosterd does not own it does not touch.
//! 11. After a clean run the next plan is empty.
//! 12. Adding somebody may send mail: groups with an auto-response are refused unless the config
//!     allows them.
//!
//! # How to add a provider
//!
//! 1. Write its field tables as a [`model::Schema`] and its [`model::Capabilities`], each fact with
//!    its source.
//! 2. Add it to [`model::ProviderKind`] and to `provider::schema` and `provider::capabilities`.
//! 3. Implement [`provider::Source`]: login and proof of the account, groups, members, custom
//!    fields. Pure codecs in `wire.rs`, the order of calls in `read.rs`.
//! 4. Implement [`provider::Target`]: encode each [`model::Write`], settle its answer item by item.
//! 5. Keep good, odd and broken answers under `tests/fixtures`, and run each good one cut short,
//!    emptied and with wrong counts.
//! 6. Give it a place in the [`emulator`], written from the provider's documentation alone.
//! 7. Add its credentials to [`config`], its pairs to the tests of whole runs, and its kind to the
//!    suite that holds all of them against the same cases.
//!
//! What a provider can't do, or does in a way of its own, is said in its capabilities; the planner
//! reads those and knows no provider by name. The third one made four of them necessary: people who
//! join several groups in one request ([`model::Join::PerRow`]), work that goes on after the answer
//! ([`model::Settlement::Pending`]), removals that show as refusals, and refusals of all mail that
//! stand on every list because nothing else can hold them.

pub mod cli;
pub mod config;
pub mod daemon;
pub mod demo;
pub mod emulate;
pub mod emulator;
pub mod guide;
pub mod http;
pub mod mapping;
pub mod model;
pub mod notify;
pub mod plan;
pub mod program;
pub mod provider;
pub mod rehearsal;
pub mod report;
pub mod rules;
pub mod run;
pub mod schedule;
mod signals;
mod spool;
pub mod state;
#[cfg(test)]
mod testing;
pub mod web;
