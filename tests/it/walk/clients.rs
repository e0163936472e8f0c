//! What is stored for a user, and what a service sees of it.

use analytics::analytics_service_client::AnalyticsServiceClient;
use datasync::datasync_service_client::DatasyncServiceClient;
use notifications::deliveries_service_client::DeliveriesServiceClient;
use notifications::notifications_service_client::NotificationsServiceClient;
use pathway_proto::google::r#type::Money;
use pathway_proto::pathway::analytics::v1 as analytics;
use pathway_proto::pathway::datasync::v1 as datasync;
use pathway_proto::pathway::notifications::v1 as notifications;
use pathway_proto::pathway::processor::v1 as processor;
use pathway_rpc::Channel;
use processor::processor_service_client::ProcessorServiceClient;
use serde_json::json;

use super::mesh::Mesh;

/// A browser's keys, as RFC 8291 has them for an example.
const P256DH: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";

/// What a service sees of asha's data.
#[derive(Debug, PartialEq)]
pub(super) struct Held {
    pub(super) records: Vec<pathway_proto::pathway::types::v1::Record>,
    pub(super) notices: Vec<notifications::StoredNotice>,
    pub(super) budgets: Vec<analytics::Budget>,
    pub(super) goals: Vec<analytics::Goal>,
    pub(super) contributions: Vec<analytics::GoalContribution>,
    pub(super) webhooks: Vec<notifications::Webhook>,
    pub(super) subscriptions: Vec<notifications::PushSubscription>,
    pub(super) deliveries: Vec<notifications::Delivery>,
    pub(super) tokens: Vec<String>,
}

pub(super) struct Clients {
    pub(super) processor: ProcessorServiceClient<Channel>,
    pub(super) datasync: DatasyncServiceClient<Channel>,
    pub(super) analytics: AnalyticsServiceClient<Channel>,
    pub(super) notifications: NotificationsServiceClient<Channel>,
    pub(super) deliveries: DeliveriesServiceClient<Channel>,
}

// === impl Clients ===

impl Clients {
    pub(super) fn of_a_service(mesh: &Mesh) -> Self {
        let channel = |name| mesh.channel(name, Some(mesh.credentials("test", "service")));
        Self {
            processor: ProcessorServiceClient::new(channel("processor")),
            datasync: DatasyncServiceClient::new(channel("datasync")),
            analytics: AnalyticsServiceClient::new(channel("analytics")),
            notifications: NotificationsServiceClient::new(channel("notifications")),
            deliveries: DeliveriesServiceClient::new(channel("notifications")),
        }
    }

    /// A webhook to where none may lead, so that its messages fail for good, and a browser.
    async fn connect(&mut self, user: &str) {
        let webhook = notifications::CreateWebhookRequest {
            user_id: user.to_owned(),
            url: format!("http://127.0.0.1:9/{user}"),
            description: user.to_owned(),
            ..Default::default()
        };
        self.deliveries.create_webhook(webhook).await.unwrap();
        let browser = notifications::CreatePushSubscriptionRequest {
            user_id: user.to_owned(),
            endpoint: format!("https://push.example/{user}"),
            p256dh: P256DH.to_owned(),
            auth: AUTH.to_owned(),
            description: user.to_owned(),
        };
        self.deliveries.create_push_subscription(browser).await.unwrap();
    }

    /// A savings goal, and what was put aside for it.
    async fn save(&mut self, user: &str) {
        let money = |units| Some(Money { currency_code: "USD".to_owned(), units, nanos: 0 });
        let goal = analytics::SetGoalRequest {
            user_id: user.to_owned(),
            title: format!("goa {user}"),
            target: money(100),
            ..Default::default()
        };
        self.analytics.set_goal(goal).await.unwrap();
        let add = analytics::AddContributionRequest {
            user_id: user.to_owned(),
            goal: format!("goa {user}"),
            amount: money(10),
            note: user.to_owned(),
            ..Default::default()
        };
        self.analytics.add_contribution(add).await.unwrap();
    }

