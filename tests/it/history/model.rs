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
    pub(super) account: &'static str,
    pub(super) pending: bool,
}

/// What happens to one record.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) user: usize,
    pub(super) key: usize,
    /// None where it is deleted.
    pub(super) content: Option<Content>,
    pub(super) is_history: bool,
    /// The pending record that it posts.
    pub(super) posts: Option<usize>,
}

/// What a user does by hand.
#[derive(Debug, Clone)]
pub(super) enum Deed {
    /// Cuts a part off, or makes the line whole.
    Split { user: usize, key: usize, cut: Option<i64> },
    /// Has transfers paired.
    Pair { user: usize },
    /// Takes a pair apart.
    Unpair { user: usize, key: usize },
}

/// A user and one of the user's records.
type Place = (usize, usize);

/// The records that stand, by user and key.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// None where the record has been deleted.
    records: BTreeMap<Place, Option<Content>>,
    /// Where a redelivery may be answered another record than at first: those that were changed without an event of their own.
    imported: BTreeSet<Place>,
    /// What else a record is called, and whether that name says no more.
    aliases: BTreeMap<Place, (usize, bool)>,
    retired: BTreeSet<Place>,
    splits: BTreeMap<Place, Vec<(i64, &'static str)>>,
    pairs: BTreeMap<Place, usize>,
    apart: BTreeSet<(usize, usize, usize)>,
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

    /// The money that comes in with it: positive for an income and an adjustment.
    fn inflow(&self) -> i64 {
        if self.kind == 2 || self.kind == 4 { self.minor } else { -self.minor }
    }

    /// How many days apart two legs of a transfer are; none where they are no transfer.
    fn days_to(&self, other: &Self) -> Option<u64> {
        let is_leg = |line: &Self| !line.account.is_empty() && line.kind != 4 && line.minor != 0;
        let is_opposite = self.inflow() == -other.inflow() && self.currency == other.currency;
        let day = |line: &Self| CivilDate::parse(line.date).unwrap().epoch_days();
        (is_leg(self) && is_leg(other) && is_opposite && self.account != other.account)
            .then(|| day(self).abs_diff(day(other)))
    }
}

// === impl Deed ===

impl Deed {
    pub(super) fn user(&self) -> usize {
        match self {
            Self::Split { user, .. } | Self::Pair { user } | Self::Unpair { user, .. } => *user,
        }
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
            record.account = content.account.to_owned();
            record.pending = content.pending;
        }
        let replaces = self.posts.map(|key| RecordIdentity {
            source: "event".to_owned(),
            account: String::new(),
            key: format!("k{key}"),
        });
        let position = (!self.is_history).then(|| Position {
            epoch: run.to_owned(),
            partition: i32::try_from(self.user % 2).unwrap(),
            offset: i64::try_from(index).unwrap(),
        });
        let origin = if self.is_history { Origin::History } else { Origin::Live };
        RecordWrite { record: Some(record), position, origin: origin.into(), replaces }
    }
}

// === impl Model ===

impl Model {
    /// Takes the next event of the log.
    pub(super) fn take(&mut self, event: &Event) {
        let named = (event.user, event.key);
        if event.is_history || event.posts.is_some() {
            self.imported.insert(named);
        }
        let Some((place, is_retired)) = self.find(event) else { return };
        self.imported.extend((place != named).then_some(named));
        // What somebody has deleted stays deleted, whatever is imported.
        let is_gone = event.is_history && self.records.get(&place) == Some(&None);
        if is_retired || is_gone {
            return;
        }
        let mut content = event.content.clone();
        let posted = event.posts.and_then(|key| self.resolve((event.user, key)));
        if let (Some(content), Some(Some(before))) = (&mut content, self.records.get(&place))
            && posted.is_some_and(|(posted, _)| posted == place)
        {
            content.category = before.category;
        }
        self.put(place, content);
    }

