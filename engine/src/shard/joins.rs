//! Joined codes: the short lists of small segments in one, so that a search pays for rows and not for
//! segments. They are made in the background when a search meets segments that are worth it; until then, and
//! whenever they are not in memory, each segment is searched by its own codes. Segments that another codebook
//! coded are coded anew from their vectors, so that one order of lists serves all.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::ArrayRef;
use parking_lot::Mutex;

use super::snapshot::{Snapshot, UnitSource};
use crate::core::budget::Use;
use crate::core::error::{ErrorKind, Result};
use crate::core::runtime;
use crate::index::cluster::joined::{Part, Source};
use crate::index::cluster::{Codebook, Joined};
use crate::lsm::codebooks;
use crate::lsm::coding::{self, FieldBook};
use crate::lsm::manifest::Manifest;
use crate::segment::Segment;
use crate::segment::files::SegmentFiles;

/// Segments whose lists have more rows on average fill their blocks of codes well enough alone.
const SHORT_LIST: usize = 64;
/// Segments that came since are joined at once if they are this many …
const MANY: usize = 4;
/// … or hold this share of the rows joined: then a row is copied a bounded number of times.
const SHARE: usize = 4;

/// Bytes of a joined row beside its codes: five factors, its length, its number and its place.
const ROW_BYTES: usize = 32;

/// How long joining waits for memory; searches go on without.
const PATIENCE: Duration = Duration::from_secs(60);

/// The joined codes of a collection's fields.
#[derive(Debug)]
pub struct Joins {
    files: Arc<SegmentFiles>,
    folder: String,
    attempts: Mutex<HashMap<String, Attempt>>,
}

/// The newest attempt to join.
#[derive(Debug, Default)]
struct Attempt {
    running: bool,
    /// Codebook and segments.
    of: Option<(u64, Vec<u64>)>,
}

/// A segment as the decision sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Member {
    id: u64,
    rows: usize,
}

/// The segments to be joined, shortest first; none if that is not worth it. `most_rows` fit the memory.
fn members(mut segments: Vec<Member>, lists: usize, most_rows: usize) -> Vec<Member> {
    segments.retain(|s| s.rows < SHORT_LIST * lists);
    segments.sort_by_key(|s| (s.rows, s.id));
    let mut sum = 0;
    segments.retain(|s| {
        let fits = sum + s.rows <= most_rows;
        sum += if fits { s.rows } else { 0 };
        fits
    });
    let worth = segments.len() > 1 && !codebooks::is_flat(sum, lists);
    if worth { segments } else { Vec::new() }
}

/// Whether what was joined before is so far from that, that it should be joined anew.
fn is_due(members: &[Member], before: &[Member]) -> bool {
    let rows = |of: &[Member], without: &[Member]| {
        let left: Vec<usize> = of.iter().filter(|m| !without.contains(m)).map(|m| m.rows).collect();
        (left.len(), left.iter().sum::<usize>())
    };
    let all = rows(before, &[]).1;
    let (new, new_rows) = rows(members, before);
    let (_, gone_rows) = rows(before, members);
    !members.is_empty() && (new >= MANY || SHARE * new_rows > all || 2 * gone_rows > all)
}

impl Joins {
    /// Those of a collection.
    pub fn new(files: Arc<SegmentFiles>, collection_id: u64) -> Self {
        let folder = format!("{}/joined", Manifest::folder(collection_id));
        Self { files, folder, attempts: Mutex::default() }
    }

    fn get(&self, field: &str) -> Option<Arc<Joined>> {
        self.files.cache.get_joined(&(self.folder.clone(), field.to_string()))
    }

    fn put(&self, field: &str, joined: Arc<Joined>) {
        self.files.cache.put_joined((self.folder.clone(), field.to_string()), joined);
    }

    /// Forgets what is mostly of segments that a manifest does not name.
    pub fn retain(&self, manifest: &Manifest) {
        let fields: Vec<String> = self.attempts.lock().keys().cloned().collect();
        for field in fields {
            let Some(joined) = self.get(&field) else { continue };
            let named = |m: &&Member| manifest.segments.iter().any(|s| s.id == m.id);
            let rows = |members: &mut dyn Iterator<Item = &Member>| members.map(|m| m.rows).sum();
            let members = joined_members(&joined);
            let (all, here): (usize, usize) =
                (rows(&mut members.iter()), rows(&mut members.iter().filter(named)));
            if 2 * here < all {
                self.files.cache.remove(&(self.folder.clone(), field));
            }
        }
    }

