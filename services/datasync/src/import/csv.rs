//! Comma-separated values with a header line.
//!
//! Columns Date, Description, Amount, Transaction Type, Category and Account Name, in any order and case, and no others: a column that we do
//! not know may carry what changes the meaning of the rest, so it is refused rather than ignored.
//!
//! An amount has no sign, because the transaction type says the direction, and no thousands separators: `1,234` is one thing in New York
//! and another in Berlin, and a guess would be off by a factor of a thousand.

use csv::{ReaderBuilder, StringRecord};
use pathway_finance::{CivilDate, Currency, LineKind, Money, MoneyError, category_key};
use pathway_kernel::text_problem;

use super::text::{LineCounter, check_lines, check_quotes, utf8};
use super::{Defaults, Draft, Drafts, Mapping, StatementError};
use crate::limits;
use crate::records::{Content, is_positive_in};

const COLUMNS: [&str; 6] = ["Date", "Description", "Amount", "Transaction Type", "Category", "Account Name"];

/// A row, whose fields are in the order of [`COLUMNS`].
#[derive(Debug)]
struct Row<'a> {
    fields: [&'a str; 6],
}

/// Where each of [`COLUMNS`] is, and how many there are.
#[derive(Debug)]
struct Header {
    places: [usize; 6],
    count: usize,
}

/// Rows with the lines at which they begin.
struct Rows<'a> {
    reader: csv::Reader<&'a [u8]>,
    lines: LineCounter<'a>,
    record: StringRecord,
}

/// Reads a statement.
pub(super) fn read(content: &[u8], defaults: &Defaults, mapping: &Mapping) -> Result<Drafts, StatementError> {
    let text = utf8(content)?;
    check_lines(text)?;
    check_quotes(text)?;
    let mut rows = Rows::new(text);
    let Some(header_line) = rows.next()? else { return Err(StatementError::Empty) };
    let header = Header::read(&rows.record, header_line)?;
    let mut drafts = Drafts::default();
    while let Some(line) = rows.next()? {
        let read = header.row(&rows.record).and_then(|row| row.read(defaults, mapping));
        match read {
            Ok(draft) => drafts.lines.push(draft),
            Err(problems) => drafts.reject(line, &problems)?,
        }
    }
    if drafts.lines.is_empty() && drafts.rejected.is_empty() {
        return Err(StatementError::NoLines { line: header_line });
    }
    Ok(drafts)
}

// === impl Rows ===

impl<'a> Rows<'a> {
    fn new(text: &'a str) -> Self {
        let reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
        Self { reader, lines: LineCounter::new(text), record: StringRecord::new() }
    }

    /// Moves to the next row that has anything in it and answers the line at which it begins.
    fn next(&mut self) -> Result<Option<u64>, StatementError> {
        loop {
            let start = usize::try_from(self.reader.position().byte()).unwrap_or(usize::MAX);
            let line = self.lines.line_after_breaks(start);
            let found =
                self.reader.read_record(&mut self.record).map_err(|_| StatementError::Fields { line })?;
            if !found {
                return Ok(None);
            }
            if self.record.iter().any(|field| !field.trim().is_empty()) {
                return Ok(Some(line));
            }
        }
    }
}

// === impl Header ===

impl Header {
    fn read(record: &StringRecord, line: u64) -> Result<Self, StatementError> {
        let mut places = [None; 6];
        let mut problems = Vec::new();
        for (place, name) in record.iter().map(str::trim).enumerate() {
            let column = COLUMNS.iter().position(|column| column.eq_ignore_ascii_case(name));
            match column {
                None if name.is_empty() => problems.push(format!("column {} has no name", place + 1)),
                None => problems.push(format!("unknown column {:?}", shortened(name))),
                Some(column) if places[column].is_some() => {
                    problems.push(format!("column {name:?} is there twice"));
                }
                Some(column) => places[column] = Some(place),
            }
        }
        for (name, place) in COLUMNS.iter().zip(places) {
            if place.is_none() {
                problems.push(format!("column {name:?} is missing"));
            }
        }
        if problems.is_empty() {
            return Ok(Self { places: places.map(Option::unwrap_or_default), count: record.len() });
        }
        problems.push(format!("the columns are {}", COLUMNS.join(", ")));
        Err(StatementError::Header { line, problems })
    }

    fn row<'a>(&self, record: &'a StringRecord) -> Result<Row<'a>, Vec<String>> {
        if record.len() != self.count {
            let spans = record.iter().map(|field| field.matches('\n').count()).sum::<usize>();
            let mut problem = format!("has {} fields and the header has {}", record.len(), self.count);
            if spans > 0 {
                problem.push_str(&format!("; a quoted field in it goes on over {spans} more lines"));
            }
            return Err(vec![problem]);
        }
        Ok(Row { fields: self.places.map(|place| record.get(place).unwrap_or_default().trim()) })
    }
}

