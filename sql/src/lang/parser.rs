//! Tokens to tree: precedence climbing with Milvus's order of operators.

use super::ast::{CompareOp, Kind, Node, Sign, Step};
use super::fault::{Fault, Outcome};
use super::lexer::{Lexeme, Token, tokenize};
use super::operators::{Infix, power, punct_infix, same_direction};

/// Most levels of nesting. Keeps the recursion here and in the planner off the stack's end.
pub(crate) const MAX_DEPTH: usize = 200;
/// For how many levels `and`, `or`, `not` and the like count: the planner recurses into them
/// with frames so large that some eighty levels fill a stack of 2 MiB in a debug build.
pub(crate) const LOGIC_DEPTH: usize = 4;

/// Reads a filter.
pub(crate) fn parse(text: &str) -> Outcome<Node> {
    let lexemes = tokenize(text)?;
    let mut parser = Parser { text, lexemes, at: 0, nesting: 0 };
    let node = parser.expression(power::LOWEST)?;
    match parser.peek() {
        Token::End => Ok(node),
        _ => Err(parser.unexpected("an operator or the end")),
    }
}

struct Parser<'a> {
    text: &'a str,
    lexemes: Vec<Lexeme>,
    at: usize,
    nesting: usize,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        self.lexemes.get(self.at).map_or(&Token::End, |l| &l.token)
    }

    fn peek_second(&self) -> &Token {
        self.lexemes.get(self.at + 1).map_or(&Token::End, |l| &l.token)
    }

    fn start(&self) -> usize {
        self.lexemes.get(self.at).map_or(self.text.len(), |l| l.start)
    }

    /// Where the token before this one ended.
    fn end(&self) -> usize {
        self.at.checked_sub(1).and_then(|i| self.lexemes.get(i)).map_or(0, |l| l.end)
    }

    fn is_punct(&self, punct: &str) -> bool {
        matches!(self.peek(), Token::Punct(p) if *p == punct)
    }

    fn eat(&mut self, punct: &str) -> bool {
        let found = self.is_punct(punct);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, punct: &str) -> Outcome<()> {
        if self.eat(punct) { Ok(()) } else { Err(self.unexpected(&format!("'{punct}'"))) }
    }

    fn unexpected(&self, wanted: &str) -> Fault {
        let found = match self.lexemes.get(self.at) {
            Some(l) if l.token != Token::End => {
                format!("'{}'", self.text.get(l.start..l.end).unwrap_or(""))
            }
            _ => "the end".to_owned(),
        };
        Fault::at(self.start(), format!("unexpected {found}: expecting {wanted}"))
    }

    /// Makes a node over the text from `start` to here, or refuses when it is too deep.
    fn node(&self, start: usize, below: usize, kind: Kind) -> Outcome<Node> {
        let depth = below + levels(&kind);
        if depth > MAX_DEPTH {
            return Err(too_deep(start));
        }
        Ok(Node { kind, start, end: self.end(), depth })
    }

    fn expression(&mut self, least: u8) -> Outcome<Node> {
        if self.nesting >= MAX_DEPTH {
            return Err(too_deep(self.start()));
        }
        self.nesting += 1;
        let mut left = self.prefix()?;
        while let Some((infix, strength, tokens)) = self.infix() {
            if strength < least {
                break;
            }
            self.at += tokens;
            left = self.infix_tail(left, infix, strength)?;
        }
        self.nesting -= 1;
        Ok(left)
    }

    /// The operator at hand, how tightly it binds, and of how many tokens it is.
    fn infix(&self) -> Option<(Infix, u8, usize)> {
        let found = match self.peek() {
            Token::Word(word) => match word.as_str() {
                "or" | "OR" => (Infix::Or, power::OR, 1),
                "and" | "AND" => (Infix::And, power::AND, 1),
                "in" | "IN" => (Infix::In { negated: false }, power::IN, 1),
                "like" | "LIKE" => (Infix::Like, power::MATCH, 1),
                "not" | "NOT" if is_in(self.peek_second()) => {
                    (Infix::In { negated: true }, power::IN, 2)
                }
                _ => return None,
            },
            Token::Punct("!") if is_in(self.peek_second()) => {
                (Infix::In { negated: true }, power::IN, 2)
            }
            Token::Punct(punct) => {
                let (infix, strength) = punct_infix(punct)?;
                (infix, strength, 1)
            }
            _ => return None,
        };
        Some(found)
    }

    fn infix_tail(&mut self, left: Node, infix: Infix, strength: u8) -> Outcome<Node> {
        let start = left.start;
        if let Infix::In { negated } = infix {
            let list = self.list()?;
            let below = left.depth.max(list.depth);
            let kind = Kind::In { value: Box::new(left), list: Box::new(list), negated };
            return self.node(start, below, kind);
        }
        let right = self.expression(strength + 1)?;
        let below = left.depth.max(right.depth);
        let kind = match infix {
            Infix::Or => return self.join(left, right, true),
            Infix::And => return self.join(left, right, false),
            Infix::Arith(op) => Kind::Arith(op, left.into(), right.into()),
            Infix::Compare(op) => return self.comparison(left, op, right),
            Infix::Regex { negated } => {
                Kind::Regex { value: left.into(), pattern: right.into(), negated }
            }
            Infix::Like | Infix::In { .. } => Kind::Like(left.into(), right.into()),
        };
        self.node(start, below, kind)
    }

    /// A comparison, or a range when a second one in the same direction follows.
    fn comparison(&mut self, left: Node, op: CompareOp, right: Node) -> Outcome<Node> {
        let start = left.start;
        let below = left.depth.max(right.depth);
        if let Some((Infix::Compare(next), power::RELATION, _)) = self.infix()
            && same_direction(op, next)
        {
            self.at += 1;
            let third = self.expression(power::RELATION + 1)?;
            let below = below.max(third.depth);
            let kind = Kind::Range(Box::new([left, right, third]), [op, next]);
            return self.node(start, below, kind);
        }
        self.node(start, below, Kind::Compare(op, left.into(), right.into()))
    }

    /// Joins by `and` or `or`. A long chain becomes one flat node, not a deep one.
    fn join(&self, left: Node, right: Node, or: bool) -> Outcome<Node> {
        let start = left.start;
        // Both are associative, so chains in parentheses become part of this one.
        let parts_of = |node: Node| match (node.kind, or) {
            (Kind::Or(parts), true) | (Kind::And(parts), false) => {
                (parts, node.depth - LOGIC_DEPTH)
            }
            (kind, _) => (vec![Node { kind, ..node }], node.depth),
        };
        let ((mut parts, left_below), (more, right_below)) = (parts_of(left), parts_of(right));
        parts.extend(more);
        let kind = if or { Kind::Or(parts) } else { Kind::And(parts) };
        self.node(start, left_below.max(right_below), kind)
    }

    fn prefix(&mut self) -> Outcome<Node> {
        let start = self.start();
        let sign = match self.peek() {
            Token::Punct("-") => Sign::Minus,
            Token::Punct("+") => Sign::Plus,
            Token::Punct("~") => Sign::Invert,
            Token::Punct("!") => Sign::Not,
            Token::Word(w) if w == "not" || w == "NOT" => Sign::Not,
            Token::Word(w) if w == "exists" || w == "EXISTS" => {
                self.at += 1;
                let value = self.expression(power::PRIMARY)?;
                let below = value.depth;
                return self.node(start, below, Kind::Exists(value.into()));
            }
            _ => return self.primary(),
        };
        self.at += 1;
        if sign == Sign::Minus && *self.peek() == Token::Int(i64::MIN.unsigned_abs()) {
            self.at += 1;
            return self.node(start, 0, Kind::Int(i64::MIN));
        }
        let value = self.expression(power::UNARY)?;
        let below = value.depth;
        self.node(start, below, Kind::Unary(sign, value.into()))
    }

    /// A value, a field, a call or anything in brackets, with a null test behind it.
    fn primary(&mut self) -> Outcome<Node> {
        let start = self.start();
        let node = self.bare_primary()?;
        let Some((negated, tokens)) = self.null_test() else { return Ok(node) };
        self.at += tokens;
        let below = node.depth;
        self.node(start, below, Kind::IsNull { value: node.into(), negated })
    }

    /// `is null` or `is not null`, and of how many tokens it is.
    fn null_test(&self) -> Option<(bool, usize)> {
        let word = |offset: usize| match self.lexemes.get(self.at + offset).map(|l| &l.token) {
            Some(Token::Word(w)) => w.as_str(),
            _ => "",
        };
        if !matches!(word(0), "is" | "IS") {
            return None;
        }
        match (word(1), word(2)) {
            ("null" | "NULL", _) => Some((false, 2)),
            ("not" | "NOT", "null" | "NULL") => Some((true, 3)),
            _ => None,
        }
    }

    fn bare_primary(&mut self) -> Outcome<Node> {
        let start = self.start();
        let token = self.peek().clone();
        let kind = match token {
            Token::Int(value) => Kind::Int(i64::try_from(value).map_err(|_| {
                Fault::at(start, format!("{value} does not fit in a 64-bit integer"))
            })?),
            Token::Float(value) => Kind::Float(value),
            Token::Text(text) => Kind::Text(text),
            Token::Meta => {
                self.at += 1;
                return self.path(start, "$meta".to_owned());
            }
            Token::Dollar => return self.element(start),
            Token::Word(word) => return self.word(start, word),
            Token::Punct("(") => return self.parentheses(),
            Token::Punct("[") => return self.list(),
            Token::Punct("{") => return self.template(start),
            Token::Punct(_) | Token::End => {
                return Err(self.unexpected("a value, a field or '('"));
            }
        };
        self.at += 1;
        self.node(start, 0, kind)
    }

    fn parentheses(&mut self) -> Outcome<Node> {
        let start = self.start();
        self.at += 1;
        let inner = self.expression(power::LOWEST)?;
        self.expect(")")?;
        Ok(Node { start, end: self.end(), ..inner })
    }

    fn template(&mut self, start: usize) -> Outcome<Node> {
        self.at += 1;
        let Token::Word(name) = self.peek().clone() else {
            return Err(self.unexpected("the name of a template value"));
        };
        self.at += 1;
        self.expect("}")?;
        self.node(start, 0, Kind::Template(name))
    }

    /// `$` or `$[sub]`.
    fn element(&mut self, start: usize) -> Outcome<Node> {
        self.at += 1;
        let mut sub = None;
        if self.eat("[") {
            let Token::Word(name) = self.peek().clone() else {
                return Err(self.unexpected("the name of a sub-field"));
            };
            sub = Some(name);
            self.at += 1;
            self.expect("]")?;
        }
        self.node(start, 0, Kind::Element(sub))
    }

    fn word(&mut self, start: usize, word: String) -> Outcome<Node> {
        let constant = match word.as_str() {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            "and" | "AND" | "or" | "OR" | "in" | "IN" | "like" | "LIKE" => {
                return Err(self.unexpected("a value, a field or '('"));
            }
            _ => None,
        };
        self.at += 1;
        if let Some(value) = constant {
            return self.node(start, 0, Kind::Bool(value));
        }
        if let Token::Text(text) = self.peek().clone()
            && let Some(kind) = time(&word, text)
        {
            self.at += 1;
            return self.node(start, 0, kind);
        }
        if self.is_punct("(") {
            return self.call(start, word.to_ascii_lowercase());
        }
        self.path(start, word)
    }

    fn call(&mut self, start: usize, name: String) -> Outcome<Node> {
        self.at += 1;
        let args = self.items(")")?;
        let below = args.iter().map(|a| a.depth).max().unwrap_or(0);
        self.node(start, below, Kind::Call(name, args))
    }

    /// The steps behind a field's name.
    fn path(&mut self, start: usize, name: String) -> Outcome<Node> {
        let mut steps = Vec::new();
        while self.eat("[") {
            let step = match self.peek().clone() {
                Token::Text(key) if key.is_empty() => {
                    return Err(Fault::at(self.start(), "a key of a path cannot be empty"));
                }
                Token::Text(key) => Step::Key(key),
                Token::Int(at) => Step::Index(usize::try_from(at).unwrap_or(usize::MAX)),
                Token::Word(sub) => return self.sub_field(start, name, &steps, sub),
                _ => return Err(self.unexpected("a quoted key or a position")),
            };
            steps.push(step);
            self.at += 1;
            self.expect("]")?;
        }
        self.node(start, 0, Kind::Field(name, steps))
    }

    /// `[sub]` behind a struct's name or the position of an element.
    fn sub_field(
        &mut self,
        start: usize,
        of: String,
        steps: &[Step],
        sub: String,
    ) -> Outcome<Node> {
        let at = match steps {
            [] => None,
            [Step::Index(at)] => Some(*at),
            _ => return Err(Fault::at(self.start(), unquoted_key(&sub))),
        };
        self.at += 1;
        self.expect("]")?;
        if self.is_punct("[") {
            return Err(Fault::at(
                self.start(),
                format!(
                    "invalid expression: nothing follows a sub-field; one element's is \
                     {of}[0][{sub}]"
                ),
            ));
        }
        self.node(start, 0, Kind::Sub { of, at, sub })
    }

    /// What may stand behind `in`: a list in either kind of brackets, or a template value.
    fn list(&mut self) -> Outcome<Node> {
        let start = self.start();
        let close = match self.peek() {
            Token::Punct("[") => "]",
            Token::Punct("(") => ")",
            _ => return self.expression(power::IN + 1),
        };
        self.at += 1;
        let mut items = self.items(close)?;
        if let [Node { kind: Kind::List(_) | Kind::Template(_), .. }] = items.as_slice()
            && close == ")"
        {
            return Ok(items.swap_remove(0));
        }
        let below = items.iter().map(|i| i.depth).max().unwrap_or(0);
        self.node(start, below, Kind::List(items))
    }

    /// Expressions between commas up to a closing bracket; one comma too many is let pass.
    fn items(&mut self, close: &str) -> Outcome<Vec<Node>> {
        let mut items = Vec::new();
        while !self.eat(close) {
            items.push(self.expression(power::LOWEST)?);
            if !self.eat(",") {
                self.expect(close)?;
                break;
            }
        }
        Ok(items)
    }
}

/// The fault of a key that is no text.
pub(super) fn unquoted_key(key: &str) -> String {
    format!("json key must be enclosed in double quotes or single quotes: \"{key}\"")
}

/// A moment or an interval.
fn time(word: &str, text: String) -> Option<Kind> {
    match word {
        "iso" | "ISO" => Some(Kind::Moment(text)),
        "interval" | "INTERVAL" => Some(Kind::Interval(text)),
        _ => None,
    }
}

/// For how many levels a part counts above those in it.
fn levels(kind: &Kind) -> usize {
    match kind {
        Kind::And(_) | Kind::Or(_) | Kind::Compare(..) | Kind::Range(..) => LOGIC_DEPTH,
        Kind::Unary(Sign::Not, _) | Kind::In { .. } => LOGIC_DEPTH,
        _ => 1,
    }
}

fn too_deep(position: usize) -> Fault {
    Fault::at(position, format!("the expression is nested deeper than {MAX_DEPTH} levels"))
}

fn is_in(token: &Token) -> bool {
    matches!(token, Token::Word(w) if w == "in" || w == "IN")
}
