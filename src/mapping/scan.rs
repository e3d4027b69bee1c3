//! Finds the names in an expression before anything is evaluated, also those in branches that a
//! sample would not reach.

use std::ops::Range;

/// What an expression mentions, each with its place in the text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mentions {
    /// Fields read as `source.name` or `source['name']`.
    pub(super) fields: Vec<Mention>,
    /// Parts read as `source.name.part` or `source.name['part']`: the field and the part.
    pub(super) parts: Vec<(String, Mention)>,
    /// Fields that have parts and are read as a whole, such as `source.custom`, or by a part that
    /// only evaluation knows.
    pub(super) wholes: Vec<Mention>,
    /// Names after `|`.
    pub(super) filters: Vec<Mention>,
    /// Names after `is`.
    pub(super) tests: Vec<Mention>,
    /// Names that are called, as in `range(3)`.
    pub(super) functions: Vec<Mention>,
    /// Methods, as in `source.name.upper()`.
    pub(super) methods: Vec<Mention>,
    /// Variables other than `source`.
    pub(super) variables: Vec<Mention>,
    /// `source` without the name of a field.
    pub(super) bare: Vec<Mention>,
    /// Multiplications, which would also repeat a list without a bound; `**` is none.
    pub(super) multiplications: Vec<Mention>,
}

/// A name and where it stands, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mention {
    pub(super) name: String,
    pub(super) span: Range<usize>,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Text(String),
    Number,
    Symbol(char),
}

/// Lists what an expression mentions. Text that is not an expression gives some list, never a
/// panic.
pub(super) fn scan(expression: &str) -> Mentions {
    let tokens = tokens(expression);
    let symbol = |at: usize, wanted: char| matches!(tokens.get(at), Some((Token::Symbol(found), _)) if *found == wanted);
    let mut mentions = Mentions::default();
    let mut at = 0;
    while at < tokens.len() {
        let (Token::Name(name), span) = &tokens[at] else {
            if symbol(at, '*') && !symbol(at + 1, '*') && !(at > 0 && symbol(at - 1, '*')) {
                mentions.multiplications.push(Mention {
                    name: "*".to_owned(),
                    span: tokens[at].1.clone(),
                });
            }
            at += 1;
            continue;
        };
        let mention = Mention {
            name: name.clone(),
            span: span.clone(),
        };
        let after_dot = at > 0 && symbol(at - 1, '.');
        let is_call = symbol(at + 1, '(');
        if after_dot {
            if is_call {
                mentions.methods.push(mention);
            }
        } else if at > 0 && symbol(at - 1, '|') {
            mentions.filters.push(mention);
        } else if follows_is(&tokens, at) {
            if name != "not" {
                mentions.tests.push(mention);
            }
        } else if name == "source" {
            at = scan_source(&tokens, at, mention, &mut mentions);
            continue;
        } else if is_keyword(name) {
        } else if is_call {
            mentions.functions.push(mention);
        } else if !symbol(at + 1, '=') || symbol(at + 2, '=') {
            mentions.variables.push(mention);
        }
        at += 1;
    }
    mentions
}

/// Reads what follows `source` and returns where to go on.
fn scan_source(
    tokens: &[(Token, Range<usize>)],
    at: usize,
    source: Mention,
    mentions: &mut Mentions,
) -> usize {
    let Some((field, next)) = access(tokens, at + 1) else {
        mentions.bare.push(source);
        return at + 1;
    };
    let (part, end) = match access(tokens, next) {
        Some((part, end)) => (Some(part), end),
        None => (None, next),
    };
    let is_method = |end: usize| {
        matches!(tokens.get(end), Some((Token::Symbol('('), _)))
            && matches!(tokens.get(end - 1), Some((Token::Name(_), _)))
    };
    match part {
        _ if is_method(next) => {
            mentions.methods.push(field);
            next
        }
        Some(part) if is_method(end) => {
            mentions.fields.push(field);
            mentions.methods.push(part);
            end
        }
        Some(part) => {
            mentions.parts.push((field.name.clone(), part));
            mentions.fields.push(field);
            end
        }
        None => {
            mentions.wholes.push(field.clone());
            mentions.fields.push(field);
            next
        }
    }
}

