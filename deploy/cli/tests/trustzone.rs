//! Nodes with OP-TEE: emulated machines through the programs, and what a board needs.
//!
//! Machines take minutes and packages of Debian's for arm64: their tests run when `VERITEE_TEST_TRUSTZONE` is set, as
//! `cargo xtask test` does where these can be had.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests, which say what they skip")]

mod support;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use support::board::{c_module, can_build};
use support::{Application, OWNER, Running, Said, Stage, Status, Tool, enclaves_run, repository, source, until};
use veritee_exec::fleet::Node;
use veritee_exec::hex;
use veritee_exec::home::{BoardKey, Home};
use veritee_exec::platforms;
use veritee_exec::state::unhex;
use veritee_node_protocol::ConnectionFigures;
use veritee_platform::{BoardOrder, BuildOrder, Language, Placement, PlatformError};
use veritee_provider::Store;

/// Runs the button and its light, with the light in a trusted application.
fn run(light: &str) {
    let example = repository().join("examples/button-led");
    let text = std::fs::read_to_string(example.join("trustzone.yaml")).unwrap();
    assert!(text.contains("source: { rust: led }"), "the example's light is in Rust");
    let folder = |name: &str| format!("{:?}", example.join(name));
    let text = text.replace("source: { rust: button }", &format!("source: {{ rust: {} }}", folder("button"))).replace(
        "source: { rust: led }",
        &format!("source: {light}").replace("FOLDER/", &format!("{}/", example.display())),
    );
    let stage = Stage::new();
    stage.share_builds(OWNER, stage.path());
    let file = stage.path().join("veritee.yaml");
    std::fs::write(&file, text).unwrap();
    let said = tool(&stage, &["run", "--output", "json", "--for", "4s"]).arg(&file).said();
    let report = said.json();
    let module =
        |name: &str| report["modules"].as_array().unwrap().iter().find(|module| module["name"] == name).cloned();
    let led = module("led").unwrap();
    assert_eq!((&led["platform"], &led["simulated"]), (&"trustzone".into(), &true.into()), "{led}");
    let press = report["connections"].as_array().unwrap().iter().find(|found| found["name"] == "press").unwrap();
    assert!(press["accepted"].as_u64().unwrap() > 0, "{press}");
    assert_eq!(press["accepted"], press["sent"]);
}

/// The tool, which finds packages where the tests keep them.
fn tool(stage: &Stage, words: &[&str]) -> Tool {
    let mut tool = stage.tool(OWNER, words);
    for name in ["VERITEE_PACKAGES", "VERITEE_TRUSTZONE_CACHE"] {
        tool.0.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    tool
}

/// Whether the tests of machines are not wanted; says so.
fn skipped() -> bool {
    let skipped = std::env::var_os("VERITEE_TEST_TRUSTZONE").is_none();
    if skipped {
        eprintln!("skipped: machines with OP-TEE are tested by `cargo xtask test`, or with VERITEE_TEST_TRUSTZONE=1");
    }
    skipped
}

/// The first line of a program that stays.
fn ready(running: &mut Running) -> Value {
    let mut line = String::new();
    let output = running.child().stdout.take().unwrap();
    BufReader::new(output).read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("it says {line:?}"));
    said["ready"].clone()
}

