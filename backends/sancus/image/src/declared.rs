//! What an author declared, and what the board must know of it.

use crate::error::system;
use crate::{ImageError, Tools};
use std::fs;
use std::path::Path;
use veritee_c_declare::Module;
use veritee_ids::PortKind;
use veritee_ids::limits::CONTROL_BYTES_MAX_BOARD;
use veritee_wire::frame::frame_bytes;
use veritee_wire::output::{RECORD_HEADER_BYTES, RESULT_RECORD_BYTES};

/// The generated source of the port table.
pub(crate) const PORTS: &str = "veritee_ports.c";
const HEADER: &str = "veritee_declared.h";

/// What an author declared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Declared(Module);

impl Declared {
    pub(crate) fn read(name: &str, folder: &Path, tools: &Tools) -> Result<Self, ImageError> {
        veritee_c_declare::read(folder, &tools.sdk(), &tools.compiler())
            .map(Self)
            .map_err(|source| ImageError::Declarations { module: name.to_owned(), source })
    }

    /// Writes the generated sources.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), ImageError> {
        fs::write(folder.join(HEADER), self.0.header()).map_err(system("write the capacities of a module"))?;
        fs::write(folder.join(PORTS), self.0.source()).map_err(system("write the ports of a module"))
    }

    /// The port table, as images of all platforms carry it.
    #[must_use]
    pub fn port_table(&self) -> Vec<u8> {
        self.0.table()
    }

    /// Bytes of output that the firmware should have room for when it enters the module: the most that one entry leaves
    /// behind, as far as a board's ring can hold it. With less the module answers `no-room`, and nothing has happened.
    #[must_use]
    pub fn room(&self) -> u16 {
        let record = |bytes: usize| RECORD_HEADER_BYTES + bytes;
        let frame = |payload: usize| record(frame_bytes(payload));
        let ports = |kinds: &[PortKind], bytes: &dyn Fn(&veritee_c_declare::Port) -> usize| {
            self.0.ports.iter().filter(|port| kinds.contains(&port.kind)).map(bytes).max().unwrap_or(0)
        };
        let emitted = ports(&[PortKind::Output, PortKind::Request], &|port| {
            usize::from(port.emits_max) * frame(port.payload.bytes)
        });
        let answered = ports(&[PortKind::Handler], &|port| frame(port.reply.bytes + 2));
        let responded = ports(&[PortKind::Entry], &|port| record(port.reply.bytes));
        let most = RESULT_RECORD_BYTES
            + responded.max(record(CONTROL_BYTES_MAX_BOARD))
            + usize::from(self.0.rows) * emitted
            + usize::from(self.0.tokens) * answered;
        u16::try_from(most.next_multiple_of(2)).unwrap_or(u16::MAX).min(ROOM_MOST)
    }

    /// It serves one application at a time.
    #[must_use]
    pub const fn exclusive(&self) -> bool {
        self.0.exclusive
    }

    /// Every how many ticks of 10 ms the firmware should poll the module: 1 if it has a `VT_POLL`, else never.
    #[must_use]
    pub const fn poll(&self) -> u16 {
        if self.0.poll { 1 } else { 0 }
    }
}

/// Half of the firmware's ring, and all that the core in C ever asks for (`VT_OUTPUT_BYTES`): with less, rows could be added that
/// leave no room for anything any more, not even for the request that removes them.
const ROOM_MOST: u16 = 2304;
