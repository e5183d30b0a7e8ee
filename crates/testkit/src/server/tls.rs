//! Speaks TLS in front of a plain server, with a certificate that nobody but itself vouches for.

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The certificate of `localhost` and 127.0.0.1, PEM: whoever trusts it is content. It and its key are for tests only.
pub const AUTHORITY: &str = include_str!("../../data/localhost.crt");
const KEY: &str = include_str!("../../data/localhost.key");

/// A running front; it ends with the runtime that it was started on.
pub struct TlsFront {
    /// The address, `127.0.0.1:port`: a system without a file of hosts knows no names.
    pub endpoint: String,
}

impl TlsFront {
    /// Passes everything on to `plain`, a `host:port`.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn start(plain: &str) -> Self {
        let certificate = CertificateDer::from_pem_slice(AUTHORITY.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
        let config =
            ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
        let plain = plain.to_owned();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, plain) = (acceptor.clone(), plain.clone());
                tokio::spawn(async move {
                    let Ok(mut outside) = acceptor.accept(socket).await else { return };
                    let Ok(mut inside) = TcpStream::connect(plain).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
                });
            }
        });
        TlsFront { endpoint }
    }
}