/// A machine of its provider, who is the owner too, and who answers while the second value lives.
fn enrolled(stage: &Stage) -> (Running, Running) {
    let enrol = ["provider", "enrol", "cellar", "--platform", "trustzone", "--node", "ceiling", "--simulated"];
    let said = tool(stage, &enrol).arg("--out").arg("provided").said().ok();
    assert!(said.contains("The way on: veritee node init ceiling --provided provided"), "{said}");
    // The emulated machine runs the very program that a board would get.
    tool(stage, &["node", "init", "board", "--machine", "board", "--provided", "provided"]).said().ok();
    let mut init = tool(stage, &["node", "init", "machine", "--provided", "provided"]);
    init.0.env("VERITEE_NODE_ARM64", stage.path().join("board/veritee-node"));
    init.said().ok();
    assert!(stage.path().join("machine/secret").exists());
    let mut machine = tool(stage, &["node", "start", "machine", "--port", "0"]).spawn();
    let said = ready(&mut machine);
    assert!(!stage.path().join("machine/secret").exists(), "the service has the secret now");
    let word = |name: &str| said[name].as_str().unwrap().to_owned();
    let add = ["node", "add", "ceiling", &word("address"), "--fingerprint", &word("fingerprint")];
    tool(stage, &add).arg("--token").arg(word("token")).said().ok();
    let mut provider = tool(stage, &["provider", "serve", "--listen", "127.0.0.1:0"]).spawn();
    let service = ready(&mut provider)["address"].as_str().unwrap().to_owned();
    let owner = tool(stage, &["whoami"]).said().ok();
    let key = tool(stage, &["provider", "vendor-key", "cellar", "--owner", owner.trim(), "--service", &service]);
    std::fs::write(stage.path().join("key"), key.said().ok()).unwrap();
    tool(stage, &["node", "key", "ceiling", "key"]).said().ok();
    (machine, provider)
}

/// Serves balls from a timer, as many as it was told to: a flood that no call of the tool has to wait for.
const SERVER: &str = "#include <veritee.h>
VT_STRUCT(Ball, { uint32_t number; });
VT_STRUCT(Order, { uint32_t balls; });
VT_OUTPUT(ball, Ball, emits = 100);
static uint32_t ordered, served;
VT_ENTRY(public, order, Order, more) { ordered += more->balls; }
VT_ENTRY(public, serve) {
    for (uint32_t now = 0; now < 100 && served < ordered; now++)
        emit_ball((Ball){ ++served });
}
";

/// Balls fly from a desk to a hall: through a trusted application, and past it.
fn balls(stage: &Stage) -> Application<'_> {
    let descriptor = format!(
        "application: balls
nodes:
  desk: {{ platform: native }}
  ceiling: {{ platform: trustzone }}
  hall: {{ platform: native }}
modules:
  server: {{ node: desk, source: {{ c: server }} }}
  relay: {{ node: ceiling, source: {{ rust: {pong:?} }} }}
  player: {{ node: hall, source: {{ rust: {ping:?} }} }}
  witness: {{ node: hall, source: {{ rust: {ping:?} }} }}
connections:
  - {{ name: there, from: server.ball, to: relay.ping }}
  - {{ name: onward, from: relay.pong, to: player.pong }}
  - {{ name: past, from: server.ball, to: witness.pong }}
  - {{ name: played, direct: true, to: player.score }}
  - {{ name: witnessed, direct: true, to: witness.score }}
timers:
  - {{ name: serve, entry: server.serve, every: 5ms }}
policy:
  allow: [native, trustzone-simulated]
  freshness: [hardware-rng, persistent-counter, software-prng]
",
        ping = source("examples/ping-pong/ping"),
        pong = source("examples/ping-pong/pong"),
    );
    c_module(&stage.path().join("app/server"), SERVER);
    stage.application(OWNER, "app", &descriptor)
}

/// Orders so many balls.
fn order(application: &Application<'_>, balls: u64) {
    let balls = u32::try_from(balls).unwrap();
    application.patient(&["call", "server.order", "--hex", &hex(&balls.to_le_bytes())]).ok();
}

/// Whether the last ball that a player on the hall's node was given has this number: players take them in order, without a gap.
fn last_ball(application: &Application<'_>, connection: &str, number: u64) {
    let score = application.patient(&["request", connection]).ok();
    let number = u32::try_from(number).unwrap();
    assert_eq!(score.trim(), format!("{}00000000", hex(&number.to_le_bytes())), "the last ball of {connection}");
}

