//! Shortens a printed plan to what a reader of a story wants to see.

/// Entries shown of each section.
const ENTRIES: usize = 4;
/// Lines shown below each entry.
const DETAILS: usize = 2;

/// Keeps the first entries of each section and the first lines below each entry, and counts the
/// rest.
///
/// Sections are separated by empty lines; an entry is indented, what belongs to it is indented
/// more.
pub(super) fn abridge(text: &str) -> String {
    text.trim_end()
        .split("\n\n")
        .map(section)
        .collect::<Vec<_>>()
        .join("\n\n")
        + "\n"
}

/// Keeps what a plan does and leaves out what it does not do, which a reader has seen before.
pub(super) fn operations_only(text: &str) -> String {
    let explains = |section: &&str| {
        let title = anstream::adapter::strip_str(section).to_string();
        ["Withheld", "Blocked", "Losses", "Warnings"]
            .iter()
            .any(|word| title.starts_with(word))
    };
    text.trim_end()
        .split("\n\n")
        .filter(|section| !explains(section))
        .collect::<Vec<_>>()
        .join("\n\n")
        + "\n"
}

fn section(text: &str) -> String {
    let mut kept = Vec::new();
    let mut entries = 0;
    let mut details = 0;
    let mut hidden_details = 0;
    for line in text.lines() {
        match indent(line) {
            0 => kept.push(line.to_owned()),
            1..=3 => {
                more(&mut kept, "        ", "line", &mut hidden_details);
                entries += 1;
                details = 0;
                if entries <= ENTRIES {
                    kept.push(line.to_owned());
                }
            }
            _ if entries > ENTRIES => {}
            _ => {
                details += 1;
                // A single line is not worth being replaced by a line that counts it.
                if details <= DETAILS {
                    kept.push(line.to_owned());
                } else {
                    hidden_details += 1;
                }
            }
        }
    }
    more(&mut kept, "        ", "line", &mut hidden_details);
    more(
        &mut kept,
        "  ",
        "entry",
        &mut entries.saturating_sub(ENTRIES),
    );
    kept.join("\n")
}

fn more(kept: &mut Vec<String>, lead: &str, one: &str, hidden: &mut usize) {
    let many = if one == "entry" { "entries" } else { "lines" };
    match std::mem::take(hidden) {
        0 => {}
        1 => kept.push(format!("{lead}… 1 more {one}")),
        number => kept.push(format!("{lead}… {number} more {many}")),
    }
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explanations_go_and_operations_stay() {
        let text = "Plan\n\n\u{1b}[1mWithheld\u{1b}[0m  3 items\n  o a\n\nGroups\n  + A\n\nLosses\n  - b\n\nLast line.\n";
        assert_eq!(
            operations_only(text),
            "Plan\n\nGroups\n  + A\n\nLast line.\n"
        );
    }

    #[test]
    fn the_first_entries_of_each_section_stay() {
        let text = "Title\n\nGroups\n  + A\n      x  1\n      y  2\n      z  3\n      w  4\n  + B\n  + C\n  + D\n  + E\n      x  1\n  + F\n\nLast line.\n";
        insta::assert_snapshot!(abridge(text), @r"
        Title

        Groups
          + A
              x  1
              y  2
                … 2 more lines
          + B
          + C
          + D
          … 2 more entries

        Last line.
        ");
    }
}
