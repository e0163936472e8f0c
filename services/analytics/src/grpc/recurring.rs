//! What comes again and again.

use pathway_finance::{Cadence, LineKind};
use pathway_kernel::Check;
use pathway_proto::pathway::analytics::v1 as api;
use pathway_proto::pathway::types::v1 as types;
use pathway_rpc::{Pages, status, to_date, to_money};
use tonic::{Response, Status};
use uuid::Uuid;

use super::convert::USER_ID;
use crate::error::AnalyticsError;
use crate::recurring::{RecurringSeries, SeriesKey};
use crate::service::Figures;
use crate::store::{SeriesPlace, SeriesQuestion};

/// A page of a user's series.
pub(super) async fn list(
    figures: &Figures,
    request: api::ListRecurringRequest,
) -> Result<Response<api::ListRecurringResponse>, Status> {
    let mut check = Check::default();
    check.required("user_id", &request.user_id, USER_ID);
    let limit = check.page_size("page_size", request.page_size, 100, 1000);
    check.done().map_err(|violations| status(AnalyticsError::from(violations)))?;
    let pages = Pages::of("ListRecurring", &[&request.user_id]);
    let after = place(&pages, &request.page_token)
        .map_err(|problem| status(AnalyticsError::invalid("page_token", problem)))?;
    let question = SeriesQuestion { user_id: request.user_id, after, limit: limit + 1 };
    let mut series = figures.recurring(question).await.map_err(status)?;
    let size = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = series.len() > size;
    series.truncate(size);
    let token = |series: &RecurringSeries| {
        let SeriesKey { currency, kind, payee } = &series.key;
        pages.token(&format!("{}.{currency}.{kind}.{payee}", series.next.epoch_days()))
    };
    let next_page_token = series.last().filter(|_| has_more).map_or_else(String::new, token);
    let series = series.into_iter().map(to_series).collect();
    Ok(Response::new(api::ListRecurringResponse { series, next_page_token }))
}

fn place(pages: &Pages, token: &str) -> Result<Option<SeriesPlace>, &'static str> {
    let Some(text) = pages.place(token)? else { return Ok(None) };
    let read = || {
        let mut parts = text.splitn(4, '.');
        let mut next = || parts.next();
        let (day, currency, kind, payee) = (next()?, next()?, next()?, next()?);
        let key =
            SeriesKey { currency: currency.to_owned(), kind: kind.parse().ok()?, payee: payee.to_owned() };
        Some(SeriesPlace { next_day: day.parse().ok()?, key })
    };
    read().map(Some).ok_or("is of another question: begin again with an empty one")
}

fn to_series(series: RecurringSeries) -> api::RecurringSeries {
    let cadence = match series.cadence {
        Cadence::Week => api::Cadence::Week,
        Cadence::TwoWeeks => api::Cadence::TwoWeeks,
        Cadence::Month => api::Cadence::Month,
        Cadence::Quarter => api::Cadence::Quarter,
        Cadence::Year => api::Cadence::Year,
    };
    let is_income = series.key.kind == LineKind::Income.code();
    let kind = if is_income { types::LineKind::Income } else { types::LineKind::Expense };
    api::RecurringSeries {
        payee: series.key.payee,
        merchant: series.merchant,
        kind: kind.into(),
        category: series.category,
        cadence: cadence.into(),
        amount: Some(to_money(series.amount)),
        is_fixed: series.is_fixed,
        count: i64::try_from(series.lines.len()).unwrap_or(i64::MAX),
        last_date: Some(to_date(series.last)),
        next_date: Some(to_date(series.next)),
        late_until: Some(to_date(series.late_until)),
        line_ids: series.lines.iter().map(Uuid::to_string).collect(),
    }
}
