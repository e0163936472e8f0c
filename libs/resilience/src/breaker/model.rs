//! The machine against a small reference model, over random histories.
//!
//! The model keeps every call that was ever counted and looks through all of them each time; it has no ring, no sum and no generation numbers, but remembers for
//! each call in which stretch of the breaker's life it was admitted.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::time::Instant;

use super::machine::{Machine, OPERATOR_TAKES, Outcome, PROBE_TAKES};
use super::{BreakerAction, BreakerConfig, BreakerState, WindowConfig};

/// What happens to a breaker.
#[derive(Debug, Clone)]
enum Step {
    Admit,
    /// The outcome of one of the calls that are under way.
    End(prop::sample::Index, Outcome),
    Pass(u64),
    Act(BreakerAction),
}

#[derive(Debug, Clone, Copy)]
struct Call {
    stretch: usize,
    begun_ms: u64,
}

/// A call that was counted.
#[derive(Debug, Clone, Copy)]
struct Counted {
    at_ms: u64,
    outcome: Outcome,
    slow: bool,
}

struct Model {
    config: BreakerConfig,
    now_ms: u64,
    state: BreakerState,
    /// Grows with each transition.
    stretch: usize,
    until_ms: u64,
    openings: u32,
    counted: Vec<Counted>,
    under_way: Vec<Call>,
    good_probes: u32,
}

// === impl Model ===

impl Model {
    fn admit(&mut self) -> Result<(), Duration> {
        let probing = self.under_way.iter().filter(|call| call.stretch == self.stretch).count();
        match self.state {
            BreakerState::Open if self.now_ms < self.until_ms => {
                return Err(Duration::from_millis(self.until_ms - self.now_ms));
            }
            BreakerState::Open => self.enter(BreakerState::HalfOpen),
            BreakerState::HalfOpen if probing >= self.config.probes as usize => return Err(PROBE_TAKES),
            BreakerState::Tripped => return Err(OPERATOR_TAKES),
            _ => {}
        }
        self.under_way.push(Call { stretch: self.stretch, begun_ms: self.now_ms });
        Ok(())
    }

    fn end(&mut self, index: usize, outcome: Outcome) -> Call {
        let call = self.under_way.swap_remove(index);
        if call.stretch != self.stretch {
            return call;
        }
        let window = self.config.window;
        let slow = u128::from(self.now_ms - call.begun_ms) >= window.slow_after.as_millis();
        let failed = outcome == Outcome::Failed;
        match self.state {
            BreakerState::HalfOpen if outcome != Outcome::Cancelled => {
                if failed || (slow && window.slow_percent > 0) {
                    self.open();
                } else {
                    self.good_probes += 1;
                    if self.good_probes == self.config.probes {
                        self.enter(BreakerState::Closed);
                    }
                }
            }
            BreakerState::Closed | BreakerState::Disabled if outcome != Outcome::Cancelled || slow => {
                self.counted.push(Counted { at_ms: self.now_ms, outcome, slow });
                if self.state == BreakerState::Closed && (failed || slow) && self.must_open() {
                    self.open();
                }
            }
            _ => {}
        }
        call
    }

    fn failed_in_a_row(&self) -> u32 {
        // A call that was given up late is neither a failure nor a success.
        let outcomes = self.counted.iter().rev().map(|counted| counted.outcome);
        let told = outcomes.filter(|outcome| *outcome != Outcome::Cancelled);
        u32::try_from(told.take_while(|outcome| *outcome == Outcome::Failed).count()).unwrap()
    }

    fn must_open(&self) -> bool {
        let window = self.config.window;
        if self.config.failures > 0 && self.failed_in_a_row() >= self.config.failures {
            return true;
        }
        let (calls, failed, slow) = self.in_window();
        let reaches = |part: usize, percent: u8| percent > 0 && part * 100 >= calls * usize::from(percent);
        calls >= window.calls as usize
            && (reaches(failed, window.failure_percent) || reaches(slow, window.slow_percent))
    }

    fn in_window(&self) -> (usize, usize, usize) {
        let width = (u64::try_from(self.config.window.span.as_millis()).unwrap() / 10).max(1);
        let is_in = |counted: &&Counted| counted.at_ms / width + 10 > self.now_ms / width;
        let inside: Vec<&Counted> = self.counted.iter().filter(is_in).collect();
        let of = |which: fn(&Counted) -> bool| inside.iter().filter(|counted| which(counted)).count();
        (inside.len(), of(|counted| counted.outcome == Outcome::Failed), of(|counted| counted.slow))
    }

