//! The event `analytics`: what another system says about a user's figures.
//!
//! Senders have called the same thing by several names. Each is read under any of them, and nothing else is guessed: what is missing, or is none of these, is
//! named.

use pathway_finance::{CivilDate, Currency, Money, Period, category_key};
use pathway_kernel::{Check, Violation};
use pathway_proto::pathway::analytics::v1 as api;
use pathway_proto::pathway::analytics::v1::analytics_event::Event;
use pathway_rpc::{to_date, to_money};
use serde_json::{Map, Value, json};

use super::{Reader, text};

/// What is said.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stated {
    /// A transaction, as the topic `transactions` has it.
    Transaction(Value),
    /// Something that analytics takes.
    Event(Event),
}

/// Names that one thing has had, the first of which is told.
type Names = &'static [&'static str];

const CATEGORY: Names = &["category", "category_name"];
const LIMIT: Names = &["limit", "amount", "budget", "budget_amount", "monthly_limit"];
const LIMITS: Names = &["limits", "budgets", "categories"];
const SPENT: Names = &["spent", "amount", "total", "total_spent", "total_expenses", "expenses"];
const INCOME: Names = &["income", "total_income"];
const PERIOD: Names = &["period", "month"];
const TITLE: Names = &["goal", "title", "name", "goal_name"];
const TARGET: Names = &["target", "target_amount", "goal_amount"];
const SAVED: Names = &["saved", "current", "current_amount", "saved_amount"];
const DEADLINE: Names = &["deadline", "target_date"];
/// What a transaction must say, unless it is taken away.
const TRANSACTION: [&str; 3] = ["amount", "category", "transaction_date"];
/// The longest text that names something, in bytes.
const NAME: usize = 256;
/// The most limits of one event.
const MOST_LIMITS: usize = 256;

/// What an event says, or everything that is wrong with it. Fields are told with their place in the event.
pub(super) fn read(reader: &Reader, event: &Value) -> Result<Stated, Vec<Violation>> {
    let Some(data) = event["data"].as_object() else {
        return Err(vec![Violation::new("data", "must be an object")]);
    };
    let mut check = Check::default();
    let fields = Fields { data, currency: currency(reader, data, &mut check) };
    let stated = match event["event_type"].as_str() {
        Some("transaction_added") => transaction(reader, event, data, &mut check),
        Some("budget_updated") => fields.limits(&mut check),
        Some("savings_goal") => fields.goal(&mut check),
        Some("category_spending") => fields.figure(true, &mut check),
        Some("monthly_summary") => fields.figure(false, &mut check),
        _ => check.take("event_type", Err("is no type of event")),
    };
    check.done()?;
    // Without a violation there is something.
    stated.ok_or_else(|| vec![Violation::new("data", "says nothing")])
}

/// The event of the topic `transactions` that it is: its user's, and named by the event where it has no name.
fn transaction(
    reader: &Reader,
    event: &Value,
    data: &Map<String, Value>,
    check: &mut Check,
) -> Option<Stated> {
    let mut transaction = data.clone();
    transaction.insert("user_id".to_owned(), event["user_id"].clone());
    if data.get("id").is_none_or(Value::is_null) {
        transaction.insert("id".to_owned(), event["id"].clone());
    }
    let transaction = Value::Object(transaction);
    if text(&transaction, "id").is_empty() {
        check.note("data.id", Some("is required, here or as the event's own id"));
    }
    if transaction["deleted"] != Value::Bool(true) {
        for field in TRANSACTION {
            check.note(&format!("data.{field}"), (!data.contains_key(field)).then_some("is required"));
        }
        let is_amount = data.get("amount").is_none_or(|amount| amount.is_number() || amount.is_string());
        check.note("data.amount", (!is_amount).then_some("must be a number or a text of one"));
    }
    for violation in reader.read(&transaction).err().unwrap_or_default() {
        // What is not there was named above, and so was a currency that is none.
        let is_absent = violation.field == "transaction_date" && !data.contains_key("transaction_date");
        let is_told = is_absent || violation.field == "currency";
        check.note(&format!("data.{}", violation.field), (!is_told).then_some(violation.description));
    }
    Some(Stated::Transaction(transaction))
}

fn currency(reader: &Reader, data: &Map<String, Value>, check: &mut Check) -> Currency {
    match data.get("currency") {
        None | Some(Value::Null) => Some(reader.currency),
        Some(Value::String(code)) => check.take("data.currency", Currency::parse(code)),
        Some(_) => check.take("data.currency", Err("must be a text")),
    }
    .unwrap_or(reader.currency)
}

/// What `data` says.
struct Fields<'a> {
    data: &'a Map<String, Value>,
    currency: Currency,
}

// === impl Fields ===

