//! An owner's delegate, through the real programs: what he can do, and who refuses him what.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::path::{Path, PathBuf};
use support::{Application, OWNER, Said, Stage, Status, Tool, button_led, until};
use veritee_exec::delegation::Opened;
use veritee_ids::{Challenge, CipherId, ControlKind, Op, Status as EntryStatus};
use veritee_node_client::{Client, ClientError, Identity, parse_fingerprint};
use veritee_node_protocol::{FailureKind, ModuleName, Request, Response};
use veritee_platform::{Expected, SessionStart, VerifyPolicy};
use veritee_session::{Delegated, OwnerIdentity, Signer, StatusPages, agree};

const DELEGATE: &str = "delegate";

/// Two nodes that know an owner and his delegate.
fn stage() -> Stage {
    let mut stage = Stage::with_nodes(&["desk", "ceiling"]);
    stage.add_owner(DELEGATE);
    stage.enrol(DELEGATE, "desk");
    stage.enrol(DELEGATE, "ceiling");
    stage
}

/// Has the owner delegate; gives the file.
fn delegate(application: &Application<'_>, name: &str, words: &[&str]) -> PathBuf {
    let stage = application.stage;
    let whoami = stage.path().join("delegate.fingerprint");
    std::fs::write(&whoami, stage.tool(DELEGATE, &["whoami"]).said().ok()).unwrap();
    let file = stage.path().join(name);
    let tool = stage.tool(OWNER, &["delegate", "create"]).arg("--file").arg(application.file());
    let tool = tool.arg("--to").arg(whoami).arg("--out").arg(&file);
    words.iter().fold(tool, |tool, word| tool.arg(word)).said().ok();
    file
}

/// A verb in the delegate's hands.
fn acting(stage: &Stage, file: &Path, words: &[&str]) -> Tool {
    stage.tool(DELEGATE, words).arg("--delegation").arg(file)
}

fn serial(stage: &Stage, file: &Path) -> u64 {
    stage.tool(DELEGATE, &["delegate", "show", "--output", "json"]).arg(file).said().json()["serial"].as_u64().unwrap()
}

fn revoke(application: &Application<'_>, words: &[&str]) -> Said {
    let tool = application.stage.tool(OWNER, &[&["delegate", "revoke"], words].concat());
    tool.arg("--file").arg(application.file()).said()
}

/// Whether the LED lives, and not the life that it had.
fn is_new(now: &Status, before: &Status) -> bool {
    let life = &now.module("led")["activation"];
    *life != "" && *life != before.module("led")["activation"]
}

#[test]
fn a_delegate_works_without_the_owners_root_and_sources() {
    let stage = stage();
    let text = button_led().replace("node: ceiling,", "node: ceiling, restart: fresh,");
    let application = stage.application(OWNER, "app", &text);
    application.up().ok();
    let file = delegate(&application, "file.json", &["--until", "1h"]);
    let shown = stage.tool(DELEGATE, &["delegate", "show"]).arg(&file).said().ok();
    assert!(shown.contains("button-led") && shown.contains("epochs       1 to 4294967295"), "{shown}");
    let root = std::fs::read(stage.owners[OWNER].home.join("root.key")).unwrap();
    let root: String = root.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(!std::fs::read_to_string(&file).unwrap().contains(&root));

    let status = || Status(acting(&stage, &file, &["status", "--output", "json"]).said().json());
    let press = || {
        let before = status().accepted("press");
        acting(&stage, &file, &["call", "button.press"]).said().ok();
        until("a press", || status().accepted("press") == before + 1);
    };
    let lit = || acting(&stage, &file, &["request", "state"]).said().ok().trim().to_owned();
    press();
    assert_eq!((lit(), lit()), ("0100000001".to_owned(), "0100000001".to_owned()));
    assert_eq!(application.verb(&["request", "state"]).said().ok().trim(), "0100000001", "the owner is not in his way");
    let before = status();
    assert_eq!(before.module("led"), application.status().module("led"));
    acting(&stage, &file, &["up"]).said().ok();
    assert_eq!(status().epoch("press"), before.epoch("press"), "what stands is the owner's");

    // An end dies. Its node starts it again, and the delegate is the one who is there.
    stage.nodes["ceiling"].kill_module();
    until("a new life", || is_new(&status(), &before));
    acting(&stage, &file, &["up"]).said().ok();
    assert!(status().epoch("press") > before.epoch("press"));
    press();
    assert_eq!(lit(), "0100000001");
    // The owner comes back, and takes over what he does not know the keys of.
    let his = status().epoch("press");
    application.up().ok();
    let after = application.status();
    assert!(after.epoch("press") > his, "{:#}", after.0);
    press();

    for (words, reason) in [
        (&["up", "--watch"][..], "cannot be used with"),
        (&["request", "state", "--file", "x.yaml"], "cannot be used with"),
        (&["request", "press"], "there is no direct connection"),
    ] {
        let said = acting(&stage, &file, words).said();
        assert!(said.code == 2 && said.err.contains(reason), "{words:?}: {} {}", said.code, said.err);
    }
    acting(&stage, &file, &["disable", "led"]).said().ok();
    let said = acting(&stage, &file, &["request", "state"]).said();
    assert!(said.code != 0 && said.err.contains("led"), "{}", said.err);
}

