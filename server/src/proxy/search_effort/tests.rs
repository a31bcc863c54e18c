use super::*;
use serde_json::json;

fn text(pairs: &[(&str, &str)]) -> Params {
    pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
}

fn raw(value: Value) -> RawParams {
    value.as_object().map(|o| o.clone().into_iter().collect()).unwrap_or_default()
}

struct Case {
    index: Params,
    vectors: Vectors,
    top_k: usize,
    mode: Mode,
    rows: u64,
}

/// A search for ten results of a million rows.
fn on(index: &[(&str, &str)]) -> Case {
    Case {
        index: text(index),
        vectors: Vectors::Dense,
        top_k: 10,
        mode: Mode::Plain,
        rows: 1_000_000,
    }
}

fn index(kind: &str) -> Case {
    on(&[("index_type", kind), ("nlist", "1024")])
}

impl Case {
    fn ask(&self, search: Value) -> Result<f32, String> {
        let asked = Asked {
            index: Some(&self.index),
            vectors: self.vectors,
            search: &raw(search),
            top_k: self.top_k,
            mode: self.mode,
            rows: &|| self.rows,
        };
        effort(&asked).map(Effort::recall).map_err(|f| {
            assert_eq!(f.code, code::UNEXPECTED);
            f.reason
        })
    }
}

#[test]
fn without_parameters_the_effort_is_the_default() {
    for kind in kinds::all_names().filter(|name| *name != "SCANN_DVR") {
        let exact = kinds::named(kind, Vectors::Dense).is_some_and(|k| k.knob == Knob::Exact);
        let want = if exact { 1.0 } else { 0.98 };
        assert_eq!(index(kind).ask(json!({})), Ok(want), "{kind}");
    }
    let none = Asked { index: None, ..asked_nothing() };
    assert_eq!(effort(&none), Ok(Effort::DEFAULT));
}

fn asked_nothing() -> Asked<'static> {
    static EMPTY: RawParams = RawParams::new();
    Asked {
        index: None,
        vectors: Vectors::Dense,
        search: &EMPTY,
        top_k: 10,
        mode: Mode::Plain,
        rows: &|| 0,
    }
}

#[test]
fn usual_settings_give_what_they_give_in_milvus() {
    for (case, search, least, most) in [
        (index("HNSW"), json!({"ef": 16}), 0.90, 0.93),
        (index("HNSW"), json!({"ef": 64}), 0.97, 0.985),
        (index("HNSW"), json!({"ef": 200}), 0.994, 0.996),
        (index("HNSW_SQ"), json!({"ef": 64, "refine_k": 4}), 0.985, 0.99),
        (Case { top_k: 100, ..index("HNSW") }, json!({"ef": 100}), 0.92, 0.94),
        (Case { top_k: 1, ..index("HNSW") }, json!({"ef": 64}), 0.97, 0.985),
        (index("DISKANN"), json!({"search_list": 100}), 0.98, 0.995),
        (index("AISAQ"), json!({"search_list_size": 16}), 0.90, 0.93),
        (index("IVF_FLAT"), json!({"nprobe": 16}), 0.89, 0.92),
        (index("IVF_FLAT"), json!({"nprobe": 64}), 0.975, 0.985),
        (index("IVF_SQ8"), json!({"nprobe": 1024}), 0.999, 0.999_5),
        (index("IVF_PQ"), json!({"nprobe": 64, "refine_k": 8}), 0.985, 0.993),
        (index("SCANN"), json!({"nprobe": 64, "reorder_k": 100}), 0.985, 0.993),
        (index("IVF_FLAT"), json!({"nprobe": 1}), 0.80, 0.80),
        (index(AUTO), json!({"level": 1}), 0.90, 0.90),
        (index(AUTO), json!({"level": 6}), 0.99, 0.99),
        (index(AUTO), json!({"level": 10}), 0.998, 0.999),
        (index(AUTO), json!({"ef": 64}), 0.97, 0.985),
        (
            Case { vectors: Vectors::Bits, ..index("BIN_IVF_FLAT") },
            json!({"nprobe": 64}),
            0.975,
            0.985,
        ),
    ] {
        let got = case.ask(search.clone()).unwrap_or_default();
        assert!((least..=most).contains(&got), "{:?} {search}: {got}", case.index);
    }
}

