//! What the examples share: the code generated from `proto`.

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

#[cfg(test)]
mod tests;