// === impl Row ===

impl Row<'_> {
    fn read(&self, defaults: &Defaults, mapping: &Mapping) -> Result<Draft, Vec<String>> {
        let [date, description, amount, direction, category, account] = self.fields;
        let mut problems = Vec::new();
        let mut note = |column: &str, problem: String| problems.push(format!("{column} {problem}"));

        let date = parse_date(date).map_err(|problem| note("Date", problem)).ok();
        let amount = parse_amount(amount, defaults.currency).map_err(|problem| note("Amount", problem)).ok();
        let is_credit = parse_direction(direction).map_err(|problem| note("Transaction Type", problem)).ok();
        let account = if account.is_empty() { &*defaults.account } else { account };
        let texts = [
            ("Description", text_problem(description, limits::FREE_TEXT)),
            ("Category", text_problem(category, limits::CATEGORY)),
            ("Account Name", text_problem(account, limits::ACCOUNT)),
        ];
        for (column, problem) in texts {
            if let Some(problem) = problem {
                note(column, problem);
            }
        }
        let (Some(date), Some(amount), Some(is_credit), true) =
            (date, amount, is_credit, problems.is_empty())
        else {
            return Err(problems);
        };

        let category = if category.is_empty() { String::new() } else { category_key(category) };
        let kind = mapping.of_category(&category);
        let signed =
            in_direction(kind, amount, is_credit).map_err(|error| vec![format!("Amount {error}")])?;
        let direction = if is_credit { "credit" } else { "debit" };
        Ok(Draft {
            account: account.to_owned(),
            provider_id: None,
            raw: [description.to_owned(), amount.to_decimal_string(), direction.to_owned()],
            content: Content {
                kind,
                amount: signed,
                category,
                date,
                merchant: String::new(),
                description: description.to_owned(),
                occurred_at_us: 0,
                account: account.to_owned(),
                pending: false,
            },
        })
    }
}

/// `amount` with the sign that it has in the direction of its kind.
pub(super) fn in_direction(kind: LineKind, amount: Money, is_credit: bool) -> Result<Money, MoneyError> {
    if is_positive_in(kind) == is_credit { Ok(amount) } else { amount.checked_neg() }
}

