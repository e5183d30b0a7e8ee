//! Trusts a certificate by its SHA-256, as Kopia's WebDAV settings have it: no authority, no name, no dates.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use crate::error::{BlobError, BlobErrorKind};

/// Makes a TLS configuration that believes the certificate with this fingerprint and nothing else.
///
/// # Errors
/// [`BlobErrorKind::Settings`] when it is not 64 hexadecimal digits (colons between them do not matter).
pub(crate) fn only(fingerprint: &str) -> Result<ClientConfig, BlobError> {
    let wrong = |what: &str| BlobError::new(BlobErrorKind::Settings, what);
    let digits: String = fingerprint.chars().filter(|c| *c != ':' && !c.is_whitespace()).collect();
    if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        let what = "field \"trustedServerCertificateFingerprint\" is not the SHA-256 of a certificate in hexadecimal";
        return Err(wrong(what));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Arc::new(OnlyOne { digits: digits.to_ascii_lowercase(), provider: Arc::clone(&provider) });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong("TLS cannot start").because(e))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(config)
}

#[derive(Debug)]
struct OnlyOne {
    digits: String,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for OnlyOne {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let found: String =
            digest(&SHA256, end_entity).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        if found == self.digits {
            return Ok(ServerCertVerified::assertion());
        }
        Err(Error::General(format!("its certificate has another fingerprint, {found}")))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
