//! The four services as the command line sees them.

use std::time::Duration;

use pathway_finance::{Currency, Money};
use pathway_kernel::{Clock, Code, Fault, new_id};
use pathway_proto::google;
use pathway_proto::pathway::analytics::v1::analytics_service_client::AnalyticsServiceClient;
use pathway_proto::pathway::datasync::v1::datasync_service_client::DatasyncServiceClient;
use pathway_proto::pathway::notifications::v1::deliveries_service_client::DeliveriesServiceClient;
use pathway_proto::pathway::notifications::v1::notifications_service_client::NotificationsServiceClient;
use pathway_proto::pathway::notifications::v1::preferences_service_client::PreferencesServiceClient;
use pathway_proto::pathway::operations::v1::operations_service_client::OperationsServiceClient;
use pathway_proto::pathway::processor::v1::processor_service_client::ProcessorServiceClient;
use pathway_rpc::{
    Channel, ChannelConfig, Credentials, Dialer, MAX_MESSAGE_BYTES, Pair, Target, from_status,
};
use pathway_runtime::Security;
use secrecy::ExposeSecret as _;
use tonic::{Request, Response, Status};

use crate::cli::Global;

/// A client of each service.
#[derive(Debug, Clone)]
pub(crate) struct Mesh {
    /// Topics and pathways.
    pub(crate) processor: ProcessorServiceClient<Channel>,
    /// Records.
    pub(crate) datasync: DatasyncServiceClient<Channel>,
    /// Figures.
    pub(crate) analytics: AnalyticsServiceClient<Channel>,
    /// Notices.
    pub(crate) notifications: NotificationsServiceClient<Channel>,
    /// What users want to be told.
    pub(crate) preferences: PreferencesServiceClient<Channel>,
    /// What goes out.
    pub(crate) deliveries: DeliveriesServiceClient<Channel>,
}

/// What an operator asks: one client for each server.
#[derive(Debug, Clone)]
pub(crate) struct Operators {
    servers: Vec<OperationsServiceClient<Channel>>,
    /// The services that have a server of their own, with its place among them; all others are on the first.
    places: Vec<(&'static str, usize)>,
}

/// How often in a row a stream is begun again.
const MOST_CUTS: u32 = 8;
/// How long a person waits for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

// === impl Mesh ===

impl Mesh {
    /// Clients of the servers that the options name. No connection is made before the first call.
    pub(crate) fn connect(global: &Global) -> Result<Self, Fault> {
        Self::connect_as(global, &security(global)?)
    }

    /// The same, showing what this has to be shown.
    pub(crate) fn connect_as(global: &Global, security: &Security) -> Result<Self, Fault> {
        let dialer = Dialer::default();
        let channel = |name, url: &Option<String>| -> Result<Channel, Fault> {
            let target = Target::parse(url.as_deref().unwrap_or(&global.server))?;
            Ok(security.channel(&dialer, name, target, ChannelConfig::default()))
        };
        let notifications = channel("notifications", &global.notifications_server)?;
        Ok(Self {
            processor: ProcessorServiceClient::new(channel("processor", &None)?)
                .max_decoding_message_size(MAX_MESSAGE_BYTES),
            datasync: DatasyncServiceClient::new(channel("datasync", &global.datasync_server)?)
                .max_decoding_message_size(MAX_MESSAGE_BYTES),
            analytics: AnalyticsServiceClient::new(channel("analytics", &global.analytics_server)?)
                .max_decoding_message_size(MAX_MESSAGE_BYTES),
            preferences: PreferencesServiceClient::new(notifications.clone()),
            deliveries: DeliveriesServiceClient::new(notifications.clone()),
            notifications: NotificationsServiceClient::new(notifications)
                .max_decoding_message_size(MAX_MESSAGE_BYTES),
        })
    }
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
        let client = |url: &str| -> Result<OperationsServiceClient<Channel>, Fault> {
            let target = Target::parse(url)?;
            let channel = security.channel(&dialer, "operations", target, ChannelConfig::default());
            Ok(OperationsServiceClient::new(channel))
        };
        Ok(Self { servers: urls.into_iter().map(client).collect::<Result<_, Fault>>()?, places })
    }

