//! Any history of inserts, edits, deletes, posted lines, splits and pairs, delivered in any batches, again and out of order, comes to what a plain recompute of the records that stand comes to.
//!
//! Datasync gets the events of a log in their order, in batches of any size, and some of them again, as after a crash. Analytics gets the changes in any order and each at
//! least twice, among them those of imported history, which it also follows by itself. Both keep them in real stores, and are started anew in between. The transport is in
//! memory and the clock stands still, so that a history costs milliseconds.
//!
//! A failure is shrunk, and told with the seed: `PATHWAY_SEED=N` repeats a run, `PATHWAY_HISTORIES=N` says how many there are.

mod model;
mod services;
mod year;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use pathway_proto::pathway::datasync::v1 as datasync;
use pathway_proto::pathway::types::v1::{Notice, Origin, RecordChange};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use tokio::sync::Mutex;

use crate::from_environment;
use model::{Content, Deed, Event, Model, USERS};
use services::Services;

/// What happens, and how it is delivered. Where a list of choices ends it begins again.
#[derive(Debug, Clone)]
struct History {
    events: Vec<Event>,
    /// How many events each batch to datasync has.
    batches: Vec<usize>,
    /// How many events back the log is read again after a batch.
    rewinds: Vec<usize>,
    /// How many of the waiting changes analytics gets after a batch.
    applied: Vec<usize>,
    /// Where a change stands among those that wait.
    ranks: Vec<u8>,
    /// What a user does by hand after each batch.
    deeds: Vec<Deed>,
    /// After which batch the services are started anew, if at all.
    restart: Option<usize>,
}

fn any_content() -> impl Strategy<Value = Content> {
    (
        prop_oneof![6 => Just(1), 1 => 2..=4],
        prop_oneof![8 => -2_000_i64..5_000, 1 => Just(0), 1 => Just(1_000_000_000_000), 3 => Just(1_500), 1 => Just(-1_500)],
        prop::sample::select(&["USD", "USD", "USD", "JPY", "KWD"][..]),
        prop::sample::select(&["Dining", "Dining", "Eating Out", ""][..]),
        prop::sample::select(&["2026-10-31", "2026-11-01", "2026-11-24", "2026-11-30", "2026-12-01"][..]),
        prop::sample::select(&["", "checking", "savings"][..]),
        prop::bool::weighted(0.3),
    )
        .prop_map(|(kind, minor, currency, category, date, account, pending)| Content {
            kind,
            minor,
            currency,
            category,
            date,
            account,
            pending,
        })
}

fn any_deed() -> impl Strategy<Value = Deed> {
    (0..USERS, 0..6_usize, prop::option::of(-1_000_i64..1_000)).prop_map(|(user, key, cut)| match cut {
        Some(0..500) => Deed::Pair { user },
        Some(500..) => Deed::Unpair { user, key },
        cut => Deed::Split { user, key, cut },
    })
}

fn any_event() -> impl Strategy<Value = Event> {
    let content = prop::option::weighted(0.8, any_content());
    let posts = prop::option::weighted(0.2, 0..6_usize);
    (0..USERS, 0..6_usize, content, prop::bool::weighted(0.1), posts).prop_map(
        |(user, key, content, is_history, posts)| Event {
            user,
            key,
            // An import brings lines; it takes none away.
            is_history: is_history && content.is_some(),
            posts: posts.filter(|posted| *posted != key && content.is_some()),
            content,
        },
    )
}

fn any_history() -> impl Strategy<Value = History> {
    let few = |most: usize| prop::collection::vec(0..=most, 1..8);
    (
        prop::collection::vec(any_event(), 1..60),
        few(9),
        few(6),
        few(12),
        prop::collection::vec(any::<u8>(), 1..40),
        prop::collection::vec(any_deed(), 1..30),
        prop::option::weighted(0.2, 0..4_usize),
    )
        .prop_map(|(events, batches, rewinds, applied, ranks, deeds, restart)| History {
            events: without_traceless(events),
            batches,
            rewinds,
            applied,
            ranks,
            deeds,
            restart,
        })
}

