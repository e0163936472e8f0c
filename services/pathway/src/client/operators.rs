//! Every server of the mesh, for what is asked of each.

use pathway_kernel::Fault;
use pathway_proto::pathway::operations::v1::operations_service_client::OperationsServiceClient;
use pathway_rpc::{Channel, Dialer, Target};

use super::{patient, security};
use crate::cli::Global;

/// What an operator asks: each server once.
#[derive(Debug, Clone)]
pub(crate) struct Operators {
    servers: Vec<Server>,
    /// The services that have a server of their own, with its place among them; all others are on the first.
    places: Vec<(&'static str, usize)>,
}

/// One of them.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// Where it is, for people.
    pub(crate) url: String,
    pub(crate) client: OperationsServiceClient<Channel>,
}

// === impl Operators ===

impl Operators {
    /// Clients of the servers that the options name. No connection is made before the first call.
    pub(crate) fn connect(global: &Global) -> Result<Self, Fault> {
        let mut urls = vec![global.server.as_str()];
        let mut places = Vec::new();
        let own = [
            ("datasync", &global.datasync_server),
            ("analytics", &global.analytics_server),
            ("notifications", &global.notifications_server),
        ];
        for (service, url) in own {
            let Some(url) = url.as_deref() else { continue };
            let known = urls.iter().position(|known| *known == url);
            places.push((service, known.unwrap_or(urls.len())));
            if known.is_none() {
                urls.push(url);
            }
        }
        let (security, dialer) = (security(global)?, Dialer::default());
        let server = |url: &str| -> Result<Server, Fault> {
            let target = Target::parse(url)?;
            // By its URL: a server that is away must not open the breaker before another one.
            let channel = security.channel(&dialer, url, target, patient());
            Ok(Server { url: url.to_owned(), client: OperationsServiceClient::new(channel) })
        };
        Ok(Self { servers: urls.into_iter().map(server).collect::<Result<_, Fault>>()?, places })
    }

    /// Each server.
    pub(crate) fn all(&self) -> &[Server] {
        &self.servers
    }

    /// The server of a breaker's target, which begins with the service that calls.
    pub(crate) fn of(&self, target: &str) -> &Server {
        let service = target.split('/').next().unwrap_or_default();
        let place = self.places.iter().find(|(name, _)| *name == service).map_or(0, |(_, place)| *place);
        &self.servers[place]
    }
}
