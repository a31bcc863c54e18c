//! What the store must show: all writes with their timestamps, and the state that follows at any of them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use elanus_engine::core::key::Key;

use crate::rows::{Row, Test};

/// What is known of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Under way.
    Flying,
    /// Acknowledged: it is there.
    Acked,
    /// Never acknowledged: there or not, but whole, and for ever.
    Unknown,
    /// It is not there, and never will be.
    Gone,
}

/// What a write does.
#[derive(Debug, Clone)]
pub enum Change {
    Put {
        partition: u64,
        rows: Vec<(Key, Row)>,
    },
    /// Rows that keep the tags of older ones, of those partitions that were there when they were looked up.
    Merge {
        partition: u64,
        rows: Vec<(Key, Row)>,
        there: Rc<RefCell<BTreeSet<u64>>>,
    },
    Delete {
        keys: Vec<Key>,
        partitions: Option<Vec<u64>>,
    },
    DeleteWhere {
        test: Test,
        partitions: Option<Vec<u64>>,
    },
}

/// A write.
#[derive(Debug, Clone)]
pub struct Op {
    pub process: u64,
    pub task: u64,
    pub ts: Option<u64>,
    pub fate: Fate,
    pub change: Change,
    /// Newest timestamp that was acknowledged when it began.
    pub after: u64,
}

/// Live rows by key: the row, its timestamp, its partition.
pub type State = BTreeMap<Key, (Row, u64, u64)>;

/// One collection.
#[derive(Debug, Default, Clone)]
pub struct Collection {
    pub name: String,
    /// Rows that a clone began with.
    pub base: State,
    pub ops: Vec<Op>,
    /// Newest timestamp of an acknowledged write.
    pub acked: u64,
    /// Newest timestamp of a snapshot in this life.
    pub seen: u64,
    /// Partitions that are there for sure, by number.
    pub partitions: BTreeMap<u64, String>,
    /// Partitions that were seen to be gone.
    pub gone: BTreeSet<u64>,
    /// Partitions whose dropping has begun.
    pub dropping: BTreeSet<String>,
    /// Versions that are kept by name for sure, by name.
    pub named: BTreeMap<String, u64>,
    /// Names that versions were ever to be kept by.
    pub naming: BTreeSet<String>,
    /// Names whose dropping has begun.
    pub unnaming: BTreeSet<String>,
    /// Added fields that are there for sure.
    pub fields: BTreeSet<String>,
    /// Made by a process that had lost the store: it is there or not.
    pub unsure: bool,
    /// Whether its dropping has begun.
    pub drop_begun: bool,
}

impl Collection {
    /// Begins a write.
    pub fn begin(&mut self, (task, process): (u64, u64), change: Change) -> usize {
        let after = self.acked;
        self.ops.push(Op { process, task, ts: None, fate: Fate::Flying, change, after });
        self.ops.len() - 1
    }

    /// The write of a task has got its timestamp.
    pub fn stamp(&mut self, task: u64, ts: u64) -> bool {
        let flying = |op: &&mut Op| op.task == task && op.fate == Fate::Flying;
        let Some(op) = self.ops.iter_mut().find(flying) else { return false };
        assert!(
            ts > op.after,
            "a write has timestamp {ts}, one acknowledged before has {}",
            op.after
        );
        assert!(op.ts.is_none(), "a write was logged twice");
        op.ts = Some(ts);
        true
    }

    /// A write was acknowledged.
    pub fn ack(&mut self, at: usize, ts: u64) {
        let op = &mut self.ops[at];
        if op.ts.is_some() {
            assert_eq!(op.ts, Some(ts), "the timestamp that was acknowledged");
            self.acked = self.acked.max(ts);
        }
        op.fate = Fate::Acked;
    }

    /// A write failed: one that was not logged is not there.
    pub fn fail(&mut self, at: usize) {
        let op = &mut self.ops[at];
        if op.fate != Fate::Flying {
            // A later opening has decided it.
            return;
        }
        op.fate = if op.ts.is_some() { Fate::Unknown } else { Fate::Gone };
    }

    /// A process ended in the middle of things.
    pub fn crash(&mut self, process: u64) {
        for at in 0..self.ops.len() {
            if self.ops[at].fate == Fate::Flying && self.ops[at].process == process {
                self.fail(at);
            }
        }
    }

    /// The store shows everything up to a timestamp and nothing after it: what was unknown is decided.
    pub fn decide(&mut self, shown: u64) {
        for op in &mut self.ops {
            if op.fate != Fate::Gone {
                op.fate =
                    if op.ts.is_some_and(|ts| ts <= shown) { Fate::Acked } else { Fate::Gone };
            }
        }
        self.acked = self.acked.min(shown);
    }

    /// Whether a kept version may be on its way out.
    pub fn dropping(&self, name: &str) -> bool {
        self.unnaming.contains(name)
    }

    /// The rows after all writes up to and with a timestamp, in all partitions that ever were.
    pub fn state(&self, at: u64) -> State {
        let mut ops: Vec<(u64, &Change)> = self
            .ops
            .iter()
            .filter(|op| op.fate != Fate::Gone)
            .filter_map(|op| Some((op.ts?, &op.change)))
            .filter(|(ts, _)| *ts <= at)
            .collect();
        ops.sort_by_key(|(ts, _)| *ts);
        let mut state = self.base.clone();
        for (ts, change) in ops {
            apply(&mut state, ts, change);
        }
        state
    }
}

fn inside(partitions: &Option<Vec<u64>>, partition: u64) -> bool {
    partitions.as_ref().is_none_or(|p| p.contains(&partition))
}

fn apply(state: &mut State, ts: u64, change: &Change) {
    match change {
        Change::Put { partition, rows } => {
            for (key, row) in rows {
                state.insert(key.clone(), (row.clone(), ts, *partition));
            }
        }
        Change::Merge { partition, rows, there } => {
            for (key, row) in rows {
                let old = state.get(key).filter(|(.., p)| there.borrow().contains(p));
                let tag = old.and_then(|(old, ..)| old.tag.clone());
                state.insert(key.clone(), (Row { tag, ..row.clone() }, ts, *partition));
            }
        }
        Change::Delete { keys, partitions } => {
            state.retain(|key, (_, _, p)| !(keys.contains(key) && inside(partitions, *p)));
        }
        Change::DeleteWhere { test, partitions } => {
            state.retain(|_, (row, _, p)| !(test.holds(row) && inside(partitions, *p)));
        }
    }
}