/// What a node claims, asked without the tool: of connections whose source lives there.
fn claims(stage: &Stage, node: &str) -> Vec<ConnectionFigures> {
    let home = Home::at(stage.owners[OWNER].home.clone());
    let known = home.nodes().unwrap().remove(node).unwrap();
    let applications = std::fs::read_to_string(home.folder().join("applications.json")).unwrap();
    let applications: BTreeMap<String, Value> = serde_json::from_str(&applications).unwrap();
    let application = unhex(applications.keys().next().unwrap()).unwrap().try_into().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let figures = runtime.block_on(async {
        let own = home.identity().unwrap();
        let node = Node::connect(node, &known.address, known.identity().unwrap(), &own).await.unwrap();
        node.figures(application).await.unwrap()
    });
    figures.connections.into_iter().filter(|claim| claim.source).collect()
}

/// The claims of the machine's node about its only connection that leads away.
fn relayed(stage: &Stage) -> ConnectionFigures {
    let mut claims = claims(stage, "ceiling");
    assert_eq!(claims.len(), 1, "the relay has one output, to one module");
    claims.remove(0)
}

/// Ends a machine as a power cut would.
fn cut_power(stage: &Stage, machine: Running) {
    let process = std::fs::read_to_string(stage.path().join("machine/pid")).unwrap().trim().parse().unwrap();
    let process = rustix::process::Pid::from_raw(process).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
    assert_ne!(machine.said().code, 0, "whoever watches the machine is told");
}

/// Where the owner reaches the machine's node, and by what he knows it.
fn known_ceiling(stage: &Stage) -> Value {
    tool(stage, &["node", "list", "--output", "json"]).said().json()["ceiling"].clone()
}

/// Balls of a quiet beginning, balls that wait for the hall, and balls of the flood.
const QUIET: u64 = 400;
const STORED: u64 = 300;
const FLOOD: u64 = 20_000;
const SERVED: u64 = QUIET + STORED + FLOOD;

/// Has the machine's power fail in a flood, while nobody takes what it sends. Gives how many balls its node had on its disk before.
fn die_in_a_flood(stage: &mut Stage, machine: Running) -> u64 {
    order(&balls(stage), QUIET);
    balls(stage).status_when("a quiet beginning", |status| {
        status.settled() && ["onward", "past"].iter().all(|name| status.accepted(name) == QUIET)
    });
    stage.node("hall").kill();
    order(&balls(stage), STORED);
    until("the balls for the hall are on both disks", || {
        let waits = |claim: &ConnectionFigures| claim.waiting == STORED && claim.stored == STORED;
        waits(&relayed(stage)) && claims(stage, "desk").iter().any(waits)
    });
    order(&balls(stage), FLOOD);
    until("the flood is in full flow", || relayed(stage).frames > QUIET + STORED + 2_000);
    let claim = relayed(stage);
    cut_power(stage, machine);
    assert!(claim.frames < SERVED, "all was relayed before: {claim:?}");
    claim.stored
}

/// Starts the machine at its old address; it must be the same node.
fn power_returns(stage: &Stage) -> Running {
    let known = known_ceiling(stage);
    let port = known["address"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
    let mut machine = tool(stage, &["node", "start", "machine", "--port", &port]).spawn();
    let said = ready(&mut machine);
    let same = (&said["address"], &said["fingerprint"]) == (&known["address"], &known["fingerprint"]);
    assert!(same, "the same node, without enrolling again: {said} {known}");
    machine
}

/// What a status says about a connection that lost an end.
fn broken<'a>(status: &'a Status, connection: &str) -> &'a Value {
    let broken = status.0["broken"].as_array().unwrap();
    broken.iter().find(|cost| cost["connection"] == connection).unwrap_or_else(|| panic!("{:#}", status.0))
}

