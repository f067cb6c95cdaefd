use super::{Config, ConfigError, LogFormat};

fn load(text: &str) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.toml");
    std::fs::write(&path, text).unwrap();
    Config::load(&path)
}

#[test]
fn every_key_but_the_state_folder_has_a_default() {
    let config = load("state = '/somewhere'").unwrap();
    assert_eq!(config.listen, ["[::]:7654"]);
    assert!(config.metrics.listen.is_empty() && !config.end_modules);
    assert!(load("").is_err());
}

#[test]
fn a_relative_state_folder_is_beside_the_file() {
    assert!(load("state = 'here'").unwrap().state.is_absolute());
}

#[test]
fn sections_are_read() {
    let config =
        load("state = '/s'\n[log]\nformat = 'json'\n[outbox]\nwait_for_disk = true\n[limits]\nmodules = 3").unwrap();
    assert_eq!((config.log.format, config.outbox.wait_for_disk, config.limits.modules), (LogFormat::Json, true, 3));
}

#[test]
fn unknown_keys_are_refused_with_their_line() {
    for text in ["state = '/s'\nlisten_on = 'x'", "state = '/s'\n[limits]\nmodule = 3", "state = '/s'\n[other]"] {
        let error = load(text).unwrap_err().to_string();
        assert!(error.contains("unknown field") && error.contains("line"), "{error}");
    }
}

#[test]
fn values_without_sense_are_refused() {
    for text in ["listen = []", "[limits]\nconnections = 0", "[outbox]\nsegment_bytes = 1", "[links]\nwindow_bytes = 1"]
    {
        assert!(matches!(load(&format!("state = '/s'\n{text}")), Err(ConfigError::Value { .. })), "{text}");
    }
}

#[test]
fn boards_are_read_and_those_without_sense_are_refused() {
    let kitchen = "[[board]]\nname = 'kitchen'\nport = '/dev/ttyUSB0'\n";
    let config =
        load(&format!("state = '/s'\n{kitchen}[[board]]\nname = 'hall'\nport = 'unix:/s'\nbaud = 9600")).unwrap();
    let read: Vec<_> =
        config.boards.iter().map(|board| (board.name.as_str(), board.port.as_str(), board.baud)).collect();
    assert_eq!(read, [("kitchen", "/dev/ttyUSB0", 115_200), ("hall", "unix:/s", 9600)]);
    for (more, key, hint) in [
        ("[[board]]\nname = 'kitchen'\nport = '/dev/ttyUSB1'", "board.name", "two boards are called kitchen"),
        ("[[board]]\nname = 'hall'\nport = '/dev/ttyUSB0'", "board.port", "kitchen and hall have the same port"),
        ("[[board]]\nname = 'the hall'\nport = '/dev/ttyUSB1'", "board.name", "letters, digits"),
        ("[[board]]\nname = 'hall'\nport = ''", "board.port", "unix:PATH"),
    ] {
        let error = load(&format!("state = '/s'\n{kitchen}{more}")).unwrap_err().to_string();
        assert!(error.starts_with(key) && error.contains(hint), "{error}");
    }
    let error = load("state = '/s'\n[[board]]\nname = 'x'\nport = 'y'\nspeed = 1").unwrap_err().to_string();
    assert!(error.contains("unknown field `speed`"), "{error}");
}

#[test]
fn a_provider_is_named_by_a_fingerprint() {
    let fingerprint = "ab".repeat(32);
    let config = load(&format!("state = '/s'\nproviders = ['{fingerprint}']")).unwrap();
    assert!(config.is_provider(&[0xab; 32]) && !config.is_provider(&[0xac; 32]));
    assert!(matches!(load("state = '/s'\nproviders = ['me']"), Err(ConfigError::Value { key: "providers", .. })));
}

#[test]
fn the_example_states_the_defaults() {
    let example = Config::load(concat!(env!("CARGO_MANIFEST_DIR"), "/node.example.toml").as_ref()).unwrap();
    let defaults = Config::new("/var/lib/veritee-node".into());
    assert_eq!(format!("{example:?}"), format!("{defaults:?}"));
}
