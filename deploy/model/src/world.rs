//! What can happen to an emulated board: commands of `veritee-emu world` that change something.

/// The inputs of a board, for people.
const INPUTS: &str = "p1, p2, p1.0 to p2.7, adc0, adc1";

/// What is wrong with a command, if something is.
pub(crate) fn wrong(command: &str) -> Option<String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    match words[..] {
        ["reset"] => None,
        ["press" | "release", place] => match most(place) {
            Some(1) => None,
            _ => Some(format!("{command:?}: {place:?} is no pin; there are p1.0 to p2.7")),
        },
        ["set", place, value] => match (most(place), number(value)) {
            (None, _) => Some(format!("{command:?}: {place:?} is no input; there are {INPUTS}")),
            (Some(most), Some(value)) if value <= most => None,
            (Some(most), _) => Some(format!("{command:?}: {place} takes 0 to {most}, not {value:?}")),
        },
        _ => Some(format!(
            "{command:?} makes no sense; write `press p2.0`, `release p2.0`, `set adc0 512`, `set p1 0x3f` or `reset`"
        )),
    }
}

/// The greatest value of an input.
fn most(place: &str) -> Option<u16> {
    match place {
        "adc0" | "adc1" => Some(4095),
        "p1" | "p2" => Some(255),
        _ => {
            let (port, pin) = place.split_once('.')?;
            (matches!(port, "p1" | "p2") && matches!(pin.as_bytes(), [b'0'..=b'7'])).then_some(1)
        }
    }
}

fn number(text: &str) -> Option<u16> {
    match text.strip_prefix("0x") {
        Some(digits) => u16::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::wrong;

    #[test]
    fn what_the_emulator_takes_is_taken_and_nothing_else() {
        for right in ["press p2.0", "release p1.7", "set adc0 4095", "set p1 0x3f", "set p2.3 1", "reset"] {
            assert_eq!(wrong(right), None, "{right}");
        }
        for bad in [
            "",
            "push p2.0",
            "press",
            "press p2",
            "press p3.0",
            "press p2.8",
            "set adc2 1",
            "set adc0 4096",
            "set p1 x",
        ] {
            assert!(wrong(bad).is_some(), "{bad}");
        }
    }
}
