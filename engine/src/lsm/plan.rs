//! Which segments to merge: a pure function of the manifest, the settings and the clock.
//!
//! Size-tiered: a tier holds segments within a factor of `fan_in` in size; `fan_in` neighbours in age of one
//! tier become one segment of the next. So each row is rewritten at most once a tier, and the number of
//! segments is `O(fan_in · log(n))`. Only neighbours in age within a partition are merged.

use crate::core::schema::DefaultValue;
use crate::core::settings::CompactionSettings;
use crate::core::time::{self, Timestamp};
use crate::lsm::manifest::{Manifest, SegmentMeta};

/// What a planner may know of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentView {
    /// Number.
    pub id: u64,
    /// Partition.
    pub partition_id: u64,
    /// Bytes.
    pub size_bytes: u64,
    /// Rows, deleted ones included.
    pub rows: u64,
    /// Rows deleted now, published or not.
    pub deleted_rows: u64,
    /// Newest commit timestamp.
    pub max_ts: Timestamp,
    /// Oldest commit timestamp.
    pub min_ts: Timestamp,
    /// First and last moment at which a row's own time is over, in microseconds since 1970.
    pub ends_us: Option<(i64, i64)>,
}

/// Why a job is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A tier is full.
    Tier,
    /// Too many of its rows are deleted.
    Deletes,
    /// Its rows are past their time to live.
    Expired,
    /// It was asked for.
    Asked,
}

/// Segments of one partition to be merged into one (or none, if no row is left).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Inputs, oldest first.
    pub inputs: Vec<u64>,
    /// Partition of all.
    pub partition_id: u64,
    /// Why.
    pub reason: Reason,
}

/// The next jobs, most urgent first; no segment is in two of them.
pub fn plan(
    segments: &[SegmentView],
    settings: &CompactionSettings,
    ttl_ms: Option<u64>,
    now_ms: u64,
) -> Vec<Job> {
    let mut jobs = Vec::new();
    for segment in segments {
        if let Some(reason) = rewrite_reason(segment, settings, ttl_ms, now_ms) {
            jobs.push(Job { inputs: vec![segment.id], partition_id: segment.partition_id, reason });
        }
    }
    for group in by_partition(segments) {
        let free: Vec<&SegmentView> =
            group.into_iter().filter(|s| !jobs.iter().any(|j| j.inputs.contains(&s.id))).collect();
        jobs.extend(full_tier(&free, settings));
    }
    jobs
}

/// Jobs that leave as few segments as `max_segment_bytes` allows, and no row that is deleted or whose own
/// time is over.
pub fn plan_all(segments: &[SegmentView], settings: &CompactionSettings, now_ms: u64) -> Vec<Job> {
    let mut jobs = Vec::new();
    for group in by_partition(segments) {
        let mut run: Vec<&SegmentView> = Vec::new();
        let mut bytes = 0;
        for segment in group {
            let live = live_bytes(segment);
            if !run.is_empty() && bytes + live > settings.max_segment_bytes {
                jobs.extend(asked(&std::mem::take(&mut run), now_ms));
                bytes = 0;
            }
            bytes += live;
            run.push(segment);
        }
        jobs.extend(asked(&run, now_ms));
    }
    jobs
}

fn asked(run: &[&SegmentView], now_ms: u64) -> Option<Job> {
    let first = run.first()?;
    let ended = first.ends_us.is_some_and(|(end, _)| end <= time::micros(now_ms));
    let clean = run.len() == 1 && first.deleted_rows == 0 && !ended;
    (!clean).then(|| job(run, Reason::Asked))
}

fn job(run: &[&SegmentView], reason: Reason) -> Job {
    Job {
        inputs: run.iter().map(|s| s.id).collect(),
        partition_id: run.first().map_or(0, |s| s.partition_id),
        reason,
    }
}

fn live_bytes(segment: &SegmentView) -> u64 {
    let live = segment.rows.saturating_sub(segment.deleted_rows);
    let share = u128::from(segment.size_bytes) * u128::from(live) / u128::from(segment.rows.max(1));
    u64::try_from(share).unwrap_or(u64::MAX)
}

