//! The chapter of the guide says what the language can do, and what it says is so.

use std::sync::Arc;

use minijinja::value::ValueKind;

use crate::guide;
use crate::mapping::expression::{self, Compiled, FILTERS, TESTS};
use crate::mapping::vocabulary::{GROUP_NAMES, MEMBER_NAMES};
use crate::model::Record;

fn chapter() -> String {
    let chapter = guide::chapter("mapping").unwrap();
    // A line ends where the paragraph is full.
    chapter.text.replace("\n  ", " ").replace('\n', " ")
}

#[test]
fn the_chapter_names_every_filter_every_test_and_every_field() {
    let text = chapter();
    for (what, known) in [
        ("filter", FILTERS),
        ("test", TESTS),
        ("field of a group", GROUP_NAMES),
        ("field of a member", MEMBER_NAMES),
    ] {
        for name in known {
            assert!(
                text.contains(&format!("`{name}`")),
                "the chapter does not name the {what} {name}"
            );
        }
    }
}

#[test]
fn every_example_of_the_chapter_gives_what_it_says() {
    let text = chapter();
    let source = expression::view(Record::new(), &Arc::default());
    let mut examples = 0;
    for (at, _) in text.match_indices("` gives `") {
        let from = text[..at].rfind('`').unwrap() + 1;
        let rest = &text[at + "` gives `".len()..];
        let (expression, expected) = (&text[from..at], &rest[..rest.find('`').unwrap()]);
        let compiled = Compiled::new(expression).unwrap_or_else(|error| {
            panic!("{expression} is no expression: {}", error.message);
        });
        let given = compiled
            .evaluate(&source)
            .unwrap_or_else(|error| panic!("{expression}: {error}"));
        let shown = match given.kind() {
            // As it is written to a provider.
            ValueKind::Bool => given.to_string().to_lowercase(),
            _ => given.to_string(),
        };
        assert_eq!(shown, expected, "{expression}");
        examples += 1;
    }
    assert!(examples >= 35, "{examples} examples were found");
}
