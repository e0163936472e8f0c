//! One user cannot read, touch or infer what is another's: every method of every service is called in ravi's name about asha's data.
//!
//! The methods come from the descriptors, so one that is added is called too: whoever adds one decides who may call it (`libs/rpc/src/auth/roles.rs`), and
//! where that is a user, this test calls it. All of it holds in files and in PostgreSQL.

mod calls;
mod clients;
mod mesh;

use calls::{Answer, call, has, has_inside, methods, names_things, path, request, service};
use clients::Clients;
use mesh::Mesh;
use pathway_kernel::{Code, Fault};
use pathway_proto::pathway::notifications::v1 as notifications;
use pathway_proto::pathway::notifications::v1::notifications_service_client::NotificationsServiceClient;
use pathway_proto::pathway::types::v1::Notice;
use pathway_rpc::{Access, access};

/// Whose data it is. Everything that the test stores for her has this text in it.
const ASHA: &str = "asha-canary";
/// Who would like to know.
const RAVI: &str = "ravi";
/// Methods for users that are about no user in particular, with what they tell.
const ABOUT_NOBODY: [&str; 4] = [
    // How far imports have been counted, whoever made them.
    "/pathway.analytics.v1.AnalyticsService/AwaitChanges",
    // Rates of exchange, which are the same for all.
    "/pathway.analytics.v1.AnalyticsService/ListRates",
    // The texts that everybody gets, and a public key.
    "/pathway.notifications.v1.PreferencesService/PreviewNotice",
    "/pathway.notifications.v1.DeliveriesService/GetPushKey",
];

/// Makes of each function a test on either store.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(None).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let Some(database) = pathway_store::testing::Database::postgres().await else { return };
                super::$name(Some(&database.url())).await;
                database.discard().await;
            })+
        }
    };
}

on_both!(
    no_method_answers_who_has_no_good_token,
    no_method_tells_or_changes_anything_of_another_user,
    each_role_may_call_what_is_its_own,
    a_stream_has_nothing_of_another_user,
);

fn denied(answer: &Answer, path: &str, who: &str) {
    let code = answer.refused.as_ref().map(Fault::code);
    assert_eq!(code, Some(Code::PermissionDenied), "{path} by {who}: {}", answer.text());
    assert!(answer.messages.is_empty() && !answer.text().contains("canary"), "{path}: {}", answer.text());
}

async fn no_method_answers_who_has_no_good_token(url: Option<&str>) {
    let mesh = Mesh::start(url).await;
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

async fn no_method_tells_or_changes_anything_of_another_user(url: Option<&str>) {
    let mesh = Mesh::start(url).await;
    let mut clients = Clients::of_a_service(&mesh);
    clients.store(ASHA).await;
    clients.store(RAVI).await;
    clients.settled(ASHA).await;
    let before = clients.held(ASHA).await;
    assert_eq!((before.records.len(), before.notices.len(), before.budgets.len()), (4, 1, 1));
    assert_eq!((before.webhooks.len(), before.subscriptions.len()), (1, 1));
    assert_eq!((before.goals.len(), before.contributions.len()), (1, 1));
    assert!(!before.deliveries.is_empty() && before.tokens.iter().all(|token| !token.is_empty()));

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
            let ways = before.webhooks.iter().map(|webhook| &webhook.id);
            let ways = ways.chain(before.subscriptions.iter().map(|browser| &browser.id));
            let ways = ways.chain(before.deliveries.iter().map(|delivery| &delivery.id));
            let ways = ways.chain(before.contributions.iter().map(|part| &part.contribution_id));
            for thing in things.chain(before.notices.iter().map(|notice| &notice.id)).chain(keys).chain(ways)
            {
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
        for token in &before.tokens {
            let with_token = request(&input, "", &unknown, token);
            let answer = call(mesh.channel(&service, ravi()), &method, &with_token).await;
            assert!(!answer.text().contains("canary"), "{path}: {}", answer.text());
        }
    }
    assert!(about_users >= 12, "the walk met {about_users} methods for users");
    assert_eq!(clients.held(ASHA).await, before, "nothing of hers was touched");
    mesh.stop().await;
}

async fn each_role_may_call_what_is_its_own(url: Option<&str>) {
    let mesh = Mesh::start(url).await;
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

async fn a_stream_has_nothing_of_another_user(url: Option<&str>) {
    let mesh = Mesh::start(url).await;
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
        let message = stream.message().await.unwrap().unwrap();
        got.extend(message.notice.and_then(|stored| stored.notice).map(|notice| notice.title));
    }
    assert_eq!(got, [RAVI, RAVI]);
    drop(stream);

    // Nor has any other that is for users, while something happens to her.
    let streams: Vec<_> = methods()
        .into_iter()
        .filter(|method| method.is_server_streaming() && access(&path(method)) == Some(Access::Own))
        .collect();
    assert!(streams.len() >= 3, "{streams:?}");
    let watched = streams.iter().map(|method| async {
        let channel = mesh.channel(&service(method), Some(mesh.credentials(RAVI, "")));
        call(channel, method, &request(&method.input(), "", "", "")).await
    });
    let (answers, ()) = tokio::join!(futures_util::future::join_all(watched), clients.store(ASHA));
    for (method, answer) in streams.iter().zip(answers) {
        assert!(!answer.text().contains("canary"), "{}: {}", path(method), answer.text());
    }
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
