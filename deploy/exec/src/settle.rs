//! Images whose measurement depends on where they are: reserve a place at the node, finish the image there.

use crate::fleet::Fleet;
use crate::provider::{Ask, Provider, Told};
use crate::resolve::{Body, Built, Kept};
use crate::{ExecError, Talk, platforms};
use std::path::{Path, PathBuf};
use veritee_ids::ApplicationId;
use veritee_model::Descriptor;
use veritee_node_protocol::{FailureKind, ModuleName, Request, Response};
use veritee_platform::Placement;

/// What happens to a module that runs and needs another place now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Changes {
    /// It makes room.
    Happen,
    /// It stays, and the caller, who speaks to it, cannot go on. What is not loaded needs no signature.
    Wait,
    /// It stays, and its image has no place yet: the caller only shows what differs.
    Show,
}

/// Finishes all images that need a place. A reservation is kept by the node: doing it again gives the same place, hence the
/// same image.
///
/// # Errors
/// [`ExecError::Node`] when the node has no room; [`ExecError::Platform`]; [`ExecError::NoCredential`];
/// [`ExecError::Changed`].
pub async fn settle(
    descriptor: &Descriptor, built: &mut Built, fleet: &Fleet, (application, changes): (ApplicationId, Changes),
    talk: &dyn Talk,
) -> Result<(), ExecError> {
    for (name, module) in built {
        let Body::Image(image) = &mut module.body else { continue };
        let Some(found) = descriptor.modules.get(name) else { continue };
        let word = descriptor.nodes.get(&found.node).map_or("", |node| node.platform.as_str());
        let Some(platform) = platforms::platform(word) else { continue };
        let Some(need) = platform.need(image)? else { continue };
        let what = || format!("the board of module {name}");
        let key = module.board.as_ref().ok_or_else(|| ExecError::NoCredential { what: what() })?;
        talk.doing("place", &format!("placing {name} on board {} of {}", key.board, found.node));
        let request = Request::Reserve {
            name: ModuleName { application: application.0, module: name.clone() },
            platform: platform.name().to_owned(),
            board: key.board.clone(),
            need,
        };
        let node = fleet.node(&found.node)?;
        let reserved = match node.ask(request.clone()).await {
            Err(error) if error.failure() == Some(FailureKind::Taken) => {
                match changes {
                    Changes::Happen => {}
                    Changes::Wait => return Err(ExecError::Changed { module: name.clone() }),
                    Changes::Show => continue,
                }
                // The same name with another length: the old one makes room.
                let old = ModuleName { application: application.0, module: name.clone() };
                node.tell(Request::Unload { name: old }, "unload").await?;
                node.ask(request.clone()).await?
            }
            reserved => reserved?,
        };
        let Response::Reserved { place } = reserved else { return Err(node.strange("reserve")) };
        let credential = key.credential();
        *image = platform.place(image, Placement { place: &place, credential: &credential })?;
        module.kept = Some(Kept { request, place });
        if platform.wants_signature() && changes != Changes::Wait {
            talk.doing("sign", &format!("having {name} signed by the provider of {}", found.node));
            let provider = fleet.provider(&found.node, &key.board)?;
            image.path = signed(&image.path, &key.board, &*provider).await?;
        }
    }
    Ok(())
}

/// Has the provider sign an image; gives the path of the signed one, beside it. What he gives back is what the node loads, and proves nothing
/// to the owner: evidence does.
async fn signed(path: &Path, board: &str, provider: &dyn Provider) -> Result<PathBuf, ExecError> {
    let image = std::fs::read(path).map_err(ExecError::file("read", path))?;
    let Told::Signed(image) = provider.ask(Ask::Sign { board: board.to_owned(), image }).await? else {
        return Err(ExecError::Provider(format!("the provider of board {board} did not sign")));
    };
    let path = path.with_extension("signed");
    std::fs::write(&path, image).map_err(ExecError::file("write", &path))?;
    Ok(path)
}
