//! The values of a column in order, each with its rows: an inverted index.
//!
//! A test of a column is run on its distinct values instead of its rows, on those only that can pass it;
//! the rows of the values that do are the answer. So an index never disagrees with a scan.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanBufferBuilder, DynComparator, ListArray, UInt32Array, make_comparator,
};
use arrow::buffer::{BooleanBuffer, OffsetBuffer};
use arrow::compute::{self, SortOptions};
use arrow::datatypes::DataType;

use crate::core::error::Result;
use crate::core::filter::Candidates;
use crate::core::rowset::RowSet;

/// With at most so many distinct values each has a bitmap: as large as a list of rows, quicker to unite.
const MAX_BITMAPS: usize = 32;

const ORDER: SortOptions = SortOptions { descending: false, nulls_first: false };

/// The distinct values of a column of one unit, ascending, null last, and the rows of each.
#[derive(Debug)]
pub struct ScalarIndex {
    values: ArrayRef,
    rows: Postings,
    total: usize,
}

#[derive(Debug)]
enum Postings {
    /// The rows of value `i` are `rows[starts[i]..starts[i + 1]]`, ascending.
    Lists { starts: Vec<u32>, rows: Vec<u32> },
    /// One bit a row.
    Bitmaps(Vec<BooleanBuffer>),
}

impl ScalarIndex {
    /// Of whole values.
    pub fn of_values(column: &ArrayRef) -> Result<Self> {
        let order = compute::sort_to_indices(column, Some(ORDER), None)?;
        Self::of_sorted(column, order, |place| place, column.len())
    }

    /// Of the elements of lists; a row is listed once with each distinct element. A list that is null or
    /// empty is in no posting.
    pub fn of_elements(lists: &ListArray) -> Result<Self> {
        let mut rows = Vec::with_capacity(lists.values().len());
        let mut places = Vec::with_capacity(lists.values().len());
        for row in (0..lists.len()).filter(|row| lists.is_valid(*row)) {
            let range = lists.value_offsets()[row] as u32..lists.value_offsets()[row + 1] as u32;
            rows.extend(range.clone().map(|_| row as u32));
            places.extend(range);
        }
        let elements = compute::take(lists.values(), &UInt32Array::from(places), None)?;
        let order = compute::sort_to_indices(&elements, Some(ORDER), None)?;
        Self::of_sorted(&elements, order, |place| rows[place as usize], lists.len())
    }

    fn of_sorted(
        column: &ArrayRef,
        order: UInt32Array,
        row_of: impl Fn(u32) -> u32,
        total: usize,
    ) -> Result<Self> {
        let compare = make_comparator(column.as_ref(), column.as_ref(), ORDER)?;
        let order = order.values();
        let (mut firsts, mut starts, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        for (at, place) in order.iter().enumerate() {
            let fresh =
                at == 0 || compare(order[at - 1] as usize, *place as usize) != Ordering::Equal;
            if fresh {
                firsts.push(*place);
                starts.push(rows.len() as u32);
            }
            rows.push(row_of(*place));
        }
        starts.push(rows.len() as u32);
        for bounds in starts.windows(2) {
            rows[bounds[0] as usize..bounds[1] as usize].sort_unstable();
        }
        let values = compute::take(column, &UInt32Array::from(firsts), None)?;
        let lists = Postings::Lists { starts, rows };
        let rows = if values.len() <= MAX_BITMAPS { lists.into_bitmaps(total) } else { lists };
        Ok(Self { values, rows, total })
    }

    /// The distinct values.
    pub fn values(&self) -> &ArrayRef {
        &self.values
    }

    /// Rows of the unit.
    pub fn total(&self) -> usize {
        self.total
    }

    /// The rows of the values at some places.
    pub fn rows(&self, places: impl Iterator<Item = usize>) -> RowSet {
        let mut bits = BooleanBufferBuilder::new(self.total);
        match &self.rows {
            Postings::Lists { starts, rows } => {
                bits.append_n(self.total, false);
                for place in places {
                    for row in &rows[starts[place] as usize..starts[place + 1] as usize] {
                        bits.set_bit(*row as usize, true);
                    }
                }
                RowSet::from_bits(bits.finish())
            }
            Postings::Bitmaps(maps) => {
                let united = places.map(|place| maps[place].clone()).reduce(|a, b| &a | &b);
                united.map_or_else(|| RowSet::none(self.total), RowSet::from_bits)
            }
        }
    }

    /// Bytes in memory.
    pub fn size_bytes(&self) -> usize {
        let postings = match &self.rows {
            Postings::Lists { starts, rows } => (starts.len() + rows.len()) * 4,
            Postings::Bitmaps(maps) => maps.len() * self.total.div_ceil(8),
        };
        self.values.get_array_memory_size() + postings
    }
}

impl Postings {
    fn into_bitmaps(self, total: usize) -> Self {
        let Self::Lists { starts, rows } = self else { return self };
        let map = |bounds: &[u32]| {
            let mut bits = BooleanBufferBuilder::new(total);
            bits.append_n(total, false);
            for row in &rows[bounds[0] as usize..bounds[1] as usize] {
                bits.set_bit(*row as usize, true);
            }
            bits.finish()
        };
        Self::Bitmaps(starts.windows(2).map(map).collect())
    }
}

/// Places of the candidates among ascending distinct values with null last: disjoint ranges, ascending.
pub fn places(values: &ArrayRef, candidates: &Candidates) -> Result<Vec<Range<usize>>> {
    let known = values.len() - values.null_count();
    let bound = |bound: &Option<ArrayRef>, past: bool, open: usize| match bound {
        Some(value) => Ok(Finder::new(values, known, value)?.place(0, past)),
        None => Ok::<_, crate::core::error::Error>(open),
    };
    let range = match candidates {
        Candidates::All => 0..values.len(),
        Candidates::Nulls => known..values.len(),
        Candidates::Range(from, to) => bound(from, false, 0)?..bound(to, true, known)?,
        Candidates::Values(wanted) => return each(values, known, wanted),
    };
    Ok(Some(range).filter(|range| !range.is_empty()).into_iter().collect())
}

/// The places of each of some values.
fn each(values: &ArrayRef, known: usize, wanted: &ArrayRef) -> Result<Vec<Range<usize>>> {
    let finder = Finder::new(values, known, wanted)?;
    let valid = (0..wanted.len()).filter(|at| wanted.is_valid(*at));
    let found = valid.map(|at| finder.place(at, false)..finder.place(at, true));
    let mut found: Vec<Range<usize>> = found.filter(|range| !range.is_empty()).collect();
    found.sort_unstable_by_key(|range| range.start);
    found.dedup();
    Ok(found)
}

/// Looks values up among ascending ones.
struct Finder {
    known: usize,
    compare: DynComparator,
}

impl Finder {
    fn new(values: &ArrayRef, known: usize, wanted: &ArrayRef) -> Result<Self> {
        Ok(Self { known, compare: make_comparator(values.as_ref(), wanted.as_ref(), ORDER)? })
    }

