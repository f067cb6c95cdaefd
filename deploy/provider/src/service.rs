//! What owners ask a provider for.

use crate::drivers::{Drivers, lend, prove, take_back};
use crate::grants::{self, Grant};
use crate::{ProviderError, Store};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::Mutex;
use veritee_exec::desk::{Attested, Desk};
use veritee_exec::provider::{Answered, Ask, GrantName, Granted, Provider, Told};
use veritee_ids::{ApplicationHandle, ConnectionId, RowIndex};
use veritee_wire::Layout;
use veritee_wire::layout::{EpochEnd, RowName, RowStatus, SetKey};

/// How long a grant lasts from the last time that it was taken.
pub const GRANT_SECONDS: u64 = 24 * 3600;

/// A provider at work. One request at a time: his drivers are behind slow lines, and requests are rare.
#[derive(Debug)]
pub struct Service {
    work: Mutex<Work>,
}

#[derive(Debug)]
struct Work {
    store: Store,
    drivers: Drivers,
    seconds: u64,
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Service {
    /// A provider with his books and his drivers; grants last `seconds`.
    #[must_use]
    pub fn new(store: Store, drivers: Drivers, seconds: u64) -> Arc<Self> {
        Arc::new(Self { work: Mutex::new(Work { store, drivers, seconds }) })
    }

    /// Answers an owner, whom his channel has proven to be `owner` (his fingerprint).
    pub async fn answer(&self, owner: &str, ask: Ask) -> Told {
        let mut work = self.work.lock().await;
        if let Err(error) = work.store.refresh() {
            return Told::Refused(error.to_string());
        }
        let told = match ask {
            Ask::Take { grant, name, module } => work.take(owner, &grant, (&name, &module)).await,
            Ask::Status { grant } => work.status(owner, &grant).await,
            Ask::SetKey { grant, set } => work.set_key(owner, &grant, &set).await,
            Ask::Remove { grant, row, connection } => work.remove(owner, &grant, (row, connection)).await,
            Ask::Release { grant } => work.release(owner, &grant).await,
            Ask::Look { grant } => work.look(owner, &grant).await,
            Ask::Sign { board, image } => work.store.sign(&board, owner, &image).map(Told::Signed),
        };
        told.unwrap_or_else(|error| match error {
            ProviderError::NotGranted { .. } => Told::NotLent(error.to_string()),
            error => Told::Refused(error.to_string()),
        })
    }

    /// Takes back what is over its time.
    ///
    /// # Errors
    /// The first driver that cannot be asked; it is asked again at the next call.
    pub async fn take_back(&self) -> Result<(), ProviderError> {
        let mut work = self.work.lock().await;
        work.store.refresh()?;
        work.take_back(now(), |_| true).await
    }

    /// The provider, as one owner in this process deals with him.
    #[must_use]
    pub fn for_owner(self: &Arc<Self>, owner: String) -> Arc<dyn Provider> {
        Arc::new(Customer { service: Arc::clone(self), owner })
    }
}

#[derive(Debug)]
struct Customer {
    service: Arc<Service>,
    owner: String,
}

impl Provider for Customer {
    fn ask(&self, ask: Ask) -> Answered<'_> {
        Box::pin(async move { self.service.answer(&self.owner, ask).await.agreed() })
    }
}

impl Work {
    async fn take(
        &mut self, owner: &str, name: &GrantName, (shown, module): (&str, &str),
    ) -> Result<Told, ProviderError> {
        self.customer(owner, name)?;
        let keys = self.store.driver(&name.board, &name.driver)?;
        let now = now();
        self.take_back(now, |grant| grant.is_of(name)).await?;
        let (exclusive, not_after) = (keys.driver.exclusive, now.saturating_add(self.seconds));
        let handle =
            self.store.change(|kept| grants::take(kept, owner, (name, shown, module), (exclusive, now, not_after)))?;
        let desk = self.drivers.attest(&self.store, &name.board, &name.driver).await?;
        let grant = self.store.kept.grants.iter().find(|grant| grant.is(owner, name));
        lend(desk, grant.ok_or(ProviderError::Malformed)?).await?;
        Ok(granted(&desk.attested, keys.driver.device, (handle, not_after)))
    }