    /// Each server.
    pub(crate) fn all(&self) -> &[OperationsServiceClient<Channel>] {
        &self.servers
    }

    /// The server of a breaker's target, which begins with the service that calls.
    pub(crate) fn of(&self, target: &str) -> &OperationsServiceClient<Channel> {
        let service = target.split('/').next().unwrap_or_default();
        let place = self.places.iter().find(|(name, _)| *name == service).map_or(0, |(_, place)| *place);
        &self.servers[place]
    }
}

/// What the options show to the servers.
fn security(global: &Global) -> Result<Security, Fault> {
    let token = global.token.as_ref().map(|token| Credentials::fixed(token.expose_secret()));
    let credentials = global.token_file.as_ref().map(Credentials::file).or(token).transpose()?;
    let pair = global.certificate.clone().zip(global.certificate_key.clone());
    let pair = pair.map(|(certificate, key)| Pair { certificate, key });
    Security::of_a_client(credentials, global.authorities.clone(), pair)
}

/// A name for one call: sent again under it, the call is not done again.
pub(crate) fn request_id() -> String {
    new_id(Clock::system().now_us()).to_string()
}

/// A request that a person waits for.
pub(crate) fn request<T>(message: T) -> Request<T> {
    request_within(message, ANSWER_WITHIN)
}

/// A request with a deadline of its own.
pub(crate) fn request_within<T>(message: T, deadline: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(deadline);
    request
}

/// The answer, or the status as a fault.
pub(crate) fn answer<T>(result: Result<Response<T>, Status>) -> Result<T, Fault> {
    result.map(Response::into_inner).map_err(fault)
}

/// A status as a fault.
fn fault(status: Status) -> Fault {
    let fault = from_status(status);
    if fault.code() != Code::Unimplemented {
        return fault;
    }
    let message = "the server does not serve this: in a mesh, --datasync-server, --analytics-server and --notifications-server \
         (or PATHWAY_DATASYNC_SERVER and so on) say where the services are";
    Fault::new(Code::Unimplemented, "NOT_SERVED", message)
}

/// Following a stream that may be cut.
#[derive(Debug, Default)]
pub(crate) struct Reconnect {
    cuts: u32,
}

// === impl Reconnect ===

impl Reconnect {
    /// Notes that the stream works.
    pub(crate) fn works(&mut self) {
        self.cuts = 0;
    }

    /// Waits before the stream is begun again, or answers why it will not be.
    pub(crate) async fn again(&mut self, ended: Result<(), Status>) -> Result<(), Fault> {
        let cut = || Fault::new(Code::Unavailable, "STREAM_CUT", "the server keeps closing the stream");
        let fault = ended.err().map_or_else(cut, fault);
        self.cuts += 1;
        // A token's file has a new one by now, or the next attempt says otherwise.
        let goes_on = fault.is_transient() || (fault.reason() == "TOKEN_EXPIRED" && self.cuts == 1);
        if !goes_on || self.cuts > MOST_CUTS {
            return Err(fault);
        }
        if self.cuts == 1 {
            eprintln!("warning: the stream was cut; connecting again");
        }
        tokio::time::sleep(Duration::from_millis(300 * u64::from(self.cuts))).await;
        Ok(())
    }
}

/// A currency by its code.
pub(crate) fn currency(code: &str) -> Result<Currency, Fault> {
    Currency::parse(code).map_err(|_| {
        let message = format!("`{code}` is no currency: give an ISO 4217 code such as USD or INR");
        Fault::new(Code::InvalidArgument, "UNKNOWN_CURRENCY", message)
    })
}

/// An amount from the wire as a decimal string with the currency's digits; an absent one is zero of `code`.
pub(crate) fn decimal(money: Option<&google::r#type::Money>, code: &str) -> Result<String, Fault> {
    let (code, units, nanos) = money.map_or((code, 0, 0), |m| (m.currency_code.as_str(), m.units, m.nanos));
    let money = Money::from_units_nanos(units, nanos, currency(code)?).map_err(Fault::internal)?;
    Ok(money.to_decimal_string())
}
