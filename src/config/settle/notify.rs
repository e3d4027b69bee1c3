//! Who is told what happens: the checks of `[notify]` that take more than the shape of a value.

use std::net::IpAddr;

use lettre::message::Mailbox;
use url::Url;

use super::Settling;
use crate::config::raw::Section;
use crate::config::settled::{MailConfig, MailSecurity, MailServer, NotifyConfig};

/// The port on which mail is taken under TLS from the first byte.
const PORT_TLS: u16 = 465;

/// The port on which mail is taken on.
const PORT_SUBMISSION: u16 = 587;

pub(super) fn settle(settling: &mut Settling<'_>, section: &Section) -> NotifyConfig {
    let webhook = section.table("webhook");
    let command: Vec<String> = section
        .texts("command")
        .into_iter()
        .map(|word| word.value)
        .collect();
    if command.is_empty() && section.given("command").is_some() {
        let hint = "write the program and its arguments, as in [\"/usr/local/bin/page-me\"]";
        settling.sink.error(
            &section.span_of("command"),
            "`notify.command` names no program.",
            Some(hint.to_owned()),
        );
    }
    NotifyConfig {
        webhook: webhook
            .url("url")
            .map(|url| (url, settling.secret(&webhook, "secret"))),
        command: (!command.is_empty()).then_some(command),
        email: section
            .given("email")
            .is_some()
            .then(|| email(settling, &section.table("email")))
            .flatten(),
        alive: section.url("alive"),
        proxy: section.url("proxy"),
        ca_file: section.text("ca_file").map(|path| settling.path(&path)),
    }
}

fn email(settling: &mut Settling<'_>, section: &Section) -> Option<MailConfig> {
    let server = section.text("smtp").and_then(|text| {
        server(&text)
            .map_err(|problem| {
                let span = section.span_of("smtp");
                if problem.secret {
                    settling.sink.hide(&span);
                }
                let message = format!("`notify.email.smtp` {}.", problem.message);
                settling
                    .sink
                    .error(&span, message, Some(problem.hint.to_owned()));
            })
            .ok()
    });
    let from = section.text("from");
    let to = section.texts("to");
    if to.is_empty() && section.given("to").is_some() {
        settling.sink.error(
            &section.span_of("to"),
            "`notify.email.to` names nobody.",
            Some("write the addresses, as in [\"ops@example.org\"]".to_owned()),
        );
    }
    let typed = from
        .iter()
        .map(|from| ("from", section.span_of("from"), from));
    let typed = typed.chain(to.iter().map(|to| ("to", to.span.clone(), &to.value)));
    for (key, span, text) in typed {
        if text.parse::<Mailbox>().is_err() {
            settling.sink.error(
                &span,
                format!("`notify.email.{key}` holds something that is no e-mail address."),
                Some("write it as \"name@example.org\" or \"Name <name@example.org>\"".to_owned()),
            );
        }
    }
    let (user, password) = (section.text("user"), settling.secret(section, "password"));
    let missing = match (section.entry("user"), section.entry("password")) {
        (Some(_), None) => Some(("user", "password")),
        (None, Some(_)) => Some(("password", "user")),
        _ => None,
    };
    if let Some((given, missing)) = missing {
        settling.sink.error(
            &section.span_of(given),
            format!("`notify.email` has `{given}` and lacks `{missing}`."),
            Some("give both, or neither where the server asks for no login".to_owned()),
        );
    }
    Some(MailConfig {
        server: server?,
        user,
        password,
        from: from?,
        to: to.into_iter().map(|to| to.value).collect(),
    })
}

/// Why an address of a mail server was not taken, to follow the key's name.
#[derive(Debug)]
struct Problem {
    message: &'static str,
    hint: &'static str,
    secret: bool,
}

/// Reads the address of a mail server.
fn server(text: &str) -> Result<MailServer, Problem> {
    let wrong = Problem {
        message: "is not the address of a mail server",
        hint: "write it as \"smtps://mail.example.org\", or as \"smtp://mail.example.org\" for STARTTLS",
        secret: false,
    };
    let Ok(url) = Url::parse(text.trim()) else {
        return Err(wrong);
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Problem {
            message: "holds a user name or password in plain text",
            hint: "take the part before `@` out, and give `user` and `password` beside it",
            secret: true,
        });
    }
    let host = url.host_str().unwrap_or_default();
    let host = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let is_bare = matches!(url.path(), "" | "/") && url.query().is_none();
    if host.is_empty() || !is_bare {
        return Err(wrong);
    }
    let is_loopback = host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let (security, port) = match url.scheme() {
        "smtps" => (MailSecurity::Tls, PORT_TLS),
        // Nobody else hears what stays on this machine, and its server seldom has a certificate.
        "smtp" if is_loopback => (MailSecurity::Plain, 25),
        "smtp" => (MailSecurity::StartTls, PORT_SUBMISSION),
        _ => return Err(wrong),
    };
    Ok(MailServer {
        host,
        port: url.port().unwrap_or(port),
        security,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_is_encrypted_unless_it_stays_on_this_machine() {
        let read = |text: &str| server(text).map(|it| (it.host, it.port, it.security)).ok();
        let (tls, starttls, plain) = (
            MailSecurity::Tls,
            MailSecurity::StartTls,
            MailSecurity::Plain,
        );
        for (text, host, port, security) in [
            ("smtps://mail.example.org", "mail.example.org", 465, tls),
            (
                "smtps://mail.example.org:2465/",
                "mail.example.org",
                2465,
                tls,
            ),
            ("smtp://mail.example.org", "mail.example.org", 587, starttls),
            (
                "smtp://mail.example.org:25",
                "mail.example.org",
                25,
                starttls,
            ),
            ("smtp://localhost", "localhost", 25, plain),
            ("smtp://127.0.0.1:2525", "127.0.0.1", 2525, plain),
            ("smtp://[::1]:2525", "::1", 2525, plain),
            ("smtps://127.0.0.1", "127.0.0.1", 465, tls),
        ] {
            assert_eq!(
                read(text),
                Some((host.to_owned(), port, security)),
                "{text}"
            );
        }
        for text in [
            "",
            "mail.example.org",
            "mail.example.org:25",
            "https://mail.example.org",
            "smtp://",
            "smtps://mail.example.org/inbox",
            "smtps://mail.example.org?tls=none",
        ] {
            assert!(server(text).is_err(), "{text}");
        }
        assert!(
            server("smtps://ops:hunter2@mail.example.org")
                .unwrap_err()
                .secret
        );
    }
}