#[test]
fn epochs_beyond_the_delegation_are_refused_by_the_module() {
    let stage = stage();
    let application = stage.application(OWNER, "app", &button_led());
    application.up().ok();
    let file = delegate(&application, "two.json", &["--until", "1h", "--epochs", "1-2"]);
    for _ in 0..2 {
        acting(&stage, &file, &["request", "state"]).said().ok();
    }
    let said = acting(&stage, &file, &["request", "state"]).said();
    let reason = "module led refuses epoch 3: the delegation is for epochs 1 to 2";
    assert!(said.code == 4 && said.err.contains(reason), "{}: {}", said.code, said.err);
    acting(&stage, &file, &["status"]).said().ok();
    application.verb(&["request", "state"]).said().ok();
}

#[test]
fn revoked_delegations_are_refused_by_every_module() {
    let mut stage = stage();
    let text = button_led().replace("node: ceiling,", "node: ceiling, restart: fresh,");
    let older;
    let younger;
    {
        let application = stage.application(OWNER, "app", &text);
        application.up().ok();
        older = delegate(&application, "older.json", &["--until", "2999-12-31"]);
        younger = delegate(&application, "younger.json", &["--until", "1h"]);
        let last = serial(&stage, &older);
        let said = revoke(&application, &["--serial", &last.to_string(), "--output", "json"]).json();
        assert_eq!((&said["below"], &said["told"]), (&(last + 1).into(), &serde_json::json!(["button", "led"])));
        refused(&stage, &older, "button");
        acting(&stage, &younger, &["request", "state"]).said().ok();
        let unknown = revoke(&application, &["--serial", "1"]);
        assert!(unknown.code == 2 && unknown.err.contains(&last.to_string()), "{}", unknown.err);
    }
    // A node is away; its module is told later, whatever life it has then.
    stage.node("ceiling").kill();
    {
        let application = stage.application(OWNER, "app", &text);
        let said = revoke(&application, &[]);
        assert!(said.code == 5 && said.out.contains("button knows"), "{}{}", said.out, said.err);
        assert!(said.err.contains("module led takes them still") && said.err.contains("veritee up"), "{}", said.err);
    }
    stage.node("ceiling").start();
    let application = stage.application(OWNER, "app", &text);
    refused(&stage, &younger, "button");
    acting(&stage, &younger, &["request", "state"]).said().ok();
    application.up().ok();
    refused(&stage, &younger, "led");
    let before = application.status();
    stage.nodes["ceiling"].kill_module();
    application.status_when("a new life", |status| is_new(status, &before));
    application.up().ok();
    refused(&stage, &younger, "led");
    let listed = stage.tool(OWNER, &["delegate", "list"]).arg(application.file()).said().ok();
    assert_eq!(listed.lines().filter(|line| line.ends_with("  revoked")).count(), 2, "{listed}");
    let newest = delegate(&application, "newest.json", &["--until", "1h"]);
    acting(&stage, &newest, &["request", "state"]).said().ok();
}

