//! Requests and their parts.

use elanus_proto::common::{PlaceholderGroup, PlaceholderType, PlaceholderValue, Status};
use elanus_proto::schema::field_data::Field;
use elanus_proto::schema::scalar_field::Data;
use elanus_proto::schema::{
    ArrayArray, DataType, FieldData, FieldSchema, FloatArray, IntArray, JsonArray, LongArray,
    ScalarField, StringArray, VectorField, vector_field,
};
use elanus_proto::service::search_request::SearchInput;
use elanus_proto::service::*;
use prost::Message;

use crate::served::{Client, create_loaded, creation, field, good, pairs};

/// Dimensions of the vectors of `plain`.
pub const DIM: usize = 4;

macro_rules! calls {
    ($($name:ident($request:ident) by $method:ident, $status:expr;)*) => {
        /// A request of any kind.
        #[allow(clippy::large_enum_variant, reason = "a few of them in a table")]
        pub enum Call { $($name($request),)* }

        /// Sends it; gives the status in the answer.
        pub async fn send(client: &mut Client, call: Call) -> Result<Option<Status>, tonic::Status> {
            match call {
                $(Call::$name(request) => {
                    let answer = client.$method(request).await?.into_inner();
                    Ok($status(answer))
                })*
            }
        }
    };
}

calls! {
    Insert(InsertRequest) by insert, |a: MutationResult| a.status;
    Upsert(UpsertRequest) by upsert, |a: MutationResult| a.status;
    Delete(DeleteRequest) by delete, |a: MutationResult| a.status;
    Search(SearchRequest) by search, |a: SearchResults| a.status;
    Hybrid(HybridSearchRequest) by hybrid_search, |a: SearchResults| a.status;
    Query(QueryRequest) by query, |a: QueryResults| a.status;
    Create(CreateCollectionRequest) by create_collection, Some;
    Drop(DropCollectionRequest) by drop_collection, Some;
    Describe(DescribeCollectionRequest) by describe_collection,
        |a: DescribeCollectionResponse| a.status;
    Rename(RenameCollectionRequest) by rename_collection, Some;
    AddField(AddCollectionFieldRequest) by add_collection_field, Some;
    CreatePartition(CreatePartitionRequest) by create_partition, Some;
    DropPartition(DropPartitionRequest) by drop_partition, Some;
    CreateIndex(CreateIndexRequest) by create_index, Some;
    CreateAlias(CreateAliasRequest) by create_alias, Some;
    CreateDatabase(CreateDatabaseRequest) by create_database, Some;
    Load(LoadCollectionRequest) by load_collection, Some;
    Flush(FlushRequest) by flush, |a: FlushResponse| a.status;
    Compaction(GetCompactionStateRequest) by get_compaction_state,
        |a: GetCompactionStateResponse| a.status;
}

/// The fields of `plain`.
pub fn plain_fields() -> Vec<FieldSchema> {
    vec![
        FieldSchema { is_primary_key: true, ..field("id", DataType::Int64, &[]) },
        field("v", DataType::FloatVector, &[("dim", "4")]),
        field("n", DataType::Int64, &[]),
        field("name", DataType::VarChar, &[("max_length", "10")]),
        FieldSchema {
            element_type: DataType::Int64.into(),
            ..field("tags", DataType::Array, &[("max_capacity", "3")])
        },
        FieldSchema { nullable: true, ..field("small", DataType::Int8, &[]) },
        FieldSchema { nullable: true, ..field("doc", DataType::Json, &[]) },
        FieldSchema { nullable: true, ..field("w", DataType::FloatVector, &[("dim", "2")]) },
        field("x", DataType::Double, &[]),
    ]
}

/// `plain` with three rows; `open`, which takes dynamic fields and makes its keys; `resting`, which
/// was released.
pub async fn prepare(client: &mut Client) {
    let indexes = [("v", "L2"), ("w", "IP")];
    create_loaded(client, creation("plain", plain_fields(), false), &indexes).await;
    let key = field("id", DataType::Int64, &[]);
    let open = vec![
        FieldSchema { is_primary_key: true, auto_id: true, ..key.clone() },
        field("v", DataType::FloatVector, &[("dim", "4")]),
        field("n", DataType::Int64, &[]),
    ];
    create_loaded(client, creation("open", open, true), &[("v", "COSINE")]).await;
    let resting = vec![
        FieldSchema { is_primary_key: true, ..key },
        field("v", DataType::FloatVector, &[("dim", "4")]),
    ];
    let request = creation("resting", resting, false);
    good(client.create_collection(request).await.expect("an answer").into_inner());
    let request =
        ReleaseCollectionRequest { collection_name: "resting".into(), ..Default::default() };
    good(client.release_collection(request).await.expect("an answer").into_inner());
    let answer = client.insert(insert(columns(3, []), 3)).await.expect("an answer").into_inner();
    assert_eq!(answer.insert_cnt, 3, "{:?}", answer.status);
}

