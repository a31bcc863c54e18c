//! What a search asks for beside vectors and filter.

use std::collections::BTreeMap;

use elanus_proto::common::KeyValuePair;
use serde_json::Value;

use super::{Params, plain, result_window};
use crate::convert::{invalid, mismatch};
use crate::status::Failure;

/// Which part of a sorted answer is wanted, and how its scores are rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Results after the skipped ones.
    pub limit: usize,
    /// Results to skip.
    pub offset: usize,
    /// Decimals of scores; `None` leaves them as they are.
    pub round_decimal: Option<u32>,
}

/// One value for each of at most `size` rows that share the group fields' values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grouping {
    /// Names of the group fields.
    pub fields: Vec<String>,
    /// A path inside the field, which is one of JSON.
    pub json_path: Option<String>,
    /// Most rows of a group.
    pub size: usize,
    /// Whether to look on until each group is full.
    pub strict: bool,
}

/// A page of a search iterator of the second kind.
#[derive(Debug, Clone, PartialEq)]
pub struct IteratorPage {
    /// Names the iterator.
    pub token: Option<String>,
    /// Rows of the page.
    pub batch: usize,
    /// Score of the last row of the page before.
    pub last_bound: Option<f32>,
}

/// What a search asks for beside vectors and filter.
#[derive(Debug, Clone)]
pub struct SearchParams {
    /// Limit, offset, rounding.
    pub window: Window,
    /// The vector field, if named.
    pub anns_field: Option<String>,
    /// The metric's name, if given.
    pub metric: Option<String>,
    /// Bound on the far side.
    pub radius: Option<f64>,
    /// Bound on the near side.
    pub range_filter: Option<f64>,
    /// Grouping, if asked for.
    pub grouping: Option<Grouping>,
    /// What the answer is ordered by, as given.
    pub order_by: Option<String>,
    /// The iterator's page, if it is one.
    pub page: Option<IteratorPage>,
    /// The collection that the client means, for iterators.
    pub collection_id: Option<i64>,
    /// All parameters as they came, for the index to read its own.
    pub raw: BTreeMap<String, Value>,
}

/// Most rows of a group, as in Milvus.
const MAX_GROUP_SIZE: i64 = 10;

impl SearchParams {
    /// Reads the parameters of one search. `outer` is the window of the hybrid search around it,
    /// which sets the limit where the part has none and is itself the only one with an offset.
    pub fn new(
        pairs: &[KeyValuePair],
        outer: Option<Window>,
        max_top_k: usize,
    ) -> Result<Self, Failure> {
        let params = Params::new(pairs)?;
        params.truth("ignore_growing")?;
        let iterator = params.truth("iterator")?;
        let window = window(&params, outer, iterator, max_top_k)?;
        let grouping = if outer.is_some() { None } else { grouping(&params)? };
        let (radius, range_filter) = (params.float("radius")?, params.float("range_filter")?);
        if radius.is_none() && range_filter.is_some() {
            return Err(mismatch(
                "range_filter requires radius to be set; \
                 range_filter alone is not a valid range search parameter",
                "range_filter",
                "",
            ));
        }
        if grouping.is_some() && (iterator || radius.is_some()) {
            let what = if iterator {
                "Not allowed to do groupBy when doing iteration"
            } else {
                "Not allowed to do range-search when doing search-group-by"
            };
            return Err(mismatch(what, "", ""));
        }
        let order_by = params.text("order_by_fields").map(str::to_string);
        if order_by.is_some() && iterator {
            let what = "order_by is not supported when using search iterator";
            return Err(mismatch(what, "", ""));
        }
        if order_by.is_some() && grouping.as_ref().is_some_and(|g| g.fields.len() > 1) {
            return Err(invalid(
                "order_by_fields is not supported with multi-field group_by_fields",
            ));
        }
        Ok(Self {
            page: page(&params, iterator, &window, max_top_k)?,
            order_by,
            window,
            anns_field: params.text("anns_field").map(str::to_string),
            metric: params.text("metric_type").map(str::to_string),
            radius,
            range_filter,
            grouping,
            collection_id: params.integer("collection_id").unwrap_or(None),
            raw: raw(pairs),
        })
    }
}

