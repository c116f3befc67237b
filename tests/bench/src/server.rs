//! What a server does with a stream, whatever carries it.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{Halves, Kind, parse_request};
use crate::settings::CHUNK;
use crate::work::SMALL;

/// Answers requests until the stream ends. How it ends is of no interest: callers see it too.
pub(crate) async fn serve_stream(mut stream: Halves) {
    let _ = answer(&mut stream).await;
}

async fn answer(stream: &mut Halves) -> io::Result<()> {
    let Halves { reader, writer } = stream;
    let mut request = [0; SMALL];
    let mut response = Vec::new();
    loop {
        reader.read_exact(&mut request).await?;
        match parse_request(&request) {
            Some((Kind::Call, len)) => {
                let len = len.min(MAX_RESPONSE);
                if response.len() < len {
                    response.resize(len, 0x5a);
                }
                writer.write_all(&response[..len]).await?;
                writer.flush().await?;
            }
            Some((Kind::Bulk, _)) => {
                let chunk = vec![0x5a; CHUNK];
                let send = async {
                    loop {
                        writer.write_all(&chunk).await?;
                    }
                };
                let mut more = [0; 1];
                tokio::select! {
                    result = send => return result,
                    result = reader.read(&mut more) => return result.map(|_| ()),
                }
            }
            Some((Kind::Echo, size)) => {
                let mut buffer = vec![0; size.clamp(1, CHUNK)];
                loop {
                    let read = reader.read(&mut buffer).await?;
                    if read == 0 {
                        return Ok(());
                    }
                    writer.write_all(&buffer[..read]).await?;
                    writer.flush().await?;
                }
            }
            None => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Longest response that a request can have: nobody makes a server allocate what it likes.
const MAX_RESPONSE: usize = 4 << 20;
