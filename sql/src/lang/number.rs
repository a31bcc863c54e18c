//! Numbers that may be whole or not, compared and calculated without losing digits.

use std::cmp::Ordering;

use super::ast::ArithOp;

/// A number. Whole ones are wider than 64 bits so that unsigned JSON numbers compare exactly;
/// results of calculations must fit in 64 bits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    /// Whole.
    Int(i128),
    /// With a fraction, or too large to be whole.
    Float(f64),
}

/// Why a calculation has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoResult {
    /// More than 64 bits.
    Overflow,
    /// Division by zero.
    Zero,
    /// An operator of integers was given a fraction.
    Fraction,
}

impl NoResult {
    /// What to tell the user.
    pub fn message(self) -> &'static str {
        match self {
            Self::Overflow => "the result does not fit in a 64-bit integer",
            Self::Zero => "division or modulus by zero",
            Self::Fraction => "the operator works on integers only",
        }
    }
}

impl Number {
    /// Reads a JSON number. `None` when the text is not one.
    pub fn from_json(text: &str) -> Option<Self> {
        if text.bytes().all(|b| b.is_ascii_digit() || b == b'-')
            && let Ok(value) = text.parse::<i128>()
        {
            return Some(Self::Int(value));
        }
        text.parse::<f64>().ok().filter(|v| v.is_finite()).map(Self::Float)
    }

    /// The nearest float.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Int(v) => v as f64,
            Self::Float(v) => v,
        }
    }

    /// The whole number of the same value, if there is one.
    pub fn as_whole(self) -> Option<i128> {
        match self {
            Self::Int(v) => Some(v),
            // Beyond 2^100 nothing that a user stored as an integer can be meant.
            Self::Float(v) if v.fract() == 0.0 && v.abs() < 1e30 => Some(v as i128),
            Self::Float(_) => None,
        }
    }

    /// The order by value; `None` when one is NaN.
    pub fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(&b)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(&b),
            (Self::Int(a), Self::Float(b)) => compare_mixed(a, b),
            (Self::Float(a), Self::Int(b)) => compare_mixed(b, a).map(Ordering::reverse),
        }
    }

    /// `self op other`; integers stay integers except for a power with a negative exponent.
    pub fn calculate(self, op: ArithOp, other: Self) -> Result<Self, NoResult> {
        if let (Self::Int(a), Self::Int(b)) = (self, other) {
            let narrow = |v: i128| i64::try_from(v).map_err(|_| NoResult::Overflow);
            let (a, b) = (narrow(a)?, narrow(b)?);
            if op == ArithOp::Pow && b < 0 {
                return Ok(Self::Float((a as f64).powf(b as f64)));
            }
            return int_op(op)(a, b).map(|v| Self::Int(v.into()));
        }
        float_op(op)(self.as_f64(), other.as_f64()).map(Self::Float)
    }

    /// `-self`.
    pub fn negate(self) -> Result<Self, NoResult> {
        match self {
            Self::Int(v) => v
                .checked_neg()
                .and_then(|v| i64::try_from(v).ok())
                .map(|v| Self::Int(v.into()))
                .ok_or(NoResult::Overflow),
            Self::Float(v) => Ok(Self::Float(-v)),
        }
    }

    /// `~self`.
    pub fn invert(self) -> Result<Self, NoResult> {
        match self {
            Self::Int(v) => Ok(Self::Int(!v)),
            Self::Float(_) => Err(NoResult::Fraction),
        }
    }
}

/// Compares without rounding the integer to a float.
fn compare_mixed(a: i128, b: f64) -> Option<Ordering> {
    if b.is_nan() {
        return None;
    }
    // 2^127 as a float is exact, so outside of it the sign of `b` decides.
    let limit = 2f64.powi(127);
    if b >= limit {
        return Some(Ordering::Less);
    }
    if b < -limit {
        return Some(Ordering::Greater);
    }
    let whole = b.trunc();
    Some(a.cmp(&(whole as i128)).then_with(|| 0.0f64.total_cmp(&(b - whole + 0.0))))
}

/// How an operator works on integers.
pub(crate) type IntOp = fn(i64, i64) -> Result<i64, NoResult>;
/// How an operator works on floats.
pub(crate) type FloatOp = fn(f64, f64) -> Result<f64, NoResult>;

/// The operator on 64-bit integers, checked.
pub(crate) fn int_op(op: ArithOp) -> IntOp {
    const TOO_LARGE: NoResult = NoResult::Overflow;
    match op {
        ArithOp::Add => |a, b| a.checked_add(b).ok_or(TOO_LARGE),
        ArithOp::Sub => |a, b| a.checked_sub(b).ok_or(TOO_LARGE),
        ArithOp::Mul => |a, b| a.checked_mul(b).ok_or(TOO_LARGE),
        ArithOp::Div => |a, b| match b {
            0 => Err(NoResult::Zero),
            _ => a.checked_div(b).ok_or(TOO_LARGE),
        },
        ArithOp::Mod => |a, b| match b {
            0 => Err(NoResult::Zero),
            // The smallest integer by -1 leaves nothing, though the quotient does not fit.
            _ => Ok(a.wrapping_rem(b)),
        },
        ArithOp::Pow => {
            |a, b| u32::try_from(b).ok().and_then(|b| a.checked_pow(b)).ok_or(TOO_LARGE)
        }
        ArithOp::And => |a, b| Ok(a & b),
        ArithOp::Or => |a, b| Ok(a | b),
        ArithOp::Xor => |a, b| Ok(a ^ b),
        ArithOp::Shl => |a, b| match u32::try_from(b).ok().and_then(|b| a.checked_shl(b)) {
            Some(shifted) if shifted >> b == a => Ok(shifted),
            _ => Err(TOO_LARGE),
        },
        ArithOp::Shr => |a, b| match u32::try_from(b) {
            Ok(b) => Ok(a >> b.min(63)),
            Err(_) => Err(TOO_LARGE),
        },
    }
}

/// The operator on floats.
pub(crate) fn float_op(op: ArithOp) -> FloatOp {
    match op {
        ArithOp::Add => |a, b| Ok(a + b),
        ArithOp::Sub => |a, b| Ok(a - b),
        ArithOp::Mul => |a, b| Ok(a * b),
        ArithOp::Div => |a, b| if b == 0.0 { Err(NoResult::Zero) } else { Ok(a / b) },
        ArithOp::Mod => |a, b| if b == 0.0 { Err(NoResult::Zero) } else { Ok(a % b) },
        ArithOp::Pow => |a, b| Ok(a.powf(b)),
        ArithOp::And | ArithOp::Or | ArithOp::Xor | ArithOp::Shl | ArithOp::Shr => {
            |_, _| Err(NoResult::Fraction)
        }
    }
}
