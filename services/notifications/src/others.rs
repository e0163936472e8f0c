//! News of what other processes over the same database changed.
//!
//! A commit tells the streams of its own process. Where the database is shared, the feeds that somebody watches here are asked every second how far they have come, all of them in
//! one read, however many streams there are; the streams of those that have moved then read for themselves.

use std::collections::HashMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::feeds::{Feeds, News};
use crate::store::Store;

const ASK_EVERY: Duration = Duration::from_secs(1);

/// Asks until `closing`.
pub(crate) async fn follow(store: Store, feeds: Feeds, closing: CancellationToken) {
    let mut known: HashMap<String, i64> = HashMap::new();
    while closing.run_until_cancelled(tokio::time::sleep(ASK_EVERY)).await.is_some() {
        let watched = feeds.watched();
        let standings = match store.standings(watched).await {
            Ok(standings) => standings,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot ask for other processes' news"
                );
                continue;
            }
        };
        let moved = standings.iter().filter(|standing| known.get(&standing.user_id) != Some(&standing.last));
        feeds.publish(moved.cloned().collect::<Vec<News>>());
        known = standings.into_iter().map(|standing| (standing.user_id, standing.last)).collect();
    }
}
