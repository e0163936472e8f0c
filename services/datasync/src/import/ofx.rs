//! OFX 1.x and 2.x: statements of bank accounts and credit cards.
//!
//! `FITID` names a line, `DTPOSTED` dates it as it is written (a bank's posting date is a civil date; moving it through a zone would shift it
//! by a day), `TRNAMT` is negative where money goes out, `CURDEF` is its currency unless the line has one, `ACCTID` is its account. A
//! transaction that cannot be read is rejected with the line of its `<STMTTRN>`.

use std::collections::HashMap;

use pathway_finance::{CivilDate, Currency, Money};
use pathway_kernel::text_problem;

use super::csv::{in_direction, shortened};
use super::mapping::AccountSort;
use super::ofx_tokens::{Token, Tokens};
use super::text::{LineCounter, utf8_or_declared};
use super::{Defaults, Draft, Drafts, Mapping, StatementError};
use crate::limits;
use crate::records::Content;

/// The elements that hold others, as far as their texts could be mistaken for those of another one.
const AGGREGATES: [&str; 10] = [
    "STMTRS",
    "CCSTMTRS",
    "BANKACCTFROM",
    "CCACCTFROM",
    "STMTTRN",
    "PAYEE",
    "CURRENCY",
    "ORIGCURRENCY",
    "BANKACCTTO",
    "CCACCTTO",
];

const MICROS: i64 = 1_000_000;

/// What we have read so far.
#[derive(Debug)]
struct Reader<'a> {
    defaults: &'a Defaults,
    mapping: &'a Mapping,
    drafts: Drafts,
    statements: usize,
    account: Account,
    transaction: Option<Transaction>,
    /// The aggregates that are open, outermost first.
    open: Vec<&'static str>,
    /// The element whose text comes next.
    element: String,
}

/// Whose transactions follow.
#[derive(Debug)]
struct Account {
    sort: AccountSort,
    id: String,
    currency: Result<Currency, String>,
}

/// The texts of a transaction, by element; those of a nested aggregate as `CURRENCY.CURSYM`.
#[derive(Debug)]
struct Transaction {
    line: u64,
    texts: HashMap<String, String>,
}

/// Reads a statement.
pub(super) fn read(content: &[u8], defaults: &Defaults, mapping: &Mapping) -> Result<Drafts, StatementError> {
    let text = utf8_or_declared(content)?;
    let mut lines = LineCounter::new(&text);
    let mut reader = Reader::new(defaults, mapping);
    let mut is_ofx = false;
    for (offset, token) in Tokens::new(&text) {
        match token {
            Token::Open(name) => {
                is_ofx |= name == "OFX";
                reader.open(name, || lines.line_at(offset))?;
            }
            Token::Close(name) => reader.close(&name)?,
            Token::Text(text) => reader.text(text),
        }
    }
    reader.end_transaction(Some("is not closed; the file seems to be cut off"))?;
    match (is_ofx, reader.statements) {
        (false, _) => Err(StatementError::NotOfx("there is no <OFX> in it")),
        (true, 0) => Err(StatementError::NotOfx("there is no <STMTRS> or <CCSTMTRS> in it")),
        (true, _) => Ok(reader.drafts),
    }
}

// === impl Reader ===

impl<'a> Reader<'a> {
    fn new(defaults: &'a Defaults, mapping: &'a Mapping) -> Self {
        Self {
            defaults,
            mapping,
            drafts: Drafts::default(),
            statements: 0,
            account: Account::new(AccountSort::Bank, defaults),
            transaction: None,
            open: Vec::new(),
            element: String::new(),
        }
    }

    fn open(&mut self, name: String, line: impl FnOnce() -> u64) -> Result<(), StatementError> {
        if let Some(aggregate) = AGGREGATES.iter().find(|aggregate| **aggregate == name) {
            match *aggregate {
                "STMTRS" | "CCSTMTRS" => {
                    self.end_transaction(Some("is not closed before the next statement"))?;
                    let sort = if name == "STMTRS" { AccountSort::Bank } else { AccountSort::Card };
                    self.account = Account::new(sort, self.defaults);
                    self.statements += 1;
                    self.open.clear();
                }
                "STMTTRN" => {
                    self.end_transaction(Some("is not closed before the next one"))?;
                    self.open.retain(|open| matches!(*open, "STMTRS" | "CCSTMTRS"));
                    self.transaction = Some(Transaction { line: line(), texts: HashMap::new() });
                }
                _ => {}
            }
            self.open.push(aggregate);
        }
        self.element = name;
        Ok(())
    }

