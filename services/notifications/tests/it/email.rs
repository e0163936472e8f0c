//! E-mail against a real mail server in a process of its own, with TLS and a login.

use std::path::Path;
use std::process::Stdio;

use pathway_proto::pathway::notifications::v1 as api;
use pathway_proto::pathway::types::v1::Notice;
use pathway_rpc::from_status;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::python;
use crate::service::{Service, eventually, reminder, send};

/// A mail server, and what it gets.
struct Mailbox {
    port: u16,
    messages: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

// === impl Mailbox ===

impl Mailbox {
    /// Starts one, or says that it cannot.
    async fn start(mode: &str) -> Option<Self> {
        let python = python::with("aiosmtpd==1.4.6")?;
        let mut child = Command::new(python)
            .args([&data("smtp.py"), mode, &data("server.pem"), &data("server.key")])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut messages = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = messages.next_line().await.unwrap().unwrap().parse().unwrap();
        Some(Self { port, messages, _child: child })
    }

    async fn next(&mut self) -> Value {
        serde_json::from_str(&self.messages.next_line().await.unwrap().unwrap()).unwrap()
    }
}

fn data(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data").join(name).display().to_string()
}

async fn start(directory: &tempfile::TempDir, port: u16, tls: &str) -> Service {
    let password = directory.path().join("password");
    std::fs::write(&password, "correct horse\n").unwrap();
    Service::start(directory, |config| {
        config.email.host = "localhost".to_owned();
        config.email.port = port;
        config.email.tls = tls.to_owned();
        config.email.from = "Pathway <pathway@example.com>".to_owned();
        config.email.user = "pathway".to_owned();
        config.email.password_file = password;
        config.email.root_certificate = data("ca.pem").into();
        config.email.unsubscribe = "https://example.com/off/{token}".to_owned();
        config.email.confirm = "https://example.com/confirm/{token}".to_owned();
    })
    .await
}

async fn wants_email(service: &Service, email: &str, locale: &str) {
    let rule = api::Preference {
        r#type: "*".to_owned(),
        channel: "email".to_owned(),
        mode: api::DeliveryMode::Immediate.into(),
        throttle_seconds: 0,
    };
    let request = api::UpdatePreferencesRequest {
        user_id: "u".to_owned(),
        email: Some(email.to_owned()),
        locale: Some(locale.to_owned()),
        preferences: vec![rule],
        ..Default::default()
    };
    service.preferences().update_preferences(request).await.unwrap();
}

fn warning(key: &str) -> Notice {
    let mut notice = reminder("u", key);
    notice.r#type = "budget_warning".to_owned();
    notice.title = "Dining at 80%".to_owned();
    notice.message = "You have spent 80.00 of 100.00".to_owned();
    notice
}

/// The first that was tried, other than one that is known.
async fn settled(service: &Service, known: &str) -> api::Delivery {
    eventually(async || {
        let request = api::ListDeliveriesRequest { user_id: "u".to_owned(), ..Default::default() };
        let found = service.deliveries().list_deliveries(request).await.unwrap().into_inner().deliveries;
        found.into_iter().find(|delivery| delivery.id != known && !delivery.attempts.is_empty())
    })
    .await
}

/// The value of a header.
fn header<'a>(content: &'a str, name: &str) -> &'a str {
    let line = content.lines().find(|line| line.starts_with(&format!("{name}: ")));
    line.unwrap_or_else(|| panic!("no {name} in {content}")).split_once(": ").unwrap().1
}

/// What follows `before` in a message, up to the end of the word: a token.
fn after(content: &str, before: &str) -> String {
    // Long lines are broken by an equals sign.
    let content = content.replace("=\r\n", "").replace("=\n", "");
    let (_, rest) = content.split_once(before).unwrap_or_else(|| panic!("no {before} in {content}"));
    rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect()
}

/// Waits for the question whether the address is the user's, and confirms it; answers the question.
async fn confirm(service: &Service, mailbox: &mut Mailbox) -> Value {
    let question = mailbox.next().await;
    let token = after(question["content"].as_str().unwrap(), "https://example.com/confirm/");
    let request = api::ConfirmEmailRequest { user_id: "u".to_owned(), token };
    service.preferences().confirm_email(request).await.unwrap();
    question
}

async fn deliveries(service: &Service) -> usize {
    let request = api::ListDeliveriesRequest { user_id: "u".to_owned(), ..Default::default() };
    service.deliveries().list_deliveries(request).await.unwrap().into_inner().deliveries.len()
}

