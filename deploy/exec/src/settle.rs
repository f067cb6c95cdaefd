//! Images whose measurement depends on where they are: reserve a place at the node, finish the image there.

use crate::fleet::Fleet;
use crate::resolve::{Body, Built};
use crate::{ExecError, Talk, platforms};
use veritee_ids::ApplicationId;
use veritee_model::Descriptor;
use veritee_node_protocol::{ModuleName, Request, Response};
use veritee_platform::Placement;

/// Finishes all images that need a place. A reservation is kept by the node: doing it again gives the same place, hence the
/// same image.
///
/// # Errors
/// [`ExecError::Node`] when the node has no room; [`ExecError::Platform`]; [`ExecError::NoCredential`].
pub async fn settle(
    descriptor: &Descriptor, built: &mut Built, fleet: &Fleet, application: ApplicationId, talk: &dyn Talk,
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
        let Response::Reserved { place } = node.ask(request).await? else { return Err(node.strange("reserve")) };
        let credential = key.credential();
        *image = platform.place(image, Placement { place: &place, credential: &credential })?;
    }
    Ok(())
}
