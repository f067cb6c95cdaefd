//! Sealed states through the real programs: across updates, journals that were lost, and calls that are cut off anywhere.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use support::book::book;
use support::gate::{Held, cut, messages};
use support::{Application, OWNER, Said, Stage, Tool, copy, enclaves_run, source};
use veritee_sgx_image::SigningKey;

/// The book alone, in the hands of its owner.
fn alone(name: &str, book: &Path) -> String {
    format!(
        "application: library
nodes:
  vault: {{ platform: sgx }}
modules:
  {name}: {{ node: vault, source: {{ rust: {book:?} }} }}
connections:
  - {{ name: note, direct: true, to: {name}.note }}
  - {{ name: read, direct: true, to: {name}.read }}
policy:
  allow: [sgx-simulated]
"
    )
}

/// A press is noted in the book, and passed on to the LED: whatever becomes of the book in between, the LED counts them all.
fn between_others(book: &Path) -> String {
    format!(
        "application: library
nodes:
  vault: {{ platform: sgx }}
modules:
  button: {{ node: vault, source: {{ rust: {button:?} }} }}
  book: {{ node: vault, source: {{ rust: {book:?} }} }}
  led: {{ node: vault, source: {{ rust: {led:?} }} }}
connections:
  - {{ name: press, from: button.pressed, to: book.note }}
  - {{ name: noted, from: book.noted, to: led.toggle }}
  - {{ name: read, direct: true, to: book.read }}
  - {{ name: state, direct: true, to: led.state }}
policy:
  allow: [sgx-simulated]
",
        button = source("examples/button-led/button"),
        led = source("examples/button-led/led"),
    )
}

/// A verb on sealed states.
fn state(application: &Application<'_>, words: &[&str]) -> Tool {
    application.stage.tool(OWNER, &[&["state"], words].concat()).arg("--file").arg(application.file())
}

/// Saves, and puts a copy of the file aside; gives its number too.
fn save(application: &Application<'_>, words: &[&str]) -> (u64, PathBuf) {
    let saved = state(application, &[&["save", "--output", "json"], words].concat()).said().json();
    let number = saved["counter"].as_u64().unwrap();
    let aside = application.folder.join(format!("{number}.json"));
    fs::copy(saved["file"].as_str().unwrap(), &aside).unwrap();
    (number, aside)
}

fn restore(application: &Application<'_>, words: &[&str], from: &Path) -> Said {
    state(application, &[&["restore", "--from", from.to_str().unwrap()], words].concat()).said()
}

fn note(application: &Application<'_>, number: u8) {
    application.verb(&["output", "note", "--hex", &format!("{number:02x}000000")]).said().ok();
}

/// What the book answers: entries, the sum over all pages, the edition.
fn read(application: &Application<'_>) -> String {
    application.verb(&["request", "read"]).said().ok().trim().to_owned()
}

/// The number in front of an answer.
fn first(answer: &str) -> u32 {
    u32::from_str_radix(&answer[..8], 16).unwrap().swap_bytes()
}

fn lifecycle(application: &Application<'_>, module: &str) -> String {
    application.status().module(module)["lifecycle"].as_str().unwrap().to_owned()
}

/// A status for people says of a module what is to be done.
fn advised(application: &Application<'_>, advice: &str) {
    let said = application.verb(&["status"]).said().ok();
    assert!(said.contains(advice), "{advice:?} is not in: {said}");
}

fn refused(said: &Said, words: &[&str]) {
    assert_eq!(said.code, 4, "{}{}", said.out, said.err);
    for words in words {
        assert!(said.err.contains(words), "{words:?} is not in: {}", said.err);
    }
}

/// Where a call of so many messages can be cut off: before and after each of them is done, but at its end.
fn moments(from: usize, total: usize) -> impl Iterator<Item = (usize, Held)> {
    (from..total).flat_map(|passes| [(passes, Held::Request), (passes + 1, Held::Answer)])
}

