//! Tests over a real engine in a temporary folder.

mod answers;
mod fixture;
mod functions;
mod past;
mod plans;
mod session;
mod vectors;
mod writes;
