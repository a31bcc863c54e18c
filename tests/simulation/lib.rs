//! The simulation is the test binary `main.rs`, in a package of its own because it needs only the engine and is
//! built in a fraction of the time of the others.
