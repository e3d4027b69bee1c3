//! `rosterd schema`: what the config may hold, and what the providers can.

use std::io::{self, Write};

use serde_json::json;

use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::{Format, FormatArg};
use crate::cli::output::print;
use crate::config::{FieldRow, fields_table, json_schema};
use crate::report::write_document;

/// Prints the JSON Schema of the config, or the providers' field tables.
#[derive(clap::Args, Debug)]
pub(crate) struct SchemaArgs {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(clap::Subcommand, Debug)]
enum What {
    /// Prints what groups and members can hold at every provider, under the names that mappings
    /// use.
    Fields(FormatArg),
}

pub(crate) fn cmd_schema(args: &SchemaArgs) -> Result<ExitCode, CommandError> {
    match &args.what {
        None => print(|out| {
            serde_json::to_writer_pretty(&mut *out, &json_schema())?;
            writeln!(out)
        })?,
        Some(What::Fields(format)) => {
            let rows = fields_table();
            print(|out| match format.format {
                Format::Text => write_fields(out, &rows),
                Format::Json => {
                    let fields: Vec<serde_json::Value> = rows.iter().map(row_json).collect();
                    write_document(out, &json!({"version": super::VERSION, "fields": fields}))
                }
            })?;
        }
    }
    Ok(ExitCode::Done)
}

fn write_fields(out: &mut dyn Write, rows: &[FieldRow]) -> io::Result<()> {
    let width = |text: fn(&FieldRow) -> &str| {
        rows.iter()
            .map(|row| text(row).len())
            .max()
            .unwrap_or_default()
    };
    let (wire, canonical) = (width(|row| row.wire), width(|row| row.canonical));
    let mut table = None;
    for row in rows {
        if table != Some((row.kind, row.object)) {
            let gap = if table.is_some() { "\n" } else { "" };
            writeln!(out, "{gap}{} {}", row.kind, row.object)?;
            table = Some((row.kind, row.object));
        }
        let line = format!(
            "  {:wire$}  {:canonical$}  {:9}  {}",
            row.wire,
            row.canonical,
            row.r#type,
            notes(row).join(", ")
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    writeln!(
        out,
        "\nLeft the provider's own name, as it stands left in a mapping; then the name after `source.`."
    )
}

fn notes(row: &FieldRow) -> Vec<String> {
    let mut notes = Vec::new();
    match (row.readable, row.writable) {
        (true, "no") => notes.push("read only".to_owned()),
        (false, _) => notes.push("write only".to_owned()),
        (true, "on creation") => notes.push("written on creation only".to_owned()),
        _ => {}
    }
    if row.required {
        notes.push("required".to_owned());
    }
    if row.unique {
        notes.push("unique".to_owned());
    }
    if let Some(most) = row.max_length {
        notes.push(format!("at most {most} characters"));
    }
    if !row.values.is_empty() {
        notes.push(format!("one of {}", row.values.join(" | ")));
    }
    if let Some(key) = row.default_key {
        notes.push(format!("default {key}"));
    }
    notes
}

fn row_json(row: &FieldRow) -> serde_json::Value {
    json!({
        "kind": row.kind,
        "object": row.object,
        "wire": row.wire,
        "canonical": row.canonical,
        "type": row.r#type,
        "readable": row.readable,
        "writable": row.writable,
        "required": row.required,
        "unique": row.unique,
        "max_length": row.max_length,
        "values": row.values,
        "default_key": row.default_key,
        "source": row.source,
    })
}
