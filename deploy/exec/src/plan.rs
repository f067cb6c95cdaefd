//! What `up` would change, printable: read only.

use crate::ExecError;
use crate::connect::Side;
use crate::deploy::{Runs, Target};
use crate::fleet::Fleet;
use crate::hex;
use crate::state::State;
use veritee_seal::sha256;

/// The steps in order, a line each; none when nothing differs.
///
/// # Errors
/// [`ExecError::Node`] when a node cannot be asked, [`ExecError::File`].
pub async fn steps(target: &Target, state: &State, fleet: &Fleet) -> Result<Vec<String>, ExecError> {
    let mut steps = Vec::new();
    for (module, place) in &state.placed {
        if target.modules.get(module).is_none_or(|target| target.place() != *place) {
            let verb = if place.lent.is_some() { "give back" } else { "unload" };
            steps.push(format!("{verb} {module} from {}", place.node));
        }
    }
    let mut fresh = Vec::new();
    for (module, wanted) in &target.modules {
        let Runs::Image(image) = &wanted.runs else {
            if !state.placed.contains_key(module) {
                steps.push(format!("take {module} on {} from its provider", wanted.node));
            }
            continue;
        };
        let bytes = std::fs::read(&image.path).map_err(ExecError::file("read", &image.path))?;
        let found = fleet.node(&wanted.node)?.list(state.application.0).await?;
        let found = found.iter().find(|found| found.name.module == *module);
        let measurement = match image.measurement.get(..8) {
            Some(front) => format!("measurement {}…", hex(front)),
            None => "measured where it will be placed".to_owned(),
        };
        match found {
            Some(found) if found.alive && found.image == sha256(&bytes) => {}
            Some(found) if found.alive => {
                steps.push(format!("replace {module} on {}, {measurement}", wanted.node));
                fresh.push(module.as_str());
            }
            _ => {
                steps.push(format!("load {module} on {}, {measurement}", wanted.node));
                fresh.push(module.as_str());
            }
        }
    }
    for wire in target.wires.iter().filter(|wire| wire.from.is_some()) {
        let new = !state.epochs.contains_key(&wire.id.0);
        let ends = [Side::Source, Side::Target].into_iter().filter_map(|side| wire.end(side));
        if new || ends.into_iter().any(|end| fresh.contains(&end.module.as_str())) {
            let epoch = state.epochs.get(&wire.id.0).map_or(0, |record| record.epoch.0) + 1;
            steps.push(format!("connect {} under a new key, epoch {epoch}, {}", wire.name, wire.cipher.word()));
        }
    }
    let gone = state.assigned.keys().filter(|name| !target.wires.iter().any(|wire| wire.name == **name));
    steps.extend(gone.map(|name| format!("remove connection {name}")));
    Ok(steps)
}