    /// Whether nobody is at it and it was not tried before.
    fn may_start(&self, field: &str, of: (u64, Vec<u64>)) -> bool {
        let mut attempts = self.attempts.lock();
        let attempt = attempts.entry(field.to_string()).or_default();
        if attempt.running || attempt.of.as_ref() == Some(&of) {
            return false;
        }
        (attempt.running, attempt.of) = (true, Some(of));
        true
    }

    fn ended(&self, field: &str, again: bool) {
        let mut attempts = self.attempts.lock();
        let attempt = attempts.entry(field.to_string()).or_default();
        attempt.running = false;
        if again {
            attempt.of = None;
        }
    }
}

impl Drop for Joins {
    fn drop(&mut self) {
        self.files.cache.remove_folder(&self.folder);
    }
}

/// Joined codes with what a snapshot's units are in them.
#[derive(Debug, Clone)]
pub(super) struct InUse {
    pub joined: Arc<Joined>,
    /// Unit of the snapshot of each joined unit; none: the snapshot does not have it.
    pub units: Vec<Option<u32>>,
}

impl InUse {
    /// Place of a unit of the snapshot among the joined ones.
    pub fn find(&self, unit: usize) -> Option<usize> {
        self.units.iter().position(|u| *u == Some(unit as u32))
    }
}

impl Snapshot {
    /// The joined codes of a field if they serve a search over those units; starts to make them where they are
    /// missing or have been outgrown.
    pub(super) async fn joined(&self, field: &str, kept: &[usize]) -> Option<InUse> {
        let meta = self.inner.manifest.codebook(field)?;
        let mut segments = Vec::new();
        for (at, unit) in self.inner.units.iter().enumerate() {
            if let UnitSource::Segment(segment) = &unit.source
                && segment.codes_file(field).is_some()
            {
                segments.push((at, segment));
            }
        }
        if segments.len() < 2 {
            return None;
        }
        let joined = self.inner.joins.get(field);
        let book = self.inner.codebooks.get(meta).await.ok()?;
        let all: Vec<Member> = segments
            .iter()
            .map(|(_, s)| Member { id: s.identity.id, rows: s.identity.rows })
            .collect();
        let members = members(all, book.lists(), self.most_joined_rows(&book));
        let before: Vec<Member> = joined.iter().flat_map(|j| joined_members(j)).collect();
        if is_due(&members, &before) {
            let members = members
                .iter()
                .filter_map(|m| segments.iter().find(|(_, s)| s.identity.id == m.id))
                .map(|(_, segment)| (*segment).clone());
            self.start(field, book, members.collect(), joined.clone());
        }
        let joined = joined?;
        let units: Vec<Option<u32>> = joined
            .units
            .iter()
            .map(|id| segments.iter().find(|(_, s)| s.identity.id == *id).map(|(at, _)| *at as u32))
            .collect();
        // Most of it must be of use: what is not searched costs nearly as much as what is.
        let here = |unit: &Option<u32>| unit.is_some_and(|u| kept.contains(&(u as usize)));
        let used = before.iter().zip(&units).filter(|(_, unit)| here(unit));
        let used: usize = used.map(|(m, _)| m.rows).sum();
        let all: usize = before.iter().map(|m| m.rows).sum();
        (2 * used >= all).then_some(InUse { joined, units })
    }

    /// Rows whose joined codes fit the memory for columns and codes, and the making of them that for builds.
    fn most_joined_rows(&self, book: &Codebook) -> usize {
        let files = &self.inner.joins.files;
        let build = files.budget.share_bytes(Use::Builds) / build_bytes(book);
        build.min(files.cache.room_bytes() / row_bytes(book))
    }

    fn start(
        &self,
        field: &str,
        book: Arc<Codebook>,
        members: Vec<Arc<Segment>>,
        before: Option<Arc<Joined>>,
    ) {
        let Ok(schema) = self.schema().field(field).cloned() else { return };
        let of = (book.version, members.iter().map(|s| s.identity.id).collect());
        let joins = self.inner.joins.clone();
        if !joins.may_start(field, of) {
            return;
        }
        let work = Work {
            field: FieldBook { field: schema, book, fresh: false },
            snapshot: self.clone(),
            before,
        };
        runtime::spawn(async move {
            let name = work.field.field.name.clone();
            let made = work.join(&members).await;
            let mut again = false;
            match made {
                Ok(Some(joined)) => {
                    joins.put(&name, Arc::new(joined));
                    let files = members.iter().filter_map(|s| Some((s, s.codes_file(&name)?)));
                    files.for_each(|(segment, file)| segment.drop_codes(file));
                }
                Ok(None) => {}
                Err(e) => {
                    again = e.kind == ErrorKind::Busy;
                    tracing::warn!("the codes of {name} were not joined: {e}");
                }
            }
            joins.ended(&name, again);
        });
    }
}

