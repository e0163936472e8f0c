//! Gathering what is wrong with an input.
//!
//! The predecessor named one error at a time. Here a check goes on after a violation, and what comes of it is all of them, or none.

use crate::Violation;

/// Gathers what is wrong with an input.
#[derive(Debug, Default)]
pub struct Check(Vec<Violation>);

// === impl Check ===

impl Check {
    /// Notes a problem with a field, if there is one.
    pub fn note(&mut self, field: &str, problem: Option<impl Into<String>>) {
        self.0.extend(problem.map(|problem| Violation::new(field, problem)));
    }

    /// The value, or its error noted.
    pub fn take<T, E: ToString>(&mut self, field: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.0.push(Violation::new(field, error.to_string()))).ok()
    }

    /// A text that may be left out, of at most `longest` bytes.
    pub fn text(&mut self, field: &str, text: &str, longest: usize) {
        self.note(field, text_problem(text, longest));
    }

    /// A text that must be there, of at most `longest` bytes.
    pub fn required(&mut self, field: &str, text: &str, longest: usize) {
        if text.is_empty() {
            self.note(field, Some("is required"));
        } else {
            self.text(field, text, longest);
        }
    }

    /// The id of a call, which may be left out: a UUID.
    pub fn request_id(&mut self, field: &str, id: &str) {
        let is_id = id.is_empty() || uuid::Uuid::try_parse(id).is_ok();
        self.note(field, (!is_id).then_some("is no UUID: take a new one for each request"));
    }

    /// A list of at most `most` items.
    pub fn at_most(&mut self, field: &str, count: usize, most: usize) {
        let problem = || format!("has {count} items; a call may have {most}: make several");
        self.note(field, (count > most).then(problem));
    }

    /// The size of a page: `usual` where 0 was asked for, never more than `largest`.
    pub fn page_size(&mut self, field: &str, asked: i32, usual: i64, largest: i64) -> i64 {
        self.note(field, (asked < 0).then_some("must not be negative"));
        if asked == 0 { usual } else { i64::from(asked).min(largest) }
    }

    /// Whether nothing was wrong so far.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.0.is_empty()
    }

    /// Nothing, or everything that is wrong.
    ///
    /// # Errors
    /// All violations, where there are any.
    pub fn done(self) -> Result<(), Vec<Violation>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}

/// What is wrong with a text, if anything: it is longer than `longest` bytes, or holds a NUL, which PostgreSQL cannot store; so that one such text
/// is refused by itself and never fails the batch around it.
#[must_use]
pub fn text_problem(text: &str, longest: usize) -> Option<String> {
    if text.len() > longest {
        return Some(format!("is {} bytes long; {longest} is the limit", text.len()));
    }
    text.contains('\0').then(|| "contains a NUL character".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_empty_and_nul_texts_are_named() {
        assert_eq!(text_problem("abc", 3), None);
        assert!(text_problem("abcd", 3).unwrap().contains("limit"));
        assert!(text_problem("a\0", 3).unwrap().contains("NUL"));
    }

    #[test]
    fn every_violation_is_gathered() {
        let mut check = Check::default();
        check.required("a", "", 3);
        check.text("b", "long", 3);
        assert_eq!(check.take::<i32, _>("c", Err("is no number")), None);
        check.at_most("d", 5, 4);
        check.request_id("no", "");
        check.request_id("no", "0192f0c1-2345-7abc-8def-0123456789ab");
        check.request_id("id", "17");
        assert_eq!(check.page_size("e", -1, 10, 20), -1);
        assert_eq!(check.page_size("f", 0, 10, 20), 10);
        assert_eq!(check.page_size("f", 100, 10, 20), 20);
        assert!(!check.is_clean());
        let fields: Vec<String> = check.done().unwrap_err().into_iter().map(|v| v.field).collect();
        assert_eq!(fields, ["a", "b", "c", "d", "id", "e"]);
    }
}
