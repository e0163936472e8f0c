//! Whether what the services answer is what was published.

use std::collections::BTreeMap;
use std::sync::Arc;

use pathway_finance::CivilDate;
use pathway_kernel::Fault;
use pathway_proto::google::r#type::Money;
use pathway_proto::pathway::analytics::v1::{GetSpendingRequest, Totals};
use pathway_proto::pathway::processor::v1::ListDeadLettersRequest;
use pathway_rpc::{from_money, to_date};
use tokio::sync::mpsc;

use super::events::{CURRENCY, Expected, Sums, user};
use super::load::for_each;
use crate::client::{Mesh, answer, request};

/// The first difference between what the services answer and what was published; none where there is none.
pub(super) async fn first_difference(
    mesh: &Mesh,
    expected: Expected,
    users: u32,
    span: (CivilDate, CivilDate),
) -> Result<Option<String>, Fault> {
    let message = ListDeadLettersRequest { page_size: 1, ..ListDeadLettersRequest::default() };
    let dead = answer(mesh.processor.clone().list_dead_letters(request(message)).await)?.total;
    if dead > 0 {
        return Ok(Some(format!("{dead} events are dead letters; none should be")));
    }
    let expected = Arc::new(expected);
    let (found, mut differences) = mpsc::unbounded_channel();
    for_each(0..users, |number| {
        let (mesh, expected, found) = (mesh.clone(), Arc::clone(&expected), found.clone());
        async move {
            let message = GetSpendingRequest {
                user_id: user(number),
                start: Some(to_date(span.0)),
                end: Some(to_date(span.1)),
                currency_code: CURRENCY.to_owned(),
                ..GetSpendingRequest::default()
            };
            let spending = answer(mesh.analytics.clone().get_spending(request(message)).await)?;
            let mut answered: BTreeMap<String, Sums> = BTreeMap::new();
            for category in spending.categories {
                answered.insert(category.category, sums(&category.totals.unwrap_or_default())?);
            }
            if let Some(difference) = difference(number, &expected, &answered) {
                // The receiver is held until all have ended.
                let _ = found.send((number, difference));
            }
            Ok(())
        }
    })
    .await?;
    drop(found);
    let mut first: Option<(u32, String)> = None;
    while let Some(next) = differences.recv().await {
        first = Some(first.map_or_else(|| next.clone(), |first| first.min(next.clone())));
    }
    Ok(first.map(|(_, difference)| difference))
}

/// What differs first for a user, by category.
pub(super) fn difference(
    number: u32,
    expected: &Expected,
    answered: &BTreeMap<String, Sums>,
) -> Option<String> {
    let of_user = expected.range((number, "")..(number + 1, ""));
    let published: BTreeMap<&str, Sums> = of_user.map(|((_, category), sums)| (*category, *sums)).collect();
    let categories = published.keys().copied().chain(answered.keys().map(String::as_str));
    let differs = |category: &&str| published.get(category) != answered.get(*category);
    let category = categories.filter(differs).min()?;
    let text = |sums: Option<&Sums>| {
        sums.map_or_else(
            || "nothing".to_owned(),
            |sums| format!("gross {}, refunds {}, {} lines", sums.gross, sums.refunds, sums.count),
        )
    };
    Some(format!(
        "{} in {category}: {} published, {} answered (minor units)",
        user(number),
        text(published.get(category)),
        text(answered.get(category))
    ))
}

fn sums(totals: &Totals) -> Result<Sums, Fault> {
    let minor =
        |money: Option<&Money>| from_money(money).map(pathway_finance::Money::minor).map_err(Fault::internal);
    let sums = Sums {
        gross: minor(totals.gross.as_ref())?,
        refunds: minor(totals.refunds.as_ref())?,
        count: totals.count,
    };
    if minor(totals.net.as_ref())? != sums.gross - sums.refunds {
        return Err(Fault::internal("a net that is not gross less refunds"));
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cent_and_one_line_are_a_difference() {
        let of = |gross, count| Sums { gross, refunds: 0, count };
        let expected =
            Expected::from([((0, "dining"), of(100, 1)), ((1, "dining"), of(7, 1)), ((1, "rent"), of(5, 2))]);
        let answered = |rent| BTreeMap::from([("dining".to_owned(), of(7, 1)), ("rent".to_owned(), rent)]);
        assert_eq!(difference(1, &expected, &answered(of(5, 2))), None);
        for wrong in [of(6, 2), of(5, 1)] {
            let told = difference(1, &expected, &answered(wrong)).unwrap();
            assert!(told.starts_with("bench-1 in rent: gross 5, refunds 0, 2 lines published"), "{told}");
        }
        assert!(difference(2, &expected, &answered(of(5, 2))).unwrap().contains("nothing published"));
    }
}
