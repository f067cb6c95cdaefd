use super::Lent;
use crate::ExecError;
use crate::provider::{Answered, Ask, GrantName, Provider, Told};
use std::sync::{Arc, Mutex};
use veritee_ids::limits::PROTOCOL_VERSION;
use veritee_ids::{
    ActivationId, ApplicationHandle, ApplicationId, CipherId, ConnectionId, Counter, Epoch, Label, PortIndex,
    PriorEpoch, Role, RowIndex, TypeHash,
};
use veritee_seal::Secret;
use veritee_session::Kdf;
use veritee_session::keys::GrantedBlock;
use veritee_wire::Layout;
use veritee_wire::layout::{EpochEnd, SetKey};

const APPLICATION: [u8; 16] = [7; 16];
const ALIVE: ActivationId = ActivationId([1; 16]);
const DEVICE: u16 = 3;

/// A provider with a driver, who may repeat the driver's first answer for ever.
#[derive(Debug, Default)]
struct Recorder {
    first: Mutex<Option<Told>>,
    repeats: bool,
}

/// What a driver answers to a key.
fn took(set: &SetKey) -> Told {
    let block = GrantedBlock {
        label: Label::Granted,
        version: PROTOCOL_VERSION,
        device: DEVICE,
        application: ApplicationId(APPLICATION),
        activation: ALIVE,
        epoch: set.epoch,
    };
    let proof = Kdf::SpongeWrap.derive(&Secret::new(set.key), &block.bytes::<{ GrantedBlock::BYTES }>());
    let end = EpochEnd { epoch: Epoch(0), counter: Counter(0) };
    Told::Ended { end: end.bytes::<{ EpochEnd::BYTES }>().to_vec(), proof: proof.expose().to_vec() }
}

impl Provider for Recorder {
    fn ask(&self, ask: Ask) -> Answered<'_> {
        Box::pin(async move {
            let Ask::SetKey { set, .. } = ask else { panic!("keys only") };
            let told = took(&SetKey::decode(&set).unwrap());
            let mut first = self.first.lock().unwrap();
            Ok(if self.repeats { first.get_or_insert(told).clone() } else { told })
        })
    }
}

fn set(epoch: u32, key: u8) -> SetKey {
    SetKey {
        row: RowIndex(0),
        connection: ConnectionId(0x8001),
        application: ApplicationHandle(2),
        port: PortIndex(0),
        epoch: Epoch(epoch),
        role: Role::Receiver,
        cipher: CipherId::Spongent128,
        prior: PriorEpoch::None,
        closing: Counter(0),
        payload_type: TypeHash([0; 8]),
        reply_type: TypeHash([0; 8]),
        key: [key; 16],
        reply_key: [0; 16],
    }
}

fn lent(repeats: bool) -> Lent {
    let grant = GrantName { board: "kitchen".to_owned(), driver: "led".to_owned(), application: APPLICATION };
    Lent { grant, device: DEVICE, provider: Arc::new(Recorder { repeats, ..Recorder::default() }) }
}

#[tokio::test]
async fn a_driver_proves_each_key_that_it_took() {
    let lent = lent(false);
    for (epoch, key) in [(1, 1), (2, 2), (3, 2)] {
        lent.set_key(&set(epoch, key), ALIVE).await.unwrap();
    }
}

#[tokio::test]
async fn a_proof_that_is_replayed_proves_nothing() {
    let lent = lent(true);
    lent.set_key(&set(1, 1), ALIVE).await.unwrap();
    lent.set_key(&set(1, 1), ALIVE).await.unwrap();
    for (case, other) in [("another key", set(1, 2)), ("another epoch", set(2, 1))] {
        let refused = lent.set_key(&other, ALIVE).await;
        assert!(matches!(refused, Err(ExecError::NotGranted { .. })), "{case}: {refused:?}");
    }
    let refused = lent.set_key(&set(1, 1), ActivationId([2; 16])).await;
    assert!(matches!(refused, Err(ExecError::NotGranted { .. })), "another life of the driver: {refused:?}");
}
