//! Secrets that a provider repeats in what it says.

use secrecy::{ExposeSecret, SecretString};

/// What stands where a secret stood.
const MASK: &str = "(secret)";
/// The end of a text that was cut to length.
const CUT: char = '…';
/// Shorter ones occur in words by chance, and no provider gives any.
const SHORTEST: usize = 4;

/// Takes secrets out of a text: as they are, and as forms, addresses and markup spell them.
pub(crate) fn without_secrets(text: &str, secrets: &[SecretString]) -> String {
    let mut found = text.to_owned();
    for secret in secrets {
        let secret = secret.expose_secret();
        if secret.len() < SHORTEST {
            continue;
        }
        for spelling in spellings(secret) {
            if found.contains(&spelling) {
                found = found.replace(&spelling, MASK);
            }
        }
    }
    if let Some(cut) = found.strip_suffix(CUT) {
        let half = secrets
            .iter()
            .flat_map(|secret| spellings(secret.expose_secret()))
            .filter_map(|spelling| half_at_the_end(cut, &spelling))
            .max();
        if let Some(half) = half {
            found = format!("{}{MASK}{CUT}", &cut[..cut.len() - half]);
        }
    }
    found
}

/// How many bytes at the end of a text that was cut are the beginning of a secret.
fn half_at_the_end(cut: &str, secret: &str) -> Option<usize> {
    let lengths = (SHORTEST..secret.len()).rev();
    lengths
        .filter(|length| secret.is_char_boundary(*length))
        .find(|length| cut.ends_with(&secret[..*length]))
}

/// The ways in which a secret can be written, each once.
fn spellings(secret: &str) -> Vec<String> {
    let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let json = serde_json::to_string(secret).unwrap_or_default();
    let markup = secret
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let blanks: Vec<&str> = secret.split_whitespace().collect();
    let mut all = vec![
        secret.to_owned(),
        form.replace('+', "%20"),
        form.to_lowercase(),
        form,
        json.trim_matches('"').to_owned(),
        markup.replace('"', "&quot;").replace('\'', "&apos;"),
        markup.replace('"', "&quot;").replace('\'', "&#39;"),
        markup,
        // What is tidied before it is searched.
        blanks.join(" "),
    ];
    // The longest first, so that no half of one is left.
    all.sort_by_key(|spelling| std::cmp::Reverse(spelling.len()));
    all.dedup();
    all.retain(|spelling| spelling.len() >= SHORTEST);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_of_a_secret_is_left() {
        let secrets = [
            SecretString::from("p&ss \"wörd\"+/="),
            SecretString::from("token-1234"),
            SecretString::from("abc"),
        ];
        let said = |text: &str| without_secrets(text, &secrets);
        for text in [
            "the password p&ss \"wörd\"+/= is wrong",
            "the password p%26ss+%22w%C3%B6rd%22%2B%2F%3D is wrong",
            "the password p%26ss%20%22w%C3%B6rd%22%2B%2F%3D is wrong",
            "the password p&amp;ss &quot;wörd&quot;+/= is wrong",
            "the password p&ss \\\"wörd\\\"+/= is wrong",
            "the password token-1234 is wrong",
        ] {
            assert_eq!(said(text), "the password (secret) is wrong", "{text}");
        }
        assert_eq!(said("wrong is token-12…"), "wrong is (secret)…");
        assert_eq!(said("abc is the alphabet"), "abc is the alphabet");
        assert_eq!(said("token-123 is another"), "token-123 is another");
    }
}
