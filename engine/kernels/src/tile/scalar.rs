//! The reference, and the choice of the best scores that all levels share.

use super::packed::GROUP;
use super::{Hit, NO_HIT, PackedCentroids};

/// One score.
fn score(set: &PackedCentroids, row: &[u8], row_scale: f32, c: usize) -> f32 {
    let (group, lane, quads) = (c / GROUP, c % GROUP, set.stride() / 4);
    let lines = &set.lines()[group * quads..][..quads];
    let finish = &set.finish()[group];
    let mut dot = finish.start[lane];
    for (line, codes) in lines.iter().zip(row.chunks_exact(4)) {
        for (value, code) in line.0[4 * lane..][..4].iter().zip(codes) {
            dot = dot.wrapping_add(i32::from(*code) * i32::from(*value));
        }
    }
    // Without fused operations, so that all levels give the same bits.
    finish.bias[lane] - row_scale * finish.scale[lane] * dot as f32
}

/// Rows with their scales; of stride 0 every row is empty.
fn each<'a>(
    set: &PackedCentroids,
    rows: &'a [u8],
    row_scale: &'a [f32],
) -> impl Iterator<Item = (&'a [u8], f32)> {
    let stride = set.stride();
    row_scale.iter().enumerate().map(move |(i, scale)| (&rows[i * stride..][..stride], *scale))
}

pub(crate) fn nearest(set: &PackedCentroids, rows: &[u8], row_scale: &[f32], out: &mut [Hit]) {
    for ((row, scale), hit) in each(set, rows, row_scale).zip(out) {
        let scores = (0..set.len()).map(|c| (c as u32, score(set, row, scale, c)));
        *hit = scores.fold(NO_HIT, |least, next| if next.1 < least.1 { next } else { least });
    }
}

pub(crate) fn scores(set: &PackedCentroids, rows: &[u8], row_scale: &[f32], out: &mut [f32]) {
    for (i, (row, scale)) in each(set, rows, row_scale).enumerate() {
        let to = &mut out[i * set.len()..][..set.len()];
        to.iter_mut().enumerate().for_each(|(c, to)| *to = score(set, row, scale, c));
    }
}

pub(crate) fn best(
    set: &PackedCentroids,
    rows: &[u8],
    row_scale: &[f32],
    k: usize,
    out: &mut [Hit],
) {
    let (mut scored, mut room) = (vec![0.0; set.len()], Room::default());
    for ((row, scale), hits) in each(set, rows, row_scale).zip(out.chunks_exact_mut(k)) {
        scores(set, row, &[scale], &mut scored);
        select(&scored, &mut room, hits, less);
    }
}

/// Room that a choice of the best works in, kept from row to row.
#[derive(Default)]
pub(crate) struct Room {
    kept: Vec<u64>,
    least: Vec<f32>,
}

/// The least of `scores` in order, equals in order of number, as many as `hits` takes (not none).
/// `less` says which lanes are less than a limit, lane 0 in the lowest bit.
#[inline(always)]
pub(crate) fn select(
    scores: &[f32],
    room: &mut Room,
    hits: &mut [Hit],
    less: impl Fn(&[f32; GROUP], f32) -> u32,
) {
    let k = hits.len();
    let mut limit = bound(scores, k, &mut room.least);
    // Sorting out is worth it when as many again have come.
    let most = (2 * k).min(scores.len());
    room.kept.clear();
    room.kept.reserve(most + GROUP);
    let (chunks, rest) = scores.as_chunks::<GROUP>();
    let mut last = [f32::INFINITY; GROUP];
    last[..rest.len()].copy_from_slice(rest);
    for (i, chunk) in chunks.iter().chain([&last]).enumerate() {
        let mut lanes = less(chunk, limit);
        while lanes != 0 {
            let lane = lanes.trailing_zeros() as usize;
            room.kept.push(key(chunk[lane], i * GROUP + lane));
            lanes &= lanes - 1;
        }
        if room.kept.len() > most {
            // What comes later and is no less comes behind these.
            let (_, worst, _) = room.kept.select_nth_unstable(k - 1);
            limit = scores[*worst as u32 as usize];
            room.kept.truncate(k);
        }
    }
    if room.kept.len() > k {
        room.kept.select_nth_unstable(k - 1);
        room.kept.truncate(k);
    }
    room.kept.sort_unstable();
    hits.fill(NO_HIT);
    for (hit, key) in hits.iter_mut().zip(&room.kept) {
        *hit = (*key as u32, scores[*key as u32 as usize]);
    }
}

/// Something that the k least of many scores are less than: of twice as many groups of scores, the
/// k with the least minima hold k scores that are not above the greatest of those.
#[inline(always)]
fn bound(scores: &[f32], k: usize, least: &mut Vec<f32>) -> f32 {
    let groups = (2 * k).next_multiple_of(GROUP);
    if scores.len() < 2 * groups {
        return f32::INFINITY;
    }
    least.clear();
    least.resize(groups, f32::INFINITY);
    for chunk in scores.chunks_exact(groups) {
        for (least, s) in least.iter_mut().zip(chunk) {
            *least = if *s < *least { *s } else { *least };
        }
    }
    least.select_nth_unstable_by(k - 1, f32::total_cmp).1.next_up()
}

/// The lanes less than a limit.
fn less(scores: &[f32; GROUP], limit: f32) -> u32 {
    (0..).zip(scores).fold(0, |lanes, (lane, s)| lanes | u32::from(*s < limit) << lane)
}

/// A number that is ordered by score, then by number. Zeros of both signs are equal.
#[inline(always)]
fn key(score: f32, number: usize) -> u64 {
    let bits = (score + 0.0).to_bits();
    let negative = (bits as i32 >> 31) as u32;
    u64::from(bits ^ (negative | 1 << 31)) << 32 | number as u32 as u64
}

/// The least of 16 lanes with its number, the first of equals, from the least scores of each lane
/// and the groups they are of.
#[inline(always)]
pub(crate) fn least_lane(scores: &[f32; GROUP], groups: &[u32; GROUP]) -> Hit {
    let least = scores.iter().fold(f32::INFINITY, |least, s| if *s < least { *s } else { least });
    let hits = scores.iter().zip(groups).enumerate().filter(|(_, (s, _))| **s == least);
    let first = hits.map(|(lane, (s, group))| (group.wrapping_mul(GROUP as u32) | lane as u32, *s));
    if least < f32::INFINITY { first.min_by_key(|hit| hit.0).unwrap_or(NO_HIT) } else { NO_HIT }
}
