//! Calls whose effect must not be doubled: what the journal has decides, and where it cannot, the definition.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pathway_engine::{
    ArgSpec, BatchOutcome, CallContext, Effect, EventOutcome, Finalised, Journal, JournalFuture, Kind,
    MemoryJournal, NodeStatus, Pathway, Reservation, Standing, Tool, ToolFuture, ToolItem, Tools,
};
use pathway_kernel::{Code, Fault};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::tools::{events, parse};

/// What the other side does with a call.
#[derive(Clone, Copy)]
enum Act {
    Answer,
    Fail(Code),
    /// Does its work and never answers.
    Hang,
}

/// Charges a card: each call that gets through is a charge. What is free is not.
struct Charge {
    acts: Mutex<Vec<Act>>,
    charges: Mutex<Vec<String>>,
    /// Where there is one, a call waits for it before it answers.
    gate: Option<Arc<Notify>>,
}

/// A journal that fails when it is told to, and remembers how often it was asked.
#[derive(Default)]
struct Watched {
    inner: MemoryJournal,
    asked: AtomicUsize,
    refuses_to_finalise: bool,
}

// === impl Charge ===

impl Charge {
    /// Acts so once after the other, and answers from then on.
    fn new(acts: &[Act]) -> Self {
        let acts = acts.iter().rev().copied().collect();
        Self { acts: Mutex::new(acts), charges: Mutex::default(), gate: None }
    }

    fn charges(&self) -> Vec<String> {
        self.charges.lock().unwrap().clone()
    }
}

impl Tool for Charge {
    fn name(&self) -> &'static str {
        "charge"
    }

    fn args(&self) -> &'static [ArgSpec] {
        const { &[ArgSpec::optional("what", Kind::Any), ArgSpec::optional("free", Kind::Any)] }
    }

    fn effect(&self, args: &Value) -> Effect {
        if args["free"] == true { Effect::Idempotent } else { Effect::Once }
    }

    fn call<'a>(&'a self, _: &'a CallContext, items: Vec<ToolItem>) -> ToolFuture<'a> {
        Box::pin(async move {
            let act = self.acts.lock().unwrap().pop().unwrap_or(Act::Answer);
            if let Act::Fail(code) = act {
                return Err(Fault::new(code, "TOLD_TO", "as the test wants it"));
            }
            self.charges.lock().unwrap().extend(items.iter().map(|item| item.key.clone()));
            if let Some(gate) = &self.gate {
                gate.notified().await;
            }
            if let Act::Hang = act {
                std::future::pending::<()>().await;
            }
            Ok(items.iter().map(|item| Ok(json!({"receipt": item.args["what"]}))).collect())
        })
    }
}

// === impl Watched ===

impl Journal for Watched {
    fn reserve(&self, calls: Vec<Reservation>, until: Option<Instant>) -> JournalFuture<'_, Vec<Standing>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.inner.reserve(calls, until)
    }

    fn finalise(&self, calls: Vec<Finalised>) -> JournalFuture<'_, ()> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.refuses_to_finalise {
            return Box::pin(async { Err(Fault::new(Code::Unavailable, "STORE_AWAY", "the disk is gone")) });
        }
        self.inner.finalise(calls)
    }
}

fn pathway(charge: &Arc<Charge>, journal: &Arc<impl Journal + 'static>, rest: &str) -> Pathway {
    let yaml = format!(
        "pathway: p\non: {{ topic: t, key: input.id }}\nnodes:\n  pay: {{ use: charge, with: {{ what: '${{input.id}}', free: '${{has(input.free)}}' }}, timeout: 5s, {rest} }}\noutput: '${{nodes.pay}}'\n"
    );
    let tools = Tools::default().with(Arc::clone(charge) as Arc<dyn Tool>);
    Pathway::new(parse(&yaml).unwrap(), &tools.with_journal(Arc::clone(journal) as Arc<dyn Journal>)).unwrap()
}

async fn run(pathway: &Pathway, data: &[Value]) -> Vec<EventOutcome> {
    match pathway.run(events(data)).await {
        BatchOutcome::Done(outcomes) => outcomes,
        BatchOutcome::Park(fault) => panic!("parked: {fault}"),
    }
}

