//! The generated code that is checked in says what the `.proto` files say.

use std::path::Path;
use std::{env, fs};

/// `GENERATE=1 cargo test -p examples --lib` writes the code anew. Needs no `protoc`.
#[test]
fn the_generated_code_fits_the_proto_files() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let checked_in = package.join("src/generated");
    let fresh = tempfile::tempdir().unwrap();
    let protos = ["hello.proto", "files.proto"];
    let descriptors = protox::compile(protos, [package.join("proto")]).unwrap();
    tonic_prost_build::configure()
        .bytes(".")
        .out_dir(fresh.path())
        .compile_fds(descriptors)
        .unwrap();
    for proto in protos {
        let name = Path::new(proto).with_extension("rs");
        let code = fs::read_to_string(fresh.path().join(&name)).unwrap();
        let place = checked_in.join(name);
        if env::var_os("GENERATE").is_some() {
            fs::write(place, code).unwrap();
        } else {
            let unchanged = fs::read_to_string(place).unwrap() == code;
            assert!(unchanged, "{proto} has changed, and the code has not");
        }
    }
}