impl Fields<'_> {
    /// The first of these names that is there, with its value.
    fn find(&self, names: Names) -> Option<(&'static str, &Value)> {
        names.iter().find_map(|name| Some((*name, self.data.get(*name).filter(|value| !value.is_null())?)))
    }

    fn name(&self, names: Names, check: &mut Check) -> Option<String> {
        let (field, value) = self.required(names, check)?;
        let field = format!("data.{field}");
        let Some(text) = value.as_str() else {
            check.note(&field, Some("must be a text"));
            return None;
        };
        check.text(&field, text, NAME);
        check.note(&field, category_key(text).is_empty().then_some("has neither a letter nor a digit"));
        Some(text.to_owned())
    }

    fn required(&self, names: Names, check: &mut Check) -> Option<(&'static str, &Value)> {
        let found = self.find(names);
        if found.is_none() {
            check.note(&format!("data.{}", names[0]), Some("is required"));
        }
        found
    }

    fn amount(&self, names: Names, check: &mut Check) -> Option<Money> {
        let (field, value) = self.find(names)?;
        self.money(&format!("data.{field}"), value, check)
    }

    fn money(&self, field: &str, value: &Value, check: &mut Check) -> Option<Money> {
        let digits = match value {
            Value::String(digits) => digits.clone(),
            // The number's own text: it never was a float.
            Value::Number(number) => number.to_string(),
            _ => return check.take(field, Err("must be a number or a text of one")),
        };
        check.take(field, Money::parse_line(&digits, self.currency))
    }

    fn date(&self, names: Names, check: &mut Check) -> Option<CivilDate> {
        let (field, value) = self.find(names)?;
        // Of an instant, the day as it is written.
        let day = value.as_str().map(|text| text.split_once('T').map_or(text, |(day, _)| day));
        let parsed = day
            .ok_or_else(|| "must be a text".to_owned())
            .and_then(|day| CivilDate::parse(day).map_err(|error| error.to_string()));
        check.take(&format!("data.{field}"), parsed)
    }

    fn limits(&self, check: &mut Check) -> Option<Stated> {
        let mut limits = Vec::new();
        if let Some((field, value)) = self.find(LIMITS) {
            let many = value.as_object();
            let problem = many.is_none().then_some("must be an object of categories and their limits");
            check.note(&format!("data.{field}"), problem);
            check.at_most(&format!("data.{field}"), many.map_or(0, Map::len), MOST_LIMITS);
            for (category, value) in many.into_iter().flatten() {
                let field = format!("data.{field}.{category}");
                check.text(&field, category, NAME);
                let is_empty = category_key(category).is_empty();
                check.note(&field, is_empty.then_some("has a category without a letter"));
                let limit = self.limit(&field, value, check);
                limits.extend(limit.map(|limit| stated_limit(category.clone(), limit)));
            }
        } else {
            let category = self.name(CATEGORY, check);
            let limit = self.required(LIMIT, check);
            let limit = limit.and_then(|(field, value)| self.limit(&format!("data.{field}"), value, check));
            limits.extend(category.zip(limit).map(|(category, limit)| stated_limit(category, limit)));
        }
        let period = self.find(&["period"]).map(|(_, value)| match value.as_str() {
            Some("week" | "weekly") => Ok("week"),
            Some("month" | "monthly") => Ok("month"),
            Some("quarter" | "quarterly") => Ok("quarter"),
            Some("year" | "yearly" | "annual" | "annually") => Ok("year"),
            _ => Err("must be weekly, monthly, quarterly or yearly"),
        });
        let period = period.and_then(|period| check.take("data.period", period)).unwrap_or_default();
        Some(Stated::Event(Event::Limits(api::StatedLimits { limits, period: period.to_owned() })))
    }

    fn limit(&self, field: &str, value: &Value, check: &mut Check) -> Option<Money> {
        let limit = self.money(field, value, check)?;
        check.note(field, (limit.minor() < 0).then_some("must not be negative"));
        Some(limit)
    }

    fn goal(&self, check: &mut Check) -> Option<Stated> {
        let title = self.name(TITLE, check);
        let target = self.required(TARGET, check).is_some().then(|| self.amount(TARGET, check)).flatten();
        let is_none = target.is_some_and(|target| target.minor() <= 0);
        check.note("data.target", is_none.then_some("must be more than zero"));
        let saved = self.amount(SAVED, check);
        let deadline = self.date(DEADLINE, check);
        let goal = api::StatedGoal {
            title: title?,
            target: Some(to_money(target?)),
            saved: saved.map(to_money),
            deadline: deadline.map(to_date),
        };
        Some(Stated::Event(Event::Goal(goal)))
    }

    fn figure(&self, is_of_category: bool, check: &mut Check) -> Option<Stated> {
        let category = if is_of_category { self.name(CATEGORY, check) } else { None };
        let spent = self.amount(SPENT, check);
        let income = if is_of_category { None } else { self.amount(INCOME, check) };
        let is_said = self.find(SPENT).is_some() || (!is_of_category && self.find(INCOME).is_some());
        check.note("data.spent", (!is_said).then_some("is required"));
        let period = self.find(PERIOD).and_then(|(field, value)| {
            let period = value.as_str().and_then(|text| Period::parse(text).ok());
            let problem = "must be a period such as 2026-11, 2026-Q4 or 2026-11-01..2026-12-01";
            check.take(&format!("data.{field}"), period.ok_or(problem))
        });
        let figure = api::StatedFigure {
            start: period.map(|period| to_date(period.start())),
            end: period.map(|period| to_date(period.end())),
            category,
            spent: spent.map(to_money),
            income: income.map(to_money),
        };
        Some(Stated::Event(Event::Figure(figure)))
    }
}

