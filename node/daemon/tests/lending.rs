//! A driver in two namespaces: lent by its provider, used by others.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use support::Node;
use veritee_ids::{FrameKind, Op};
use veritee_node_client::{Client, ClientError, Identity};
use veritee_node_protocol::{FailureKind, ModuleName, Remote, Request, Response};

const DRIVERS: [u8; 16] = [1; 16];
const APP: [u8; 16] = [7; 16];

fn name(application: [u8; 16], module: &str) -> ModuleName {
    ModuleName { application, module: module.to_owned() }
}

fn load(name: ModuleName) -> Request {
    Request::Load { name, platform: "fake".to_owned(), image: b"image".to_vec(), restart: true }
}

fn lend(owner: &Identity, connections: &[(u16, u16)]) -> Request {
    Request::Lend {
        name: name(DRIVERS, "driver"),
        owner: owner.public(),
        application: APP,
        module: "lamp".to_owned(),
        connections: connections.to_vec(),
    }
}

fn route_out(connection: u16, source: &str, target: &str) -> Request {
    let target = Remote::Here { module: target.to_owned() };
    Request::RouteOut { application: APP, connection, source: source.to_owned(), source_row: 30, target }
}

fn route_in(connection: u16, target: &str, source: &str) -> Request {
    let (target, source) = (target.to_owned(), Remote::Here { module: source.to_owned() });
    Request::RouteIn { application: APP, connection, target, target_row: 90, source, deadline_ms: 0, port: 0 }
}

async fn done(client: &Client, request: Request) {
    assert_eq!(client.call(request).await.unwrap(), Response::Done);
}

async fn refusal(client: &Client, request: Request) -> FailureKind {
    match client.call(request).await {
        Err(ClientError::Refused(failure)) => failure.kind,
        other => panic!("{other:?}"),
    }
}

async fn emit(client: &Client, name: ModuleName, connection: u16, count: u32) {
    let input = [&[0, 0][..], &connection.to_le_bytes(), &count.to_le_bytes(), &FrameKind::Event.code().to_le_bytes()];
    let request = Request::Enter { name, op: Op::Entry.code(), input: input.concat() };
    let response = client.call(request).await.unwrap();
    assert!(matches!(response, Response::Entered { status: 0, .. }), "{response:?}");
}

async fn drain(client: &Client) {
    let response = client.call(Request::Drain { application: APP, wait_ms: 20_000 }).await.unwrap();
    assert_eq!(response, Response::Drained { left: 0 });
}

/// A provider with a driver, and an owner with a module between whom connections 5 (to the driver) and 6 (from it) run.
async fn lent(node: &mut Node) -> (Identity, Client, Identity, Client) {
    let (provider, owner) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let lender = node.enrol(&provider).await;
    let borrower = node.enrol(&owner).await;
    done(&lender, load(name(DRIVERS, "driver"))).await;
    done(&borrower, load(name(APP, "module"))).await;
    done(&lender, lend(&owner, &[(5, 2), (6, 3)])).await;
    done(&borrower, route_out(5, "module", "lamp")).await;
    done(&borrower, route_in(5, "lamp", "module")).await;
    done(&borrower, route_out(6, "lamp", "module")).await;
    done(&borrower, route_in(6, "module", "lamp")).await;
    (provider, lender, owner, borrower)
}

fn accepted(node: &Node, module: &str) -> usize {
    node.platform.with(module, |instance| instance.module.accepted.len())
}

#[tokio::test]
async fn events_of_a_borrower_reach_a_driver_in_its_own_row_and_come_from_it() {
    let mut node = Node::start();
    let (_, lender, _, borrower) = lent(&mut node).await;
    emit(&borrower, name(APP, "module"), 5, 3).await;
    emit(&lender, name(DRIVERS, "driver"), 6, 4).await;
    drain(&borrower).await;
    assert_eq!((accepted(&node, "driver"), accepted(&node, "module")), (3, 4));
    assert_eq!(node.platform.with("driver", |instance| instance.module.rows.clone()), [2, 2, 2], "not the row 90");
}

