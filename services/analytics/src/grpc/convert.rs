//! Generated types into the domain's and back. What comes in is checked here, every violation at once; what is inside is valid.

use std::collections::BTreeSet;

use pathway_finance::{
    Currency, LineKind, Money, Period, PeriodKind, TimeZone, Totals, UNCATEGORIZED, category_key, percent,
};
use pathway_kernel::{Check, Fault, Violation};
use pathway_proto::google::r#type as google;
use pathway_proto::pathway::analytics::v1 as api;
use pathway_proto::pathway::types::v1 as types;
use pathway_rpc::{Pages, from_date, from_money, to_date, to_money};
use uuid::Uuid;

use crate::error::AnalyticsError;
use crate::fact::{Change, Fact, Line};
use crate::insight::Insight;
use crate::store::{Budget, ExplainedLine, Explanation, NewBudgets, Place, Question, Scope, Spending};

/// How long texts may be, in bytes: those that name something are part of an index.
pub(super) const USER_ID: usize = 256;
pub(super) const CATEGORY: usize = 256;
const MERCHANT: usize = 64 * 1024;

/// The places in one question's lines as tokens.
#[derive(Debug)]
pub(super) struct PageToken(Pages);

// === impl PageToken ===

impl PageToken {
    pub(super) fn of(question: &Question) -> Self {
        let Scope { user_id, period, currency } = &question.scope;
        let (start, end) = (period.start().to_string(), period.end().to_string());
        let currency = currency.map(Currency::code).unwrap_or_default();
        // A category's key is never `*`.
        let category = question.category.as_deref().unwrap_or("*");
        Self(Pages::of("Explain", &[user_id, &start, &end, currency, category]))
    }

    /// The token of the page after this line.
    pub(super) fn after(&self, line: &ExplainedLine) -> String {
        self.0.token(&format!("{}.{}", line.line.day.epoch_days(), line.record_id.simple()))
    }

    /// Where the page before ended; none for the first page.
    pub(super) fn read(&self, token: &str) -> Result<Option<Place>, AnalyticsError> {
        self.place(token).map_err(|problem| AnalyticsError::invalid("page_token", problem))
    }

    fn place(&self, token: &str) -> Result<Option<Place>, &'static str> {
        let Some(text) = self.0.place(token)? else { return Ok(None) };
        let read = || {
            let (day, id) = text.split_once('.')?;
            Some(Place { day: day.parse().ok()?, record_id: Uuid::parse_str(id).ok()? })
        };
        read().map(Some).ok_or("is of another question: begin again with an empty one")
    }
}

/// Whose figures: required in every request.
pub(super) fn user(user_id: String) -> Result<String, AnalyticsError> {
    let mut check = Check::default();
    check.required("user_id", &user_id, USER_ID);
    check.done()?;
    Ok(user_id)
}

/// A change, or everything that is wrong with it.
pub(crate) fn change(change: types::RecordChange) -> Result<Change, Vec<Violation>> {
    let Some(record) = change.after else { return Err(vec![Violation::new("after", "is required")]) };
    let mut check = Check::default();
    check.required("after.user_id", &record.user_id, USER_ID);
    let record_id = check.take("after.record_id", Uuid::parse_str(&record.record_id));
    check.note("after.version", (record.version < 1).then_some("must be at least 1"));
    let is_live = match types::Origin::try_from(change.origin) {
        Ok(types::Origin::Unspecified | types::Origin::Live) => true,
        Ok(types::Origin::History) => false,
        Err(_) => {
            check.note("origin", Some("is no origin"));
            false
        }
    };
    let (user_id, version) = (record.user_id.clone(), record.version);
    // A split line counts nowhere: its parts do (G10).
    let line = if record.deleted || record.is_split { None } else { line(record, &mut check) };
    check.done()?;
    let record_id = record_id.unwrap_or_default();
    Ok(Change { record_id, fact: Fact { user_id, version, line }, is_live })
}

