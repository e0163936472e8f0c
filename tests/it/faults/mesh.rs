//! Four processes with a proxy before each peer, and whoever calls them.

use std::collections::BTreeMap;
use std::time::Duration;

use pathway_finance::{CivilDate, Currency, Money};
use pathway_kernel::{Code, Fault};
use pathway_proto::pathway::analytics::v1 as analytics;
use pathway_proto::pathway::datasync::v1 as datasync;
use pathway_proto::pathway::notifications::v1 as notifications;
use pathway_proto::pathway::processor::v1 as processor;
use pathway_rpc::{Channel, ChannelConfig, RetryConfig, Target, from_money, from_status, to_date, to_money};
use pathway_testkit::{Layout, Services};
use serde_json::Value;
use tonic::Request;

use super::proxy::Proxy;
use crate::this_month;

/// Whoever is called over the network: the processor's three peers, and datasync once more by analytics, which follows its feed.
pub(super) const PEERS: [&str; 4] = ["datasync", "analytics", "notifications", "feed"];

/// The processes and the proxies between them.
pub(super) struct Mesh {
    pub(super) services: Services,
    pub(super) proxies: BTreeMap<&'static str, Proxy>,
    clients: Clients,
}

/// Ways to the services that no fault touches.
#[derive(Debug, Clone)]
pub(super) struct Clients {
    processor: processor::processor_service_client::ProcessorServiceClient<Channel>,
    analytics: analytics::analytics_service_client::AnalyticsServiceClient<Channel>,
    datasync: datasync::datasync_service_client::DatasyncServiceClient<Channel>,
    notifications: notifications::notifications_service_client::NotificationsServiceClient<Channel>,
}

// === impl Mesh ===

impl Mesh {
    pub(super) async fn start() -> Self {
        let mut proxies = BTreeMap::new();
        for peer in PEERS {
            proxies.insert(peer, Proxy::start().await);
        }
        let urls: Vec<(String, String)> = proxies
            .iter()
            .map(|(peer, proxy)| match *peer {
                "feed" => ("PATHWAY_ANALYTICS__PEERS__DATASYNC".to_owned(), proxy.url()),
                peer => (format!("PATHWAY_PROCESSOR__PEERS__{}", peer.to_uppercase()), proxy.url()),
            })
            .collect();
        let environment: Vec<(&str, &str)> =
            urls.iter().map(|(variable, url)| (variable.as_str(), url.as_str())).collect();
        let services = Services::start_with(Layout::Mesh, &environment);
        for (peer, proxy) in &proxies {
            proxy.lead_to(&services.url(if *peer == "feed" { "datasync" } else { peer }));
        }
        let clients = Clients::of(&services);
        Self { services, proxies, clients }
    }

    pub(super) fn clients(&self) -> &Clients {
        &self.clients
    }

    /// A new caller of a peer, over its proxy.
    pub(super) fn caller(&self, peer: &'static str) -> Channel {
        channel(peer, &self.proxies[peer].url())
    }
}

// === impl Clients ===

impl Clients {
    /// Those of services, each at its own address.
    pub(super) fn of(services: &Services) -> Self {
        let to = |service: &'static str| channel(service, &services.url(service));
        Self::over(to("processor"), to("analytics"), to("datasync"), to("notifications"))
    }

    pub(super) fn over(
        processor: Channel,
        analytics: Channel,
        datasync: Channel,
        notifications: Channel,
    ) -> Self {
        Self {
            processor: processor::processor_service_client::ProcessorServiceClient::new(processor),
            analytics: analytics::analytics_service_client::AnalyticsServiceClient::new(analytics),
            datasync: datasync::datasync_service_client::DatasyncServiceClient::new(datasync),
            notifications: notifications::notifications_service_client::NotificationsServiceClient::new(
                notifications,
            ),
        }
    }

    /// Publishes events; answers where they are once they are on disk.
    pub(super) async fn publish(&self, events: &[Value]) -> Result<Vec<processor::EventPosition>, Fault> {
        let event =
            |data: &Value| processor::Event { data: data.to_string().into_bytes(), ..Default::default() };
        let message = processor::PublishRequest {
            topic: "transactions".to_owned(),
            events: events.iter().map(event).collect(),
            ..Default::default()
        };
        let request = within(message, Duration::from_secs(30));
        let answer = self.processor.clone().publish(request).await.map_err(from_status)?.into_inner();
        let accepted = answer.results.into_iter().map(|result| match result.result.unwrap() {
            processor::publish_result::Result::Accepted(position) => Ok(position),
            processor::publish_result::Result::Error(error) => Err(pathway_rpc::from_item_status(error)),
        });
        accepted.collect()
    }

