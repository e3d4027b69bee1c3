//! Shortens a printed plan to what a reader of a story wants to see.

/// Entries shown of each section.
const ENTRIES: usize = 2;
/// Lines shown below each entry.
const DETAILS: usize = 2;

/// Keeps the first entries of each section and the first lines below each entry, and counts the
/// rest, what the plan itself had left out included.
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
    without(text, &["Withheld", "Blocked", "Losses", "Warnings"])
}

/// Keeps how a run ended and leaves out what its plan has shown already.
pub(super) fn outcome_only(text: &str) -> String {
    without(text, &["Losses", "Warnings"])
}

/// Keeps everything.
pub(super) fn whole(text: &str) -> String {
    text.to_owned()
}

/// Keeps what the target can't hold.
pub(super) fn losses_only(text: &str) -> String {
    let is_loss = |section: &&str| {
        let title = anstream::adapter::strip_str(section).to_string();
        title.starts_with("Losses") || title.starts_with("Plan:")
    };
    let kept: Vec<&str> = text.trim_end().split("\n\n").filter(is_loss).collect();
    abridge(&kept.join("\n\n"))
}

/// Leaves out the sections whose titles begin with one of some words.
fn without(text: &str, words: &[&str]) -> String {
    let stays = |section: &&str| {
        let title = anstream::adapter::strip_str(section).to_string();
        !words.iter().any(|word| title.starts_with(word))
    };
    text.trim_end()
        .split("\n\n")
        .filter(stays)
        .collect::<Vec<_>>()
        .join("\n\n")
        + "\n"
}

fn section(text: &str) -> String {
    let mut kept = Vec::new();
    let (mut entries, mut details) = (0, 0);
    // What is left out: of entries, and of the lines below the entry at hand.
    let (mut hidden, mut hidden_details) = (0, 0);
    for line in text.lines() {
        let left_out = left_out(line);
        match indent(line) {
            0 => kept.push(line.to_owned()),
            1..=3 => {
                more(&mut kept, "        ", "line", &mut hidden_details);
                details = 0;
                match left_out {
                    Some(number) => hidden += number,
                    None if entries < ENTRIES => kept.push(line.to_owned()),
                    None => hidden += 1,
                }
                entries += usize::from(left_out.is_none());
            }
            _ if entries > ENTRIES => {}
            _ => {
                details += usize::from(left_out.is_none());
                match left_out {
                    Some(number) => hidden_details += number,
                    None if details <= DETAILS => kept.push(line.to_owned()),
                    None => hidden_details += 1,
                }
            }
        }
    }
    more(&mut kept, "        ", "line", &mut hidden_details);
    more(&mut kept, "  ", "entry", &mut hidden);
    kept.join("\n")
}

/// Reads how many things a line stands for that were left out already.
fn left_out(line: &str) -> Option<u64> {
    let plain = anstream::adapter::strip_str(line).to_string();
    let (things, _) = plain
        .trim_start()
        .strip_prefix("… and ")?
        .split_once(" more")?;
    // Of "840 people of 9 kinds" the kinds are the entries.
    let mut numbers = things.split(' ').rev();
    numbers.find_map(|word| word.replace(',', "").parse().ok())
}

fn more(kept: &mut Vec<String>, lead: &str, one: &str, hidden: &mut u64) {
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
    fn what_the_plan_left_out_is_counted_with_what_the_story_leaves_out() {
        let text = "Title\n\nCreated\n  x a\n  x b\n  x c\n  … and 53 more (-v shows all)\n\nNew people\n  + 1 person\n      x  1\n  + 2 people\n      x  1\n  + 3 people\n      x  1\n  … and 840 people of 9 kinds more (-v shows all)\n";
        insta::assert_snapshot!(abridge(text), @r"
        Title

        Created
          x a
          x b
          … 54 more entries

        New people
          + 1 person
              x  1
          + 2 people
              x  1
          … 10 more entries
        ");
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
          … 4 more entries

        Last line.
        ");
    }

    #[test]
    fn what_the_plan_left_out_is_counted_with_the_rest() {
        let text = "Groups\n  + A\n      x\n      y\n      z\n      \u{1b}[2m… and 1,000 more (-v shows all)\u{1b}[0m\n  + B\n  + C\n  + D\n  … and 8 more (-v shows all)\n";
        insta::assert_snapshot!(abridge(text), @r"
        Groups
          + A
              x
              y
                … 1001 more lines
          + B
          … 10 more entries
        ");
    }
}
