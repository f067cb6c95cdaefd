//! TLS 1.3 with raw public keys (RFC 7250): each end shows an Ed25519 key, each end accepts only keys that it has pinned.

use crate::Identity;
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
};
use std::fmt;
use std::sync::Arc;
use veritee_node_protocol::IdentityKey;
use zeroize::Zeroizing;

/// ALPN name of the control interface.
pub const CONTROL: &[u8] = b"veritee-control/1";
/// ALPN name of links between nodes.
pub const LINK: &[u8] = b"veritee-link/1";

/// Says whether an identity may connect. Asked once for each handshake.
pub trait Pinned: Send + Sync {
    /// True when this identity is expected.
    fn knows(&self, identity: &IdentityKey) -> bool;
}

impl<F: Fn(&IdentityKey) -> bool + Send + Sync> Pinned for F {
    fn knows(&self, identity: &IdentityKey) -> bool {
        self(identity)
    }
}

/// Makes the dialling end's configuration: it shows `own` and accepts exactly `peer`.
///
/// # Errors
/// An error of the TLS library; none is known to occur.
pub fn client(own: &Identity, peer: IdentityKey, protocol: &[u8]) -> Result<ClientConfig, Error> {
    let provider = provider();
    let key = certified(own, &provider)?;
    let verifier = Arc::new(Verifier {
        algorithms: provider.signature_verification_algorithms,
        pinned: Arc::new(move |identity: &IdentityKey| *identity == peer),
    });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(key)));
    config.alpn_protocols = vec![protocol.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// Makes the listening end's configuration: it shows `own` and accepts the identities that `pinned` knows.
///
/// # Errors
/// An error of the TLS library; none is known to occur.
pub fn server(own: &Identity, pinned: Arc<dyn Pinned>, protocol: &[u8]) -> Result<ServerConfig, Error> {
    let provider = provider();
    let key = certified(own, &provider)?;
    let algorithms = provider.signature_verification_algorithms;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(Verifier { algorithms, pinned }))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(key)));
    config.alpn_protocols = vec![protocol.to_vec()];
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// The name that a client asks for. It means nothing: identities are keys.
///
/// # Panics
/// Never: the name is a valid one.
#[must_use]
pub fn server_name() -> ServerName<'static> {
    ServerName::try_from("veritee.invalid").expect("a valid name")
}

/// The identity that the other end has proven, once the handshake is complete.
#[must_use]
pub fn peer_identity(certificates: Option<&[CertificateDer<'_>]>) -> Option<IdentityKey> {
    match certificates {
        Some([one]) => identity_of(one),
        _ => None,
    }
}

fn provider() -> Arc<CryptoProvider> {
    let mut provider = rustls::crypto::ring::default_provider();
    // AES-128 first: nodes have it in hardware, and it is the fastest of the three.
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
    Arc::new(provider)
}

fn certified(own: &Identity, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, Error> {
    let mut pkcs8 = Zeroizing::new(PKCS8_FRONT.to_vec());
    pkcs8.extend_from_slice(&*own.seed());
    let private = PrivateKeyDer::Pkcs8(pkcs8.as_slice().into()).clone_key();
    let key = provider.key_provider.load_private_key(private)?;
    let mut public = SPKI_FRONT.to_vec();
    public.extend_from_slice(&own.public());
    Ok(Arc::new(CertifiedKey::new(vec![CertificateDer::from(public)], key)))
}

fn only_tls13() -> Error {
    Error::General("only TLS 1.3 is spoken".to_owned())
}

fn identity_of(certificate: &CertificateDer<'_>) -> Option<IdentityKey> {
    certificate.strip_prefix(SPKI_FRONT)?.try_into().ok()
}

/// Accepts raw Ed25519 keys that are pinned; nothing else about a peer counts.
struct Verifier {
    algorithms: WebPkiSupportedAlgorithms,
    pinned: Arc<dyn Pinned>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

impl Verifier {
    fn check(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let identity = identity_of(certificate).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if self.pinned.knows(&identity) {
            Ok(())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn check_signature(
        &self, message: &[u8], certificate: &CertificateDer<'_>, signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(certificate.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self, end_entity: &CertificateDer<'_>, _intermediates: &[CertificateDer<'_>], _server_name: &ServerName<'_>,
        _ocsp_response: &[u8], _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self, _message: &[u8], _cert: &CertificateDer<'_>, _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self, message: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self, end_entity: &CertificateDer<'_>, _intermediates: &[CertificateDer<'_>], _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self, _message: &[u8], _cert: &CertificateDer<'_>, _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self, message: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// DER of a `SubjectPublicKeyInfo` for Ed25519 up to the key's 32 bytes (RFC 8410).
const SPKI_FRONT: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// DER of a PKCS #8 private key for Ed25519 up to the seed's 32 bytes (RFC 8410).
const PKCS8_FRONT: &[u8] =
    &[0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
