//! Who may do what: strangers, owners, tokens, rotation; and what hostile or broken input costs.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream as Blocking;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::Node;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use veritee_ids::Op;
use veritee_node_client::{Client, ClientError, Identity, Token, enrol, tls};
use veritee_node_protocol::{FailureKind, IdentityKey, ModuleName, Remote, Request, Response};

fn name(module: &str) -> ModuleName {
    ModuleName { application: [1; 16], module: module.to_owned() }
}

fn load(module: &str, image: &[u8]) -> Request {
    Request::Load { name: name(module), platform: "fake".to_owned(), image: image.to_vec(), restart: false }
}

fn attest(module: &str) -> Request {
    Request::Enter { name: name(module), op: Op::Attest.code(), input: vec![9; 16] }
}

fn kind<T: std::fmt::Debug>(outcome: Result<T, ClientError>) -> FailureKind {
    match outcome {
        Err(ClientError::Refused(failure)) => failure.kind,
        other => panic!("a refusal is expected, not {other:?}"),
    }
}

async fn modules(client: &Client) -> Vec<veritee_node_protocol::ModuleReport> {
    match client.call(Request::List { application: None }).await.unwrap() {
        Response::Modules(modules) => modules,
        other => panic!("{other:?}"),
    }
}

/// Opens TLS without a client's manners.
async fn raw(
    node: &Node, own: &Identity, protocol: &[u8],
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let config = tls::client(own, node.identity, protocol).unwrap();
    let tcp = TcpStream::connect(&node.address).await?;
    TlsConnector::from(Arc::new(config)).connect(tls::server_name(), tcp).await
}

/// Reads until the end; says how many bytes came.
async fn read_all(stream: &mut (impl AsyncReadExt + Unpin)) -> usize {
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut bytes)).await.expect("it ends");
    bytes.len()
}

#[tokio::test]
async fn a_stranger_sees_a_handshake_fail_and_nothing_else() {
    let node = Node::start();
    let stranger = Identity::generate().unwrap();
    let refused = Client::connect(&node.address, node.identity, &stranger).await;
    assert!(matches!(refused, Err(ClientError::Handshake { .. })), "{refused:?}");
    for protocol in [tls::CONTROL, tls::LINK] {
        let Ok(mut stream) = raw(&node, &stranger, protocol).await else { continue };
        assert_eq!(read_all(&mut stream).await, 0, "not a byte of the application");
    }
}

#[tokio::test]
async fn a_token_enrols_once_and_can_do_nothing_else() {
    let mut node = Node::start();
    let token = node.token.take().unwrap();
    let client = Client::connect(&node.address, node.identity, &token.identity()).await.unwrap();
    assert_eq!(kind(client.call(Request::Describe).await), FailureKind::Forbidden);
    let owner = Identity::generate().unwrap();
    enrol(&node.address, node.identity, &token, &owner.public()).await.unwrap();
    // Its session is still open, and worth nothing.
    let second = Identity::generate().unwrap().public();
    assert_eq!(kind(client.call(Request::Enrol { identity: second }).await), FailureKind::Forbidden);
    let again = enrol(&node.address, node.identity, &token, &second).await;
    assert!(matches!(again, Err(ClientError::Handshake { .. })), "{again:?}");
    let guessed = enrol(&node.address, node.identity, &Token::generate().unwrap(), &second).await;
    assert!(matches!(guessed, Err(ClientError::Handshake { .. })), "{guessed:?}");
    node.kill();
    node.up();
    node.client(&owner).await;
    let after = enrol(&node.address, node.identity, &token, &second).await;
    assert!(matches!(after, Err(ClientError::Handshake { .. })), "{after:?}");
}

#[tokio::test]
async fn an_owner_neither_sees_nor_touches_what_belongs_to_another() {
    let mut node = Node::start();
    let (alice, bob) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let (to_alice, to_bob) = (node.enrol(&alice).await, node.enrol(&bob).await);
    to_alice.call(load("module", b"hers")).await.unwrap();
    let route = Request::RouteIn {
        application: [1; 16],
        connection: 1,
        target: "module".to_owned(),
        target_row: 0,
        source: Remote::Owner,
        deadline_ms: 0,
        port: 0,
    };
    to_alice.call(route).await.unwrap();
    assert_eq!(modules(&to_bob).await, []);
    assert_eq!(kind(to_bob.call(attest("module")).await), FailureKind::NotFound);
    assert_eq!(kind(to_bob.call(Request::Figures { application: [1; 16] }).await), FailureKind::NotFound);
    let unroute = Request::Unroute { application: [1; 16], connection: 1 };
    assert_eq!(kind(to_bob.call(unroute).await), FailureKind::NotFound);
    to_bob.call(Request::Unload { name: name("module") }).await.unwrap();
    // The same names are his own modules.
    to_bob.call(load("module", b"his")).await.unwrap();
    to_bob.call(Request::Revoke).await.unwrap();
    assert_eq!(modules(&to_alice).await.len(), 1);
    assert!(matches!(to_alice.call(attest("module")).await.unwrap(), Response::Entered { status: 0, .. }));
    let gone = Client::connect(&node.address, node.identity, &bob).await;
    assert!(matches!(gone, Err(ClientError::Handshake { .. })), "{gone:?}");
}

