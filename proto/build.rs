//! Compiles the messages with a compiler written in Rust, so that no protoc is needed for ours.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=milvus");
    println!("cargo:rerun-if-changed=disk");
    let wire = protox::compile(["milvus.proto"], ["milvus"])?;
    tonic_prost_build::configure()
        .generate_default_stubs(true)
        .build_client(true)
        // A client's `connect` to an address would clash with the RPC `Connect`.
        .build_transport(false)
        .bytes(".milvus.proto.common.PlaceholderValue")
        .compile_fds(wire)?;
    let disk = protox::compile(["elanus.proto"], ["disk"])?;
    tonic_prost_build::configure().build_client(false).build_server(false).compile_fds(disk)?;
    Ok(())
}
