//! `kill -9` while webhooks are under way: none is lost, and one that comes twice comes under the same id.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use pathway_testkit::{Layout, Services, eventually};
use serde_json::{Value, json};

/// How many notices are sent before each kill.
const NOTICES: usize = 20;
const WEBHOOKS: usize = 3;
const KILLS: usize = 3;
/// How many requests have no answer yet when the process is killed: fewer than all targets together may have under way.
const HELD: usize = 6;

/// What a receiver has seen.
#[derive(Debug, Default)]
struct Seen {
    /// How many requests are still to be left without an answer.
    to_hold: usize,
    /// The ids of those that were.
    held: Vec<String>,
    /// For each place and notice the ids that it came under, one for each time.
    came: BTreeMap<(String, String), Vec<String>>,
    /// Those that were answered.
    answered: BTreeSet<String>,
}

/// A receiver in this process.
#[derive(Debug, Clone, Default)]
struct Receiver(Arc<(Mutex<Seen>, Condvar)>);

#[test]
fn a_webhook_under_way_is_not_lost_and_keeps_its_id() {
    let receiver = Receiver::default();
    let address = receiver.listen();
    let environment = [("PATHWAY_NOTIFICATIONS__DELIVERY__ALLOW", "127.0.0.0/8")];
    let mut services = Services::start_with(Layout::Mesh, &environment);
    for n in 0..WEBHOOKS {
        let url = format!("{address}/{n}");
        let _ = services.pathway(&["webhooks", "create", "--user", "ravi", &url]).succeeded();
    }
    for kill in 0..KILLS {
        receiver.hold();
        let lines: Vec<String> = (0..NOTICES)
            .map(|n| json!({"user_id": "ravi", "type": "reminder", "message": format!("{kill} {n}")}))
            .map(|event| event.to_string())
            .collect();
        let file = services.file("notices.jsonl", lines.join("\n"));
        let file = file.to_str().unwrap();
        let run = services.pathway(&["publish", "notifications", "--file", file, "--wait", "--json"]);
        assert_eq!(run.succeeded().json()["accepted"], NOTICES);
        let under_way = receiver.held();
        services.kill("notifications");
        services.restart("notifications");
        receiver.see_again(&under_way);
    }

    let delivered = eventually("all have been delivered", || {
        let list = |state: &str| {
            let args = ["deliveries", "--user", "ravi", "--state", state, "--limit", "500", "--json"];
            services.pathway(&args).succeeded().json()["deliveries"].as_array().unwrap().clone()
        };
        list("waiting").is_empty().then(|| list("delivered"))
    });
    assert_eq!(delivered.len(), KILLS * NOTICES * WEBHOOKS);
    let seen = receiver.0.0.lock().unwrap();
    assert_eq!(seen.came.len(), KILLS * NOTICES * WEBHOOKS, "none is lost");
    let mut ids = BTreeSet::new();
    for (what, came) in &seen.came {
        assert!(came.iter().all(|id| *id == came[0]), "{what:?} came under other ids: {came:?}");
        assert!(seen.answered.contains(&came[0]) && ids.insert(came[0].clone()), "{what:?}");
    }
    assert_eq!(seen.held.len(), KILLS * HELD, "so many were under way at a kill");
    for delivery in &delivered {
        let attempts = delivery["attempts"].as_array().unwrap();
        let id = format!("msg_{}", delivery["id"].as_str().unwrap());
        let last = attempts.last().unwrap();
        assert_eq!(last["status"], 200, "{delivery}");
        if seen.held.contains(&id) {
            let first = attempts[0]["reason"].as_str().unwrap();
            assert!(attempts.len() > 1 && first.contains("nobody knows"), "{delivery}");
        }
    }
}

// === impl Receiver ===

impl Receiver {
    /// Serves from now on; answers where.
    fn listen(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let receiver = self.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let receiver = receiver.clone();
                std::thread::spawn(move || while receiver.serve(&socket).is_some() {});
            }
        });
        address
    }

    /// Leaves the next few requests without an answer.
    fn hold(&self) {
        self.0.0.lock().unwrap().to_hold = HELD;
    }

    /// Waits until as many have been left without an answer as should be; answers the last of them.
    fn held(&self) -> Vec<String> {
        let (seen, moved) = &*self.0;
        let seen = moved
            .wait_while(seen.lock().unwrap_or_else(PoisonError::into_inner), |seen| seen.to_hold > 0)
            .unwrap();
        seen.held[seen.held.len() - HELD..].to_vec()
    }

    /// Waits until these have come once more.
    fn see_again(&self, ids: &[String]) {
        let (seen, moved) = &*self.0;
        let times =
            |seen: &Seen, id: &String| seen.came.values().flatten().filter(|other| *other == id).count();
        drop(
            moved.wait_while(seen.lock().unwrap(), |seen| ids.iter().any(|id| times(seen, id) < 2)).unwrap(),
        );
    }

    /// Reads one request, and answers it unless it is to be held; none where the sender is gone.
    fn serve(&self, mut socket: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(socket);
        let (mut path, mut id, mut length) = (String::new(), String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim();
            if line.is_empty() {
                break;
            }
            match line.split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("webhook-id") => id = value.to_owned(),
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().ok()?;
                }
                Some(_) => {}
                None => path = line.to_owned(),
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let body: Value = serde_json::from_slice(&body).ok()?;
        let notice = body["data"]["id"].as_str()?.to_owned();
        let is_held = {
            let mut seen = self.0.0.lock().ok()?;
            seen.came.entry((path, notice)).or_default().push(id.clone());
            let is_held = seen.to_hold > 0;
            if is_held {
                seen.to_hold -= 1;
                seen.held.push(id);
            } else {
                seen.answered.insert(id);
            }
            self.0.1.notify_all();
            is_held
        };
        if is_held {
            // Until the sender is gone.
            return reader.read_exact(&mut [0]).ok();
        }
        write!(socket, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()
    }
}
