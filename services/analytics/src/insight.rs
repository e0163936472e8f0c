//! What a user is told, and why.
//!
//! An insight's key follows from what it is about, never from when or by whom it was found: whoever finds it again finds the same.

use std::collections::BTreeMap;

use pathway_finance::{Anomaly, CivilDate, Money, Overflow, Period, Severity, percent};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::fact::Line;
use crate::goal::Goal;
use crate::ledger::{BudgetPeriod, PACE, Standing};
use crate::subject::{Budgeted, Milestone, Purchase, Subject};

/// What a user is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Insight {
    pub(crate) user_id: String,
    pub(crate) dedup_key: String,
    pub(crate) kind: String,
    pub(crate) title: String,
    pub(crate) message: String,
    pub(crate) metadata: BTreeMap<String, String>,
    /// What it rests on. What was stored before there was such a thing rests on nothing that is known.
    #[serde(default)]
    pub(crate) subject: Subject,
    /// Whether it says that what was told under the same name is over, and nothing new.
    #[serde(default)]
    pub(crate) resolves: bool,
}

/// A budget's threshold that was crossed.
#[derive(Debug)]
pub(crate) struct Crossed<'a> {
    pub(crate) user_id: &'a str,
    pub(crate) category: &'a str,
    /// The categories whose spending counts.
    pub(crate) members: &'a [String],
    pub(crate) revision: i64,
    pub(crate) period: Period,
    pub(crate) threshold: i64,
    pub(crate) spent: Money,
    pub(crate) limit: Money,
}

// === impl Insight ===

impl Insight {
    /// A crossed threshold (G21): a warning below 100 %, from there on exceeded.
    pub(crate) fn crossed(crossed: &Crossed<'_>) -> Self {
        let Crossed { user_id, category, members, revision, period, threshold, spent, limit } = *crossed;
        let (name, percent) = (label(category), percent(spent.minor(), limit.minor()));
        let share = percent.map_or_else(String::new, |percent| format!(" ({percent}%)"));
        let (kind, title) = match percent {
            Some(percent) if threshold < 100 => ("budget_warning", format!("{name} budget at {percent}%")),
            _ if spent == limit => ("budget_exceeded", format!("{name} budget used up")),
            _ => ("budget_exceeded", format!("{name} budget exceeded")),
        };
        let (spent_text, limit_text) = (spent.to_decimal_string(), limit.to_decimal_string());
        let code = limit.currency().code();
        let message = format!(
            "You have spent {spent_text} of {limit_text} {code}{share} on {} in {period}.",
            name.to_lowercase()
        );
        let mut metadata = facts([
            ("category", category.to_owned()),
            ("spent", spent_text),
            ("limit", limit_text),
            ("currency", code.to_owned()),
            ("period", period.to_string()),
        ]);
        // A limit of zero has no percentage.
        metadata.extend(percent.map(|percent| ("percent".to_owned(), percent.to_string())));
        Self {
            user_id: user_id.to_owned(),
            dedup_key: format!("budget:{category}:{revision}:{}:{threshold}", period.start()),
            kind: kind.to_owned(),
            title,
            message,
            metadata,
            subject: Subject::Budget(Budgeted {
                category: category.to_owned(),
                revision,
                threshold,
                start: period.start().epoch_days(),
                end: period.end().epoch_days(),
                currency: code.to_owned(),
                members: members.to_vec(),
            }),
            resolves: false,
        }
    }

    /// A crossed threshold that the owner was told of, and that spending has fallen below.
    pub(crate) fn resolved(user_id: &str, budget: &BudgetPeriod, period: Period, threshold: i64) -> Self {
        let BudgetPeriod { category, revision, start, .. } = budget;
        Self {
            user_id: user_id.to_owned(),
            dedup_key: format!("budget:{category}:{revision}:{start}:{threshold}"),
            kind: "budget_resolved".to_owned(),
            title: format!("{} budget is below {threshold}% again", label(category)),
            message: String::new(),
            metadata: facts([("category", category.clone()), ("period", period.to_string())]),
            subject: Subject::Other,
            resolves: true,
        }
    }

    /// A budget whose spending will be over its limit if it goes on as until now.
    pub(crate) fn outpaced(
        user_id: &str,
        budget: &BudgetPeriod,
        standing: &Standing,
        projected: i64,
    ) -> Self {
        let (name, currency) = (label(&budget.category), standing.limit.currency());
        let text = |minor| Money::new(minor, currency).to_decimal_string();
        let (spent, limit, projected) =
            (text(standing.net().minor()), text(standing.limit.minor()), text(projected));
        let (code, period) = (currency.code(), standing.period);
        let message = format!(
            "You have spent {spent} of {limit} {code} on {} in {period}. At this pace it will be {projected} {code} by its end.",
            name.to_lowercase()
        );
        let metadata = facts([
            ("category", budget.category.clone()),
            ("spent", spent),
            ("limit", limit),
            ("projected", projected),
            ("currency", code.to_owned()),
            ("period", period.to_string()),
        ]);
        Self {
            user_id: user_id.to_owned(),
            dedup_key: format!("budget:{}:{}:{}:pace", budget.category, budget.revision, period.start()),
            kind: "budget_warning".to_owned(),
            title: format!("{name} budget is being spent fast"),
            message,
            metadata,
            subject: Subject::Budget(Budgeted {
                category: budget.category.clone(),
                revision: budget.revision,
                threshold: PACE,
                start: period.start().epoch_days(),
                end: period.end().epoch_days(),
                currency: code.to_owned(),
                members: standing.members.clone(),
            }),
            resolves: false,
        }
    }

