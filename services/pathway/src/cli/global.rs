//! The options of every command: where the services are, who asks, and how to print.

use std::path::PathBuf;

use clap::Args;
use secrecy::SecretString;

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The all-in-one server, or the processor of a mesh.
    #[arg(
        long,
        global = true,
        env = "PATHWAY_SERVER",
        default_value = "http://127.0.0.1:7000",
        value_name = "URL"
    )]
    pub server: String,
    /// The datasync service, where it is not on the server.
    #[arg(long, global = true, env = "PATHWAY_DATASYNC_SERVER", value_name = "URL")]
    pub datasync_server: Option<String>,
    /// The analytics service, where it is not on the server.
    #[arg(long, global = true, env = "PATHWAY_ANALYTICS_SERVER", value_name = "URL")]
    pub analytics_server: Option<String>,
    /// The notifications service, where it is not on the server.
    #[arg(long, global = true, env = "PATHWAY_NOTIFICATIONS_SERVER", value_name = "URL")]
    pub notifications_server: Option<String>,
    /// The file with the token to show, read again while a command runs.
    #[arg(long, global = true, env = "PATHWAY_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The token to show. From the environment only: a command line can be read by everybody on the machine.
    #[arg(skip = token_of_environment())]
    pub token: Option<SecretString>,
    /// The authorities (PEM) whose servers are believed at `https://` URLs; the machine's unless given.
    #[arg(long, global = true, env = "PATHWAY_AUTHORITIES", value_name = "FILE")]
    pub authorities: Option<PathBuf>,
    /// The certificate (PEM) to show to servers that ask for one.
    #[arg(
        long,
        global = true,
        env = "PATHWAY_CERTIFICATE",
        value_name = "FILE",
        requires = "certificate_key"
    )]
    pub certificate: Option<PathBuf>,
    /// The certificate's key (PEM).
    #[arg(
        long,
        global = true,
        env = "PATHWAY_CERTIFICATE_KEY",
        value_name = "FILE",
        requires = "certificate"
    )]
    pub certificate_key: Option<PathBuf>,
    /// Print one JSON document to standard output and nothing else there.
    #[arg(long, global = true)]
    pub json: bool,
}

// === impl Global ===

impl Global {
    /// All services on one server.
    pub(crate) fn of(server: String) -> Self {
        Self {
            server,
            datasync_server: None,
            analytics_server: None,
            notifications_server: None,
            token_file: None,
            token: None,
            authorities: None,
            certificate: None,
            certificate_key: None,
            json: false,
        }
    }

    /// Where calls go, for people.
    pub(crate) fn servers(&self) -> String {
        let others = [&self.datasync_server, &self.analytics_server, &self.notifications_server];
        let all: Vec<&str> = std::iter::once(self.server.as_str())
            .chain(others.into_iter().flatten().map(String::as_str))
            .collect();
        all.join(", ")
    }
}

fn token_of_environment() -> Option<SecretString> {
    std::env::var("PATHWAY_TOKEN").ok().filter(|token| !token.is_empty()).map(SecretString::from)
}
