//! The colours of messages.

use anstyle::{AnsiColor, Style};

/// The word before a failure.
pub(super) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// The word before something to look at.
pub(super) const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// The word before what to do next.
pub(super) const HINT: Style = AnsiColor::Cyan.on_default().bold();
/// Something that is as it should be.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
