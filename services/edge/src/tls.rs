//! Certificates: read at start, and again whenever the files change.
use crate::settings::TlsFiles;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// Makes an acceptor for h2 and HTTP/1.1 over TLS 1.2 and 1.3.
pub fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, String> {
    let explain = |path: &Path, e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let certs = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| explain(&files.cert, &e))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|e| explain(&files.key, &e))?;
    let mut config = ServerConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_no_client_auth()
        .with_single_cert(certs, key)
        .map_err(|e| explain(&files.cert, &e))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.send_tls13_tickets = 1;
    config.ticketer = Ticketer::new().map_err(|e| e.to_string())?; // stateless; its key rotates
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// When the newest of some files changed; None while one is missing (it is being replaced).
pub fn changed_at<'a>(files: impl IntoIterator<Item = &'a Path>) -> Option<SystemTime> {
    let times = files
        .into_iter()
        .map(|file| std::fs::metadata(file).and_then(|m| m.modified()).ok());
    times.collect::<Option<Vec<_>>>()?.into_iter().max()
}
