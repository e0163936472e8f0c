//! The grammar of savings goals.

use clap::{Args, Subcommand, ValueEnum};

/// `pathway goals`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Goals {
    /// What to do with them; they are listed unless it is said.
    #[command(subcommand)]
    pub action: Option<GoalAction>,
    /// The user.
    #[arg(long, required = true)]
    pub user: Option<String>,
}

/// What can be done with goals.
#[derive(Debug, Subcommand)]
pub enum GoalAction {
    /// List them, with what is saved.
    List {
        /// The user.
        #[arg(long)]
        user: String,
    },
    /// Show one, and what its progress is made of.
    Show(OneGoal),
    /// Set one; what is left out stays as it is.
    Set(GoalSet),
    /// Note what was put aside by hand.
    Add(GoalAdd),
    /// Take back what was noted by hand.
    TakeBack {
        /// Which goal.
        #[command(flatten)]
        goal: OneGoal,
        /// The contribution's id, as `pathway goals show` lists it.
        #[arg(value_name = "ID")]
        contribution: String,
    },
    /// Remove one.
    Remove(OneGoal),
}

/// One goal.
#[derive(Debug, Args)]
pub struct OneGoal {
    /// The goal's name or title.
    pub goal: String,
    /// The user.
    #[arg(long)]
    pub user: String,
}

/// `pathway goals set`
#[derive(Debug, Args)]
pub struct GoalSet {
    /// What is saved for, such as `Goa trip`.
    pub title: String,
    /// The user.
    #[arg(long)]
    pub user: String,
    /// How much is to be saved.
    #[arg(long, value_name = "AMOUNT")]
    pub target: String,
    /// The currency of the amounts.
    #[arg(long, default_value = "USD")]
    pub currency: String,
    /// What was saved before anything is counted.
    #[arg(long, value_name = "AMOUNT")]
    pub initial: Option<String>,
    /// The account whose transfers count, or with `--source balance` whose every line does.
    #[arg(long)]
    pub account: Option<String>,
    /// Which lines of the account count.
    #[arg(long, value_enum)]
    pub source: Option<Source>,
    /// The first day whose lines count; at first today.
    #[arg(long, value_name = "DATE")]
    pub start: Option<String>,
    /// The day by which it is to be reached.
    #[arg(long, value_name = "DATE")]
    pub deadline: Option<String>,
    /// The shares of the target, in percent, that are told of; at first 25,50,75,100.
    #[arg(long, value_name = "PERCENT,...", value_delimiter = ',')]
    pub milestones: Vec<i32>,
}

/// Which lines of a goal's account count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Source {
    /// None: only what is added by hand.
    Given,
    /// Transfers.
    Transfers,
    /// Every line.
    Balance,
}

/// `pathway goals add`
#[derive(Debug, Args)]
pub struct GoalAdd {
    /// Which goal.
    #[command(flatten)]
    pub goal: OneGoal,
    /// How much, in the goal's currency; negative where it is taken out again.
    #[arg(allow_negative_numbers = true)]
    pub amount: String,
    /// When; today unless given.
    #[arg(long, value_name = "DATE")]
    pub date: Option<String>,
    /// Free text.
    #[arg(long, default_value = "")]
    pub note: String,
}
