//! Reading a module's sealed status, page by page.

use crate::{Answer, SessionError};
use veritee_ids::RowIndex;
use veritee_wire::layout::{RowStatus, StatusHead, StatusRequest};
use veritee_wire::{Layout, Reader};

/// A module's whole status.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// The head of the last page.
    pub head: StatusHead,
    /// All rows in use.
    pub rows: Vec<RowStatus>,
}

/// Collects pages. Ask for [`request`](Self::request) until [`take`](Self::take) gives a status.
#[derive(Clone, Debug, Default)]
pub struct StatusPages {
    rows: Vec<RowStatus>,
    next: RowIndex,
    change: Option<u16>,
}

impl StatusPages {
    /// The next page to ask for.
    #[must_use]
    pub const fn request(&self) -> StatusRequest {
        StatusRequest { first_row: self.next }
    }

    /// Takes a page; gives the status when it was the last. If the table changed between pages it starts over.
    ///
    /// # Errors
    /// [`SessionError::MalformedAnswer`].
    pub fn take(&mut self, answer: &Answer) -> Result<Option<Status>, SessionError> {
        let malformed = |_| SessionError::MalformedAnswer;
        let mut reader = Reader::new(&answer.body);
        let head = StatusHead::take(&mut reader).map_err(malformed)?;
        let mut rows = Vec::new();
        for _ in 0..head.rows {
            rows.push(RowStatus::take(&mut reader).map_err(malformed)?);
        }
        reader.finish().map_err(malformed)?;
        if self.change.is_some_and(|change| change != head.change) {
            *self = Self::default();
            return Ok(None);
        }
        self.change = Some(head.change);
        self.rows.append(&mut rows);
        self.next = head.next_row;
        if head.next_row.0 != u16::MAX {
            return Ok(None);
        }
        Ok(Some(Status { head, rows: core::mem::take(&mut self.rows) }))
    }
}
