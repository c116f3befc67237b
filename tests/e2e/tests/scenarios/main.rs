//! What users of gRPC and HTTP find, each written once and played in two worlds. One module per concern.

/// Makes two tests of each scenario, a function that takes a `World`.
macro_rules! in_both_worlds {
    ($($scenario:ident),* $(,)?) => {
        mod over_a_lossy_network {
            $(#[test]
            fn $scenario() {
                e2e::World::simulated(super::$scenario);
            })*
        }

        mod over_real_sockets {
            $(#[test]
            fn $scenario() {
                e2e::World::real(super::$scenario);
            })*
        }
    };
}

mod calls;
mod crowds;
mod grpc_features;
mod http1;
mod http2;
mod layers;
mod lifecycle;
mod matrix;
mod saturation;
mod server;
mod silence;
mod tls;
mod truncation;