    /// What the application was told when it took the driver, or will be told after a reset of the board.
    async fn look(&mut self, owner: &str, name: &GrantName) -> Result<Told, ProviderError> {
        self.customer(owner, name)?;
        let not_after = self.grant(owner, name)?.not_after;
        let device = self.store.driver(&name.board, &name.driver)?.driver.device;
        let handle = self.handle(name);
        let desk = self.drivers.desk(&self.store, &name.board, &name.driver).await?;
        Ok(granted(&desk.attested, device, (handle, not_after)))
    }

    /// The application's short name at drivers.
    fn handle(&self, name: &GrantName) -> u16 {
        self.store.kept.handles.get(&veritee_exec::hex(&name.application)).copied().unwrap_or_default()
    }

    /// The owner has a key of the board.
    fn customer(&self, owner: &str, name: &GrantName) -> Result<(), ProviderError> {
        self.store.board(&name.board)?;
        let known = self.store.kept.customers.get(&name.board);
        if known.is_some_and(|known| known.iter().any(|known| known == owner)) {
            return Ok(());
        }
        Err(ProviderError::Stranger { owner: owner.to_owned(), board: name.board.clone() })
    }

    /// The application has the driver now.
    fn grant(&self, owner: &str, name: &GrantName) -> Result<&Grant, ProviderError> {
        let found = self.store.kept.grants.iter().find(|grant| grant.is(owner, name) && grant.not_after > now());
        found.ok_or_else(|| ProviderError::NotGranted { driver: name.driver.clone(), board: name.board.clone() })
    }

    async fn status(&mut self, owner: &str, name: &GrantName) -> Result<Told, ProviderError> {
        let lent = self.grant(owner, name)?.rows.clone();
        let status = self.drivers.desk(&self.store, &name.board, &name.driver).await?.status().await?;
        let mut rows = Vec::new();
        for row in status.rows {
            let found = lent.iter().find(|lent| (lent.row, lent.connection) == (row.row.0, row.connection.0));
            if let Some(lent) = found {
                let named = RowStatus { row: RowIndex(lent.named), ..row };
                rows.extend(named.bytes::<{ RowStatus::BYTES }>());
            }
        }
        let mut head = vec![0; veritee_wire::layout::StatusHead::BYTES];
        status.head.encode(&mut head).map_err(|_| ProviderError::Malformed)?;
        Ok(Told::Status { head, rows })
    }

    async fn set_key(&mut self, owner: &str, name: &GrantName, set: &[u8]) -> Result<Told, ProviderError> {
        self.grant(owner, name)?;
        let set = SetKey::decode(set).map_err(|_| ProviderError::Malformed)?;
        let keys = self.store.driver(&name.board, &name.driver)?;
        let handle = self.handle(name);
        let rows = keys.driver.ports.rows;
        let row = self.store.change(|kept| grants::row(kept, owner, name, (set.row.0, set.connection.0, rows)))?;
        let set = SetKey { row: RowIndex(row), application: ApplicationHandle(handle), ..set };
        let desk = self.drivers.desk(&self.store, &name.board, &name.driver).await?;
        let end = desk.set_key(&set).await?;
        let proof = prove(desk, row, keys.driver.device, name.application).await?;
        let grant = self.store.kept.grants.iter().find(|grant| grant.is(owner, name));
        lend(desk, grant.ok_or(ProviderError::Malformed)?).await?;
        Ok(Told::Ended { end: end.bytes::<{ EpochEnd::BYTES }>().to_vec(), proof })
    }

    async fn remove(
        &mut self, owner: &str, name: &GrantName, (named, connection): (u16, u16),
    ) -> Result<Told, ProviderError> {
        let rows = self.grant(owner, name)?.rows.clone();
        let found = rows.iter().find(|row| (row.named, row.connection) == (named, connection));
        let end = match found {
            Some(lent) => {
                let lent = (lent.row, lent.connection);
                let desk = self.drivers.desk(&self.store, &name.board, &name.driver).await?;
                let stands = desk.status().await?.rows.iter().any(|row| (row.row.0, row.connection.0) == lent);
                let row = RowName { row: RowIndex(lent.0), connection: ConnectionId(lent.1) };
                // A driver that was reset has it no more.
                if stands { desk.remove(&row).await? } else { NOWHERE }
            }
            None => NOWHERE,
        };
        self.store.change(|kept| {
            let grants = kept.grants.iter_mut().filter(|grant| grant.is(owner, name));
            grants.for_each(|grant| grant.rows.retain(|row| (row.named, row.connection) != (named, connection)));
            Ok(())
        })?;
        // The row is free; its node routes nothing there any more, and the connection's number is free for others.
        let grant = self.grant(owner, name)?.clone();
        let desk = self.drivers.desk(&self.store, &name.board, &name.driver).await?;
        lend(desk, &grant).await?;
        Ok(Told::Ended { end: end.bytes::<{ EpochEnd::BYTES }>().to_vec(), proof: Vec::new() })
    }

