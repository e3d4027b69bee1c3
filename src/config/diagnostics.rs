//! What is wrong with a configuration, for people and for programs.
//!
//! A diagnostic keeps one line of the file at most, and none at all where that line holds a secret.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use serde_json::{Value, json};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration can't be used.
    Error,
    /// The configuration works, and somebody should look.
    Warning,
}

impl Severity {
    /// Returns the word shown before the message.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// One finding, with its place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The file.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// The bytes of the file that the finding is about.
    pub span: Range<usize>,
    /// The text of the line; none where it holds a secret.
    pub source_line: Option<String>,
}

/// A finding that does not stop anything.
pub type Warning = Diagnostic;

impl Diagnostic {
    /// Renders the finding for people: message, place, the line with a caret, and the hint.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(self.message.as_str());
        let mut group = match &self.source_line {
            Some(line) => {
                let annotation = AnnotationKind::Primary.span(self.span_in(line));
                title.element(
                    Snippet::source(line.as_str())
                        .path(self.file.as_str())
                        .line_start(self.line)
                        .annotation(annotation),
                )
            }
            None => title.element(
                Origin::path(self.file.as_str())
                    .line(self.line)
                    .char_column(self.column),
            ),
        };
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.with_name("hint").message(hint.as_str()));
        }
        renderer.render(&[group])
    }

    /// Returns the finding as a JSON object.
    pub fn to_json(&self) -> Value {
        json!({
            "severity": self.severity.as_str(),
            "message": self.message,
            "hint": self.hint,
            "file": self.file,
            "line": self.line,
            "column": self.column,
        })
    }

    /// Translates the span into bytes of the line, cut at the line's end.
    fn span_in(&self, line: &str) -> Range<usize> {
        let start = line
            .char_indices()
            .nth(self.column - 1)
            .map_or(line.len(), |(at, _)| at);
        let mut end = (start + self.span.len()).clamp(start, line.len());
        while !line.is_char_boundary(end) {
            end += 1;
        }
        start..end
    }
}

