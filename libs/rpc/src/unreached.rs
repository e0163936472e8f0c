//! Why there was no connection: for whoever sits before a command line and can do something about it.

use std::error::Error;

use rustls::{AlertDescription, CertificateError, Error as TlsError};
use tonic::Status;

/// Why a call reached nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreached {
    /// No connection was made: nobody listens there, or there is no way.
    NoConnection,
    /// The two ends did not agree about TLS.
    Tls {
        /// What is wrong, in the words of TLS.
        cause: String,
        /// What can be done about it.
        hint: &'static str,
    },
}

// === impl Unreached ===

impl Unreached {
    /// Why a call that ended with this status reached nobody; none where it reached somebody, or nothing is known.
    #[must_use]
    pub fn of(status: &Status) -> Option<Self> {
        let (mut is_unconnected, mut cause) = (false, status.source());
        while let Some(error) = cause {
            is_unconnected |= error.is::<tonic::ConnectError>();
            // An I/O error hides what it holds: its source is that of what it holds.
            let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            let tls = held.and_then(|held| held.downcast_ref()).or_else(|| error.downcast_ref::<TlsError>());
            if let Some(tls) = tls {
                return Some(Self::Tls { cause: tls.to_string(), hint: hint(tls) });
            }
            cause = error.source();
        }
        is_unconnected.then_some(Self::NoConnection)
    }
}

const fn hint(error: &TlsError) -> &'static str {
    use CertificateError as Wrong;
    match error {
        TlsError::InvalidCertificate(Wrong::UnknownIssuer) => {
            "name the authority that has signed the server's certificate: `--authorities FILE` (PEM)"
        }
        TlsError::InvalidCertificate(Wrong::NotValidForName | Wrong::NotValidForNameContext { .. }) => {
            "the server's certificate is for another name: name the host in the URL as the certificate does"
        }
        TlsError::InvalidCertificate(
            Wrong::Expired
            | Wrong::ExpiredContext { .. }
            | Wrong::NotValidYet
            | Wrong::NotValidYetContext { .. },
        ) => "the server's certificate is not valid today: renew it, and look at the clocks of both machines",
        TlsError::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired,
        ) => {
            "the server wants a certificate that it believes: `--certificate FILE --certificate-key FILE` (PEM)"
        }
        TlsError::InvalidMessage(_) => "no TLS is spoken there: take `http://` in place of `https://`",
        _ => "look at the certificates of both ends: `--authorities`, `--certificate`, `--certificate-key`",
    }
}
