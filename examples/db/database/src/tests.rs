use crate::{Database, RECORDS_MAX};
use db_messages::{Key, NOT_FOUND, Record};
use veritee::{Bytes, Refusal};
use veritee_harness::Harness;

fn record(key: u32, value: &[u8]) -> Record {
    Record { key: Key { key }, value: Bytes::new(value).expect("the value is short") }
}

fn get(database: &mut Harness<Database>, key: u32) -> Result<Record, Refusal> {
    database.call("get", &Key { key })
}

#[test]
fn what_was_stored_is_found() {
    let mut database = Harness::<Database>::new();
    database.send("store", &record(1, b"one"));
    database.send("store", &record(2, b""));
    assert_eq!(get(&mut database, 1), Ok(record(1, b"one")));
    assert_eq!(get(&mut database, 2), Ok(record(2, b"")));
    assert_eq!(get(&mut database, 3), Err(Refusal::Refused(NOT_FOUND)));
}

#[test]
fn the_same_key_replaces_its_record() {
    let mut database = Harness::<Database>::new();
    database.send("store", &record(1, b"old"));
    database.send("store", &record(1, b"new"));
    assert_eq!(get(&mut database, 1), Ok(record(1, b"new")));
}

#[test]
fn beyond_its_capacity_the_oldest_record_goes() {
    let mut database = Harness::<Database>::new();
    let beyond = u32::try_from(RECORDS_MAX).unwrap();
    for key in 0..=beyond {
        database.send("store", &record(key, b"x"));
    }
    assert_eq!(get(&mut database, 0), Err(Refusal::Refused(NOT_FOUND)));
    assert_eq!(get(&mut database, 1), Ok(record(1, b"x")));
    assert_eq!(get(&mut database, beyond), Ok(record(beyond, b"x")));
}
