//! How long texts may be.
//!
//! What names a record is part of an index, and PostgreSQL's index rows end at about 2,700 bytes: the names together stay well below that.

pub(crate) const USER_ID: usize = 256;
pub(crate) const SOURCE: usize = 64;
pub(crate) const ACCOUNT: usize = 256;
pub(crate) const KEY: usize = 512;
pub(crate) const CATEGORY: usize = 256;
pub(crate) const EPOCH: usize = 64;
pub(crate) const FREE_TEXT: usize = 64 * 1024;
