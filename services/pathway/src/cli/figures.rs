//! The grammar of looking into figures: insights, summaries, trends, explanations.

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

/// `pathway insights`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Insights {
    /// What to do with them; they are listed unless it is said.
    #[command(subcommand)]
    pub action: Option<InsightAction>,
    /// The user.
    #[arg(long, required = true)]
    pub user: Option<String>,
    /// Only of this type, such as `transaction_alert`.
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// Only about days of this period: `2018-03`, `2018`, `2018-Q1`, `2018-W10`, or `2018-03-01..2018-04-01`.
    #[arg(long)]
    pub period: Option<String>,
    /// Only in this state.
    #[arg(long, value_enum)]
    pub state: Option<InsightState>,
    /// At most this many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
}

/// What can be done with insights.
#[derive(Debug, Subcommand)]
pub enum InsightAction {
    /// Say what you make of one.
    Feedback {
        /// The insight's key, as it is listed.
        key: String,
        /// `expected`: its like is not reported again; `dismiss`: done with it; `none`: takes back what was said.
        #[arg(value_enum)]
        feedback: Feedback,
        /// The user.
        #[arg(long)]
        user: String,
    },
}

/// What has become of an insight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum InsightState {
    /// Nothing was said.
    Open,
    /// It was to be expected.
    Expected,
    /// It is done with.
    Dismissed,
}

/// What a user makes of an insight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Feedback {
    /// Its like is not reported again.
    Expected,
    /// It is done with.
    Dismiss,
    /// Takes back what was said.
    None,
}

/// `pathway summary`
#[derive(Debug, Args)]
pub struct Summary {
    /// The user.
    #[arg(long)]
    pub user: String,
    /// `2018-03`, `2018`, `2018-Q1`, `2018-W10`, or `2018-03-01..2018-04-01`; the month that it is for the user unless given.
    #[arg(long)]
    pub period: Option<String>,
    /// The currency, where the user has lines in several.
    #[arg(long)]
    pub currency: Option<String>,
    /// Lines in all currencies, converted to this one by the stored rates of their days.
    #[arg(long = "in", value_name = "CURRENCY", conflicts_with = "currency")]
    pub reporting: Option<String>,
}

/// `pathway trends`
#[derive(Debug, Args)]
pub struct Trends {
    /// The user.
    #[arg(long)]
    pub user: String,
    /// The range, as a period of `pathway spending`; the last twelve months (UTC) unless given.
    #[arg(long)]
    pub period: Option<String>,
    /// What it is cut into.
    #[arg(long, value_enum, default_value_t = Bucket::Month)]
    pub by: Bucket,
    /// A category; may be repeated. The total unless given.
    #[arg(long = "category", value_name = "CATEGORY", conflicts_with = "categories")]
    pub category: Vec<String>,
    /// The total and every category.
    #[arg(long)]
    pub categories: bool,
    /// The currency, where the user has lines in several.
    #[arg(long)]
    pub currency: Option<String>,
    /// Lines in all currencies, converted to this one by the stored rates of their days.
    #[arg(long = "in", value_name = "CURRENCY", conflicts_with = "currency")]
    pub reporting: Option<String>,
}

/// What a trend is cut into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Bucket {
    /// Days.
    Day,
    /// Monday to Sunday.
    Week,
    /// Calendar months.
    Month,
}

/// `pathway recurring`
#[derive(Debug, Args)]
pub struct Recurring {
    /// The user.
    #[arg(long)]
    pub user: String,
}

/// `pathway explain`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["period", "insight"]))]
pub struct Explain {
    /// The user.
    #[arg(long)]
    pub user: String,
    /// A number's period: `2018-03`, `2018`, `2018-Q1`, `2018-W10`, or `2018-03-01..2018-04-01`.
    #[arg(long)]
    pub period: Option<String>,
    /// Only this category's lines.
    #[arg(long, conflicts_with = "insight")]
    pub category: Option<String>,
    /// The currency, where the user has lines in several.
    #[arg(long, conflicts_with = "insight")]
    pub currency: Option<String>,
    /// Lines in all currencies, converted to this one by the stored rates of their days.
    #[arg(long = "in", value_name = "CURRENCY", conflicts_with_all = ["currency", "insight"])]
    pub reporting: Option<String>,
    /// An insight's key, as `pathway insights` lists it.
    #[arg(long, value_name = "KEY")]
    pub insight: Option<String>,
    /// At most this many lines.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
}

/// `pathway spending`
#[derive(Debug, Args)]
pub struct Spending {
    /// The user.
    #[arg(long)]
    pub user: String,
    /// `2018-03`, `2018`, `2018-Q1`, `2018-W10`, or `2018-03-01..2018-04-01`; the current month (UTC) unless given.
    #[arg(long)]
    pub period: Option<String>,
    /// The currency, where the user has lines in several.
    #[arg(long)]
    pub currency: Option<String>,
    /// By account or merchant in place of categories, with income.
    #[arg(long, value_enum)]
    pub by: Option<By>,
    /// Lines in all currencies, converted to this one by the stored rates of their days.
    #[arg(long = "in", value_name = "CURRENCY", conflicts_with_all = ["currency", "by"])]
    pub reporting: Option<String>,
}

/// What spending is shown by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// The account that a line is of.
    Account,
    /// Who was paid.
    Merchant,
}
