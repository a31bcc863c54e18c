//! Pages of a search iterator, all of one snapshot. A page begins behind the score with which the page
//! before ended, so a page never ends between rows of equal score.

use elanus_engine::api::Hit;
use elanus_engine::core::runtime::random_id;
use elanus_engine::core::time::Timestamp;
use elanus_proto::common::KeyValuePair;
use elanus_proto::schema::SearchIteratorV2Results;

use super::part::Part;
use super::target::{Page, Target};
use crate::convert::invalid;
use crate::convert::params::{IteratorPage, Params};
use crate::status::Failure;

/// The moment that a call of an iterator asks for; `None`: it is no iterator's.
pub(crate) fn page_of(
    params: &[KeyValuePair],
    guarantee: Timestamp,
) -> Result<Option<Page>, Failure> {
    let params = Params::new(params)?;
    if params.text("iterator").is_none() {
        return Ok(None);
    }
    Ok(Some(Page { at: guarantee, strict: params.truth("iterator")? }))
}

/// One page and what the client needs for the next.
pub(super) async fn page(
    target: &Target,
    part: &Part,
    page: &IteratorPage,
) -> Result<(Vec<Hit>, SearchIteratorV2Results), Failure> {
    if part.query_count() != 1 {
        return Err(invalid(
            "search_iterator_v2 does not support processing multiple vectors simultaneously",
        ));
    }
    let mut top_k = page.batch + 1;
    let hits = loop {
        let found = one(target, part, page, top_k).await?;
        match cut(found, page.batch, top_k) {
            Some(hits) => break hits,
            None => top_k = top_k.saturating_mul(4),
        }
    };
    let last_bound = hits.last().map(|h| h.score).or(page.last_bound).unwrap_or(0.0);
    let token = page.token.clone().unwrap_or_else(new_token);
    Ok((hits, SearchIteratorV2Results { token, last_bound }))
}

async fn one(
    target: &Target,
    part: &Part,
    page: &IteratorPage,
    top_k: usize,
) -> Result<Vec<Hit>, Failure> {
    let lists = match page.last_bound {
        Some(bound) => part.run_in(target, top_k, Some(part.range_behind(bound))).await?,
        None => part.run(target, top_k).await?,
    };
    Ok(lists.into_iter().next().unwrap_or_default())
}

/// The rows of a page out of the best `top_k`: at most `batch`, less the last ones if more of their
/// score follow, or all of the first score if those alone are more. `None`: too few to tell.
fn cut(mut hits: Vec<Hit>, batch: usize, top_k: usize) -> Option<Vec<Hit>> {
    if hits.len() <= batch {
        return Some(hits);
    }
    let next = hits.get(batch)?.score;
    let same = hits.iter().position(|h| h.score == next)?;
    if same > 0 {
        hits.truncate(same);
        return Some(hits);
    }
    match hits.iter().position(|h| h.score != next) {
        Some(end) => hits.truncate(end),
        None if hits.len() == top_k => return None,
        None => {}
    }
    Some(hits)
}

/// A random UUID of version 4: clients check nothing, but Milvus's tokens look like this.
fn new_token() -> String {
    let (high, low) = (random_id(), random_id());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        0x8000 | ((low >> 48) & 0x3fff),
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use elanus_engine::api::RowAddress;

    fn scores(list: &[f32], batch: usize, top_k: usize) -> Option<Vec<f32>> {
        let row = RowAddress { unit: 0, row: 0 };
        let hits = list.iter().map(|score| Hit { score: *score, row, element: None }).collect();
        cut(hits, batch, top_k).map(|hits| hits.iter().map(|h| h.score).collect())
    }

    #[test]
    fn a_page_never_ends_inside_equal_scores() {
        assert_eq!(scores(&[1., 2., 3.], 2, 3), Some(vec![1., 2.]));
        assert_eq!(scores(&[1., 2., 2.], 2, 3), Some(vec![1.]));
        assert_eq!(scores(&[1., 2., 2.], 3, 4), Some(vec![1., 2., 2.]));
        assert_eq!(scores(&[2., 2., 2.], 2, 3), None);
        assert_eq!(scores(&[2., 2., 2., 2., 5.], 2, 12), Some(vec![2.; 4]));
        assert_eq!(scores(&[2., 2., 2.], 2, 12), Some(vec![2.; 3]));
        assert_eq!(scores(&[], 2, 3), Some(vec![]));
    }

    #[test]
    fn tokens_look_like_uuids() {
        let token = new_token();
        let lengths: Vec<usize> = token.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{token}");
    }
}
