//! Messages of clients, as far as they are turned into the engine's types.

use elanus_engine::core::schema::CollectionSchema;
use elanus_proto::schema::field_data::Field;
use elanus_proto::schema::scalar_field::Data;
use elanus_proto::schema::{
    DataType, FieldData, FloatArray, LongArray, ScalarField, StringArray, VectorField, vector_field,
};
use elanus_proto::service::{
    CreateCollectionRequest, DeleteRequest, InsertRequest, QueryRequest, SearchRequest,
};
use elanus_server::convert::params::{self, Params};
use elanus_server::convert::{columns, ids, placeholder, schema, template};
use elanus_server::status::Failure;
use prost::Message;

use super::texts;

/// The first byte says which request it is, the others are its bytes.
pub fn requests(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    let schema = texts::schema();
    match kind % 5 {
        0 => InsertRequest::decode(bytes).map(|r| insert(&schema, r).ok()).ok().flatten(),
        1 => SearchRequest::decode(bytes).map(|r| search(&schema, r).ok()).ok().flatten(),
        2 => QueryRequest::decode(bytes).map(|r| query(r).ok()).ok().flatten(),
        3 => CreateCollectionRequest::decode(bytes).map(|r| create(r).ok()).ok().flatten(),
        _ => DeleteRequest::decode(bytes)
            .map(|r| template::templates(r.expr_template_values).map(|_| ()).ok())
            .ok()
            .flatten(),
    };
}

fn insert(schema: &CollectionSchema, request: InsertRequest) -> Result<(), Failure> {
    // The server refuses requests of more than some hundred megabytes, and columns must be as long as this says.
    let batch = columns::to_batch(schema, request.fields_data, request.num_rows as usize)?;
    columns::check_complete(schema, &batch)
}

fn search(schema: &CollectionSchema, request: SearchRequest) -> Result<(), Failure> {
    use elanus_proto::service::search_request::SearchInput;
    params::flatten(&request.search_params).ok();
    template::templates(request.expr_template_values).ok();
    match request.search_input {
        Some(SearchInput::PlaceholderGroup(bytes)) => {
            for field in schema.fields.iter().filter(|f| f.data_type.is_vector()) {
                placeholder::query_vectors(&bytes, field)?;
            }
        }
        Some(SearchInput::Ids(given)) => {
            ids::from_wire(given, schema)?;
        }
        None => {}
    }
    Ok(())
}

fn query(request: QueryRequest) -> Result<(), Failure> {
    let params = Params::new(&request.query_params)?;
    let limit = params.integer("limit")?.unwrap_or(0);
    params::result_window(params.integer("offset")?.unwrap_or(0), limit, 16_384)?;
    params.float("radius")?;
    params.truth("iterator")?;
    Ok(())
}

fn create(request: CreateCollectionRequest) -> Result<(), Failure> {
    let wire = elanus_proto::schema::CollectionSchema::decode(request.schema.as_slice())
        .map_err(|e| Failure::parameter(e.to_string()))?;
    schema::from_wire(&wire).map(|_| ())
}

/// A request of each kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let scalars = |name: &str, kind: DataType, data| FieldData {
        r#type: kind.into(),
        field_name: name.into(),
        field: Some(Field::Scalars(ScalarField { data: Some(data), ..Default::default() })),
        ..Default::default()
    };
    let vectors = FieldData {
        r#type: DataType::FloatVector.into(),
        field_name: "v".into(),
        field: Some(Field::Vectors(VectorField {
            dim: 4,
            data: Some(vector_field::Data::FloatVector(FloatArray { data: vec![0.5; 8] })),
            ..Default::default()
        })),
        ..Default::default()
    };
    let text = StringArray { data: vec!["a".into(), "b".into()] };
    let nullable = FieldData {
        valid_data: vec![true, false],
        ..scalars("n", DataType::Int64, Data::LongData(LongArray { data: vec![3] }))
    };
    let insert = InsertRequest {
        collection_name: "t".into(),
        num_rows: 2,
        fields_data: vec![
            scalars("id", DataType::Int64, Data::LongData(LongArray { data: vec![1, 2] })),
            scalars("s", DataType::VarChar, Data::StringData(text)),
            nullable,
            vectors,
        ],
        ..Default::default()
    };
    let wire = elanus_proto::schema::CollectionSchema {
        fields: texts::schema().fields.iter().map(schema::field_to_wire).collect(),
        ..Default::default()
    };
    let create = CreateCollectionRequest { schema: wire.encode_to_vec(), ..Default::default() };
    let group = elanus_proto::common::PlaceholderGroup {
        placeholders: vec![elanus_proto::common::PlaceholderValue {
            tag: "$0".into(),
            r#type: elanus_proto::common::PlaceholderType::FloatVector.into(),
            values: vec![vec![0; 16].into(), vec![1; 16].into()],
            ..Default::default()
        }],
    };
    let pair = |key: &str, value: &str| elanus_proto::common::KeyValuePair {
        key: key.into(),
        value: value.into(),
    };
    let input =
        elanus_proto::service::search_request::SearchInput::PlaceholderGroup(group.encode_to_vec());
    let search = SearchRequest {
        search_input: Some(input),
        search_params: vec![pair("params", "{\"ef\": 64, \"radius\": 0.5}"), pair("topk", "10")],
        ..Default::default()
    };
    let query = QueryRequest {
        query_params: vec![pair("limit", "10"), pair("offset", "3"), pair("iterator", "True")],
        ..Default::default()
    };
    let value = elanus_proto::schema::TemplateValue {
        val: Some(elanus_proto::schema::template_value::Val::Int64Val(3)),
    };
    let delete = DeleteRequest {
        expr: "id in {x}".into(),
        expr_template_values: [("x".to_string(), value)].into(),
        ..Default::default()
    };
    let tagged = |kind: u8, bytes: Vec<u8>| [vec![kind], bytes].concat();
    vec![
        tagged(0, insert.encode_to_vec()),
        tagged(1, search.encode_to_vec()),
        tagged(2, query.encode_to_vec()),
        tagged(3, create.encode_to_vec()),
        tagged(4, delete.encode_to_vec()),
    ]
}
