//! The other side of a module's `Io`: writes down what it emits.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use veritee_ids::PortIndex;
use veritee_module::{Refusal, ReplyToken, Wires};
use veritee_wire::ports::PortInfo;

#[derive(Debug)]
pub(crate) struct Recorder {
    ports: &'static [PortInfo],
    /// Ports that are not connected.
    pub(crate) cut: BTreeSet<u16>,
    pub(crate) emitted: VecDeque<(PortIndex, Vec<u8>)>,
    /// How often each port was emitted on in this activation.
    emissions: BTreeMap<u16, u16>,
    pub(crate) open: Option<(PortIndex, Vec<u8>)>,
    /// Tickets of the requests whose tokens are held, by slot.
    tokens: Vec<Option<u32>>,
    pub(crate) last_ticket: u32,
    pub(crate) answers: BTreeMap<u32, Result<Vec<u8>, Refusal>>,
    pub(crate) response: Option<Vec<u8>>,
    pub(crate) unconnected: u64,
}

impl Recorder {
    pub(crate) fn new(ports: &'static [PortInfo], tokens: usize) -> Self {
        Self {
            ports,
            cut: BTreeSet::new(),
            emitted: VecDeque::new(),
            emissions: BTreeMap::new(),
            open: None,
            tokens: vec![None; tokens],
            last_ticket: 0,
            answers: BTreeMap::new(),
            response: None,
            unconnected: 0,
        }
    }

    /// Begins an activation.
    pub(crate) fn begin(&mut self) {
        self.emissions.clear();
        self.response = None;
    }

    pub(crate) fn free_token(&self) -> Option<u16> {
        let slot = self.tokens.iter().position(Option::is_none)?;
        u16::try_from(slot).ok()
    }

    pub(crate) fn issue(&mut self, slot: u16) -> u32 {
        self.last_ticket += 1;
        self.tokens[usize::from(slot)] = Some(self.last_ticket);
        self.last_ticket
    }

    /// Spends a token; a spent one does nothing.
    pub(crate) fn settle(&mut self, slot: u16, ticket: u32, answer: Result<Vec<u8>, Refusal>) {
        let held = self.tokens.get_mut(usize::from(slot)).filter(|held| **held == Some(ticket));
        if let Some(held) = held {
            *held = None;
            self.answers.insert(ticket, answer);
        }
    }

    pub(crate) fn is_at_rest(&self) -> bool {
        self.open.is_none() && self.tokens.iter().all(Option::is_none)
    }

    pub(crate) fn take_emitted(&mut self, port: PortIndex) -> Vec<Vec<u8>> {
        let (taken, kept): (Vec<_>, Vec<_>) = self.emitted.drain(..).partition(|(from, _)| *from == port);
        self.emitted = kept.into();
        taken.into_iter().map(|(_, body)| body).collect()
    }

    fn is_connected(&self, port: PortIndex) -> bool {
        !self.cut.contains(&port.0)
    }
}

impl Wires for Recorder {
    fn emit(&mut self, port: PortIndex, payload: &[u8]) {
        let info = &self.ports[usize::from(port.0)];
        let count = self.emissions.entry(port.0).or_default();
        *count += 1;
        assert!(
            *count <= info.emits_max,
            "the module emitted {count} events on `{}` in one activation and would halt on a node: declare `#[output(emits = N)]`",
            info.name
        );
        if self.is_connected(port) {
            self.emitted.push_back((port, payload.to_vec()));
        } else {
            self.unconnected += 1;
        }
    }

    fn request(&mut self, port: PortIndex, payload: &[u8]) -> bool {
        let sent = self.is_connected(port) && self.open.is_none();
        if sent {
            self.open = Some((port, payload.to_vec()));
        }
        sent
    }

    fn answer(&mut self, token: ReplyToken, outcome: Result<&[u8], u16>) {
        self.settle(token.slot, token.generation, outcome.map(<[u8]>::to_vec).map_err(Refusal::Refused));
    }

    fn respond(&mut self, payload: &[u8]) {
        self.response = Some(payload.to_vec());
    }
}
