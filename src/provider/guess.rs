//! What stands in a text that can't be read as it came, and marks that somebody guessed.

use serde_json::Value as Json;

use crate::model::Unread;

/// Precedes a character that was guessed. The code point is a noncharacter, which no text has a use
/// for.
pub(in crate::provider) const GUESS: char = '\u{fdd0}';

/// What the bytes 0x80 to 0x9f mean in Windows-1252; the five that mean nothing become the
/// replacement character.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{fffd}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{fffd}', 'Ž',
    '\u{fffd}', '\u{fffd}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{fffd}',
    'ž', 'Ÿ',
];

/// Reads a byte as Windows-1252.
pub(in crate::provider) fn windows_1252(byte: u8) -> char {
    match byte {
        0x80..0xa0 => WINDOWS_1252[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

/// Tells whether any text in a value was guessed.
pub(in crate::provider) fn is_guessed(value: &Json) -> bool {
    match value {
        Json::String(text) => text.contains(GUESS),
        Json::Array(items) => items.iter().any(is_guessed),
        Json::Object(fields) => fields.values().any(is_guessed),
        _ => false,
    }
}

/// Returns a text of which some was guessed as it is shown to people: the guesses unmarked, and
/// something in its place where nothing else is left. Nothing for any other value.
pub(in crate::provider) fn shown(value: &Json) -> Option<String> {
    let text = value.as_str().filter(|text| text.contains(GUESS))?;
    let text = unmarked(text);
    Some(if text.trim().is_empty() {
        char::REPLACEMENT_CHARACTER.to_string()
    } else {
        text
    })
}

/// Judges the texts of a group, of which one is its name.
pub(in crate::provider) fn unread<'a>(
    name: Option<&Json>,
    mut texts: impl Iterator<Item = &'a Json>,
) -> Option<Unread> {
    Unread::of_texts(
        name.is_some_and(|name| !is_guessed(name)),
        !texts.any(is_guessed),
    )
}

/// Takes the marks of guesses out of a text.
pub(in crate::provider) fn unmarked(text: &str) -> String {
    text.replace(GUESS, "")
}

/// Mends the texts of a JSON document that no parser takes: half a surrogate pair, a bare control
/// character, bytes that are not UTF-8. Each place is marked, so that the record that holds it can
/// be left out alone. Nothing where there is nothing to mend.
pub(in crate::provider) fn mend_json(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut mended = Vec::with_capacity(bytes.len() + 16);
    let mut changed = false;
    let mut mark = |mended: &mut Vec<u8>, shown: Option<char>| {
        changed = true;
        for character in [Some(GUESS), shown].into_iter().flatten() {
            mended.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    };
    let mut inside = false;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let mut taken = 1;
        match byte {
            b'"' => {
                inside = !inside;
                mended.push(byte);
            }
            _ if !inside => mended.push(byte),
            b'\\' => match escaped_unit(&bytes[at..]) {
                None => {
                    taken = 2.min(bytes.len() - at);
                    mended.extend_from_slice(&bytes[at..at + taken]);
                }
                Some(unit) => {
                    taken = 6;
                    let next = bytes.get(at + 6..).and_then(escaped_unit);
                    let paired = (0xd800..0xdc00).contains(&unit)
                        && next.is_some_and(|next| (0xdc00..0xe000).contains(&next));
                    if paired {
                        taken = 12;
                    }
                    if (0xd800..0xe000).contains(&unit) && !paired {
                        mark(&mut mended, Some(char::REPLACEMENT_CHARACTER));
                    } else {
                        mended.extend_from_slice(&bytes[at..at + taken]);
                    }
                }
            },
            0..0x20 => mark(&mut mended, None),
            0x80.. => {
                let end = bytes.len().min(at + 4);
                let piece = &bytes[at..end];
                let valid = match std::str::from_utf8(piece) {
                    Ok(_) => piece.len(),
                    Err(error) => error.valid_up_to(),
                };
                if valid == 0 {
                    mark(&mut mended, Some(windows_1252(byte)));
                } else {
                    // Only the character that begins here; what follows is looked at by itself.
                    taken = std::str::from_utf8(&piece[..valid])
                        .ok()
                        .and_then(|text| text.chars().next())
                        .map_or(1, char::len_utf8);
                    mended.extend_from_slice(&piece[..taken]);
                }
            }
            _ => mended.push(byte),
        }
        at += taken;
    }
    changed.then_some(mended)
}

/// Reads the number of an escape that is written as one.
fn escaped_unit(bytes: &[u8]) -> Option<u32> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Json {
        serde_json::from_slice(&mend_json(bytes).expect("there is something to mend"))
            .expect("it was mended")
    }

    #[test]
    fn only_the_text_that_cannot_be_read_is_marked() {
        let odd: [&[u8]; 4] = [b"\\ud83d", b"a\x01b", b"Zo\xeb", b"\xc3"];
        for text in odd {
            let document = [
                b"{\"a\":\"".as_slice(),
                text,
                b"\",\"b\":\"Zo\xc3\xab \\ud83c\\udf89\"}",
            ]
            .concat();
            assert!(serde_json::from_slice::<Json>(&document).is_err());
            let read = read(&document);
            assert!(is_guessed(&read["a"]), "{read}");
            assert_eq!(read["b"], "Zo\u{eb} \u{1f389}");
        }
    }

    #[test]
    fn what_is_sound_is_left_alone() {
        assert_eq!(
            mend_json("{\"a\": \"\\\"Zo\u{eb}\\\\\"}\n".as_bytes()),
            None
        );
    }
}
