//! What a client did that the providers' documentation forbids or warns of.

use serde::{Deserialize, Serialize};

/// One thing a client should not have done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Misuse {
    /// The request's number in the request log.
    pub request: u64,
    /// The account's name, empty when the request reached none.
    pub account: String,
    /// The operation, such as `groups/search` or `GetContacts`.
    pub operation: String,
    /// What it was.
    pub kind: MisuseKind,
    /// Names, ids and numbers that help to find the place; never an address or a secret.
    pub detail: String,
}

/// The kinds of misuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MisuseKind {
    /// A method that the call does not take.
    WrongMethod,
    /// A body of another content type than the provider reads.
    WrongContentType,
    /// A body without a known length.
    ChunkedBody,
    /// A body that can't be read as what it says it is.
    UnreadableBody,
    /// A query string on a POST.
    QueryOnPost,
    /// A token, password or key somewhere else than the provider wants it.
    CredentialMisplaced,
    /// An operation or path that does not exist.
    UnknownOperation,
    /// A parameter, attribute or element that the operation does not have.
    UnknownParameter,
    /// A parameter of the wrong type or with a value that is not allowed.
    WrongType,
    /// A required parameter was left out.
    MissingParameter,
    /// More rows or items than one request may hold.
    TooManyItems,
    /// Text that is longer than the field allows.
    TooLong,
    /// A page behind the last one.
    PageBeyondEnd,
    /// Rows of one batch that differ in structure.
    UnevenRows,
    /// The same person twice in one batch.
    DuplicateInBatch,
    /// The same request id twice in one batch.
    DuplicateRequestId,
    /// More requests in flight than the account takes.
    TooManyInFlight,
    /// Two changes at the same time.
    ConcurrentWrites,
    /// More requests in a minute than the account takes.
    TooFast,
    /// Somebody who had opted out was subscribed again.
    Resubscribed,
    /// Somebody who refuses all mail of the account was added to a group.
    AddedOptedOut,
    /// Somebody who is listed in a group was added to it once more.
    AddedExistingMember,
    /// Somebody who had opted out was taken out of the group, which loses the opt-out.
    RemovedOptedOut,
    /// Somebody who is not in a group was taken out of it.
    RemovedNonMember,
    /// A change to a group that takes none: dynamic, built in, archived or for tests.
    ForbiddenTarget,
    /// Archiving or deleting a protected group.
    ProtectedGroup,
    /// A contact was deleted.
    DeletedContact,
    /// The delivery state of an address was written.
    WroteHeld,
    /// The complete set of a person's groups was replaced.
    ReplacedGroups,
    /// An XML declaration before the root element.
    XmlDeclaration,
    /// A request that leaves open which account is meant, or names two.
    AccountUnclear,
    /// A user was written without a user group, which puts them into that of the caller.
    OmittedUserGroup,
    /// A call that deletes lists along with what it is about.
    DeletedLists,
    /// More parameters than the server reads; the rest is dropped without a word.
    DroppedParameters,
    /// An array entry whose key and value name different objects.
    KeyMismatch,
    /// A parameter that makes mail go out.
    AskedForMail,
    /// A reading that mixes several accounts.
    MixedAccounts,
    /// A group or contact that was named in an ambiguous way.
    AmbiguousTarget,
}