/// The events, none of them an import under a name that was deleted before it was ever there.
///
/// Such a delete leaves no trace, so that it would take the imported line away if it came again. Imports and events have names of their own, so it cannot come to that but by
/// somebody who writes both under one name.
fn without_traceless(mut events: Vec<Event>) -> Vec<Event> {
    let mut begun_with_delete: BTreeMap<(usize, usize), bool> = BTreeMap::new();
    for event in &mut events {
        let begun = begun_with_delete.entry((event.user, event.key)).or_insert(event.content.is_none());
        event.is_history &= !*begun;
    }
    events
}

/// What has been delivered of a history so far.
struct Delivery<'a> {
    /// Names the log and its users: each run has its own.
    run: &'a str,
    history: &'a History,
    model: Model,
    /// What datasync answered to each event, when it came first.
    answers: Vec<datasync::WriteOutcome>,
    /// Changes that analytics has not got, each with its rank.
    waiting: Vec<(u8, RecordChange)>,
    queued: usize,
    /// What analytics told of each version, when it came first.
    told: BTreeMap<(String, i64), Vec<Notice>>,
    batches: usize,
}

// === impl Delivery ===

impl Delivery<'_> {
    /// Delivers the whole history.
    async fn run(&mut self, services: &mut Services) {
        let History { events, batches, rewinds, applied, deeds, restart, .. } = self.history;
        let mut next = 0;
        while next < events.len() {
            let end = (next + batches[self.batches % batches.len()].max(1)).min(events.len());
            self.write(services, next, end).await;
            // As after a crash before the log's place was noted: some come again, perhaps with others behind them that are new.
            let back = rewinds[self.batches % rewinds.len()];
            if back > 0 {
                self.write(services, end.saturating_sub(back), (end + back / 3).min(events.len())).await;
            }
            next = end.max(self.answers.len());
            self.tie(services, &deeds[self.batches % deeds.len()]).await;
            self.apply(services, applied[self.batches % applied.len()]).await;
            if *restart == Some(self.batches) {
                services.restart().await;
            }
            self.batches += 1;
        }
        self.apply(services, usize::MAX).await;
    }

    /// Does what a user does by hand, in the services and in the model, which must agree on whether it can be done.
    async fn tie(&mut self, services: &Services, deed: &Deed) {
        let user = deed.user();
        let records = services.records(&model::user(self.run, user)).await;
        let id_of = |key: usize| {
            let found = records.iter().find(|record| {
                record.split_of.is_empty() && record.identity.as_ref().unwrap().key == format!("k{key}")
            });
            found.map(|record| record.record_id.clone())
        };
        match deed {
            Deed::Split { key, cut, .. } => {
                let Some(id) = id_of(*key) else { return };
                let parts = self.model.split(user, *key, *cut);
                let done =
                    services.split(&model::user(self.run, user), id, parts.as_deref().unwrap_or(&[])).await;
                assert_eq!(done, parts.is_some(), "{deed:?}");
            }
            Deed::Pair { .. } => {
                let paired = services.pair(&model::user(self.run, user)).await;
                assert_eq!(paired, self.model.pair(user), "{deed:?}");
            }
            Deed::Unpair { key, .. } => {
                let Some(id) = id_of(*key) else { return };
                let done = services.unpair(&model::user(self.run, user), id).await;
                assert_eq!(done, self.model.unpair(user, *key), "{deed:?}");
            }
        }
    }

    /// Delivers events to datasync, which answers those that it knows as it did before.
    async fn write(&mut self, services: &Services, start: usize, end: usize) {
        // An import has no place in the log, so it comes once.
        let is_due = |index: &usize| *index >= self.answers.len() || !self.history.events[*index].is_history;
        let due: Vec<usize> = (start..end).filter(is_due).collect();
        let writes = due.iter().map(|index| self.history.events[*index].to_write(self.run, *index));
        let answers = services.write(writes.collect()).await;
        for (index, answer) in due.into_iter().zip(answers) {
            let event = &self.history.events[index];
            if let Some(before) = self.answers.get(index) {
                assert_eq!(before.change, answer.change, "the change that event {index} made");
                if !self.model.has_history(event) {
                    assert_eq!(before, &answer, "the record as event {index} left it");
                }
            } else {
                self.model.take(event);
                self.answers.push(answer.clone());
            }
            // As the processor does: where nothing changed, the record as it stands goes on.
            let standing = |record| RecordChange {
                after: Some(record),
                origin: Origin::Live.into(),
                ..RecordChange::default()
            };
            let change = answer.change.or_else(|| answer.record.map(standing));
            for change in change.into_iter().flat_map(|change| [change.clone(), change]) {
                let ranks = &self.history.ranks;
                self.waiting.push((ranks[self.queued % ranks.len()], change));
                self.queued += 1;
            }
        }
    }

    /// Delivers so many of the waiting changes to analytics, by their ranks.
    async fn apply(&mut self, services: &Services, most: usize) {
        self.waiting.sort_by_key(|(rank, _)| *rank);
        let due: Vec<RecordChange> =
            self.waiting.drain(..most.min(self.waiting.len())).map(|(_, change)| change).collect();
        for changes in due.chunks(5) {
            let told = services.apply(changes.to_vec()).await;
            for (change, told) in changes.iter().zip(told) {
                let record = change.after.as_ref().unwrap();
                let first = self
                    .told
                    .entry((record.record_id.clone(), record.version))
                    .or_insert_with(|| told.clone());
                assert_eq!(*first, told, "version {} of a record is answered as before", record.version);
            }
        }
    }

    /// Whether everybody says what the model says.
    async fn check(&self, services: &Services) {
        for user in 0..USERS {
            let name = model::user(self.run, user);
            let records = services.records(&name).await;
            assert_eq!(model::shown(&records), self.model.records(user), "the records of {name}");
            for (month, (start, end)) in model::MONTHS {
                for currency in ["USD", "JPY", "KWD"] {
                    let spending = services.spending(&name, start, end, currency).await;
                    let expected = self.model.spending(user, month, currency);
                    assert_eq!(model::figures(&spending), expected, "{name}, {month}, {currency}");
                    let accounts = services.by_account(&name, start, end, currency).await;
                    let expected = self.model.by_account(user, month, currency);
                    assert_eq!(accounts, expected, "accounts of {name}, {month}, {currency}");
                    let lines = services.explain(&name, start, end, currency).await;
                    assert_eq!(lines.totals, spending.total);
                    let is_behind = |record: &&pathway_proto::pathway::types::v1::Record| {
                        model::counts(record, month, currency)
                    };
                    let behind = records
                        .iter()
                        .filter(is_behind)
                        .map(|record| (record.record_id.clone(), record.version));
                    let mut behind: Vec<(String, i64)> = behind.collect();
                    behind.sort();
                    let mut shown: Vec<_> =
                        lines.lines.into_iter().map(|line| (line.record_id, line.version)).collect();
                    shown.sort();
                    assert_eq!(shown, behind, "the lines behind it");
                }
            }
            let spent = services.spent_of_budget(&name).await;
            assert_eq!(spent, self.model.net(user, "2026-11", "USD", "dining"), "the budget of {name}");
        }
        // A threshold is told of because of one change, whatever comes again.
        let told = self.told.values().flatten();
        let mut keys: Vec<_> = told.map(|notice| (&notice.user_id, &notice.dedup_key)).collect();
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), count, "{keys:?}");
    }
}

