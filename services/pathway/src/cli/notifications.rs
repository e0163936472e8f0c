//! The grammar of what users are told.

use clap::{Args, Subcommand};

/// `pathway notifications`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Notifications {
    /// What to do with them; they are listed unless it is said.
    #[command(subcommand)]
    pub action: Option<NotificationAction>,
    /// The user.
    #[arg(long, required = true)]
    pub user: Option<String>,
    /// Go on with new ones as they come; with `--json` one document a line.
    #[arg(long)]
    pub follow: bool,
    /// Mark all as read, after printing them.
    #[arg(long)]
    pub mark_all_read: bool,
    /// Only those after this sequence number.
    #[arg(long, default_value_t = 0, value_name = "SEQUENCE")]
    pub after: i64,
    /// Archived, replaced and withdrawn ones too.
    #[arg(long)]
    pub all: bool,
}

/// What can be done with notifications.
#[derive(Debug, Subcommand)]
pub enum NotificationAction {
    /// List them, oldest first.
    List {
        /// The user.
        #[arg(long)]
        user: String,
        /// Only unread ones.
        #[arg(long, conflicts_with = "all")]
        unread: bool,
        /// Archived, replaced and withdrawn ones too.
        #[arg(long)]
        all: bool,
        /// Only those after this sequence number.
        #[arg(long, default_value_t = 0, value_name = "SEQUENCE")]
        after: i64,
    },
    /// Follow every change of the feed: new ones, marks, ends; with `--json` one document a line.
    Watch {
        /// The user.
        #[arg(long)]
        user: String,
        /// The last change that is known; 0 begins with all there is.
        #[arg(long, default_value_t = 0, value_name = "CHANGE")]
        after: i64,
        /// End after so many changes.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        limit: Option<u64>,
    },
    /// Mark some as read.
    Read(Chosen),
    /// Mark some as unread.
    Unread(Chosen),
    /// Put some away; what is put away is read.
    Archive(Chosen),
    /// Take some out of the archive.
    Restore(Chosen),
    /// Tell a user something, or end what was told about the same.
    Send(NoticeSend),
}

/// Some notifications of a user.
#[derive(Debug, Args)]
pub struct Chosen {
    /// Their ids.
    #[arg(required = true)]
    pub ids: Vec<String>,
    /// The user.
    #[arg(long)]
    pub user: String,
}

/// `pathway notifications send`
#[derive(Debug, Args)]
pub struct NoticeSend {
    /// The user.
    #[arg(long)]
    pub user: String,
    /// The type, such as `reminder`.
    #[arg(long = "type", default_value = "reminder", value_name = "TYPE")]
    pub kind: String,
    /// What makes it unique for the user: a second one with the same key has no effect.
    #[arg(long, value_name = "KEY")]
    pub key: String,
    /// One line; the type's title unless given.
    #[arg(long, default_value = "")]
    pub title: String,
    /// A sentence or two.
    #[arg(long, default_value = "")]
    pub message: String,
    /// A fact behind the text, such as `category=dining`; may be repeated.
    #[arg(long = "fact", value_name = "NAME=VALUE")]
    pub facts: Vec<String>,
    /// What it is about: it takes the place of what was told about the same.
    #[arg(long, default_value = "")]
    pub about: String,
    /// It goes out whatever the user's preferences say.
    #[arg(long)]
    pub critical: bool,
    /// Nothing is told: what was told about the same is over.
    #[arg(long, requires = "about", conflicts_with = "withdraw")]
    pub resolve: bool,
    /// Nothing is told: what was told about the same should not have been.
    #[arg(long, requires = "about")]
    pub withdraw: bool,
}
