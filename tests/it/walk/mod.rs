//! One user cannot read, touch or infer what is another's: every method of every service is called in ravi's name about asha's data.
//!
//! The methods come from the descriptors, so one that is added is called too: whoever adds one decides who may call it (`libs/rpc/src/auth/roles.rs`), and
//! where that is a user, this test calls it.

mod calls;
mod mesh;

use analytics::analytics_service_client::AnalyticsServiceClient;
use calls::{Answer, call, has, has_inside, methods, names_things, path, request, service};
use datasync::datasync_service_client::DatasyncServiceClient;
use mesh::Mesh;
use notifications::notifications_service_client::NotificationsServiceClient;
use pathway_kernel::{Code, Fault};
use pathway_proto::google::r#type::Money;
use pathway_proto::pathway::analytics::v1 as analytics;
use pathway_proto::pathway::datasync::v1 as datasync;
use pathway_proto::pathway::notifications::v1 as notifications;
use pathway_proto::pathway::processor::v1 as processor;
use pathway_proto::pathway::types::v1::Notice;
use pathway_rpc::{Access, Channel, access};
use processor::processor_service_client::ProcessorServiceClient;
use serde_json::json;

/// Whose data it is. Everything that the test stores for her has this text in it.
const ASHA: &str = "asha-canary";
/// Who would like to know.
const RAVI: &str = "ravi";
/// Methods for users that are about no user in particular, with what they tell.
const ABOUT_NOBODY: [&str; 3] = [
    // How far imports have been counted, whoever made them.
    "/pathway.analytics.v1.AnalyticsService/AwaitChanges",
    // The texts that everybody gets, and a public key.
    "/pathway.notifications.v1.PreferencesService/PreviewNotice",
    "/pathway.notifications.v1.DeliveriesService/GetPushKey",
];

/// What a service sees of asha's data.
#[derive(Debug, PartialEq)]
struct Held {
    records: Vec<pathway_proto::pathway::types::v1::Record>,
    notices: Vec<notifications::StoredNotice>,
    budgets: Vec<analytics::Budget>,
    record_token: String,
}

struct Clients {
    processor: ProcessorServiceClient<Channel>,
    datasync: DatasyncServiceClient<Channel>,
    analytics: AnalyticsServiceClient<Channel>,
    notifications: NotificationsServiceClient<Channel>,
}

// === impl Clients ===

impl Clients {
    fn of_a_service(mesh: &Mesh) -> Self {
        let channel = |name| mesh.channel(name, Some(mesh.credentials("test", "service")));
        Self {
            processor: ProcessorServiceClient::new(channel("processor")),
            datasync: DatasyncServiceClient::new(channel("datasync")),
            analytics: AnalyticsServiceClient::new(channel("analytics")),
            notifications: NotificationsServiceClient::new(channel("notifications")),
        }
    }