/// Bytes of a joined row.
fn row_bytes(book: &Codebook) -> usize {
    book.width + book.fine.coder.nibbles() / 2 + ROW_BYTES
}

/// Bytes that joining takes for a row: its vector, its codes as they were and as they become.
fn build_bytes(book: &Codebook) -> usize {
    4 * book.dim + 2 * row_bytes(book)
}

fn joined_members(joined: &Joined) -> Vec<Member> {
    let member = |(at, id): (usize, &u64)| Member { id: *id, rows: joined.unit_rows(at) };
    joined.units.iter().enumerate().map(member).collect()
}

/// What is needed to join.
struct Work {
    field: FieldBook,
    snapshot: Snapshot,
    before: Option<Arc<Joined>>,
}

/// A segment with its vectors, and its codes if they are under the codebook.
struct Input {
    id: u64,
    rows: usize,
    vectors: Vec<ArrayRef>,
    source: Option<Source>,
}

impl Work {
    async fn join(&self, members: &[Arc<Segment>]) -> Result<Option<Joined>> {
        let rows: usize = members.iter().map(|s| s.identity.rows).sum();
        let bytes = rows * build_bytes(&self.field.book);
        let _memory = self.snapshot.inner.files.reserve(Use::Builds, bytes, PATIENCE).await?;
        let mut inputs = Vec::with_capacity(members.len());
        for segment in members {
            let rows = segment.identity.rows;
            if !segment.can_keep(&self.field.field.name, rows * self.field.book.dim * 4) {
                continue;
            }
            let Some(source) = self.source(segment).await else { continue };
            let columns = &self.snapshot.inner.columns;
            let vectors = segment.column_parts(columns, &self.field.field.name).await?.to_vec();
            inputs.push(Input { id: segment.identity.id, rows, vectors, source });
        }
        let field = self.field.clone();
        self.snapshot.inner.pools.maintenance(move || join(&field, inputs)).await
    }

    /// Codes that a segment has already, if they are under the codebook. None if it has to be searched without
    /// codes.
    async fn source(&self, segment: &Segment) -> Option<Option<Source>> {
        let book = &self.field.book;
        if let Some(before) = self.before.as_ref().filter(|b| b.book.version == book.version)
            && let Some(at) = before.units.iter().position(|id| *id == segment.identity.id)
        {
            return Some(Some(Source::Joined(before.clone(), at)));
        }
        let (its, codes) = self.snapshot.segment_codes(segment, &self.field.field.name).await?;
        Some((its.version == book.version && !codes.is_flat()).then_some(Source::Own(codes)))
    }
}

fn join(field: &FieldBook, inputs: Vec<Input>) -> Result<Option<Joined>> {
    let (mut parts, mut vectors) = (Vec::with_capacity(inputs.len()), Vec::new());
    for input in inputs {
        let source = match input.source {
            Some(source) => source,
            None => match coding::code_apart(field, &input.vectors, false)? {
                Some(codes) => Source::Own(Arc::new(codes)),
                None => continue,
            },
        };
        vectors.extend(input.vectors);
        parts.push(Part { unit: input.id, rows: input.rows, source });
    }
    if parts.len() < 2 {
        return Ok(None);
    }
    let coverage = coding::measure(field, &vectors, parts.iter().map(|p| p.rows).sum())?;
    Ok(Joined::new(field.book.clone(), &parts, coverage))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[usize]) -> Vec<Member> {
        rows.iter().enumerate().map(|(id, rows)| Member { id: id as u64, rows: *rows }).collect()
    }

    #[test]
    fn short_lists_are_joined_as_far_as_they_fit() {
        assert_eq!(members(of(&[900, 5_000, 100_000]), 100, 1 << 20), of(&[900, 5_000]));
        assert_eq!(members(of(&[900, 5_000]), 100, 5_000), []);
        assert_eq!(members(of(&[900]), 100, 1 << 20), []);
        assert_eq!(members(of(&[100, 200]), 100, 1 << 20), []);
        assert_eq!(members(of(&[900, 1_000, 5_000]), 100, 2_000), of(&[900, 1_000]));
    }

    #[test]
    fn rows_are_joined_anew_when_enough_have_come_or_gone() {
        let ten = of(&[1_000; 10]);
        assert!(is_due(&ten, &[]) && !is_due(&ten, &ten) && !is_due(&[], &ten));
        assert!(!is_due(&of(&[1_000; 12]), &ten));
        assert!(is_due(&of(&[1_000; 13]), &ten));
        assert!(is_due(&ten[..4], &ten) && !is_due(&ten[..6], &ten));
        let mut small = of(&[1_000; 10]);
        small.extend((10..14).map(|id| Member { id, rows: 10 }));
        assert!(is_due(&small, &ten));
    }
}
