//! What all pages have: head, navigation, forms, and how times, names and states are shown.

use std::fmt::{self, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::report::{Escaped, RunRow, Short, distance, instant};

/// When a page is made, and for whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    /// The token against forged requests of whoever has signed in.
    pub(super) csrf: &'a str,
    /// The time of day.
    pub(super) now: Timestamp,
    /// The zone in which times are shown that belong to no schedule.
    pub(super) zone: &'a TimeZone,
}

/// Which part of the navigation a page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Overview,
    Runs,
    Failures,
    Other,
}

/// The field of a form that holds the token against forged requests.
const CSRF_FIELD: &str = "csrf";

/// How often a page without its script asks anew, in seconds.
const ANEW: u32 = 60;

/// Writes everything before the content; `reader` is nobody where nobody has signed in.
pub(super) fn begin(
    out: &mut String,
    title: &str,
    part: Part,
    reader: Option<&Reader<'_>>,
) -> fmt::Result {
    writeln!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"robots\" content=\"noindex, nofollow\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{} · rosterd</title>\n\
         <link rel=\"icon\" href=\"/assets/icon.svg\" type=\"image/svg+xml\">\n\
         <link rel=\"stylesheet\" href=\"/assets/status.css\">",
        Escaped(title)
    )?;
    if reader.is_some() {
        writeln!(out, "<script src=\"/assets/status.js\" defer></script>")?;
    }
    if part == Part::Overview {
        writeln!(
            out,
            "<noscript><meta http-equiv=\"refresh\" content=\"{ANEW}\"></noscript>"
        )?;
    }
    writeln!(
        out,
        "</head>\n<body class=\"status\">\n<a class=\"skip\" href=\"#content\">Skip to the content</a>\n\
         <header class=\"top\"><p class=\"brand\"><a href=\"/\">rosterd</a></p>"
    )?;
    if let Some(reader) = reader {
        writeln!(out, "<nav aria-label=\"Pages\"><ul>")?;
        for (link, words, own) in [
            ("/", "Overview", Part::Overview),
            ("/runs", "Runs", Part::Runs),
            ("/failures", "Failures", Part::Failures),
        ] {
            let current = if own == part {
                " aria-current=\"page\""
            } else {
                ""
            };
            writeln!(out, "<li><a href=\"{link}\"{current}>{words}</a></li>")?;
        }
        writeln!(out, "</ul></nav>")?;
        open_form(out, "/sign-out", reader, "")?;
        writeln!(out, "<button>Sign out</button></form>")?;
    }
    writeln!(
        out,
        "</header>\n<p id=\"told\" class=\"unseen\" role=\"status\" aria-live=\"polite\"></p>\n\
         <main id=\"content\" tabindex=\"-1\">"
    )
}

/// Writes everything behind the content.
pub(super) fn end(out: &mut String, reader: Option<&Reader<'_>>) -> fmt::Result {
    if let Some(reader) = reader {
        writeln!(
            out,
            "<footer><p>As of {}. This page holds what the accounts hold; show it to nobody who may not see those.</p></footer>",
            Escaped(&instant(reader.now, reader.zone))
        )?;
    }
    writeln!(out, "</main>\n</body>\n</html>")
}

/// Begins a form that changes something.
pub(super) fn open_form(
    out: &mut String,
    action: &str,
    reader: &Reader<'_>,
    class: &str,
) -> fmt::Result {
    write!(
        out,
        "<form method=\"post\" action=\"{}\" class=\"act {class}\"><input type=\"hidden\" name=\"{CSRF_FIELD}\" value=\"{}\">",
        Escaped(action),
        Escaped(reader.csrf)
    )
}

/// Writes a form of one button.
pub(super) fn button(
    out: &mut String,
    action: &str,
    reader: &Reader<'_>,
    words: &str,
    of_what: &str,
) -> fmt::Result {
    open_form(out, action, reader, "")?;
    writeln!(
        out,
        "<button>{}<span class=\"unseen\"> {}</span></button></form>",
        Escaped(words),
        Escaped(of_what)
    )
}

/// Writes a name in a part of an address, whatever letters it has.
pub(super) fn in_path(name: &str) -> String {
    let mut path = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            // A dot as well: two of them are not a name but the way up.
            write!(path, "%{byte:02X}").expect("a text takes everything");
        }
    }
    path
}

/// Returns the address of a job's page, or of something below it.
pub(super) fn job_path(job: &str, below: &str) -> String {
    format!("/jobs/{}{below}", in_path(job))
}

/// A link to a job's page.
pub(super) struct JobLink<'a>(pub(super) &'a str);

impl fmt::Display for JobLink<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<a href=\"{}\">{}</a>",
            job_path(self.0, ""),
            Short(self.0)
        )
    }
}

/// A link to a run's page.
pub(super) struct RunLink<'a>(pub(super) &'a str);

impl fmt::Display for RunLink<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<a class=\"id\" href=\"/runs/{}\">{}</a>",
            in_path(self.0),
            Escaped(self.0)
        )
    }
}

/// An instant as it is read, with how far away it is.
pub(super) struct When<'a> {
    pub(super) at: &'a str,
    pub(super) reader: &'a Reader<'a>,
    pub(super) zone: Option<&'a TimeZone>,
}

impl<'a> When<'a> {
    /// When a run ended, or began where it has no end.
    pub(super) fn of_run(run: &'a RunRow, reader: &'a Reader<'a>) -> When<'a> {
        When {
            at: run.finished.as_deref().unwrap_or(&run.started),
            reader,
            zone: None,
        }
    }
}

impl fmt::Display for When<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(at) = self.at.parse::<Timestamp>() else {
            return write!(f, "{}", Escaped(self.at));
        };
        let zone = self.zone.unwrap_or(self.reader.zone);
        write!(
            f,
            "<time datetime=\"{}\">{}</time> <small>{}</small>",
            Escaped(self.at),
            Escaped(&instant(at, zone)),
            Escaped(&distance(self.reader.now, at))
        )
    }
}

/// A state or an outcome in a word, with a sign and a colour that say the same.
pub(super) struct State<'a>(pub(super) &'a str);

impl fmt::Display for State<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (class, sign) = match self.0 {
            "ok" | "done" | "alive" => ("add", "✓"),
            "running" | "found" => ("keep", "▸"),
            "paused" | "partial" | "busy" | "open" => ("change", "!"),
            "failing" | "failed" | "refused" | "interrupted" | "silent" => ("gone", "×"),
            _ => ("plain", "·"),
        };
        write!(
            f,
            "<span class=\"state {class}\"><span aria-hidden=\"true\">{sign}</span> {}</span>",
            Escaped(self.0)
        )
    }
}

/// A sentence in which what stands between backquotes is to be typed.
pub(super) struct WithCode<'a>(pub(super) &'a str);

impl fmt::Display for WithCode<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = self.0.split('`').peekable();
        let mut is_code = false;
        while let Some(part) = parts.next() {
            match (is_code, parts.peek()) {
                (true, Some(_)) => write!(f, "<code>{}</code>", Escaped(part))?,
                // Nothing closes it.
                (true, None) => write!(f, "`{}", Escaped(part))?,
                (false, _) => write!(f, "{}", Escaped(part))?,
            }
            is_code = !is_code;
        }
        Ok(())
    }
}