#[test]
fn a_state_that_no_journal_witnessed_needs_the_owners_word() {
    let stage = Stage::with_nodes(&["vault"]);
    if !enclaves_run(&stage) {
        return;
    }
    let application = stage.application(OWNER, "app", &alone("book", &book(1, 1)));
    application.up().ok();
    let saved = |number: u8| {
        note(&application, number);
        let (counter, file) = save(&application, &["book"]);
        (counter, file, read(&application))
    };
    let (one, old, then) = saved(1);
    let journal = stage.path().join("journal-from-before");
    copy(&application.state(), &journal);
    let (two, newest, now) = saved(2);
    assert!(one < two && then != now);
    let restored = |words: &[&str], from: &Path| restore(&application, &[&["book", "--replace"], words].concat(), from);
    let told = |number: u64| {
        format!("no journal here has seen state {number} of book: if there is a newer one, nobody notices")
    };

    // A journal from before knows that there was a state, and not this one.
    fs::remove_dir_all(application.state()).unwrap();
    copy(&journal, &application.state());
    refused(&restored(&[], &newest), &[&told(two), "--unwitnessed"]);
    assert_eq!(read(&application), now, "nothing was touched");
    restored(&["--unwitnessed"], &newest).ok();
    assert_eq!(read(&application), now);
    // It is witnessed from here on, and the flag is no leave to go back.
    restored(&[], &newest).ok();
    refused(&restored(&["--unwitnessed"], &old), &[&format!("its number is {one}, and {two} was saved after it")]);

    // A journal that is lost knows of none: it cannot tell the old one from the newest.
    fs::remove_dir_all(application.state()).unwrap();
    for (number, file) in [(one, &old), (two, &newest)] {
        refused(&restored(&[], file), &[&told(number), "--unwitnessed"]);
    }
    restored(&["--unwitnessed"], &old).ok();
    assert_eq!(read(&application), then);
    // What is saved now is newer than everything before, also than what this journal has never seen.
    let (three, ..) = saved(3);
    assert!(three > two, "{three}");
    refused(&restored(&[], &newest), &[&format!("its number is {two}, and {three} was saved after it")]);
    application.verb(&["down"]).said().ok();
}

#[test]
fn a_state_for_the_signer_survives_an_update_and_no_step_back() {
    let stage = Stage::with_nodes(&["vault"]);
    if !enclaves_run(&stage) {
        return;
    }
    let [before, after] = [alone("ledger", &book(1, 1)), alone("ledger", &book(2, 2))];
    let application = stage.application(OWNER, "app", &before);
    application.up().ok();
    note(&application, 7);
    let (_, for_enclave) = save(&application, &["ledger"]);
    let (_, for_signer) = save(&application, &["ledger", "--for", "signer"]);
    let answer = read(&application);
    let image = application.status().module("ledger")["measurement"].clone();

    // Another image, of a higher version, of the same signer.
    application.describe(&after);
    let said = restore(&application, &["ledger", "--replace"], &for_enclave);
    refused(&said, &["it was sealed for the image", "only", "`--for signer` makes states that survive a change"]);
    restore(&application, &["ledger", "--replace"], &for_signer).ok();
    let updated = read(&application);
    assert_eq!((&updated[..16], &updated[16..]), (&answer[..16], "02000000"), "the state, in the new edition");
    assert_ne!(application.status().module("ledger")["measurement"], image);
    note(&application, 8);
    let (_, for_signer) = save(&application, &["ledger", "--for", "signer"]);
    let updated = read(&application);

    // And back.
    application.describe(&before);
    let said = restore(&application, &["ledger", "--replace"], &for_signer);
    refused(&said, &["ledger cannot take the state", "higher version"]);
    assert_eq!(lifecycle(&application, "ledger"), "new", "it has no state, and does not run");
    advised(&application, "! ledger does not run yet; `veritee up` starts it, `veritee state restore ledger`");
    application.up().ok();
    assert_eq!(first(&read(&application)), 0, "nothing of the state is there");

    application.describe(&after);
    restore(&application, &["ledger", "--replace"], &for_signer).ok();
    assert_eq!(read(&application), updated, "nothing was lost by the refusal");
    application.verb(&["down"]).said().ok();
}

#[test]
fn a_state_for_the_signer_is_not_given_to_a_stranger_who_signed_the_image() {
    let stage = Stage::with_nodes(&["vault"]);
    if !enclaves_run(&stage) {
        return;
    }
    let application = stage.application(OWNER, "app", &alone("ledger", &book(1, 1)));
    let key = stage.path().join("stranger.pem");
    fs::write(&key, SigningKey::generate().unwrap().to_pem().unwrap()).unwrap();
    let mut up = application.verb(&["up"]);
    up.0.env("VERITEE_SGX_KEY", &key);
    up.said().ok();
    // The code is the owner's, whoever signed it.
    application.status();
    note(&application, 5);
    let said = state(&application, &["save", "ledger", "--for", "signer"]).said();
    refused(&said, &["the image of ledger is signed by", "whoever has that key could open the state"]);
    assert_eq!(lifecycle(&application, "ledger"), "active", "it was not touched");
    save(&application, &["ledger"]);

    let demands = |quotes: &str| alone("ledger", &book(1, 1)) + &format!("  quotes: {{ {quotes} }}\n");
    application.describe(&demands(&format!("signer: {}", "00".repeat(32))));
    let said = application.verb(&["status"]).said();
    refused(&said, &["evidence refused: signer is", &format!("expected {}", "00".repeat(32))]);
    application.describe(&demands("version: 2"));
    let said = application.verb(&["status"]).said();
    refused(&said, &["evidence refused: security version (ISVSVN) is 1, expected at least 2"]);
    application.describe(&demands("version: 1, tcb: [SWHardeningNeeded, INTEL-SA-00615]"));
    application.verb(&["down"]).said().ok();
}

