//! Who may call a service, and what it shows to its peers: from the configuration to the mesh.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use pathway_kernel::{Clock, Code, Fault};
use pathway_rpc::{
    AuthConfig, Authenticator, Channel, ChannelConfig, ClientTls, Credentials, Dialer, Guard, Jwks,
    JwksTimes, Limits, Pair, Secret, ServerTls, Target,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use toml::Table;

/// The section `security` of a service's configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecuritySettings {
    /// The secret of tokens that are signed with HS256; empty for none.
    pub secret: SecretString,
    /// Where the keys of all other tokens are; empty for nowhere.
    pub jwks: String,
    /// What `iss` must be; empty for anything.
    pub issuer: String,
    /// What `aud` must be; empty for anything.
    pub audience: String,
    /// The claim that names a role.
    pub role_claim: String,
    /// How far two clocks may lie apart, in seconds.
    pub clock_skew_seconds: u64,
    /// The file with the token for peers; empty where one is signed.
    pub token_file: PathBuf,
    /// Whether reflection needs no token.
    pub open_reflection: bool,
    /// Calls of a user in a second; 0 for any number.
    pub calls_per_second: u32,
    /// Calls of a user at once.
    pub burst: u32,
    /// TLS.
    pub tls: TlsSettings,
}

/// The section `security.tls`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// What the service proves; empty for nothing.
    pub certificate: PathBuf,
    /// The certificate's key.
    pub key: PathBuf,
    /// Who may connect; empty for anybody.
    pub client_authorities: PathBuf,
    /// Whose servers are believed; empty for the machine's.
    pub server_authorities: PathBuf,
    /// How long ago files may have been read.
    pub reload_seconds: u64,
    /// Where health alone is served in the clear; empty for nowhere.
    pub health_listen: String,
}

/// The section, ready to be used.
#[derive(Debug, Clone)]
pub struct Security {
    guard: Guard,
    credentials: Option<Credentials>,
    server: Option<ServerTls>,
    client: Option<ClientTls>,
}

/// The section's keys with their defaults and comments: to be appended to a service's own.
pub const SECURITY_DEFAULTS: &str = include_str!("../security.toml");

/// How long ago the files of somebody who only calls may have been read.
const CLIENT_RELOAD: Duration = Duration::from_secs(10);

// === impl SecuritySettings ===

impl SecuritySettings {
    /// Whether callers are asked for a token.
    #[must_use]
    pub fn asks(&self) -> bool {
        !self.secret.expose_secret().is_empty() || !self.jwks.is_empty()
    }

    /// Whether a configuration asks callers for a token.
    #[must_use]
    pub fn asks_in(config: &Table) -> bool {
        let section = config.get("security").and_then(toml::Value::as_table);
        let is_given =
            |key| section.and_then(|section| section.get(key)?.as_str()).is_some_and(|text| !text.is_empty());
        is_given("secret") || is_given("jwks")
    }

    /// Where a configuration has health alone served; empty for nowhere.
    #[must_use]
    pub fn health_listen_in(config: &Table) -> String {
        let tls = config.get("security").and_then(|section| section.get("tls"));
        let address = tls.and_then(|tls| tls.get("health_listen")?.as_str());
        address.unwrap_or_default().to_owned()
    }
}

// === impl Security ===

impl Security {
    /// Reads what the settings name. `name` is the service's, for the tokens that it signs.
    ///
    /// # Errors
    /// Where a secret is too short, a file cannot be read, or a setting needs another one.
    pub fn open(name: &str, settings: &SecuritySettings, clock: &Clock) -> Result<Self, Fault> {
        let secret = settings.secret.expose_secret();
        let secret = (!secret.is_empty()).then(|| Secret::new(secret.as_bytes())).transpose();
        let secret = secret.map_err(|problem| wrong("secret", &problem))?;
        let jwks = (!settings.jwks.is_empty()).then(|| Jwks::new(&settings.jwks, JwksTimes::default()));
        let jwks = jwks.transpose()?;
        jwks.as_ref().map_or(Ok(()), Jwks::check).map_err(|problem| wrong("jwks", &problem))?;
        let credentials = if settings.token_file.as_os_str().is_empty() {
            let minted = |secret| {
                let (issuer, audience) = (&settings.issuer, &settings.audience);
                Credentials::minted(secret, name, issuer, audience, &settings.role_claim, clock.clone())
            };
            secret.clone().map(minted)
        } else {
            Some(Credentials::file(&settings.token_file)?)
        };
        let guard = if settings.asks() {
            let auth = AuthConfig {
                secret,
                jwks,
                issuer: settings.issuer.clone(),
                audience: settings.audience.clone(),
                role_claim: settings.role_claim.clone(),
                skew: Duration::from_secs(settings.clock_skew_seconds),
            };
            let guard = Guard::new(Authenticator::new(auth, clock.clone()));
            settings.limited(settings.revealing(guard))
        } else {
            Guard::default()
        };
        let (server, client) = settings.tls.open()?;
        Ok(Self { guard, credentials, server, client })
    }