    /// The record that an event is about, and whether what it says counts no more; none for the delete of what never was.
    fn find(&mut self, event: &Event) -> Option<(Place, bool)> {
        let named = (event.user, event.key);
        if let Some(found) = self.resolve(named) {
            return Some(found);
        }
        event.content.as_ref()?;
        let Some(posted) = event.posts.map(|key| (event.user, key)) else { return Some((named, false)) };
        match self.resolve(posted) {
            None => {
                self.aliases.insert(posted, (event.key, true));
            }
            Some((place, false)) => {
                let is_pending = matches!(self.records.get(&place), Some(Some(content)) if content.pending);
                if is_pending {
                    if place == posted {
                        self.retired.insert(posted);
                    } else {
                        self.aliases.insert(posted, (place.1, true));
                    }
                    self.aliases.insert(named, (place.1, false));
                    self.imported.extend([posted, place]);
                    return Some((place, false));
                }
            }
            Some((_, true)) => {}
        }
        Some((named, false))
    }

    fn resolve(&self, place: Place) -> Option<(Place, bool)> {
        if self.records.contains_key(&place) {
            return Some((place, self.retired.contains(&place)));
        }
        self.aliases.get(&place).map(|(key, is_retired)| ((place.0, *key), *is_retired))
    }

    /// What a record becomes, and what that does to those that hang on it.
    fn put(&mut self, place: Place, content: Option<Content>) {
        let before = self.records.get(&place).cloned().flatten();
        let money = |content: &Content| (content.inflow(), content.currency);
        let same_money = before.as_ref().map(money) == content.as_ref().map(money);
        let kind = |content: &Content| content.kind;
        if !same_money || before.as_ref().map(kind) != content.as_ref().map(kind) {
            self.splits.remove(&place);
        }
        let account = |content: &Content| content.account;
        if !same_money || before.as_ref().map(account) != content.as_ref().map(account) {
            self.part(place);
        }
        let is_split = self.splits.contains_key(&place);
        let content = content.map(|content| {
            let category = if is_split { "" } else { content.category };
            Content { category, ..content }
        });
        self.records.insert(place, content);
    }

    fn part(&mut self, place: Place) -> bool {
        let Some(other) = self.pairs.remove(&place) else { return false };
        self.pairs.remove(&(place.0, other));
        self.imported.extend([place, (place.0, other)]);
        true
    }

    /// Splits a line; answers its parts, or that it cannot be.
    pub(super) fn split(
        &mut self,
        user: usize,
        key: usize,
        cut: Option<i64>,
    ) -> Option<Vec<(i64, &'static str, &'static str)>> {
        let place = (user, key);
        if self.pairs.contains_key(&place) {
            return None;
        }
        let content = self.records.get_mut(&place)?.as_mut()?;
        self.imported.insert(place);
        let Some(cut) = cut else {
            self.splits.remove(&place);
            return Some(Vec::new());
        };
        content.category = "";
        let parts = vec![(cut, "Dining"), (content.minor - cut, "")];
        self.splits.insert(place, parts.clone());
        Some(parts.into_iter().map(|(minor, category)| (minor, category, content.currency)).collect())
    }

    /// Pairs what is certain, by the rule's words; answers the names of the legs.
    pub(super) fn pair(&mut self, user: usize) -> BTreeSet<(String, String)> {
        let is_free = |(place, content): (&Place, &Option<Content>)| {
            let is_tied = self.splits.contains_key(place) || self.pairs.contains_key(place);
            let content = content.as_ref().filter(|_| place.0 == user && !is_tied)?;
            Some((place.1, content.clone()))
        };
        let mut free: BTreeMap<usize, Content> = self.records.iter().filter_map(is_free).collect();
        let mut made = BTreeSet::new();
        for apart in 0..=5 {
            let fits = |key: usize| -> Vec<usize> {
                let fit = |(other, line): (&usize, &Content)| {
                    let is_barred = self.apart.contains(&(user, key.min(*other), key.max(*other)));
                    (!is_barred && free[&key].days_to(line) == Some(apart)).then_some(*other)
                };
                free.iter().filter_map(fit).collect()
            };
            let all: BTreeMap<usize, Vec<usize>> =
                free.keys().map(|key| (*key, fits(*key))).filter(|(_, fits)| !fits.is_empty()).collect();
            for (key, fits) in &all {
                if let [other] = fits[..]
                    && all[&other].len() == 1
                    && free[key].inflow() < 0
                {
                    self.pairs.extend([((user, *key), other), ((user, other), *key)]);
                    self.imported.extend([(user, *key), (user, other)]);
                    made.insert((format!("k{key}"), format!("k{other}")));
                }
            }
            free.retain(|key, _| !all.contains_key(key));
        }
        made
    }

