//! Four real processes that prove to each other who they are, and the command line before them.

use std::path::{Path, PathBuf};

use pathway_testkit::{Layout, Run, Services, eventually};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

const SERVICES: [&str; 4] = ["processor", "datasync", "analytics", "notifications"];
const SECRET: &str = "the secret of a mesh that uses TLS";

/// A directory with an authority's certificate, and one that it signed, for both ends.
pub(crate) struct Files(tempfile::TempDir);

// === impl Files ===

impl Files {
    pub(crate) fn fresh() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.renew();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Replaces all of it: another authority, and what that one signs.
    fn renew(&self) {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        for (name, pem) in
            [("ca.pem", authority.pem()), ("tls.pem", certificate.pem()), ("tls.key", key.serialize_pem())]
        {
            replace(&self.path(name), &pem);
        }
    }
}

/// As a renewal does it: nobody sees half a file.
fn replace(path: &Path, content: &str) {
    let next = path.with_extension("next");
    std::fs::write(&next, content).unwrap();
    std::fs::rename(next, path).unwrap();
}

/// The command line with its certificate, and a token as it is given one.
fn pathway(services: &Services, files: &Files, token: Option<&str>, args: &[&str]) -> Run {
    let mut command = services.pathway_command(args);
    command.env_remove("PATHWAY_TOKEN").env("PATHWAY_AUTHORITIES", files.path("ca.pem"));
    command
        .env("PATHWAY_CERTIFICATE", files.path("tls.pem"))
        .env("PATHWAY_CERTIFICATE_KEY", files.path("tls.key"));
    if let Some(token) = token {
        command.env("PATHWAY_TOKEN", token);
    }
    Run::from(command.output().unwrap())
}

#[test]
fn a_mesh_proves_itself_and_takes_up_renewed_certificates() {
    let files = Files::fresh();
    let mut environment = Vec::new();
    for service in SERVICES {
        let name = |key: &str| format!("PATHWAY_{}__SECURITY__{key}", service.to_uppercase());
        environment.push((name("SECRET"), SECRET.to_owned()));
        environment.push((name("TLS__CERTIFICATE"), files.text("tls.pem")));
        environment.push((name("TLS__KEY"), files.text("tls.key")));
        environment.push((name("TLS__CLIENT_AUTHORITIES"), files.text("ca.pem")));
        environment.push((name("TLS__SERVER_AUTHORITIES"), files.text("ca.pem")));
        environment.push((name("TLS__RELOAD_SECONDS"), "0".to_owned()));
    }
    let environment: Vec<(&str, &str)> =
        environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut services = Services::start_with_tls(Layout::Mesh, &environment);
    let token = |role: &str, subject: &str| {
        let secret = pathway_rpc::Secret::new(SECRET.as_bytes()).unwrap();
        let now = pathway_kernel::Clock::system().now_us() / 1_000_000;
        secret.sign(&serde_json::json!({"sub": subject, "role": role, "exp": now + 600}))
    };
    let (service, asha, ravi) = (token("service", "test"), token("", "asha"), token("", "ravi"));
    let event = |id: &str| {
        let today = crate::this_month();
        format!(
            r#"{{"id":"{id}","user_id":"asha","amount":5.00,"category":"dining","transaction_date":"{today}"}}"#
        )
    };
    let publish = |services: &Services, id: &str| {
        pathway(
            services,
            &files,
            Some(&service),
            &["publish", "transactions", "--wait", "--data", &event(id)],
        )
    };
    let _ = publish(&services, "t1").succeeded();
    let spending = ["spending", "--user", "asha", "--json"];
    let _ = pathway(&services, &files, Some(&asha), &spending).succeeded();
    for (token, why) in [(None, "needs a token"), (Some(ravi.as_str()), "another user's")] {
        let refused = pathway(&services, &files, token, &spending).failed();
        assert!(refused.stderr.contains(why), "{}", refused.stderr);
    }
    // Without a certificate nobody gets as far as that.
    let mut bare = services.pathway_command(&spending);
    bare.env("PATHWAY_AUTHORITIES", files.path("ca.pem")).env("PATHWAY_TOKEN", &asha);
    assert!(!Run::from(bare.output().unwrap()).ok);

    // Everything is renewed: old and new do not believe each other, so whoever is let in has met the new ones.
    files.renew();
    let _ = publish(&services, "t2").succeeded();
    let _ = pathway(&services, &files, Some(&asha), &spending).succeeded();
    // One that comes back meets peers that have been running all the time.
    services.kill("datasync");
    services.restart("datasync");
    eventually("events go through", || publish(&services, "t3").ok.then_some(()));
    let spent = pathway(&services, &files, Some(&asha), &spending).succeeded().stdout;
    assert!(spent.contains("15.00"), "{spent}");
}
