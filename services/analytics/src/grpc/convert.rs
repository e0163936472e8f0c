//! Generated types into the domain's and back. What comes in is checked here, every violation at once; what is inside is valid.

use pathway_finance::{Currency, LineKind, Money, Period, Totals, UNCATEGORIZED, category_key};
use pathway_kernel::{Check, Violation};
use pathway_proto::google::r#type as google;
use pathway_proto::pathway::analytics::v1 as api;
use pathway_proto::pathway::types::v1 as types;
use pathway_rpc::{Pages, from_date, from_money, to_date, to_money};
use uuid::Uuid;

use super::reporting;
use crate::error::AnalyticsError;
use crate::fact::{Change, Fact, Line};
use crate::insight::Insight;
use crate::store::{ExplainedLine, Explanation, Place, Question, Scope, Spending};

/// How long texts may be, in bytes: those that name something are part of an index.
pub(super) const USER_ID: usize = 256;
pub(super) const CATEGORY: usize = 256;
pub(super) const ACCOUNT: usize = 256;
const MERCHANT: usize = 64 * 1024;

/// The places in one question's lines as tokens.
#[derive(Debug)]
pub(super) struct PageToken(Pages);

// === impl PageToken ===

impl PageToken {
    pub(super) fn of(question: &Question, reporting: Option<Currency>) -> Self {
        let Scope { user_id, period, currency } = &question.scope;
        let (start, end) = (period.start().to_string(), period.end().to_string());
        let currency = currency.map(Currency::code).unwrap_or_default();
        // A category's key is never `*`.
        let category = question.category.as_deref().unwrap_or("*");
        let reporting = reporting.map(Currency::code).unwrap_or_default();
        Self(Pages::of("Explain", &[user_id, &start, &end, currency, category, reporting]))
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
    check.text("after.account", &record.account, ACCOUNT);
    let kind = match types::LineKind::try_from(record.kind) {
        Ok(types::LineKind::Unspecified | types::LineKind::Expense) => Ok(LineKind::Expense),
        Ok(types::LineKind::Income) => Ok(LineKind::Income),
        Ok(types::LineKind::Transfer) => Ok(LineKind::Transfer),
        Ok(types::LineKind::Adjustment) => Ok(LineKind::Adjustment),
        Err(_) => Err("is no kind of line"),
    };
    // The legs of a transfer are one, whatever their kinds (G9).
    let is_leg = !record.paired_with.is_empty();
    // What comes in is positive for an income, and negative for a transfer.
    let comes_in = is_leg && kind == Ok(LineKind::Income);
    let kind = check.take("after.kind", if is_leg { kind.map(|_| LineKind::Transfer) } else { kind });
    let amount = from_money(record.amount.as_ref());
    let amount = if comes_in {
        amount.and_then(|amount| amount.checked_neg().map_err(|error| error.to_string()))
    } else {
        amount
    };
    let amount = check.take("after.amount", amount);
    let day = check.take("after.date", from_date(record.date.as_ref()));
    let category = bucket(&record.category);
    Some(Line {
        kind: kind?,
        amount: amount?,
        category,
        day: day?,
        merchant: record.merchant,
        account: record.account,
    })
}

/// The bucket of a category: lines without one have their own (G11).
pub(super) fn bucket(category: &str) -> String {
    let key = category_key(category);
    if key.is_empty() { UNCATEGORIZED.to_owned() } else { key }
}

/// Which spending, and in which currency it is reported.
pub(super) fn scope(request: &api::GetSpendingRequest) -> Result<(Scope, Option<Currency>), AnalyticsError> {
    let mut check = Check::default();
    let (start, end) = (request.start.as_ref(), request.end.as_ref());
    let scope = checked_scope(&mut check, &request.user_id, (start, end), &request.currency_code);
    let codes = (&*request.reporting_currency_code, &*request.currency_code);
    let reporting = reporting::currency(&mut check, codes);
    check.done()?;
    let scope = scope.ok_or_else(|| AnalyticsError::invalid("end", "must be after the first day"))?;
    Ok((scope, reporting))
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

/// Which number to explain, one line more than the page has; in which currency it is reported; what makes the token of the next page.
pub(super) fn question(
    request: api::ExplainRequest,
) -> Result<(Question, Option<Currency>, PageToken), AnalyticsError> {
    let mut check = Check::default();
    let (start, end) = (request.start.as_ref(), request.end.as_ref());
    let scope = checked_scope(&mut check, &request.user_id, (start, end), &request.currency_code);
    let codes = (&*request.reporting_currency_code, &*request.currency_code);
    let reporting = reporting::currency(&mut check, codes);
    let limit = check.page_size("page_size", request.page_size, 100, 1000) + 1;
    if let Some(category) = &request.category {
        check.text("category", category, CATEGORY);
    }
    check.done()?;
    let scope = scope.ok_or_else(|| AnalyticsError::invalid("end", "must be after the first day"))?;
    let category = request.category.map(|category| bucket(&category));
    let mut question = Question { scope, category, after: None, limit };
    let token = PageToken::of(&question, reporting);
    question.after = token.read(&request.page_token)?;
    Ok((question, reporting, token))
}

/// What a user should be told.
pub(super) fn outcome(insights: Vec<Insight>) -> api::ApplyOutcome {
    api::ApplyOutcome { insights: insights.into_iter().map(notice).collect() }
}

/// What a user should be told, as notifications takes it.
pub(crate) fn notice(insight: Insight) -> types::Notice {
    types::Notice {
        user_id: insight.user_id,
        // What is over is named as it was when it was told.
        about: insight.dedup_key.clone(),
        dedup_key: if insight.resolves {
            format!("{}:resolved", insight.dedup_key)
        } else {
            insight.dedup_key
        },
        action: if insight.resolves { types::NoticeAction::Resolve } else { types::NoticeAction::Tell }
            .into(),
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
        reporting: None,
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
        reporting: None,
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
        conversion: None,
    }
}
