//! Modules on boards, through the control interface: a fake board behind a real daemon.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;
use veritee_fakeboard::FakeBoard;
use veritee_ids::Op;
use veritee_node::Config;
use veritee_node_client::{Client, ClientError, Identity, enrol};
use veritee_node_protocol::{Description, FailureKind, ModuleName, ModuleReport, Request, Response};
use veritee_sancus_format::{BuiltIn, Claims, Image, ModuleImage, Need, Placed};
use veritee_sancus_node::{BoardConfig, Patience, SancusPlatform};

struct Node {
    folder: tempfile::TempDir,
    config: Config,
    boards: Vec<BoardConfig>,
    handle: Option<veritee_node::Handle>,
    address: String,
}

impl Node {
    fn start(boards: &[(&str, &FakeBoard)], provider: Option<&Identity>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::new(folder.path().join("state"));
        config.listen = vec!["127.0.0.1:0".to_owned()];
        config.providers = provider.iter().map(|identity| identity.fingerprint().to_string()).collect();
        let board = |(name, board): &(&str, &FakeBoard)| BoardConfig {
            name: (*name).to_owned(),
            port: board.port(),
            baud: 115_200,
            drivers: vec!["button".to_owned()],
        };
        let boards = boards.iter().map(board).collect();
        veritee_node::init(&config).unwrap();
        let mut node = Self { folder, config, boards, handle: None, address: String::new() };
        node.up();
        node
    }

    fn up(&mut self) {
        let patience = Patience {
            keepalive: Duration::from_millis(50),
            acknowledge: Duration::from_millis(600),
            retry: Duration::from_millis(20),
            up: Duration::from_millis(2000),
            ..Patience::default()
        };
        let platform = SancusPlatform::with_patience(self.boards.clone(), patience);
        let handle = veritee_node::start(self.config.clone(), vec![Arc::new(platform)]).unwrap();
        self.address = handle.address().to_string();
        self.config.listen = vec![self.address.clone()];
        self.handle = Some(handle);
    }

    fn kill(&mut self) {
        self.handle.take().unwrap().kill();
    }

    async fn enrol(&self, owner: &Identity) -> Client {
        let token = veritee_node::new_token(&self.config).unwrap();
        let identity = self.handle.as_ref().unwrap().identity();
        enrol(&self.address, identity, &token, &owner.public()).await.unwrap();
        self.client(owner).await
    }

    async fn client(&self, owner: &Identity) -> Client {
        Client::connect(&self.address, self.handle.as_ref().unwrap().identity(), owner).await.unwrap()
    }
}

fn name(module: &str) -> ModuleName {
    ModuleName { application: [1; 16], module: module.to_owned() }
}

fn refused<T: std::fmt::Debug>(outcome: Result<T, ClientError>) -> (FailureKind, String) {
    match outcome {
        Err(ClientError::Refused(failure)) => (failure.kind, failure.message),
        other => panic!("a refusal is expected, not {other:?}"),
    }
}

async fn reserve(client: &Client, module: &str, text: u16) -> Result<Placed, ClientError> {
    let need = Need { text_bytes: text, secret_bytes: 64 }.encode();
    let request =
        Request::Reserve { name: name(module), platform: "sancus".to_owned(), board: "kitchen".to_owned(), need };
    match client.call(request).await? {
        Response::Reserved { place } => Ok(Placed::decode(&place).unwrap()),
        other => panic!("{other:?}"),
    }
}

fn load(module: &str, placed: &Placed) -> Request {
    let image = Image::Module(ModuleImage {
        vendor: 3,
        text_address: placed.text_address,
        text: vec![0x21; usize::from(placed.text_bytes)],
        secret_address: placed.secret_address,
        secret_bytes: placed.secret_bytes,
        room: 400,
        poll: 0,
    });
    Request::Load { name: name(module), platform: "sancus".to_owned(), image: image.encode(), restart: true }
}

