//! `kill -9` while payments are made at a server that keeps no keys: none is made twice, and where nobody can know, somebody is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use pathway_testkit::{Layout, Services, eventually};
use serde_json::{Value, json};

use crate::from_environment;

const ORDERS: usize = 400;
const KILLS: usize = 4;
/// How many payments of a partition are under way at once.
const AT_ONCE: usize = 2;
const PARTITIONS: usize = 8;

/// How often each order was paid.
type Paid = Arc<Mutex<BTreeMap<String, usize>>>;

#[test]
fn a_payment_is_made_once_or_asked_about() {
    let seed = from_environment("PATHWAY_SEED", 2026);
    eprintln!("payments under kill -9: PATHWAY_SEED={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let (paid, address) = bank();
    let mut services =
        Services::start_with(Layout::AllInOne, &[("PATHWAY_PROCESSOR__OUTBOUND__ALLOW", "127.0.0.0/8")]);
    let definition = format!(
        "pathway: orders\non: {{ topic: orders, key: input.id }}\nnodes:\n  pay: {{ use: http.request, max_parallel: {AT_ONCE}, with: {{ url: '{address}', method: POST, body: '${{input.id}}' }} }}\n"
    );
    let file = services.file("orders.yaml", definition);
    let _ = services.pathway(&["pathways", "register", file.to_str().unwrap(), "--activate"]).succeeded();
    let lines: Vec<String> = (0..ORDERS).map(|n| json!({"id": format!("o{n}")}).to_string()).collect();
    let file = services.file("orders.jsonl", lines.join("\n"));
    let published = services.pathway(&["publish", "orders", "--file", file.to_str().unwrap(), "--json"]);
    assert_eq!(published.succeeded().json()["accepted"], ORDERS);

    for kill in 1..=KILLS {
        // Somewhere in the middle of what is left.
        let moment = ORDERS * kill / (KILLS + 2) + rng.usize(..ORDERS / 20);
        eventually("so many payments have been made", || {
            (paid.lock().unwrap().len() >= moment).then_some(())
        });
        services.kill("pathway");
        services.restart("pathway");
    }
    eventually("all orders have been processed", || {
        let topics = services.pathway(&["topics", "--json"]).succeeded().json();
        let orders =
            topics["topics"].as_array().unwrap().iter().find(|topic| topic["name"] == "orders").cloned();
        (orders?["pathways"][0]["lag_events"] == 0).then_some(())
    });

    let asked: BTreeSet<String> = letters(&services);
    let paid = paid.lock().unwrap().clone();
    for (order, times) in &paid {
        assert_eq!(*times, 1, "{order} was paid {times} times, PATHWAY_SEED={seed}");
    }
    for order in (0..ORDERS).map(|n| format!("o{n}")) {
        assert!(paid.contains_key(&order) || asked.contains(&order), "{order} is lost, PATHWAY_SEED={seed}");
    }
    let worst = KILLS * PARTITIONS * AT_ONCE;
    assert!(asked.len() <= worst, "{} were asked about; at most {worst} were under way", asked.len());
    eprintln!("payments under kill -9: {} of {ORDERS} were asked about", asked.len());
}

/// The orders of which nobody knows whether they were paid.
fn letters(services: &Services) -> BTreeSet<String> {
    let letters = services.pathway(&["dead-letters", "--limit", "1000", "--json"]).succeeded().json();
    let letters = letters["dead_letters"].as_array().unwrap().iter();
    letters
        .map(|letter| {
            assert_eq!(letter["error"]["reason"], "OUTCOME_UNKNOWN", "{letter}");
            letter["event_id"].as_str().unwrap().to_owned()
        })
        .collect()
}

/// A server that pays whatever it is asked to, as often as it is asked.
fn bank() -> (Paid, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let paid = Paid::default();
    let book = Arc::clone(&paid);
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let book = Arc::clone(&book);
            std::thread::spawn(move || while pay(&socket, &book).is_some() {});
        }
    });
    (paid, address)
}

/// Reads one request, pays, and answers; none where the caller is gone.
fn pay(mut socket: &TcpStream, book: &Paid) -> Option<()> {
    let mut reader = BufReader::new(socket);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim().to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(given) = line.strip_prefix("content-length:") {
            length = given.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    *book.lock().ok()?.entry(String::from_utf8(body).ok()?).or_default() += 1;
    let receipt = Value::from("paid").to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    write!(socket, "{head}content-length: {}\r\n\r\n{receipt}", receipt.len()).ok()
}
