//! The few colours of printed results. Every one comes with a symbol or a word that says the same.

use anstyle::{AnsiColor, Style};

/// Something that comes into being.
pub(super) const ADDED: Style = AnsiColor::Green.on_default();
/// Something that changes.
pub(super) const CHANGED: Style = AnsiColor::Yellow.on_default();
/// Something that is found and kept.
pub(super) const KEPT: Style = AnsiColor::Cyan.on_default();
/// Something that goes away.
pub(super) const GONE: Style = AnsiColor::Red.on_default();
/// Something that stops everything.
pub(super) const STOP: Style = AnsiColor::Red.on_default().bold();
/// A person's refusal of mail.
pub(super) const REFUSAL: Style = AnsiColor::Magenta.on_default().bold();
/// A heading.
pub(super) const HEADING: Style = Style::new().bold();
/// What matters less.
pub(super) const ASIDE: Style = Style::new().dimmed();
