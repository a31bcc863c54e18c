//! What a filter says, before anything is known of the collection's fields.

/// A part of a filter and where it stands in the text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// What it says.
    pub kind: Kind,
    /// First byte.
    pub start: usize,
    /// Byte behind the last.
    pub end: usize,
    /// Levels of parts below and including this one: bounds every later recursion.
    pub depth: usize,
}

/// What a [`Node`] says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// `true`.
    Bool(bool),
    /// `12`.
    Int(i64),
    /// `1.5`.
    Float(f64),
    /// `"text"`.
    Text(String),
    /// `iso "2025-01-01T00:00:00Z"`.
    Moment(String),
    /// `interval "P1D"`.
    Interval(String),
    /// `[1, 2]`.
    List(Vec<Node>),
    /// `{name}`.
    Template(String),
    /// `age`, `$meta["age"]`, `tags[0]`.
    Field(String, Vec<Step>),
    /// `$[sub]`, and `$` without a sub-field: the element at hand inside functions over struct arrays.
    Element(Option<String>),
    /// `s[sub]`, and `s[0][sub]` with a position: a sub-field of a struct array.
    Sub {
        /// The struct.
        of: String,
        /// Which element; none: all.
        at: Option<usize>,
        /// The sub-field.
        sub: String,
    },
    /// `-a`, `not a`.
    Unary(Sign, Box<Node>),
    /// `a + b`.
    Arith(ArithOp, Box<Node>, Box<Node>),
    /// `a < b`.
    Compare(CompareOp, Box<Node>, Box<Node>),
    /// `1 < a <= 5`: the three operands and the two operators between them.
    Range(Box<[Node; 3]>, [CompareOp; 2]),
    /// `a and b and c`; never fewer than two.
    And(Vec<Node>),
    /// `a or b or c`; never fewer than two.
    Or(Vec<Node>),
    /// `a in [1, 2]`.
    In {
        /// What is looked up.
        value: Box<Node>,
        /// Where.
        list: Box<Node>,
        /// For `not in`.
        negated: bool,
    },
    /// `a like "x%"`.
    Like(Box<Node>, Box<Node>),
    /// `a =~ "x.*"`.
    Regex {
        /// The text.
        value: Box<Node>,
        /// The regular expression.
        pattern: Box<Node>,
        /// For `!~`.
        negated: bool,
    },
    /// `a is null`.
    IsNull {
        /// The field or path.
        value: Box<Node>,
        /// For `is not null`.
        negated: bool,
    },
    /// `exists a["k"]`.
    Exists(Box<Node>),
    /// `name(a, b)`, the name in lower case.
    Call(String, Vec<Node>),
}

/// One step into a JSON value or an array.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// By name.
    Key(String),
    /// By position from 0.
    Index(usize),
}

/// A path as it is written behind a column.
pub(crate) fn path_text(path: &[Step]) -> String {
    path.iter()
        .map(|step| match step {
            Step::Key(key) => format!("[{key:?}]"),
            Step::Index(at) => format!("[{at}]"),
        })
        .collect()
}

/// An operator before its one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// `+`.
    Plus,
    /// `-`.
    Minus,
    /// `~`.
    Invert,
    /// `not`.
    Not,
}

/// An operator that makes a number of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ArithOp {
    /// `+`.
    Add,
    /// `-`.
    Sub,
    /// `*`.
    Mul,
    /// `/`; of two integers it is one, cut towards zero.
    Div,
    /// `%`, with the sign of the dividend.
    Mod,
    /// `**`.
    Pow,
    /// `&`.
    And,
    /// `|`.
    Or,
    /// `^`.
    Xor,
    /// `<<`.
    Shl,
    /// `>>`.
    Shr,
}

impl ArithOp {
    /// As it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "**",
            Self::And => "&",
            Self::Or => "|",
            Self::Xor => "^",
            Self::Shl => "<<",
            Self::Shr => ">>",
        }
    }

    /// Whether it works on the bits of integers only.
    pub fn is_bitwise(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Xor | Self::Shl | Self::Shr)
    }
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum CompareOp {
    /// `<`.
    Lt,
    /// `<=`.
    Le,
    /// `>`.
    Gt,
    /// `>=`.
    Ge,
    /// `==`.
    Eq,
    /// `!=`.
    Ne,
}

impl CompareOp {
    /// As it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::Eq => "==",
            Self::Ne => "!=",
        }
    }

    /// The operator that says the same with the sides exchanged.
    pub fn swapped(self) -> Self {
        match self {
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
            same => same,
        }
    }

    /// Whether two values in this order satisfy it; `None` is the order of a NaN.
    pub fn holds(self, order: Option<std::cmp::Ordering>) -> bool {
        let Some(order) = order else { return self == Self::Ne };
        match self {
            Self::Lt => order.is_lt(),
            Self::Le => order.is_le(),
            Self::Gt => order.is_gt(),
            Self::Ge => order.is_ge(),
            Self::Eq => order.is_eq(),
            Self::Ne => order.is_ne(),
        }
    }
}