    /// Two records by import, two by events that go through the whole mesh, a budget that they exhaust, and the notice of that.
    async fn store(&mut self, user: &str) {
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

    async fn held(&mut self, user: &str) -> Held {
        let user_id = || user.to_owned();
        let all = datasync::ListRecordsRequest { user_id: user_id(), ..Default::default() };
        let records = self.datasync.list_records(all.clone()).await.unwrap().into_inner().records;
        let page = datasync::ListRecordsRequest { page_size: 1, ..all };
        let record_token = self.datasync.list_records(page).await.unwrap().into_inner().next_page_token;
        let list = notifications::ListNoticesRequest { user_id: user_id(), ..Default::default() };
        let notices = self.notifications.list_notices(list).await.unwrap().into_inner().notices;
        let budgets = analytics::ListBudgetsRequest { user_id: user_id() };
        let budgets = self.analytics.list_budgets(budgets).await.unwrap().into_inner().budgets;
        Held { records, notices, budgets, record_token }
    }
}

fn denied(answer: &Answer, path: &str, who: &str) {
    let code = answer.refused.as_ref().map(Fault::code);
    assert_eq!(code, Some(Code::PermissionDenied), "{path} by {who}: {}", answer.text());
    assert!(answer.messages.is_empty() && !answer.text().contains("canary"), "{path}: {}", answer.text());
}

#[tokio::test]
async fn no_method_answers_who_has_no_good_token() {
    let mesh = Mesh::start().await;
    for method in methods() {
        let empty = request(&method.input(), ASHA, "", "");
        for (credentials, reason) in [(None, "TOKEN_MISSING"), (Some(mesh.expired()), "TOKEN_EXPIRED")] {
            let answer = call(mesh.channel(&service(&method), credentials), &method, &empty).await;
            let code = answer.refused.as_ref().map(Fault::code);
            assert_eq!((code, answer.reason()), (Some(Code::Unauthenticated), reason), "{}", path(&method));
        }
    }
    mesh.stop().await;
}

#[tokio::test]
async fn no_method_tells_or_changes_anything_of_another_user() {
    let mesh = Mesh::start().await;
    let mut clients = Clients::of_a_service(&mesh);
    clients.store(ASHA).await;
    clients.store(RAVI).await;
    let before = clients.held(ASHA).await;
    assert_eq!((before.records.len(), before.notices.len(), before.budgets.len()), (4, 1, 1));
    assert!(!before.record_token.is_empty());

    let ravi = || Some(mesh.credentials(RAVI, ""));
    let mut about_users = 0;
    for method in methods() {
        let (path, service, input) = (path(&method), service(&method), method.input());
        let about_asha = request(&input, ASHA, "", "");
        let is_about_nobody = ABOUT_NOBODY.contains(&path.as_str());
        if !is_about_nobody {
            let answer = call(mesh.channel(&service, ravi()), &method, &about_asha).await;
            denied(&answer, &path, "a user");
        }
        if access(&path) != Some(Access::Own) {
            continue;
        }
        about_users += 1;
        assert!(is_about_nobody || has(&input, "user_id"), "{path} is for users and does not say about whom");
        assert!(
            !has_inside(&input, 0),
            "{path} says whose its items are: only a service can be believed in that"
        );
        // In his own name, with what he has heard of hers, and with what nobody has: he must not see a difference.
        let unknown = uuid();
        if names_things(&input) {
            let keys = before.notices.iter().filter_map(|stored| Some(&stored.notice.as_ref()?.dedup_key));
            let things = before.records.iter().map(|record| &record.record_id);
            for thing in things.chain(before.notices.iter().map(|notice| &notice.id)).chain(keys) {
                let mut texts = Vec::new();
                for thing in [thing, &unknown] {
                    let message = request(&input, "", thing, "");
                    let answer = call(mesh.channel(&service, ravi()), &method, &message).await;
                    let text = answer.text().replace(thing, "THING");
                    assert!(!text.contains("canary"), "{path}: {text}");
                    texts.push(words(&text));
                }
                let differ: Vec<_> =
                    texts[0].iter().zip(&texts[1]).filter(|(one, other)| one != other).collect();
                assert!(
                    differ.is_empty() && texts[0].len() == texts[1].len(),
                    "{path} tells whether something is another's or nobody's: {differ:?}"
                );
            }
        }
        let with_token = request(&input, "", &unknown, &before.record_token);
        let answer = call(mesh.channel(&service, ravi()), &method, &with_token).await;
        assert!(!answer.text().contains("canary"), "{path}: {}", answer.text());
    }
    assert!(about_users >= 12, "the walk met {about_users} methods for users");
    assert_eq!(clients.held(ASHA).await, before, "nothing of hers was touched");
    mesh.stop().await;
}

#[tokio::test]
async fn each_role_may_call_what_is_its_own() {
    let mesh = Mesh::start().await;
    for method in methods() {
        let (path, service) = (path(&method), service(&method));
        let about_asha = request(&method.input(), ASHA, &uuid(), "");
        let answer =
            call(mesh.channel(&service, Some(mesh.credentials("x", "service"))), &method, &about_asha).await;
        let code = answer.refused.as_ref().map(Fault::code);
        assert!(
            !matches!(code, Some(Code::PermissionDenied | Code::Unauthenticated)),
            "{path}: {}",
            answer.text()
        );
        let answer =
            call(mesh.channel(&service, Some(mesh.credentials("x", "operator"))), &method, &about_asha).await;
        if access(&path) == Some(Access::Operate) {
            let code = answer.refused.as_ref().map(Fault::code);
            assert!(!matches!(code, Some(Code::PermissionDenied | Code::Unauthenticated)), "{path}");
        } else {
            denied(&answer, &path, "an operator");
        }
    }
    mesh.stop().await;
}

#[tokio::test]
async fn a_stream_has_nothing_of_another_user() {
    let mesh = Mesh::start().await;
    let mut clients = Clients::of_a_service(&mesh);
    let mut ravis =
        NotificationsServiceClient::new(mesh.channel("notifications", Some(mesh.credentials(RAVI, ""))));
    let watch = notifications::WatchNoticesRequest { user_id: String::new(), after_sequence: 0 };
    let mut stream = ravis.watch_notices(watch).await.unwrap().into_inner();
    for user in [ASHA, RAVI, ASHA, RAVI] {
        let notice = Notice {
            user_id: user.to_owned(),
            dedup_key: uuid(),
            r#type: "reminder".to_owned(),
            title: user.to_owned(),
            ..Notice::default()
        };
        clients
            .notifications
            .send_notices(notifications::SendNoticesRequest { notices: vec![notice] })
            .await
            .unwrap();
    }
    let mut got = Vec::new();
    while got.len() < 2 {
        let message = stream.message().await.unwrap().expect("the stream goes on");
        got.extend(message.notice.and_then(|stored| stored.notice).map(|notice| notice.title));
    }
    assert_eq!(got, [RAVI, RAVI]);
    mesh.stop().await;
}

/// The words of an answer in their own order, because a map has none.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = text.split([' ', ',', '{', '}']).map(str::to_owned).collect();
    words.sort_unstable();
    words
}

fn uuid() -> String {
    format!("{:08x}-0000-7000-8000-{:012x}", fastrand::u32(..), fastrand::u64(..1 << 48))
}
