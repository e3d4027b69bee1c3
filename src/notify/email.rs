//! Mail to people, through a server that takes it on.

use std::path::Path;
use std::time::{Duration, SystemTime};

use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::AsyncSmtpTransport;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncTransport as _, Tokio1Executor};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use super::channel::Failure;
use super::message::Letter;
use crate::config::settled::{MailConfig, MailSecurity};
use crate::model::{tidy, with_causes, without_addresses};

/// Says that nobody wrote this by hand, so that no absence note answers it.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(AutoSubmitted)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// Sends a message and returns what the server answered.
pub(super) async fn send(
    config: &MailConfig,
    password: Option<SecretString>,
    ca_file: Option<&Path>,
    host: &str,
    letter: &Letter,
    patience: Duration,
) -> Result<String, Failure> {
    let message = message(config, host, letter).map_err(Failure::of)?;
    let server = &config.server;
    let tls = match server.security {
        MailSecurity::Plain => Tls::None,
        MailSecurity::Tls => Tls::Wrapper(parameters(&server.host, ca_file).map_err(Failure::of)?),
        MailSecurity::StartTls => {
            Tls::Required(parameters(&server.host, ca_file).map_err(Failure::of)?)
        }
    };
    let mut transport =
        AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server.host.as_str())
            .port(server.port)
            .tls(tls)
            .hello_name(ClientId::Domain(label(host)))
            .timeout(Some(patience));
    if let (Some(user), Some(password)) = (&config.user, &password) {
        transport = transport.credentials(Credentials::new(
            user.clone(),
            password.expose_secret().to_owned(),
        ));
    }
    let transport = transport.build();
    let sent = timeout(patience, transport.send(message))
        .await
        .map_err(|_| {
            Failure::of(format!(
                "{} did not take the mail within {} seconds",
                server.host,
                patience.as_secs()
            ))
        })?;
    let answer = sent.map_err(|error| {
        let mut words = words(&error, password.as_ref());
        if error.is_tls() || words.contains("certificate") {
            words.push_str("; check the host of `notify.email.smtp`, and `notify.ca_file` for a certificate of your own");
        }
        Failure::of(format!("{}: {words}", server.host))
    })?;
    let line = answer.first_line().unwrap_or_default();
    Ok(format!(
        "{} took it: {} {}",
        server.host,
        answer.code(),
        tidy(&without_addresses(line))
    ))
}

/// Tells an error with its causes, without addresses and the password.
fn words(error: &lettre::transport::smtp::Error, password: Option<&SecretString>) -> String {
    let mut text = with_causes(error);
    if let Some(password) = password {
        text = text.replace(password.expose_secret(), "(secret)");
    }
    tidy(&without_addresses(&text))
}

/// Writes the mail.
fn message(config: &MailConfig, host: &str, letter: &Letter) -> Result<Message, String> {
    let mailbox = |text: &str| {
        text.parse::<Mailbox>()
            .map_err(|_| "`notify.email` holds something that is no address".to_owned())
    };
    let mut builder = Message::builder()
        .from(mailbox(&config.from)?)
        .date(SystemTime::from(letter.at))
        .message_id(Some(format!("<{}@{}>", letter.uid, label(host))))
        .subject(letter.subject.as_str())
        .header(AutoSubmitted)
        .header(ContentType::TEXT_PLAIN);
    for to in &config.to {
        builder = builder.to(mailbox(to)?);
    }
    builder
        .body(letter.text.clone())
        .map_err(|error| format!("the mail can't be written: {error}"))
}

/// Trusts the authorities of this machine, those that come along, and the one of the config.
fn parameters(host: &str, ca_file: Option<&Path>) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(host.to_owned());
    for authority in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        if let Ok(certificate) = Certificate::from_der(authority.to_vec()) {
            builder = builder.add_root_certificate(certificate);
        }
    }
    if let Some(path) = ca_file {
        let pem = std::fs::read(path).map_err(|error| {
            format!(
                "`notify.ca_file`: {} can't be read: {error}",
                path.display()
            )
        })?;
        let certificate = Certificate::from_pem(&pem).map_err(|_| {
            format!(
                "`notify.ca_file`: {} holds no certificate as PEM",
                path.display()
            )
        })?;
        builder = builder.add_root_certificate(certificate);
    }
    builder
        .build()
        .map_err(|error| format!("TLS can't be set up: {error}"))
}

/// Makes the name of this machine one that a mail server takes.
fn label(host: &str) -> String {
    let plain = |letter: &char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.');
    let name: String = host.chars().filter(plain).collect();
    if name.is_empty() {
        "localhost".to_owned()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settled::MailServer;
    use crate::notify::decide::State;
    use crate::notify::message::letter;
    use crate::notify::testing::delivery;

    #[test]
    fn a_mail_is_plain_text_that_answers_nobody_and_keeps_its_name() {
        let config = MailConfig {
            server: MailServer {
                host: "mail.example.org".to_owned(),
                port: 465,
                security: MailSecurity::Tls,
            },
            user: None,
            password: None,
            from: "Rosterd <rosterd@example.org>".to_owned(),
            to: vec!["ops@example.org".to_owned(), "night@example.org".to_owned()],
        };
        let refused = State::Refused("4f2a".to_owned());
        let letter = letter(&delivery(refused, State::Well), "ops1 \r\nBcc: eve");
        let mail = message(&config, "ops1\r\nBcc: eve", &letter).unwrap();
        let text = String::from_utf8(mail.formatted()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let head = head.replace("\r\n ", " ");
        for line in [
            "Subject: [rosterd] 10 opt-outs wait: a guard refused the plan of crm-to-mail",
            "Auto-Submitted: auto-generated",
            "Message-ID: <msg_0123@ops1Bcceve>",
            "Date: Sun, 22 Nov 2026 10:15:04 +0000",
            "Content-Type: text/plain; charset=utf-8",
        ] {
            assert!(
                head.lines().any(|known| known == line),
                "{line} is not in\n{head}"
            );
        }
        assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
        assert!(body.starts_with("10 opt-outs wait."), "{body}");
        assert_eq!(mail.envelope().to().len(), 2);
    }
}
