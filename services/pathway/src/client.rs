//! The four services as the command line sees them.

mod faults;
mod operators;

use std::time::Duration;

use pathway_finance::{Currency, Money};
use pathway_kernel::{Backoff, Clock, Code, Fault, new_id};
use pathway_proto::google;
use pathway_proto::pathway::analytics::v1::analytics_service_client::AnalyticsServiceClient;
use pathway_proto::pathway::datasync::v1::datasync_service_client::DatasyncServiceClient;
use pathway_proto::pathway::notifications::v1::deliveries_service_client::DeliveriesServiceClient;
use pathway_proto::pathway::notifications::v1::notifications_service_client::NotificationsServiceClient;
use pathway_proto::pathway::notifications::v1::preferences_service_client::PreferencesServiceClient;
use pathway_proto::pathway::processor::v1::processor_service_client::ProcessorServiceClient;
use pathway_rpc::{
    Channel, ChannelConfig, Credentials, Dialer, MAX_MESSAGE_BYTES, Pair, RetryConfig, Target,
};
use pathway_runtime::Security;
use secrecy::ExposeSecret as _;
use tonic::{Request, Status};

use crate::cli::Global;
use crate::output::note;
pub(crate) use faults::{NO_SERVER, answer, hint};
pub(crate) use operators::{Operators, Server};

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

/// How often in a row a stream is begun again.
const MOST_CUTS: u32 = 8;
/// The waits before a call is made again.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_millis(200);
const JITTER: f64 = 0.5;
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
            Ok(security.channel(&dialer, name, target, patient()))
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

/// Calls of somebody who waits and can come again: a hiccup is sat out, and that nobody is there is said at once.
fn patient() -> ChannelConfig {
    let backoff = Backoff::try_new(FIRST_WAIT, LONGEST_WAIT, JITTER).unwrap_or_default();
    ChannelConfig { retry: RetryConfig { backoff, ..RetryConfig::default() }, ..ChannelConfig::default() }
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

/// Following a stream that may be cut.
#[derive(Debug, Default)]
pub(crate) struct Reconnect {
    cuts: u32,
    has_worked: bool,
}

// === impl Reconnect ===

impl Reconnect {
    /// Notes that the stream works.
    pub(crate) fn works(&mut self) {
        (self.cuts, self.has_worked) = (0, true);
    }

    /// Waits before the stream is begun again, or answers why it will not be. Where nobody was ever there, nobody is waited for.
    pub(crate) async fn again(&mut self, ended: Result<(), Status>) -> Result<(), Fault> {
        let cut = || Fault::new(Code::Unavailable, "STREAM_CUT", "the server keeps closing the stream");
        let fault = ended.err().map_or_else(cut, faults::fault);
        self.cuts += 1;
        // A token's file has a new one by now, or the next attempt says otherwise.
        let goes_on = fault.is_transient() || (fault.reason() == "TOKEN_EXPIRED" && self.cuts == 1);
        let is_there = self.has_worked || fault.reason() != NO_SERVER;
        if !goes_on || !is_there || self.cuts > MOST_CUTS {
            return Err(fault);
        }
        if self.cuts == 1 {
            note("warning: the stream was cut; connecting again");
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
