use crate::common::ObjectType;

/// What a request wants to touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Objects<'a> {
    /// Nothing by name.
    Any,
    /// One thing.
    One(&'a str),
    /// Several things, all of which must be allowed.
    All(Vec<&'a str>),
}

impl<'a> Objects<'a> {
    /// One thing, or nothing by name where the name is empty.
    pub fn of(name: &'a str) -> Self {
        if name.is_empty() { Self::Any } else { Self::One(name) }
    }
}

/// The privilege that a request needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard<'a> {
    /// Kind of the object.
    pub kind: ObjectType,
    /// Name of the privilege, as in `PrivilegeInsert`.
    pub privilege: &'static str,
    /// What is to be touched.
    pub objects: Objects<'a>,
}

/// A request that may need a privilege.
pub trait Guarded: 'static {
    /// The privilege; none where any user may call.
    fn guard(&self) -> Option<Guard<'_>> {
        None
    }
}

include!(concat!(env!("OUT_DIR"), "/guards.rs"));