/// The parameters with the types they have in JSON; a flat one, which is a text, wins where it says
/// something else than the nested one.
fn raw(pairs: &[KeyValuePair]) -> BTreeMap<String, Value> {
    let mut raw = BTreeMap::new();
    for pair in pairs.iter().filter(|p| p.key == "params") {
        raw.extend(serde_json::from_str::<BTreeMap<_, _>>(&pair.value).unwrap_or_default());
    }
    for pair in pairs.iter().filter(|p| p.key != "params") {
        let nested = raw.get(&pair.key).cloned().and_then(plain);
        if nested.is_none_or(|text| text != pair.value) {
            raw.insert(pair.key.clone(), Value::String(pair.value.clone()));
        }
    }
    raw
}

fn in_limit(value: i64, most: usize, what: &str) -> Result<usize, Failure> {
    match usize::try_from(value) {
        Ok(v) if (1..=most).contains(&v) => Ok(v),
        _ => Err(invalid(format!(
            "{what} [{value}] is invalid, it should be in range [1, {most}], but got {value}"
        ))),
    }
}

fn window(
    params: &Params,
    outer: Option<Window>,
    iterator: bool,
    most: usize,
) -> Result<Window, Failure> {
    let asked = match params.integer("topk") {
        Ok(Some(k)) => k,
        Ok(None) => match outer {
            Some(w) => i64::try_from(w.limit + w.offset).unwrap_or(i64::MAX),
            None => return Err(Failure::missing("topk is required")),
        },
        Err(e) => return Err(e),
    };
    let limit = match in_limit(asked, most, "topk") {
        Err(_) if iterator => most,
        other => other?,
    };
    let offset = match outer {
        Some(_) => 0,
        None => match params.integer("offset")?.unwrap_or(0) {
            0 => 0,
            offset => in_limit(offset, most, "offset")?,
        },
    };
    let both = i64::try_from(limit + offset).unwrap_or(i64::MAX);
    in_limit(both, most, "offset+topk")?;
    Ok(Window { limit, offset, round_decimal: round_decimal(params)? })
}

/// The number of decimals that scores are rounded to; -1 or nothing leaves them.
fn round_decimal(params: &Params) -> Result<Option<u32>, Failure> {
    let Some(text) = params.text("round_decimal") else { return Ok(None) };
    match text.parse::<i64>() {
        Ok(-1) => Ok(None),
        Ok(digits @ 0..=6) => Ok(u32::try_from(digits).ok()),
        _ => Err(invalid(format!(
            "round_decimal [{text}] is invalid, should be -1 or an integer in range [0, 6]"
        ))),
    }
}

/// The grouping that search or rank parameters ask for.
pub fn grouping(params: &Params) -> Result<Option<Grouping>, Failure> {
    let named = params.text("group_by_field").map(|f| vec![f.to_string()]);
    let fields = named.or_else(|| {
        let list = params.text("group_by_fields")?;
        Some(list.split(',').map(|f| f.trim().to_string()).filter(|f| !f.is_empty()).collect())
    });
    let Some(fields) = fields.filter(|f: &Vec<String>| !f.is_empty()) else { return Ok(None) };
    let size = match params.text("group_size") {
        None => 1,
        Some(text) => text
            .parse::<i64>()
            .map_err(|_| invalid(format!("failed to parse input group size:{text}")))?,
    };
    if size <= 0 {
        return Err(invalid(format!(
            "input group size:{size} is negative, failed to do search_groupby"
        )));
    }
    if size > MAX_GROUP_SIZE {
        return Err(invalid(format!(
            "input group size:{size} exceeds configured max group size:{MAX_GROUP_SIZE}"
        )));
    }
    let size = usize::try_from(size).unwrap_or(1);
    let strict = params.truth("strict_group_size").unwrap_or(false);
    let json_path = params.text("json_path").map(str::to_string);
    Ok(Some(Grouping { fields, json_path, size, strict }))
}

