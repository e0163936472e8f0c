//! Rates in CSV files.

use std::collections::BTreeMap;

use pathway_finance::CivilDate;
use pathway_kernel::{Code, Fault};
use pathway_proto::pathway::analytics::v1 as api;
use pathway_rpc::to_date;

/// A rate of a file. What it says is checked by the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileRate {
    day: CivilDate,
    base: String,
    quote: String,
    rate: String,
    /// The day that it was carried on from.
    carried_from: Option<CivilDate>,
}

// === impl FileRate ===

impl FileRate {
    pub(super) fn into_api(self, source: &str) -> api::ExchangeRate {
        api::ExchangeRate {
            base_currency_code: self.base,
            quote_currency_code: self.quote,
            date: Some(to_date(self.day)),
            rate: self.rate,
            source: self.carried_from.map_or_else(|| source.to_owned(), |day| format!("{source} of {day}")),
        }
    }
}

/// Reads a file: with the columns `date`, `base`, `quote` and `rate`, or with a day's rates of `base` in a line. What is empty or `N/A` is no rate.
pub(super) fn read(content: &str, base: &str) -> Result<Vec<FileRate>, Fault> {
    let mut lines = content.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let header: Vec<String> = lines.next().map(|(_, line)| cells(line)).unwrap_or_default();
    let named = |name: &str| header.iter().position(|cell| cell.eq_ignore_ascii_case(name));
    let Some(date) = named("date") else {
        return Err(refused(1, "has no column `date`: the first line is to name the columns"));
    };
    let columns = named("base").zip(named("quote")).zip(named("rate"));
    let mut rates = Vec::new();
    for (number, line) in lines {
        let cells = cells(line);
        let cell = |at: usize| cells.get(at).map_or("", String::as_str);
        let day = CivilDate::parse(cell(date))
            .map_err(|_| refused(number + 1, "has no day such as 2026-11-20 in the column `date`"))?;
        let mut push = |base: &str, quote: &str, rate: &str| {
            if !matches!(rate, "" | "N/A") {
                let [base, quote, rate] = [base, quote, rate].map(str::to_owned);
                rates.push(FileRate { day, base, quote, rate, carried_from: None });
            }
        };
        match columns {
            Some(((base, quote), rate)) => push(cell(base), cell(quote), cell(rate)),
            None => {
                let quotes = header.iter().enumerate().filter(|(at, name)| *at != date && !name.is_empty());
                quotes.for_each(|(at, quote)| push(base, quote, cell(at)));
            }
        }
    }
    Ok(rates)
}

/// The same, and for each pair's days without a rate, up to `days` after one with, the rate of that. Nothing is carried past the last.
pub(super) fn carried(rates: Vec<FileRate>, days: u8) -> Vec<FileRate> {
    let mut pairs: BTreeMap<(String, String), BTreeMap<CivilDate, String>> = BTreeMap::new();
    for FileRate { day, base, quote, rate, .. } in rates {
        pairs.entry((base, quote)).or_default().insert(day, rate);
    }
    let mut carried = Vec::new();
    for ((base, quote), rates) in pairs {
        let next = rates.keys().skip(1).copied().map(Some).chain([None]);
        for ((day, rate), next) in rates.iter().zip(next) {
            let gap = next.map_or(1, |next| next.epoch_days() - day.epoch_days());
            for after in 0..gap.min(i64::from(days) + 1) {
                let Ok(on) = day.add_days(after) else { break };
                let carried_from = (after > 0).then_some(*day);
                let [base, quote, rate] = [&base, &quote, rate].map(Clone::clone);
                carried.push(FileRate { day: on, base, quote, rate, carried_from });
            }
        }
    }
    carried
}

fn cells(line: &str) -> Vec<String> {
    line.split(',').map(|cell| cell.trim().trim_matches('"').to_owned()).collect()
}

fn refused(line: usize, problem: &str) -> Fault {
    let message = format!("line {line} {problem}; nothing was stored");
    Fault::new(Code::InvalidArgument, "INVALID_FILE", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(rates: &[FileRate]) -> Vec<String> {
        rates.iter().map(|rate| format!("{} {}{} {}", rate.day, rate.base, rate.quote, rate.rate)).collect()
    }

    #[test]
    fn both_forms_are_read() {
        let long = "date,base,quote,rate\n2026-11-20,EUR,USD,1.0845\n";
        assert_eq!(texts(&read(long, "EUR").unwrap()), ["2026-11-20 EURUSD 1.0845"]);
        let wide = "Date,USD,JPY,\n2026-11-20,1.0845,N/A,\n2026-11-19,1.08,160.5,\n";
        let read = read(wide, "EUR").unwrap();
        assert_eq!(
            texts(&read),
            ["2026-11-20 EURUSD 1.0845", "2026-11-19 EURUSD 1.08", "2026-11-19 EURJPY 160.5"]
        );
    }

    #[test]
    fn what_is_no_such_file_is_refused_with_its_line() {
        assert!(read("", "EUR").unwrap_err().message().contains("line 1"));
        assert!(read("date,USD\n20/11/2026,1\n", "EUR").unwrap_err().message().contains("line 2"));
    }

    #[test]
    fn g12_a_weekend_has_rates_only_where_that_is_asked_for() {
        let file = "date,USD\n2026-11-20,1.1\n2026-11-23,1.2\n";
        let read = || read(file, "EUR").unwrap();
        assert_eq!(carried(read(), 0).len(), 2);
        assert_eq!(
            texts(&carried(read(), 1)),
            ["2026-11-20 EURUSD 1.1", "2026-11-21 EURUSD 1.1", "2026-11-23 EURUSD 1.2"]
        );
        assert_eq!(carried(read(), 7).len(), 4, "nothing is carried past the last");
        let sources = carried(read(), 1).into_iter().map(|rate| rate.into_api("ECB").source);
        assert_eq!(
            sources.collect::<Vec<_>>(),
            ["ECB", "ECB of 2026-11-20", "ECB"],
            "and says from when it is"
        );
    }
}
