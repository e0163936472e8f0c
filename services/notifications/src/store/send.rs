//! Storing a batch of notices, and ending what they replace, resolve or withdraw.

use std::collections::{BTreeMap, HashMap};

use pathway_kernel::new_id;
use pathway_store::{Tx, Val};
use uuid::Uuid;

use super::feed::{ADVANCE, Feed};
use super::outbox::Outbox;
use super::rows::{INSERT, UPDATE, all_stored, columns, insert_vals, update_vals};
use super::{Sent, SentAll};
use crate::error::NotificationsError;
use crate::notice::{Action, ChangeKind, Notice, State, Stored};
use crate::templates::Templates;

const FIND: &str = "SELECT id, sequence FROM notices WHERE user_id = $1 AND dedup_key = $2
     UNION ALL SELECT id, sequence FROM told WHERE user_id = $1 AND dedup_key = $2";
const FIND_ENDING: &str = "SELECT ended FROM endings WHERE user_id = $1 AND dedup_key = $2";
const RECORD_ENDING: &str =
    "INSERT INTO endings (user_id, dedup_key, ended, created_at_us) VALUES ($1, $2, $3, $4)";
const OPEN_ABOUT: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM notices WHERE user_id = $1 AND about = $2 AND about <> '' AND state = 'open' ORDER BY sequence"
);

/// A user and a key of theirs: a dedup key, or what notices are about.
type Key<'a> = (&'a str, &'a str);

/// A batch while it is stored.
#[derive(Debug)]
struct Batch<'a> {
    now_us: i64,
    feeds: BTreeMap<&'a str, Feed>,
    /// What each dedup key came to.
    known: HashMap<Key<'a>, Sent>,
    /// Every notice that is new or that the batch may end.
    notices: Vec<Entry>,
    /// Those that are open, by what they are about.
    open: HashMap<Key<'a>, Vec<usize>>,
    endings: Vec<[Val; 4]>,
    outbox: Outbox,
    templates: &'a Templates,
}

#[derive(Debug)]
struct Entry {
    stored: Stored,
    is_new: bool,
    is_changed: bool,
}

/// Stores a batch in one transaction; what is there already is answered and not stored again.
pub(super) fn send(
    tx: &mut Tx<'_>,
    notices: &[Notice],
    templates: &Templates,
    now_us: i64,
) -> Result<SentAll, NotificationsError> {
    let mut batch = Batch::begin(tx, notices, templates, now_us)?;
    let sent = notices.iter().map(|notice| batch.apply(notice)).collect();
    batch.finish(tx, sent)
}

// === impl Batch ===

impl<'a> Batch<'a> {
    /// Locks the feeds, in the order of the users' names, then looks up what the batch depends on.
    fn begin(
        tx: &mut Tx<'_>,
        notices: &'a [Notice],
        templates: &'a Templates,
        now_us: i64,
    ) -> Result<Self, NotificationsError> {
        let mut feeds: BTreeMap<&str, Option<Feed>> =
            notices.iter().map(|notice| (notice.user_id.as_str(), None)).collect();
        for (user_id, feed) in &mut feeds {
            *feed = Some(Feed::lock_or_begin(tx, user_id)?);
        }
        let feeds: BTreeMap<&str, Feed> =
            feeds.into_iter().filter_map(|(user_id, feed)| Some((user_id, feed?))).collect();
        let routed: Vec<&str> =
            feeds.iter().filter(|(_, feed)| feed.has_routes).map(|(user, _)| *user).collect();
        let outbox = if routed.is_empty() { Outbox::default() } else { Outbox::load(tx, &routed)? };
        let mut batch = Self {
            now_us,
            outbox,
            templates,
            feeds,
            known: HashMap::new(),
            notices: Vec::with_capacity(notices.len()),
            open: HashMap::new(),
            endings: Vec::new(),
        };
        batch.look_up(tx, notices)?;
        Ok(batch)
    }

    fn look_up(&mut self, tx: &mut Tx<'_>, notices: &'a [Notice]) -> Result<(), NotificationsError> {
        let (ends, tells): (Vec<&Notice>, Vec<&Notice>) =
            notices.iter().partition(|notice| matches!(notice.action, Action::End(_)));
        let keys: Vec<[Val; 2]> = tells.iter().map(|notice| key_vals(dedup_key(notice))).collect();
        for (notice, found) in tells.iter().zip(tx.query_many(FIND, &keys)?) {
            if let Some(row) = found.first() {
                let sent = Sent {
                    id: Uuid::from_bytes(row.id(0)?),
                    sequence: row.i64(1)?,
                    ended: 0,
                    is_duplicate: true,
                };
                self.known.insert(dedup_key(notice), sent);
            }
        }
        let keys: Vec<[Val; 2]> = ends.iter().map(|notice| key_vals(dedup_key(notice))).collect();
        for (notice, found) in ends.iter().zip(tx.query_many(FIND_ENDING, &keys)?) {
            if let Some(row) = found.first() {
                let sent = Sent { id: Uuid::nil(), sequence: 0, ended: row.i64(0)?, is_duplicate: true };
                self.known.insert(dedup_key(notice), sent);
            }
        }
        let mut subjects: Vec<Key<'a>> =
            notices.iter().filter(|notice| !notice.about.is_empty()).map(subject).collect();
        subjects.sort_unstable();
        subjects.dedup();
        let keys: Vec<[Val; 2]> = subjects.iter().map(|key| key_vals(*key)).collect();
        for (key, rows) in subjects.into_iter().zip(tx.query_many(OPEN_ABOUT, &keys)?) {
            for stored in all_stored(&rows)? {
                self.open.entry(key).or_default().push(self.notices.len());
                self.notices.push(Entry { stored, is_new: false, is_changed: false });
            }
        }
        Ok(())
    }

