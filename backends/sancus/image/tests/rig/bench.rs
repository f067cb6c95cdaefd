//! The provider's desk at a driver of a board, behind the serial line.

use super::line::{self, Host};
use super::{board, module_key};
use std::cell::RefCell;
use std::rc::Rc;
use veritee_c_core::short_form;
use veritee_conformance::desk::Line;
use veritee_conformance::{Desk, Subject};
use veritee_ids::{CipherId, FrameKind, Op, PortIndex, PriorEpoch, Role, Status};
use veritee_machine::{Event, Kinds, Profile};
use veritee_platform::PortTable;
use veritee_sancus_image::BoardImage;
use veritee_session::Kdf;

/// A board, and the desk of the provider at one of its drivers.
pub(crate) struct Bench {
    pub(crate) host: Rc<RefCell<Host>>,
    pub(crate) desk: Desk,
    pub(crate) ports: PortTable,
    pub(crate) handle: u8,
}

/// A driver behind the serial line.
pub(crate) struct Driver {
    host: Rc<RefCell<Host>>,
    pub(crate) handle: u8,
    key: [u8; 16],
}

impl Subject for Driver {
    fn enter(&mut self, op: Op, input: &[u8]) -> Vec<u8> {
        let input = if op == Op::Event { short_form(input) } else { input.to_vec() };
        let (code, output) = self.host.borrow_mut().call(self.handle, op.code(), &input);
        assert_eq!(code, 0);
        output
    }

    fn transcript(&self, evidence: &[u8]) -> Vec<u8> {
        evidence.to_vec()
    }

    fn module_key(&self) -> Option<[u8; 16]> {
        Some(self.key)
    }

    fn kdf(&self) -> Kdf {
        Kdf::SpongeWrap
    }

    fn cipher(&self) -> CipherId {
        CipherId::Spongent128
    }
}

impl Bench {
    pub(crate) fn new(image: &BoardImage, name: &str) -> Self {
        let mut board = board(Profile::Veritee, image);
        board.record(Kinds { outputs: true, ..Kinds::default() });
        let handle = image.drivers.iter().position(|driver| driver.name == name).unwrap();
        let built = &image.drivers[handle];
        let key = module_key(&board.config().node_key, image.vendor, &built.driver);
        let handle = u8::try_from(handle).unwrap();
        let host = Rc::new(RefCell::new(Host::new(board)));
        host.borrow_mut().done(line::PING, &[]);
        let desk = Desk::active(&|| Box::new(Driver { host: Rc::clone(&host), handle, key }));
        Self { host, desk, ports: PortTable::decode(&built.port_table()).unwrap(), handle }
    }

    /// Connects a port in the row of its number.
    pub(crate) fn connect(&mut self, name: &str, role: Role) -> Line {
        let index = self.ports.ports.iter().position(|port| port.name == name).unwrap();
        let line = Line::to(PortIndex(u16::try_from(index).unwrap()), role);
        let mut set = self.desk.key(&line, 1, PriorEpoch::None, 0);
        set.payload_type = self.ports.ports[index].payload_type;
        self.desk.set_key(&set).unwrap();
        Line { cipher: Some(CipherId::Spongent128), ..line }
    }

    pub(crate) fn event(&mut self, line: &Line, counter: u64, body: &[u8]) -> Status {
        let frame = self.desk.seal(line, FrameKind::Event, 1, counter, body);
        self.desk.frame(line, &frame).result.status
    }

    /// Runs the board; what changed on its pins.
    pub(crate) fn pins(&mut self, cycles: u64) -> Vec<u8> {
        let mut host = self.host.borrow_mut();
        let limit = host.board.cycle() + cycles;
        host.board.run_until(limit);
        let events = host.board.take_events();
        let value = |event: &Event| match event {
            Event::Port { value, .. } | Event::DeadMan { value, .. } => Some(*value),
            _ => None,
        };
        events.iter().filter_map(value).collect()
    }
}
