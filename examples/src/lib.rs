//! What the examples share: the code generated from `proto`, and calls by name: a registry of services, a framework, and
//! rpcx's protocol.

/// Greets.
#[allow(missing_docs, clippy::all, clippy::use_self)]
pub mod hello {
    include!("generated/hello.rs");
}

/// Offers a file.
#[allow(missing_docs, clippy::all, clippy::use_self)]
pub mod files {
    include!("generated/files.rs");
}

pub mod framework;
pub mod registry;
pub mod rpcx;

/// The README, whose code must work.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

#[cfg(test)]
mod tests;
