//! A compiled module as a file: what is known of it as one line of JSON, then its object.

use crate::error::system;
use crate::{ImageError, Need, Relocatable};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// What the first line says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    name: String,
    stack_bytes: u16,
    outside: Vec<(String, u16)>,
    need: (u16, u16),
    room: u16,
    poll: u16,
}

impl Relocatable {
    /// Writes it to a file.
    ///
    /// # Errors
    /// [`ImageError::System`].
    pub fn save(&self, path: &Path) -> Result<(), ImageError> {
        let head = Head {
            name: self.name.clone(),
            stack_bytes: self.stack_bytes,
            outside: self.outside.clone(),
            need: (self.need.text_bytes, self.need.secret_bytes),
            room: self.room,
            poll: self.poll,
        };
        let mut bytes = serde_json::to_vec(&head)
            .map_err(|error| ImageError::Plan(format!("a compiled module cannot be written: {error}")))?;
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.object);
        fs::write(path, bytes).map_err(system(format!("write {}", path.display())))
    }

    /// Reads one that was written. What its author declared is not in it.
    ///
    /// # Errors
    /// [`ImageError::System`], also when it is not one.
    pub fn load(path: &Path) -> Result<Self, ImageError> {
        let bytes = fs::read(path).map_err(system(format!("read {}", path.display())))?;
        let foreign = || system(format!("read {}", path.display()))(std::io::ErrorKind::InvalidData.into());
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(foreign)?;
        let (head, object) = bytes.split_at(end);
        let head: Head = serde_json::from_slice(head).map_err(|_| foreign())?;
        let (text_bytes, secret_bytes) = head.need;
        Ok(Self {
            name: head.name,
            object: object.get(1..).unwrap_or_default().to_vec(),
            stack_bytes: head.stack_bytes,
            outside: head.outside,
            need: Need { text_bytes, secret_bytes },
            declared: None,
            room: head.room,
            poll: head.poll,
        })
    }
}