    /// Two records by import, two by events that go through the whole mesh, a budget that they exhaust, the notice of that, and where it goes.
    /// A goal, and what was put aside for it.
    pub(super) async fn store(&mut self, user: &str) {
        self.connect(user).await;
        self.save(user).await;
        let limit = Some(Money { currency_code: "USD".to_owned(), units: 100, nanos: 0 });
        let limits =
            vec![analytics::BudgetLimit { category: format!("dining {user}"), limit, ..Default::default() }];
        let set = analytics::SetBudgetsRequest {
            user_id: user.to_owned(),
            limits,
            period_kind: 2,
            ..Default::default()
        };
        self.analytics.set_budgets(set).await.unwrap();
        let content = format!(
            "Date,Description,Amount,Transaction Type,Category,Account Name\n1/2/2018,{user} one,11.11,debit,Shops,x\n1/3/2018,{user} two,12.12,debit,Shops,x\n"
        );
        let import = datasync::ImportStatementRequest {
            user_id: user.to_owned(),
            account: "x".to_owned(),
            format: 1,
            content: content.into_bytes(),
            ..Default::default()
        };
        let imported = self.datasync.import_statement(import).await.unwrap().into_inner();
        assert_eq!(imported.added, 2);
        let today = crate::this_month();
        let event = |id: &str, amount: f64| {
            processor::Event {
            data: json!({"id": id, "user_id": user, "amount": amount, "category": format!("dining {user}"), "merchant": user, "transaction_date": today})
                .to_string()
                .into_bytes(),
            ..Default::default()
        }
        };
        let events = vec![event("t1", 60.0), event("t2", 39.0)];
        let publish =
            processor::PublishRequest { topic: "transactions".to_owned(), events, ..Default::default() };
        let published = self.processor.publish(publish).await.unwrap().into_inner();
        let position = |result: processor::PublishResult| match result.result {
            Some(processor::publish_result::Result::Accepted(position)) => Some(position),
            _ => None,
        };
        let positions = published.results.into_iter().map(|result| position(result).unwrap()).collect();
        let wait = processor::AwaitProcessedRequest { topic: "transactions".to_owned(), positions };
        self.processor.await_processed(wait).await.unwrap();
        let sequence = imported.sequence;
        self.analytics.await_changes(analytics::AwaitChangesRequest { sequence }).await.unwrap();
    }

    pub(super) async fn held(&mut self, user: &str) -> Held {
        let user_id = || user.to_owned();
        let all = datasync::ListRecordsRequest { user_id: user_id(), ..Default::default() };
        let records = self.datasync.list_records(all.clone()).await.unwrap().into_inner().records;
        let page = datasync::ListRecordsRequest { page_size: 1, ..all };
        let page = self.datasync.list_records(page).await.unwrap().into_inner();
        let record_id = page.records[0].record_id.clone();
        let versions =
            datasync::ListRecordVersionsRequest { user_id: user_id(), record_id, ..Default::default() };
        assert!(!self.datasync.list_record_versions(versions).await.unwrap().into_inner().changes.is_empty());
        let list = notifications::ListNoticesRequest { user_id: user_id(), ..Default::default() };
        let notices = self.notifications.list_notices(list).await.unwrap().into_inner().notices;
        let budgets = analytics::ListBudgetsRequest { user_id: user_id() };
        let budgets = self.analytics.list_budgets(budgets).await.unwrap().into_inner().budgets;
        let goals = analytics::ListGoalsRequest { user_id: user_id(), ..Default::default() };
        let goals = self.analytics.list_goals(goals).await.unwrap().into_inner().goals;
        let parts = analytics::ListContributionsRequest {
            user_id: user_id(),
            goal: format!("goa {user}"),
            ..Default::default()
        };
        let contributions =
            self.analytics.list_contributions(parts).await.unwrap().into_inner().contributions;
        let hooks = notifications::ListWebhooksRequest { user_id: user_id() };
        let webhooks = self.deliveries.list_webhooks(hooks).await.unwrap().into_inner().webhooks;
        let browsers = notifications::ListPushSubscriptionsRequest { user_id: user_id() };
        let browsers = self.deliveries.list_push_subscriptions(browsers).await.unwrap().into_inner();
        let channel = "webhook".to_owned();
        let sent = notifications::ListDeliveriesRequest { user_id: user_id(), channel, ..Default::default() };
        let deliveries = self.deliveries.list_deliveries(sent).await.unwrap().into_inner().deliveries;
        Held {
            records,
            notices,
            budgets,
            goals,
            contributions,
            webhooks,
            subscriptions: browsers.subscriptions,
            deliveries,
            tokens: vec![page.next_page_token],
        }
    }

    /// Waits until the courier has given up what goes to a user's webhook: from then on it changes nothing.
    pub(super) async fn settled(&mut self, user: &str) {
        let failed = notifications::DeliveryState::Failed;
        let request = notifications::ListDeliveriesRequest {
            user_id: user.to_owned(),
            channel: "webhook".to_owned(),
            state: failed.into(),
            ..Default::default()
        };
        while self
            .deliveries
            .list_deliveries(request.clone())
            .await
            .unwrap()
            .into_inner()
            .deliveries
            .is_empty()
        {
            tokio::task::yield_now().await;
        }
    }
}
