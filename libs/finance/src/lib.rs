//! Money, periods, categories, spending, crossings and anomaly statistics.
//!
//! The one implementation of the rules of personal finance; no service has its own version. Everything here is pure: no I/O, no clock, no floats.
//! The tests are named after the rules (`g06_refund_lowers_spending`).
//!
//! - [`Money`] and [`Currency`]: exact amounts in minor units (G1).
//! - [`Rate`], [`DayRates`], [`Conversion`]: amounts in another currency (G12).
//! - [`CivilDate`], [`TimeZone`], [`Period`], [`PeriodKind`]: days and half-open spans of them (G2, G3).
//! - [`LineKind`], [`Totals`], [`category_key`]: what counts as spending (G5 to G8, G11, G19).
//! - [`pair_transfers`]: which lines are two legs of one transfer (G9).
//! - [`Fingerprints`]: what names a line that has no id (G13).
//! - [`Revision`], [`revise`], [`in_force`], [`Rollover`]: which terms of a budget hold when (G4, G23).
//! - [`crossing()`], [`percent`], [`may_alert`], [`outpaces`]: when an alert is due (G21 to G24).
//! - [`GoalSource`], [`monthly_need`]: what is saved towards a goal (G28).
//! - [`z_score`], [`robust`]: what stands out (G26).
//! - [`recurring()`], [`payee_key`]: what comes again and again.
//! - [`buckets`], [`previous`], [`projected`]: one period beside others.

mod anomaly;
mod budget;
mod category;
mod crossing;
mod date;
mod goal;
mod identity;
mod money;
mod pairing;
mod period;
mod rate;
mod recurring;
mod totals;
mod trend;

pub use anomaly::{Anomaly, Detector, Severity, robust, z_score};
pub use budget::{BudgetTerms, Revision, Rollover, Rules, in_force, in_force_at, revise};
pub use category::{UNCATEGORIZED, category_key};
pub use crossing::{
    Crossing, DEFAULT_THRESHOLDS, PACE_PERCENT, crossing, may_alert, outpaces, pace, passed, percent,
};
pub use date::{CivilDate, DateError, TimeZone, parse_when};
pub use goal::{DEFAULT_MILESTONES, GoalSource, monthly_need};
pub use identity::{Fingerprints, fingerprint};
pub use money::{Currency, LARGEST_LINE, Money, MoneyError};
pub use pairing::{Leg, MOST_DAYS_APART, Pairing, pair_transfers};
pub use period::{Period, PeriodKind};
pub use rate::{Conversion, DayRates, Rate, RateError, RatePair};
pub use recurring::{Cadence, Occurrence, PriceChange, Recurring, payee_key, recurring};
pub use totals::{LineKind, Overflow, Totals};
pub use trend::{buckets, change_percent, days, previous, projected};
