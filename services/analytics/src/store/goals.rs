//! Goals, what is saved towards them, and which milestones were told of.

use std::collections::HashMap;

use pathway_finance::{CivilDate, GoalSource, Money, Overflow};
use pathway_kernel::Violation;
use pathway_store::{Row, Tx, Val};

use super::{Store, batch, rows, told, touched};
use crate::error::AnalyticsError;
use crate::goal::{Goal, GoalTerms, GoalView, NewGoal, Reached};
use crate::insight::Insight;

/// Which goals: a page of them, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GoalQuestion {
    pub(crate) user_id: String,
    /// The last name of the page before; empty for the first page.
    pub(crate) after: String,
    pub(crate) limit: i64,
}

/// What was written, and how much was put into the outbox with it.
pub(super) type Posted<T> = (T, usize);

/// The most goals of a user: each of them is looked at when a line of the user changes.
const MOST_GOALS: i64 = 100;

macro_rules! goals {
    ($rest:literal) => {
        concat!(
            "SELECT goal, generation, title, currency, target, opening, source, account, start_day, deadline, milestones, linked, given, is_removed",
            " FROM goals WHERE user_id = $1 ",
            $rest
        )
    };
}
const LIST: &str = goals!("AND is_removed = 0 AND goal > $2 ORDER BY goal LIMIT $3");
const FIND: &str = goals!("AND goal = $2");
const REACHED: &str = "SELECT milestone FROM goal_milestones
     WHERE user_id = $1 AND goal = $2 AND generation = $3 AND currency = $4 AND target = $5 ORDER BY milestone";
const COUNT: &str = "SELECT COUNT(*) FROM goals WHERE user_id = $1 AND is_removed = 0";
const PUT: &str = "INSERT INTO goals
     (user_id, goal, generation, title, currency, target, opening, source, account, start_day, deadline, milestones, linked, given, is_removed)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0)
     ON CONFLICT (user_id, goal) DO UPDATE SET generation = excluded.generation, title = excluded.title, currency = excluded.currency,
     target = excluded.target, opening = excluded.opening, source = excluded.source, account = excluded.account, start_day = excluded.start_day,
     deadline = excluded.deadline, milestones = excluded.milestones, linked = excluded.linked, given = excluded.given, is_removed = 0";
const MOVE: &str = "UPDATE goals SET linked = $3 WHERE user_id = $1 AND goal = $2";
const REMOVE: &str = "UPDATE goals SET is_removed = 1 WHERE user_id = $1 AND goal = $2";
const SET_HAS_GOALS: &str = "UPDATE owners SET has_goals = $2 WHERE user_id = $1";
const PUT_REACHED: &str =
    "INSERT INTO goal_milestones (user_id, goal, generation, currency, target, milestone, is_notified, reached_at_us)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING";
const ACCOUNT_LINES: &str = "SELECT kind, minor FROM facts
     WHERE user_id = $1 AND currency = $2 AND day >= $3 AND deleted = 0 AND account = $4";
// === impl Store ===

impl Store {
    /// Sets a goal.
    pub(crate) async fn set_goal(&self, new: NewGoal, now_us: i64) -> Result<GoalView, AnalyticsError> {
        let written = self.db.write_locking(move |tx| set(tx, &new, now_us)).await;
        written.map(|written| self.post(written))
    }

    /// A user's goals, by name.
    pub(crate) async fn goals(
        &self,
        question: GoalQuestion,
        now_us: i64,
    ) -> Result<Vec<GoalView>, AnalyticsError> {
        self.db
            .read(move |tx| {
                let GoalQuestion { user_id, after, limit } = &question;
                let today = super::periods::today(tx, user_id, now_us)?;
                let goals = load(tx, user_id, after, *limit)?;
                Ok(goals.into_iter().map(|goal| GoalView { goal, today }).collect())
            })
            .await
    }

