//! Totals per account and per merchant.

use pathway_finance::{Currency, Money, percent};
use pathway_kernel::Check;
use pathway_proto::pathway::analytics::v1 as api;
use pathway_rpc::{status, to_money};
use tonic::{Response, Status};

use super::convert;
use crate::error::AnalyticsError;
use crate::service::Figures;
use crate::store::{By, Part};

/// A period's totals, part by part.
pub(super) async fn get(
    figures: &Figures,
    request: api::GetBreakdownRequest,
) -> Result<Response<api::GetBreakdownResponse>, Status> {
    let mut check = Check::default();
    let span = (request.start.as_ref(), request.end.as_ref());
    let scope = convert::checked_scope(&mut check, &request.user_id, span, &request.currency_code);
    let by = match api::BreakdownBy::try_from(request.by) {
        Ok(api::BreakdownBy::Unspecified | api::BreakdownBy::Account) => Ok(By::Account),
        Ok(api::BreakdownBy::Merchant) => Ok(By::Merchant),
        Err(_) => Err("is nothing that a breakdown can be by"),
    };
    let by = check.take("by", by);
    check.done().map_err(|violations| status(AnalyticsError::from(violations)))?;
    let (Some(scope), Some(by)) = (scope, by) else {
        return Err(status(AnalyticsError::invalid("end", "must be after the first day")));
    };
    let breakdown = figures.breakdown(scope, by).await.map_err(status)?;
    let currency = breakdown.currency;
    let part = |(key, part): (String, Part)| to_part(key, part, currency);
    let parts = breakdown.parts.into_iter().map(part).collect::<Result<_, _>>().map_err(status)?;
    let total = to_part(String::new(), breakdown.total, currency).map_err(status)?;
    Ok(Response::new(api::GetBreakdownResponse {
        currency_code: currency.code().to_owned(),
        total: Some(api::BreakdownPart { name: String::new(), ..total }),
        parts,
    }))
}

fn to_part(key: String, part: Part, currency: Currency) -> Result<api::BreakdownPart, AnalyticsError> {
    let net = part.net()?;
    Ok(api::BreakdownPart {
        key,
        spending: Some(convert::totals(part.spending, currency)),
        income: Some(to_money(Money::new(part.income, currency))),
        net: Some(to_money(Money::new(net, currency))),
        savings_percent: if part.income > 0 { percent(net, part.income) } else { None },
        count: part.spending.count() + part.incomes,
        name: part.name,
    })
}
