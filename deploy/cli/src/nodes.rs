//! Verbs about nodes and the owner's files.

use crate::exit::Exit;
use crate::grammar::NodeVerb;
use crate::lasting;
use crate::printer::Printer;
use crate::verify::{Wish, verify};
use anyhow::{Context, Result, bail};
use std::path::Path;
use veritee_exec::fleet::Node;
use veritee_exec::home::{BoardKey, Home, KnownNode};
use veritee_exec::{ExecError, counted};
use veritee_node_client::{Fingerprint, Token, enrol, parse_fingerprint};
use veritee_node_protocol::{Request, Response};

pub(crate) async fn obey(verb: NodeVerb, printer: &Printer) -> Result<Exit> {
    let home = Home::of_user();
    match verb {
        NodeVerb::Init { folder, platform: _, machine, provided, packages } => {
            lasting::init(lasting::Wish { folder, kind: machine, provided, packages }, printer).await?;
        }
        NodeVerb::Start { folder, port } => lasting::start(folder, port, printer).await?,
        NodeVerb::Add { name, address, fingerprint, token } => {
            add(&home, &name, &address, (&fingerprint, &token), printer).await?;
        }
        NodeVerb::List => list(&home, printer)?,
        NodeVerb::Show { name } => show(&home, &name, printer).await?,
        NodeVerb::Key { node, file, board } => key(&home, &node, &file, board, printer)?,
        NodeVerb::Verify { node, here: _, platform, report } => {
            return verify(&Wish { node, platforms: platform, report }, printer).await;
        }
        NodeVerb::Remove { name } => remove(&home, &name, printer).await?,
    }
    Ok(Exit::Done)
}

/// Takes a board's key. The file is the provider's: whoever has it can derive the owner's module keys.
fn key(home: &Home, node: &str, file: &Path, name: Option<String>, printer: &Printer) -> Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let key: BoardKey = serde_json::from_str(&text)
        .with_context(|| format!("{} is no key of a board; `veritee provider vendor-key` makes one", file.display()))?;
    let (board, platform) = (name.unwrap_or_else(|| key.board.clone()), key.platform.clone());
    home.add_board(node, &board, key)?;
    printer.result(&serde_json::json!({"node": node, "board": board, "platform": platform}), || {
        format!("you have a key of board {board} behind {node} now; {} is not needed any more", file.display())
    });
    Ok(())
}

pub(crate) fn whoami(printer: &Printer) -> Result<()> {
    let fingerprint = Home::of_user().identity()?.fingerprint().to_string();
    printer.result(&serde_json::json!({"fingerprint": fingerprint}), || fingerprint.clone());
    Ok(())
}

pub(crate) async fn add(
    home: &Home, name: &str, address: &str, (fingerprint, token): (&str, &str), printer: &Printer,
) -> Result<()> {
    let mut nodes = home.nodes()?;
    if nodes.contains_key(name) {
        bail!("a node {name} is known already; `veritee node remove {name}` first");
    }
    let node = parse_fingerprint(fingerprint).map_err(|_| anyhow::anyhow!("{fingerprint:?} is no fingerprint"))?;
    let token: Token = token.parse().map_err(|_| anyhow::anyhow!("this is no token"))?;
    let identity = home.identity()?;
    enrol(address, node, &token, &identity.public())
        .await
        .context("the node did not enrol you (is the token spent? `veritee-node token` prints another)")?;
    let known = KnownNode { address: address.to_owned(), fingerprint: Fingerprint(node).to_string() };
    nodes.insert(name.to_owned(), known);
    home.set_nodes(&nodes)?;
    printer.result(&nodes[name], || format!("{name} knows you now"));
    Ok(())
}

fn list(home: &Home, printer: &Printer) -> Result<()> {
    let nodes = home.nodes()?;
    printer.result(&nodes, || {
        let lines = nodes.iter().map(|(name, node)| format!("{name}  {}  {}", node.address, node.fingerprint));
        lines.collect::<Vec<_>>().join("\n")
    });
    Ok(())
}

async fn connect(home: &Home, name: &str) -> Result<Node> {
    let nodes = home.nodes()?;
    let node = nodes.get(name).ok_or_else(|| ExecError::UnknownNode { node: name.to_owned() })?;
    Ok(Node::connect(name, &node.address, node.identity()?, &home.identity()?).await?)
}

async fn show(home: &Home, name: &str, printer: &Printer) -> Result<()> {
    let Response::Description(description) = connect(home, name).await?.ask(Request::Describe).await? else {
        bail!("node {name} does not describe itself");
    };
    let shown = serde_json::json!({
        "software": description.software,
        "platforms": description.platforms,
        "modules": description.modules,
        "fingerprint": Fingerprint(description.identity).to_string(),
    });
    printer.result(&shown, || {
        let platforms = description.platforms.join(", ");
        let modules = counted(description.modules as usize, "module");
        format!("{name}: veritee-node {}, platforms {platforms}, {modules}", description.software)
    });
    Ok(())
}

async fn remove(home: &Home, name: &str, printer: &Printer) -> Result<()> {
    connect(home, name).await?.tell(Request::Revoke, "revoke").await?;
    let mut nodes = home.nodes()?;
    nodes.remove(name);
    home.set_nodes(&nodes)?;
    printer.result(&serde_json::json!({"removed": name}), || format!("{name} has forgotten you"));
    Ok(())
}

/// Files of the owner.
const FILES: [&str; 5] = ["identity.key", "root.key", "nodes.json", "applications.json", "boards.json"];

pub(crate) fn backup(folder: &Path, printer: &Printer) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let home = Home::of_user();
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    copy(home.folder(), folder)?;
    printer.result(&serde_json::json!({"backup": folder}), || {
        format!("copied to {}; who has it is you: keep it safe", folder.display())
    });
    Ok(())
}

pub(crate) fn restore(folder: &Path, printer: &Printer) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let home = Home::of_user();
    if home.folder().join(FILES[0]).exists() {
        bail!("{} holds an identity already; move it away first", home.folder().display());
    }
    if !folder.join(FILES[0]).is_file() {
        bail!("{} holds no backup: it has no {}", folder.display(), FILES[0]);
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(home.folder())?;
    copy(folder, home.folder())?;
    printer.result(&serde_json::json!({"restored": home.folder()}), || "restored".to_owned());
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    for name in FILES.iter().filter(|name| from.join(name).exists()) {
        // Mode 0600 goes along.
        std::fs::copy(from.join(name), to.join(name)).with_context(|| format!("cannot copy {name}"))?;
    }
    Ok(())
}