    /// Waits so long for events to have been processed.
    pub(super) async fn await_processed(
        &self,
        positions: &[processor::EventPosition],
        timeout: Duration,
    ) -> Result<(), Fault> {
        let message = processor::AwaitProcessedRequest {
            topic: "transactions".to_owned(),
            positions: positions.to_vec(),
        };
        let request = within(message, timeout);
        self.processor.clone().await_processed(request).await.map(|_| ()).map_err(from_status)
    }

    pub(super) async fn set_budget(&self, user: &str, cents: i64) {
        let limit = Some(to_money(Money::new(cents, Currency::parse("USD").unwrap())));
        let request = analytics::SetBudgetsRequest {
            user_id: user.to_owned(),
            limits: vec![analytics::BudgetLimit {
                category: "dining".to_owned(),
                limit,
                ..analytics::BudgetLimit::default()
            }],
            ..Default::default()
        };
        self.analytics.clone().set_budgets(request).await.unwrap();
    }

    /// What a user has spent this month, in cents, and in how many lines.
    pub(super) async fn spent(&self, user: &str, from: &str, until: CivilDate) -> (i64, i64) {
        let request = analytics::GetSpendingRequest {
            user_id: user.to_owned(),
            start: Some(to_date(CivilDate::parse(from).unwrap())),
            end: Some(to_date(until)),
            ..Default::default()
        };
        let total = self.analytics.clone().get_spending(request).await.unwrap().into_inner().total.unwrap();
        (from_money(total.net.as_ref()).unwrap().minor(), total.count)
    }

    /// The same from the first of this month on.
    pub(super) async fn spent_this_month(&self, user: &str) -> (i64, i64) {
        let today = this_month();
        let tomorrow = CivilDate::parse(&today).unwrap().add_days(1).unwrap();
        self.spent(user, &format!("{}-01", &today[..7]), tomorrow).await
    }

    /// The types of what a user was told of a budget, in order.
    pub(super) async fn alerts(&self, user: &str) -> Vec<String> {
        let request = notifications::ListNoticesRequest { user_id: user.to_owned(), ..Default::default() };
        let listed = self.notifications.clone().list_notices(request).await.unwrap().into_inner().notices;
        let types = listed.into_iter().filter_map(|stored| stored.notice).map(|notice| notice.r#type);
        types.filter(|kind| kind.starts_with("budget_")).collect()
    }

    /// How often events with this key were run, and how many failed for good, of all.
    pub(super) async fn runs(&self, key: &str) -> (usize, i64) {
        let (mut count, mut page_token) = (0, String::new());
        loop {
            let request = processor::ListExecutionsRequest {
                partition_key: key.to_owned(),
                page_size: 1000,
                page_token,
                ..Default::default()
            };
            let page = self.processor.clone().list_executions(request).await.unwrap().into_inner();
            count += page.executions.len();
            if page.next_page_token.is_empty() {
                break;
            }
            page_token = page.next_page_token;
        }
        let mut client = self.processor.clone();
        let letters = client.list_dead_letters(processor::ListDeadLettersRequest::default()).await;
        (count, letters.unwrap().into_inner().total)
    }

    /// Imports lines of 1.00 each and answers the sequence to wait for.
    pub(super) async fn import(&self, user: &str, lines: usize) -> i64 {
        let header = "Date,Description,Amount,Transaction Type,Category,Account Name\n";
        let lines: String =
            (0..lines).map(|n| format!("01/02/2018,Shop {n},1.00,debit,Shopping,Card\n")).collect();
        let request = datasync::ImportStatementRequest {
            user_id: user.to_owned(),
            account: "card".to_owned(),
            content: format!("{header}{lines}").into_bytes(),
            ..Default::default()
        };
        self.datasync.clone().import_statement(request).await.unwrap().into_inner().sequence
    }

    /// Waits so long until analytics has followed the imports up to a sequence.
    pub(super) async fn await_changes(&self, sequence: i64, timeout: Duration) -> Result<(), Fault> {
        let request = within(analytics::AwaitChangesRequest { sequence }, timeout);
        self.analytics.clone().await_changes(request).await.map(|_| ()).map_err(from_status)
    }
}

/// A request with a deadline.
pub(super) fn within<M>(message: M, timeout: Duration) -> Request<M> {
    let mut request = Request::new(message);
    request.set_timeout(timeout);
    request
}

/// What a caller was told, for the table.
pub(super) fn told(answer: &Result<(), Fault>) -> String {
    match answer {
        Ok(()) => "OK".to_owned(),
        Err(fault) if fault.code() == Code::DeadlineExceeded => fault.code().name().to_owned(),
        Err(fault) => format!("{} {}", fault.code().name(), fault.reason()),
    }
}

fn channel(name: &'static str, url: &str) -> Channel {
    // One attempt: the table says what a call is answered, not what has become of it after some.
    let retry = RetryConfig { attempts: 1, ..RetryConfig::default() };
    Channel::new(name, Target::parse(url).unwrap(), ChannelConfig { retry, ..ChannelConfig::default() })
}
