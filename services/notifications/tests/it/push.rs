//! Web push against a local endpoint that decrypts the message as a browser does.

use api::deliveries_service_client::DeliveriesServiceClient;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pathway_proto::pathway::notifications::v1 as api;
use pathway_rpc::Channel;
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::rand::SystemRandom;
use ring::signature;
use serde_json::Value;

use crate::receiver::{Received, Receiver};
use crate::service::{Service, eventually, reminder, send};

/// A browser with a subscription: its keys, of which the private one serves for one message.
struct Browser {
    private: EphemeralPrivateKey,
    public: Vec<u8>,
}

const AUTH: [u8; 16] = *b"sixteen bytes ok";

/// How many bytes are derived.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

// === impl Browser ===

impl Browser {
    fn new() -> Self {
        let private = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new()).unwrap();
        let public = private.compute_public_key().unwrap().as_ref().to_vec();
        Self { private, public }
    }

    async fn subscribe(&self, client: &mut DeliveriesServiceClient<Channel>, endpoint: String) -> String {
        let request = api::CreatePushSubscriptionRequest {
            user_id: "u".to_owned(),
            endpoint,
            p256dh: URL_SAFE_NO_PAD.encode(&self.public),
            auth: URL_SAFE_NO_PAD.encode(AUTH),
            description: "phone".to_owned(),
        };
        let kept = client.create_push_subscription(request).await.unwrap().into_inner();
        kept.subscription.unwrap().id
    }

    /// RFC 8291 and RFC 8188, from the other side, with another HKDF than the sender's.
    fn decrypt(self, body: &[u8]) -> Value {
        let (salt, rest) = body.split_at(16);
        assert_eq!(u32::from_be_bytes(rest[..4].try_into().unwrap()), 4096);
        let (sender, sealed) = rest[5..].split_at(usize::from(rest[4]));
        let theirs = UnparsedPublicKey::new(&ECDH_P256, sender);
        let secret = agree_ephemeral(self.private, &theirs, <[u8]>::to_vec).unwrap();
        let derive = |salt: &[u8], secret: &[u8], info: &[u8], length: usize| {
            let mut out = vec![0; length];
            let prk = Salt::new(HKDF_SHA256, salt).extract(secret);
            prk.expand(&[info], Length(length)).unwrap().fill(&mut out).unwrap();
            out
        };
        let info = [b"WebPush: info\0", self.public.as_slice(), sender].concat();
        let ikm = derive(&AUTH, &secret, &info, 32);
        let key = derive(salt, &ikm, b"Content-Encoding: aes128gcm\0", 16);
        let nonce = derive(salt, &ikm, b"Content-Encoding: nonce\0", 12);
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).unwrap());
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(&nonce).unwrap();
        let text = key.open_in_place(nonce, Aad::empty(), &mut sealed).unwrap();
        let (last, text) = text.split_last().unwrap();
        assert_eq!(*last, 2, "the last record");
        serde_json::from_slice(text).unwrap()
    }
}

async fn start(directory: &tempfile::TempDir) -> Service {
    Service::start(directory, |config| {
        config.delivery.allow = vec!["127.0.0.0/8".to_owned()];
        config.push.key_file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/data/vapid.pem").into();
        config.push.subject = "mailto:ops@example.com".to_owned();
    })
    .await
}

/// The claims of the token, verified with the key that a browser subscribed with.
async fn claims(client: &mut DeliveriesServiceClient<Channel>, request: &Received) -> Value {
    let key = client.get_push_key(api::GetPushKeyRequest {}).await.unwrap().into_inner().public_key;
    let value = request.headers["authorization"].strip_prefix("vapid t=").unwrap();
    let (token, named) = value.split_once(", k=").unwrap();
    assert_eq!(named, key);
    let (signed, mac) = token.rsplit_once('.').unwrap();
    let public = URL_SAFE_NO_PAD.decode(key).unwrap();
    signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, public)
        .verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(mac).unwrap())
        .unwrap();
    let claims = signed.split_once('.').unwrap().1;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

#[tokio::test]
async fn g29_a_browser_decrypts_a_message_without_an_amount() {
    let directory = tempfile::tempdir().unwrap();
    let service = start(&directory).await;
    let (mut client, mut receiver) = (service.deliveries(), Receiver::start().await);
    let browser = Browser::new();
    browser.subscribe(&mut client, receiver.url()).await;
    let mut notice = reminder("u", "a");
    notice.r#type = "budget_exceeded".to_owned();
    notice.message = "You have spent 120.00 of 100.00".to_owned();
    notice.metadata.insert("category".to_owned(), "eating_out".to_owned());
    notice.about = "budget/eating_out".to_owned();
    send(&service.client, vec![notice]).await;
    let request = receiver.next().await;
    for (name, value) in [("content-encoding", "aes128gcm"), ("ttl", "86400"), ("urgency", "normal")] {
        assert_eq!(request.headers[name], value, "{name}");
    }
    let topic = &request.headers["topic"];
    assert!(topic.len() == 32 && !topic.contains("budget"), "{topic}");
    let claims = claims(&mut client, &request).await;
    assert_eq!(claims["aud"], format!("http://127.0.0.1:{}", receiver.port));
    assert_eq!(
        (&claims["sub"], claims["exp"].as_i64()),
        (&"mailto:ops@example.com".into(), Some(1_790_043_200))
    );
    let message = browser.decrypt(&request.body);
    assert_eq!(
        (&message["title"], &message["body"]),
        (&"Budget exceeded".into(), &"Your budget for eating out is used up.".into())
    );
    service.stop().await;
}

#[tokio::test]
async fn a_subscription_that_a_browser_has_ended_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let service = start(&directory).await;
    let (mut client, mut receiver) = (service.deliveries(), Receiver::start().await);
    let subscriptions = async |client: &mut DeliveriesServiceClient<Channel>| {
        let request = api::ListPushSubscriptionsRequest { user_id: "u".to_owned() };
        client.list_push_subscriptions(request).await.unwrap().into_inner().subscriptions
    };
    for (round, status) in ["404", "410"].into_iter().enumerate() {
        // The same browser, twice: it is kept once.
        Browser::new().subscribe(&mut client, receiver.url()).await;
        let id = Browser::new().subscribe(&mut client, receiver.url()).await;
        let kept = subscriptions(&mut client).await;
        assert_eq!(kept.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), [id]);
        receiver.answers(&[status]);
        send(&service.client, vec![reminder("u", &round.to_string())]).await;
        receiver.next().await;
        eventually(async || subscriptions(&mut client).await.is_empty().then_some(())).await;
        send(&service.client, vec![reminder("u", &format!("{round} more"))]).await;
        assert!(receiver.is_silent());
    }
    service.stop().await;
}