/// A delegation is revoked, as a module says.
fn refused(stage: &Stage, file: &Path, module: &str) {
    let words: &[&str] = if module == "led" { &["request", "state"] } else { &["disable", module] };
    let said = acting(stage, file, words).said();
    let reason =
        format!("module {module} refuses the delegation with serial {}: its owner revoked it", serial(stage, file));
    assert!(said.code == 4 && said.err.contains(&reason), "{}: {}", said.code, said.err);
}

/// Calls a node as the tool would, with nothing of the tool's in the way.
async fn channel(stage: &Stage, who: &str, node: &str) -> Client {
    let identity = Identity::load(&stage.owners[who].home.join("identity.key")).unwrap();
    let node = &stage.nodes[node];
    Client::connect(&node.address, parse_fingerprint(&node.fingerprint).unwrap(), &identity).await.unwrap()
}

fn forbidden<T: std::fmt::Debug>(outcome: Result<T, ClientError>) -> String {
    match outcome {
        Err(ClientError::Refused(failure)) if failure.kind == FailureKind::Forbidden => failure.message,
        other => panic!("a refusal is expected, not {other:?}"),
    }
}

#[tokio::test]
async fn what_is_over_is_refused_by_tool_and_node() {
    let stage = stage();
    let application = stage.application(OWNER, "app", &button_led());
    application.up().ok();
    let file = delegate(&application, "short.json", &["--until", "2s"]);
    let opened = Opened::read(&file).unwrap();
    let act = || Request::ActFor { owner: opened.owner, delegation: opened.bytes.clone() };
    let early = channel(&stage, DELEGATE, "desk").await;
    early.call(act()).await.unwrap();
    until("the end", || {
        let shown = stage.tool(DELEGATE, &["delegate", "show", "--output", "json"]).arg(&file).said().json();
        shown["over"] == true
    });
    let said = acting(&stage, &file, &["status"]).said();
    assert!(said.code == 4 && said.err.contains("cannot be used: it ended on 2"), "{}: {}", said.code, said.err);
    let figures = Request::Figures { application: opened.application().0 };
    assert_eq!(forbidden(early.call(figures).await), "the delegation is over", "a channel that was opened before");
    let late = channel(&stage, DELEGATE, "desk").await;
    assert_eq!(forbidden(late.call(act()).await), "the delegation is over");
    // A node that does not look lets him in to the module, where an honest one says no once more.
    let led = ModuleName { application: opened.application().0, module: "led".to_owned() };
    let owner = channel(&stage, OWNER, "ceiling").await;
    let transcript = attest(&owner, &led, &application).await;
    let delegated = Delegated { identity: identity(&stage, DELEGATE), delegation: opened.bytes.clone() };
    let signer = Signer::Delegate(&delegated);
    let (input, _) = agree(&transcript, opened.application(), &signer, [5; 32], CipherId::Aes128Gcm).unwrap();
    let open = Request::Enter { name: led, op: Op::Open.code(), input };
    assert_eq!(forbidden(owner.call(open).await), "the delegation is over");
}

fn identity(stage: &Stage, who: &str) -> OwnerIdentity {
    OwnerIdentity::from_seed(&Identity::load(&stage.owners[who].home.join("identity.key")).unwrap().seed())
}

async fn enter(client: &Client, name: &ModuleName, op: Op, input: Vec<u8>) -> (u16, Vec<u8>) {
    match client.call(Request::Enter { name: name.clone(), op: op.code(), input }).await.unwrap() {
        Response::Entered { status, reply, .. } => (status, reply),
        other => panic!("{other:?}"),
    }
}