fn rewrite_reason(
    segment: &SegmentView,
    settings: &CompactionSettings,
    ttl_ms: Option<u64>,
    now_ms: u64,
) -> Option<Reason> {
    let share = segment.deleted_rows * 100;
    if segment.deleted_rows > 0 && share >= segment.rows * u64::from(settings.deleted_percent) {
        return Some(Reason::Deletes);
    }
    // By the rows' own times as below: once half of their span has passed.
    if let Some((first, last)) = segment.ends_us
        && i128::from(first).midpoint(last.into()) <= i128::from(now_ms) * 1_000
    {
        return Some(Reason::Expired);
    }
    let cutoff = time::from_millis(now_ms.saturating_sub(ttl_ms?));
    // A segment is rewritten once half of its span of time has passed, so that a stream of rows
    // does not rewrite the same segment at every tick.
    let middle = segment.min_ts + (segment.max_ts - segment.min_ts) / 2;
    (middle < cutoff).then_some(Reason::Expired)
}

fn by_partition(segments: &[SegmentView]) -> Vec<Vec<&SegmentView>> {
    let mut groups: Vec<Vec<&SegmentView>> = Vec::new();
    for segment in segments {
        match groups.iter_mut().find(|g| g[0].partition_id == segment.partition_id) {
            Some(group) => group.push(segment),
            None => groups.push(vec![segment]),
        }
    }
    groups
}

/// Tier 0 is below `min_tier_bytes`; each next one is `fan_in` times as large.
pub fn tier(size_bytes: u64, settings: &CompactionSettings) -> u32 {
    let mut bound = settings.min_tier_bytes;
    let mut tier = 0;
    while size_bytes >= bound && tier < 63 {
        tier += 1;
        bound = bound.saturating_mul(settings.fan_in as u64);
    }
    tier
}

/// The first run of neighbours in age that holds `fan_in` segments of one tier and none of a higher one;
/// lower ones between them go along.
fn full_tier(segments: &[&SegmentView], settings: &CompactionSettings) -> Option<Job> {
    let tiers: Vec<u32> = segments.iter().map(|s| tier(live_bytes(s), settings)).collect();
    let mut levels = tiers.clone();
    levels.sort_unstable();
    levels.dedup();
    for level in levels {
        let mut run: Vec<&SegmentView> = Vec::new();
        let (mut bytes, mut full) = (0, 0);
        for (segment, its_tier) in segments.iter().zip(&tiers) {
            let live = live_bytes(segment);
            if *its_tier > level || bytes + live > settings.max_segment_bytes {
                if full >= settings.fan_in {
                    break;
                }
                run.clear();
                (bytes, full) = (0, 0);
            }
            if *its_tier <= level && live <= settings.max_segment_bytes {
                bytes += live;
                full += usize::from(*its_tier == level);
                run.push(segment);
            }
        }
        if full >= settings.fan_in {
            return Some(job(&run, Reason::Tier));
        }
    }
    None
}

/// What the planner may know of a manifest's segments, with the deletes counted by the caller.
pub fn views(manifest: &Manifest, deleted: impl Fn(u64) -> u64) -> Vec<SegmentView> {
    manifest
        .segments
        .iter()
        .map(|s| SegmentView {
            id: s.id,
            partition_id: s.partition_id,
            size_bytes: s.size_bytes(),
            rows: s.rows,
            deleted_rows: deleted(s.id),
            max_ts: s.max_ts,
            min_ts: s.min_ts,
            ends_us: ends_us(manifest, s),
        })
        .collect()
}