    fn act(&mut self, action: BreakerAction) {
        use BreakerState::{Closed, Disabled, Tripped};
        match (action, self.state) {
            (BreakerAction::Trip, state) if state != Tripped => self.enter(Tripped),
            (BreakerAction::Disable, state) if state != Disabled => self.enter(Disabled),
            (BreakerAction::Reset, Closed | Disabled) => self.forget(),
            (BreakerAction::Enable, Disabled) | (BreakerAction::Reset, _) => self.enter(Closed),
            _ => {}
        }
    }

    fn open(&mut self) {
        let rest = self.config.open_first * 2_u32.pow(self.openings);
        self.until_ms = self.now_ms + u64::try_from(rest.min(self.config.open_for).as_millis()).unwrap();
        self.openings += 1;
        self.enter(BreakerState::Open);
    }

    fn enter(&mut self, state: BreakerState) {
        self.state = state;
        self.stretch += 1;
        self.good_probes = 0;
        if matches!(state, BreakerState::Closed | BreakerState::Disabled) {
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.counted.clear();
        self.openings = 0;
    }
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![3 => Just(Outcome::Failed), 3 => Just(Outcome::Good), 1 => Just(Outcome::Cancelled)]
}

fn step() -> impl Strategy<Value = Step> {
    let action = prop_oneof![
        Just(BreakerAction::Trip),
        Just(BreakerAction::Reset),
        Just(BreakerAction::Disable),
        Just(BreakerAction::Enable)
    ];
    prop_oneof![
        12 => Just(Step::Admit),
        12 => (any::<prop::sample::Index>(), outcome()).prop_map(|(index, outcome)| Step::End(index, outcome)),
        4 => (0..400_u64).prop_map(Step::Pass),
        1 => (0..20_000_u64).prop_map(Step::Pass),
        1 => action.prop_map(Step::Act),
    ]
}

fn config() -> impl Strategy<Value = BreakerConfig> {
    let millis = Duration::from_millis;
    let window = (10..2000_u64, 1..6_u32, 0..=100_u8, 0..=100_u8, 1..500_u64).prop_map(
        move |(span, calls, failure_percent, slow_percent, slow)| WindowConfig {
            span: millis(span),
            calls,
            failure_percent,
            slow_percent,
            slow_after: millis(slow),
        },
    );
    (0..5_u32, 1..300_u64, 300..2000_u64, 1..4_u32, window).prop_map(
        move |(failures, first, longest, probes, window)| BreakerConfig {
            failures,
            open_first: millis(first),
            open_for: millis(longest),
            probes,
            window,
        },
    )
}

proptest! {
    #[test]
    fn the_machine_does_what_the_model_does(config in config(), steps in vec(step(), 1..200)) {
        let begun = Instant::now();
        let mut machine = Machine::new(config, begun);
        let mut model = Model {
            config, now_ms: 0, state: BreakerState::Closed, stretch: 0, until_ms: 0, openings: 0, counted: Vec::new(),
            under_way: Vec::new(), good_probes: 0,
        };
        // The machine's generation of each call that is under way, in the model's order.
        let mut generations: Vec<u64> = Vec::new();
        for step in steps {
            let now = begun + Duration::from_millis(model.now_ms);
            match step {
                Step::Admit => {
                    let (admitted, _) = machine.admit(now);
                    prop_assert_eq!(admitted.map(|_| ()), model.admit());
                    generations.extend(admitted.ok());
                }
                Step::End(index, outcome) if !generations.is_empty() => {
                    let index = index.index(generations.len());
                    let generation = generations.swap_remove(index);
                    let call = model.end(index, outcome);
                    let took = Duration::from_millis(model.now_ms - call.begun_ms);
                    machine.settle(now, generation, outcome, took);
                }
                Step::End(..) => {}
                Step::Pass(millis) => model.now_ms += millis,
                Step::Act(action) => {
                    machine.act(action);
                    model.act(action);
                }
            }
            prop_assert_eq!(machine.state(), model.state);
            if matches!(model.state, BreakerState::Closed | BreakerState::Disabled) {
                let counts = machine.counts(begun + Duration::from_millis(model.now_ms));
                let (calls, failed, slow) = model.in_window();
                prop_assert_eq!((counts.calls as usize, counts.failed as usize, counts.slow as usize), (calls, failed, slow));
            }
        }
    }
}