#[tokio::test]
async fn a_replaced_identity_is_worth_nothing_and_the_namespace_stays() {
    let mut node = Node::start();
    let (old, new) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let client = node.enrol(&old).await;
    client.call(load("module", b"image")).await.unwrap();
    client.call(Request::ReplaceIdentity { identity: new.public() }).await.unwrap();
    assert_eq!(kind(client.call(Request::Describe).await), FailureKind::Forbidden);
    let refused = Client::connect(&node.address, node.identity, &old).await;
    assert!(matches!(refused, Err(ClientError::Handshake { .. })), "{refused:?}");
    assert_eq!(modules(&node.client(&new).await).await.len(), 1);
    node.kill();
    node.up();
    assert_eq!(modules(&node.client(&new).await).await.len(), 1);
    assert!(Client::connect(&node.address, node.identity, &old).await.is_err());
}

#[tokio::test]
async fn loading_is_idempotent_and_refusals_are_clear() {
    let mut node = Node::start();
    let owner = Identity::generate().unwrap();
    let client = node.enrol(&owner).await;
    client.call(load("module", b"image")).await.unwrap();
    node.platform.with("module", |instance| instance.module.ticks = 77);
    client.call(load("module", b"image")).await.unwrap();
    assert_eq!(node.platform.with("module", |instance| instance.module.ticks), 77, "it was left as it is");
    assert_eq!(kind(client.call(load("module", b"another")).await), FailureKind::Taken);
    assert_eq!(kind(client.call(load("other", b"bad image")).await), FailureKind::BadImage);
    let elsewhere = Request::Load { name: name("x"), platform: "sgx".to_owned(), image: Vec::new(), restart: false };
    assert_eq!(kind(client.call(elsewhere).await), FailureKind::NoPlatform);
    assert_eq!(modules(&client).await.len(), 1, "a refused image leaves nothing");
    assert_eq!(kind(client.call(attest("nobody")).await), FailureKind::NotFound);
    let event = Request::Enter { name: name("module"), op: Op::Event.code(), input: Vec::new() };
    assert_eq!(kind(client.call(event).await), FailureKind::Malformed);
    client.call(Request::Unload { name: name("module") }).await.unwrap();
    client.call(Request::Unload { name: name("module") }).await.unwrap();
    assert_eq!(modules(&client).await, []);
    client.call(load("module", b"another")).await.unwrap();
}

#[tokio::test]
async fn a_death_is_reported_and_a_module_restarts_if_it_is_to() {
    let mut node = Node::configured(|config| config.end_modules = true);
    let owner = Identity::generate().unwrap();
    let client = node.enrol(&owner).await;
    client.call(load("mortal", b"image")).await.unwrap();
    let restart =
        Request::Load { name: name("phoenix"), platform: "fake".to_owned(), image: b"i".to_vec(), restart: true };
    client.call(restart).await.unwrap();
    node.platform.with("mortal", |instance| instance.die("signal 9 (SIGKILL)"));
    node.platform.with("phoenix", |instance| instance.die("signal 9 (SIGKILL)"));
    let settled = |modules: &[veritee_node_protocol::ModuleReport]| {
        !modules[0].alive && modules[1].alive && modules[1].restarts == 1
    };
    while !settled(&modules(&client).await) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let reports = modules(&client).await;
    assert_eq!(reports[0].death, "signal 9 (SIGKILL)");
    assert_eq!(kind(client.call(attest("mortal")).await), FailureKind::Dead);
    assert!(matches!(client.call(attest("phoenix")).await.unwrap(), Response::Entered { status: 0, .. }));
    client.call(load("mortal", b"image")).await.unwrap();
    assert!(modules(&client).await[0].alive, "loading the same image again revives it");
    node.stop();
    assert_eq!(node.platform.with("phoenix", |instance| instance.reason.clone()).as_deref(), Some("ended"));
}

#[tokio::test]
async fn quotas_are_kept() {
    let mut node = Node::configured(|config| {
        config.limits.modules = 1;
        config.limits.routes = 1;
        config.limits.applications = 1;
        config.limits.image_bytes = 10;
        config.limits.owners = 1;
    });
    let owner = Identity::generate().unwrap();
    let client = node.enrol(&owner).await;
    assert_eq!(kind(client.call(load("large", &[0; 11])).await), FailureKind::Quota);
    client.call(load("one", b"i")).await.unwrap();
    assert_eq!(kind(client.call(load("two", b"i")).await), FailureKind::Quota);
    let route = |application, connection| Request::RouteOut {
        application,
        connection,
        source: "one".to_owned(),
        source_row: 0,
        target: Remote::Here { module: "one".to_owned() },
    };
    client.call(route([1; 16], 1)).await.unwrap();
    client.call(route([1; 16], 1)).await.unwrap();
    assert_eq!(kind(client.call(route([1; 16], 2)).await), FailureKind::Quota);
    assert_eq!(kind(client.call(route([2; 16], 1)).await), FailureKind::Quota);
    let token = veritee_node::new_token(&node.config).unwrap();
    let second = enrol(&node.address, node.identity, &token, &[3; 32]).await;
    assert_eq!(kind(second), FailureKind::Quota);
}

