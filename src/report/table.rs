//! Small tables whose columns line up.

use std::io::{self, Write};

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use super::paint::ASIDE;
use super::words::{harmless, padded};

/// One cell: a text and how it looks.
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub(super) fn new(text: &str) -> Cell {
        Cell::styled(text, Style::new())
    }

    pub(super) fn styled(text: &str, style: Style) -> Cell {
        Cell {
            text: harmless(text).into_owned(),
            style,
        }
    }
}

/// Writes rows below a header; the last column is as wide as it is.
pub(super) fn write_table(
    out: &mut dyn Write,
    header: &[&str],
    rows: &[Vec<Cell>],
) -> io::Result<()> {
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.text.width());
        cells
            .chain([header[column].width()])
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let titles: Vec<Cell> = header
        .iter()
        .map(|title| Cell::styled(title, ASIDE))
        .collect();
    for row in std::iter::once(&titles).chain(rows) {
        for (column, cell) in row.iter().enumerate() {
            let last = column + 1 == row.len();
            let text = if last {
                cell.text.clone()
            } else {
                padded(&cell.text, widths[column])
            };
            write!(
                out,
                "{}{text}{:#}{}",
                cell.style,
                cell.style,
                if last { "\n" } else { "  " }
            )?;
        }
    }
    Ok(())
}