    fn apply(&mut self, notice: &'a Notice) -> Sent {
        if let Some(known) = self.known.get(&dedup_key(notice)) {
            return *known;
        }
        let ended_as = match notice.action {
            Action::Tell => State::Replaced,
            Action::End(state) => state,
        };
        let ended = if notice.about.is_empty() { 0 } else { self.end(subject(notice), ended_as) };
        let sent = match notice.action {
            Action::Tell => self.tell(notice, ended),
            Action::End(_) => {
                let [user, key] = key_vals(dedup_key(notice));
                self.endings.push([user, key, ended.into(), self.now_us.into()]);
                Sent { id: Uuid::nil(), sequence: 0, ended, is_duplicate: false }
            }
        };
        self.known.insert(dedup_key(notice), Sent { is_duplicate: true, ..sent });
        sent
    }

    /// Ends the open notices about something; answers how many there were.
    fn end(&mut self, subject: Key<'a>, state: State) -> i64 {
        let Some(feed) = self.feeds.get_mut(subject.0) else { return 0 };
        let open = self.open.remove(&subject).unwrap_or_default();
        for &index in &open {
            let Some(entry) = self.notices.get_mut(index) else { continue };
            feed.unread -= i64::from(!entry.stored.is_read);
            entry.stored.end(state);
            entry.stored.change = feed.next_change();
            entry.stored.changed_at_us = self.now_us;
            entry.is_changed = true;
        }
        i64::try_from(open.len()).unwrap_or(i64::MAX)
    }

    fn tell(&mut self, notice: &'a Notice, ended: i64) -> Sent {
        // Every user of the batch has a feed; one without would have no place to give.
        let Some(feed) = self.feeds.get_mut(notice.user_id.as_str()) else {
            return Sent { id: Uuid::nil(), sequence: 0, ended, is_duplicate: false };
        };
        let mut stored = Stored {
            id: new_id(self.now_us),
            sequence: feed.next_sequence(),
            notice: in_words(notice, self.templates, self.outbox.locale(&notice.user_id)),
            state: State::Open,
            is_read: false,
            is_archived: false,
            created_at_us: self.now_us,
            change: feed.next_change(),
            change_kind: ChangeKind::Created,
            changed_at_us: self.now_us,
        };
        self.outbox.keep_out(&mut stored, self.now_us);
        feed.unread += i64::from(!stored.is_read);
        let sent = Sent { id: stored.id, sequence: stored.sequence, ended, is_duplicate: false };
        if !notice.about.is_empty() {
            self.open.entry(subject(notice)).or_default().push(self.notices.len());
        }
        self.notices.push(Entry { stored, is_new: true, is_changed: true });
        sent
    }

    fn finish(mut self, tx: &mut Tx<'_>, sent: Vec<Sent>) -> Result<SentAll, NotificationsError> {
        let mut changed: Vec<Entry> = self.notices.into_iter().filter(|entry| entry.is_changed).collect();
        changed.sort_by_key(|entry| entry.stored.change);
        let (mut inserts, mut updates) = (Vec::new(), Vec::new());
        for entry in &changed {
            if entry.is_new {
                inserts.push(insert_vals(&entry.stored)?);
            } else {
                updates.push(update_vals(&entry.stored));
            }
        }
        tx.execute_many(INSERT, &inserts)?;
        tx.execute_many(UPDATE, &updates)?;
        tx.execute_many(RECORD_ENDING, &self.endings)?;
        for entry in changed.iter().filter(|entry| entry.is_new && entry.stored.state == State::Open) {
            self.outbox.write(tx, &entry.stored, self.now_us)?;
        }
        let has_work = self.outbox.has_work;
        for entry in changed {
            if let Some(feed) = self.feeds.get_mut(entry.stored.notice.user_id.as_str()) {
                feed.tell(entry.stored);
            }
        }
        let changed: Vec<Feed> = self.feeds.into_values().filter(Feed::is_changed).collect();
        let advances: Vec<[Val; 4]> = changed.iter().map(Feed::advance_vals).collect();
        tx.execute_many(ADVANCE, &advances)?;
        let news = changed.into_iter().map(|feed| feed.into_news(true)).collect();
        Ok(SentAll { sent, news, has_work })
    }
}

/// The notice in the words of its user's language.
fn in_words(notice: &Notice, templates: &Templates, locale: &str) -> Notice {
    let text = templates.in_app(notice, locale);
    Notice { title: text.title, message: text.message, ..notice.clone() }
}

fn dedup_key(notice: &Notice) -> Key<'_> {
    (&notice.user_id, &notice.dedup_key)
}

fn subject(notice: &Notice) -> Key<'_> {
    (&notice.user_id, &notice.about)
}

fn key_vals((user_id, key): Key<'_>) -> [Val; 2] {
    [user_id.into(), key.into()]
}
