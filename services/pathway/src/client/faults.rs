//! What a call that failed tells, and what can be done about it.

use pathway_kernel::{Code, Fault};
use pathway_rpc::{Unreached, from_status};
use tonic::{Response, Status};

/// The reason of a fault that says that nobody is there.
pub(crate) const NO_SERVER: &str = "NO_SERVER";

/// The answer, or the status as a fault.
pub(crate) fn answer<T>(result: Result<Response<T>, Status>) -> Result<T, Fault> {
    result.map(Response::into_inner).map_err(fault)
}

/// A status as a fault.
pub(super) fn fault(status: Status) -> Fault {
    match Unreached::of(&status) {
        Some(Unreached::Tls { cause, hint }) => {
            let message = format!("there is no secure connection to the server: {cause}; {hint}");
            return Fault::new(Code::FailedPrecondition, "NO_SECURE_CONNECTION", message);
        }
        Some(Unreached::NoConnection) => {
            return Fault::new(Code::Unavailable, NO_SERVER, "nobody answers: no connection could be made");
        }
        None => {}
    }
    let fault = from_status(status);
    if fault.code() != Code::Unimplemented {
        return fault;
    }
    let message = "the server does not serve this: in a mesh, --datasync-server, --analytics-server and --notifications-server \
         (or PATHWAY_DATASYNC_SERVER and so on) say where the services are";
    Fault::new(Code::Unimplemented, "NOT_SERVED", message)
}

/// What can be done where `servers` cannot be asked.
pub(crate) fn hint(fault: &Fault, servers: &str) -> Option<String> {
    let hint =
        || format!("is it running at {servers}? `pathway up` starts it, `--server URL` names another one");
    (fault.code() == Code::Unavailable).then(hint)
}
