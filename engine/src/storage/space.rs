//! Room on the disks of a store. A log that meets a full disk cannot know what of its last group is stable, and
//! must then refuse all writes until it is opened anew; so writes are refused before, and go on by
//! themselves when there is room again.

use std::path::PathBuf;

use parking_lot::Mutex;

use crate::core::error::{Error, Result, Subject};
use crate::core::runtime::Stopwatch;

/// How long an answer of the operating system holds.
const HOLDS_MS: u128 = 100;
/// No more than this part of a disk is wanted free, or a small one could never be written.
const MOST_PART: u64 = 8;

/// Watches the free space of the local log and, where it is a folder, of the bucket.
#[derive(Debug, Default)]
pub struct Space {
    folders: Vec<PathBuf>,
    least_bytes: u64,
    newest: Mutex<Option<(Stopwatch, Option<Short>)>>,
}

/// A disk with too little room.
#[derive(Debug, Clone)]
struct Short {
    folder: PathBuf,
    free_bytes: u64,
    wanted_bytes: u64,
}

/// What the system tells of a disk.
#[derive(Debug, Clone, Copy)]
struct Room {
    free_bytes: u64,
    total_bytes: u64,
}

impl Room {
    /// How much of it is wanted free, where that is more than there is.
    fn lacks(self, least_bytes: u64) -> Option<u64> {
        let wanted = least_bytes.min(self.total_bytes / MOST_PART);
        (self.free_bytes < wanted).then_some(wanted)
    }
}

impl Space {
    /// Wants so many free bytes at each of these folders; 0: it does not look.
    pub fn new(folders: Vec<PathBuf>, least_bytes: u64) -> Self {
        Self { folders, least_bytes, newest: Mutex::default() }
    }

    /// Refuses while a disk has too little room.
    ///
    /// # Errors
    /// [`LimitExceeded`](crate::core::error::ErrorKind::LimitExceeded) of the store.
    pub fn check(&self) -> Result<()> {
        let Some(short) = self.short() else { return Ok(()) };
        Err(Error::limit(
            Subject::Store,
            format!(
                "disk quota exceeded: {} has {} bytes free, {} are wanted (setting \
                 log.min_free_bytes); reads go on, and writes when there is room again",
                short.folder.display(),
                short.free_bytes,
                short.wanted_bytes
            ),
        ))
    }

    fn short(&self) -> Option<Short> {
        if self.least_bytes == 0 {
            return None;
        }
        let mut newest = self.newest.lock();
        if let Some((since, short)) = &*newest
            && since.elapsed().as_millis() < HOLDS_MS
        {
            return short.clone();
        }
        let short = self.folders.iter().find_map(|folder| {
            let room = room(folder)?;
            let wanted_bytes = room.lacks(self.least_bytes)?;
            Some(Short { folder: folder.clone(), free_bytes: room.free_bytes, wanted_bytes })
        });
        *newest = Some((Stopwatch::start(), short.clone()));
        short
    }
}

/// Room on the disk that holds a folder; none where the system does not tell.
#[cfg(unix)]
fn room(folder: &std::path::Path) -> Option<Room> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(Room {
        free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
        total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
    })
}

#[cfg(not(unix))]
fn room(_folder: &std::path::Path) -> Option<Room> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::error::ErrorKind;

    #[test]
    fn a_disk_without_room_is_told() {
        let here = vec![std::env::temp_dir()];
        assert!(Space::new(here.clone(), 1).check().is_ok());
        assert!(Space::new(here.clone(), 0).check().is_ok());
        assert!(Space::default().check().is_ok());
        let short = Short { folder: here[0].clone(), free_bytes: 1, wanted_bytes: 2 };
        let space = Space::new(here, u64::MAX);
        *space.newest.lock() = Some((Stopwatch::start(), Some(short)));
        let error = space.check().unwrap_err();
        assert_eq!(error.kind, ErrorKind::LimitExceeded);
        assert!(error.message().contains("log.min_free_bytes"), "{error}");
    }

    #[test]
    fn a_small_disk_can_be_written() {
        const MB: u64 = 1 << 20;
        let room = |free_bytes, total_bytes| Room { free_bytes, total_bytes };
        assert_eq!(room(200 * MB, 400 * MB).lacks(256 * MB), None);
        assert_eq!(room(49 * MB, 400 * MB).lacks(256 * MB), Some(50 * MB));
        assert_eq!(room(200 * MB, 4_000 * MB).lacks(256 * MB), Some(256 * MB));
        assert_eq!(room(0, 400 * MB).lacks(0), None);
    }
}
