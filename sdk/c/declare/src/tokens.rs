//! From preprocessed C to declarations: the macros left `veritee_declared("file", line, kind, …)` where they stood.

use crate::Mistake;

/// What a macro of `veritee.h` leaves.
const MARK: &str = "veritee_declared";

/// A piece of C.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Token {
    /// A name or keyword.
    Name(String),
    /// A number, as written.
    Number(String),
    /// A string's inside.
    Text(String),
    /// Everything else, one character.
    Sign(char),
}

impl Token {
    pub(crate) fn name(&self) -> Option<&str> {
        if let Self::Name(name) = self { Some(name) } else { None }
    }

    pub(crate) fn is(&self, sign: char) -> bool {
        *self == Self::Sign(sign)
    }
}

/// Where something was declared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) file: String,
    pub(crate) line: u32,
}

impl Place {
    pub(crate) fn mistake(&self, message: impl Into<String>) -> Mistake {
        Mistake { file: self.file.clone(), line: self.line, message: message.into() }
    }
}

/// One use of a macro: its kind and its arguments, each a run of tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Declaration {
    pub(crate) place: Place,
    pub(crate) kind: String,
    pub(crate) arguments: Vec<Vec<Token>>,
}

/// Finds all declarations of a source.
pub(crate) fn declarations(text: &str) -> Result<Vec<Declaration>, Mistake> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if token.name() == Some(MARK) {
            found.push(declaration(tokens.get(at + 1..).unwrap_or_default())?);
        }
    }
    Ok(found)
}

/// Reads what stands behind a mark.
fn declaration(tokens: &[Token]) -> Result<Declaration, Mistake> {
    let mut arguments = vec![Vec::new()];
    let mut depth = 1_usize;
    let mut whole = false;
    for token in tokens.iter().skip(1) {
        match token {
            Token::Sign(')') if depth == 1 => {
                whole = true;
                break;
            }
            Token::Sign('(' | '{' | '[') => depth += 1,
            Token::Sign(')' | '}' | ']') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if token.is(',') && depth == 1 {
            arguments.push(Vec::new());
        } else if let Some(last) = arguments.last_mut() {
            last.push(token.clone());
        }
    }
    let place = match (arguments.first().map(Vec::as_slice), arguments.get(1).map(Vec::as_slice)) {
        (Some([Token::Text(file)]), Some([Token::Number(line)])) => {
            Place { file: file.clone(), line: line.parse().unwrap_or(0) }
        }
        _ => Place { file: "?".to_owned(), line: 0 },
    };
    let kind = arguments.get(2).and_then(|kind| kind.first()).and_then(Token::name).map(str::to_owned);
    let Some(kind) = kind.filter(|_| whole) else {
        return Err(place.mistake("this declaration does not end: a bracket is missing"));
    };
    let mut arguments: Vec<Vec<Token>> = arguments.into_iter().skip(3).collect();
    // `VT_START()` has no arguments, which C's preprocessor cannot tell from an empty one.
    while arguments.last().is_some_and(Vec::is_empty) {
        arguments.pop();
    }
    Ok(Declaration { place, kind, arguments })
}

/// Splits C into tokens. Comments are gone already.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' | '\'' => quoted(rest, first),
            _ if is_word(first) => rest.find(|letter| !is_word(letter)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (piece, behind) = rest.split_at(length);
        rest = behind;
        match first {
            '"' => tokens.push(Token::Text(piece.trim_matches('"').to_owned())),
            '0'..='9' => tokens.push(Token::Number(piece.to_owned())),
            _ if is_word(first) => tokens.push(Token::Name(piece.to_owned())),
            _ if first.is_whitespace() => {}
            _ => tokens.push(Token::Sign(first)),
        }
    }
    tokens
}

const fn is_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

/// Length of a string or character with its quotes.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            '\\' if !escaped => escaped = true,
            _ if letter == quote && !escaped => return at + 1,
            _ => escaped = false,
        }
    }
    text.len()
}
