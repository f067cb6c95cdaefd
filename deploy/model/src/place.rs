//! Where in the text a problem is: at the word that the problem names.

use crate::read::place_of;

/// Subjects of problems, as they are worded.
const SUBJECTS: &[&str] = &["connection ", "module ", "node ", "timer ", "name "];

/// The problem with line and column in front, if what it names is written in `text`.
///
/// A problem names its subject (`connection press: …`) and often the wrong word in quotes. The place is that of the wrong word
/// behind the subject, else of the subject, else of the wrong word.
#[must_use]
pub fn placed(text: &str, problem: &str) -> String {
    let subject = subject(problem).and_then(|name| definition(text, name));
    let quoted = problem.split('"').nth(1).filter(|word| !word.is_empty());
    let from = subject.unwrap_or(0);
    let wrong = quoted.and_then(|word| word_from(text, from, word).or_else(|| word_from(text, 0, word)));
    match wrong.or(subject) {
        Some(at) => {
            let (line, column) = place_of(text, at);
            format!("{line}:{column}: {problem}")
        }
        None => problem.to_owned(),
    }
}

/// The name of what a problem is about.
fn subject(problem: &str) -> Option<&str> {
    let (_, rest) = SUBJECTS.iter().find_map(|kind| {
        let at = problem.find(kind)?;
        Some((kind, &problem[at + kind.len()..]))
    })?;
    let name = rest.split([' ', ':', ';', ',']).next()?;
    (!name.is_empty() && !name.starts_with('"')).then_some(name)
}

/// Where a name is given: as a key, else as the value of `name`, else anywhere. A made name begins with its `from`.
fn definition(text: &str, name: &str) -> Option<usize> {
    let given = |at: &usize| {
        let behind = text[at + name.len()..].trim_start_matches(['"', '\'', ']']);
        let before = text[..*at].trim_end_matches(['"', '\'', ' ']);
        behind.trim_start().starts_with([':', '='])
            || before.ends_with("name:")
            || before.ends_with("name =")
            || before.ends_with('.')
    };
    let found = words(text, name).find(given).or_else(|| words(text, name).next());
    found.or_else(|| {
        let (from, _) = name.split_once('-')?;
        words(text, from).next()
    })
}

fn word_from(text: &str, from: usize, word: &str) -> Option<usize> {
    words(text, word).find(|at| *at >= from)
}

/// Places of a word that is not part of a longer one.
fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let inside = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-';
    text.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |at| !text[..*at].ends_with(inside) && !text[at + word.len()..].starts_with(inside))
}

#[cfg(test)]
mod tests {
    use super::placed;

    const TEXT: &str = "application: home\nnodes:\n  desk: { platform: native }\nmodules:\n  led: { node: desk }\n\
                        connections:\n  - { name: press, from: button.press, to: lamp.press }\n  - { from: a.b, to: led.x }\n";

    #[test]
    fn a_problem_is_placed_at_the_word_that_it_names() {
        let place = |problem: &str| placed(TEXT, problem).split(": ").next().unwrap().to_owned();
        assert_eq!(place("connection press: there is no module \"lamp\"; there is: led"), "7:44");
        assert_eq!(place("connection press comes from nowhere"), "7:13");
        assert_eq!(place("node desk: its address has no port"), "3:3");
        assert_eq!(place("module led: there is no node \"floor\""), "5:3");
        assert_eq!(place("connection a.b-led.x: the types differ"), "8:13");
        assert_eq!(placed(TEXT, "the application has no modules"), "the application has no modules");
    }
}
