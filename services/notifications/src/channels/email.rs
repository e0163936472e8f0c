//! E-mail by SMTP.
//!
//! A message has a plain and an HTML part, a `Message-ID` that is the same for every attempt, and tells mail programs how to unsubscribe. Before anything else, one asks
//! whether the address is the user's.

use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use pathway_kernel::{Check, Violation};
use pathway_outbound::Hosts;
use pathway_resilience::Breaker;
use std::sync::Arc;

use crate::config::EmailConfig;
use crate::courier::{Sender, Sending};
use crate::delivery::{CONFIRMATION, Claim, Outcome};
use crate::notice::Notice;
use crate::templates::Templates;
use crate::tokens::{Purpose, Tokens};

/// Sends e-mail.
#[derive(Debug)]
pub(crate) struct EmailSender {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    unsubscribe: String,
    confirm: String,
    templates: Arc<Templates>,
    breaker: Breaker,
    tokens: Tokens,
}

/// `List-Unsubscribe` (RFC 2369).
#[derive(Debug, Clone)]
struct ListUnsubscribe(String);

/// `List-Unsubscribe-Post` (RFC 8058): mail programs may post to the URL themselves, and nobody need open it.
#[derive(Debug, Clone)]
struct ListUnsubscribePost;

/// Where a URL has its token.
const TOKEN: &str = "{token}";

/// How long the mail server may take over one command.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

// === impl EmailSender ===