#[tokio::test]
async fn malformed_oversized_and_truncated_messages_end_their_connection_only() {
    let mut node = Node::configured(|config| {
        config.limits.message_ms = 100;
        config.limits.idle_ms = 200;
    });
    let owner = Identity::generate().unwrap();
    drop(node.enrol(&owner).await);
    let cases: [&[u8]; 6] = [
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x00",
        b"\x04\x00\x00\x00\xff\xff\xff\xff",
        b"\x10\x00\x00\x00slow",
        b"\x01",
        b"",
    ];
    for bytes in cases {
        let started = Instant::now();
        let mut stream = raw(&node, &owner, tls::CONTROL).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        read_all(&mut stream).await;
        assert!(started.elapsed() < Duration::from_secs(10), "it ends within a bounded time");
    }
    // Rubbish instead of TLS.
    let address = node.address.clone();
    let rubbish = tokio::task::spawn_blocking(move || {
        let mut tcp = Blocking::connect(address).unwrap();
        tcp.write_all(&[0x5a; 4096]).unwrap();
        let mut rest = Vec::new();
        let _ = tcp.read_to_end(&mut rest);
    });
    tokio::time::timeout(Duration::from_secs(10), rubbish).await.unwrap().unwrap();
    assert!(node.client(&owner).await.call(Request::Describe).await.is_ok());
}

#[tokio::test]
async fn a_peer_that_sends_rubbish_loses_its_link_and_nothing_else() {
    let mut node = Node::start();
    let (owner, peer) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let client = node.enrol(&owner).await;
    let identity: IdentityKey = peer.public();
    let route = Request::RouteIn {
        application: [1; 16],
        connection: 1,
        target: "sink".to_owned(),
        target_row: 0,
        source: Remote::Node { address: String::new(), identity },
        deadline_ms: 0,
        port: 0,
    };
    client.call(route).await.unwrap();
    let hello = [&[20_u8, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0][..], &[4; 16]].concat();
    let other_version = [&[20_u8, 0, 0, 1, 0, 0, 0, 0, 9, 0, 0, 0][..], &[4; 16]].concat();
    let with = |more: &[u8]| [&hello[..], more].concat();
    let cases = [
        vec![0xff; 64],
        vec![2, 0, 0, 1, 0, 0, 0, 0, 1, 1],
        other_version,
        with(&hello),
        with(&[0, 0, 0, 99, 0, 0, 0, 0]),
        with(&[1, 0, 0, 2, 0, 0, 0, 0, 0]),
        with(&[0, 0, 0, 3, 7, 0, 0, 0]),
        with(&[&[40_u8, 0, 0, 6, 9, 0, 0, 0][..], &[0; 40]].concat()),
        with(&[&[16_u8, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff][..], &[0; 8]].concat()),
    ];
    for bytes in cases {
        let mut stream = raw(&node, &peer, tls::LINK).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        read_all(&mut stream).await;
    }
    // A peer is not an owner.
    let mut stream = match raw(&node, &peer, tls::CONTROL).await {
        Ok(stream) => stream,
        Err(_) => return,
    };
    assert_eq!(read_all(&mut stream).await, 0);
    assert!(client.call(Request::Describe).await.is_ok());
}

#[tokio::test]
async fn a_thousand_idle_connections_do_not_stop_a_node() {
    let mut node = Node::configured(|config| config.limits.handshakes = 500);
    let owner = Identity::generate().unwrap();
    let client = node.enrol(&owner).await;
    let mut idle = Vec::new();
    for _ in 0..1000 {
        idle.push(TcpStream::connect(&node.address).await.unwrap());
    }
    for _ in 0..10 {
        node.client(&owner).await.call(Request::Describe).await.unwrap();
    }
    client.call(Request::Describe).await.unwrap();
    drop(idle);
}

#[tokio::test]
async fn metrics_are_served_where_they_are_configured() {
    let mut node = Node::configured(|config| config.metrics.listen = "127.0.0.1:0".to_owned());
    let owner = Identity::generate().unwrap();
    node.enrol(&owner).await.call(load("module", b"image")).await.unwrap();
    let address = node.handle.as_ref().unwrap().metrics().unwrap();
    let mut tcp = TcpStream::connect(address).await.unwrap();
    tcp.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut page = String::new();
    tcp.read_to_string(&mut page).await.unwrap();
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(page.contains("\nveritee_modules_alive 1\n"), "{page}");
    assert!(page.contains("veritee_verdicts_total{side=\"emitted\",verdict=\"accepted\"} 0"), "{page}");
}

#[test]
fn a_second_daemon_in_the_same_folder_is_refused() {
    let node = Node::start();
    let second = veritee_node::start(node.config.clone(), Vec::new());
    assert!(matches!(second, Err(veritee_node::StartError::InUse { .. })), "{second:?}");
    assert!(matches!(veritee_node::init(&node.config), Err(veritee_node::StartError::Initialised { .. })));
}