/// A date of numbers, month first.
fn parse_date(text: &str) -> Result<CivilDate, String> {
    let expected = || format!("{:?} is not a date; write MM-DD-YYYY or MM/DD/YYYY", shortened(text));
    if text.is_empty() {
        return Err("is missing".to_owned());
    }
    let separator = if text.contains('/') { '/' } else { '-' };
    let parts: Vec<&str> = text.split(separator).collect();
    let [month, day, year] = parts[..] else { return Err(expected()) };
    let well_formed = |part: &str, least: usize, most: usize| {
        (least..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !(well_formed(month, 1, 2) && well_formed(day, 1, 2) && well_formed(year, 4, 4)) {
        return Err(expected());
    }
    CivilDate::parse(&format!("{year}-{month:0>2}-{day:0>2}"))
        .map_err(|_| format!("{text:?} does not exist; the month comes first: MM-DD-YYYY or MM/DD/YYYY"))
}

fn parse_amount(text: &str, currency: Currency) -> Result<Money, String> {
    if text.is_empty() {
        return Err("is missing".to_owned());
    }
    let shown = shortened(text);
    if text.contains(',') {
        return Err(format!(
            "{shown:?} has a comma; write it without thousands separators and with a decimal point"
        ));
    }
    if text.starts_with(['-', '+']) {
        return Err(format!("{shown:?} has a sign; the transaction type says the direction"));
    }
    Money::parse_line(text, currency).map_err(|error| format!("{shown:?} {error}"))
}

fn parse_direction(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "debit" => Ok(false),
        "credit" => Ok(true),
        "" => Err("is missing".to_owned()),
        _ => Err(format!("{:?} is neither debit nor credit", shortened(text))),
    }
}

/// As much of a text as a message should repeat.
pub(super) fn shortened(text: &str) -> String {
    if text.chars().count() <= 40 { text.to_owned() } else { text.chars().take(40).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "Date,Description,Amount,Transaction Type,Category,Account Name";

    fn defaults() -> Defaults {
        let currency = Currency::parse("USD").unwrap();
        Defaults { user_id: "u".to_owned(), account: "fallback".to_owned(), currency }
    }

    fn read_text(text: &str) -> Result<Drafts, StatementError> {
        read(text.as_bytes(), &defaults(), &Mapping::load(None).unwrap())
    }

    fn only(row: &str) -> Draft {
        let drafts = read_text(&format!("{HEADER}\n{row}\n")).unwrap();
        assert_eq!(drafts.rejected, []);
        drafts.lines.into_iter().next().unwrap()
    }

    fn reason(row: &str) -> String {
        let drafts = read_text(&format!("{HEADER}\n{row}\n")).unwrap();
        assert!(drafts.lines.is_empty(), "{row}");
        assert_eq!(drafts.rejected[0].line, 2);
        drafts.rejected[0].reason.clone()
    }

    #[test]
    fn both_date_forms_are_month_first() {
        assert_eq!(only("01-02-2018,A,1.00,debit,B,C").content.date.to_string(), "2018-01-02");
        assert_eq!(only("1/13/2018,A,1.00,debit,B,C").content.date.to_string(), "2018-01-13");
        for bad in ["13/01/2018", "02-30-2018", "01-02/2018", "01-02-18", "x", "", "2018-01-02"] {
            assert!(reason(&format!("{bad},A,1.00,debit,B,C")).starts_with("Date "), "{bad}");
        }
    }

    #[test]
    fn kinds_and_signs_follow_category_and_direction() {
        let line = |row: String| {
            let content = only(&row).content;
            (content.kind, content.amount.minor(), content.category)
        };
        let row = |direction: &str, category: &str| format!("01-02-2018,A,5.25,{direction},{category},C");
        assert_eq!(
            line(row("debit", "Mortgage & Rent")),
            (LineKind::Expense, 525, "mortgage_rent".to_owned())
        );
        assert_eq!(line(row("Credit", "Shopping")), (LineKind::Expense, -525, "shopping".to_owned()));
        assert_eq!(line(row("credit", "Paycheck")), (LineKind::Income, 525, "paycheck".to_owned()));
        let payment = "Credit Card Payment";
        assert_eq!(line(row("debit", payment)), (LineKind::Transfer, 525, "credit_card_payment".to_owned()));
        assert_eq!(line(row("credit", payment)).1, -525);
        assert_eq!(line(row("debit", "")).2, "");
    }

    #[test]
    fn amounts_are_exact_or_refused() {
        for bad in ["NaN", "1e999", "1.234", "\"1,247.44\"", "-5.00", "+5.00", "$5.00", "", "inf"] {
            assert!(reason(&format!("01-02-2018,A,{bad},debit,B,C")).starts_with("Amount "), "{bad}");
        }
    }

    #[test]
    fn every_problem_of_a_line_is_named() {
        let reason = reason("x,A,y,z,B,C");
        for column in ["Date", "Amount", "Transaction Type"] {
            assert!(reason.contains(column), "{reason}");
        }
        assert!(self::reason("01-02-2018,A").contains("2 fields"));
    }

    #[test]
    fn columns_come_in_any_order_and_case() {
        let text = "\u{feff}category,ACCOUNT NAME, Amount ,date,description,transaction type\r\nB,,1.00,01-02-2018,\"x, \"\"y\"\"\r\nz\",debit\r\n";
        let drafts = read_text(text).unwrap();
        assert_eq!(drafts.rejected, []);
        assert_eq!(drafts.lines[0].content.description, "x, \"y\"\r\nz");
        assert_eq!(drafts.lines[0].account, "fallback");
    }

    #[test]
    fn lines_are_numbered_as_an_editor_numbers_them() {
        let text = format!(
            "\r\n{HEADER}\r\n\r\n01-02-2018,\"A\r\nB\",1.00,debit,B,C\r\nbad\r\n,,,,,\r\n\r\nworse\r\n"
        );
        let drafts = read_text(&text).unwrap();
        assert_eq!(drafts.lines.len(), 1);
        assert_eq!(drafts.rejected.iter().map(|rejected| rejected.line).collect::<Vec<_>>(), [6, 9]);
    }

    #[test]
    fn a_file_that_cannot_be_trusted_is_refused_whole() {
        let message = |text: &str| read_text(text).unwrap_err().to_string();
        let foreign = message("Date,Description,Amount,Transaction Type,Category,Notes\n");
        assert!(
            foreign.contains("unknown column \"Notes\"") && foreign.contains("\"Account Name\" is missing")
        );
        assert!(message(&format!("{HEADER},date\n")).contains("twice"));
        assert!(message(&format!("{HEADER},\n")).contains("column 7 has no name"));
        assert_eq!(read_text(HEADER).unwrap_err(), StatementError::NoLines { line: 1 });
        assert_eq!(read_text("\u{feff}\n").unwrap_err(), StatementError::Empty);
        assert!(matches!(
            read(b"Date\xff", &defaults(), &Mapping::default()),
            Err(StatementError::NotText { .. })
        ));
        assert!(
            message(&format!("{HEADER}\n01-02-2018,\"A,1.00,debit,B,C\n")).starts_with("line 2: a quote")
        );
    }
}
