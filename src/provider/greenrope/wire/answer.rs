//! The envelope of every answer, and what an answer says of each item of a write.

use std::io::BufRead;

use super::tree::{Element, Tree};
use super::xml::{Envelope, read_document};
use crate::http::DecodeError;
use crate::model::{ItemOutcome, Refusal};

/// Words that point to the login where an error text holds them whole. No authentication error code
/// is known. A part of a word says nothing: there are groups called "Authors" and catalog insiders.
const LOGIN_WORDS: [&str; 10] = [
    "token",
    "tokens",
    "auth",
    "authentication",
    "authenticated",
    "unauthorized",
    "password",
    "log in",
    "logged in",
    "login",
];

/// Refusal that point to a time-out, after which nobody knows what was done.
const TIME_OUT_WORDS: [&str; 3] = ["timeout", "time-out", "timed out"];

/// What an answer says of the request as a whole.
pub(super) enum Outcome {
    /// It says that all is well.
    Success,
    /// It says nothing: the items speak for themselves.
    Silent,
    /// It says no.
    Failure(Refusal),
}

/// Reads the outcome in each of its three spellings: `Result`, `Response`, or attributes of the
/// element.
///
/// Anything but a clear success is a failure, also when another spelling claims success. What can't be
/// read is neither.
pub(super) fn outcome(element: Element<'_>) -> Outcome {
    if is_garbled(element) {
        return Outcome::Silent;
    }
    let spelled = [
        element.value("result"),
        element.value("response"),
        element.attribute("result"),
    ];
    let code = element.any(&["errorcode"]);
    let text = element
        .any(&["errortext"])
        .or_else(|| element.attribute("message"))
        .or_else(|| element.any(&["message"]));
    let mut said = spelled.iter().flatten().map(|word| word.trim()).peekable();
    if said.peek().is_none() && code.is_none() && element.value("errortext").is_none() {
        return Outcome::Silent;
    }
    let mut said_any = false;
    let all_well = said.all(|word| {
        said_any = true;
        word.eq_ignore_ascii_case("success")
    });
    if all_well && said_any {
        Outcome::Success
    } else {
        Outcome::Failure(Refusal::new(code, text.unwrap_or_default(), None))
    }
}

/// Tells whether what an element says of its outcome can't be read.
fn is_garbled(element: Element<'_>) -> bool {
    element.is_guessed() || element.has_guessed(&["result", "response", "errorcode"])
}

fn has_any(words: &Refusal, needles: &[&str]) -> bool {
    let text = words.message.to_lowercase();
    needles.iter().any(|needle| text.contains(needle))
}

/// Tells whether a text speaks of the login, by whole words.
pub(in super::super) fn speaks_of_login(text: &str) -> bool {
    let words: Vec<String> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let text = format!(" {} ", words.join(" "));
    LOGIN_WORDS
        .iter()
        .any(|word| text.contains(&format!(" {word} ")))
}

/// Tells what kind of "no" a request-level error is. A missing permission is not cured by a new
/// login.
pub(super) fn refuse(words: Refusal) -> DecodeError {
    if has_any(&words, &["permission"]) {
        DecodeError::Denied(words.to_string())
    } else if speaks_of_login(&words.message) {
        DecodeError::LoginExpired(words.to_string())
    } else {
        DecodeError::Refused(words)
    }
}

/// Reads a document of the family that carries one result; the result must be there and be a
/// success.
pub(super) fn read_single(
    source: impl BufRead,
    root: &str,
    container: &str,
    item: &mut dyn FnMut(&mut Tree) -> Result<(), DecodeError>,
) -> Result<Envelope, DecodeError> {
    let envelope = read_document(source, root, container, item)?;
    match outcome(envelope.root()) {
        Outcome::Success => Ok(envelope),
        Outcome::Silent => Err(DecodeError::NotAnAnswer("it has no result".to_owned())),
        Outcome::Failure(words) => Err(refuse(words)),
    }
}

/// Decodes the answer to a write that creates one thing, returning the id under one of several
/// names.
pub(in super::super) fn created(
    source: impl BufRead,
    root: &str,
    ids: &[&str],
) -> Result<ItemOutcome, DecodeError> {
    let envelope = read_single(source, root, "", &mut |_| Ok(()))?;
    let root = envelope.root();
    Ok(match root.any(ids) {
        Some(_) if root.has_guessed(ids) => ItemOutcome::Unknown,
        Some(id) => ItemOutcome::Done {
            id: Some(id.to_owned()),
        },
        None => ItemOutcome::Unknown,
    })
}

/// One item as it was sent.
#[derive(Clone, Debug)]
pub(in super::super) struct Sent {
    /// The mark that the answer echoes.
    pub request_id: String,
    /// The id of the object.
    pub id: String,
}

