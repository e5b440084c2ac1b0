//! An authority of a test's own, and certificates that it signs.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::put_private;

/// An authority, and where its certificate lies.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// PEM.
    pub path: PathBuf,
}

/// The files of a certificate.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Authority {
    /// Makes one.
    pub fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let path = folder.join(format!("{name}.pem"));
        put_private(&path, &params.self_signed(&key).unwrap().pem());
        Self { issuer: Issuer::new(params, key), path }
    }

    /// Signs a certificate for this machine, over what was at its place.
    pub fn sign(&self, folder: &Path, name: &str) -> Signed {
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let signed = Signed {
            cert: folder.join(format!("{name}.pem")),
            key: folder.join(format!("{name}.key")),
        };
        put_private(&signed.key, &key.serialize_pem());
        put_private(&signed.cert, &params.signed_by(&key, &self.issuer).unwrap().pem());
        signed
    }
}
