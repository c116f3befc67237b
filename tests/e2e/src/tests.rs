//! The generated code that is checked in says what `probe.proto` says.

use std::path::Path;
use std::{env, fs};

/// `GENERATE=1 cargo test -p e2e --lib` writes the code anew. Needs no `protoc`.
#[test]
fn the_generated_code_fits_the_proto_file() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fresh = tempfile::tempdir().unwrap();
    let descriptors = protox::compile(["probe.proto"], [package.join("proto")]).unwrap();
    tonic_prost_build::configure()
        .bytes(".")
        .out_dir(fresh.path())
        .compile_fds(descriptors)
        .unwrap();
    let code = fs::read_to_string(fresh.path().join("probe.rs")).unwrap();
    let place = package.join("src/generated/probe.rs");
    if env::var_os("GENERATE").is_some() {
        fs::write(place, code).unwrap();
    } else {
        assert_eq!(fs::read_to_string(place).unwrap(), code);
    }
}
