//! What was contributed to goals by hand, beside the lines that count towards them.

use pathway_finance::{GoalSource, LineKind, Money, Overflow};
use pathway_store::{Row, StoreError, Tx, Val};
use uuid::Uuid;

use super::goals::{Posted, find, lock, put, put_reached, tell};
use super::{Place, Store, rows};
use crate::error::AnalyticsError;
use crate::goal::{Contribution, GoalView, NewContribution};

/// Which contributions: a page of them, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContributionQuestion {
    pub(crate) user_id: String,
    pub(crate) goal: String,
    /// Where the page before ended.
    pub(crate) after: Option<Place>,
    pub(crate) limit: i64,
}

const CONTRIBUTE: &str =
    "INSERT INTO goal_contributions (user_id, contribution_id, goal, generation, is_removed, day, minor, note)
     VALUES ($1, $2, $3, $4, 0, $5, $6, $7) ON CONFLICT (user_id, contribution_id) DO NOTHING";
const FIND_CONTRIBUTION: &str = "SELECT goal, generation, day, minor, note, is_removed FROM goal_contributions WHERE user_id = $1 AND contribution_id = $2";
const TAKE_BACK: &str =
    "UPDATE goal_contributions SET is_removed = 1 WHERE user_id = $1 AND contribution_id = $2";
/// Lines of the goal's account beside what was contributed by hand. A source is all kinds of line, transfers alone (3), or none (0).
const CONTRIBUTIONS: &str = "SELECT is_line, id, day, kind, minor, text FROM (
         SELECT CAST(1 AS BIGINT) AS is_line, record_id AS id, day, kind, minor, merchant AS text FROM facts
         WHERE user_id = $1 AND currency = $4 AND day >= $5 AND deleted = 0 AND account = $6 AND (kind = $7 OR $8 = 1)
         UNION ALL
         SELECT 0, contribution_id, day, 2, minor, note FROM goal_contributions
         WHERE user_id = $1 AND goal = $2 AND generation = $3 AND is_removed = 0
     ) AS parts WHERE (day, id) < ($9, $10) ORDER BY day DESC, id DESC LIMIT $11";

// === impl Store ===

impl Store {
    /// Notes what was contributed by hand, once for its id.
    pub(crate) async fn contribute(
        &self,
        new: NewContribution,
        now_us: i64,
    ) -> Result<(Contribution, GoalView), AnalyticsError> {
        let written = self.db.write_locking(move |tx| contribute(tx, &new, now_us)).await;
        written.map(|written| self.post(written))
    }

    /// Takes back what was contributed by hand.
    pub(crate) async fn take_back(
        &self,
        user_id: String,
        goal: String,
        id: Uuid,
        now_us: i64,
    ) -> Result<GoalView, AnalyticsError> {
        self.db.write_locking(move |tx| take_back(tx, &user_id, &goal, id, now_us)).await
    }

    /// What a goal's progress is made of, newest first.
    pub(crate) async fn contributions(
        &self,
        question: ContributionQuestion,
    ) -> Result<(Money, Vec<Contribution>), AnalyticsError> {
        self.db.read(move |tx| contributions(tx, &question)).await
    }
}

