//! The table of fixed layouts. Everything that documents or re-implements them is generated from here.

use crate::Layout;
use veritee_ids::limits::{CONTROL_BYTES_MAX_BOARD, FRAME_HEADER_BYTES, TAG_BYTES};
use veritee_ids::{
    ActivationId, ApplicationHandle, ApplicationId, Challenge, CipherId, ConnectionId, ControlKind, ControlResult,
    Counter, Direction, Epoch, FrameKind, Freshness, Label, Lifecycle, OperationId, PortIndex, PriorEpoch, Role,
    RowIndex, SealPolicy, SessionId, Status, TypeHash,
};

/// Makes structs of layouts.
#[macro_export]
macro_rules! structs {
    ($($(#[doc = $doc:literal])* $name:ident { $($(#[doc = $fdoc:literal])* $field:ident: $type:ty,)* })*) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub struct $name { $($(#[doc = $fdoc])* pub $field: $type,)* }

        impl $crate::Layout for $name {
            const BYTES: usize = 0 $(+ <$type as $crate::Layout>::BYTES)*;
            fn put(&self, writer: &mut $crate::Writer<'_>) {
                $(writer.field(self.$field);)*
            }
            fn take(reader: &mut $crate::Reader<'_>) -> Result<Self, $crate::Malformed> {
                Ok(Self { $($field: reader.field()?,)* })
            }
        }

        const _: () = assert!(<$name as $crate::Layout>::BYTES.is_multiple_of(2), "layouts have even lengths");
    )*};
}

/// The table, handed to a macro: here to one that makes structs, elsewhere to those that make documents and headers.
#[macro_export]
macro_rules! layouts {
    ($with:ident) => {
        $with! {
            /// What a module states of itself over a challenge; on X25519 platforms [`AgreementKey`] follows.
            Transcript {
                /// `transcript`.
                label: Label,
                /// Protocol version.
                version: u16,
                /// The verifier's challenge.
                challenge: Challenge,
                /// This life of the module.
                activation: ActivationId,
                /// Where its uniqueness comes from.
                freshness: Freshness,
                /// Number of this attestation in the activation, from 1.
                attest_number: u64,
            }
            /// The module's fresh X25519 public key, behind a transcript.
            AgreementKey {
                /// Public key, RFC 7748.
                key: [u8; 32],
            }
            /// The owner's half of the agreement: input of the entry `open`.
            Open {
                /// The owner's ephemeral X25519 public key.
                ephemeral: [u8; 32],
                /// The application that this session serves.
                application: ApplicationId,
                /// Ed25519 signature of the owner, or of his delegate, over the hash of [`OpenStatement`].
                signature: [u8; 64],
                /// 1 if a [`Delegation`] follows, else 0.
                delegated: u16,
            }
            /// What is hashed and signed to open a session.
            OpenStatement {
                /// `open`.
                label: Label,
                /// Protocol version.
                version: u16,
                /// SHA-256 of the transcript with the agreement key.
                quoted: [u8; 32],
                /// The owner's ephemeral X25519 public key.
                ephemeral: [u8; 32],
                /// The application.
                application: ApplicationId,
                /// SHA-256 of the delegation with its signature, or zero.
                delegation: [u8; 32],
            }
            /// An owner's permission for somebody else to act as owner. Signed by the owner, see `signature`.
            Delegation {
                /// `delegation`.
                label: Label,
                /// Protocol version.
                version: u16,
                /// The application it holds for.
                application: ApplicationId,
                /// The delegate's Ed25519 public key.
                delegate: [u8; 32],
                /// First epoch that the delegate may open.
                epoch_first: Epoch,
                /// Last epoch that the delegate may open.
                epoch_last: Epoch,
                /// Serial number; modules refuse those below their minimum.
                serial: u64,
                /// Unix time in seconds after which tools and nodes refuse it. Advisory for a module: it has no clock.
                not_after: u64,
                /// Ed25519 signature of the owner over all fields before this one.
                signature: [u8; 64],
            }
            /// Front of a sealed control request; all of it is associated data. The sealed body and the tag follow.
            ControlRequest {
                /// The session whose key sealed it.
                session: SessionId,
                /// Number of the request, the nonce.
                counter: Counter,
                /// What is asked.
                kind: ControlKind,
            }
            /// Front of a sealed control answer; all of it is associated data. The sealed body and the tag follow.
            ControlAnswer {
                /// The session whose key sealed it.
                session: SessionId,
                /// Number of the answer, the nonce.
                counter: Counter,
                /// Number of the request that it answers.
                request: Counter,
                /// What was asked.
                kind: ControlKind,
                /// What it came to.
                result: ControlResult,
            }
            /// Body of `set-key`.
            SetKey {
                /// The row of the module's table.
                row: RowIndex,
                /// The connection.
                connection: ConnectionId,
                /// The application's short name in events.
                application: ApplicationHandle,
                /// The port.
                port: PortIndex,
                /// The new epoch.
                epoch: Epoch,
                /// The module's part.
                role: Role,
                /// The cipher.
                cipher: CipherId,
                /// What becomes of the epoch before (rows that accept).
                prior: PriorEpoch,
                /// Where the epoch before ends, with `close-at`.
                closing: Counter,
                /// The port's payload type.
                payload_type: TypeHash,
                /// The reply's payload type; zero without replies.
                reply_type: TypeHash,
                /// Key of the forward direction.
                key: [u8; 16],
                /// Key of the backward direction; zero without replies.
                reply_key: [u8; 16],
            }
            /// Body of `close-epoch`, `remove`.
            RowName {
                /// The row of the module's table.
                row: RowIndex,
                /// The connection that the owner believes is there.
                connection: ConnectionId,
            }
            /// Answer to `set-key`, `close-epoch`, `remove`: the epoch that ended, and where.
            EpochEnd {
                /// The epoch that this ended; 0 if none.
                epoch: Epoch,
                /// Its counter there: emitted (sender) or accepted (receiver) events.
                counter: Counter,
            }
            /// Body of `freeze`, `thaw`, `activate` (all zero for a first activation).
            OperationName {
                /// The operation.
                operation: OperationId,
            }
            /// Body of `save`.
            SaveRequest {
                /// The operation.
                operation: OperationId,
                /// Offset of the wanted chunk in bytes.
                offset: u32,
            }
            /// A chunk of state: body of `restore`, answer to `save`. The chunk's bytes follow.
            StateChunk {
                /// The operation.
                operation: OperationId,
                /// Offset of the chunk in bytes.
                offset: u32,
                /// Length of the whole state in bytes.
                total: u32,
                /// Length of the chunk in bytes.
                length: u16,
            }
            /// How a state is sealed: body of `seal` (name and tag are not read) and `unseal`, answer to `seal`. All but operation and
            /// tag is authenticated with the state.
            SealHead {
                /// The operation.
                operation: OperationId,
                /// The application; the module's own, whatever is written here.
                application: ApplicationId,
                /// Whose state it is, in the owner's words: nothing but what he said when it was sealed opens it.
                subject: [u8; 16],
                /// The owner's number of it.
                counter: Counter,
                /// Who can open it.
                policy: SealPolicy,
                /// What the TEE derives the key from again.
                name: [u8; 34],
                /// Tag of the sealed state.
                tag: [u8; 16],
            }
            /// Body of `abort-request`.
            RequestName {
                /// The row of the requester.
                row: RowIndex,
                /// Zero.
                reserved: u16,
                /// The epoch of the request.
                epoch: Epoch,
                /// The number of the request.
                counter: Counter,
            }
            /// Body of `raise-serial`.
            SerialFloor {
                /// Delegations below are refused from now on.
                serial: u64,
            }
            /// Body of `status`.
            StatusRequest {
                /// First row wanted.
                first_row: RowIndex,
            }
            /// Answer to `status`; as many [`RowStatus`] as `rows` says follow.
            StatusHead {
                /// This life of the module.
                activation: ActivationId,
                /// The application; zero before the first session.
                application: ApplicationId,
                /// The operation in progress; zero if none.
                operation: OperationId,
                /// Session of the last state-changing request.
                last_session: SessionId,
                /// Number of the last state-changing request.
                last_counter: Counter,
                /// Authentic events that did not decode.
                malformed: u64,
                /// Emissions on ports without a connection or without an epoch.
                unconnected: u64,
                /// Where the module stands.
                lifecycle: Lifecycle,
                /// Kind of the last state-changing request; 0 if none.
                last_kind: u16,
                /// Its result.
                last_result: u16,
                /// Number of changes to the table so far (its low bits): if it moved between pages, start over.
                change: u16,
                /// Lowest epoch that a new row may not use.
                epoch_floor: Epoch,
                /// Rows in use that were skipped or are here: where to go on; `0xffff` at the end.
                next_row: RowIndex,
                /// How many rows follow.
                rows: u16,
            }
            /// One row of a module's table.
            RowStatus {
                /// The row.
                row: RowIndex,
                /// Its connection.
                connection: ConnectionId,
                /// The module's part.
                role: Role,
                /// The cipher.
                cipher: CipherId,
                /// Bit 0: has an open epoch. Bit 1: drains it. Bit 2: has a reply or a token of an earlier epoch outstanding.
                state: u16,
                /// The epoch in use, or the last one.
                epoch: Epoch,
                /// The epoch that waits for the drain; 0 if none.
                pending_epoch: Epoch,
                /// Next counter of the epoch in use: how many were emitted or accepted.
                next: Counter,
                /// Where the drained epoch ends; meaningless unless it drains.
                closing: Counter,
            }
            /// Front of an event frame. The sealed body and the tag follow.
            Frame {
                /// The connection.
                connection: ConnectionId,
                /// What it carries.
                kind: FrameKind,
                /// The epoch.
                epoch: Epoch,
                /// Its number in the epoch.
                counter: Counter,
            }
            /// What is authenticated beside an event's body.
            EventAssociated {
                /// Protocol version.
                version: u16,
                /// What it carries.
                kind: FrameKind,
                /// The application's short name.
                application: ApplicationHandle,
                /// The connection.
                connection: ConnectionId,
                /// The epoch.
                epoch: Epoch,
                /// Its number in the epoch.
                counter: Counter,
                /// Along the connection or against it.
                direction: Direction,
                /// Zero.
                reserved: u16,
            }
            /// Front of a record of a module's output.
            RecordHeader {
                /// Length of the body in bytes.
                length: u32,
                /// 1 result, 2 reply bytes, 3 frame.
                kind: u16,
                /// Zero.
                reserved: u16,
            }
            /// What an entry into a module came to: the first record of its output.
            EntryResult {
                /// What it came to.
                status: Status,
                /// Zero.
                reserved: u16,
                /// The expected counter of a gap, the bytes needed without room; else zero.
                value: u64,
            }
            /// Key block of an activation's secret (symmetric platforms), keyed by the module key.
            ActivationBlock {
                /// `activation`.
                label: Label,
                /// Protocol version.
                version: u16,
                /// This life of the module.
                activation: ActivationId,
            }
        }
    };
}

layouts!(structs);

const _: () = assert!(Frame::BYTES == FRAME_HEADER_BYTES);
const ANSWER_BYTES: usize = ControlAnswer::BYTES + StatusHead::BYTES + RowStatus::BYTES + TAG_BYTES;
const _: () = assert!(ANSWER_BYTES <= CONTROL_BYTES_MAX_BOARD, "a page of a board's status has a row");
const _: () = assert!(ControlRequest::BYTES + SetKey::BYTES + TAG_BYTES <= CONTROL_BYTES_MAX_BOARD);
