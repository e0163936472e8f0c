//! Who makes a call, as its handler sees it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use pathway_kernel::Clock;
use tonic::{Request, Status};

use super::AuthError;
use crate::status;

/// Who makes a call.
#[derive(Clone)]
pub struct Identity {
    role: Role,
    subject: Arc<str>,
    until: Option<Until>,
}

/// In what role somebody calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Nothing checks who calls: everybody may do everything.
    Anyone,
    /// Nobody was asked for a token; also who comes past the [`Guard`](super::Guard), so that a server without one refuses.
    Nobody,
    /// A user, who may speak for itself.
    User,
    /// Somebody who runs the pathways. Not a user's delegate: figures, records and notices are not theirs to see.
    Operator,
    /// A service, which acts for any user.
    Service,
}

/// When a token ends, and the clock that tells.
#[derive(Clone)]
struct Until {
    clock: Clock,
    at_us: i64,
}

/// Wall time may be set while somebody sleeps, so nobody sleeps longer than this without looking at it.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

// === impl Identity ===

impl Identity {
    /// Somebody in a role, whose token does not end.
    #[must_use]
    pub fn new(role: Role, subject: &str) -> Self {
        Self { role, subject: subject.into(), until: None }
    }

    /// The same, until an instant in microseconds since the Unix epoch by `clock`.
    #[must_use]
    pub fn until(mut self, clock: Clock, at_us: i64) -> Self {
        self.until = Some(Until { clock, at_us });
        self
    }

    /// Who makes this call.
    #[must_use]
    pub fn of<T>(request: &Request<T>) -> Self {
        request.extensions().get().cloned().unwrap_or_else(|| Self::new(Role::Nobody, ""))
    }

    /// The role.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// The token's `sub`: the user's id, or the service's name. Not for logs.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Lets the caller speak for `user_id`; a user may leave it empty and means itself.
    ///
    /// # Errors
    /// Where it is somebody else.
    pub fn speak_for(&self, user_id: &mut String) -> Result<(), AuthError> {
        match self.role {
            Role::Anyone | Role::Service => Ok(()),
            Role::User if user_id.is_empty() => {
                *user_id = self.subject.as_ref().to_owned();
                Ok(())
            }
            Role::User if *user_id == *self.subject => Ok(()),
            Role::User | Role::Operator | Role::Nobody => Err(AuthError::NotYours),
        }
    }

    /// Ends when the token does; never for one that does not end.
    pub async fn expired(self) {
        let Some(Until { clock, at_us }) = self.until else { return std::future::pending().await };
        loop {
            let left_us = at_us.saturating_sub(clock.now_us());
            let Ok(left_us) = u64::try_from(left_us) else { return };
            if left_us == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_micros(left_us).min(LONGEST_SLEEP)).await;
        }
    }

    /// Whether the token ends at all.
    pub(crate) const fn ends(&self) -> bool {
        self.until.is_some()
    }

    /// The same, with some time more.
    pub(crate) fn later(mut self, by: Duration) -> Self {
        if let Some(until) = &mut self.until {
            until.at_us = until.at_us.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX));
        }
        self
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The subject is a user's id, which is nobody's business in a log.
        f.debug_struct("Identity").field("role", &self.role).finish_non_exhaustive()
    }
}

/// The message of a request about one user, where its caller may speak for that user.
///
/// # Errors
/// `PERMISSION_DENIED` where it may not. That is decided before anything is looked up, so the answer says nothing about what there is.
pub fn own<T>(request: Request<T>, user_id: impl FnOnce(&mut T) -> &mut String) -> Result<T, Status> {
    let caller = Identity::of(&request);
    let mut message = request.into_inner();
    caller.speak_for(user_id(&mut message)).map_err(status)?;
    Ok(message)
}

#[cfg(test)]
mod tests {
    use pathway_kernel::ManualClock;

    use super::*;

    fn speak(role: Role, user_id: &str) -> Result<String, AuthError> {
        let mut user_id = user_id.to_owned();
        Identity::new(role, "asha").speak_for(&mut user_id).map(|()| user_id)
    }

    #[test]
    fn a_user_speaks_for_itself_alone() {
        assert_eq!(speak(Role::User, "asha").unwrap(), "asha");
        assert_eq!(speak(Role::User, "").unwrap(), "asha");
        for other in ["ravi", "Asha", "asha ", "asha\0"] {
            assert_eq!(speak(Role::User, other), Err(AuthError::NotYours), "{other:?}");
        }
    }

    #[test]
    fn a_service_speaks_for_any_user_and_an_operator_for_none() {
        assert_eq!(speak(Role::Service, "ravi").unwrap(), "ravi");
        assert_eq!(speak(Role::Anyone, "").unwrap(), "");
        for role in [Role::Operator, Role::Nobody] {
            assert_eq!(speak(role, "asha"), Err(AuthError::NotYours));
        }
    }

    #[test]
    fn who_comes_past_the_guard_is_nobody() {
        assert_eq!(Identity::of(&Request::new(())).role(), Role::Nobody);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_forward_ends_a_token() {
        let manual = ManualClock::at(0);
        let identity = Identity::new(Role::User, "asha").until(Clock::manual(&manual), 3_600_000_000);
        let ended = tokio::spawn(identity.expired());
        tokio::time::sleep(Duration::from_secs(7200)).await;
        assert!(!ended.is_finished(), "the wall clock stands still");
        manual.set(3_600_000_000);
        ended.await.unwrap();
    }
}