fn contribute(
    tx: &mut Tx<'_>,
    new: &NewContribution,
    now_us: i64,
) -> Result<Posted<(Contribution, GoalView)>, AnalyticsError> {
    let today = lock(tx, &new.user_id, now_us)?;
    let mut goal = find(tx, &new.user_id, &new.goal)?;
    if new.amount.currency() != goal.terms.target.currency() {
        return Err(AnalyticsError::invalid("amount", "must be in the currency of the goal"));
    }
    let day = new.day.unwrap_or(today);
    let row: [Val; 7] = [
        (&new.user_id).into(),
        new.id.into_bytes().into(),
        (&goal.name).into(),
        goal.generation.into(),
        day.epoch_days().into(),
        new.amount.minor().into(),
        (&new.note).into(),
    ];
    let (minor, text) = (new.amount.minor(), new.note.clone());
    let mut made = Contribution { id: new.id, is_line: false, day, minor, text };
    let mut delivered = 0;
    if tx.execute(CONTRIBUTE, &row)? > 0 {
        goal.given = goal.given.checked_add(minor).ok_or(Overflow)?;
        delivered = tell(tx, &new.user_id, &mut goal, now_us)?;
        put(tx, &new.user_id, &goal)?;
    } else {
        let found = tx.query(FIND_CONTRIBUTION, &[(&new.user_id).into(), new.id.into_bytes().into()])?;
        let row = found.first().ok_or(AnalyticsError::Corrupt("contribution"))?;
        let is_same = row.text(0)? == goal.name
            && row.i64(1)? == goal.generation
            && new.day.is_none_or(|day| row.i64(2).is_ok_and(|then| then == day.epoch_days()))
            && row.i64(3)? == minor
            && row.text(4)? == new.note;
        if !is_same {
            return Err(StoreError::RequestIdReused.into());
        }
        made.day = rows::day(row.i64(2)?)?;
    }
    Ok(((made, GoalView { goal, today }), delivered))
}

fn take_back(
    tx: &mut Tx<'_>,
    user_id: &str,
    name: &str,
    id: Uuid,
    now_us: i64,
) -> Result<GoalView, AnalyticsError> {
    let today = lock(tx, user_id, now_us)?;
    let mut goal = find(tx, user_id, name)?;
    let found = tx.query(FIND_CONTRIBUTION, &[user_id.into(), id.into_bytes().into()])?;
    if let Some(row) = found.first() {
        let is_its = row.text(0)? == goal.name && row.i64(1)? == goal.generation && !row.bool(5)?;
        if is_its {
            goal.given = goal.given.checked_sub(row.i64(3)?).ok_or(Overflow)?;
            // Less than nothing may be taken out, so more may be saved than before: that tells nothing, but counts as told.
            let silent = goal.reach(false)?;
            put_reached(tx, &[(user_id.to_owned(), goal.clone(), silent)], now_us)?;
            tx.execute(TAKE_BACK, &[user_id.into(), id.into_bytes().into()])?;
            put(tx, user_id, &goal)?;
        }
    }
    Ok(GoalView { goal, today })
}

fn contributions(
    tx: &mut Tx<'_>,
    question: &ContributionQuestion,
) -> Result<(Money, Vec<Contribution>), AnalyticsError> {
    let goal = find(tx, &question.user_id, &question.goal)?;
    let terms = &goal.terms;
    let (kind, is_any) = match terms.source {
        GoalSource::Given => (0, false),
        GoalSource::Transfers => (LineKind::Transfer.code(), false),
        GoalSource::Balance => (0, true),
    };
    let after = question.after.unwrap_or(Place { day: i64::MAX, record_id: Uuid::max() });
    let key: [Val; 11] = [
        (&question.user_id).into(),
        (&goal.name).into(),
        goal.generation.into(),
        terms.target.currency().code().into(),
        terms.start.epoch_days().into(),
        (&terms.account).into(),
        kind.into(),
        is_any.into(),
        after.day.into(),
        after.record_id.into_bytes().into(),
        question.limit.into(),
    ];
    let part = |row: &Row| {
        let (is_line, minor) = (row.bool(0)?, row.i64(4)?);
        let kind = LineKind::from_code(row.i64(3)?);
        let kind = kind.ok_or(AnalyticsError::Corrupt("kind of a line"))?;
        Ok::<_, AnalyticsError>(Contribution {
            id: Uuid::from_bytes(row.id(1)?),
            is_line,
            day: rows::day(row.i64(2)?)?,
            minor: kind.inflow(minor).ok_or(Overflow)?,
            text: row.text(5)?.to_owned(),
        })
    };
    let parts = tx.query(CONTRIBUTIONS, &key)?.iter().map(part).collect::<Result<_, AnalyticsError>>()?;
    Ok((terms.target, parts))
}