    /// The first place whose value is not less than the wanted one, or with `past` that is greater.
    fn place(&self, wanted: usize, past: bool) -> usize {
        let (mut low, mut high) = (0, self.known);
        while low < high {
            let middle = low + (high - low) / 2;
            let before = match (self.compare)(middle, wanted) {
                Ordering::Less => true,
                Ordering::Equal => past,
                Ordering::Greater => false,
            };
            (low, high) = if before { (middle + 1, high) } else { (low, middle) };
        }
        low
    }
}

/// Each value as a list of its own, of the type of `lists`: what a test of lists is asked of one element.
pub fn singletons(lists: &DataType, elements: ArrayRef) -> Result<ArrayRef> {
    let DataType::List(field) = lists else { return Ok(elements) };
    let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(1, elements.len()));
    Ok(Arc::new(ListArray::try_new(field.clone(), offsets, elements, None)?))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array, StringArray};
    use arrow::datatypes::Int64Type;

    use super::*;

    fn ints(values: &[Option<i64>]) -> ArrayRef {
        Arc::new(Int64Array::from(values.to_vec()))
    }

    fn rows_of(index: &ScalarIndex, candidates: &Candidates) -> Vec<usize> {
        let places = places(index.values(), candidates).unwrap();
        index.rows(places.into_iter().flatten()).iter().collect()
    }

    #[test]
    fn values_ranges_and_nulls_lead_to_their_rows() {
        // Few distinct values (bitmaps), then many (lists): the same answers.
        for spread in [1, 1_000] {
            let mut column = vec![Some(5 * spread), None, Some(-spread), Some(5 * spread), None];
            column.extend((100..200).map(|v| Some(v * spread / 1_000 + 1_000_000)));
            let index = ScalarIndex::of_values(&ints(&column)).unwrap();
            let one = |v: i64| Some(ints(&[Some(v)]));
            let wanted = ints(&[Some(5 * spread), Some(7), None, Some(5 * spread)]);
            assert_eq!(rows_of(&index, &Candidates::Values(wanted)), [0, 3]);
            assert_eq!(rows_of(&index, &Candidates::Nulls), [1, 4]);
            assert_eq!(rows_of(&index, &Candidates::Range(None, one(4))), [2]);
            assert_eq!(
                rows_of(&index, &Candidates::Range(one(-1), one(5 * spread))).len(),
                2 + usize::from(spread == 1)
            );
            assert_eq!(rows_of(&index, &Candidates::Range(one(9), one(-9))), [0usize; 0]);
            assert_eq!(rows_of(&index, &Candidates::All).len(), column.len());
        }
    }

    #[test]
    fn elements_lead_to_each_row_once() {
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([
            Some(vec![Some(1), Some(2), Some(1)]),
            None,
            Some(vec![]),
            Some(vec![Some(2), None]),
        ]);
        let index = ScalarIndex::of_elements(&lists).unwrap();
        assert_eq!(index.values().len(), 3);
        assert_eq!(rows_of(&index, &Candidates::Values(ints(&[Some(1)]))), [0]);
        assert_eq!(rows_of(&index, &Candidates::Values(ints(&[Some(2)]))), [0, 3]);
        let single = singletons(lists.data_type(), index.values().clone()).unwrap();
        assert_eq!(single.len(), 3);
    }

    #[test]
    fn texts_and_odd_floats_keep_one_order() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["b", "", "a", "b"]));
        let index = ScalarIndex::of_values(&texts).unwrap();
        let b: ArrayRef = Arc::new(StringArray::from(vec!["b"]));
        assert_eq!(rows_of(&index, &Candidates::Values(b)), [0, 3]);
        let odd: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, -0.0, 0.0, 1.0]));
        let index = ScalarIndex::of_values(&odd).unwrap();
        let zero = |v: f64| -> Option<ArrayRef> { Some(Arc::new(Float64Array::from(vec![v]))) };
        assert_eq!(rows_of(&index, &Candidates::Range(zero(-0.0), zero(0.0))), [1, 2]);
        assert_eq!(rows_of(&index, &Candidates::Range(zero(0.5), None)), [0, 3]);
    }
}
