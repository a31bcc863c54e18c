//! Text to tokens.

use super::fault::{Fault, Outcome};
use super::literal;

/// A piece of the text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    /// A name, or a keyword of the language: the parser tells them apart.
    Word(String),
    /// A whole number that fits, or the magnitude of the smallest 64-bit one.
    Int(u64),
    /// A number with a fraction or an exponent.
    Float(f64),
    /// Quoted text with its escapes resolved.
    Text(String),
    /// An operator or a bracket.
    Punct(&'static str),
    /// `$meta`.
    Meta,
    /// A `$` that is not `$meta`.
    Dollar,
    /// Behind the last character.
    End,
}

/// A token and the bytes it covers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lexeme {
    /// What it is.
    pub token: Token,
    /// First byte.
    pub start: usize,
    /// Byte behind the last.
    pub end: usize,
}

/// Operators, longest first so that `**` is not read as two `*`.
const PUNCTUATION: [&str; 32] = [
    "<<", ">>", "<=", ">=", "==", "!=", "=~", "!~", "&&", "||", "**", "<", ">", "=", "!", "+", "-",
    "*", "/", "%", "&", "|", "^", "~", "(", ")", "[", "]", "{", "}", ",", ";",
];

/// All tokens of a text, with [`Token::End`] at the end.
pub(crate) fn tokenize(text: &str) -> Outcome<Vec<Lexeme>> {
    let mut lexer = Lexer { text, at: 0 };
    let mut out = Vec::with_capacity(text.len() / 3 + 1);
    loop {
        lexer.skip_space();
        let start = lexer.at;
        let token = lexer.next_token()?;
        let last = token == Token::End;
        out.push(Lexeme { token, start, end: lexer.at });
        if last {
            return Ok(out);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    fn next_token(&mut self) -> Outcome<Token> {
        let rest = self.rest();
        let mut chars = rest.chars();
        let Some(first) = chars.next() else { return Ok(Token::End) };
        let second = chars.next();
        match first {
            '"' | '\'' => self.text_token(0, false),
            '0'..='9' => self.number(),
            '.' if second.is_some_and(|c| c.is_ascii_digit()) => self.number(),
            '$' => Ok(self.dollar()),
            c if is_name_start(c) => self.word(),
            _ => self.punctuation(first),
        }
    }

    fn punctuation(&mut self, first: char) -> Outcome<Token> {
        match PUNCTUATION.iter().find(|p| self.rest().starts_with(**p)) {
            Some(p) => {
                self.at += p.len();
                Ok(Token::Punct(p))
            }
            None => Err(Fault::at(self.at, format!("token recognition error at: '{first}'"))),
        }
    }

    fn dollar(&mut self) -> Token {
        let name = self.rest().strip_prefix("$meta");
        match name {
            Some(after) if !after.chars().next().is_some_and(is_name_part) => {
                self.at += "$meta".len();
                Token::Meta
            }
            _ => {
                self.at += 1;
                Token::Dollar
            }
        }
    }

    fn word(&mut self) -> Outcome<Token> {
        let rest = self.rest();
        let length = rest.find(|c| !is_name_part(c)).unwrap_or(rest.len());
        let word = &rest[..length];
        if rest[length..].starts_with(['"', '\'']) {
            match word {
                "r" | "R" => return self.text_token(length, true),
                "u8" | "u" | "U" | "L" => return self.text_token(length, false),
                _ => {}
            }
        }
        self.at += length;
        Ok(Token::Word(word.to_owned()))
    }

    /// Quoted text whose quote stands behind a prefix of that many bytes.
    fn text_token(&mut self, prefix: usize, raw: bool) -> Outcome<Token> {
        let start = self.at;
        let quoted = &self.rest()[prefix..];
        let Some(body) = literal::quoted_body(quoted) else {
            return Err(Fault::at(start, "the text has no closing quote on its line"));
        };
        self.at += prefix + body.len() + 2;
        if raw {
            return Ok(Token::Text(body.to_owned()));
        }
        literal::unescape(body).map(Token::Text).map_err(|why| Fault::at(start, why))
    }

    fn number(&mut self) -> Outcome<Token> {
        let start = self.at;
        let (token, length) = literal::number(self.rest()).map_err(|why| Fault::at(start, why))?;
        self.at += length;
        if self.rest().chars().next().is_some_and(is_name_part) {
            let near: String = self.text[start..].chars().take(length + 1).collect();
            return Err(Fault::at(start, format!("\"{near}\" is neither a number nor a name")));
        }
        Ok(token)
    }
}

/// Letters beyond ASCII are let in so that an unknown name gives "field … not exist".
fn is_name_start(c: char) -> bool {
    c == '_' || c.is_alphabetic()
}

fn is_name_part(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}
