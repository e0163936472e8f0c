//! What the records and the figures should come to, reckoned from the events alone in whole minor units.

use std::collections::{BTreeMap, BTreeSet};

use pathway_finance::{CivilDate, Currency, Money};
use pathway_proto::pathway::analytics::v1::{GetSpendingResponse, Totals};
use pathway_proto::pathway::datasync::v1::{Position, RecordWrite};
use pathway_proto::pathway::types::v1::{LineKind, Origin, Record, RecordIdentity};
use pathway_rpc::{from_date, from_money, to_date, to_money};

/// How many users a history has.
pub(super) const USERS: usize = 3;
/// The months in which there are lines, each with its first day and the day after its last.
pub(super) const MONTHS: [(&str, (&str, &str)); 3] = [
    ("2026-10", ("2026-10-01", "2026-11-01")),
    ("2026-11", ("2026-11-01", "2026-12-01")),
    ("2026-12", ("2026-12-01", "2027-01-01")),
];

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Content {
    /// As in the protocol: 1 is an expense.
    pub(super) kind: i32,
    pub(super) minor: i64,
    pub(super) currency: &'static str,
    pub(super) category: &'static str,
    pub(super) date: &'static str,
}

/// What happens to one record.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) user: usize,
    pub(super) key: usize,
    /// None where it is deleted.
    pub(super) content: Option<Content>,
    pub(super) is_history: bool,
}

/// The records that stand, by user and key.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// None where the record has been deleted.
    records: BTreeMap<(usize, usize), Option<Content>>,
    imported: BTreeSet<(usize, usize)>,
}

/// A record as the test looks at it: its key, its kind, its amount in minor units, its category's key and its day.
pub(super) type Shown = (String, i32, i64, String, String, String);

/// Gross, refunds and count.
type Sums = (i64, i64, i64);

/// A user's spending: the categories in their order, the sums over all, and the other currencies that there are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Figures {
    categories: Vec<(String, Sums)>,
    total: Sums,
    others: BTreeSet<String>,
}

/// A user's name in a run.
pub(super) fn user(run: &str, user: usize) -> String {
    format!("{run}-{user}")
}

// === impl Content ===

impl Content {
    fn money(&self) -> Money {
        Money::new(self.minor, Currency::parse(self.currency).unwrap())
    }

    /// The key of the category, written by hand: how a key is made is not the model's to ask.
    fn category_key(&self) -> &'static str {
        match self.category {
            "Dining" => "dining",
            "Eating Out" => "eating_out",
            _ => "",
        }
    }

    fn is_expense_in(&self, month: &str) -> bool {
        self.kind == i32::from(LineKind::Expense) && self.date.starts_with(month)
    }
}

// === impl Event ===

impl Event {
    /// The write that it is, at its place in the log. A user's events are all of one partition.
    pub(super) fn to_write(&self, run: &str, index: usize) -> RecordWrite {
        let identity = RecordIdentity {
            source: "event".to_owned(),
            account: String::new(),
            key: format!("k{}", self.key),
        };
        let mut record = Record {
            user_id: user(run, self.user),
            identity: Some(identity),
            deleted: true,
            ..Record::default()
        };
        if let Some(content) = &self.content {
            record.deleted = false;
            record.kind = content.kind;
            record.amount = Some(to_money(content.money()));
            record.category = content.category.to_owned();
            record.date = Some(to_date(CivilDate::parse(content.date).unwrap()));
        }
        let position = (!self.is_history).then(|| Position {
            epoch: run.to_owned(),
            partition: i32::try_from(self.user % 2).unwrap(),
            offset: i64::try_from(index).unwrap(),
        });
        let origin = if self.is_history { Origin::History } else { Origin::Live };
        RecordWrite { record: Some(record), position, origin: origin.into() }
    }
}

// === impl Model ===

impl Model {
    /// Takes the next event of the log.
    pub(super) fn take(&mut self, event: &Event) {
        let place = (event.user, event.key);
        if event.is_history {
            self.imported.insert(place);
            // What somebody has deleted stays deleted, whatever is imported.
            if self.records.get(&place) == Some(&None) {
                return;
            }
        }
        if event.content.is_some() || self.records.contains_key(&place) {
            self.records.insert(place, event.content.clone());
        }
    }

