//! One request and its response, whatever the line does to the bytes between.

use crate::frame::{self, ENQ, Ear, Heard, RESPONSE};
use crate::port::{Port, Woken};
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// How long the driver waits for what. The defaults are for real lines; tests are less patient.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For ACK, before ENQ is sent again.
    pub enquiry: Duration,
    /// For ACK at all: longer than any activity of a board.
    pub acknowledge: Duration,
    /// For a response, since the last byte that was heard.
    pub silence: Duration,
    /// For a response at all.
    pub response: Duration,
    /// Between two bytes of one frame.
    pub gap: Duration,
    /// Before a quiet board is asked whether it is still the same.
    pub keepalive: Duration,
    /// Before a board that does not answer is tried again.
    pub retry: Duration,
    /// For the modules of this node to claim what an earlier daemon left on the board.
    pub claims: Duration,
    /// For a board to come up, on behalf of an owner who waits.
    pub up: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            enquiry: Duration::from_millis(300),
            acknowledge: Duration::from_secs(6),
            silence: Duration::from_secs(3),
            response: Duration::from_secs(10),
            gap: Duration::from_millis(100),
            keepalive: Duration::from_secs(2),
            retry: Duration::from_millis(500),
            claims: Duration::from_secs(30),
            up: Duration::from_secs(5),
        }
    }
}

/// Why a request has no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    #[error("it does not answer")]
    Silent,
    #[error("nothing gets through undamaged")]
    Noise,
    #[error(transparent)]
    Port(#[from] io::Error),
    #[error("the node stops")]
    Stopped,
}

/// The host's end of a serial line.
pub(crate) struct Line<'a> {
    port: Port,
    ear: Ear,
    patience: Patience,
    /// Readable once the node stops.
    stop: BorrowedFd<'a>,
    sequence: u8,
    /// The board said that outputs wait.
    pub(crate) attention: bool,
}

/// What one attempt came to.
enum Attempt {
    Answered(Vec<u8>),
    Again,
}

impl<'a> Line<'a> {
    pub(crate) fn new(port: Port, patience: Patience, stop: BorrowedFd<'a>) -> Self {
        Self { port, ear: Ear::default(), patience, stop, sequence: 0, attention: false }
    }

    /// Sends a request until its response is here. The board executes it once, or twice where that changes nothing.
    pub(crate) fn request(&mut self, kind: u8, payload: &[u8]) -> Result<Vec<u8>, LineError> {
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = frame::encode(kind, self.sequence, payload);
        for _ in 0..ATTEMPTS {
            if let Attempt::Answered(response) = self.attempt(kind, &bytes)? {
                return Ok(response);
            }
        }
        Err(LineError::Noise)
    }

    fn attempt(&mut self, kind: u8, bytes: &[u8]) -> Result<Attempt, LineError> {
        // An ACK that waits answers no question of this attempt.
        self.drain()?;
        let end = Instant::now() + self.patience.acknowledge;
        let mut enquire = Instant::now();
        loop {
            let now = Instant::now();
            if now >= end {
                return Err(LineError::Silent);
            }
            if now >= enquire {
                self.port.write(&[ENQ], WRITE_PATIENCE)?;
                enquire = now + self.patience.enquiry;
            }
            match self.hear(enquire.min(end))? {
                Some(Heard::Ack) => break,
                // The response to an attempt before, from a board that took longer than expected.
                Some(heard) if self.is_response(kind, &heard) => return Ok(answered(heard)),
                _ => {}
            }
        }
        self.port.write(bytes, WRITE_PATIENCE)?;
        self.ear.ruined = false;
        let end = Instant::now() + self.patience.response;
        loop {
            match self.hear(end.min(Instant::now() + self.patience.silence))? {
                Some(Heard::Nak) | None => return Ok(Attempt::Again),
                Some(heard) if self.is_response(kind, &heard) => return Ok(answered(heard)),
                Some(_) if Instant::now() >= end => return Ok(Attempt::Again),
                Some(_) => {}
            }
        }
    }

    fn is_response(&self, kind: u8, heard: &Heard) -> bool {
        matches!(heard, Heard::Frame { kind: heard, sequence, .. } if *heard == kind | RESPONSE && *sequence == self.sequence)
    }

    /// Reads what is there and keeps nothing of it but that outputs wait.
    fn drain(&mut self) -> Result<(), LineError> {
        while self.read()? > 0 {}
        while let Some(heard) = self.ear.next() {
            self.note(&heard);
        }
        Ok(())
    }

    fn read(&mut self) -> Result<usize, LineError> {
        let mut bytes = [0; 512];
        let length = self.port.read(&mut bytes)?;
        self.ear.take(bytes.get(..length).unwrap_or_default());
        Ok(length)
    }

    /// The next sign or frame other than attention; `None` at `end`, or once a ruined frame is over: what was waited for
    /// was probably that.
    fn hear(&mut self, end: Instant) -> Result<Option<Heard>, LineError> {
        loop {
            if let Some(heard) = self.ear.next() {
                if self.note(&heard) {
                    continue;
                }
                return Ok(Some(heard));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let soon = self.ear.waits() || self.ear.ruined;
            let patience = if soon { left.min(self.patience.gap) } else { left };
            match self.port.wait(&[self.stop], patience)? {
                Woken::Port => {
                    self.read()?;
                }
                Woken::Other(_) => return Err(LineError::Stopped),
                Woken::Nobody if self.ear.waits() => self.ear.silence(),
                Woken::Nobody if self.ear.ruined => return Ok(None),
                Woken::Nobody => {}
            }
        }
    }

    /// Notes attention; true when it was that.
    fn note(&mut self, heard: &Heard) -> bool {
        let attention = matches!(heard, Heard::Frame { kind: ATTENTION, payload, .. } if payload.is_empty());
        self.attention |= attention;
        attention
    }

    /// Waits until the board asks for attention, somebody rings, or the time is over.
    pub(crate) fn idle(&mut self, bell: BorrowedFd<'_>, patience: Duration) -> Result<(), LineError> {
        self.drain()?;
        if self.attention {
            return Ok(());
        }
        match self.port.wait(&[self.stop, bell], patience)? {
            Woken::Other(0) => Err(LineError::Stopped),
            Woken::Port => {
                // The rest of a frame takes a moment.
                while !self.attention && self.hear(Instant::now() + self.patience.gap)?.is_some() {}
                Ok(())
            }
            Woken::Other(_) | Woken::Nobody => Ok(()),
        }
    }
}

fn answered(heard: Heard) -> Attempt {
    match heard {
        Heard::Frame { payload, .. } => Attempt::Answered(payload),
        Heard::Ack | Heard::Nak => Attempt::Again,
    }
}

/// Outputs wait that no call asked for.
pub(crate) const ATTENTION: u8 = 0x40;
const ATTEMPTS: u32 = 8;
const WRITE_PATIENCE: Duration = Duration::from_secs(2);