fn line(record: types::Record, check: &mut Check) -> Option<Line> {
    check.text("after.category", &record.category, CATEGORY);
    check.text("after.merchant", &record.merchant, MERCHANT);
    let kind = match types::LineKind::try_from(record.kind) {
        Ok(types::LineKind::Unspecified | types::LineKind::Expense) => Ok(LineKind::Expense),
        Ok(types::LineKind::Income) => Ok(LineKind::Income),
        Ok(types::LineKind::Transfer) => Ok(LineKind::Transfer),
        Ok(types::LineKind::Adjustment) => Ok(LineKind::Adjustment),
        Err(_) => Err("is no kind of line"),
    };
    // The legs of a transfer are one, whatever their kinds (G9).
    let kind = if record.paired_with.is_empty() { kind } else { kind.map(|_| LineKind::Transfer) };
    let kind = check.take("after.kind", kind);
    let amount = check.take("after.amount", from_money(record.amount.as_ref()));
    let day = check.take("after.date", from_date(record.date.as_ref()));
    let category = bucket(&record.category);
    Some(Line { kind: kind?, amount: amount?, category, day: day?, merchant: record.merchant })
}

/// The bucket of a category: lines without one have their own (G11).
pub(super) fn bucket(category: &str) -> String {
    let key = category_key(category);
    if key.is_empty() { UNCATEGORIZED.to_owned() } else { key }
}

/// Which spending.
pub(super) fn scope(request: &api::GetSpendingRequest) -> Result<Scope, AnalyticsError> {
    let mut check = Check::default();
    let (start, end) = (request.start.as_ref(), request.end.as_ref());
    let scope = checked_scope(&mut check, &request.user_id, (start, end), &request.currency_code);
    check.done()?;
    scope.ok_or_else(|| AnalyticsError::invalid("end", "must be after the first day"))
}

/// A currency that was asked for; none for the user's own.
pub(super) fn currency(check: &mut Check, code: &str) -> Option<Currency> {
    match code {
        "" => None,
        code => check.take("currency_code", Currency::parse(code)),
    }
}

/// Which lines a figure is about.
pub(super) fn checked_scope(
    check: &mut Check,
    user_id: &str,
    (start, end): (Option<&google::Date>, Option<&google::Date>),
    currency: &str,
) -> Option<Scope> {
    check.required("user_id", user_id, USER_ID);
    let start = check.take("start", from_date(start));
    let end = check.take("end", from_date(end));
    let period = match (start, end) {
        (Some(start), Some(end)) => {
            check.take("end", Period::new(start, end).map_err(|_| "must be after the first day"))
        }
        _ => None,
    };
    let currency = self::currency(check, currency);
    Some(Scope { user_id: user_id.to_owned(), period: period?, currency })
}

/// Which number to explain, one line more than the page has, and what makes the token of the next page.
pub(super) fn question(request: api::ExplainRequest) -> Result<(Question, PageToken), AnalyticsError> {
    let mut check = Check::default();
    let (start, end) = (request.start.as_ref(), request.end.as_ref());
    let scope = checked_scope(&mut check, &request.user_id, (start, end), &request.currency_code);
    let limit = check.page_size("page_size", request.page_size, 100, 1000) + 1;
    if let Some(category) = &request.category {
        check.text("category", category, CATEGORY);
    }
    check.done()?;
    let scope = scope.ok_or_else(|| AnalyticsError::invalid("end", "must be after the first day"))?;
    let category = request.category.map(|category| bucket(&category));
    let mut question = Question { scope, category, after: None, limit };
    let token = PageToken::of(&question);
    question.after = token.read(&request.page_token)?;
    Ok((question, token))
}

/// The limits to set, and for each that was asked for why it is refused, if it is.
pub(super) fn new_budgets(
    request: api::SetBudgetsRequest,
) -> Result<(NewBudgets, Vec<Option<Fault>>), AnalyticsError> {
    let mut check = Check::default();
    check.required("user_id", &request.user_id, USER_ID);
    let kind = match api::PeriodKind::try_from(request.period_kind) {
        Ok(api::PeriodKind::Unspecified | api::PeriodKind::Month) => Ok(PeriodKind::MONTH),
        Ok(api::PeriodKind::Week) => Ok(PeriodKind::Week { start_weekday: 1 }),
        Ok(api::PeriodKind::Quarter) => Ok(PeriodKind::Quarter),
        Ok(api::PeriodKind::Year) => Ok(PeriodKind::Year),
        Err(_) => Err("is no kind of period"),
    };
    let kind = check.take("period_kind", kind);
    let zone = match &*request.time_zone {
        "" => None,
        name => check.take("time_zone", TimeZone::parse(name)),
    };
    check.done()?;
    let (mut limits, mut refused) = (Vec::new(), Vec::with_capacity(request.limits.len()));
    let mut named: BTreeSet<String> = BTreeSet::new();
    for item in request.limits {
        match limit(&item) {
            Ok((category, _)) if !named.insert(category.clone()) => {
                let twice = Violation::new("category", format!("names `{category}` a second time"));
                refused.push(Some(Fault::invalid(vec![twice])));
            }
            Ok(limit) => {
                limits.push(limit);
                refused.push(None);
            }
            Err(violations) => refused.push(Some(Fault::invalid(violations))),
        }
    }
    let kind = kind.unwrap_or(PeriodKind::MONTH);
    Ok((NewBudgets { user_id: request.user_id, limits, kind, zone }, refused))
}