/// A module's transcript, behind evidence that holds.
async fn attest(client: &Client, name: &ModuleName, application: &Application<'_>) -> Vec<u8> {
    let measurement = application.status().module(&name.module)["measurement"].as_str().unwrap().to_owned();
    let measurement = veritee_exec::state::unhex(&measurement).unwrap();
    let expected = Expected { measurement: &measurement, key: None, credential: None };
    let policy = VerifyPolicy { allow_simulated: vec!["native".to_owned()], ..VerifyPolicy::default() };
    let (_, evidence) = enter(client, name, Op::Attest, vec![9; 16]).await;
    let platform = veritee_exec::platforms::platform("native").unwrap();
    let verified = platform.verify(&evidence, Challenge([9; 16]), expected, &policy).unwrap();
    match verified.start {
        SessionStart::Agreement { transcript } => transcript,
        other @ SessionStart::Symmetric { .. } => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_delegation_for_another_application_is_refused_by_node_and_module() {
    let stage = stage();
    let mine = stage.application(OWNER, "mine", &button_led());
    let other = stage.application(OWNER, "other", &button_led());
    mine.up().ok();
    other.up().ok();
    let [sound, foreign] = [(&mine, "mine.json"), (&other, "other.json")]
        .map(|(application, name)| Opened::read(&delegate(application, name, &["--until", "1h"])).unwrap());
    let led = ModuleName { application: sound.application().0, module: "led".to_owned() };

    let client = channel(&stage, DELEGATE, "ceiling").await;
    let act = Request::ActFor { owner: foreign.owner, delegation: foreign.bytes.clone() };
    client.call(act).await.unwrap();
    let attests = Request::Enter { name: led.clone(), op: Op::Attest.code(), input: vec![9; 16] };
    assert_eq!(forbidden(client.call(attests).await), "the delegation is for another application");
    let unload = Request::Unload { name: led.clone() };
    assert_eq!(forbidden(client.call(unload).await), "a delegate may not ask for this");

    // Past the node: on the owner's own channel.
    let client = channel(&stage, OWNER, "ceiling").await;
    let delegated =
        |opened: &Opened| Delegated { identity: identity(&stage, DELEGATE), delegation: opened.bytes.clone() };
    let (good, bad) = (delegated(&sound), delegated(&foreign));
    for (by, named, accepted) in [(&good, &sound, true), (&bad, &sound, false), (&bad, &foreign, true)] {
        let transcript = attest(&client, &led, &mine).await;
        let (input, mut session) =
            agree(&transcript, named.application(), &Signer::Delegate(by), [5; 32], CipherId::Aes128Gcm).unwrap();
        let (status, _) = enter(&client, &led, Op::Open, input).await;
        assert_eq!(status == EntryStatus::Accepted.code(), accepted);
        // Who names the other application gets a session that this module does not listen to.
        let request = session.request(ControlKind::Status, &StatusPages::default().request());
        let (status, _) = enter(&client, &led, Op::Control, request.bytes).await;
        assert_eq!(status == EntryStatus::Accepted.code(), std::ptr::eq(by, &good));
    }

    // A file that is pieced together does not get as far as that.
    let mut text = std::fs::read_to_string(stage.path().join("mine.json")).unwrap();
    let hex = veritee_exec::hex;
    text = text.replace(&hex(&sound.bytes), &hex(&foreign.bytes));
    let pieced = stage.path().join("pieced.json");
    std::fs::write(&pieced, text).unwrap();
    let said = acting(&stage, &pieced, &["status"]).said();
    assert!(said.code == 4 && said.err.contains("it is not what its owner signed"), "{}: {}", said.code, said.err);
    // His file, somebody else's hands.
    let said = stage.tool(OWNER, &["status", "--delegation"]).arg(stage.path().join("mine.json")).said();
    assert!(said.code == 4 && said.err.contains("and you are"), "{}: {}", said.code, said.err);
}