#[test]
fn a_save_that_is_cut_off_anywhere_loses_nothing() {
    let stage = Stage::with_nodes(&["vault"]);
    if !enclaves_run(&stage) {
        return;
    }
    let application = stage.application(OWNER, "app", &between_others(&book(1, 1)));
    application.up().ok();
    let saving = || state(&application, &["save", "book"]);
    let total = messages(&application, saving());
    let (mut presses, mut rests) = (0, Vec::new());
    // What comes before only looks.
    for at in moments(total / 2, total) {
        cut(&application, saving(), at).map(Said::ok);
        rests.push(lifecycle(&application, "book"));
        if rests.iter().filter(|rest| *rest == "frozen").count() == 1 {
            advised(&application, "! book is at rest for a save that was interrupted; `veritee up` makes it go on");
        }
        // It is kept for the book while that rests.
        application.verb(&["call", "button.press"]).said().ok();
        presses += 1;
        match at.1 {
            Held::Request => application.up().ok(),
            Held::Answer => saving().said().ok(),
        };
        assert_eq!(lifecycle(&application, "book"), "active", "after {at:?}");
    }
    assert!(rests.first().unwrap() == "active" && rests.last().unwrap() == "active", "{rests:?}");
    assert!(rests.iter().filter(|rest| *rest == "frozen").count() > 8, "{rests:?}");

    application.settle();
    let answer = read(&application);
    let lit = application.verb(&["request", "state"]).said().ok();
    assert_eq!((first(&answer), first(&lit)), (presses, presses), "all were noted, and passed on");
    // The newest file is whole, whichever call wrote it.
    state(&application, &["restore", "book", "--replace"]).said().ok();
    assert_eq!(read(&application), answer);
    application.verb(&["down"]).said().ok();
}

/// What can be seen of a restore that was cut off.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Stands {
    Untouched,
    Fresh,
    Half,
    Whole,
}

#[test]
fn a_restore_that_is_cut_off_anywhere_gives_all_or_nothing() {
    let stage = Stage::with_nodes(&["vault"]);
    if !enclaves_run(&stage) {
        return;
    }
    let application = stage.application(OWNER, "app", &alone("book", &book(1, 1)));
    application.up().ok();
    let fresh = read(&application);
    note(&application, 1);
    let (_, file) = save(&application, &["book"]);
    let saved = read(&application);
    let restoring = || state(&application, &["restore", "book", "--replace"]);
    let total = messages(&application, restoring());
    let mut stands = Vec::new();
    for at in moments(0, total) {
        note(&application, 2);
        let untouched = read(&application);
        cut(&application, restoring(), at).map(Said::ok);
        let up = application.up();
        stands.push(if up.code == 0 {
            let answer = read(&application);
            let known = [(&untouched, Stands::Untouched), (&fresh, Stands::Fresh), (&saved, Stands::Whole)];
            let stands = known.into_iter().find_map(|(known, stands)| (*known == answer).then_some(stands));
            stands.unwrap_or_else(|| panic!("after {at:?} it answers {answer}"))
        } else {
            assert!(
                up.err.contains("book has a part of a saved state; `veritee state restore book` finishes it"),
                "{}",
                up.err
            );
            assert_eq!(lifecycle(&application, "book"), "new");
            Stands::Half
        });
        match (stands.last(), at.1) {
            // Done again, it is done.
            (Some(Stands::Half), Held::Request) => restore(&application, &["book"], &file).ok(),
            // Taken back, nothing of it is left.
            (Some(Stands::Half), Held::Answer) => {
                application.verb(&["down"]).said().ok();
                application.up().ok();
                assert_eq!(read(&application), fresh);
                restoring().said().ok()
            }
            _ => restoring().said().ok(),
        };
        assert_eq!(read(&application), saved, "after {at:?}");
    }
    let count = |wanted| stands.iter().filter(|stands| **stands == wanted).count();
    assert!(stands.is_sorted(), "first nothing of it, then a part of it, then all: {stands:?}");
    assert!(count(Stands::Untouched) > 0 && count(Stands::Fresh) > 0 && count(Stands::Whole) > 1, "{stands:?}");
    // The head, and all chunks but the last one.
    assert!(count(Stands::Half) >= 4, "{stands:?}");
    application.verb(&["down"]).said().ok();
}
