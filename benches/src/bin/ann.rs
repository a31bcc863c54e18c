//! `ann JOB.json`: builds and searches an embedded store as a job file says; one line of JSON a step.
//! The scripts beside this crate write the jobs; `benches/src/job.rs` says what may stand in them.

use std::process::ExitCode;

use elanus_benches::{Failure, run};

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("ann: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<(), Failure> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(job), None) = (arguments.next(), arguments.next()) else {
        return Err("give one argument: the job file".into());
    };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(1).enable_all();
    runtime.build()?.block_on(run::run(job.as_ref()))
}