/// A column without values.
pub fn column(name: &str, kind: DataType) -> FieldData {
    FieldData { r#type: kind.into(), field_name: name.into(), ..Default::default() }
}

pub fn scalars(name: &str, kind: DataType, data: Data, flags: &[bool]) -> FieldData {
    let field = Field::Scalars(ScalarField { data: Some(data), ..Default::default() });
    FieldData { field: Some(field), valid_data: flags.to_vec(), ..column(name, kind) }
}

pub fn longs(name: &str, data: &[i64]) -> FieldData {
    scalars(name, DataType::Int64, Data::LongData(LongArray { data: data.to_vec() }), &[])
}

pub fn smalls(name: &str, data: &[i32], flags: &[bool]) -> FieldData {
    scalars(name, DataType::Int8, Data::IntData(IntArray { data: data.to_vec() }), flags)
}

pub fn texts(name: &str, data: &[&str]) -> FieldData {
    let data = data.iter().map(|t| t.to_string()).collect();
    scalars(name, DataType::VarChar, Data::StringData(StringArray { data }), &[])
}

pub fn jsons(name: &str, data: &[&[u8]], flags: &[bool]) -> FieldData {
    let data = data.iter().map(|t| t.to_vec()).collect();
    scalars(name, DataType::Json, Data::JsonData(JsonArray { data }), flags)
}

pub fn lists(name: &str, rows: &[Option<Data>]) -> FieldData {
    let data = rows.iter().map(|d| ScalarField { data: d.clone(), ..Default::default() });
    let lists = ArrayArray { data: data.collect(), element_type: DataType::Int64.into() };
    scalars(name, DataType::Array, Data::ArrayData(lists), &[])
}

pub fn list(values: &[i64]) -> Option<Data> {
    Some(Data::LongData(LongArray { data: values.to_vec() }))
}

pub fn floats(name: &str, dim: i64, data: &[f32], flags: &[bool]) -> FieldData {
    let data = Some(vector_field::Data::FloatVector(FloatArray { data: data.to_vec() }));
    let vectors = VectorField { dim, data, ..Default::default() };
    FieldData {
        field: Some(Field::Vectors(vectors)),
        valid_data: flags.to_vec(),
        ..column(name, DataType::FloatVector)
    }
}

pub fn doubles(name: &str, data: &[f64]) -> FieldData {
    let data = Data::DoubleData(elanus_proto::schema::DoubleArray { data: data.to_vec() });
    scalars(name, DataType::Double, data, &[])
}

/// Good columns of `plain`, some replaced or added by these.
pub fn columns<const N: usize>(rows: usize, others: [FieldData; N]) -> Vec<FieldData> {
    let ids: Vec<i64> = (0..rows as i64).collect();
    let mut all = vec![
        longs("id", &ids),
        floats("v", DIM as i64, &vec![0.5; DIM * rows], &[]),
        longs("n", &vec![1; rows]),
        texts("name", &vec!["x"; rows]),
        lists("tags", &vec![list(&[1]); rows]),
        doubles("x", &vec![0.25; rows]),
    ];
    for other in others {
        match all.iter_mut().find(|c| c.field_name == other.field_name) {
            Some(place) => *place = other,
            None => all.push(other),
        }
    }
    all
}

/// Good columns of `plain` but one.
pub fn without(name: &str) -> Vec<FieldData> {
    columns(1, []).into_iter().filter(|c| c.field_name != name).collect()
}

pub fn insert(fields_data: Vec<FieldData>, num_rows: u32) -> InsertRequest {
    let collection_name = "plain".into();
    InsertRequest { collection_name, fields_data, num_rows, ..Default::default() }
}

pub fn upsert(fields_data: Vec<FieldData>, num_rows: u32) -> UpsertRequest {
    let collection_name = "plain".into();
    UpsertRequest { collection_name, fields_data, num_rows, ..Default::default() }
}

pub fn delete(expr: &str) -> DeleteRequest {
    DeleteRequest { collection_name: "plain".into(), expr: expr.into(), ..Default::default() }
}

/// A serialized group of query vectors.
pub fn group(kind: PlaceholderType, values: &[&[u8]]) -> Vec<u8> {
    let value = PlaceholderValue {
        tag: "$0".into(),
        r#type: kind.into(),
        values: values.iter().map(|v| v.to_vec().into()).collect(),
        ..Default::default()
    };
    PlaceholderGroup { placeholders: vec![value] }.encode_to_vec()
}

/// The bytes of a query vector.
pub fn bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// A good search, but for these parameters.
pub fn search(params: &[(&str, &str)]) -> SearchRequest {
    let mut all = vec![("topk", "3"), ("anns_field", "v"), ("metric_type", "L2")];
    all.retain(|(key, _)| params.iter().all(|(other, _)| other != key));
    all.extend(params.iter().filter(|(_, value)| *value != "-"));
    SearchRequest {
        collection_name: "plain".into(),
        search_params: pairs(&all),
        nq: 1,
        search_input: Some(SearchInput::PlaceholderGroup(group(
            PlaceholderType::FloatVector,
            &[&bytes(&[1.0, 2.0, 3.0, 4.0])],
        ))),
        ..Default::default()
    }
}

/// A good search, but for its placeholders.
pub fn search_for(placeholders: Vec<u8>) -> SearchRequest {
    let search_input = Some(SearchInput::PlaceholderGroup(placeholders));
    SearchRequest { search_input, ..search(&[]) }
}

/// A query of rows with these parameters.
pub fn query(expr: &str, params: &[(&str, &str)]) -> QueryRequest {
    QueryRequest {
        collection_name: "plain".into(),
        expr: expr.into(),
        query_params: pairs(params),
        ..Default::default()
    }
}
