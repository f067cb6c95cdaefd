//! The port table, read out of an image.

use object::{Object, ObjectSection};
use veritee_platform::PortTable;
use veritee_wire::ports::SECTION;

/// Reads the port table of a program.
///
/// # Errors
/// What is wrong with it, in words.
pub fn read(image: &[u8]) -> Result<PortTable, String> {
    let file = object::File::parse(image).map_err(|error| format!("it is no ELF image: {error}"))?;
    let section = file.section_by_name(SECTION).ok_or("it has no port table")?;
    let bytes = section.data().map_err(|error| format!("its port table cannot be read: {error}"))?;
    PortTable::decode(bytes).map_err(|_| "its port table has another version or form".to_owned())
}