#[tokio::test]
async fn g29_a_mail_comes_over_tls_with_both_parts_and_no_amount_in_its_subject() {
    for mode in ["tls", "starttls"] {
        let Some(mut mailbox) = Mailbox::start(mode).await else { return };
        let directory = tempfile::tempdir().unwrap();
        let service = start(&directory, mailbox.port, mode).await;
        wants_email(&service, "asha@example.com", "en").await;
        confirm(&service, &mut mailbox).await;
        let asked = settled(&service, "").await.id;
        send(&service.client, vec![warning("a")]).await;
        let mail = mailbox.next().await;
        assert_eq!((&mail["tls"], &mail["to"][0]), (&true.into(), &"asha@example.com".into()), "{mode}");
        let content = mail["content"].as_str().unwrap();
        assert_eq!(header(content, "Subject"), "Budget warning");
        assert!(content.contains("80.00 of 100.00"), "the text may have it");
        for part in ["text/plain", "text/html", "multipart/alternative"] {
            assert!(content.contains(part), "{part}");
        }
        assert!(content.contains("<https://example.com/off/"), "{content}");
        assert_eq!(header(content, "List-Unsubscribe-Post"), "List-Unsubscribe=One-Click");
        let delivered = settled(&service, &asked).await;
        assert_eq!((delivered.state(), delivered.attempts[0].status), (api::DeliveryState::Delivered, 250));
        let message_id = header(content, "Message-ID").to_owned();
        assert_eq!(message_id, format!("<{}@example.com>", delivered.id));

        // Sent once more, it is the same message.
        let retry =
            api::RetryDeliveryRequest { user_id: "u".to_owned(), id: delivered.id, ..Default::default() };
        service.deliveries().retry_delivery(retry).await.unwrap();
        let again = mailbox.next().await;
        assert_eq!(header(again["content"].as_str().unwrap(), "Message-ID"), message_id);
        service.stop().await;
    }
}

#[tokio::test]
async fn a_mail_that_is_refused_is_given_up_and_one_that_is_put_off_waits() {
    let Some(mailbox) = Mailbox::start("tls").await else { return };
    let directory = tempfile::tempdir().unwrap();
    let service = start(&directory, mailbox.port, "tls").await;
    wants_email(&service, "refused@example.com", "en").await;
    let refused = settled(&service, "").await;
    assert_eq!((refused.state(), refused.attempts[0].status), (api::DeliveryState::Failed, 550));
    wants_email(&service, "later@example.com", "en").await;
    let later = settled(&service, &refused.id).await;
    assert_eq!((later.state(), later.attempts[0].status), (api::DeliveryState::Waiting, 451));
    assert!(later.due_at_us > service.now_us());
    service.stop().await;
}

#[tokio::test]
async fn a_server_that_is_not_who_it_says_gets_nothing() {
    let Some(mailbox) = Mailbox::start("tls").await else { return };
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start(&directory, |config| {
        config.email.host = "localhost".to_owned();
        config.email.port = mailbox.port;
        config.email.from = "pathway@example.com".to_owned();
    })
    .await;
    wants_email(&service, "asha@example.com", "en").await;
    let kept = settled(&service, "").await;
    assert_eq!((kept.state(), kept.attempts[0].status), (api::DeliveryState::Waiting, 0));
    assert!(kept.reason.contains("TLS"), "{}", kept.reason);
    service.stop().await;
}

#[tokio::test]
async fn nothing_goes_to_an_address_before_its_reader_says_so_nor_after_they_said_no() {
    let Some(mut mailbox) = Mailbox::start("tls").await else { return };
    let directory = tempfile::tempdir().unwrap();
    let service = start(&directory, mailbox.port, "tls").await;
    wants_email(&service, "asha@example.com", "en").await;
    // Asked again at once, there is no second question.
    wants_email(&service, "asha@example.com", "en").await;
    send(&service.client, vec![warning("early")]).await;
    assert_eq!(deliveries(&service).await, 1, "the question");
    let question = confirm(&service, &mut mailbox).await;
    let content = question["content"].as_str().unwrap();
    assert_eq!(header(content, "Subject"), "Confirm your e-mail address");
    assert!(!content.contains("List-Unsubscribe"), "there is nothing to leave yet");
    let request = api::GetPreferencesRequest { user_id: "u".to_owned() };
    let said = service.preferences().get_preferences(request.clone()).await.unwrap().into_inner();
    assert!(said.preferences.unwrap().email_confirmed);

    send(&service.client, vec![warning("a")]).await;
    let mail = mailbox.next().await;
    let token = after(mail["content"].as_str().unwrap(), "<https://example.com/off/");
    let leave = api::UnsubscribeEmailRequest { user_id: String::new(), token };
    let of_another = api::UnsubscribeEmailRequest { user_id: "v".to_owned(), ..leave.clone() };
    let mut preferences = service.preferences();
    let refused = from_status(preferences.unsubscribe_email(of_another).await.unwrap_err());
    assert_eq!(refused.violations()[0].field, "token");
    let confirm = api::ConfirmEmailRequest { user_id: String::new(), token: leave.token.clone() };
    preferences.confirm_email(confirm).await.unwrap_err();
    preferences.unsubscribe_email(leave.clone()).await.unwrap();
    assert_eq!(
        preferences.get_preferences(request).await.unwrap().into_inner().preferences.unwrap().email,
        ""
    );
    let critical = Notice { critical: true, ..warning("b") };
    send(&service.client, vec![critical]).await;
    assert_eq!(deliveries(&service).await, 2, "what is critical does not come to it either");
    preferences.unsubscribe_email(leave).await.unwrap();
    service.stop().await;
}
