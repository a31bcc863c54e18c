//! Searches in the vectors of struct arrays: for elements, or for whole arrays of them.

use elanus_engine::api::{CollectionInfo, Metric};
use elanus_engine::core::filter::RowFilter;
use elanus_engine::core::schema::FieldSchema;

use super::part::{index_metric, not_matching};
use crate::convert::invalid;
use crate::convert::params::{SearchParams, metric};
use crate::proxy::index_params::lists::of_arrays;
use crate::status::Failure;

/// How a field of arrays of vectors is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct How {
    /// How single vectors are compared.
    pub metric: Metric,
    /// Whether arrays are compared with arrays.
    pub arrays: bool,
}

/// What the field's index says, which the metric that is asked for must be; without an index, what is asked
/// for, and by default single elements by COSINE.
pub(super) fn how(
    info: &CollectionInfo,
    field: &FieldSchema,
    asked: Option<&str>,
) -> Result<How, Failure> {
    let element = field.data_type.vector_element().unwrap_or(&field.data_type);
    let own = index_metric(info, field)?;
    if let (Some(own), Some(asked)) = (own, asked)
        && !own.eq_ignore_ascii_case(asked)
    {
        return Err(not_matching(own, asked));
    }
    let named = own.or(asked);
    let arrays = named.and_then(of_arrays);
    let name = arrays.as_deref().or(named);
    let usual = crate::convert::vectors::default_metric(element);
    let metric = name.map_or(Ok(usual), |name| metric(name, element))?;
    Ok(How { metric, arrays: arrays.is_some() })
}

/// Refuses what such a search cannot do, in Milvus's words; `hybrid` if it is part of a hybrid search.
pub(super) fn check(
    how: How,
    params: &SearchParams,
    filter: Option<&dyn RowFilter>,
    primary: &str,
    hybrid: bool,
    grouped: bool,
) -> Result<(), Failure> {
    if !how.arrays && hybrid {
        return Ok(());
    }
    if !how.arrays {
        let by_key = |g: &crate::convert::params::Grouping| g.fields == [primary.to_string()];
        if params.grouping.as_ref().is_some_and(|g| !by_key(g)) {
            return Err(invalid("only group by primary key is supported for element-level search"));
        }
        return Ok(());
    }
    let lists = match hybrid {
        true => "vector array (embedding-list) fields in hybrid search",
        false => "multi-search-multi on embedding list fields",
    };
    if params.radius.is_some() {
        return Err(invalid(format!("range search is not supported for {lists}")));
    }
    if params.grouping.is_some() || grouped {
        return Err(invalid(format!("group by search is not supported for {lists}")));
    }
    if params.page.is_some() {
        return Err(invalid(format!("search iterator is not supported for {lists}")));
    }
    if filter.is_some_and(|f| f.elements().is_some()) {
        return Err(no_elements());
    }
    Ok(())
}

/// The failure of filtering elements in a search that finds none.
pub(super) fn no_elements() -> Failure {
    invalid("element_filter is only supported for element-level search")
}
