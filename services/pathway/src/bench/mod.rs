//! `pathway bench`: how fast the main job is, and what it costs.
//!
//! A bench measures what is deployed: the four binaries beside this one, as processes of their own, on loopback and on a real disk. It measures
//! from outside (the API, `/proc`, the headers of SQLite's files), so that what is measured does nothing for the measurement. And it believes no
//! figure of a run that was wrong: what was published is generated anew afterwards, summed in integers, and compared with what the services answer.
//!
//! # Why there is a limit beside it
//! An absolute figure says as much about the disk and the neighbours on the machine as about the program. So the same events are also written
//! directly into one SQLite file by one thread (`limit.rs`), in the same run and the same directory; the ratio of the two is what can be compared
//! between machines and versions.
//!
//! # What a run leaves behind
//! Nothing: the processes are killed and the directory is removed when the run ends, however it ends, Ctrl-C included.

mod events;
mod history;
mod latency;
mod limit;
mod load;
mod mesh;
mod queries;
mod report;
mod transactions;
mod usage;
mod verify;

use std::process::ExitCode;

use pathway_kernel::Fault;
use pathway_runtime::shutdown_signal;

use crate::cli::Bench;
use crate::output::{Output, note};

/// What a shell calls a process that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

pub(crate) async fn run(out: &Output, what: &Bench) -> Result<ExitCode, Fault> {
    let signal = shutdown_signal().map_err(Fault::internal)?;
    let measured = async {
        match what {
            Bench::Transactions(args) => transactions::run(out, args).await,
            Bench::History(args) => history::run(out, args).await,
            Bench::Queries(args) => queries::run(out, args).await,
        }
    };
    // What is not finished is dropped, and what it owns ends with it: processes and directory.
    tokio::select! {
        ended = measured => ended,
        () = signal => {
            note("interrupted: the processes and their directory are gone");
            Ok(ExitCode::from(INTERRUPTED))
        }
    }
}
