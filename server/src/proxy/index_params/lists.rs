//! Indexes of struct arrays' vectors. A metric such as COSINE compares elements one by one; one such as
//! MAX_SIM_COSINE compares whole arrays with whole arrays.

use elanus_engine::core::schema::{DataType, FieldSchema};

use super::{AUTO, Params, invalid_params, vector};
use crate::convert::vectors::default_metric;
use crate::status::Failure;

/// How arrays are compared without any name of how their vectors are.
const MAX_SIM: &str = "MAX_SIM";
const MAX_SIM_OF: &str = "MAX_SIM_";
/// Which of Milvus's ways of finding arrays is asked for; here all are one exact scan.
const STRATEGY: &str = "emb_list_strategy";
const STRATEGIES: [&str; 3] = ["tokenann", "muvera", "lemur"];

/// The metric of single vectors in that of arrays; `None` if the name is none of arrays.
pub fn of_arrays(metric: &str) -> Option<String> {
    let upper = metric.to_ascii_uppercase();
    match upper.strip_prefix(MAX_SIM_OF) {
        Some(one) => Some(one.to_string()),
        None => (upper == MAX_SIM).then(|| "COSINE".to_string()),
    }
}

/// Checks the parameters of an index on a struct's vectors, and fills in what is left open.
pub fn complete(
    field: &FieldSchema,
    element: &DataType,
    kind: &str,
    params: &mut Params,
) -> Result<(), Failure> {
    let own = FieldSchema::new(field.name.as_str(), element.clone());
    let named = params.get("metric_type").filter(|m| !m.is_empty()).cloned();
    let metric = match named {
        Some(metric) => Some(metric),
        None if kind == AUTO => Some(format!("{MAX_SIM_OF}{}", default_metric(element).name())),
        None => None,
    };
    let strategy = params.remove(STRATEGY);
    if let Some(metric) = &metric {
        let one = of_arrays(metric).unwrap_or_else(|| metric.clone());
        params.insert("metric_type".into(), one);
    }
    vector::complete(&own, kind, params)?;
    if let Some(metric) = metric {
        if of_arrays(&metric).is_some_and(|one| one.ends_with("STRUCTURE")) {
            let why = format!("vector array index does not support metric type: {metric}");
            return Err(invalid_params(&why));
        }
        params.insert("metric_type".into(), metric);
    }
    if let Some(strategy) = strategy {
        check_strategy(kind, &strategy)?;
        params.insert(STRATEGY.into(), strategy);
    }
    Ok(())
}

fn check_strategy(kind: &str, strategy: &str) -> Result<(), Failure> {
    let lower = strategy.to_lowercase();
    if !STRATEGIES.contains(&lower.as_str()) {
        return Err(invalid_params(&format!(
            "invalid {STRATEGY}: {strategy}, optional values are [{}]",
            STRATEGIES.join(", ")
        )));
    }
    if kind == "DISKANN" && lower != "tokenann" {
        return Err(invalid_params(&format!(
            "DiskANN only supports TokenANN strategy, got: {strategy}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(given: &[(&str, &str)]) -> Result<String, String> {
        let element = DataType::FloatVector { dim: 4 };
        let array = DataType::Array { element: Box::new(element.clone()), max_capacity: 3 };
        let field = FieldSchema::new("s[v]", array);
        let params = given.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let done = crate::proxy::index_params::complete(&field, params).map_err(|f| f.reason)?;
        Ok(done.get("metric_type").cloned().unwrap_or_default())
    }

    #[test]
    fn metrics_of_arrays_and_of_elements_are_kept() {
        let hnsw = |metric| index(&[("index_type", "HNSW"), ("metric_type", metric)]);
        assert_eq!(hnsw("MAX_SIM_L2"), Ok("MAX_SIM_L2".into()));
        assert_eq!(hnsw("MAX_SIM"), Ok("MAX_SIM".into()));
        assert_eq!(hnsw("IP"), Ok("IP".into()));
        assert_eq!(index(&[]), Ok("MAX_SIM_COSINE".into()));
        assert!(hnsw("MAX_SIM_HAMMING").is_err());
        assert!(hnsw("HAMMING").is_err());
        assert!(index(&[("index_type", "HNSW")]).is_err());
    }

    #[test]
    fn a_graph_on_disk_has_one_strategy() {
        let by = |kind, strategy| {
            index(&[("index_type", kind), ("metric_type", "MAX_SIM"), (STRATEGY, strategy)])
        };
        assert!(by("HNSW", "muvera").is_ok());
        assert!(by("HNSW", "other").is_err());
        let refused = by("DISKANN", "muvera").err().unwrap_or_default();
        assert!(refused.contains("DiskANN only supports TokenANN strategy"), "{refused}");
    }
}