fn limit(item: &api::BudgetLimit) -> Result<(String, Money), Vec<Violation>> {
    let mut check = Check::default();
    check.required("category", &item.category, CATEGORY);
    let category = category_key(&item.category);
    if !item.category.is_empty() {
        check.note("category", category.is_empty().then_some("has neither a letter nor a digit"));
    }
    // Lines without a category are in the total only (G11).
    let is_bucket = category == UNCATEGORIZED;
    check.note(
        "category",
        is_bucket.then_some("is the bucket of lines without a category, which has no budget"),
    );
    let limit = check.take("limit", from_money(item.limit.as_ref()));
    let is_negative = limit.is_some_and(|limit| limit.minor() < 0);
    check.note("limit", is_negative.then_some("must not be negative"));
    check.done()?;
    // Without a violation there is a limit.
    limit.map(|limit| (category, limit)).ok_or_else(Vec::new)
}

/// What a user should be told.
pub(super) fn outcome(insights: Vec<Insight>) -> api::ApplyOutcome {
    api::ApplyOutcome { insights: insights.into_iter().map(notice).collect() }
}

/// What a user should be told, as notifications takes it.
pub(crate) fn notice(insight: Insight) -> types::Notice {
    types::Notice {
        user_id: insight.user_id,
        dedup_key: insight.dedup_key,
        r#type: insight.kind,
        title: insight.title,
        message: insight.message,
        metadata: insight.metadata.into_iter().collect(),
        ..types::Notice::default()
    }
}

/// A user's spending.
pub(super) fn spending(spending: Spending) -> api::GetSpendingResponse {
    let currency = spending.currency;
    let categories = spending
        .categories
        .into_iter()
        .map(|(category, sums)| api::CategorySpending { category, totals: Some(totals(sums, currency)) });
    api::GetSpendingResponse {
        currency_code: currency.code().to_owned(),
        total: Some(totals(spending.total, currency)),
        categories: categories.collect(),
        other_currency_codes: spending.others,
    }
}

pub(super) fn totals(totals: Totals, currency: Currency) -> api::Totals {
    let money = |minor| Some(to_money(Money::new(minor, currency)));
    api::Totals {
        gross: money(totals.gross()),
        refunds: money(totals.refunds()),
        net: money(totals.net()),
        count: totals.count(),
    }
}

/// A budget and where it stands.
pub(super) fn budget(budget: Budget) -> api::Budget {
    let standing = budget.standing;
    let spent = standing.net();
    api::Budget {
        category: budget.category,
        limit: Some(to_money(standing.limit)),
        spent: Some(to_money(spent)),
        percent: percent(spent.minor(), standing.limit.minor()),
        revision: budget.revision,
        period_start: Some(to_date(standing.period.start())),
        period_end: Some(to_date(standing.period.end())),
        changes_on: budget.changes_on.map(to_date),
    }
}

/// The lines behind a number, and the rule by which they count.
pub(super) fn explanation(
    explanation: Explanation,
    period: Period,
    next_page_token: String,
) -> api::ExplainResponse {
    let code = explanation.currency.code();
    let rule = format!(
        "Lines in {code} of kind expense that are not deleted and are dated {} or later and before {}. Net is gross less refunds; a refund is an \
         expense with a negative amount and counts on its own date. Income, transfers and adjustments are left out.",
        period.start(),
        period.end()
    );
    api::ExplainResponse {
        lines: explanation.lines.into_iter().map(line_of).collect(),
        totals: Some(totals(explanation.totals, explanation.currency)),
        rule,
        next_page_token,
        insight: None,
    }
}

/// A line behind a number.
pub(super) fn line_of(explained: ExplainedLine) -> api::ExplainedLine {
    api::ExplainedLine {
        record_id: explained.record_id.to_string(),
        version: explained.version,
        date: Some(to_date(explained.line.day)),
        category: explained.line.category,
        amount: Some(to_money(explained.line.amount)),
        merchant: explained.line.merchant,
    }
}