    async fn release(&mut self, owner: &str, name: &GrantName) -> Result<Told, ProviderError> {
        self.customer(owner, name)?;
        if !self.store.kept.grants.iter().any(|grant| grant.is(owner, name)) {
            return Err(ProviderError::NotGranted { driver: name.driver.clone(), board: name.board.clone() });
        }
        self.take_back(u64::MAX, |grant| grant.is(owner, name)).await?;
        Ok(Told::Released)
    }

    /// Ends grants whose time is over at `now`: frees their rows at the driver, then forgets them.
    async fn take_back(&mut self, now: u64, which: impl Fn(&Grant) -> bool) -> Result<(), ProviderError> {
        let over: Vec<Grant> =
            self.store.kept.grants.iter().filter(|grant| grant.not_after <= now && which(grant)).cloned().collect();
        for grant in over {
            if !grant.application.is_empty() {
                let desk = self.drivers.desk(&self.store, &grant.board, &grant.driver).await?;
                free(desk, &grant).await?;
                take_back(desk, &grant).await?;
            }
            self.store.change(|kept| {
                kept.grants.retain(|kept| *kept != grant);
                Ok(())
            })?;
            tracing::info!(board = grant.board, driver = grant.driver, application = grant.name, "took a driver back");
        }
        Ok(())
    }

    /// Whatever its time: the provider takes a driver back.
    async fn revoke(&mut self, board: &str, driver: &str) -> Result<(), ProviderError> {
        self.take_back(u64::MAX, |grant| (grant.board.as_str(), grant.driver.as_str()) == (board, driver)).await
    }
}

fn granted(attested: &Attested, device: u16, (handle, not_after): (u16, u64)) -> Told {
    Told::Granted(Granted {
        activation: attested.activation.0,
        measurement: attested.measurement.clone(),
        device,
        handle,
        not_after,
        simulated: attested.simulated,
        freshness: attested.freshness.code(),
    })
}

/// The end of an epoch that never was.
const NOWHERE: EpochEnd = EpochEnd { epoch: veritee_ids::Epoch(0), counter: veritee_ids::Counter(0) };

impl Service {
    /// Takes a driver back from whoever has it.
    ///
    /// # Errors
    /// When the driver cannot be asked.
    pub async fn revoke(&self, board: &str, driver: &str) -> Result<(), ProviderError> {
        let mut work = self.work.lock().await;
        work.store.driver(board, driver)?;
        work.revoke(board, driver).await
    }

    /// Keeps a driver for an owner until `not_after`: nobody else is given it.
    ///
    /// # Errors
    /// [`ProviderError::Busy`] while another application has it; [`ProviderError::NoSuch`], [`ProviderError::Exec`].
    pub async fn keep(&self, board: &str, driver: &str, owner: &str, not_after: u64) -> Result<(), ProviderError> {
        let mut work = self.work.lock().await;
        let keys = work.store.driver(board, driver)?;
        let name = GrantName { board: board.to_owned(), driver: driver.to_owned(), application: [0; 16] };
        work.take_back(now(), |grant| grant.is_of(&name)).await?;
        work.store.change(|kept| grants::keep(kept, owner, &name, (keys.driver.exclusive, now(), not_after)))
    }
}

/// Frees the rows of a grant, in whatever life the driver is.
async fn free(desk: &mut Desk, grant: &Grant) -> Result<(), ProviderError> {
    let status = desk.status().await?;
    for lent in &grant.rows {
        if status.rows.iter().any(|row| (row.row.0, row.connection.0) == (lent.row, lent.connection)) {
            desk.remove(&RowName { row: RowIndex(lent.row), connection: ConnectionId(lent.connection) }).await?;
        }
    }
    Ok(())
}