    fn close(&mut self, name: &str) -> Result<(), StatementError> {
        if name == "STMTTRN" {
            self.end_transaction(None)?;
        }
        if let Some(at) = self.open.iter().rposition(|open| *open == name) {
            self.open.truncate(at);
        }
        self.element.clear();
        Ok(())
    }

    fn text(&mut self, text: String) {
        let element = std::mem::take(&mut self.element);
        if element.is_empty() {
            return;
        }
        // Some banks write a text where the standard has an aggregate, such as `<CURRENCY>USD`: then nothing was opened.
        if self.open.last().is_some_and(|open| *open == element) {
            self.open.pop();
        }
        let inside = self.open.last().copied().unwrap_or_default();
        match (&mut self.transaction, inside, &*element) {
            (Some(transaction), "STMTTRN", _) => transaction.note(element, text),
            (Some(transaction), _, _) => transaction.note(format!("{inside}.{element}"), text),
            (None, "BANKACCTFROM" | "CCACCTFROM", "ACCTID") => self.account.id = text,
            (None, "STMTRS" | "CCSTMTRS", "CURDEF") => self.account.currency = parse_currency(&text),
            _ => {}
        }
    }

    /// Takes the transaction that is open, if there is one. `torn` says what is wrong with it where it has no end.
    fn end_transaction(&mut self, torn: Option<&str>) -> Result<(), StatementError> {
        let Some(transaction) = self.transaction.take() else { return Ok(()) };
        let read = match torn {
            Some(problem) => Err(vec![format!("STMTTRN {problem}")]),
            None => transaction.read(&self.account, self.mapping),
        };
        match read {
            Ok(draft) => self.drafts.lines.push(draft),
            Err(problems) => return self.drafts.reject(transaction.line, &problems),
        }
        Ok(())
    }
}

// === impl Account ===

impl Account {
    fn new(sort: AccountSort, defaults: &Defaults) -> Self {
        Self { sort, id: defaults.account.clone(), currency: Ok(defaults.currency) }
    }
}

// === impl Transaction ===

impl Transaction {
    /// Keeps a text; the first one of an element counts.
    fn note(&mut self, element: String, text: String) {
        self.texts.entry(element).or_insert(text);
    }

    fn get(&self, element: &str) -> &str {
        self.texts.get(element).map_or("", String::as_str)
    }

    fn read(&self, account: &Account, mapping: &Mapping) -> Result<Draft, Vec<String>> {
        let mut problems = Vec::new();
        let posted = parse_date(self.get("DTPOSTED"))
            .map_err(|problem| problems.push(format!("DTPOSTED {problem}")))
            .ok();
        let currency = match self.texts.get("CURRENCY.CURSYM") {
            Some(symbol) => parse_currency(symbol),
            None => account.currency.clone(),
        };
        let currency = currency.map_err(|problem| problems.push(problem)).ok();
        let amount = currency.and_then(|currency| {
            parse_amount(self.get("TRNAMT"), currency)
                .map_err(|problem| problems.push(format!("TRNAMT {problem}")))
                .ok()
        });
        let merchant = [self.get("NAME"), self.get("PAYEE.NAME")]
            .into_iter()
            .find(|name| !name.is_empty())
            .unwrap_or("");
        let (fitid, memo, sort) = (self.get("FITID"), self.get("MEMO"), self.get("TRNTYPE"));
        let texts = [
            ("NAME", merchant, limits::FREE_TEXT),
            ("MEMO", memo, limits::FREE_TEXT),
            ("FITID", fitid, limits::KEY),
            ("ACCTID", &*account.id, limits::ACCOUNT),
        ];
        for (element, text, longest) in texts {
            problems.extend(text_problem(text, longest).map(|problem| format!("{element} {problem}")));
        }
        let (Some((date, occurred_at_us)), Some(amount), true) = (posted, amount, problems.is_empty()) else {
            return Err(problems);
        };

        let is_credit = amount.minor() >= 0;
        let kind = mapping.of_ofx_type(account.sort, sort, is_credit);
        // `TRNAMT` already has the sign of money that comes in.
        let signed = in_direction(kind, amount, true).map_err(|error| vec![format!("TRNAMT {error}")])?;
        Ok(Draft {
            account: account.id.clone(),
            provider_id: (!fitid.is_empty()).then(|| fitid.to_owned()),
            raw: [format!("{merchant}\n{memo}"), amount.to_decimal_string(), sort.to_owned()],
            content: Content {
                kind,
                amount: signed,
                category: String::new(),
                date,
                merchant: merchant.to_owned(),
                description: memo.to_owned(),
                occurred_at_us,
                account: account.id.clone(),
                pending: false,
            },
        })
    }
}

