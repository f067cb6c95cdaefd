//! Events from module to module: on one node, over a link, through crashes.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::Duration;
use support::{Node, frame, frame_bytes};
use veritee_ids::{FrameKind, Op};
use veritee_node_client::{Client, ClientError, Identity};
use veritee_node_protocol::{ConnectionFigures, FailureKind, Figures, ModuleName, Remote, Request, Response};

const APP: [u8; 16] = [7; 16];

fn name(module: &str) -> ModuleName {
    ModuleName { application: APP, module: module.to_owned() }
}

async fn done(client: &Client, request: Request) {
    assert_eq!(client.call(request).await.unwrap(), Response::Done);
}

fn load(module: &str) -> Request {
    Request::Load { name: name(module), platform: "fake".to_owned(), image: b"image".to_vec(), restart: false }
}

fn route_out(connection: u16, source: &str, target: Remote) -> Request {
    Request::RouteOut { application: APP, connection, source: source.to_owned(), source_row: 3, target }
}

fn route_in(connection: u16, target: &str, source: Remote) -> Request {
    let target = target.to_owned();
    Request::RouteIn { application: APP, connection, target, target_row: 9, source, deadline_ms: 0, port: 0 }
}

fn at(node: &Node) -> Remote {
    Remote::Node { address: node.address.clone(), identity: node.identity }
}

fn here(module: &str) -> Remote {
    Remote::Here { module: module.to_owned() }
}

async fn emit(client: &Client, module: &str, connection: u16, count: u32, kind: FrameKind) {
    let mut input = 0_u16.to_le_bytes().to_vec();
    input.extend(connection.to_le_bytes());
    input.extend(count.to_le_bytes());
    input.extend(kind.code().to_le_bytes());
    let response = client.call(Request::Enter { name: name(module), op: Op::Entry.code(), input }).await.unwrap();
    assert!(matches!(response, Response::Entered { status: 0, .. }), "{response:?}");
}

async fn drain(client: &Client) {
    let response = client.call(Request::Drain { application: APP, wait_ms: 20_000 }).await.unwrap();
    assert_eq!(response, Response::Drained { left: 0 });
}

async fn figures(client: &Client, connection: u16, source: bool) -> ConnectionFigures {
    let Response::Figures(Figures { connections }) = client.call(Request::Figures { application: APP }).await.unwrap()
    else {
        panic!("figures are asked for")
    };
    connections.into_iter().find(|found| found.connection == connection && found.source == source).unwrap()
}

/// Two nodes, `source` on the first, `sink` on the second, connection 5 between them.
async fn pair(change: impl Fn(&mut veritee_node::Config)) -> (Identity, Node, Client, Node, Client) {
    let owner = Identity::generate().unwrap();
    let mut first = Node::configured(&change);
    let mut second = Node::configured(&change);
    let to_first = first.enrol(&owner).await;
    let to_second = second.enrol(&owner).await;
    done(&to_first, load("source")).await;
    done(&to_second, load("sink")).await;
    done(&to_second, route_in(5, "sink", at(&first))).await;
    done(&to_first, route_out(5, "source", at(&second))).await;
    (owner, first, to_first, second, to_second)
}

fn assert_in_order(node: &Node, module: &str, count: u64) {
    let accepted = node.platform.with(module, |instance| instance.module.accepted.clone());
    assert_eq!(accepted.len() as u64, count);
    assert!(accepted.iter().zip(0..).all(|((_, _, counter), expected)| *counter == expected));
}

#[tokio::test]
async fn an_event_travels_over_a_link_and_its_verdict_comes_back() {
    let (_, first, to_first, second, to_second) = pair(|_| {}).await;
    emit(&to_first, "source", 5, 3, FrameKind::Event).await;
    drain(&to_first).await;
    assert_in_order(&second, "sink", 3);
    assert_eq!(second.platform.with("sink", |instance| instance.module.rows.clone()), [9, 9, 9]);
    let sent = figures(&to_first, 5, true).await;
    assert_eq!((sent.frames, sent.accepted, sent.waiting, sent.resent), (3, 3, 0, 0));
    let taken = figures(&to_second, 5, false).await;
    assert_eq!((taken.frames, taken.accepted, taken.waiting), (3, 3, 0));
    drop(first);
}

