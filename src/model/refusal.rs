//! What a provider says against a request, made fit to be shown.

/// The longest provider text that is kept, in characters.
const MAX_WORDS: usize = 500;

/// Tells an error with its causes; one that says the same as what was said is left out.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = inner.source();
    }
    text
}

/// Makes foreign text fit for an error: one line, no control characters, at most [`MAX_WORDS`]
/// characters.
pub(crate) fn tidy(text: &str) -> String {
    let mut tidy = String::new();
    let words = text.split(|c: char| c.is_control() || c.is_whitespace());
    for word in words.filter(|word| !word.is_empty()) {
        if !tidy.is_empty() {
            tidy.push(' ');
        }
        tidy.push_str(word);
        // One more than fits is enough to know that it has to be cut.
        if tidy.len() > MAX_WORDS * 4 {
            break;
        }
    }
    if let Some((cut, _)) = tidy.char_indices().nth(MAX_WORDS) {
        tidy.truncate(cut);
        tidy.push('…');
    }
    tidy
}

/// What stands where an address stood.
const MASK: &str = "(address)";

/// Takes addresses out of a text: a provider's words may repeat one, and logs name nobody (rule 7).
pub(crate) fn without_addresses(text: &str) -> String {
    let is_border = |letter: char| {
        letter.is_whitespace() || letter.is_control() || "<>()[]{}\"'`,;:=|&?/\\".contains(letter)
    };
    let mut found = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(is_border).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let names_somebody =
            word.contains('@') || ["%40", "&#64"].iter().any(|at| word.contains(at));
        found.push_str(if names_somebody { MASK } else { word });
        let border = after.chars().next().map_or(0, char::len_utf8);
        found.push_str(&after[..border]);
        rest = &after[border..];
    }
    found
}

/// A provider's "no" to a request that it understood.
///
/// The message is the provider's own and may name a person, so it belongs into reports that the
/// user asked for and never into a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The provider's error code, or `HTTP 404` and the like where only the status spoke.
    pub code: Option<String>,
    /// The provider's own words, on one line, without control characters, cut to 500 characters.
    pub message: String,
    /// The provider's id of the request, for its support.
    pub request_id: Option<String>,
}

impl Refusal {
    /// Builds a refusal from foreign text, which is tidied on the way in.
    pub fn new(code: Option<&str>, message: &str, request_id: Option<&str>) -> Self {
        Self {
            code: code.map(tidy).filter(|code| !code.is_empty()),
            message: tidy(message),
            request_id: request_id.map(tidy).filter(|id| !id.is_empty()),
        }
    }
}

impl Refusal {
    /// Tells whether it may be the address that is wrong: a server said so that knows no such place.
    pub fn is_about_the_address(&self) -> bool {
        matches!(
            self.code.as_deref(),
            Some("HTTP 404" | "HTTP 405" | "HTTP 410" | "HTTP 501")
        )
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.message.is_empty() {
            f.write_str("no reason given")?;
        } else {
            f.write_str(&self.message)?;
        }
        match (&self.code, &self.request_id) {
            (Some(code), Some(id)) => write!(f, " (code {code}, request {id})"),
            (Some(code), None) => write!(f, " (code {code})"),
            (None, Some(id)) => write!(f, " (request {id})"),
            (None, None) => Ok(()),
        }
    }
}

/// Puts a name in quotes; quotes of its own are told from those around it.
pub(crate) fn in_quotes(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_name_nobody() {
        assert_eq!(
            without_addresses(
                "mail: the row of <ana@example.org> was refused: \"bo@example.org\" is odd, email=cy%40example.org&x"
            ),
            "mail: the row of <(address)> was refused: \"(address)\" is odd, email=(address)&x"
        );
        assert_eq!(without_addresses("nobody is named"), "nobody is named");
    }
}
