extern crate std;

use crate::{Service, Surroundings};
use core::cell::Cell;
use veritee_seal::Secret;
use veritee_trustzone_format::service::{KEY, KEY_TYPES};
use veritee_trustzone_format::{Uuid, kind, result};
use veritee_trustzone_runtime::{Application, Parameters};
use veritee_trustzone_secret::keys::{module_key, vendor_key};
use veritee_trustzone_secret::{ENROL, ENROL_TYPES, FORGET, KEEP, STATE, STATE_TYPES};

/// A core with a disk that the normal world owns.
#[derive(Default)]
struct Machine {
    caller: Cell<Option<Uuid>>,
    disk: std::rc::Rc<Cell<Option<[u8; 16]>>>,
    broken: Cell<bool>,
}

impl Surroundings for Machine {
    fn caller(&self) -> Result<Option<Uuid>, u32> {
        Ok(self.caller.get())
    }

    fn stored(&self) -> Result<Option<Secret>, u32> {
        if self.broken.get() { Err(result::GENERIC) } else { Ok(self.disk.get().map(Secret::new)) }
    }

    fn store(&mut self, secret: &Secret) -> Result<(), u32> {
        self.disk.set(Some(*secret.expose()));
        Ok(())
    }
}

fn service(disk: &std::rc::Rc<Cell<Option<[u8; 16]>>>) -> Service<Machine> {
    Service::new(Machine { disk: disk.clone(), ..Machine::default() })
}

/// Invokes a command with parameters as a core hands them in; gives the numbers that the second and third one have then.
fn invoke(service: &mut Service<Machine>, command: u32, types: u32, words: [[u64; 2]; 2]) -> (u32, [[u32; 2]; 3]) {
    let [[a, b], [c, d]] = words;
    let mut raw = [u64::from(types), a, b, c, d, 0, 0, 0, 0];
    // SAFETY: as many words as parameters have; memory that they name is the caller's and lives on.
    let parameters = unsafe { &mut *raw.as_mut_ptr().cast::<Parameters>() };
    (service.invoke(command, parameters), [0, 1, 2].map(|index| parameters.numbers(index, kind::VALUE_OUT)))
}

fn enrol(service: &mut Service<Machine>, secret: &mut [u8], keep: u32) -> u32 {
    let memory = [secret.as_mut_ptr().expose_provenance() as u64, secret.len() as u64];
    invoke(service, ENROL, ENROL_TYPES, [memory, [keep.into(), 0]]).0
}

fn key(service: &mut Service<Machine>, vendor: u32, place: &mut [u8; 16]) -> u32 {
    let (result, [_, first, second]) = invoke(service, KEY, KEY_TYPES, [[vendor.into(), 0], [0; 2]]);
    place.copy_from_slice([first, second].map(|words| words.map(u32::to_le_bytes)).as_flattened().as_flattened());
    result
}

fn enrolled(service: &mut Service<Machine>) -> bool {
    let (result, [[state, _], ..]) = invoke(service, STATE, STATE_TYPES, [[0; 2]; 2]);
    assert_eq!(result, result::SUCCESS);
    state == 1
}

const CALLER: Uuid = Uuid([5; 16]);

#[test]
fn a_trusted_application_gets_the_key_of_its_own_name() {
    let mut service = service(&Default::default());
    assert_eq!(enrol(&mut service, &mut [7; 16], KEEP), result::SUCCESS);
    service.surroundings.caller.set(Some(CALLER));
    let mut place = [0; 16];
    assert_eq!(key(&mut service, 300, &mut place), result::SUCCESS);
    assert_eq!(place, *module_key(&vendor_key(&Secret::new([7; 16]), 300), CALLER).expose());
    service.surroundings.caller.set(Some(Uuid([6; 16])));
    let mut other = [0; 16];
    assert_eq!(key(&mut service, 300, &mut other), result::SUCCESS);
    assert_ne!(place, other, "whoever calls with another name has another key");
}

#[test]
fn the_normal_world_gets_no_key() {
    let mut service = service(&Default::default());
    assert_eq!(enrol(&mut service, &mut [7; 16], KEEP), result::SUCCESS);
    let mut place = [0; 16];
    assert_eq!(key(&mut service, 300, &mut place), result::ACCESS_DENIED);
    assert_eq!(place, [0; 16]);
}

#[test]
fn a_second_enrolment_is_refused_also_after_a_restart() {
    let disk = Default::default();
    let mut first = service(&disk);
    assert!(!enrolled(&mut first));
    assert_eq!(enrol(&mut first, &mut [7; 16], KEEP), result::SUCCESS);
    assert!(enrolled(&mut first));
    assert_eq!(enrol(&mut first, &mut [8; 16], KEEP), result::ACCESS_CONFLICT);
    assert_eq!(enrol(&mut first, &mut [7; 16], KEEP), result::ACCESS_CONFLICT);
    let mut again = service(&disk);
    assert_eq!(enrol(&mut again, &mut [8; 16], FORGET), result::ACCESS_CONFLICT);
    assert_eq!(disk.get(), Some([7; 16]));
}

#[test]
fn an_emulators_secret_is_gone_with_its_machine() {
    let disk = Default::default();
    let mut first = service(&disk);
    assert_eq!(enrol(&mut first, &mut [7; 16], FORGET), result::SUCCESS);
    assert_eq!(enrol(&mut first, &mut [8; 16], FORGET), result::ACCESS_CONFLICT);
    assert!(!enrolled(&mut service(&disk)));
}

/// Else whoever makes reading fail for a moment could enrol a secret of his own beside the stored one.
#[test]
fn storage_that_cannot_be_read_is_not_empty() {
    let mut service = service(&Default::default());
    service.surroundings.broken.set(true);
    assert_eq!(enrol(&mut service, &mut [7; 16], KEEP), result::GENERIC);
    service.surroundings.caller.set(Some(CALLER));
    assert_eq!(key(&mut service, 2, &mut [0; 16]), result::GENERIC);
}

#[test]
fn parameters_that_make_no_sense_are_refused_and_change_nothing() {
    let mut service = service(&Default::default());
    assert_eq!(enrol(&mut service, &mut [7; 15], KEEP), result::BAD_PARAMETERS);
    assert_eq!(enrol(&mut service, &mut [7; 17], KEEP), result::BAD_PARAMETERS);
    assert_eq!(enrol(&mut service, &mut [0; 16], KEEP), result::BAD_PARAMETERS);
    assert_eq!(enrol(&mut service, &mut [7; 16], 2), result::BAD_PARAMETERS);
    assert!(!enrolled(&mut service));
    service.surroundings.caller.set(Some(CALLER));
    assert_eq!(key(&mut service, 2, &mut [0; 16]), result::BAD_STATE, "there is no secret");
    assert_eq!(enrol(&mut service, &mut [7; 16], KEEP), result::SUCCESS);
    assert_eq!(key(&mut service, 0x1_0000, &mut [0; 16]), result::BAD_PARAMETERS);
    let other = kind::types([kind::VALUE_IN, kind::VALUE_IN, kind::NONE, kind::NONE]);
    assert_eq!(invoke(&mut service, KEY, other, [[2, 0]; 2]).0, result::BAD_PARAMETERS);
    assert_eq!(invoke(&mut service, 9, other, [[2, 0]; 2]).0, result::NOT_SUPPORTED);
}