#[tokio::test]
async fn a_request_is_replied_over_the_same_link() {
    let (_, first, to_first, _second, to_second) = pair(|_| {}).await;
    emit(&to_first, "source", 5, 1, FrameKind::Request).await;
    drain(&to_first).await;
    drain(&to_second).await;
    assert_eq!(first.platform.with("source", |instance| instance.module.replies), 1);
}

#[tokio::test]
async fn both_modules_on_one_node_need_no_link() {
    let owner = Identity::generate().unwrap();
    let mut node = Node::start();
    let client = node.enrol(&owner).await;
    done(&client, load("source")).await;
    done(&client, load("sink")).await;
    done(&client, route_out(5, "source", here("sink"))).await;
    done(&client, route_in(5, "sink", here("source"))).await;
    emit(&client, "source", 5, 1000, FrameKind::Event).await;
    emit(&client, "source", 5, 1, FrameKind::Request).await;
    drain(&client).await;
    assert_in_order(&node, "sink", 1001);
    assert_eq!(node.platform.with("source", |instance| instance.module.replies), 1);
    let figures = figures(&client, 5, true).await;
    assert_eq!((figures.accepted, figures.waiting), (1001, 0));
}

#[tokio::test]
async fn a_busy_module_is_tried_again_and_order_is_kept() {
    let (_, first, to_first, second, _to_second) = pair(|_| {}).await;
    second.platform.with("sink", |instance| instance.module.busy = 5);
    emit(&to_first, "source", 5, 500, FrameKind::Event).await;
    drain(&to_first).await;
    assert_in_order(&second, "sink", 500);
    assert_eq!(figures(&to_first, 5, true).await.resent, 0, "the target's node itself tries again");
    drop(first);
}

#[tokio::test]
async fn killed_daemons_lose_nothing_and_deliver_nothing_twice() {
    let (owner, mut first, to_first, mut second, to_second) = pair(|_| {}).await;
    drop(to_second);
    let mut total = 0;
    let mut client = to_first;
    for round in 0_u32..8 {
        emit(&client, "source", 5, 2000, FrameKind::Event).await;
        total += 2000;
        // In the middle of the flood, without waiting for anything.
        if round % 2 == 0 {
            second.kill();
            second.up();
        }
        if round % 3 == 0 {
            drop(client);
            first.kill();
            first.up();
            client = first.client(&owner).await;
        }
    }
    drain(&client).await;
    assert_in_order(&second, "sink", total);
}

#[tokio::test]
async fn stored_events_survive_their_module_and_its_daemon() {
    let (owner, mut first, to_first, mut second, _) = pair(|config| config.outbox.wait_for_disk = true).await;
    second.kill();
    emit(&to_first, "source", 5, 100, FrameKind::Event).await;
    while figures(&to_first, 5, true).await.stored < 100 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(to_first);
    first.platform.with("source", |instance| instance.die("killed"));
    first.kill();
    first.up();
    second.up();
    let client = first.client(&owner).await;
    assert_eq!(figures(&client, 5, true).await.frames, 100, "replayed");
    drain(&client).await;
    assert_in_order(&second, "sink", 100);
}

#[tokio::test]
async fn an_epoch_that_its_owner_calls_dead_is_dropped_and_counted() {
    let (_, first, to_first, second, _) = pair(|_| {}).await;
    second.platform.with("sink", |instance| instance.module.accepts.insert(5, (2, 0)));
    emit(&to_first, "source", 5, 4, FrameKind::Event).await;
    while figures(&to_first, 5, true).await.refused < 4 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(figures(&to_first, 5, true).await.waiting, 4, "refused is not enough");
    // A newer epoch is not held up by the refused one.
    first.platform.with("source", |instance| instance.module.sends.insert(5, (2, 0)));
    emit(&to_first, "source", 5, 2, FrameKind::Event).await;
    while figures(&to_first, 5, true).await.accepted < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    done(&to_first, Request::EpochDead { application: APP, connection: 5, epoch: 1 }).await;
    drain(&to_first).await;
    let after = figures(&to_first, 5, true).await;
    assert_eq!((after.dropped, after.accepted, after.waiting), (4, 2, 0));
}

