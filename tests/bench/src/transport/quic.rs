//! QUIC by quinn, with AES-128-GCM so that its packets cost what ours do.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use quinn::congestion::{BbrConfig, ControllerFactory, CubicConfig};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{Connection, Endpoint, EndpointConfig, TokioRuntime, TransportConfig};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CipherSuite, DigitallySignedStruct, SignatureScheme};
use tokio::sync::OnceCell;

use super::{Server, Transport, local_for, udp};
use crate::client::{Client, Dial, Halves, StreamClient};
use crate::names::Congestion;
use crate::server::serve_stream;

/// A stream for every call.
pub(super) struct Quinn {
    ends: Ends,
    /// All connections of a client are on one socket.
    client: OnceCell<Endpoint>,
}

impl Quinn {
    pub(super) fn new(congestion: Congestion) -> io::Result<Self> {
        Ok(Self {
            ends: Ends::new(congestion, b"bench")?,
            client: OnceCell::new(),
        })
    }
}

impl Transport for Quinn {
    fn serve(&self, listen: SocketAddr) -> BoxFuture<'_, io::Result<Server>> {
        Box::pin(async move {
            let endpoint = self.ends.server(listen)?;
            Ok(Server::new(endpoint.local_addr()?, async move {
                while let Some(incoming) = endpoint.accept().await {
                    tokio::spawn(async move {
                        let Ok(connection) = incoming.await else {
                            return;
                        };
                        while let Ok((writer, reader)) = connection.accept_bi().await {
                            tokio::spawn(serve_stream(Halves::new(reader, writer)));
                        }
                    });
                }
                Ok(())
            }))
        })
    }

    fn connect(&self, server: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Client>>> {
        Box::pin(async move {
            let endpoint = async || self.ends.client(server);
            let endpoint = self.client.get_or_try_init(endpoint).await?;
            let connecting = endpoint.connect(server, NAME).map_err(io::Error::other)?;
            let connection = connecting.await?;
            Ok(Box::new(StreamClient::new(QuicDial(connection))) as Box<dyn Client>)
        })
    }
}

struct QuicDial(Connection);

impl Dial for QuicDial {
    fn open(&self) -> BoxFuture<'_, io::Result<Halves>> {
        Box::pin(async move {
            let (writer, reader) = self.0.open_bi().await?;
            Ok(Halves::new(reader, writer))
        })
    }

    fn stream_per_call(&self) -> bool {
        true
    }
}

/// What QUIC endpoints at both ends are made of.
pub(super) struct Ends {
    transport: Arc<TransportConfig>,
    protocol: Vec<u8>,
    crypto: Arc<CryptoProvider>,
}

impl Ends {
    pub(super) fn new(congestion: Congestion, protocol: &[u8]) -> io::Result<Self> {
        let controller: Arc<dyn ControllerFactory + Send + Sync> = match congestion {
            Congestion::Cubic => Arc::new(CubicConfig::default()),
            Congestion::Bbr => Arc::new(BbrConfig::default()),
        };
        let mut transport = TransportConfig::default();
        transport
            .congestion_controller_factory(controller)
            .max_concurrent_bidi_streams(8_192_u32.into())
            .send_window(SEND_WINDOW);
        let mut crypto = ring::default_provider();
        let suite = CipherSuite::TLS13_AES_128_GCM_SHA256;
        crypto.cipher_suites.retain(|known| known.suite() == suite);
        Ok(Self {
            transport: Arc::new(transport),
            protocol: protocol.to_vec(),
            crypto: Arc::new(crypto),
        })
    }

    pub(super) fn server(&self, listen: SocketAddr) -> io::Result<Endpoint> {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed([NAME.to_owned()]).map_err(io::Error::other)?;
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).map_err(io::Error::other)?;
        let mut tls = rustls::ServerConfig::builder_with_provider(Arc::clone(&self.crypto))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .map_err(io::Error::other)?;
        tls.alpn_protocols = vec![self.protocol.clone()];
        let crypto = QuicServerConfig::try_from(tls).map_err(io::Error::other)?;
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        config.transport_config(Arc::clone(&self.transport));
        endpoint(listen, Some(config))
    }

    pub(super) fn client(&self, server: SocketAddr) -> io::Result<Endpoint> {
        let mut tls = rustls::ClientConfig::builder_with_provider(Arc::clone(&self.crypto))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone(Arc::clone(&self.crypto))))
            .with_no_client_auth();
        tls.alpn_protocols = vec![self.protocol.clone()];
        let crypto = QuicClientConfig::try_from(tls).map_err(io::Error::other)?;
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::clone(&self.transport));
        let mut endpoint = endpoint(local_for(server), None)?;
        endpoint.set_default_client_config(config);
        Ok(endpoint)
    }
}

fn endpoint(local: SocketAddr, server: Option<quinn::ServerConfig>) -> io::Result<Endpoint> {
    let config = EndpointConfig::default();
    Endpoint::new(config, server, udp(local)?, Arc::new(TokioRuntime))
}

/// Trusts every certificate: the server makes one up, and nothing secret is sent.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// What the server calls itself.
pub(super) const NAME: &str = "localhost";

/// Most bytes under way. With much more, quinn's BBR stalls.
const SEND_WINDOW: u64 = 4 << 20;