fn parse_currency(text: &str) -> Result<Currency, String> {
    Currency::parse(text).map_err(|_| format!("currency {:?} is not an ISO 4217 code", shortened(text)))
}

/// An amount as OFX has it: a sign may lead, and the decimals follow a point or a comma.
fn parse_amount(text: &str, currency: Currency) -> Result<Money, String> {
    if text.is_empty() {
        return Err("is missing".to_owned());
    }
    let shown = shortened(text);
    let mut number = text.strip_prefix('+').unwrap_or(text).to_owned();
    match (number.matches(',').count(), number.contains('.')) {
        (0, _) => {}
        (1, false) => number = number.replace(',', "."),
        _ => return Err(format!("{shown:?} has thousands separators; write it without them")),
    }
    // Some banks leave out the zero: `-.50`.
    if let Some(at) = number.find('.').filter(|at| matches!(&number[..*at], "" | "-")) {
        number.insert(at, '0');
    }
    Money::parse_line(&number, currency).map_err(|error| format!("{shown:?} {error}"))
}

/// `YYYYMMDD`, which may go on with `HHMM`, `HHMMSS`, `.XXX` and `[-5:EST]`: the date as written and, where time and zone are given, the
/// instant, otherwise 0.
fn parse_date(text: &str) -> Result<(CivilDate, i64), String> {
    if text.is_empty() {
        return Err("is missing".to_owned());
    }
    let malformed = || format!("{:?} is not a date; write YYYYMMDD", shortened(text));
    let (digits, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    if !matches!(digits.len(), 8 | 12 | 14) {
        return Err(malformed());
    }
    let (day, time) = digits.split_at(8);
    let date = CivilDate::parse(&format!("{}-{}-{}", &day[..4], &day[4..6], &day[6..]))
        .map_err(|_| format!("{:?} is not a date that exists", shortened(text)))?;
    let seconds = seconds_of_day(time).ok_or_else(malformed)?;
    let zone = match rest.find('[') {
        None => fraction(rest).map(|()| None),
        Some(at) => fraction(rest[..at].trim_end()).and_then(|()| offset_seconds(&rest[at..]).map(Some)),
    };
    let offset = zone.ok_or_else(malformed)?;
    let instant = match (time.is_empty(), offset) {
        (false, Some(offset)) => (date.epoch_days() * 86_400 + seconds - offset) * MICROS,
        _ => 0,
    };
    Ok((date, instant))
}

fn seconds_of_day(time: &str) -> Option<i64> {
    let mut total = 0;
    for (at, below, weight) in [(0, 24, 3600), (2, 60, 60), (4, 61, 1)] {
        let Some(digits) = time.get(at..at + 2) else { break };
        let value: i64 = digits.parse().ok().filter(|value| *value < below)?;
        total += value * weight;
    }
    Some(total)
}

fn fraction(text: &str) -> Option<()> {
    let digits = text.strip_prefix('.').unwrap_or(text);
    digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(())
}

/// `[-5:EST]`, `[+5.5]`: seconds east of Greenwich.
fn offset_seconds(text: &str) -> Option<i64> {
    let inside = text.strip_prefix('[')?.strip_suffix(']')?;
    let hours = inside.split(':').next()?.trim();
    let (sign, hours) = match hours.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, hours.strip_prefix('+').unwrap_or(hours)),
    };
    let (whole, part) = hours.split_once('.').unwrap_or((hours, "0"));
    let whole: i64 = whole.parse().ok().filter(|hours| (0..=14).contains(hours))?;
    let hundredths: i64 = format!("{part:0<2}").get(..2)?.parse().ok()?;
    Some(sign * (whole * 3600 + hundredths * 36))
}

#[cfg(test)]
#[path = "ofx_tests.rs"]
mod tests;