/// Reads the items of a per-item answer; a request-level error there leaves every item open.
fn read_items(
    source: impl BufRead,
    root: &str,
    container: &str,
    sent: usize,
) -> Result<Vec<Tree>, DecodeError> {
    let mut items = Vec::new();
    let envelope = read_document(source, root, container, &mut |item| {
        if items.len() == sent {
            return Err(DecodeError::NotAnAnswer(
                "it has more items than were sent".to_owned(),
            ));
        }
        items.push(std::mem::take(item));
        Ok(())
    })?;
    match outcome(envelope.root()) {
        Outcome::Silent if is_garbled(envelope.root()) => Err(DecodeError::NotAnAnswer(
            "its result can't be read".to_owned(),
        )),
        Outcome::Silent if items.is_empty() => Err(DecodeError::NotAnAnswer(
            "it has neither a result nor items".to_owned(),
        )),
        Outcome::Success | Outcome::Silent => Ok(items),
        Outcome::Failure(words) => Err(match refuse(words) {
            // Whether some items were done before the error is not known, so several must be read
            // back.
            DecodeError::Refused(words) if sent > 1 => DecodeError::NotAnAnswer(format!(
                "the request as a whole was refused, perhaps after a part of it was done: {words}"
            )),
            error => error,
        }),
    }
}

/// Settles a per-item answer: by the echoed mark, else by the id, else by position if the counts
/// agree.
///
/// An item without a matching answer, or with two, is unknown.
pub(in super::super) fn settle_items(
    source: impl BufRead,
    root: &str,
    container: &str,
    id_names: &[&str],
    sent: &[Sent],
) -> Result<Vec<ItemOutcome>, DecodeError> {
    let items = read_items(source, root, container, sent.len())?;
    let counts_agree = items.len() == sent.len();
    let mut outcomes: Vec<Option<ItemOutcome>> = vec![None; sent.len()];
    for (position, item) in items.iter().map(Tree::root).enumerate() {
        let id = item.any(id_names);
        let matched = match (item.attribute("request_id"), id) {
            (Some(mark), _) => sent.iter().position(|sent| sent.request_id == mark),
            (None, Some(id)) => sent.iter().position(|sent| sent.id == id),
            (None, None) => counts_agree.then_some(position),
        };
        let Some(matched) = matched else { continue };
        let contradicts = id.is_some_and(|id| id != sent[matched].id);
        let outcome = if contradicts {
            ItemOutcome::Unknown
        } else {
            judge(item)
        };
        // Two answers for one item cancel each other.
        outcomes[matched] = Some(if outcomes[matched].is_some() {
            ItemOutcome::Unknown
        } else {
            outcome
        });
    }
    Ok(outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap_or(ItemOutcome::Unknown))
        .collect())
}

fn judge(item: Element<'_>) -> ItemOutcome {
    match outcome(item) {
        Outcome::Success => ItemOutcome::Done { id: None },
        Outcome::Silent => ItemOutcome::Unknown,
        Outcome::Failure(words) => refused(words),
    }
}

/// Keeps the provider's words, unless they say that nobody knows.
fn refused(words: Refusal) -> ItemOutcome {
    // The request was accepted, so whatever is said of an item is about that item.
    if has_any(&words, &TIME_OUT_WORDS) {
        return ItemOutcome::Unknown;
    }
    ItemOutcome::Refused(words)
}

/// Settles the answer to AddContacts, whose items carry no mark: by position, and only if the
/// counts agree.
///
/// Nothing is ever certain here: how the service recognises a duplicate is not known, so every id
/// is to be read back.
pub(in super::super) fn settle_creations(
    source: impl BufRead,
    sent: usize,
) -> Result<Vec<ItemOutcome>, DecodeError> {
    let items = read_items(source, "addcontactsresponse", "contacts", sent)?;
    if items.len() != sent {
        return Ok(vec![ItemOutcome::Unknown; sent]);
    }
    Ok(items.iter().map(Tree::root).map(judge_creation).collect())
}

fn judge_creation(item: Element<'_>) -> ItemOutcome {
    const IDS: [&str; 3] = ["contact_id", "contactid", "id"];
    let id = item.any(&IDS).map(str::to_owned);
    match outcome(item) {
        _ if item.has_guessed(&IDS) => ItemOutcome::Unknown,
        Outcome::Success => ItemOutcome::Accepted { id },
        Outcome::Silent => ItemOutcome::Unknown,
        // 1002: the contact exists already, and the text tells its id.
        Outcome::Failure(words) if words.code.as_deref() == Some("1002") => {
            match existing_id(&words.message).filter(|_| !item.has_guessed(&["errortext"])) {
                Some(id) => ItemOutcome::Accepted { id: Some(id) },
                None => ItemOutcome::Unknown,
            }
        }
        Outcome::Failure(words) => refused(words),
    }
}

/// Finds `ID`, spaces, digits; whatever follows is ignored.
fn existing_id(text: &str) -> Option<String> {
    text.match_indices("ID").find_map(|(at, _)| {
        let rest = &text[at + 2..];
        let number = rest.trim_start();
        let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
        (number.len() < rest.len() && !digits.is_empty()).then_some(digits)
    })
}
