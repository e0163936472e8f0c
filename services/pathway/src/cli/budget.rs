//! The grammar of budgets.

use clap::{Args, Subcommand, ValueEnum};

/// `pathway budget`
#[derive(Debug, Subcommand)]
pub enum Budget {
    /// Set limits; categories that are not named keep theirs.
    Set(BudgetSet),
    /// Show the limits and what is spent of them.
    Show {
        /// The user.
        #[arg(long)]
        user: String,
    },
    /// Show what is left of them, and where they will stand at the end of their periods.
    Status {
        /// The user.
        #[arg(long)]
        user: String,
    },
    /// Show what periods that are closed came to, newest first.
    Closed(BudgetClosed),
}

/// `pathway budget set`
#[derive(Debug, Args)]
pub struct BudgetSet {
    /// The user.
    #[arg(long)]
    pub user: String,
    /// The currency of the limits.
    #[arg(long, default_value = "USD")]
    pub currency: String,
    /// A category and its limit, such as `groceries=300.00`; may be repeated. What else is said holds for all of them.
    #[arg(long = "limit", value_name = "CATEGORY=AMOUNT", required = true)]
    pub limits: Vec<String>,
    /// The period of the limits.
    #[arg(long, value_enum, default_value_t = BudgetPeriod::Month)]
    pub period: BudgetPeriod,
    /// The day on which a month begins (1 to 31), or the weekday of a week (1 for Monday); holds for all budgets of the kind.
    #[arg(long, value_name = "DAY", value_parser = clap::value_parser!(i32).range(1..=31))]
    pub start_day: Option<i32>,
    /// A day on which a period begins, for `two-weeks` and `days`.
    #[arg(long, value_name = "DATE")]
    pub anchor: Option<String>,
    /// How many days a period has, for `days`.
    #[arg(long, value_name = "N")]
    pub days: Option<i32>,
    /// The percentages at which they alert, such as 50,80,100; at first 80,100.
    #[arg(long, value_name = "PERCENT,...", value_delimiter = ',')]
    pub thresholds: Vec<i32>,
    /// What becomes of what is left of a period.
    #[arg(long, value_enum)]
    pub rollover: Option<Rollover>,
    /// Whether they alert when spending will end well over the limit.
    #[arg(long, value_name = "BOOL")]
    pub pace: Option<bool>,
    /// The categories that a limit counts together: it names the group then. One limit only.
    #[arg(long, value_name = "CATEGORY,...", value_delimiter = ',')]
    pub group: Vec<String>,
    /// The user's IANA time zone, such as `Asia/Kolkata`.
    #[arg(long)]
    pub time_zone: Option<String>,
}

/// The period of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BudgetPeriod {
    /// From Monday, or the start day, on.
    Week,
    /// Fourteen days, counted from the anchor.
    TwoWeeks,
    /// The 1st to the 15th, and the 16th to the last.
    HalfMonth,
    /// From the 1st, or the start day, on.
    Month,
    /// Three calendar months.
    Quarter,
    /// A calendar year.
    Year,
    /// So many days, counted from the anchor.
    Days,
}

/// What becomes of what is left of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Rollover {
    /// Each period begins with the limit.
    Off,
    /// What is left is added to the next.
    Positive,
    /// And what was spent too much is taken from it.
    All,
}

/// `pathway budget closed`
#[derive(Debug, Args)]
pub struct BudgetClosed {
    /// The user.
    #[arg(long)]
    pub user: String,
    /// Only this budget's.
    #[arg(long)]
    pub category: Option<String>,
    /// Those that begin in this period: `2018-03`, `2018`, `2018-Q1`, or `2018-03-01..2018-04-01`; any unless given.
    #[arg(long)]
    pub period: Option<String>,
    /// At most this many.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub limit: u16,
}
