//! `cargo xtask sim`: many seeds of the simulation, on every core.

use crate::context::Context;
use crate::run::run;

/// Arguments of the command, each with the variable that tells the tests of it.
const NUMBERS: [(&str, &str); 3] = [
    ("--seeds", "ELANUS_SIM_SEEDS"),
    ("--minutes", "ELANUS_SIM_MINUTES"),
    ("--first", "ELANUS_SIM_FIRST"),
];

/// Runs seeds and prints the report; with `--seed` replays one.
pub fn sim(context: &Context, arguments: &[String]) -> Result<bool, String> {
    let mut command = context.cargo(&[
        "test",
        "--workspace",
        "--locked",
        "--quiet",
        "--test",
        "simulation",
        "--",
    ]);
    let mut one = false;
    for pair in arguments.chunks(2) {
        let [name, value] = pair else {
            return Err(format!("{} needs a number", pair[0]));
        };
        if value.parse::<u64>().is_err() {
            return Err(format!("{name} {value}: expected a number"));
        }
        if name == "--seed" {
            one = true;
            command.env("ELANUS_SIM_SEED", value);
            continue;
        }
        let known = NUMBERS.iter().find(|(known, _)| known == name);
        let (_, variable) = known.ok_or_else(|| format!("no such argument: {name}"))?;
        command.env(variable, value);
    }
    match one {
        true => command.args(["--exact", "tests::some_seeds", "--nocapture"]),
        false => command.args(["--exact", "tests::many_seeds", "--ignored", "--nocapture"]),
    };
    run(&mut command)
}
