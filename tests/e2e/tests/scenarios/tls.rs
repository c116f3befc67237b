//! tonic's own TLS on top of KCP.

use e2e::World;
use e2e::generated::probe_client::ProbeClient;
use kcp_tonic::EndpointExt;
use rcgen::{CertifiedKey, KeyPair};
use tonic::transport::{
    Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Server, ServerTlsConfig,
};

use crate::server::{Limits, Running, packet};

/// The name that the certificates are for.
const NAME: &str = "probe.example";

/// A certificate that vouches for itself.
pub(crate) struct SelfSigned(CertifiedKey<KeyPair>);

impl SelfSigned {
    pub(crate) fn new() -> Self {
        Self(rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap())
    }

    pub(crate) fn server(&self) -> Server {
        let identity = Identity::from_pem(self.0.cert.pem(), self.0.signing_key.serialize_pem());
        Server::builder()
            .tls_config(ServerTlsConfig::new().identity(identity))
            .unwrap()
    }

    /// An endpoint that trusts this certificate alone.
    pub(crate) fn endpoint(&self, server: std::net::SocketAddr) -> Endpoint {
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(self.0.cert.pem()))
            .domain_name(NAME);
        Endpoint::from_shared(format!("https://{server}"))
            .unwrap()
            .tls_config(tls)
            .unwrap()
    }
}

fn client(world: &World, endpoint: &Endpoint) -> ProbeClient<Channel> {
    ProbeClient::new(endpoint.connect_kcp_lazy(world.dialer().mux()))
}

async fn calls_pass_through_tls(world: World) {
    let certificate = SelfSigned::new();
    let server = Running::start_with(world.listen(), certificate.server(), Limits::default());
    let mut client = client(&world, &certificate.endpoint(server.addr));
    for length in [1, 100_000] {
        let echoed = client.echo(packet(length)).await.unwrap();
        assert!(echoed.into_inner() == packet(length));
    }
}

async fn a_server_with_another_certificate_is_not_talked_to(world: World) {
    let server = Running::start_with(
        world.listen(),
        SelfSigned::new().server(),
        Limits::default(),
    );
    let mut client = client(&world, &SelfSigned::new().endpoint(server.addr));
    let status = client.echo(packet(1)).await.unwrap_err();
    let mut cause: &dyn std::error::Error = &status;
    let mut causes = String::new();
    while let Some(source) = cause.source() {
        causes += &format!("{source}; ");
        cause = source;
    }
    assert!(causes.contains("invalid peer certificate"), "{causes}");
}

in_both_worlds! {
    calls_pass_through_tls,
    a_server_with_another_certificate_is_not_talked_to,
}
