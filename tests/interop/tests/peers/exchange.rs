//! Our end of a conversation: streams written and read, every byte compared.

use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use interop::stream::Stream;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Writes `bytes` of the stream of `seed`, `chunk` at a time.
pub(crate) async fn write(
    writer: &mut (impl AsyncWrite + Unpin),
    seed: u64,
    bytes: usize,
    chunk: usize,
) -> io::Result<()> {
    let mut content = Stream::new(seed);
    let mut buffer = vec![0; chunk.min(bytes)];
    let mut left = bytes;
    while left > 0 {
        let part = left.min(chunk);
        content.fill(&mut buffer[..part]);
        writer.write_all(&buffer[..part]).await?;
        left -= part;
    }
    Ok(())
}

/// Reads `bytes`, which must be the stream of `seed`.
pub(crate) async fn read(
    reader: &mut (impl AsyncRead + Unpin),
    seed: u64,
    bytes: usize,
) -> io::Result<()> {
    let mut content = Stream::new(seed);
    let mut buffer = vec![0; bytes.min(64 * 1024)];
    let mut expected = buffer.clone();
    let mut total = 0;
    while total < bytes {
        let part = buffer.len().min(bytes - total);
        let len = reader.read(&mut buffer[..part]).await?;
        assert_ne!(len, 0, "KCP has no end of a stream");
        content.fill(&mut expected[..len]);
        let wrong = (0..len).find(|&at| buffer[at] != expected[at]);
        assert_eq!(wrong, None, "wrong byte behind {total} right ones");
        total += len;
    }
    Ok(())
}

/// Returns whatever comes, and counts it. Ends with an error only.
pub(crate) async fn echo(
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
    count: &AtomicU64,
) -> io::Result<Infallible> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let len = reader.read(&mut buffer).await?;
        assert_ne!(len, 0, "KCP has no end of a stream");
        writer.write_all(&buffer[..len]).await?;
        count.fetch_add(len as u64, Ordering::Relaxed);
    }
}