/// Once everything that outlived the machine has arrived: what was stored did, in order, and the tool says what is lost. Gives the
/// lines that `up` must say.
fn arrived(application: &Application<'_>, stored: u64) -> [String; 2] {
    application.status_when("all that was stored arrives", |status| {
        let all = status.accepted("past") == SERVED && status.number("there", "sent") == SERVED;
        let waits = |connection: &str| broken(status, connection)["claim"]["waiting"].as_u64().unwrap();
        let durable = broken(status, "there")["claim"]["stored"].as_u64().unwrap();
        all && waits("onward") == 0 && waits("there") == durable
    });
    // A status asks modules before nodes: this one is as new as the claim that nothing waits.
    let status = application.status();
    let claim = |connection: &str| {
        let claim = &broken(&status, connection)["claim"];
        ["emitted", "accepted", "waiting"].map(|word| claim[word].as_u64().unwrap())
    };
    let ([emitted, accepted, waiting], [again, taken, _]) = (claim("there"), claim("onward"));
    assert_eq!((emitted, accepted + waiting), (SERVED, SERVED), "each ball has a verdict, or is on the desk's disk");
    let reached = status.accepted("onward");
    assert!(
        reached >= QUIET + stored,
        "{stored} were on the machine's disk; {QUIET} and they make more than {reached}"
    );
    assert!(reached < SERVED, "the machine died in the flood");
    last_ball(application, "witnessed", SERVED);
    last_ball(application, "played", reached);
    let lost = SERVED - QUIET;
    [
        format!(
            "connection there, epoch 1: the target is gone; {SERVED} emitted (sealed), at least {QUIET} accepted (its last \
             sealed status), at most {lost} lost; the node of the source claims {emitted} emitted, {accepted} accepted, \
             {waiting} waiting of which {waiting} stored, since the route was set"
        ),
        format!(
            "connection onward, epoch 1: the source is gone; {reached} accepted (sealed), at least {reached} emitted (its \
             last sealed status, and what was accepted), at least 0 lost or unstored; the node of the source claims {again} \
             emitted, {taken} accepted, 0 waiting of which 0 stored, since the route was set"
        ),
    ]
}

/// A public key that is nobody's.
const SIGNER: &str = "-----BEGIN PUBLIC KEY-----
MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBALrHkMtkhyTbksi4w1ysi90cVqh3yNOX
vRQy1pepQOlHRY9/U5Yiv1LCLSx9aYfwfGVXNG6/qrJGjgLTw2Sytz0CAwEAAQ==
-----END PUBLIC KEY-----
";
const SERVICE: &str = "765f330f-ded4-488c-b1d2-19824c39401a.ta";
const SECRET: &str = "000102030405060708090a0b0c0d0e0f";

