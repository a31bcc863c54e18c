//! Two faces, one answer: hundreds of random questions over gRPC and in SQL, at one snapshot.
//!
//! Rows lie in several segments, a compacted one and the memtable, in several partitions, some of
//! them replaced or deleted. Then all is asked again after a flush, a compaction and a restart: the
//! answers stay. `ELANUS_TEST_SEED=n` replays one run.

mod condition;
mod load;
mod question;
mod things;
mod value;

use elanus_engine::core::settings::Settings;
use elanus_sql::Sql;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::harness;
use crate::served::Served;
use condition::Condition;
use load::Loader;
use question::{Answer, Outcome, Question};

fn settings() -> Settings {
    Settings { memtable: Default::default(), ..harness::small_settings() }
}

/// The first answers, by gRPC, by SQL and by a scan without the search; all must be the same.
async fn ask(served: &Served, questions: &[Question]) -> Vec<Answer> {
    let sql = Sql::new(served.engine.clone(), "default").expect("a session");
    let plain = sql.session("default").expect("a session");
    plain.set("elanus.vector_top_k", "false").expect("a setting");
    let mut client = served.client.clone();
    let mut answers = Vec::new();
    let mut wrong = Vec::new();
    for (at, question) in questions.iter().enumerate() {
        let answer = question.over_grpc(&mut client).await.map(|answer| {
            question.check_order(&answer);
            question.in_sql_words(answer)
        });
        let over_sql = question.over_sql(&sql).await;
        wrong.extend(difference(question, "SQL", &answer, &over_sql));
        if at % 3 == 0 && !question.may_tie() {
            let scanned = question.by_scan(&plain).await;
            wrong.extend(difference(question, "a scan in SQL", &answer, &scanned));
        }
        if question.is_search() {
            let statement = question.statements().remove(0);
            let plan = question::rows(&sql, &format!("EXPLAIN {statement}")).await;
            let plan = format!("{plan:?}");
            // A condition that is never true leaves nothing to search.
            let never = plan.contains("EmptyExec") && answer == Ok(vec![vec![]; question.lists()]);
            assert!(never || plan.contains("VectorTopKExec"), "{statement}: {plan}");
        }
        answers.push(answer.unwrap_or_default());
    }
    fail_on(wrong, questions.len());
    answers
}

/// Asks again; each answer must be the one before. SQL is asked every other time.
async fn ask_again(served: &Served, questions: &[Question], answers: &[Answer], when: &str) {
    let sql = Sql::new(served.engine.clone(), "default").expect("a session");
    let mut client = served.client.clone();
    let mut wrong = Vec::new();
    for (at, (question, before)) in questions.iter().zip(answers).enumerate() {
        let before = Ok(before.clone());
        let answer = question.over_grpc(&mut client).await.map(|a| question.in_sql_words(a));
        wrong.extend(difference(question, &format!("gRPC {when}"), &before, &answer));
        if at % 2 == 0 {
            let answer = question.over_sql(&sql).await;
            wrong.extend(difference(question, &format!("SQL {when}"), &before, &answer));
        }
    }
    fail_on(wrong, questions.len());
}

fn difference(question: &Question, what: &str, before: &Outcome, now: &Outcome) -> Option<String> {
    let text = match (before, now) {
        (Ok(before), Ok(now)) if before == now => return None,
        (Ok(before), Ok(now)) => {
            let counts = |a: &Answer| a.iter().map(Vec::len).collect::<Vec<_>>();
            let mut pairs = before.iter().flatten().zip(now.iter().flatten());
            let first = pairs.find(|(a, b)| a != b);
            format!("{:?} rows, expected {:?}; first {first:?}", counts(now), counts(before))
        }
        (Err(before), Err(now)) => format!("both fail: {before}; {now}"),
        (Err(before), Ok(_)) => format!("gRPC fails: {before}"),
        (Ok(_), Err(now)) => format!("fails: {now}"),
    };
    let statements = question.statements().join("\n");
    Some(format!("{what}: {text}\n{}\n{statements}", question.milvus()))
}

fn fail_on(wrong: Vec<String>, of: usize) {
    let few: Vec<&String> = wrong.iter().take(12).collect();
    assert!(wrong.is_empty(), "{} of {of} differ:\n{few:#?}", wrong.len());
}

/// A condition that does not say the same in both languages is found out, in rows and in a failure.
async fn planted_differences_are_found(served: &Served) {
    let sql = Sql::new(served.engine.clone(), "default").expect("a session");
    let mut client = served.client.clone();
    for (milvus, other) in [
        ("i8 < 3", "i8 <= 3"),
        ("not (ni8 == 3)", "ni8 IS NULL OR ni8 <> 3"),
        ("i8 == 3", "i8 == 3 AND nope"),
        ("i8 ==", "i8 = 3"),
    ] {
        let question = Question::rows_where(Condition::new(milvus, other));
        let answers = (question.over_grpc(&mut client).await, question.over_sql(&sql).await);
        assert!(difference(&question, "SQL", &answers.0, &answers.1).is_some(), "{milvus}");
    }
}

async fn run(seed: u64, text_keys: bool, count: usize) {
    println!("ELANUS_TEST_SEED={seed} text_keys={text_keys}");
    let mut rng = StdRng::seed_from_u64(seed);
    let folder = harness::folder();
    let served = Served::start(folder.path(), &settings()).await;
    let mut loader = Loader::new(served.client.clone(), text_keys);
    loader.load(&mut rng).await;
    loader.check_layout(&served.engine);
    loader.check_all(&served.engine).await;
    planted_differences_are_found(&served).await;
    let questions: Vec<_> = (0..count).map(|_| Question::random(&mut rng, text_keys)).collect();
    let answers = ask(&served, &questions).await;
    let filled = answers.iter().filter(|a| a.iter().any(|list| !list.is_empty())).count();
    assert!(filled * 2 > count, "only {filled} of {count} questions have an answer");

    loader.flush().await;
    ask_again(&served, &questions, &answers, "after a flush").await;
    loader.compact().await;
    ask_again(&served, &questions, &answers, "after a compaction").await;
    served.stop().await;
    let served = Served::start(folder.path(), &settings()).await;
    ask_again(&served, &questions, &answers, "after a restart").await;
    loader.client = served.client.clone();
    loader.check_all(&served.engine).await;
    drop(loader);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_and_sql_agree_with_integer_keys() {
    for seed in harness::seeds(71, 1) {
        run(seed, false, 420).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_and_sql_agree_with_text_keys() {
    for seed in harness::seeds(171, 1) {
        run(seed, true, 120).await;
    }
}