    /// Whether a record is one that has been imported.
    pub(super) fn has_history(&self, event: &Event) -> bool {
        self.imported.contains(&(event.user, event.key))
    }

    /// A user's records that stand.
    pub(super) fn records(&self, user: usize) -> BTreeSet<Shown> {
        let of_user = self.records.iter().filter(|((owner, _), _)| *owner == user);
        let shown = of_user.filter_map(|((_, key), content)| {
            let Content { kind, minor, currency, date, .. } = content.as_ref()?;
            let category = content.as_ref()?.category_key().to_owned();
            Some((format!("k{key}"), *kind, *minor, (*currency).to_owned(), category, (*date).to_owned()))
        });
        shown.collect()
    }

    /// A user's spending of a month in a currency.
    pub(super) fn spending(&self, user: usize, month: &str, currency: &str) -> Figures {
        let of_user = self.records.iter().filter(|((owner, _), _)| *owner == user);
        let lines: Vec<&Content> = of_user
            .filter_map(|(_, content)| content.as_ref().filter(|content| content.is_expense_in(month)))
            .collect();
        let mut categories: BTreeMap<&str, Sums> = BTreeMap::new();
        let mut total = Sums::default();
        for line in lines.iter().filter(|line| line.currency == currency) {
            let name = match line.category_key() {
                "" => "uncategorized",
                key => key,
            };
            for (gross, refunds, count) in [categories.entry(name).or_default(), &mut total] {
                *gross += line.minor.max(0);
                *refunds -= line.minor.min(0);
                *count += 1;
            }
        }
        let mut categories: Vec<(String, Sums)> =
            categories.into_iter().map(|(name, sums)| (name.to_owned(), sums)).collect();
        categories.sort_by_key(|(_, (gross, refunds, _))| refunds - gross);
        let others = lines.iter().map(|line| line.currency).filter(|other| *other != currency);
        Figures { categories, total, others: others.map(str::to_owned).collect() }
    }

    /// The net of a category.
    pub(super) fn net(&self, user: usize, month: &str, currency: &str, category: &str) -> i64 {
        let categories = self.spending(user, month, currency).categories;
        let found = categories.into_iter().find(|(name, _)| name == category);
        found.map_or(0, |(_, (gross, refunds, _))| gross - refunds)
    }
}

fn minor(money: Option<&pathway_proto::google::r#type::Money>) -> i64 {
    from_money(money).unwrap().minor()
}

/// Records as datasync lists them.
pub(super) fn shown(records: &[Record]) -> BTreeSet<Shown> {
    let shown = |record: &Record| {
        let (key, amount) = (record.identity.as_ref().unwrap().key.clone(), record.amount.as_ref());
        let currency = amount.unwrap().currency_code.clone();
        let date = from_date(record.date.as_ref()).unwrap().to_string();
        (key, record.kind, minor(amount), currency, record.category.clone(), date)
    };
    records.iter().map(shown).collect()
}

/// Whether a record is among the lines of a month's spending.
pub(super) fn counts(record: &Record, month: &str, currency: &str) -> bool {
    record.kind() == LineKind::Expense
        && record.amount.as_ref().unwrap().currency_code == currency
        && from_date(record.date.as_ref()).unwrap().to_string().starts_with(month)
}

/// Spending as analytics tells it.
pub(super) fn figures(spending: &GetSpendingResponse) -> Figures {
    let sums = |totals: Option<&Totals>| {
        let totals = totals.unwrap();
        let (gross, refunds) = (minor(totals.gross.as_ref()), minor(totals.refunds.as_ref()));
        assert_eq!(minor(totals.net.as_ref()), gross - refunds);
        (gross, refunds, totals.count)
    };
    let categories =
        spending.categories.iter().map(|part| (part.category.clone(), sums(part.totals.as_ref())));
    Figures {
        categories: categories.collect(),
        total: sums(spending.total.as_ref()),
        others: spending.other_currency_codes.iter().cloned().collect(),
    }
}