fn failure(outcome: &EventOutcome) -> (&str, Code) {
    let fault = &outcome.failure.as_ref().unwrap().fault;
    (fault.reason(), fault.code())
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_run_again_is_answered_from_the_journal() {
    let (charge, journal) = (Arc::new(Charge::new(&[])), Arc::<Watched>::default());
    let pathway = pathway(&charge, &journal, "");
    let data = [json!({"id": "a"}), json!({"id": "b"})];
    let first = run(&pathway, &data).await;
    let again = run(&pathway, &data).await;
    assert_eq!(first[1].output, json!({"receipt": "b"}));
    assert_eq!(again[1].output, first[1].output);
    assert_eq!(charge.charges().len(), 2, "each was charged once");
    // A batch is reserved at once and finalised at once; the second time there is nothing to finalise.
    assert_eq!(journal.asked.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn what_needs_no_journal_does_not_pay_for_it() {
    let (charge, journal) = (Arc::new(Charge::new(&[])), Arc::<Watched>::default());
    let pathway = pathway(&charge, &journal, "");
    let _ = run(&pathway, &[json!({"id": "a", "free": 1})]).await;
    assert_eq!(journal.asked.load(Ordering::SeqCst), 0);
    // Beside one that does, it is simply called again.
    let mixed = [json!({"id": "a", "free": 1}), json!({"id": "b"})];
    let _ = run(&pathway, &mixed).await;
    let _ = run(&pathway, &mixed).await;
    assert_eq!(charge.charges().iter().filter(|key| key.contains("/1/p")).count(), 1);
    assert_eq!(charge.charges().iter().filter(|key| key.contains("/0/p")).count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_takes_the_reservation_back() {
    for code in [Code::Unavailable, Code::ResourceExhausted] {
        let (charge, journal) = (Arc::new(Charge::new(&[Act::Fail(code)])), Arc::<Watched>::default());
        let pathway = pathway(&charge, &journal, "retry: { attempts: 2 }");
        let outcome = run(&pathway, &[json!({"id": "a"})]).await;
        assert_eq!(outcome[0].output, json!({"receipt": "a"}), "{code:?}");
        assert_eq!(charge.charges().len(), 1);
    }
    let (charge, journal) = (Arc::new(Charge::new(&[Act::Fail(Code::NotFound)])), Arc::<Watched>::default());
    let pathway = pathway(&charge, &journal, "");
    assert_eq!(failure(&run(&pathway, &[json!({"id": "a"})]).await[0]), ("TOLD_TO", Code::NotFound));
    assert!(run(&pathway, &[json!({"id": "a"})]).await[0].failure.is_none(), "nothing stands in its way");
}

#[tokio::test(start_paused = true)]
async fn nobody_knows_after_a_timeout_and_the_definition_decides() {
    let unclear = [Act::Hang, Act::Fail(Code::Internal), Act::Fail(Code::Cancelled)];
    for act in unclear {
        let (charge, journal) = (Arc::new(Charge::new(&[act])), Arc::<Watched>::default());
        let asks = pathway(&charge, &journal, "retry: { attempts: 3 }");
        for _ in 0..2 {
            let outcome = run(&asks, &[json!({"id": "a"})]).await;
            assert_eq!(failure(&outcome[0]), ("OUTCOME_UNKNOWN", Code::FailedPrecondition));
        }
        let before = charge.charges().len();
        let skips = pathway(&charge, &journal, "on_unknown: skip");
        let outcome = run(&skips, &[json!({"id": "a"})]).await;
        assert_eq!(
            (outcome[0].output.clone(), outcome[0].nodes[0].status),
            (Value::Null, NodeStatus::FellBack)
        );
        assert_eq!(outcome[0].nodes[0].error, Some(Code::FailedPrecondition), "and the history says so");
        assert_eq!(charge.charges().len(), before, "neither has called");
        let retries = pathway(&charge, &journal, "on_unknown: retry");
        assert_eq!(run(&retries, &[json!({"id": "a"})]).await[0].output, json!({"receipt": "a"}));
        assert_eq!(charge.charges().len(), before + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unclear_call_is_made_again_at_once_where_that_is_wanted() {
    let (charge, journal) = (Arc::new(Charge::new(&[Act::Hang])), Arc::<Watched>::default());
    let pathway = pathway(&charge, &journal, "on_unknown: retry, retry: { attempts: 2 }");
    assert_eq!(run(&pathway, &[json!({"id": "a"})]).await[0].output, json!({"receipt": "a"}));
    assert_eq!(charge.charges().len(), 2, "at least once, under one key");
    assert_eq!(charge.charges()[0], charge.charges()[1]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_could_not_be_kept_is_not_known() {
    let charge = Arc::new(Charge::new(&[]));
    let journal = Arc::new(Watched { refuses_to_finalise: true, ..Watched::default() });
    let pathway = pathway(&charge, &journal, "");
    assert!(matches!(pathway.run(events(&[json!({"id": "a"})])).await, BatchOutcome::Park(_)));
    assert_eq!(failure(&run(&pathway, &[json!({"id": "a"})]).await[0]).0, "OUTCOME_UNKNOWN");
    assert_eq!(charge.charges().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_outlives_the_run_that_was_dropped() {
    let gate = Arc::new(Notify::new());
    let charge = Arc::new(Charge { gate: Some(Arc::clone(&gate)), ..Charge::new(&[]) });
    let journal = Arc::<Watched>::default();
    let tools = Tools::default()
        .with(Arc::clone(&charge) as Arc<dyn Tool>)
        .with_journal(Arc::clone(&journal) as Arc<dyn Journal>);
    let yaml = "pathway: p\non: { topic: t, key: input.id }\nnodes:\n  pay: { use: charge, with: { what: '${input.id}' } }\noutput: '${nodes.pay}'\n";
    let pathway = Pathway::new(parse(yaml).unwrap(), &tools).unwrap();
    let data = [json!({"id": "a"})];
    let dropped = tokio::time::timeout(Duration::from_secs(1), pathway.run(events(&data))).await;
    assert!(dropped.is_err());
    gate.notify_one();
    tools.settled().await;
    assert_eq!(run(&pathway, &data).await[0].output, json!({"receipt": "a"}), "its answer was kept");
    assert_eq!(charge.charges().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_list_is_charged_piece_by_piece_and_each_element_once() {
    let (charge, journal) =
        (Arc::new(Charge::new(&[Act::Answer, Act::Fail(Code::Unavailable)])), Arc::<Watched>::default());
    let yaml = "pathway: p\non: { topic: t, key: input.id }\nnodes:\n  pay: { use: charge, for_each: '${input.all}', max_parallel: 2, with: { what: '${item}' } }\noutput: '${nodes.pay}'\n";
    let tools = Tools::default()
        .with(Arc::clone(&charge) as Arc<dyn Tool>)
        .with_journal(Arc::clone(&journal) as Arc<dyn Journal>);
    let pathway = Pathway::new(parse(yaml).unwrap(), &tools).unwrap();
    let data = [json!({"id": "a", "all": [1, 2, 3]})];
    assert!(matches!(pathway.run(events(&data)).await, BatchOutcome::Park(_)), "the second piece was away");
    let outcome = run(&pathway, &data).await;
    assert_eq!(outcome[0].output, json!([{"receipt": 1}, {"receipt": 2}, {"receipt": 3}]));
    assert_eq!(charge.charges().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_fallback_does_another_work_and_has_another_key() {
    let charge = Arc::new(Charge::new(&[Act::Hang]));
    let journal = Arc::<Watched>::default();
    let rest = "on_error: fallback, fallback: { use: charge, with: { what: 'in cash' } }";
    let pathway = pathway(&charge, &journal, rest);
    let outcome = run(&pathway, &[json!({"id": "a"})]).await;
    assert_eq!(outcome[0].output, json!({"receipt": "in cash"}));
    assert_eq!(charge.charges(), ["log/3/0/p/pay", "log/3/0/p/pay.fallback"]);
}

#[test]
fn a_definition_says_it_in_one_of_three_words() {
    let yaml =
        "pathway: p\non: { topic: t, key: input.id }\nnodes:\n  a: { use: charge, on_unknown: sometimes }\n";
    let mistakes = parse(yaml).unwrap_err();
    assert_eq!(mistakes[0].path, "nodes.a.on_unknown");
    assert!(mistakes[0].hint.contains("retry"), "{}", mistakes[0]);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_a_pieces_own_and_no_piece_is_begun_without_time() {
    // Each piece takes four seconds of its five; the batch as a whole has ten.
    struct Slow(Charge);
    impl Tool for Slow {
        fn name(&self) -> &'static str {
            "charge"
        }
        fn args(&self) -> &'static [ArgSpec] {
            self.0.args()
        }
        fn effect(&self, args: &Value) -> Effect {
            self.0.effect(args)
        }
        fn call<'a>(&'a self, context: &'a CallContext, items: Vec<ToolItem>) -> ToolFuture<'a> {
            Box::pin(async move {
                tokio::time::sleep(Duration::from_secs(4)).await;
                self.0.call(context, items).await
            })
        }
    }
    let slow = Arc::new(Slow(Charge::new(&[])));
    let tools = Tools::default().with(Arc::clone(&slow) as Arc<dyn Tool>);
    let yaml = "pathway: p\non: { topic: t, key: input.id }\nlimits: { deadline: 8s }\nnodes:\n  pay: { use: charge, timeout: 5s, with: { what: '${input.id}' } }\noutput: '${nodes.pay}'\n";
    let pathway = Pathway::new(parse(yaml).unwrap(), &tools).unwrap();
    let data: Vec<Value> = (0..96).map(|n| json!({"id": n})).collect();
    // Three pieces of 32: two have time, the third is not begun.
    let BatchOutcome::Park(fault) = pathway.run(events(&data)).await else { panic!("it had no time") };
    assert_eq!(fault.reason(), "NOT_BEGUN");
    assert_eq!(slow.0.charges().len(), 64);
    assert!(run(&pathway, &data).await.iter().all(|outcome| outcome.failure.is_none()));
    assert_eq!(slow.0.charges().len(), 96, "and each was charged once");
}