async fn speak(client: &Client, module: &str) -> Result<Vec<u8>, ClientError> {
    match client.call(Request::Enter { name: name(module), op: Op::Attest.code(), input: vec![9; 16] }).await? {
        Response::Entered { status: 0, reply, .. } => Ok(reply),
        other => panic!("{other:?}"),
    }
}

async fn report(client: &Client, module: &str) -> ModuleReport {
    match client.call(Request::List { application: None }).await.unwrap() {
        Response::Modules(modules) => modules.into_iter().find(|report| report.name.module == module).unwrap(),
        other => panic!("{other:?}"),
    }
}

async fn describe(client: &Client) -> Description {
    match client.call(Request::Describe).await.unwrap() {
        Response::Description(description) => description,
        other => panic!("{other:?}"),
    }
}

async fn until<Fut: Future<Output = bool>>(mut so: impl FnMut() -> Fut) {
    let waiting = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it never happened");
}

#[tokio::test]
async fn a_module_is_reserved_loaded_entered_restarted_and_unloaded() {
    let board = FakeBoard::start(0);
    let mut node = Node::start(&[("kitchen", &board)], None);
    let owner = Identity::generate().unwrap();
    let client = node.enrol(&owner).await;
    let (kind, message) = refused(
        client
            .call(load(
                "echo",
                &Placed {
                    text_address: 0xa000,
                    text_bytes: 10,
                    secret_address: 0x800,
                    secret_bytes: 10,
                    board: "kitchen".to_owned(),
                },
            ))
            .await,
    );
    assert_eq!((kind, message.contains("no reservation")), (FailureKind::NoRoom, true));
    let placed = reserve(&client, "echo", 1000).await.unwrap();
    client.call(load("echo", &placed)).await.unwrap();
    assert_eq!(speak(&client, "echo").await.unwrap(), [9; 48]);

    node.kill();
    node.up();
    let client = node.client(&owner).await;
    assert_eq!(speak(&client, "echo").await.unwrap(), [9; 48], "it lived on");
    assert_eq!((board.executed().len(), report(&client, "echo").await.restarts), (2, 0));
    assert_eq!(reserve(&client, "echo", 1000).await.unwrap(), placed);

    board.reset();
    until(|| async { report(&client, "echo").await.restarts == 1 && report(&client, "echo").await.alive }).await;
    assert_eq!(report(&client, "echo").await.death, "the board was reset");
    assert_eq!(speak(&client, "echo").await.unwrap(), [9; 48], "loaded again");

    client.call(Request::Unload { name: name("echo") }).await.unwrap();
    assert!(board.loaded().is_empty() && node.folder.path().exists());
    assert_eq!(reserve(&client, "all", 0x5000).await.unwrap().text_address, 0xa000);
}

#[tokio::test]
async fn owners_share_a_board_and_nobody_gets_the_place_of_another() {
    let board = FakeBoard::start(0);
    let node = Node::start(&[("kitchen", &board)], None);
    let one = node.enrol(&Identity::generate().unwrap()).await;
    let other = node.enrol(&Identity::generate().unwrap()).await;
    let mine = reserve(&one, "module", 0x3000).await.unwrap();
    let theirs = reserve(&other, "module", 0x2000).await.unwrap();
    assert_eq!((mine.text_address, theirs.text_address), (0xa000, 0xd000));
    let (kind, message) = refused(reserve(&other, "more", 512).await);
    assert_eq!(kind, FailureKind::NoRoom);
    assert_eq!(message, "the module needs 512 bytes of text, the board kitchen has 0 free");
    // An image that is linked for another's place is refused, before and after the other is there.
    for _ in 0..2 {
        let (kind, message) = refused(other.call(load("module", &mine)).await);
        assert_eq!((kind, message.contains("its reservation is")), (FailureKind::BadImage, true), "{message}");
        one.call(load("module", &mine)).await.unwrap();
    }
    other.call(load("module", &theirs)).await.unwrap();
    assert_eq!(board.loaded().len(), 2);
    assert!(speak(&one, "module").await.is_ok() && speak(&other, "module").await.is_ok());
}

