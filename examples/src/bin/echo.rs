//! A session in its simplest form: a listener that sends everything back, and a client.
//!
//! Both in one process: `cargo run -p examples --bin echo`
//! Apart: `… --bin echo -- serve 127.0.0.1:4000` and `… --bin echo -- call 127.0.0.1:4000`

use std::error::Error;

use kcp_transport::{Cipher, Config, ConfigError, Connector, Listener};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Both ends need the same cipher and key.
fn config() -> Result<Config, ConfigError> {
    let cipher = Cipher::kcptun("aes-128-gcm", "use a long random passphrase")?;
    Ok(Config::fast3().cipher(cipher))
}

async fn serve(mut listener: Listener) -> std::io::Result<()> {
    println!("listening on {}", listener.local_addr());
    loop {
        let (stream, peer) = listener.accept().await?;
        println!("{peer} opened a session");
        tokio::spawn(async move {
            let (mut reader, mut writer) = stream.into_split();
            // KCP has no end of stream: a session ends when its peer has been silent for the idle timeout.
            let ended = tokio::io::copy(&mut reader, &mut writer).await;
            println!("{peer} is gone: {ended:?}");
        });
    }
}

async fn call(address: &str) -> Result<(), Box<dyn Error>> {
    let mut stream = Connector::new(config()?).connect(address).await?;
    for line in ["one", "two", "three"] {
        stream.write_all(line.as_bytes()).await?;
        let mut back = vec![0; line.len()];
        stream.read_exact(&mut back).await?;
        println!("{line} came back as {}", String::from_utf8_lossy(&back));
    }
    println!("round trip {:?}", stream.stats().rtt);
    stream.close().await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", address] => serve(Listener::bind(address, config()?).await?).await?,
        ["call", address] => call(address).await?,
        [] => {
            let listener = Listener::bind("127.0.0.1:0", config()?).await?;
            let address = listener.local_addr().to_string();
            tokio::spawn(serve(listener));
            call(&address).await?;
        }
        _ => return Err("usage: echo [serve ADDRESS | call ADDRESS]".into()),
    }
    Ok(())
}
