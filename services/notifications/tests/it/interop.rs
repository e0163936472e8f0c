//! Signatures against the published reference library.

use std::io::Write as _;
use std::process::{Command, Stdio};

use pathway_proto::pathway::notifications::v1 as api;
use serde_json::json;

use crate::python;
use crate::receiver::Receiver;
use crate::service::{Service, reminder, send};

/// Reads a request as JSON and verifies it; a body that was changed must fail.
const VERIFY: &str = r#"
import json, sys
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
request = json.load(sys.stdin)
webhook = Webhook(request["secret"])
webhook.verify(request["body"], request["headers"])
try:
    webhook.verify(request["body"] + " ", request["headers"])
except WebhookVerificationError:
    print("verified")
"#;

#[tokio::test]
async fn the_reference_library_verifies_what_we_sign() {
    let Some(python) = python::with("standardwebhooks==1.0.1") else { return };
    let directory = tempfile::tempdir().unwrap();
    let service =
        Service::start(&directory, |config| config.delivery.allow = vec!["127.0.0.0/8".to_owned()]).await;
    // The library compares the timestamp with the machine's clock.
    service.advance(pathway_kernel::Clock::system().now_us() - service.now_us());
    let mut receiver = Receiver::start().await;
    let request =
        api::CreateWebhookRequest { user_id: "u".to_owned(), url: receiver.url(), ..Default::default() };
    let made = service.deliveries().create_webhook(request).await.unwrap().into_inner();
    let mut secrets = vec![made.secret];
    // Signed by one key, then by two, of which the receiver may have either.
    for round in 0..2 {
        send(&service.client, vec![reminder("u", &format!("ऊँ {round}"))]).await;
        let received = receiver.next().await;
        for secret in &secrets {
            let input = json!({
                "secret": secret,
                "headers": received.headers,
                "body": String::from_utf8(received.body.clone()).unwrap(),
            });
            let mut child = Command::new(&python)
                .args(["-c", VERIFY])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            let said = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert_eq!(said.0.trim(), "verified", "{}", said.1);
        }
        let rotate = api::RotateWebhookSecretRequest {
            user_id: "u".to_owned(),
            id: made.webhook.as_ref().unwrap().id.clone(),
            ..Default::default()
        };
        let rotated = service.deliveries().rotate_webhook_secret(rotate).await.unwrap().into_inner();
        secrets.push(rotated.secret);
    }
    service.stop().await;
}