#[test]
fn all_lists_are_an_exact_search_where_lists_hold_the_vectors() {
    assert_eq!(index("IVF_FLAT").ask(json!({"nprobe": 1024})), Ok(1.0));
    // So few rows make few lists: 390 make ten.
    let few = Case { rows: 390, ..index("IVF_FLAT") };
    assert_eq!(few.ask(json!({"nprobe": 10})), Ok(1.0));
    assert!(few.ask(json!({"nprobe": 9})).is_ok_and(|e| e < 1.0));
    assert!(
        Case { rows: 390, ..index("IVF_SQ8") }.ask(json!({"nprobe": 10})).is_ok_and(|e| e < 1.0)
    );
    let bits = Case { vectors: Vectors::Bits, ..on(&[("index_type", AUTO)]) };
    assert_eq!(bits.ask(json!({"nprobe": 1024})), Ok(1.0));
}

#[test]
fn more_of_a_parameter_is_never_less_effort() {
    let steps = |kind: &str, key: &str, values: &[i64], rest: Value| {
        for rows in [0, 100, 10_000, 10_000_000] {
            for top_k in [1, 10, 100] {
                let case = Case { rows, top_k, ..index(kind) };
                let mut before = 0.0;
                for value in
                    values.iter().filter(|v| key == "nprobe" || **v >= 100 || key == "level")
                {
                    let mut search = rest.clone();
                    search[key] = json!(value);
                    let got = case.ask(search).unwrap_or_default();
                    assert!(got >= before && (0.80..=1.0).contains(&got), "{kind} {key} {value}");
                    before = got;
                }
            }
        }
    };
    let many = [1, 2, 8, 10, 16, 64, 100, 101, 128, 500, 1_024, 4_096, 65_536];
    for kind in ["IVF_FLAT", "IVF_SQ8", "IVF_PQ", "IVF_RABITQ", "SCANN"] {
        steps(kind, "nprobe", &many, json!({}));
    }
    for kind in ["HNSW", "HNSW_SQ", "HNSW_PQ", "HNSW_PRQ", AUTO] {
        steps(kind, "ef", &many, json!({}));
    }
    steps("DISKANN", "search_list", &many, json!({}));
    steps("SCANN", "reorder_k", &many, json!({"nprobe": 8}));
    steps("HNSW_SQ", "refine_k", &many, json!({"ef": 128}));
    steps(AUTO, "level", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], json!({}));
}

#[test]
fn bad_parameters_are_refused_in_milvus_words() {
    for (case, search, words) in [
        (index("HNSW"), json!({"ef": 9}), "ef(9) should be larger than k(10)"),
        (index("HNSW"), json!({"ef": 0}), "param 'ef' (0) should be in range [1, 2147483647]"),
        (index("HNSW"), json!({"ef": null}), "param 'ef' (null) should be integer"),
        (index("HNSW_PQ"), json!({"ef": 64, "refine_k": 0}), "Out of range in json"),
        (index("HNSW_SQ"), json!({"refine_k": ""}), "invalid float value"),
        (index("IVF_FLAT"), json!({"nprobe": 65_537}), "should be in range [1, 65536]"),
        (index("IVF_FLAT"), json!({"nprobe": 32.0}), "param 'nprobe' (32.0) should be integer"),
        (index("IVF_RABITQ"), json!({"rbq_bits_query": 9}), "should be in range [0, 8]"),
        (index("SCANN"), json!({"reorder_k": 9}), "reorder_k(9) should be larger than k(10)"),
        (
            index("DISKANN"),
            json!({"search_list": 9}),
            "search_list_size(9) should be larger than k(10)",
        ),
        (index("AISAQ"), json!({"beamwidth": 17}), "should be in range [1, 16]"),
        (index(AUTO), json!({"level": 11}), "param 'level' (11) should be in range [1, 10]"),
        (index(AUTO), json!({"ef": 9}), "ef(9) should be larger than k(10)"),
    ] {
        let reason = case.ask(search.clone()).err().unwrap_or_default();
        assert!(
            reason.starts_with("failed to search: ") && reason.contains(words),
            "{search}: {reason}"
        );
    }
}

#[test]
fn what_an_index_does_not_read_is_left_alone() {
    let fine = [
        (index("HNSW"), json!({"nprobe": 0, "anything": []})),
        (index("FLAT"), json!({"ef": 1})),
        (index("HNSW_PQ"), json!({"ef": 1})),
        (index("HNSW_PRQ"), json!({"ef": 1})),
        (index("IVF_FLAT"), json!({"ef": 1, "level": 99})),
        (index("HNSW"), json!({"ef": "64"})),
        (Case { mode: Mode::Range, ..index("HNSW") }, json!({"ef": 1})),
        (Case { mode: Mode::Pages, ..index("DISKANN") }, json!({"search_list": 1})),
    ];
    for (case, search) in fine {
        assert!(case.ask(search.clone()).is_ok(), "{search}");
    }
    let reason = Case { mode: Mode::Range, ..index("IVF_FLAT") }.ask(json!({"nprobe": 0}));
    assert!(reason.is_err_and(|r| r.starts_with("failed to range search: out of range in json: ")));
}
