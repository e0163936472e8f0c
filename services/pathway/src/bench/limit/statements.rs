//! What the limit asks of SQLite.

pub(super) const REACHED: &str = "SELECT position FROM progress WHERE id = 1";
pub(super) const REACH: &str = "UPDATE progress SET position = $1 WHERE id = 1";
pub(super) const ADD_EVENT: &str = "INSERT INTO events (position, payload) VALUES ($1, $2)";
pub(super) const FIND_RECORD: &str = "SELECT version, kind, minor, currency, category, day, merchant FROM records WHERE user_id = $1 AND line_key = $2";
pub(super) const PUT_RECORD: &str = "INSERT INTO records (user_id, line_key, version, kind, minor, currency, category, day, merchant)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (user_id, line_key) DO UPDATE SET version = excluded.version,
     kind = excluded.kind, minor = excluded.minor, currency = excluded.currency, category = excluded.category,
     day = excluded.day, merchant = excluded.merchant";
pub(super) const ADD_VERSION: &str = "INSERT INTO versions
     (user_id, line_key, version, kind, minor, currency, category, day, merchant, position)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
pub(super) const DROP_FACT: &str =
    "DELETE FROM facts WHERE user_id = $1 AND category = $2 AND day = $3 AND line_key = $4";
pub(super) const PUT_FACT: &str =
    "INSERT INTO facts (user_id, category, day, line_key, kind, minor, currency)
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (user_id, category, day, line_key)
     DO UPDATE SET kind = excluded.kind, minor = excluded.minor, currency = excluded.currency";
pub(super) const PURCHASES: &str =
    "SELECT day, line_key, minor FROM facts WHERE user_id = $1 AND category = $2 AND kind = 1 AND minor > 0
     ORDER BY day DESC, line_key DESC LIMIT $3";
pub(super) const FIND_TOTALS: &str =
    "SELECT gross, refunds, count FROM day_totals WHERE user_id = $1 AND category = $2 AND day = $3";
pub(super) const PUT_TOTALS: &str =
    "INSERT INTO day_totals (user_id, category, day, gross, refunds, count) VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (user_id, category, day)
     DO UPDATE SET gross = excluded.gross, refunds = excluded.refunds, count = excluded.count";
pub(super) const FIND_BUDGETS: &str = "SELECT category, minor FROM budgets WHERE user_id = $1";
pub(super) const SPENT: &str = "SELECT CAST(COALESCE(SUM(gross - refunds), 0) AS BIGINT) FROM day_totals
     WHERE user_id = $1 AND category = $2 AND day >= $3 AND day < $4";
pub(super) const FIRED: &str =
    "SELECT threshold FROM crossings WHERE user_id = $1 AND category = $2 AND period_start = $3";
pub(super) const FIRE: &str =
    "INSERT INTO crossings (user_id, category, period_start, threshold) VALUES ($1, $2, $3, $4)";
pub(super) const NOTIFY: &str = "INSERT INTO notices (user_id, dedup_key, type, message, is_read, created_at_us) VALUES ($1, $2, $3, $4, 0, $5)
     ON CONFLICT (user_id, dedup_key) DO NOTHING";
pub(super) const ADD_EXECUTION: &str =
    "INSERT INTO executions (position, pathway, event_id, status, nodes, started_at_us, duration_us)
     VALUES ($1, 'transactions', $2, 1, $3, $4, 0)";
pub(super) const NODES: &str =
    r#"[{"node":"update","status":1},{"node":"analyze","status":1},{"node":"notify","status":1}]"#;
