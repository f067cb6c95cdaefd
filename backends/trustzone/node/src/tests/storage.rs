use crate::signed::name_of;
use crate::storage::Storage;
use crate::supplicant::result;

#[test]
fn the_secure_worlds_files_stay_in_their_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut storage = Storage::new(&folder.path().join("tee"));
    for name in ["../a", "/../a", "a/../../b", ".", "", "/\0a", "\u{1}/.."] {
        assert_eq!(storage.open(name.as_bytes(), true), Err(result::BAD_PARAMETERS), "{name:?}");
    }
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
}

#[test]
fn a_file_is_read_as_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut storage = Storage::new(folder.path());
    assert_eq!(storage.open(b"/x/y\0", false), Err(result::ITEM_NOT_FOUND));
    let file = storage.open(b"/x/y\0rest", true).unwrap();
    storage.write(file, 3, b"hello").unwrap();
    let mut bytes = [9; 16];
    assert_eq!(storage.read(file, 1, &mut bytes), Ok(7));
    assert_eq!(&bytes[..8], b"\0\0hello\x09");
    storage.truncate(file, 5).unwrap();
    assert_eq!(storage.read(file, 0, &mut bytes), Ok(5));
    storage.close(file).unwrap();
    assert_eq!(storage.close(file), Err(result::BAD_PARAMETERS));
    assert_eq!(storage.read(file, 0, &mut bytes), Err(result::BAD_PARAMETERS));
    storage.open(b"z\0", true).unwrap();
    assert_eq!(storage.rename(b"z", b"x/y", false), Err(result::ACCESS_CONFLICT));
    storage.rename(b"z", b"x/y", true).unwrap();
    let listed = storage.open_folder(b"x").unwrap();
    assert_eq!(storage.next_entry(listed), Ok(b"y".to_vec()));
    assert_eq!(storage.next_entry(listed), Err(result::ITEM_NOT_FOUND));
    storage.close_folder(listed).unwrap();
    storage.remove(b"x/y").unwrap();
    assert_eq!(storage.remove(b"x/y"), Err(result::ITEM_NOT_FOUND));
}

#[test]
fn the_name_of_an_image_is_behind_its_signature() {
    let mut image = b"HSTO\x01\0\0\0\0\0\0\0\0\0\0\0\x20\0\x08\0".to_vec();
    image.extend([7; 40]);
    image.extend(1..=16);
    assert_eq!(name_of(&image).unwrap().to_string(), "01020304-0506-0708-090a-0b0c0d0e0f10");
    for length in 0..image.len() {
        assert!(name_of(&image[..length]).is_err(), "{length} bytes");
    }
    image[4] = 2;
    assert!(name_of(&image).is_err());
    image[0] = 0;
    assert!(name_of(&image).is_err());
}