    /// One goal.
    pub(crate) async fn goal(
        &self,
        user_id: String,
        name: String,
        now_us: i64,
    ) -> Result<GoalView, AnalyticsError> {
        self.db
            .read(move |tx| {
                let goal = find(tx, &user_id, &name)?;
                Ok(GoalView { goal, today: super::periods::today(tx, &user_id, now_us)? })
            })
            .await
    }

    /// Removes a goal; one that is not there is gone already.
    pub(crate) async fn remove_goal(
        &self,
        user_id: String,
        name: String,
        now_us: i64,
    ) -> Result<(), AnalyticsError> {
        self.db
            .write_locking(move |tx| {
                lock(tx, &user_id, now_us)?;
                tx.execute(REMOVE, &[(&user_id).into(), (&name).into()])?;
                let left = count(tx, &user_id)? > 0;
                tx.execute(SET_HAS_GOALS, &[(&user_id).into(), left.into()])?;
                Ok(())
            })
            .await
    }
}

/// A user's goals after a name.
pub(super) fn load(
    tx: &mut Tx<'_>,
    user_id: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<Goal>, AnalyticsError> {
    let found = tx.query(LIST, &[user_id.into(), after.into(), limit.into()])?;
    let mut goals: Vec<Goal> = found.iter().map(goal).collect::<Result<_, _>>()?;
    let keys: Vec<Vec<Val>> = goals.iter().map(|goal| reached_vals(user_id, goal)).collect();
    for (goal, rows) in goals.iter_mut().zip(tx.query_many(REACHED, &keys)?) {
        goal.reached = rows.iter().map(|row| row.i64(0)).collect::<Result<_, _>>()?;
    }
    Ok(goals)
}

/// All goals of a user.
pub(super) fn all(tx: &mut Tx<'_>, user_id: &str) -> Result<Vec<Goal>, AnalyticsError> {
    load(tx, user_id, "", MOST_GOALS)
}

/// Stores what lines have moved, and the milestones that goals have reached thereby: users, goals and what they reached.
pub(super) fn store(
    tx: &mut Tx<'_>,
    moved: &HashMap<(String, String), i64>,
    reached: &[(String, Goal, Reached)],
    now_us: i64,
) -> Result<(), AnalyticsError> {
    let rows: Vec<[Val; 3]> = moved
        .iter()
        .map(|((user_id, goal), linked)| [user_id.into(), goal.into(), (*linked).into()])
        .collect();
    if !rows.is_empty() {
        tx.execute_many(MOVE, &rows)?;
    }
    put_reached(tx, reached, now_us)
}

/// Stores milestones that were reached.
pub(super) fn put_reached(
    tx: &mut Tx<'_>,
    reached: &[(String, Goal, Reached)],
    now_us: i64,
) -> Result<(), AnalyticsError> {
    let mut rows: Vec<Vec<Val>> = Vec::new();
    for (user_id, goal, reached) in reached {
        for milestone in &reached.milestones {
            let mut vals = reached_vals(user_id, goal);
            let is_notified = reached.notify == Some(*milestone);
            vals.extend([Val::from(*milestone), is_notified.into(), now_us.into()]);
            rows.push(vals);
        }
    }
    if !rows.is_empty() {
        tx.execute_many(PUT_REACHED, &rows)?;
    }
    Ok(())
}

/// Sets a goal, whose milestones that are reached by that are not told of. Where somebody else says how much is saved, that is told of like any
/// contribution.
pub(super) fn set(tx: &mut Tx<'_>, new: &NewGoal, now_us: i64) -> Result<Posted<GoalView>, AnalyticsError> {
    let today = lock(tx, &new.user_id, now_us)?;
    let found = tx.query(FIND, &[(&new.user_id).into(), (&new.name).into()])?;
    let (known, last) = match found.first() {
        None => (None, 0),
        Some(row) if row.bool(13)? => (None, row.i64(1)?),
        Some(row) => (Some(goal(row)?), row.i64(1)?),
    };
    if known.is_none() && count(tx, &new.user_id)? >= MOST_GOALS {
        let message = format!("would be goal number {}: remove one that is done", MOST_GOALS + 1);
        return Err(AnalyticsError::invalid("title", message));
    }
    let terms = new.over(known.as_ref().map(|goal| &goal.terms), today);
    check(new, &terms, known.as_ref())?;
    let is_same_target = known.as_ref().is_some_and(|known| known.terms.target == terms.target);
    let (generation, given) = known.as_ref().map_or((last + 1, 0), |known| (known.generation, known.given));
    let name = new.name.clone();
    let mut goal = Goal { name, generation, terms, linked: 0, given, reached: Vec::new() };
    goal.linked = linked(tx, &new.user_id, &goal)?;
    if let Some(saved) = new.saved.filter(|_| !is_same_target) {
        goal.terms.opening = opening(&goal, saved)?;
    }
    load_reached(tx, &new.user_id, &mut goal)?;
    let silent = goal.reach(false)?;
    put_reached(tx, &[(new.user_id.clone(), goal.clone(), silent)], now_us)?;
    let mut delivered = 0;
    if let Some(saved) = new.saved.filter(|_| is_same_target) {
        goal.terms.opening = opening(&goal, saved)?;
        delivered = tell(tx, &new.user_id, &mut goal, now_us)?;
    }
    put(tx, &new.user_id, &goal)?;
    tx.execute(SET_HAS_GOALS, &[(&new.user_id).into(), true.into()])?;
    Ok((GoalView { goal, today }, delivered))
}

/// What is wrong with the terms that a request comes to.
fn check(new: &NewGoal, terms: &GoalTerms, known: Option<&Goal>) -> Result<(), AnalyticsError> {
    let mut violations = Vec::new();
    if terms.source != GoalSource::Given && terms.account.is_empty() {
        violations.push(Violation::new("account", "is required where its lines count"));
    }
    if known.is_some_and(|known| known.terms.target.currency() != terms.target.currency()) {
        let message = "is in another currency than the goal: remove the goal and set it anew";
        violations.push(Violation::new("target", message));
    }
    if terms.deadline.is_some_and(|deadline| deadline < terms.start) && new.deadline.is_some() {
        violations.push(Violation::new("deadline", "must not be before the first day"));
    }
    if violations.is_empty() { Ok(()) } else { Err(violations.into()) }
}

/// The initial value with which so much is saved in all.
fn opening(goal: &Goal, saved: i64) -> Result<i64, Overflow> {
    saved.checked_sub(goal.linked).and_then(|rest| rest.checked_sub(goal.given)).ok_or(Overflow)
}

/// Marks what a goal has reached, and puts what its owner is to be told into the outbox.
pub(super) fn tell(
    tx: &mut Tx<'_>,
    user_id: &str,
    goal: &mut Goal,
    now_us: i64,
) -> Result<usize, AnalyticsError> {
    let reached = goal.reach(true)?;
    let insight = reached.notify.map(|milestone| Insight::milestone(user_id, goal, milestone)).transpose()?;
    put_reached(tx, &[(user_id.to_owned(), goal.clone(), reached)], now_us)?;
    told::announce(tx, &insight.iter().collect::<Vec<_>>(), now_us)
}

/// Locks the user's row; answers the day that it is for the user.
pub(super) fn lock(tx: &mut Tx<'_>, user_id: &str, now_us: i64) -> Result<CivilDate, AnalyticsError> {
    let (owner, sequence) = batch::lock_owner(tx, user_id, now_us)?;
    touched::note_nothing(tx, user_id, sequence)?;
    Ok(owner.today)
}

/// A user's goal.
pub(super) fn find(tx: &mut Tx<'_>, user_id: &str, name: &str) -> Result<Goal, AnalyticsError> {
    let found = tx.query(FIND, &[user_id.into(), name.into()])?;
    let row = found.first().ok_or(AnalyticsError::UnknownGoal)?;
    if row.bool(13)? {
        return Err(AnalyticsError::UnknownGoal);
    }
    let mut goal = goal(row)?;
    load_reached(tx, user_id, &mut goal)?;
    Ok(goal)
}

fn load_reached(tx: &mut Tx<'_>, user_id: &str, goal: &mut Goal) -> Result<(), AnalyticsError> {
    let rows = tx.query(REACHED, &reached_vals(user_id, goal))?;
    goal.reached = rows.iter().map(|row| row.i64(0)).collect::<Result<_, _>>()?;
    Ok(())
}

fn count(tx: &mut Tx<'_>, user_id: &str) -> Result<i64, AnalyticsError> {
    Ok(tx.query(COUNT, &[user_id.into()])?.first().map_or(Ok(0), |row| row.i64(0))?)
}

/// What the lines of a goal's account come to, added up from nothing: where the goal itself changes.
fn linked(tx: &mut Tx<'_>, user_id: &str, goal: &Goal) -> Result<i64, AnalyticsError> {
    let terms = &goal.terms;
    if terms.source == GoalSource::Given {
        return Ok(0);
    }
    let key: [Val; 4] = [
        user_id.into(),
        terms.target.currency().code().into(),
        terms.start.epoch_days().into(),
        (&terms.account).into(),
    ];
    let mut sum: i64 = 0;
    for row in tx.query(ACCOUNT_LINES, &key)? {
        let kind = pathway_finance::LineKind::from_code(row.i64(0)?);
        let kind = kind.ok_or(AnalyticsError::Corrupt("kind of a line"))?;
        let part = terms.source.contribution(kind, row.i64(1)?).unwrap_or(0);
        sum = sum.checked_add(part).ok_or(Overflow)?;
    }
    Ok(sum)
}

/// Stores a goal.
pub(super) fn put(tx: &mut Tx<'_>, user_id: &str, goal: &Goal) -> Result<(), AnalyticsError> {
    tx.execute(PUT, &vals(user_id, goal))?;
    Ok(())
}

fn goal(row: &Row) -> Result<Goal, AnalyticsError> {
    let terms = GoalTerms {
        title: row.text(2)?.to_owned(),
        target: Money::new(row.i64(4)?, rows::currency(row.text(3)?)?),
        opening: row.i64(5)?,
        source: GoalSource::from_code(row.i64(6)?).ok_or(AnalyticsError::Corrupt("source of a goal"))?,
        account: row.text(7)?.to_owned(),
        start: rows::day(row.i64(8)?)?,
        deadline: row.opt_i64(9)?.map(rows::day).transpose()?,
        milestones: rows::thresholds(row.text(10)?)?,
    };
    Ok(Goal {
        name: row.text(0)?.to_owned(),
        generation: row.i64(1)?,
        terms,
        linked: row.i64(11)?,
        given: row.i64(12)?,
        reached: Vec::new(),
    })
}

fn vals(user_id: &str, goal: &Goal) -> Vec<Val> {
    let terms = &goal.terms;
    let milestones: Vec<String> = terms.milestones.iter().map(ToString::to_string).collect();
    vec![
        user_id.into(),
        (&goal.name).into(),
        goal.generation.into(),
        (&terms.title).into(),
        terms.target.currency().code().into(),
        terms.target.minor().into(),
        terms.opening.into(),
        terms.source.code().into(),
        (&terms.account).into(),
        terms.start.epoch_days().into(),
        terms.deadline.map(CivilDate::epoch_days).into(),
        milestones.join(",").into(),
        goal.linked.into(),
        goal.given.into(),
    ]
}

fn reached_vals(user_id: &str, goal: &Goal) -> Vec<Val> {
    let target = goal.terms.target;
    vec![
        user_id.into(),
        (&goal.name).into(),
        goal.generation.into(),
        target.currency().code().into(),
        target.minor().into(),
    ]
}