#[tokio::test]
async fn a_board_that_does_not_answer_is_told_and_tried_again_while_others_work() {
    let (board, hall) = (FakeBoard::start(0), FakeBoard::start(0));
    board.unplug();
    let node = Node::start(&[("kitchen", &board), ("hall", &hall)], None);
    let client = node.enrol(&Identity::generate().unwrap()).await;
    let (kind, message) = refused(reserve(&client, "echo", 100).await);
    assert_eq!(kind, FailureKind::Unavailable);
    assert!(message.contains("the board kitchen at unix:") && message.contains("check"), "{message}");
    let description = describe(&client).await;
    let [kitchen, hall] = &description.boards[..] else { panic!("two boards") };
    assert!(!kitchen.trouble.is_empty() && kitchen.claims.is_empty() && hall.trouble.is_empty());
    let claims = Claims::decode(&hall.claims).unwrap();
    assert_eq!((claims.security, hall.platform.as_str()), (128, "sancus"));
    assert!(hall.words.starts_with("profile veritee, security 128"), "{}", hall.words);
    board.plug();
    let placed = reserve(&client, "echo", 100).await.unwrap();
    client.call(load("echo", &placed)).await.unwrap();
    assert!(speak(&client, "echo").await.is_ok());
}

#[tokio::test]
async fn only_the_provider_holds_the_drivers_of_a_board() {
    let board = FakeBoard::start(1);
    let provider = Identity::generate().unwrap();
    let node = Node::start(&[("kitchen", &board)], Some(&provider));
    let (provider, owner) = (node.enrol(&provider).await, node.enrol(&Identity::generate().unwrap()).await);
    let image = Image::BuiltIn(BuiltIn { board: "kitchen".to_owned(), driver: "button".to_owned() }).encode();
    let load = |module: &str| Request::Load {
        name: name(module),
        platform: "sancus".to_owned(),
        image: image.clone(),
        restart: true,
    };
    assert_eq!(refused(owner.call(load("button")).await).0, FailureKind::Forbidden);
    provider.call(load("button")).await.unwrap();
    let (kind, message) = refused(provider.call(load("again")).await);
    assert_eq!((kind, message.contains("held already")), (FailureKind::Forbidden, true));
    assert_eq!(speak(&provider, "button").await.unwrap(), [9; 48]);
    board.reset();
    until(|| async { report(&provider, "button").await.restarts == 1 && report(&provider, "button").await.alive })
        .await;
    assert!(speak(&provider, "button").await.is_ok(), "taken over again after the reset");
}

#[tokio::test]
async fn a_module_comes_back_with_its_board_however_long_that_takes() {
    let board = FakeBoard::start(0);
    let mut node = Node::start(&[("kitchen", &board)], None);
    let owner = Identity::generate().unwrap();
    let client = node.enrol(&owner).await;
    let placed = reserve(&client, "echo", 500).await.unwrap();
    client.call(load("echo", &placed)).await.unwrap();
    node.kill();
    board.reset();
    board.unplug();
    node.up();
    let client = node.client(&owner).await;
    // Whether it lives turns out when the board answers; it died long ago then.
    board.plug();
    until(|| async { report(&client, "echo").await.restarts == 1 && report(&client, "echo").await.alive }).await;
    assert_eq!(speak(&client, "echo").await.unwrap(), [9; 48]);
    // Dead with a board that is away: started again only once it is back.
    board.halt(board.loaded()[0]);
    assert_eq!(refused(speak(&client, "echo").await).0, FailureKind::Dead);
    board.unplug();
    until(|| async { !describe(&client).await.boards[0].trouble.is_empty() }).await;
    board.plug();
    until(|| async { report(&client, "echo").await.alive }).await;
    assert_eq!(speak(&client, "echo").await.unwrap(), [9; 48]);
}
