use crate::ProviderError;
use crate::grants::{Grant, keep, row, take};
use crate::store::Kept;
use veritee_exec::provider::GrantName;

fn name(driver: &str, application: u8) -> GrantName {
    GrantName { board: "kitchen".to_owned(), driver: driver.to_owned(), application: [application; 16] }
}

const EXCLUSIVE: (bool, u64, u64) = (true, 100, 200);
const SHARED: (bool, u64, u64) = (false, 100, 200);

fn of<'a>(kept: &'a Kept, owner: &str) -> Vec<&'a Grant> {
    kept.grants.iter().filter(|grant| grant.owner == owner).collect()
}

#[test]
fn an_exclusive_driver_serves_one_application() {
    let mut kept = Kept::default();
    let first = take(&mut kept, "ann", (&name("led", 1), "lights", "module"), EXCLUSIVE).unwrap();
    assert_eq!(take(&mut kept, "ann", (&name("led", 1), "lights", "module"), EXCLUSIVE).unwrap(), first, "taken again");
    for (owner, application) in [("bob", 2), ("ann", 2)] {
        let refused = take(&mut kept, owner, (&name("led", application), "others", "module"), EXCLUSIVE);
        assert!(matches!(refused, Err(ProviderError::Busy { seconds: 100, .. })), "{refused:?}");
    }
    let refused = take(&mut kept, "bob", (&name("led", 2), "others", "module"), EXCLUSIVE).unwrap_err().to_string();
    assert_eq!(
        refused,
        "driver led of board kitchen is exclusive: application \"lights\" of owner ann… has it for 100 seconds more, unless it \
         gives it back before or the provider releases it (`veritee provider release kitchen led`)"
    );
    take(&mut kept, "bob", (&name("button", 2), "others", "module"), EXCLUSIVE).unwrap();
    assert_eq!((of(&kept, "ann").len(), of(&kept, "bob").len()), (1, 1));
}

#[test]
fn a_grant_ends_with_its_time_and_is_prolonged_by_taking_it() {
    let mut kept = Kept::default();
    take(&mut kept, "ann", (&name("led", 1), "lights", "module"), (true, 100, 200)).unwrap();
    take(&mut kept, "ann", (&name("led", 1), "lights", "module"), (true, 150, 250)).unwrap();
    assert!(take(&mut kept, "bob", (&name("led", 2), "others", "module"), (true, 249, 400)).is_err());
    assert!(take(&mut kept, "bob", (&name("led", 2), "others", "module"), (true, 250, 400)).is_ok());
}

#[test]
fn a_shared_driver_serves_several_under_names_and_rows_of_their_own() {
    let mut kept = Kept::default();
    let one = take(&mut kept, "ann", (&name("sensor", 1), "lights", "module"), SHARED).unwrap();
    let other = take(&mut kept, "bob", (&name("sensor", 2), "others", "module"), SHARED).unwrap();
    assert_ne!(one, other);
    let (ann, bob) = (name("sensor", 1), name("sensor", 2));
    assert_eq!(row(&mut kept, "ann", &ann, (0, 7, 3)).unwrap(), 0);
    assert_eq!(row(&mut kept, "bob", &bob, (0, 8, 3)).unwrap(), 1);
    assert_eq!(row(&mut kept, "ann", &ann, (0, 7, 3)).unwrap(), 0, "the same connection again");
    assert_eq!(row(&mut kept, "ann", &ann, (1, 9, 3)).unwrap(), 2);
    assert!(matches!(row(&mut kept, "bob", &bob, (1, 10, 3)), Err(ProviderError::NoRow { rows: 3, .. })));
    assert!(
        matches!(row(&mut kept, "ann", &ann, (0, 11, 3)), Err(ProviderError::Malformed)),
        "a name is one connection's"
    );
    assert!(matches!(row(&mut kept, "eve", &ann, (0, 7, 3)), Err(ProviderError::NotGranted { .. })), "another owner");
}

#[test]
fn a_connection_number_is_one_applications_at_a_driver() {
    let mut kept = Kept::default();
    take(&mut kept, "ann", (&name("sensor", 1), "lights", "module"), SHARED).unwrap();
    take(&mut kept, "bob", (&name("sensor", 2), "others", "module"), SHARED).unwrap();
    row(&mut kept, "ann", &name("sensor", 1), (0, 7, 8)).unwrap();
    let refused = row(&mut kept, "bob", &name("sensor", 2), (0, 7, 8));
    assert!(matches!(refused, Err(ProviderError::NumberTaken { connection: 7, .. })), "{refused:?}");
}

#[test]
fn a_driver_that_is_kept_for_an_owner_is_given_to_him_only() {
    let mut kept = Kept::default();
    keep(&mut kept, "ann", &name("led", 0), (true, 100, 500)).unwrap();
    assert!(take(&mut kept, "bob", (&name("led", 2), "others", "module"), EXCLUSIVE).is_err());
    take(&mut kept, "ann", (&name("led", 1), "lights", "module"), EXCLUSIVE).unwrap();
    assert_eq!(of(&kept, "ann").len(), 1);
    assert_eq!(of(&kept, "ann")[0].not_after, 500);
    assert!(keep(&mut kept, "bob", &name("led", 0), (true, 100, 600)).is_err());
}
