//! Generates the gRPC client of auth and the messages of NATS from the repository's protos.
use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let protos = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    let files = [
        "odeon/auth/v1/auth.proto",
        "odeon/events/v1/events.proto",
        "odeon/pools/v1/pools.proto",
        "odeon/common/v1/options.proto",
    ];
    for file in files {
        println!("cargo:rerun-if-changed={}", protos.join(file).display());
    }
    // protox compiles without protoc.
    let descriptors = protox::compile(files, [&protos])?;
    tonic_prost_build::configure()
        .build_server(false)
        .compile_fds(descriptors)?;
    Ok(())
}