/// Everything that is wrong with a configuration, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Puts findings in the order of the file.
    pub fn new(mut findings: Vec<Diagnostic>) -> Self {
        findings.sort_by(|a, b| {
            (a.line, a.column, a.severity, &a.message, &a.hint)
                .cmp(&(b.line, b.column, b.severity, &b.message, &b.hint))
        });
        findings.dedup();
        Diagnostics(findings)
    }

    /// Goes through the findings.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// Counts the findings.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Tells whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells whether the configuration can't be used.
    pub fn has_errors(&self) -> bool {
        self.0
            .iter()
            .any(|finding| finding.severity == Severity::Error)
    }

    /// Renders all findings for people, with an empty line between them.
    pub fn render(&self, colour: bool) -> String {
        self.0
            .iter()
            .map(|finding| finding.render(colour))
            .collect::<Vec<_>>()
            .join("\n\n")
    }

    /// Returns the findings as a JSON list.
    pub fn to_json(&self) -> Value {
        self.0.iter().map(Diagnostic::to_json).collect()
    }

    /// Returns the findings as a list.
    pub fn into_vec(self) -> Vec<Diagnostic> {
        self.0
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

/// Collects findings while a file is walked; their places are worked out at the end, when all
/// secret lines are known.
#[derive(Debug, Default)]
pub(super) struct Sink {
    findings: Vec<Finding>,
    unreadable: bool,
    hidden: Vec<Range<usize>>,
}

#[derive(Debug)]
struct Finding {
    severity: Severity,
    span: Range<usize>,
    message: String,
    hint: Option<String>,
}

impl Sink {
    /// Takes an error.
    pub(super) fn error(
        &mut self,
        span: &Range<usize>,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.findings.push(Finding {
            severity: Severity::Error,
            span: span.clone(),
            message: message.into(),
            hint,
        });
    }

    /// Takes a warning.
    pub(super) fn warn(
        &mut self,
        span: &Range<usize>,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.findings.push(Finding {
            severity: Severity::Warning,
            span: span.clone(),
            message: message.into(),
            hint,
        });
    }

    /// Marks bytes whose lines are never shown.
    pub(super) fn hide(&mut self, span: &Range<usize>) {
        self.hidden.push(span.clone());
    }

    /// Takes an error of the TOML syntax, after which nothing else can be judged.
    pub(super) fn syntax_error(
        &mut self,
        span: &Range<usize>,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.unreadable = true;
        self.error(span, message, hint);
    }

    /// Tells whether the text is not TOML.
    pub(super) fn has_syntax_errors(&self) -> bool {
        self.unreadable
    }

    /// Counts the findings so far.
    pub(super) fn count(&self) -> usize {
        self.findings.len()
    }

    /// Counts the errors so far.
    pub(super) fn errors(&self) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .count()
    }

    /// Works out the places.
    pub(super) fn finish(self, text: &str, path: &Path) -> Diagnostics {
        let lines = Lines::new(text);
        let hidden: Vec<Range<usize>> = self
            .hidden
            .iter()
            .map(|span| {
                lines.number(span.start)
                    ..lines.number(span.end.saturating_sub(1).max(span.start)) + 1
            })
            .collect();
        let file = path.display().to_string();
        let findings = self.findings.into_iter().map(|finding| {
            let start = floor_boundary(text, finding.span.start);
            let end = floor_boundary(text, finding.span.end).max(start);
            let number = lines.number(start);
            let line = lines.text(number);
            let line_start = lines.starts[number];
            let shown =
                !hidden.iter().any(|lines| lines.contains(&number)) && !remarks_on_a_secret(line);
            Diagnostic {
                severity: finding.severity,
                message: finding.message,
                hint: finding.hint,
                file: file.clone(),
                line: number + 1,
                column: text[line_start..start].chars().count() + 1,
                span: start..end,
                source_line: shown.then(|| line.to_owned()),
            }
        });
        Diagnostics::new(findings.collect())
    }
}

/// Tells whether what follows a `#` speaks of a secret: people note down in comments what they took
/// out of the line.
fn remarks_on_a_secret(line: &str) -> bool {
    line.split_once('#').is_some_and(|(_, comment)| {
        comment
            .split(|c: char| !c.is_alphanumeric())
            .any(super::keys::sounds_secret)
    })
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Lines { text, starts }
    }

    /// Returns the line of a byte, counted from 0.
    fn number(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at) - 1
    }

    fn text(&self, number: usize) -> &'a str {
        let end = self
            .starts
            .get(number + 1)
            .map_or(self.text.len(), |next| next - 1);
        self.text[self.starts[number]..end].trim_end_matches('\r')
    }
}

/// Puts a name in back ticks, without characters that could upset a terminal and without its far
/// end when it is long.
pub(super) fn quoted(name: &str) -> String {
    let mut shown: String = name.chars().take(60).flat_map(char::escape_debug).collect();
    shown = shown.replace("\\'", "'").replace("\\\"", "\"");
    if name.chars().count() > 60 {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// Asks "did you mean …?" where a known name is close to what was typed.
pub(super) fn did_you_mean<'a>(
    typed: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(typed, known).map(|name| format!("did you mean `{name}`?"))
}

/// Finds the known name that is closest to what was typed, if any is close.
pub(super) fn nearest<'a>(
    typed: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // Long texts are no typing errors, and the distance costs the product of the lengths.
    if typed.chars().count() > 60 {
        return None;
    }
    let typed = typed.to_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|name| {
            (
                strsim::damerau_levenshtein(&typed, &name.to_lowercase().replace('-', "_")),
                name,
            )
        })
        .filter(|(distance, name)| {
            *distance <= name.chars().count().max(typed.chars().count()).div_ceil(3)
        })
        .min()
        .map(|(_, name)| name)
}
