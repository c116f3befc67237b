//! The file to download: the user's, or a random one.

use std::io;
use std::path::Path;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::args::Args;

/// The file that the server offers, held in memory.
#[derive(Clone)]
pub(crate) struct Offer {
    /// Its bytes.
    pub(crate) content: Bytes,
    /// Their SHA-256.
    pub(crate) sha256: Bytes,
}

impl Offer {
    /// Reads the file, or makes one.
    pub(crate) fn load(args: &Args) -> io::Result<Self> {
        let content = match &args.file {
            Some(path) => read(path)?,
            None => random(args.size << 20, args.seed),
        };
        Ok(Self {
            sha256: Sha256::digest(&content).to_vec().into(),
            content: content.into(),
        })
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    std::fs::read(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// Bytes without pattern. Source: G. Marsaglia, "Xorshift RNGs", 2003.
fn random(len: u64, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(len.div_ceil(8) as usize).flatten().collect()
}
