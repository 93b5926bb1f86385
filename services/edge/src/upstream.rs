//! The HTTP client towards recorder and gateway: pooled, plain or TLS.
use bytes::Bytes;
use http_body_util::Empty;
use hyper::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::path::Path;
use std::time::Duration;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A pooled client for GETs.
pub type Http = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

/// Makes a client that trusts the certificates of `ca` (PEM), or those of the system.
pub fn client(ca: Option<&Path>) -> Result<Http, String> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(Duration::from_secs(1)));
    tcp.set_nodelay(true);
    let tls = ClientConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots(ca)?)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(20))
        .pool_max_idle_per_host(256)
        .build(connector))
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(file) = ca else {
        // A system without certificates still speaks plain HTTP.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    let explain = |e: &dyn std::fmt::Display| format!("{}: {e}", file.display());
    for certificate in CertificateDer::pem_file_iter(file).map_err(|e| explain(&e))? {
        let certificate = certificate.map_err(|e| explain(&e))?;
        roots.add(certificate).map_err(|e| explain(&e))?;
    }
    Ok(roots)
}

/// Checks an address setting: `http[s]://host[:port]`, nothing more. Returns it without a final slash.
pub fn parse_address(text: &str) -> Result<String, String> {
    let uri: Uri = text.parse().map_err(|e| format!("{text:?}: {e}"))?;
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    if !known
        || uri.authority().is_none()
        || !matches!(uri.path(), "" | "/")
        || uri.query().is_some()
    {
        return Err(format!("{text:?} is not of the form http://host:port"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_scheme_a_host_and_a_port() {
        assert_eq!(
            parse_address("http://127.0.0.1:9000/"),
            Ok("http://127.0.0.1:9000".into())
        );
        assert_eq!(
            parse_address("https://gateway"),
            Ok("https://gateway".into())
        );
        for wrong in ["ftp://a", "127.0.0.1:9", "http://a/x", "http://a?x", ""] {
            assert!(parse_address(wrong).is_err(), "{wrong}");
        }
    }
}
