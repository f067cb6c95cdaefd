//! A driver, as an application that was granted it deals with it.

use crate::ExecError;
use crate::provider::{Ask, GrantName, Granted, Provider, Told};
use std::sync::Arc;
use veritee_ids::limits::PROTOCOL_VERSION;
use veritee_ids::{ActivationId, ApplicationId, Label};
use veritee_seal::Secret;
use veritee_session::keys::GrantedBlock;
use veritee_session::{Kdf, Status};
use veritee_wire::layout::{EpochEnd, RowName, RowStatus, SetKey, StatusHead};
use veritee_wire::{Layout, Reader};

#[cfg(test)]
mod tests;

/// A driver with the provider who lends it.
#[derive(Clone, Debug)]
pub struct Lent {
    /// The grant.
    pub grant: GrantName,
    /// The device's number in proofs.
    pub device: u16,
    /// The provider.
    pub provider: Arc<dyn Provider>,
}

impl Lent {
    /// Takes the driver, or takes it again.
    pub(crate) async fn take(&self, name: &str, module: &str) -> Result<Granted, ExecError> {
        let ask = Ask::Take { grant: self.grant.clone(), name: name.to_owned(), module: module.to_owned() };
        self.granted(ask).await
    }

    /// What the provider says of the driver, which this application has; takes nothing.
    pub(crate) async fn look(&self) -> Result<Granted, ExecError> {
        self.granted(Ask::Look { grant: self.grant.clone() }).await
    }

    async fn granted(&self, ask: Ask) -> Result<Granted, ExecError> {
        match self.provider.ask(ask).await? {
            Told::Granted(granted) if granted.device == self.device => Ok(granted),
            _ => Err(self.strange()),
        }
    }

    pub(crate) async fn status(&self) -> Result<Status, ExecError> {
        let Told::Status { head, rows } = self.provider.ask(Ask::Status { grant: self.grant.clone() }).await? else {
            return Err(self.strange());
        };
        let head = StatusHead::decode(&head).map_err(|_| self.strange())?;
        let mut reader = Reader::new(&rows);
        let count = rows.len() / RowStatus::BYTES;
        let rows: Result<Vec<_>, _> = (0..count).map(|_| RowStatus::take(&mut reader)).collect();
        let rows = rows.and_then(|rows| reader.finish().map(|()| rows)).map_err(|_| self.strange())?;
        Ok(Status { head, rows })
    }

    /// Gives the driver a key, and checks what it computed under it.
    pub(crate) async fn set_key(&self, set: &SetKey, activation: ActivationId) -> Result<EpochEnd, ExecError> {
        let mut bytes = vec![0; SetKey::BYTES];
        set.encode(&mut bytes).expect("the buffer has the layout's length");
        let ask = Ask::SetKey { grant: self.grant.clone(), set: bytes };
        let Told::Ended { end, proof } = self.provider.ask(ask).await? else { return Err(self.strange()) };
        let block = GrantedBlock {
            label: Label::Granted,
            version: PROTOCOL_VERSION,
            device: self.device,
            application: ApplicationId(self.grant.application),
            activation,
            epoch: set.epoch,
        };
        let expected = Kdf::SpongeWrap.derive(&Secret::new(set.key), &block.bytes::<{ GrantedBlock::BYTES }>());
        let proof: [u8; 16] = proof.try_into().map_err(|_| self.strange())?;
        if Secret::new(proof) != expected {
            return Err(ExecError::NotGranted { driver: self.grant.to_string() });
        }
        EpochEnd::decode(&end).map_err(|_| self.strange())
    }

    pub(crate) async fn remove(&self, row: &RowName) -> Result<EpochEnd, ExecError> {
        let ask = Ask::Remove { grant: self.grant.clone(), row: row.row.0, connection: row.connection.0 };
        let Told::Ended { end, .. } = self.provider.ask(ask).await? else { return Err(self.strange()) };
        EpochEnd::decode(&end).map_err(|_| self.strange())
    }

    /// Gives the driver back.
    ///
    /// # Errors
    /// [`ExecError::NotLent`] when the application does not have it; [`ExecError::Provider`], [`ExecError::ProviderUnreached`].
    pub async fn release(&self) -> Result<(), ExecError> {
        match self.provider.ask(Ask::Release { grant: self.grant.clone() }).await? {
            Told::Released => Ok(()),
            _ => Err(self.strange()),
        }
    }

    fn strange(&self) -> ExecError {
        ExecError::Provider(format!("{}: the provider's answer makes no sense", self.grant))
    }
}
