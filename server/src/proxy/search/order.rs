//! `ORDER BY` of a search: the nearest rows, in the order of their fields.

use elanus_engine::api::{Hit, RowAddress};

use super::target::Target;
use super::values;
use crate::convert::params::OrderKey;
use crate::status::Failure;

/// Puts the groups of each query in order by their first rows; without grouping each row is a group.
/// Equals stay as they were.
pub(super) async fn sort(
    target: &Target,
    answers: &mut [Vec<Vec<Hit>>],
    keys: &[OrderKey],
) -> Result<(), Failure> {
    if keys.is_empty() {
        return Ok(());
    }
    let places: Vec<_> = keys.iter().map(|k| k.place.clone()).collect();
    for groups in answers {
        let first: Vec<RowAddress> =
            groups.iter().filter_map(|g| g.first()).map(|hit| hit.row).collect();
        let batch = values::fetch(&target.snapshot, &first, &places).await?;
        let rows = values::ordered_by(&batch, keys)?;
        let mut order: Vec<usize> = (0..first.len()).collect();
        order.sort_by(|a, b| rows.row(*a).cmp(&rows.row(*b)));
        let mut before: Vec<Option<Vec<Hit>>> =
            groups.drain(..).filter(|g| !g.is_empty()).map(Some).collect();
        groups.extend(order.iter().filter_map(|at| before.get_mut(*at).and_then(Option::take)));
    }
    Ok(())
}
