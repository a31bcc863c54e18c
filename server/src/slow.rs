//! What is told of a slow call besides its name: how much went in and came out.

use std::any::Any;

use elanus_proto::service::{MutationResult, QueryResults, SearchResults};

/// Queries and rows of an answer; zeros where neither means anything.
pub fn counts(answer: &dyn Any) -> (i64, i64) {
    if let Some(found) = answer.downcast_ref::<SearchResults>() {
        let found = found.results.as_ref();
        return found.map_or((0, 0), |f| (f.num_queries, f.topks.iter().sum()));
    }
    if let Some(found) = answer.downcast_ref::<QueryResults>() {
        return (1, found.fields_data.first().map_or(0, rows));
    }
    match answer.downcast_ref::<MutationResult>() {
        Some(done) => (0, done.insert_cnt + done.upsert_cnt + done.delete_cnt),
        None => (0, 0),
    }
}

/// Rows of a column.
fn rows(column: &elanus_proto::schema::FieldData) -> i64 {
    use elanus_proto::schema::field_data::Field;
    use elanus_proto::schema::scalar_field::Data;
    let Some(Field::Scalars(scalars)) = &column.field else { return 0 };
    let count = match &scalars.data {
        Some(Data::LongData(v)) => v.data.len(),
        Some(Data::StringData(v)) => v.data.len(),
        Some(Data::IntData(v)) => v.data.len(),
        Some(Data::DoubleData(v)) => v.data.len(),
        Some(Data::FloatData(v)) => v.data.len(),
        Some(Data::BoolData(v)) => v.data.len(),
        _ => column.valid_data.len(),
    };
    i64::try_from(count).unwrap_or(i64::MAX)
}