#[test]
fn g19_any_history_however_it_is_delivered_comes_to_the_recompute() {
    let (histories, seed) =
        (from_environment("PATHWAY_HISTORIES", 24), from_environment("PATHWAY_SEED", fastrand::u64(..)));
    eprintln!("{histories} histories, PATHWAY_SEED={seed}");
    let config = Config {
        cases: u32::try_from(histories).unwrap(),
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 400,
        ..Config::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let services = Mutex::new(runtime.block_on(Services::start()));
    let runs = AtomicU32::new(0);
    let outcome = TestRunner::new(config).run(&any_history(), |history| {
        let run = format!("run-{}", runs.fetch_add(1, Ordering::Relaxed));
        runtime.block_on(async {
            let mut services = services.lock().await;
            let mut delivery = Delivery {
                run: &run,
                history: &history,
                model: Model::default(),
                answers: Vec::new(),
                waiting: Vec::new(),
                queued: 0,
                told: BTreeMap::new(),
                batches: 0,
            };
            for user in 0..USERS {
                services.set_budget(&model::user(&run, user)).await;
            }
            delivery.run(&mut services).await;
            services.follow_history().await;
            delivery.check(&services).await;
        });
        Ok(())
    });
    assert!(outcome.is_ok(), "PATHWAY_SEED={seed}: {}", outcome.unwrap_err());
}