    /// A milestone that a savings goal has reached (G28). Its key is made of the target, so that a goal which gets a target that it had before tells
    /// nothing twice.
    pub(crate) fn milestone(user_id: &str, goal: &Goal, milestone: i64) -> Result<Self, Overflow> {
        let target = goal.terms.target;
        let code = target.currency().code();
        let saved = Money::new(goal.saved()?, target.currency()).to_decimal_string();
        let (percent, target_text) = (goal.percent()?, target.to_decimal_string());
        let title = &goal.terms.title;
        let metadata = facts([
            ("goal", title.clone()),
            ("saved", saved.clone()),
            ("target", target_text.clone()),
            ("currency", code.to_owned()),
            ("percent", percent.to_string()),
            ("milestone", milestone.to_string()),
        ]);
        let Goal { name, generation, .. } = goal;
        let heading = if milestone >= 100 {
            format!("{title}: the goal is reached")
        } else {
            format!("{title}: {milestone}% is saved")
        };
        Ok(Self {
            user_id: user_id.to_owned(),
            dedup_key: format!("goal:{name}:{generation}:{code}:{}:{milestone}", target.minor()),
            kind: "goal_milestone".to_owned(),
            title: heading,
            message: format!("You have saved {saved} of {target_text} {code} ({percent}%) for {title}."),
            metadata,
            subject: Subject::Goal(Milestone { goal: name.clone(), milestone }),
            resolves: false,
        })
    }

    /// A purchase that stands out (G26), with what it was compared with. `found` is what each detector that sees it says, the one that is told of first;
    /// `baseline` is the purchases before it, newest first. None where nothing was found.
    pub(crate) fn unusual(
        user_id: &str,
        record_id: Uuid,
        line: &Line,
        found: &[Anomaly],
        baseline: &[(CivilDate, i64)],
    ) -> Option<Self> {
        let anomaly = found.first()?;
        let (severity, how) = match anomaly.severity {
            Severity::Medium => ("medium", "Unusual"),
            Severity::High => ("high", "Very unusual"),
        };
        let name = label(&line.category).to_lowercase();
        let currency = line.amount.currency();
        let amount = line.amount.to_decimal_string();
        let usual = Money::new(anomaly.baseline_minor, currency).to_decimal_string();
        let factor = format!("{}.{}", anomaly.factor_tenths / 10, anomaly.factor_tenths % 10);
        let code = currency.code();
        let message = format!(
            "{amount} {code} on {name} is {factor} times your usual {usual} {code}, the {} of the last {} purchases.",
            anomaly.detector.baseline(),
            anomaly.count
        );
        let detectors: Vec<&str> = found.iter().map(|anomaly| anomaly.detector.name()).collect();
        let metadata = facts([
            ("category", line.category.clone()),
            ("amount", amount),
            ("currency", code.to_owned()),
            ("date", line.day.to_string()),
            ("record_id", record_id.to_string()),
            ("detector", anomaly.detector.name().to_owned()),
            ("detectors", detectors.join(",")),
            ("severity", severity.to_owned()),
            ("baseline", usual),
            ("count", anomaly.count.to_string()),
            ("factor", factor),
        ]);
        let is_high = line.amount.minor() > anomaly.baseline_minor;
        let compared = &baseline[..baseline.len().min(anomaly.count)];
        Some(Self {
            user_id: user_id.to_owned(),
            dedup_key: format!("anomaly:{record_id}"),
            kind: "transaction_alert".to_owned(),
            title: format!("{how} {name} purchase"),
            message,
            metadata,
            subject: Subject::Purchase(Purchase::of(record_id, line, is_high, compared)),
            resolves: false,
        })
    }
}

/// Facts behind a text.
pub(crate) fn facts<const N: usize>(pairs: [(&str, String); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// A category's key for reading: `mortgage_rent` -> `Mortgage rent`.
fn label(key: &str) -> String {
    let mut characters = key.chars();
    let first: String = characters.next().into_iter().flat_map(char::to_uppercase).collect();
    first + &characters.as_str().replace('_', " ")
}

#[cfg(test)]
mod tests {
    use pathway_finance::Currency;

    use super::*;

    fn crossed(threshold: i64, spent: i64, limit: i64) -> Insight {
        let money = |minor| Money::new(minor, Currency::parse("USD").unwrap());
        Insight::crossed(&Crossed {
            user_id: "u",
            category: "eating_out",
            members: &[],
            revision: 2,
            period: Period::parse("2026-11").unwrap(),
            threshold,
            spent: money(spent),
            limit: money(limit),
        })
    }

    #[test]
    fn g21_a_notice_is_named_by_what_it_is_about() {
        let insight = crossed(80, 8000, 10_000);
        assert_eq!(insight.dedup_key, "budget:eating_out:2:2026-11-01:80");
        assert_eq!(insight.kind, "budget_warning");
        assert_eq!(insight.title, "Eating out budget at 80%");
        assert_eq!(insight.message, "You have spent 80.00 of 100.00 USD (80%) on eating out in 2026-11.");
        let keys: Vec<&str> = insight.metadata.keys().map(String::as_str).collect();
        assert_eq!(keys, ["category", "currency", "limit", "percent", "period", "spent"]);
        assert_eq!(insight.metadata["percent"], "80");
    }

    #[test]
    fn g22_at_the_limit_it_is_used_up_and_above_exceeded() {
        assert_eq!(crossed(100, 10_000, 10_000).title, "Eating out budget used up");
        assert_eq!(crossed(100, 11_500, 10_000).title, "Eating out budget exceeded");
        let zero = crossed(100, 1, 0);
        assert_eq!((zero.kind.as_str(), zero.metadata.get("percent")), ("budget_exceeded", None));
        assert_eq!(zero.message, "You have spent 0.01 of 0.00 USD on eating out in 2026-11.");
    }
}