/// Writes what a provider wrote for a node, and a program for a processor of this number in ELF. Nothing of it is run.
fn provide(stage: &Stage, machine: u8) {
    let folder = stage.path().join("provided");
    std::fs::create_dir_all(&folder).unwrap();
    let enrolled = r#"{"board": "cellar", "node": "cellar", "platform": "trustzone", "simulated": false}"#;
    for (name, text) in
        [("signer.pem", SIGNER), ("board.secret", SECRET), (SERVICE, "signed"), ("enrolled.json", enrolled)]
    {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let mut program = [0; 64];
    program[..6].copy_from_slice(b"\x7fELF\x02\x01");
    program[18] = machine;
    std::fs::write(stage.path().join("node-arm64"), program).unwrap();
}

/// Makes a node of it.
fn init(stage: &Stage, words: &[&str]) -> Said {
    let mut init = stage.tool(OWNER, &["node", "init"]);
    init.0.args(words).args(["--provided", "provided"]).env("VERITEE_NODE_ARM64", stage.path().join("node-arm64"));
    init.said()
}

const ARM64: u8 = 183;
const X86: u8 = 62;

#[test]
fn the_folder_for_a_board_has_all_that_its_page_speaks_of_and_no_secret() {
    let stage = Stage::new();
    provide(&stage, ARM64);
    let said = init(&stage, &["files", "--platform", "trustzone", "--machine", "board"]);
    assert!(said.out.contains("files/README.md says where it goes"), "{said:?}");
    let files = stage.path().join("files");
    let read = |name: &str| std::fs::read(files.join(name)).unwrap();
    let mut names: Vec<_> = std::fs::read_dir(&files).unwrap().map(|file| file.unwrap().file_name()).collect();
    names.sort();
    let wanted = [
        SERVICE,
        "README.md",
        "node.toml",
        "signer.pem",
        "tee.rules",
        "trustzone.conf",
        "veritee-node",
        "veritee-node.service",
    ];
    assert_eq!(names, wanted.map(std::ffi::OsString::from));
    assert_eq!((read("signer.pem"), read(SERVICE)), (SIGNER.into(), "signed".into()));
    assert_eq!(std::fs::metadata(files.join("veritee-node")).unwrap().permissions().mode() & 0o777, 0o755);

    let page = String::from_utf8(read("README.md")).unwrap();
    for name in wanted.iter().filter(|name| !["README.md", "signer.pem"].contains(name)) {
        let installed = page.lines().any(|line| line.starts_with("install ") && line.contains(&format!(" {name} /")));
        assert!(installed, "{name} is installed: {page}");
    }
    assert!(page.contains("TA_PUBLIC_KEY=signer.pem") && !page.contains('{'), "{page}");
    let mut check = std::process::Command::new(support::node_program());
    let checked = check.args(["check", "--config"]).arg(files.join("node.toml")).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    for name in wanted {
        let text = String::from_utf8_lossy(&read(name)).into_owned();
        assert!(!text.contains(SECRET), "the secret is in {name}");
    }
}

#[test]
fn a_node_that_would_not_work_or_would_lie_is_not_made() {
    let stage = Stage::new();
    provide(&stage, ARM64);
    let refused = |words: &[&str], code: i32, reason: &str| {
        let said = init(&stage, words);
        assert!(said.code == code && said.err.contains(reason), "{words:?}: {reason}: {} {}", said.code, said.err);
        assert!(!stage.path().join("files").exists(), "{words:?} leaves nothing behind");
    };
    const BOARD: &[&str] = &["files", "--machine", "board"];
    refused(&["files", "--platform", "sancus"], 2, "[possible values: trustzone]");
    refused(&["files", "--machine", "toaster"], 2, "[possible values: qemu, board]");
    refused(&["files", "--machine", "qemu"], 1, "was enrolled as hardware; an emulated machine needs");
    provide(&stage, X86);
    refused(BOARD, 1, "node-arm64: it is no program for arm64");
    let change = |name: &str, text: &str| {
        provide(&stage, ARM64);
        std::fs::write(stage.path().join("provided").join(name), text).unwrap();
    };
    change("signer.pem", "no key");
    refused(BOARD, 1, "provided/signer.pem is no public key");
    change("enrolled.json", r#"{"board": "b", "node": "n", "platform": "sancus", "simulated": true}"#);
    refused(BOARD, 1, "provided is of the platform sancus, not of trustzone");
    change("enrolled.json", "{}");
    refused(BOARD, 1, "provided/enrolled.json makes no sense");
    for name in ["signer.pem", "board.secret", SERVICE, "enrolled.json"] {
        provide(&stage, ARM64);
        std::fs::remove_file(stage.path().join("provided").join(name)).unwrap();
        refused(
            BOARD,
            1,
            &format!("cannot read provided/{name}; `veritee provider enrol --platform trustzone` writes it"),
        );
    }
    provide(&stage, ARM64);
    std::fs::create_dir(stage.path().join("there")).unwrap();
    let said = init(&stage, &["there", "--machine", "board"]);
    assert!(said.code == 1 && said.err.contains("there is there already"), "{said:?}");
}

/// Takes a secure world under these names into the books of a provider; says so where none can be built.
fn is_provider_of(stage: &Stage, boards: &[&str]) -> bool {
    let order =
        BoardOrder { drivers: &[], simulated: true, bare: false, target: &stage.path().join("target"), talk: &|_| () };
    let built = match platforms::provider("trustzone").unwrap().make(&order) {
        Err(error @ PlatformError::MissingTool { .. }) => {
            eprintln!("skipped: {error}");
            return false;
        }
        built => built.unwrap(),
    };
    let folder = stage.owners[OWNER].home.join("provider");
    std::fs::create_dir(&folder).unwrap();
    let mut store = Store::open(&folder).unwrap();
    boards.iter().for_each(|board| store.add_board(board, "ceiling", "trustzone", &built.record).unwrap());
    true
}

/// What the provider gives to an owner: the key of a node.
fn vendor_key(stage: &Stage, board: &str, owner: &str) -> BoardKey {
    let key = stage.tool(OWNER, &["provider", "vendor-key", board, "--owner", owner]).said().ok();
    serde_json::from_str(&key).unwrap()
}

/// A module for a node of which its owner has this key, before it is signed. Whose key is measured into it is not the signer's to judge.
fn unsigned(stage: &Stage, key: &BoardKey) -> PathBuf {
    let platform = platforms::platform("trustzone").unwrap();
    let order = BuildOrder {
        module: "unsigned",
        language: Language::Rust,
        source: &repository().join("testkit/probe"),
        target: &stage.path().join("target"),
        owner: &[7; 32],
        ciphers: &[],
        talk: &|_| (),
    };
    let built = platform.build(&order).unwrap();
    platform.place(&built, Placement { place: &[], credential: &key.credential() }).unwrap().path
}

#[test]
fn a_provider_signs_for_owners_whom_he_knows_what_is_named_after_its_content() {
    let mut stage = Stage::new();
    stage.share_builds(OWNER, stage.path());
    if !is_provider_of(&stage, &["cellar", "attic"]) {
        return;
    }
    let [owner, stranger] = ["guest", "stranger"].map(|name| {
        stage.add_owner(name);
        stage.tool(name, &["whoami"]).said().ok().trim().to_owned()
    });
    let image = unsigned(&stage, &vendor_key(&stage, "cellar", &owner));
    let out = stage.path().join("signed.ta");
    let sign = |image: &Path, owner: &str| {
        let sign = stage.tool(OWNER, &["provider", "sign", "cellar", "--owner", owner, "--out"]).arg(&out);
        sign.arg(image).said()
    };
    let refused = |image: &Path, owner: &str, reason: &str| {
        let said = sign(image, owner);
        assert!(said.code == 1 && said.err.contains(reason), "{reason}: {} {}", said.code, said.err);
        assert!(!out.exists(), "{reason}: and yet something is signed");
    };
    let unknown =
        format!("this provider knows no owner {stranger} on board cellar: `veritee provider vendor-key` first");
    refused(&image, &stranger, &unknown);
    vendor_key(&stage, "attic", &stranger);
    refused(&image, &stranger, &unknown);
    vendor_key(&stage, "cellar", &stranger);
    refused(&image, &stranger, "not signed: it is of vendor 2, its owner is vendor 3 here");
    let bytes = std::fs::read(&image).unwrap();
    let changed = stage.path().join("changed");
    let mut copy = bytes.clone();
    *copy.last_mut().unwrap() ^= 1;
    std::fs::write(&changed, copy).unwrap();
    refused(&changed, &owner, ", but its content gives ");

    sign(&image, &owner).ok();
    let signed = std::fs::read(&out).unwrap();
    assert!(signed.len() > bytes.len() && signed.ends_with(&bytes), "a signature and the image");
}

#[test]
fn a_machine_that_dies_in_a_flood_comes_back_and_nothing_is_lost_unnamed() {
    if skipped() {
        return;
    }
    let mut stage = Stage::with_nodes(&["desk", "hall"]);
    let (machine, _provider) = enrolled(&stage);
    balls(&stage).up().ok();
    let stored = die_in_a_flood(&mut stage, machine);

    stage.node("hall").start();
    until("what the desk stored is in the hall", || {
        claims(&stage, "desk").iter().any(|claim| claim.accepted == SERVED)
    });
    let application = balls(&stage);
    let said = application.verb(&["status"]).said();
    assert!(said.code == 5 && said.err.contains("ceiling"), "{}", said.err);

    let _machine = power_returns(&stage);
    let costs = arrived(&application, stored);
    let said = application.verb(&["status"]).said();
    assert!(said.err.contains("module relay does not live on ceiling"), "{}", said.err);
    assert!(costs.iter().all(|cost| said.out.contains(cost)), "{costs:#?} {}", said.out);
    let said = application.up();
    assert!(costs.iter().all(|cost| said.err.contains(cost)), "{costs:#?} {}", said.err);
    said.ok();

    order(&application, 100);
    let status = application.status_when("balls of the next epoch", |status| {
        status.settled() && status.accepted("onward") == 100 && status.accepted("past") == SERVED + 100
    });
    assert_eq!(["there", "onward", "past"].map(|name| status.epoch(name)), [2, 2, 1], "new epochs where an end died");
    assert!(status.0["broken"].as_array().unwrap().is_empty());
    last_ball(&application, "played", SERVED + 100);
    last_ball(&application, "witnessed", SERVED + 100);
    application.finds_older("relay");
}

#[test]
fn events_reach_trusted_applications_in_rust_and_in_c() {
    if skipped() {
        return;
    }
    run("{ rust: \"FOLDER/led\" }");
    run("{ c: \"FOLDER/led_c\" }");
}

/// A descriptor of an example outside its folder: sources are where they were.
fn elsewhere(text: &str, example: &Path) -> String {
    let moved = |line: &str| match line.split_once("source: { ") {
        Some((head, source)) => {
            let (language, folder) = source.trim_end_matches([' ', '}']).split_once(": ").unwrap();
            format!("{head}source: {{ {language}: {:?} }} }}\n", example.join(folder))
        }
        None => format!("{line}\n"),
    };
    text.lines().map(moved).collect()
}

/// What a run of the smart home must report: the gateway on TrustZone, a module at least on every other platform, and events through
/// the gateway that all arrived.
fn every_platform_works(report: &Value) {
    let rows = |kind: &str| report[kind].as_array().unwrap().iter();
    let platforms: BTreeMap<_, _> =
        rows("modules").map(|module| (word(module, "name"), word(module, "platform"))).collect();
    assert_eq!(platforms["gateway"], "trustzone");
    let all: BTreeSet<_> = platforms.into_values().collect();
    assert_eq!(all, ["native", "sancus", "sgx", "trustzone"].into());
    for module in rows("modules") {
        assert_eq!(module["simulated"], true, "{module}");
    }
    let accepted = |name: &str| rows("connections").find(|found| found["name"] == name).unwrap()["accepted"].as_u64();
    for name in ["temperature", "heat", "heating", "status"] {
        assert!(accepted(name).unwrap() > 0, "{name}: {report:#}");
    }
    for connection in rows("connections") {
        assert_eq!(connection["sent"], connection["accepted"], "{connection}");
    }
}

fn word<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap()
}

#[test]
fn a_gateway_in_rust_and_in_c_works_with_modules_of_every_other_platform() {
    const NAME: &str = "a_gateway_in_rust_and_in_c_works_with_modules_of_every_other_platform";
    let stage = Stage::new();
    if skipped() || !can_build(NAME) || !enclaves_run(&stage) {
        return;
    }
    let example = repository().join("examples/smart-home");
    let text = std::fs::read_to_string(example.join("everywhere.yaml")).unwrap();
    let home = stage.application(OWNER, "home", &elsewhere(&text, &example));
    let in_c = format!("gateway=c:{}", example.join("gateway_c").display());
    for source in [&[][..], &["--source", &in_c]] {
        let run = tool(&stage, &["run", "--for", "8s", "--output", "json"]);
        let mut run = run.arg(home.file());
        run.0.args(source);
        every_platform_works(&run.said().json());
    }
}