impl EmailSender {
    /// A sender to the server of the configuration, with everything that is wrong with that. Nothing is connected before the first message.
    pub(crate) fn new(
        config: &EmailConfig,
        templates: Arc<Templates>,
        hosts: &Hosts,
        tokens: Tokens,
    ) -> Result<Self, Vec<Violation>> {
        let mut check = Check::default();
        let from = config
            .from
            .parse::<Mailbox>()
            .map_err(|_| "is no address, such as Pathway <pathway@example.com>");
        let from = check.take("email.from", from);
        let read = |path: &std::path::Path| {
            std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))
        };
        let mut parameters = TlsParameters::builder(config.host.clone());
        if !config.root_certificate.as_os_str().is_empty() {
            let certificate = read(&config.root_certificate).and_then(|pem| {
                Certificate::from_pem(pem.as_bytes()).map_err(|_| "is no certificate (PEM)".to_owned())
            });
            if let Some(certificate) = check.take("email.root_certificate", certificate) {
                parameters = parameters.add_root_certificate(certificate);
            }
        }
        let tls = match (config.tls.as_str(), check.take("email.host", parameters.build())) {
            ("none", _) => Some(Tls::None),
            ("starttls", Some(parameters)) => Some(Tls::Required(parameters)),
            ("tls", Some(parameters)) => Some(Tls::Wrapper(parameters)),
            (_, None) => None,
            _ => {
                check.note("email.tls", Some("must be tls, starttls or none"));
                None
            }
        };
        let (breaker, within) = hosts.host(&config.host, config.port);
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&config.host)
            .timeout(Some(ANSWER_WITHIN.min(within)));
        builder = builder.port(config.port).tls(tls.unwrap_or(Tls::None));
        if !config.user.is_empty() {
            if config.tls == "none" {
                check.note(
                    "email.user",
                    Some("would be sent with its password in the clear: use tls or starttls"),
                );
            }
            if let Some(password) = check.take("email.password_file", read(&config.password_file)) {
                builder = builder
                    .credentials(Credentials::new(config.user.clone(), password.trim_end().to_owned()));
            }
        }
        let is_open = config.unsubscribe.contains(TOKEN) && !config.unsubscribe.starts_with("https://");
        check.note("email.unsubscribe", is_open.then_some("must be an https: URL where it has a token"));
        let has_none = !config.confirm.is_empty() && !config.confirm.contains(TOKEN);
        check.note("email.confirm", has_none.then_some("must say where the token stands: {token}"));
        match from {
            Some(from) if check.is_clean() => Ok(Self {
                transport: builder.build(),
                from,
                unsubscribe: config.unsubscribe.clone(),
                confirm: config.confirm.clone(),
                templates,
                breaker,
                tokens,
            }),
            _ => Err(check.done().err().unwrap_or_default()),
        }
    }

    async fn mail(&self, claim: &Claim) -> Outcome {
        let admission = match self.breaker.admit() {
            Ok(admission) => admission,
            Err(after) => {
                let reason = "the mail server is not asked, because its last calls failed".to_owned();
                return Outcome::Later { status: 0, reason, after: Some(after) };
            }
        };
        let outcome = self.try_to_mail(claim).await;
        // 421 says that the server closes; whatever else it answers is about this message.
        admission.settle(!matches!(outcome, Outcome::Later { status: 0 | 421, .. }));
        outcome
    }

    async fn try_to_mail(&self, claim: &Claim) -> Outcome {
        match self.message(claim) {
            Ok(message) => match self.transport.send(message).await {
                Ok(response) => Outcome::Delivered { status: u16::from(response.code()).into() },
                Err(error) => {
                    let status = error.status().map_or(0, |code| u16::from(code).into());
                    // What the server says may quote the message; its status says enough.
                    let reason = match status {
                        0 if error.is_timeout() => "the mail server did not answer in time".to_owned(),
                        0 => "the mail server cannot be reached, or TLS with it failed".to_owned(),
                        status => format!("the mail server answered {status}"),
                    };
                    if error.is_permanent() {
                        Outcome::Refused { status, reason }
                    } else {
                        Outcome::Later { status, reason, after: None }
                    }
                }
            },
            Err(reason) => Outcome::Refused { status: 0, reason },
        }
    }

    fn message(&self, claim: &Claim) -> Result<Message, String> {
        let preferences = &claim.preferences;
        let to: Address = preferences.email.parse().map_err(|_| "the address is none")?;
        let token = |purpose| self.tokens.of(purpose, &claim.delivery.user_id, &preferences.email);
        let is_question = claim.delivery.topic == CONFIRMATION;
        let question = self.question(token(Purpose::Confirm));
        let notices: Vec<_> = if is_question {
            vec![&question]
        } else {
            claim.notices.iter().map(|stored| &stored.notice).collect()
        };
        let mail = self.templates.mail(&notices, &preferences.locale, preferences.shows_amounts)?;
        let created = Duration::from_micros(u64::try_from(claim.delivery.created_at_us).unwrap_or(0));
        let mut message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(mail.subject)
            .date(UNIX_EPOCH + created)
            .message_id(Some(format!("<{}@{}>", claim.delivery.id, self.from.email.domain())));
        if !self.unsubscribe.is_empty() && !is_question {
            let url = self.unsubscribe.replace(TOKEN, &token(Purpose::Unsubscribe));
            message = message.header(ListUnsubscribe(format!("<{url}>")));
            if self.unsubscribe.contains(TOKEN) {
                message = message.header(ListUnsubscribePost);
            }
        }
        let parts = MultiPart::alternative_plain_html(mail.text, mail.html);
        message.multipart(parts).map_err(|_| "the message cannot be built".to_owned())
    }

    /// What asks the reader of a mailbox whether it is the user's.
    fn question(&self, token: String) -> Notice {
        let link = if self.confirm.is_empty() { token } else { self.confirm.replace(TOKEN, &token) };
        Notice {
            kind: "email_confirmation".to_owned(),
            metadata: [("link".to_owned(), link)].into(),
            ..Notice::default()
        }
    }
}

impl Sender for EmailSender {
    fn send<'a>(&'a self, claim: &'a Claim) -> Sending<'a> {
        Box::pin(self.mail(claim))
    }
}

// === impl ListUnsubscribe ===

impl Header for ListUnsubscribe {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("List-Unsubscribe")
    }

    fn parse(text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self(text.to_owned()))
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), self.0.clone())
    }
}

// === impl ListUnsubscribePost ===

impl Header for ListUnsubscribePost {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("List-Unsubscribe-Post")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "List-Unsubscribe=One-Click".to_owned())
    }
}
