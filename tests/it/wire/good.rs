//! What is unusual and right: both layouts of nulls, large messages, databases by metadata, and what
//! a success looks like.

use elanus_proto::schema::field_data::Field;
use elanus_proto::schema::{DataType, FieldSchema, vector_field};
use elanus_proto::service::*;
use tonic::Request;

use super::requests::*;
use super::{NO_DATABASE, fault};
use crate::harness;
use crate::served::{Served, create_loaded, creation, field, good};

async fn served() -> (tempfile::TempDir, Served) {
    let folder = harness::folder();
    let served = Served::start(folder.path(), &Default::default()).await;
    prepare(&mut served.client.clone()).await;
    (folder, served)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nulls_come_in_both_layouts_and_go_out_in_one() {
    let (_folder, served) = served().await;
    let mut client = served.client.clone();
    let flags = [true, false, true];
    let compact = [
        smalls("small", &[1, 3], &flags),
        floats("w", 2, &[1.0, 1.5, 3.0, 3.5], &flags),
        jsons("doc", &[b"{}", b"[3]"], &flags),
    ];
    let dense = [
        smalls("small", &[1, 99, 3], &flags),
        floats("w", 2, &[1.0, 1.5, 9.0, 9.0, 3.0, 3.5], &flags),
        jsons("doc", &[b"{}", b"", b"[3]"], &flags),
    ];
    // Newer clients put the flags inside.
    let inside = dense.clone().map(|mut column| {
        let flags = std::mem::take(&mut column.valid_data);
        match column.field.as_mut() {
            Some(Field::Scalars(s)) => s.valid_data = flags,
            Some(Field::Vectors(v)) => v.valid_data = flags,
            other => panic!("{other:?}"),
        }
        column
    });
    for (what, others) in [("compact", compact), ("dense", dense), ("inside", inside)] {
        let answer = client.upsert(upsert(columns(3, others), 3)).await.expect(what).into_inner();
        assert_eq!(answer.upsert_cnt, 3, "{what}: {:?}", answer.status);
        good(answer.status);
        let request = QueryRequest {
            output_fields: ["small", "w", "doc"].map(String::from).into(),
            ..query("id >= 0", &[])
        };
        let answer = client.query(request).await.expect(what).into_inner();
        good(answer.status);
        let column = |name: &str| {
            answer.fields_data.iter().find(|c| c.field_name == name).cloned().unwrap_or_default()
        };
        let small = column("small");
        assert_eq!(small.valid_data, flags, "{what}");
        assert_eq!(small.field, smalls("small", &[1, 0, 3], &[]).field, "{what}");
        let doc = column("doc");
        assert_eq!(
            (doc.field, doc.valid_data.as_slice()),
            (jsons("doc", &[b"{}", b"", b"[3]"], &[]).field, &flags[..])
        );
        let w = column("w");
        assert_eq!(w.valid_data, flags, "{what}");
        assert_eq!(w.field, floats("w", 2, &[1.0, 1.5, 3.0, 3.5], &[]).field, "{what}");
    }
    let all_null = [false; 3];
    let nothing = [
        smalls("small", &[], &all_null),
        floats("w", 0, &[], &all_null),
        jsons("doc", &[], &all_null),
    ];
    good(
        client.upsert(upsert(columns(3, nothing), 3)).await.expect("all null").into_inner().status,
    );
    let request = QueryRequest {
        output_fields: vec!["count(*)".into()],
        ..query("small is null and w is null and doc is null", &[])
    };
    let answer = client.query(request).await.expect("an answer").into_inner();
    assert_eq!(answer.fields_data[0].field, longs("count(*)", &[3]).field);
    drop(client);
    served.stop().await;
}

/// 640 vectors of 128 KiB in one request, and in one answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_eighty_megabytes_pass_both_ways() {
    const DIM: usize = 32_768;
    const ROWS: usize = 640;
    let (_folder, served) = served().await;
    let mut client = served.client.clone();
    let key = FieldSchema { is_primary_key: true, ..field("id", DataType::Int64, &[]) };
    let dim = DIM.to_string();
    let fields = vec![key, field("v", DataType::FloatVector, &[("dim", &dim)])];
    create_loaded(&mut client, creation("wide", fields, false), &[("v", "L2")]).await;
    let ids: Vec<i64> = (0..ROWS as i64).collect();
    let data: Vec<f32> = (0..ROWS * DIM).map(|i| (i % 1_009) as f32).collect();
    let request = InsertRequest {
        collection_name: "wide".into(),
        fields_data: vec![longs("id", &ids), floats("v", DIM as i64, &data, &[])],
        num_rows: ROWS as u32,
        ..Default::default()
    };
    let answer = client.insert(request).await.expect("80 MB in").into_inner();
    assert_eq!(answer.insert_cnt, ROWS as i64, "{:?}", answer.status);
    let request = QueryRequest {
        collection_name: "wide".into(),
        output_fields: vec!["v".into()],
        ..query("id >= 0", &[])
    };
    let answer = client.query(request).await.expect("80 MB out").into_inner();
    good(answer.status);
    let vectors = answer.fields_data.iter().find(|c| c.field_name == "v").expect("vectors");
    let Some(Field::Vectors(vectors)) = &vectors.field else { panic!("no vectors") };
    let Some(vector_field::Data::FloatVector(found)) = &vectors.data else { panic!("no floats") };
    assert!(found.data == data, "{} floats came back", found.data.len());
    drop(client);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_comes_by_metadata() {
    let (_folder, served) = served().await;
    let mut client = served.client.clone();
    fn of<T>(database: &'static str, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("dbname", database.parse().expect("ASCII"));
        request
    }
    let words = "database not found[database=nope]";
    let describe =
        || DescribeCollectionRequest { collection_name: "plain".into(), ..Default::default() };
    let statuses = [
        client
            .connect(of("nope", ConnectRequest::default()))
            .await
            .expect("it")
            .into_inner()
            .status,
        client.describe_collection(of("nope", describe())).await.expect("it").into_inner().status,
        client.search(of("nope", search(&[]))).await.expect("it").into_inner().status,
        client.query(of("nope", query("id > 0", &[]))).await.expect("it").into_inner().status,
        client.insert(of("nope", insert(columns(1, []), 1))).await.expect("it").into_inner().status,
        client
            .show_collections(of("nope", Default::default()))
            .await
            .expect("it")
            .into_inner()
            .status,
        Some(
            client
                .drop_collection(of(
                    "nope",
                    DropCollectionRequest { collection_name: "plain".into(), ..Default::default() },
                ))
                .await
                .expect("it")
                .into_inner(),
        ),
    ];
    for (at, status) in statuses.into_iter().enumerate() {
        assert_eq!(fault(status, NO_DATABASE, words), None, "call {at}");
    }
    for database in ["", "default"] {
        let answer = client.connect(of(database, ConnectRequest::default())).await.expect("it");
        let answer = answer.into_inner();
        good(answer.status);
        assert_ne!(answer.identifier, 0);
        good(
            client
                .describe_collection(of(database, describe()))
                .await
                .expect("it")
                .into_inner()
                .status,
        );
    }
    // What the request names comes before the connection's.
    let request = DescribeCollectionRequest { db_name: "default".into(), ..describe() };
    good(client.describe_collection(of("nope", request)).await.expect("it").into_inner().status);
    drop(client);
    served.stop().await;
}