fn page(
    params: &Params,
    iterator: bool,
    window: &Window,
    most: usize,
) -> Result<Option<IteratorPage>, Failure> {
    if !params.truth("search_iter_v2")? {
        return Ok(None);
    }
    let wrong = |why: &str| invalid(format!("parse iterator v2 info failed: {why}"));
    if !iterator {
        return Err(wrong("both iterator and search_iter_v2 must be set in the SDK"));
    }
    if window.offset > 0 {
        return Err(wrong("Setting an offset is not permitted when using a search iterator v2"));
    }
    let batch = params
        .integer("search_iter_batch_size")
        .map_err(|e| wrong(&format!("batch size is invalid, {}", e.reason)))?
        .ok_or_else(|| wrong("batch size is required"))?;
    let batch = in_limit(batch, most, "batch size").map_err(|e| wrong(&e.reason))?;
    let last_bound = params
        .float("search_iter_last_bound")
        .map_err(|e| wrong(&format!("failed to parse input last bound, {}", e.reason)))?;
    Ok(Some(IteratorPage {
        token: params.text("search_iter_id").map(str::to_string),
        batch,
        last_bound: last_bound.map(|b| b as f32),
    }))
}

/// The window of a hybrid search, from its rank parameters.
pub fn rank_window(params: &Params, most: usize) -> Result<Window, Failure> {
    let limit =
        params.integer("limit")?.ok_or_else(|| invalid("limit not found in rank_params"))?;
    let (offset, limit) = result_window(params.integer("offset")?.unwrap_or(0), limit, most)?;
    Ok(Window { limit, offset, round_decimal: round_decimal(params)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<KeyValuePair> {
        list.iter().map(|(k, v)| KeyValuePair { key: (*k).into(), value: (*v).into() }).collect()
    }

    fn search(list: &[(&str, &str)]) -> Result<SearchParams, String> {
        SearchParams::new(&pairs(list), None, 16_384).map_err(|f| f.reason)
    }

    #[test]
    fn search_parameters_are_read_wherever_they_stand() -> Result<(), String> {
        let s = search(&[
            ("topk", "5"),
            ("offset", "2"),
            ("round_decimal", "3"),
            ("ignore_growing", "False"),
            ("metric_type", "L2"),
            ("params", "{\"radius\": 2.5, \"range_filter\": 1, \"nprobe\": 10}"),
        ])?;
        assert_eq!(s.window, Window { limit: 5, offset: 2, round_decimal: Some(3) });
        assert_eq!((s.radius, s.range_filter), (Some(2.5), Some(1.0)));
        assert_eq!(s.metric.as_deref(), Some("L2"));
        assert!(s.page.is_none() && s.grouping.is_none());
        assert_eq!(s.raw.get("nprobe"), Some(&Value::from(10)));
        assert_eq!(s.raw.get("topk"), Some(&Value::from("5")));
        Ok(())
    }

    #[test]
    fn bad_search_parameters_are_refused_in_milvus_words() {
        for (list, words) in [
            (
                &[("topk", "16385")][..],
                "topk [16385] is invalid, it should be in range [1, 16384], but got 16385",
            ),
            (&[("topk", "x")], "topk [x] is invalid"),
            (&[], "topk is required"),
            (
                &[("topk", "1"), ("offset", "-1")],
                "offset [-1] is invalid, it should be in range [1, 16384]",
            ),
            (&[("topk", "16384"), ("offset", "1")], "offset+topk [16385] is invalid"),
            (
                &[("topk", "1"), ("round_decimal", "7")],
                "round_decimal [7] is invalid, should be -1",
            ),
            (&[("topk", "1"), ("range_filter", "1")], "range_filter requires radius to be set"),
            (&[("topk", "1"), ("ignore_growing", "x")], "parse ignore growing field failed"),
            (
                &[("topk", "1"), ("group_by_field", "a"), ("group_size", "11")],
                "exceeds configured max group size:10",
            ),
            (
                &[("topk", "1"), ("group_by_field", "a"), ("radius", "1")],
                "Not allowed to do range-search",
            ),
            (&[("topk", "1"), ("search_iter_v2", "True")], "both iterator and search_iter_v2"),
        ] {
            let reason = search(list).err().unwrap_or_default();
            assert!(reason.contains(words), "{list:?}: {reason}");
        }
    }

    #[test]
    fn an_iterator_page_is_read() -> Result<(), String> {
        let s = search(&[
            ("topk", "99999"),
            ("iterator", "True"),
            ("search_iter_v2", "True"),
            ("search_iter_batch_size", "7"),
            ("search_iter_last_bound", "0.30000001192092896"),
            ("search_iter_id", "t"),
        ])?;
        let page = s.page.ok_or("no page")?;
        assert_eq!((page.batch, page.last_bound), (7, Some(0.3)));
        assert_eq!(page.token.as_deref(), Some("t"));
        Ok(())
    }
}
