//! The operators between operands and how tightly they bind.

use super::ast::{ArithOp, CompareOp};

/// How tightly operators bind, loosest first. `not` binds tighter than a comparison, as in Milvus.
pub(super) mod power {
    pub const LOWEST: u8 = 0;
    pub const OR: u8 = 2;
    pub const AND: u8 = 3;
    pub const BIT_OR: u8 = 4;
    pub const BIT_XOR: u8 = 5;
    pub const BIT_AND: u8 = 6;
    pub const EQUALITY: u8 = 7;
    pub const RELATION: u8 = 8;
    pub const IN: u8 = 9;
    pub const SHIFT: u8 = 10;
    pub const SUM: u8 = 11;
    pub const PRODUCT: u8 = 12;
    pub const UNARY: u8 = 13;
    pub const POW: u8 = 14;
    pub const MATCH: u8 = 15;
    pub const PRIMARY: u8 = 16;
}

/// An operator between or behind operands.
#[derive(Clone, Copy)]
pub(super) enum Infix {
    Or,
    And,
    Arith(ArithOp),
    Compare(CompareOp),
    In { negated: bool },
    Like,
    Regex { negated: bool },
}

/// The operator that a mark stands for, and how tightly it binds.
pub(super) fn punct_infix(punct: &str) -> Option<(Infix, u8)> {
    use ArithOp as A;
    use CompareOp as C;
    Some(match punct {
        "||" => (Infix::Or, power::OR),
        "&&" => (Infix::And, power::AND),
        "|" => (Infix::Arith(A::Or), power::BIT_OR),
        "^" => (Infix::Arith(A::Xor), power::BIT_XOR),
        "&" => (Infix::Arith(A::And), power::BIT_AND),
        "==" | "=" => (Infix::Compare(C::Eq), power::EQUALITY),
        "!=" => (Infix::Compare(C::Ne), power::EQUALITY),
        "<" => (Infix::Compare(C::Lt), power::RELATION),
        "<=" => (Infix::Compare(C::Le), power::RELATION),
        ">" => (Infix::Compare(C::Gt), power::RELATION),
        ">=" => (Infix::Compare(C::Ge), power::RELATION),
        "<<" => (Infix::Arith(A::Shl), power::SHIFT),
        ">>" => (Infix::Arith(A::Shr), power::SHIFT),
        "+" => (Infix::Arith(A::Add), power::SUM),
        "-" => (Infix::Arith(A::Sub), power::SUM),
        "*" => (Infix::Arith(A::Mul), power::PRODUCT),
        "/" => (Infix::Arith(A::Div), power::PRODUCT),
        "%" => (Infix::Arith(A::Mod), power::PRODUCT),
        "**" => (Infix::Arith(A::Pow), power::POW),
        "=~" => (Infix::Regex { negated: false }, power::MATCH),
        "!~" => (Infix::Regex { negated: true }, power::MATCH),
        _ => return None,
    })
}

/// Whether two comparisons around one operand make a range.
pub(super) fn same_direction(a: CompareOp, b: CompareOp) -> bool {
    let up = |op| matches!(op, CompareOp::Lt | CompareOp::Le);
    let down = |op| matches!(op, CompareOp::Gt | CompareOp::Ge);
    (up(a) && up(b)) || (down(a) && down(b))
}