fn stated_limit(category: String, limit: Money) -> api::StatedLimit {
    api::StatedLimit { category, limit: Some(to_money(limit)) }
}

/// What an event came to, for the nodes that follow and the history. Amounts stay out of it.
pub(super) fn answer(recorded: Option<api::recorded_event::Recorded>) -> Value {
    use api::recorded_event::Recorded;
    match recorded {
        Some(Recorded::Limits(count)) => json!({"transaction": null, "limits": count}),
        Some(Recorded::Goal(goal)) => json!({"transaction": null, "goal": goal.goal}),
        Some(Recorded::Figure(figure)) => json!({"transaction": null, "agrees": figure.agrees}),
        None => json!({"transaction": null}),
    }
}

#[cfg(test)]
mod tests {
    use pathway_finance::TimeZone;

    use super::*;

    fn reader() -> Reader {
        Reader { currency: Currency::parse("USD").unwrap(), zone: TimeZone::utc() }
    }

    fn event(kind: &str, data: Value) -> Value {
        let mut event = json!({"user_id": "u", "event_type": kind});
        event["data"] = data;
        event
    }

    fn said(kind: &str, data: Value) -> Event {
        match read(&reader(), &event(kind, data)).unwrap() {
            Stated::Event(event) => event,
            Stated::Transaction(_) => panic!("it is no transaction"),
        }
    }

    fn wrong(kind: &str, data: Value) -> Vec<String> {
        let violations = read(&reader(), &event(kind, data)).unwrap_err();
        violations.into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn a_transaction_is_its_users_and_named_by_its_event() {
        let data =
            json!({"amount": 12.5, "category": "Dining", "transaction_date": "2026-11-03", "user_id": "v"});
        let mut event = event("transaction_added", data);
        event["id"] = json!("e-1");
        let Stated::Transaction(transaction) = read(&reader(), &event).unwrap() else { panic!("it is one") };
        assert_eq!((&transaction["id"], &transaction["user_id"]), (&json!("e-1"), &json!("u")));
    }

    #[test]
    fn things_are_read_under_the_names_that_they_have_had() {
        let one = said("budget_updated", json!({"category": "Dining", "amount": "150", "period": "weekly"}));
        let many = said("budget_updated", json!({"budgets": {"Dining": 150}, "period": "week"}));
        assert_eq!(one, many);
        let one =
            said("savings_goal", json!({"goal": "Goa", "target": 10, "saved": 1, "deadline": "2027-01-01"}));
        let other = json!({"name": "Goa", "target_amount": "10.00", "current_amount": 1.0, "target_date": "2027-01-01T00:00:00Z"});
        assert_eq!(one, said("savings_goal", other));
        let one = said("monthly_summary", json!({"period": "2026-11", "spent": 3, "income": 9}));
        let other =
            said("monthly_summary", json!({"month": "2026-11", "total_expenses": "3", "total_income": 9}));
        assert_eq!(one, other);
    }

    #[test]
    fn everything_that_is_wrong_is_named_with_its_place() {
        assert_eq!(
            wrong("transaction_added", json!({"amount": true, "currency": 7})),
            ["data.currency", "data.id", "data.category", "data.transaction_date", "data.amount"]
        );
        assert_eq!(
            wrong("budget_updated", json!({"category": "!", "limit": -1, "period": "daily"})),
            ["data.category", "data.limit", "data.period"]
        );
        assert_eq!(wrong("budget_updated", json!({"limits": {"a": "x", "b": 1}})), ["data.limits.a"]);
        assert_eq!(
            wrong("savings_goal", json!({"target": 0, "saved": [], "deadline": "soon"})),
            ["data.goal", "data.target", "data.saved", "data.deadline"]
        );
        assert_eq!(
            wrong("category_spending", json!({"period": "lately"})),
            ["data.category", "data.spent", "data.period"]
        );
        assert_eq!(wrong("monthly_summary", json!({})), ["data.spent"]);
    }
}