    /// Takes a pair apart, if it is one.
    pub(super) fn unpair(&mut self, user: usize, key: usize) -> bool {
        let other = self.pairs.get(&(user, key)).copied();
        if let Some(other) = other {
            self.apart.insert((user, key.min(other), key.max(other)));
        }
        self.part((user, key))
    }

    /// Whether a record is one that has been imported.
    pub(super) fn has_history(&self, event: &Event) -> bool {
        self.imported.contains(&(event.user, event.key))
    }

    /// A user's records that stand.
    pub(super) fn records(&self, user: usize) -> BTreeSet<Shown> {
        let shown = |(key, content): &(String, Content)| {
            let Content { kind, minor, currency, date, .. } = *content;
            let category = content.category_key().to_owned();
            (key.clone(), kind, minor, currency.to_owned(), category, date.to_owned())
        };
        self.standing(user)
            .iter()
            .map(|(place, content)| (format!("k{}", place.1), content.clone()))
            .chain(self.parts(user))
            .collect::<Vec<_>>()
            .iter()
            .map(shown)
            .collect()
    }

    fn standing(&self, user: usize) -> Vec<(Place, Content)> {
        let of_user = self.records.iter().filter(|((owner, _), _)| *owner == user);
        of_user.filter_map(|(place, content)| Some((*place, content.clone()?))).collect()
    }

    /// The parts of a user's split lines.
    fn parts(&self, user: usize) -> Vec<(String, Content)> {
        let mut parts = Vec::new();
        for (place, line) in self.standing(user) {
            for (n, (minor, category)) in (1..).zip(self.splits.get(&place).into_iter().flatten()) {
                let part = Content { minor: *minor, category, ..line.clone() };
                parts.push((format!("k{}/{n}", place.1), part));
            }
        }
        parts
    }

    /// A user's spending of a month in a currency.
    pub(super) fn spending(&self, user: usize, month: &str, currency: &str) -> Figures {
        let counts = |(place, _): &(Place, Content)| {
            !self.splits.contains_key(place) && !self.pairs.contains_key(place)
        };
        let mut lines: Vec<Content> =
            self.standing(user).into_iter().filter(counts).map(|(_, line)| line).collect();
        lines.extend(self.parts(user).into_iter().map(|(_, part)| part));
        lines.retain(|line| line.is_expense_in(month));
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

    /// What each account of a user comes to in a month and currency: gross, refunds, income.
    pub(super) fn by_account(
        &self,
        user: usize,
        month: &str,
        currency: &str,
    ) -> BTreeMap<String, (i64, i64, i64)> {
        let counts = |(place, _): &(Place, Content)| {
            !self.splits.contains_key(place) && !self.pairs.contains_key(place)
        };
        let whole = self.standing(user).into_iter().filter(counts).map(|(_, line)| line);
        let parts = self.parts(user).into_iter().map(|(_, part)| part);
        let mut accounts: BTreeMap<String, (i64, i64, i64)> = BTreeMap::new();
        for line in whole.chain(parts) {
            let is_in = line.currency == currency && line.date.starts_with(month);
            if !is_in || line.kind > 2 {
                continue;
            }
            let (gross, refunds, income) = accounts.entry(line.account.to_owned()).or_default();
            if line.kind == 2 {
                *income += line.minor;
            } else {
                *gross += line.minor.max(0);
                *refunds -= line.minor.min(0);
            }
        }
        accounts
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

/// Records as datasync lists them. A part is named after its line.
pub(super) fn shown(records: &[Record]) -> BTreeSet<Shown> {
    let key = |record: &Record| record.identity.as_ref().unwrap().key.clone();
    let keys: BTreeMap<&str, String> =
        records.iter().map(|record| (&*record.record_id, key(record))).collect();
    let shown = |record: &Record| {
        let amount = record.amount.as_ref();
        let name = match &*record.split_of {
            "" => key(record),
            line => key(record).replacen(line, &keys[line], 1),
        };
        let currency = amount.unwrap().currency_code.clone();
        let date = from_date(record.date.as_ref()).unwrap().to_string();
        (name, record.kind, minor(amount), currency, record.category.clone(), date)
    };
    records.iter().map(shown).collect()
}

/// Whether a record is among the lines of a month's spending.
pub(super) fn counts(record: &Record, month: &str, currency: &str) -> bool {
    record.kind() == LineKind::Expense
        && !record.is_split
        && record.paired_with.is_empty()
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
