//! Places on boards: reserved, kept over restarts, never given twice.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use support::Node;
use veritee_node_client::{Client, ClientError, Identity};
use veritee_node_protocol::{FailureKind, ModuleName, Request, Response};

fn name(module: &str) -> ModuleName {
    ModuleName { application: [1; 16], module: module.to_owned() }
}

fn load(module: &str) -> Request {
    Request::Load { name: name(module), platform: "fake".to_owned(), image: b"image".to_vec(), restart: true }
}

async fn reserve(client: &Client, module: &str, size: u8) -> Result<Vec<u8>, FailureKind> {
    let request =
        Request::Reserve { name: name(module), platform: "fake".to_owned(), board: String::new(), need: vec![size] };
    match client.call(request).await {
        Ok(Response::Reserved { place }) => Ok(place),
        Err(ClientError::Refused(failure)) => Err(failure.kind),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_place_is_given_again_for_the_same_need_and_is_what_a_load_starts_with() {
    let mut node = Node::start();
    let client = node.enrol(&Identity::generate().unwrap()).await;
    let first = reserve(&client, "first", 30).await.unwrap();
    let second = reserve(&client, "second", 30).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(reserve(&client, "first", 30).await.unwrap(), first, "the same need");
    client.call(load("second")).await.unwrap();
    assert_eq!(node.platform.with("second", |instance| instance.place.clone()), second);
    assert_eq!(reserve(&client, "second", 31).await, Err(FailureKind::Taken), "it lives there");
    assert_eq!(reserve(&client, "second", 30).await.unwrap(), second, "the same need, while it lives");
    assert_eq!(reserve(&client, "first", 20).await.unwrap(), [0, 20], "another need, before it is loaded");
    assert_eq!(reserve(&client, "third", 10).await.unwrap(), [20, 10], "what the old need had more is free");
}

#[tokio::test]
async fn two_owners_cannot_take_each_others_places() {
    let mut node = Node::start();
    let one = node.enrol(&Identity::generate().unwrap()).await;
    let other = node.enrol(&Identity::generate().unwrap()).await;
    // The same application and name: namespaces are apart.
    let (first, second) = tokio::join!(reserve(&one, "module", 50), reserve(&other, "module", 50));
    let mut places = [first.unwrap(), second.unwrap()];
    places.sort();
    assert_eq!(places, [[0, 50], [50, 50]]);
    assert_eq!(reserve(&other, "more", 1).await, Err(FailureKind::NoRoom));
    other.call(Request::Unload { name: name("more") }).await.unwrap();
    assert_eq!(reserve(&other, "more", 1).await, Err(FailureKind::NoRoom), "an unload frees only one's own");
    one.call(Request::Unload { name: name("module") }).await.unwrap();
    assert!(reserve(&other, "more", 50).await.is_ok(), "the place of a module that was never loaded is free again");
}

#[tokio::test]
async fn places_survive_the_daemon_and_end_with_an_unload_or_their_owner() {
    let mut node = Node::start();
    let owner = Identity::generate().unwrap();
    let client = node.enrol(&owner).await;
    let kept = reserve(&client, "kept", 40).await.unwrap();
    client.call(load("kept")).await.unwrap();
    let idle = reserve(&client, "idle", 40).await.unwrap();
    node.kill();
    node.up();
    let client = node.client(&owner).await;
    assert_eq!(reserve(&client, "more", 21).await, Err(FailureKind::NoRoom), "both are still kept");
    assert_eq!(reserve(&client, "idle", 40).await.unwrap(), idle);
    node.platform.with("kept", |instance| instance.die("of a test"));
    // Restarted in the place that it had.
    let restarted = async {
        while node.platform.with("kept", |instance| instance.reason.is_some()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), restarted).await.unwrap();
    assert_eq!(node.platform.with("kept", |instance| instance.place.clone()), kept);
    client.call(Request::Unload { name: name("kept") }).await.unwrap();
    assert_eq!(reserve(&client, "more", 60).await, Err(FailureKind::NoRoom));
    assert!(reserve(&client, "more", 20).await.is_ok());
    client.call(Request::Revoke).await.unwrap();
    let next = node.enrol(&Identity::generate().unwrap()).await;
    assert_eq!(reserve(&next, "all", 100).await.unwrap(), [0, 100]);
}

#[tokio::test]
async fn a_node_tells_of_its_boards_and_knows_its_provider() {
    let provider = Identity::generate().unwrap();
    let fingerprint = provider.fingerprint().to_string();
    let mut node = Node::configured(|config| config.providers = vec![fingerprint]);
    let client = node.enrol(&provider).await;
    reserve(&client, "driver", 5).await.unwrap();
    let Response::Description(description) = client.call(Request::Describe).await.unwrap() else { panic!() };
    let [board] = &description.boards[..] else { panic!("one board: {description:?}") };
    assert_eq!((board.platform.as_str(), board.name.as_str(), &board.claims[..]), ("fake", "desk", &[7_u8][..]));
    assert_eq!(board.words, "1 places taken");
    let owner = node.enrol(&Identity::generate().unwrap()).await;
    client.call(load("driver")).await.unwrap();
    assert!(node.platform.with("driver", |instance| instance.provider));
    owner.call(load("module")).await.unwrap();
    assert!(!node.platform.with("module", |instance| instance.provider));
}