    /// Nobody is asked for anything.
    #[must_use]
    pub fn none() -> Self {
        Self { guard: Guard::default(), credentials: None, server: None, client: None }
    }

    /// What somebody shows who only calls.
    ///
    /// # Errors
    /// Where a file cannot be read or used.
    pub fn of_a_client(
        credentials: Option<Credentials>,
        authorities: Option<PathBuf>,
        pair: Option<Pair>,
    ) -> Result<Self, Fault> {
        let is_of_use = authorities.is_some() || pair.is_some();
        let client = is_of_use.then(|| ClientTls::new(authorities, pair, CLIENT_RELOAD)).transpose()?;
        Ok(Self { credentials, client, ..Self::none() })
    }

    /// What the service's server asks of its callers.
    #[must_use]
    pub fn guard(&self) -> Guard {
        self.guard.clone()
    }

    /// What the service's server proves.
    #[must_use]
    pub fn tls(&self) -> Option<ServerTls> {
        self.server.clone()
    }

    /// A way to a peer, to whom the service proves itself and shows its token.
    #[must_use]
    pub fn channel(&self, dialer: &Dialer, name: &str, target: Target, config: ChannelConfig) -> Channel {
        let target = match &self.client {
            Some(tls) => target.with_tls(tls.clone()),
            None => target,
        };
        let channel = dialer.channel(name, target, config);
        match &self.credentials {
            Some(credentials) => channel.with_credentials(credentials.clone()),
            None => channel,
        }
    }
}

impl SecuritySettings {
    fn revealing(&self, guard: Guard) -> Guard {
        if self.open_reflection { guard } else { guard.hiding_reflection() }
    }

    fn limited(&self, guard: Guard) -> Guard {
        match (NonZeroU32::new(self.calls_per_second), NonZeroU32::new(self.burst.max(1))) {
            (Some(rate), Some(burst)) => guard.with_limits(Limits::new(rate, burst)),
            _ => guard,
        }
    }
}

// === impl TlsSettings ===

impl TlsSettings {
    fn open(&self) -> Result<(Option<ServerTls>, Option<ClientTls>), Fault> {
        let given = |path: &PathBuf| (!path.as_os_str().is_empty()).then(|| path.clone());
        let every = Duration::from_secs(self.reload_seconds);
        let pair = match (given(&self.certificate), given(&self.key)) {
            (Some(certificate), Some(key)) => Some(Pair { certificate, key }),
            (None, None) => None,
            _ => return Err(wrong("tls", "has a certificate without a key, or the other way round")),
        };
        let (clients, servers) = (given(&self.client_authorities), given(&self.server_authorities));
        if pair.is_none() && clients.is_some() {
            return Err(wrong("tls.client_authorities", "is of no use without a certificate of our own"));
        }
        let server = pair.clone().map(|pair| ServerTls::new(pair, clients, every)).transpose()?;
        let is_of_use = pair.is_some() || servers.is_some();
        let client = is_of_use.then(|| ClientTls::new(servers, pair, every)).transpose()?;
        Ok((server, client))
    }
}

fn wrong(key: &str, problem: &str) -> Fault {
    Fault::new(Code::InvalidArgument, "INVALID_CONFIGURATION", format!("security.{key} {problem}"))
}

#[cfg(test)]
mod tests {
    use pathway_kernel::ManualClock;

    use super::*;

    fn open(text: &str) -> Result<Security, Fault> {
        let mut table: Table = SECURITY_DEFAULTS.parse().unwrap();
        let section = table["security"].as_table_mut().unwrap();
        section.extend(text.parse::<Table>().unwrap());
        let asks = SecuritySettings::asks_in(&table);
        let settings: SecuritySettings = table["security"].clone().try_into().unwrap();
        assert_eq!(settings.asks(), asks);
        Security::open("datasync", &settings, &Clock::manual(&ManualClock::at(0)))
    }

    #[test]
    fn nothing_is_asked_unless_it_is_configured() {
        let security = open("").unwrap();
        assert!(security.credentials.is_none());
        assert!(!format!("{security:?}").contains("Authenticator"));
        assert!(open("secret = '0123456789abcdef0123456789abcdef'").unwrap().credentials.is_some());
    }

    #[test]
    fn what_cannot_work_is_said_at_the_start() {
        for (text, says) in [
            ("secret = 'short'", "security.secret has 5 bytes"),
            ("jwks = '/nowhere/jwks.json'", "cannot read /nowhere/jwks.json"),
            ("token_file = '/nowhere/token'", "cannot read the token in /nowhere/token"),
            (
                "tls = {certificate = '/nowhere/a', key = '/nowhere/b', client_authorities = '', server_authorities = '', reload_seconds = 1, health_listen = ''}",
                "cannot read /nowhere/a",
            ),
            (
                "tls = {certificate = '', key = 'b', client_authorities = '', server_authorities = '', reload_seconds = 1, health_listen = ''}",
                "security.tls has a certificate without a key",
            ),
        ] {
            let message = open(text).unwrap_err().to_string();
            assert!(message.contains(says), "{message}");
        }
    }
}
