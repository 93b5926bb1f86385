//! DTLS as str0m's default provider does it, with one more certificate curve.
//!
//! FFmpeg's WHIP muxer built on GnuTLS (the PyAV wheel) makes a P-224 certificate and insists on being
//! the DTLS server. aws-lc-rs has no P-224, so such signatures are verified by the `p224` crate. Identity
//! rests on the certificate's fingerprint in the SDP; the curve protects one handshake of one ingest.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use der::Decode;
use der::oid::ObjectIdentifier;
use dimpl::crypto::{HashAlgorithm, SignatureAlgorithm, SignatureVerifier};
use dimpl::{CryptoError as DimplError, CryptoOperation};
use p224::ecdsa::signature::hazmat::PrehashVerifier;
use p224::ecdsa::{DerSignature, VerifyingKey};
use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, ProtocolVersion,
};
use str0m::crypto::{CryptoError, CryptoProvider};
use x509_cert::Certificate;

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SECP224R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.33");

/// The crypto of all connections.
pub(crate) fn crypto() -> Arc<CryptoProvider> {
    static CRYPTO: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    static DTLS: Dtls = Dtls;
    let build =
        || Arc::new(CryptoProvider { dtls_provider: &DTLS, ..str0m::crypto::from_feature_flags() });
    CRYPTO.get_or_init(build).clone()
}

#[derive(Debug)]
struct Dtls;

impl DtlsProvider for Dtls {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        str0m::crypto::from_feature_flags().dtls_provider.generate_certificate()
    }

    fn new_dtls(
        &self,
        cert: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let provider = dimpl::crypto::CryptoProvider {
            signature_verification: &VERIFIER,
            ..dimpl::crypto::aws_lc_rs::default_provider()
        };
        // ICE proves that the peer can be reached, so the server needs no cookie.
        let mut builder =
            dimpl::Config::builder().with_crypto_provider(provider).use_server_cookie(false);
        if let Some(mtu) = mtu {
            builder = builder.mtu(mtu);
        }
        let config =
            Arc::new(builder.build().map_err(|error| CryptoError::Other(error.to_string()))?);
        let own = dimpl::DtlsCertificate {
            certificate: cert.certificate.clone(),
            private_key: cert.private_key.clone(),
        };
        let dtls = match version {
            DtlsVersion::Dtls12 => dimpl::Dtls::new_12(config, own, now),
            DtlsVersion::Dtls13 => dimpl::Dtls::new_13(config, own, now),
            _ => dimpl::Dtls::new_auto(config, own, now),
        };
        Ok(Box::new(Instance(dtls)))
    }
}

struct Instance(dimpl::Dtls);

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Instance")
    }
}

impl DtlsInstance for Instance {
    fn set_active(&mut self, active: bool) {
        self.0.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.0.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buffer: &'a mut [u8]) -> DtlsOutput<'a> {
        self.0.poll_output(buffer)
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.0.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.0.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.0.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.0.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.0.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.0.close()
    }
}

static VERIFIER: Verifier = Verifier;

#[derive(Debug)]
struct Verifier;

impl SignatureVerifier for Verifier {
    fn verify_signature(
        &self,
        certificate: &[u8],
        data: &[u8],
        signature: &[u8],
        hash: HashAlgorithm,
        algorithm: SignatureAlgorithm,
    ) -> Result<(), DimplError> {
        let p224 = (algorithm == SignatureAlgorithm::ECDSA && hash == HashAlgorithm::SHA256)
            .then(|| p224_key(certificate))
            .flatten();
        let Some(key) = p224 else {
            let usual = dimpl::crypto::aws_lc_rs::default_provider().signature_verification;
            return usual.verify_signature(certificate, data, signature, hash, algorithm);
        };
        let digest = str0m::crypto::from_feature_flags().sha256_provider.sha256(data);
        let bad = || DimplError::OperationFailed(CryptoOperation::Sign);
        let signature = DerSignature::from_bytes(signature).map_err(|_| bad())?;
        key.verify_prehash(&digest, &signature).map_err(|_| bad())
    }
}

/// The public key of a P-224 certificate.
fn p224_key(certificate: &[u8]) -> Option<VerifyingKey> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let spki = certificate.tbs_certificate().subject_public_key_info();
    let curve: ObjectIdentifier = spki.algorithm.parameters.as_ref()?.decode_as().ok()?;
    if spki.algorithm.oid != EC_PUBLIC_KEY || curve != SECP224R1 {
        return None;
    }
    VerifyingKey::from_sec1_bytes(spki.subject_public_key.as_bytes()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate that FFmpeg's WHIP muxer made; it is signed by its own key.
    const LAVF: &str = "3081f93081a9a00302010202043155b50c300a06082a8648ce3d040302300f310d300b060355040313046c617666301e170d\
        3236313132323136303430305a170d3237313132323136303430305a300f310d300b060355040313046c617666304e301006\
        072a8648ce3d020106052b81040021033a000403fd72b0495fe601dc0187cf58596d5de2a1841d56c37a875427beb5913619\
        58df118432da48a045bf33b6975dcaae587635ef9cdcbb7c65300a06082a8648ce3d040302033f00303c021c7aec3b21f398\
        f40a78c180d64fbd328e4c4ec46037057197906ac316021c798545c8da0b2a50b7ff2bbe0dd9c290a12e028d3aaff6c4ebfc\
        4413";

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2)
            .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn a_p224_signature_is_verified_and_a_forged_one_is_not() {
        use der::Encode;
        let der = bytes(LAVF);
        let certificate = Certificate::from_der(&der).unwrap();
        let signed = certificate.tbs_certificate().to_der().unwrap();
        let signature = certificate.signature().as_bytes().unwrap().to_vec();
        let verify = |data: &[u8], signature: &[u8]| {
            VERIFIER.verify_signature(
                &der,
                data,
                signature,
                HashAlgorithm::SHA256,
                SignatureAlgorithm::ECDSA,
            )
        };
        assert!(verify(&signed, &signature).is_ok());
        assert!(verify(b"something else", &signature).is_err());
        assert!(verify(&signed, &signature[1..]).is_err());
        assert!(p224_key(b"garbage").is_none());
    }
}