fn ends_us(manifest: &Manifest, segment: &SegmentMeta) -> Option<(i64, i64)> {
    let field = manifest.ttl_field()?;
    match &segment.columns.iter().find(|c| c.column == field)?.range {
        // Ranges of moments are kept as integers.
        Some((DefaultValue::Int(first), DefaultValue::Int(last))) => Some((*first, *last)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    fn settings() -> CompactionSettings {
        CompactionSettings {
            fan_in: 4,
            min_tier_bytes: 4 * MB,
            max_segment_bytes: 1000 * MB,
            deleted_percent: 20,
            codes_min_rows: 2_048,
            ..Default::default()
        }
    }

    fn segments(sizes_mb: &[u64]) -> Vec<SegmentView> {
        sizes_mb
            .iter()
            .enumerate()
            .map(|(i, mb)| SegmentView {
                id: i as u64,
                partition_id: 1,
                size_bytes: mb * MB,
                rows: 1000,
                deleted_rows: 0,
                max_ts: time::from_millis(1000),
                min_ts: time::from_millis(1000),
                ends_us: None,
            })
            .collect()
    }

    #[test]
    fn segments_of_rows_with_an_end_are_rewritten_once_half_is_over() {
        let mut view = segments(&[5]);
        view[0].ends_us = Some((1_000_000, 3_000_000));
        for (now_ms, planned, asked) in [(999, 0, 0), (1_000, 0, 1), (2_000, 1, 1)] {
            assert_eq!(plan(&view, &settings(), None, now_ms).len(), planned, "{now_ms}");
            assert_eq!(plan_all(&view, &settings(), now_ms).len(), asked, "{now_ms}");
        }
    }

    #[test]
    fn tiers_table() {
        for (sizes, expected) in [
            (vec![], vec![]),
            (vec![1, 1, 1], vec![]),
            (vec![1, 1, 1, 1], vec![0, 1, 2, 3]),
            (vec![1, 2, 3, 1, 1], vec![0, 1, 2, 3, 4]),
            (vec![100, 1, 1, 1, 1], vec![1, 2, 3, 4]),
            (vec![1, 1, 100, 1, 1], vec![]),
            (vec![1, 1, 1, 1, 100], vec![0, 1, 2, 3]),
            (vec![16, 16, 16, 16], vec![0, 1, 2, 3]),
            (vec![16, 16, 16, 1, 16], vec![0, 1, 2, 3, 4]),
            (vec![900, 900, 900, 900], vec![]),
            (vec![300, 300, 300, 300], vec![]),
        ] {
            let jobs = plan(&segments(&sizes), &settings(), None, 2000);
            let inputs: Vec<u64> = jobs.into_iter().flat_map(|j| j.inputs).collect();
            assert_eq!(inputs, expected, "{sizes:?}");
        }
    }

    #[test]
    fn a_segment_is_rewritten_for_its_deletes_or_its_age() {
        let mut view = segments(&[10, 10]);
        view[1].deleted_rows = 200;
        let jobs = plan(&view, &settings(), None, 2000);
        assert_eq!((jobs[0].inputs.clone(), jobs[0].reason), (vec![1], Reason::Deletes));
        view[1].deleted_rows = 199;
        assert!(plan(&view, &settings(), None, 2000).is_empty());
        let jobs = plan(&view, &settings(), Some(500), 2000);
        assert_eq!(jobs.len(), 2);
        assert!(jobs.iter().all(|j| j.reason == Reason::Expired));
    }

    #[test]
    fn partitions_are_never_mixed() {
        let mut view = segments(&[1, 1, 1, 1, 1, 1]);
        for segment in &mut view[3..] {
            segment.partition_id = 2;
        }
        assert!(plan(&view, &settings(), None, 2000).is_empty());
        let all = plan_all(&view, &settings(), 0);
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].inputs, vec![0, 1, 2]);
    }

    #[test]
    fn asked_for_everything_it_leaves_one_segment_a_partition() {
        assert!(plan_all(&segments(&[5]), &settings(), 0).is_empty());
        let jobs = plan_all(&segments(&[600, 300, 200, 1]), &settings(), 0);
        let inputs: Vec<_> = jobs.into_iter().map(|j| j.inputs).collect();
        assert_eq!(inputs, vec![vec![0, 1], vec![2, 3]]);
    }

    /// Flushes of one size, merged until nothing is left to do: segments stay logarithmic.
    #[test]
    fn segments_stay_logarithmic_and_rewrites_bounded() {
        let settings = settings();
        let mut tree: Vec<SegmentView> = Vec::new();
        let (mut next, mut ingested, mut written) = (0, 0, 0);
        for _ in 0..5_000 {
            let mut fresh = segments(&[1]).remove(0);
            fresh.id = next;
            next += 1;
            ingested += fresh.size_bytes;
            tree.push(fresh);
            while let Some(job) = plan(&tree, &settings, None, 2000).into_iter().next() {
                let at = tree.iter().position(|s| s.id == job.inputs[0]).unwrap_or(0);
                let merged: Vec<_> = tree.drain(at..at + job.inputs.len()).collect();
                let mut output = merged[0].clone();
                output.id = next;
                next += 1;
                output.size_bytes = merged.iter().map(|s| s.size_bytes).sum();
                written += output.size_bytes;
                tree.insert(at, output);
            }
            assert!(tree.len() <= 40, "{} segments", tree.len());
        }
        assert!(written <= 8 * ingested, "{}", written / ingested);
    }
}
