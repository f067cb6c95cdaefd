//! Connection keys: derived from the owner's root, never twice the same for different counters.

use core::fmt;
use veritee_ids::limits::PROTOCOL_VERSION;
use veritee_ids::{ActivationId, ApplicationId, ConnectionId, Direction, Epoch, Label, RowIndex};
use veritee_seal::{Secret, derive};
use veritee_wire::{Layout, structs};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The layouts that only owners use: not part of any module.
#[macro_export]
macro_rules! owner_layouts {
    ($with:ident) => {
        $with! {
            /// Key block of a connection's epoch and direction, keyed by the owner's root.
            ConnectionBlock {
                /// `connection`.
                label: Label,
                /// Protocol version.
                version: u16,
                /// The application.
                application: ApplicationId,
                /// The connection.
                connection: ConnectionId,
                /// Along the connection or against it.
                direction: Direction,
                /// The epoch.
                epoch: Epoch,
                /// Fresh random bytes of this epoch.
                salt: [u8; 32],
                /// Activation of the source.
                source: ActivationId,
                /// Activation of the target.
                target: ActivationId,
            }
            /// Body of `confirm`; the answer is the proof.
            ConfirmRequest {
                /// The row of the driver's table.
                row: RowIndex,
                /// The device's number on its board.
                device: u16,
                /// The application.
                application: ApplicationId,
            }
            /// Key block of a driver's proof that it took a connection's key, keyed by that key.
            GrantedBlock {
                /// `granted`.
                label: Label,
                /// Protocol version.
                version: u16,
                /// The device's number on its board.
                device: u16,
                /// The application.
                application: ApplicationId,
                /// The driver's activation.
                activation: ActivationId,
                /// The epoch.
                epoch: Epoch,
            }
        }
    };
}

owner_layouts!(structs);

/// What one epoch of a connection is derived from, beside the root. None of it is secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochRecord {
    /// The application.
    pub application: ApplicationId,
    /// The connection.
    pub connection: ConnectionId,
    /// The epoch.
    pub epoch: Epoch,
    /// 32 fresh random bytes, drawn for this epoch.
    pub salt: [u8; 32],
    /// Activation of the source.
    pub source: ActivationId,
    /// Activation of the target.
    pub target: ActivationId,
}

/// Who derives connection keys: the owner's root, or an Attestation Manager.
pub trait KeySource {
    /// The key of one direction of an epoch.
    fn connection_key(&self, record: &EpochRecord, direction: Direction) -> Secret;
}

/// The owner's root: 32 secret bytes. Wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct OwnerRoot([u8; 32]);

impl fmt::Debug for OwnerRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnerRoot(..)")
    }
}

impl OwnerRoot {
    /// Takes 32 secret bytes over.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the root's 0600 file.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl KeySource for OwnerRoot {
    fn connection_key(&self, record: &EpochRecord, direction: Direction) -> Secret {
        let block = ConnectionBlock {
            label: Label::Connection,
            version: PROTOCOL_VERSION,
            application: record.application,
            connection: record.connection,
            direction,
            epoch: record.epoch,
            salt: record.salt,
            source: record.source,
            target: record.target,
        };
        derive(&self.0, &block.bytes::<{ ConnectionBlock::BYTES }>())
    }
}
