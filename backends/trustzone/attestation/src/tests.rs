extern crate std;

use crate::{Service, Surroundings};
use core::cell::Cell;
use veritee_seal::Secret;
use veritee_trustzone_format::keys::{module_key, vendor_key};
use veritee_trustzone_format::service::{
    ENROL, ENROL_TYPES, FORGET, KEEP, KEY, KEY_TYPES, STATE, STATE_TYPES, key_from_values,
};
use veritee_trustzone_format::{Uuid, kind, result};
use veritee_trustzone_runtime::{Application, Parameters, RawParameters};

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

fn enrol(service: &mut Service<Machine>, secret: &mut [u8], keep: u32) -> u32 {
    let mut raw = RawParameters::new(ENROL_TYPES);
    raw.write(0, secret);
    raw.value(1, (keep, 0));
    // SAFETY: the parameters name memory of this test that lives on.
    service.invoke(ENROL, unsafe { Parameters::new(&mut raw) })
}

fn key(service: &mut Service<Machine>, vendor: u32, place: &mut [u8; 16]) -> u32 {
    let mut raw = RawParameters::new(KEY_TYPES);
    raw.value(0, (vendor, 0));
    // SAFETY: the parameters name no memory.
    let result = service.invoke(KEY, unsafe { Parameters::new(&mut raw) });
    *place = key_from_values([raw.values(1), raw.values(2)]);
    result
}

fn enrolled(service: &mut Service<Machine>) -> bool {
    let mut raw = RawParameters::new(STATE_TYPES);
    // SAFETY: the parameters name no memory.
    assert_eq!(service.invoke(STATE, unsafe { Parameters::new(&mut raw) }), result::SUCCESS);
    raw.values(0).0 == 1
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
    let mut raw = RawParameters::new(kind::types([kind::VALUE_IN, kind::VALUE_IN, kind::NONE, kind::NONE]));
    // SAFETY: the parameters name no memory.
    assert_eq!(service.invoke(KEY, unsafe { Parameters::new(&mut raw) }), result::BAD_PARAMETERS);
    // SAFETY: the parameters name no memory.
    assert_eq!(service.invoke(9, unsafe { Parameters::new(&mut raw) }), result::NOT_SUPPORTED);
}
