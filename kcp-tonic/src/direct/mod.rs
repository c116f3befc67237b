//! gRPC without the layers of tonic's transport: calls go straight to HTTP/2.
//!
//! On the wire it is what tonic speaks, so either end may be tonic's own, grpc-go, or any other.

mod body;
mod channel;
mod connection;
mod deadline;
mod outgoing;
mod server;

pub use body::DirectBody;
pub use channel::{DirectChannel, DirectFuture};
pub use server::{serve_direct, serve_direct_with_shutdown};