#[tokio::test]
async fn a_direct_request_gets_its_verdict_and_its_reply() {
    let owner = Identity::generate().unwrap();
    let mut node = Node::start();
    let client = node.enrol(&owner).await;
    done(&client, load("sink")).await;
    done(&client, route_in(8, "sink", Remote::Owner)).await;
    let request = frame_bytes(frame(8, FrameKind::Request, 1, 0));
    let direct =
        |frame: &[u8], reply_ms| Request::Direct { name: name("sink"), row: 4, frame: frame.to_vec(), reply_ms };
    let Response::Entered { status: 0, reply, .. } = client.call(direct(&request, 1000)).await.unwrap() else {
        panic!("a reply is expected")
    };
    assert_eq!(reply, frame_bytes(frame(8, FrameKind::Reply, 1, 0)));
    let again = client.call(direct(&request, 1000)).await.unwrap();
    assert!(matches!(again, Response::Entered { status: 1, reply, .. } if !reply.is_empty()), "asked again");
    let ahead = frame_bytes(frame(8, FrameKind::Event, 1, 7));
    let gap = client.call(direct(&ahead, 0)).await.unwrap();
    assert!(matches!(gap, Response::Entered { status: 2, value: 1, .. }), "{gap:?}");
    let malformed = client.call(direct(&ahead[..20], 0)).await;
    assert!(matches!(malformed, Err(ClientError::Refused(failure)) if failure.kind == FailureKind::Malformed));
}

#[tokio::test]
async fn timers_tick_and_deadlines_pass() {
    let (_, first, to_first, second, to_second) = pair(|_| {}).await;
    let timer = |period_ms| Request::SetTimer { name: name("source"), timer: "t".to_owned(), entry: 1, period_ms };
    done(&to_first, timer(1)).await;
    while first.platform.with("source", |instance| instance.module.ticks) < 20 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    done(&to_first, Request::RemoveTimer { name: name("source"), timer: "t".to_owned() }).await;
    let Request::RouteIn { application, connection, target, target_row, source, port, .. } =
        route_in(5, "sink", at(&first))
    else {
        unreachable!()
    };
    let watched = Request::RouteIn { application, connection, target, target_row, source, port, deadline_ms: 5 };
    done(&to_second, watched).await;
    let late = || second.platform.with("sink", |instance| instance.module.late);
    while late() < 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(late(), 1, "once between two accepted events");
    emit(&to_first, "source", 5, 1, FrameKind::Event).await;
    drain(&to_first).await;
    while late() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn the_log_of_the_outbox_is_deleted_when_nothing_waits_in_it() {
    let (_, first, to_first, second, _) = pair(|config| {
        config.outbox.wait_for_disk = true;
        config.outbox.segment_bytes = 64 << 10;
    })
    .await;
    for _ in 0..20 {
        emit(&to_first, "source", 5, 2000, FrameKind::Event).await;
    }
    drain(&to_first).await;
    assert_in_order(&second, "sink", 40_000);
    let segments = || std::fs::read_dir(first.config.state.join("outbox")).unwrap().count();
    while segments() > 2 {
        to_first.call(Request::Describe).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_torn_tail_of_the_outbox_costs_nothing_that_was_stored() {
    use std::io::Write;
    let (owner, mut first, to_first, mut second, _) = pair(|config| config.outbox.wait_for_disk = true).await;
    second.kill();
    emit(&to_first, "source", 5, 50, FrameKind::Event).await;
    while figures(&to_first, 5, true).await.stored < 50 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(to_first);
    first.platform.with("source", |instance| instance.die("killed"));
    first.kill();
    for segment in std::fs::read_dir(first.config.state.join("outbox")).unwrap() {
        let mut file = std::fs::File::options().append(true).open(segment.unwrap().path()).unwrap();
        file.write_all(&[0x77; 33]).unwrap();
    }
    let mut journal = std::fs::File::options().append(true).open(first.config.state.join("journal")).unwrap();
    journal.write_all(&[1, 2, 3, 4, 200, 0, 0, 0, 9]).unwrap();
    first.up();
    second.up();
    drain(&first.client(&owner).await).await;
    assert_in_order(&second, "sink", 50);
}