/// Reads `.name` or `['name']` and returns it with the place after it.
fn access(tokens: &[(Token, Range<usize>)], at: usize) -> Option<(Mention, usize)> {
    match (tokens.get(at)?, tokens.get(at + 1)?) {
        ((Token::Symbol('.'), _), (Token::Name(name), span)) => Some((
            Mention {
                name: name.clone(),
                span: span.clone(),
            },
            at + 2,
        )),
        ((Token::Symbol('['), _), (Token::Text(name), span))
            if matches!(tokens.get(at + 2), Some((Token::Symbol(']'), _))) =>
        {
            Some((
                Mention {
                    name: name.clone(),
                    span: span.clone(),
                },
                at + 3,
            ))
        }
        _ => None,
    }
}

fn follows_is(tokens: &[(Token, Range<usize>)], at: usize) -> bool {
    let name_at = |at: usize| match tokens.get(at) {
        Some((Token::Name(name), _)) => Some(name.as_str()),
        _ => None,
    };
    let previous = at.checked_sub(1).and_then(name_at);
    previous == Some("is")
        || (previous == Some("not") && at.checked_sub(2).and_then(name_at) == Some("is"))
}

fn is_keyword(name: &str) -> bool {
    matches!(
        name,
        "and"
            | "or"
            | "not"
            | "in"
            | "is"
            | "if"
            | "else"
            | "true"
            | "false"
            | "none"
            | "True"
            | "False"
            | "None"
    )
}

fn tokens(expression: &str) -> Vec<(Token, Range<usize>)> {
    let mut tokens = Vec::new();
    let mut rest = expression.char_indices().peekable();
    while let Some((start, first)) = rest.next() {
        let token = if first.is_whitespace() {
            continue;
        } else if first == '\'' || first == '"' {
            let mut text = String::new();
            while let Some((_, next)) = rest.next() {
                match next {
                    '\\' => text.extend(rest.next().map(|(_, escaped)| match escaped {
                        'n' => '\n',
                        't' => '\t',
                        'r' => '\r',
                        other => other,
                    })),
                    _ if next == first => break,
                    _ => text.push(next),
                }
            }
            Token::Text(text)
        } else if first.is_ascii_alphabetic() || first == '_' {
            let mut name = String::from(first);
            while let Some((_, next)) =
                rest.next_if(|(_, next)| next.is_ascii_alphanumeric() || *next == '_')
            {
                name.push(next);
            }
            Token::Name(name)
        } else if first.is_ascii_digit() {
            while rest
                .next_if(|(_, next)| next.is_ascii_alphanumeric() || *next == '_')
                .is_some()
            {}
            Token::Number
        } else {
            Token::Symbol(first)
        };
        let end = rest.peek().map_or(expression.len(), |(at, _)| *at);
        tokens.push((token, start..end));
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(mentions: &[Mention]) -> Vec<&str> {
        mentions
            .iter()
            .map(|mention| mention.name.as_str())
            .collect()
    }

    #[test]
    fn every_way_to_name_a_field_is_found() {
        let text =
            "source.a ~ source['b c'] ~ source.custom.d ~ source.custom['é f'] ~ source.custom[x]";
        let found = scan(text);
        assert_eq!(
            names(&found.fields),
            ["a", "b c", "custom", "custom", "custom"]
        );
        assert_eq!(
            found
                .parts
                .iter()
                .map(|(field, part)| (field.as_str(), part.name.as_str()))
                .collect::<Vec<_>>(),
            [("custom", "d"), ("custom", "é f")]
        );
        assert_eq!(names(&found.wholes), ["a", "b c", "custom"]);
        assert_eq!(names(&found.variables), ["x"]);
        assert_eq!(&text[found.parts[1].1.span.clone()], "'é f'");
    }

    #[test]
    fn words_in_texts_and_keywords_are_no_names() {
        let found = scan("'source.x | y is z' if source.a is not defined and \"it\\'s\" else none");
        assert_eq!(names(&found.fields), ["a"]);
        assert_eq!(names(&found.tests), ["defined"]);
        assert!(
            found.filters.is_empty() && found.variables.is_empty() && found.functions.is_empty()
        );
    }

    #[test]
    fn filters_functions_methods_and_arguments_are_told_apart() {
        let found = scan(
            "source.a | default(value='x', boolean=true) | upper ~ range(3) ~ source.b.strip() ~ source ~ (a == b)",
        );
        assert_eq!(names(&found.filters), ["default", "upper"]);
        assert_eq!(names(&found.functions), ["range"]);
        assert_eq!(names(&found.methods), ["strip"]);
        assert_eq!(names(&found.fields), ["a", "b"]);
        assert_eq!(names(&found.variables), ["a", "b"]);
        assert_eq!(found.bare.len(), 1);
    }
}
