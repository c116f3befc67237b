//! What users of gRPC and HTTP find, each written once and played in two worlds. One module per concern.

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

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

/// Makes three tests of each scenario, over a lossy network: with a client, a server, and both that do without tonic's
/// transport.
macro_rules! with_direct_ends {
    ($($scenario:ident),* $(,)?) => {
        with_direct_ends!(@from_a_direct_channel, true, false, $($scenario),*);
        with_direct_ends!(@to_a_direct_server, false, true, $($scenario),*);
        with_direct_ends!(@between_direct_ends, true, true, $($scenario),*);
    };
    (@$module:ident, $clients:literal, $servers:literal, $($scenario:ident),*) => {
        mod $module {
            $(#[test]
            fn $scenario() {
                let ends = e2e::Ends { direct_clients: $clients, direct_servers: $servers };
                e2e::World::simulated(|world| super::$scenario(world.between(ends)));
            })*
        }
    };
}

mod calls;
mod crowds;
mod direct;
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
