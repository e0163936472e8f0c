//! How often a user may call.
//!
//! The generic cell rate algorithm: one instant for each user, the one up to which its calls so far are paid for. A call moves it by what a call costs; it is
//! refused where that would lie further ahead than the burst allows. Users who are quiet cost nothing, because an instant that has passed says the same as none.
//!
//! The `governor` crate does the same and tells the time by a clock of its own, which a test cannot stop together with tokio's.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pathway_kernel::{Code, Fault};
use tokio::time::Instant;

/// How often each user may call.
#[derive(Debug)]
pub struct Limits {
    /// What a call costs.
    cost: Duration,
    /// How far ahead of now a user's calls may be paid for.
    burst: Duration,
    users: Mutex<Users>,
}

#[derive(Debug, Default)]
struct Users {
    paid_until: HashMap<String, Instant>,
    /// With so many users those who are quiet are forgotten.
    sweep_at: usize,
}

/// Below this many users nobody is forgotten.
const FEW: usize = 1024;

// === impl Limits ===

impl Limits {
    /// So many calls a second, and so many at once by who has been quiet.
    #[must_use]
    pub fn new(calls_per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        let cost = Duration::from_secs(1) / calls_per_second.get();
        Self { cost, burst: cost * burst.get(), users: Mutex::default() }
    }

    /// Lets a user call once more.
    ///
    /// # Errors
    /// Where it calls too often; with the time after which to come again.
    pub fn admit(&self, user: &str) -> Result<(), Fault> {
        let now = Instant::now();
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        users.sweep(now);
        let paid_until = users.paid_until.get(user).copied().unwrap_or(now).max(now);
        let paid_then = paid_until + self.cost;
        let ahead = paid_then.saturating_duration_since(now);
        if ahead > self.burst {
            let message = "too many calls of one user: wait as long as RetryInfo says";
            let fault = Fault::new(Code::ResourceExhausted, "RATE_LIMITED", message);
            return Err(fault.with_retry_after(ahead - self.burst));
        }
        match users.paid_until.get_mut(user) {
            Some(until) => *until = paid_then,
            None => drop(users.paid_until.insert(user.to_owned(), paid_then)),
        }
        Ok(())
    }
}

// === impl Users ===

impl Users {
    fn sweep(&mut self, now: Instant) {
        if self.paid_until.len() < self.sweep_at.max(FEW) {
            return;
        }
        self.paid_until.retain(|_, until| *until > now);
        // Not before they are twice as many: so the sweeps cost each call a constant.
        self.sweep_at = self.paid_until.len() * 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(calls_per_second: u32, burst: u32) -> Limits {
        Limits::new(NonZeroU32::new(calls_per_second).unwrap(), NonZeroU32::new(burst).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_then_the_rate_holds() {
        let limits = limits(10, 3);
        for _ in 0..3 {
            limits.admit("asha").unwrap();
        }
        let refused = limits.admit("asha").unwrap_err();
        assert_eq!((refused.code(), refused.reason()), (Code::ResourceExhausted, "RATE_LIMITED"));
        assert_eq!(refused.retry_after(), Some(Duration::from_millis(100)));
        limits.admit("ravi").unwrap();
        tokio::time::advance(refused.retry_after().unwrap()).await;
        limits.admit("asha").unwrap();
        assert!(limits.admit("asha").is_err());
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!((0..9).filter(|_| limits.admit("asha").is_ok()).count(), 3, "quiet time is not saved up");
    }

    #[tokio::test(start_paused = true)]
    async fn users_who_are_quiet_are_forgotten() {
        let limits = limits(10, 3);
        for user in 0..FEW {
            limits.admit(&user.to_string()).unwrap();
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        limits.admit("asha").unwrap();
        assert_eq!(limits.users.lock().unwrap().paid_until.len(), 1);
    }
}