#[tokio::test]
async fn a_borrower_calls_entries_of_a_driver_but_does_not_own_it() {
    let mut node = Node::start();
    let (_, _, _, borrower) = lent(&mut node).await;
    emit(&borrower, name(APP, "lamp"), 6, 1).await;
    drain(&borrower).await;
    assert_eq!(accepted(&node, "module"), 1);
    done(&borrower, Request::Unload { name: name(APP, "lamp") }).await;
    emit(&borrower, name(APP, "lamp"), 6, 1).await;
    assert_eq!(refusal(&borrower, load(name(APP, "lamp"))).await, FailureKind::Taken, "the name is in use");
}

#[tokio::test]
async fn a_number_is_one_applications_at_a_driver() {
    let mut node = Node::start();
    let (_, lender, owner, _) = lent(&mut node).await;
    let stranger = Identity::generate().unwrap();
    node.enrol(&stranger).await;
    assert_eq!(refusal(&lender, lend(&stranger, &[(6, 4)])).await, FailureKind::Taken);
    done(&lender, lend(&stranger, &[(7, 4)])).await;
    let back = Request::TakeBack { name: name(DRIVERS, "driver"), owner: owner.public(), application: APP };
    done(&lender, back).await;
    done(&lender, lend(&stranger, &[(6, 4), (7, 4)])).await;
}

#[tokio::test]
async fn what_is_lent_no_more_is_free_for_others() {
    let mut node = Node::start();
    let (_, lender, owner, borrower) = lent(&mut node).await;
    let stranger = Identity::generate().unwrap();
    node.enrol(&stranger).await;
    done(&lender, lend(&owner, &[(5, 2)])).await;
    done(&lender, lend(&stranger, &[(6, 3)])).await;
    assert_eq!(
        refusal(&lender, lend(&owner, &[(5, 2), (6, 3)])).await,
        FailureKind::Taken,
        "the number is a stranger's"
    );
    emit(&borrower, name(APP, "module"), 5, 2).await;
    drain(&borrower).await;
    assert_eq!(accepted(&node, "driver"), 2, "what is lent still works");
}

#[tokio::test]
async fn only_who_has_a_driver_lends_it_and_only_to_owners_who_are_known() {
    let mut node = Node::start();
    let (provider, lender, owner, borrower) = lent(&mut node).await;
    assert_eq!(refusal(&borrower, lend(&provider, &[])).await, FailureKind::NotFound, "not his driver");
    assert_eq!(refusal(&lender, lend(&Identity::generate().unwrap(), &[])).await, FailureKind::NotFound);
    assert_eq!(refusal(&lender, lend(&provider, &[])).await, FailureKind::Malformed, "to himself");
    let taken = Request::Lend {
        name: name(DRIVERS, "driver"),
        owner: owner.public(),
        application: APP,
        module: "module".to_owned(),
        connections: Vec::new(),
    };
    assert_eq!(refusal(&lender, taken).await, FailureKind::Taken, "the borrower has a module of that name");
}

#[tokio::test]
async fn lending_survives_the_daemon_and_ends_with_either_owner() {
    let mut node = Node::start();
    let (provider, lender, owner, borrower) = lent(&mut node).await;
    drop((lender, borrower));
    node.kill();
    node.up();
    let (lender, borrower) = (node.client(&provider).await, node.client(&owner).await);
    emit(&borrower, name(APP, "module"), 5, 2).await;
    emit(&lender, name(DRIVERS, "driver"), 6, 2).await;
    drain(&borrower).await;
    assert_eq!((accepted(&node, "driver"), accepted(&node, "module")), (2, 2));
    done(&lender, Request::Revoke).await;
    // The route is gone; what the module emits there is dropped and counted, and the node stands.
    emit(&borrower, name(APP, "module"), 5, 1).await;
    drain(&borrower).await;
    done(&borrower, Request::Revoke).await;
}
