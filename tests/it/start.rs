//! How the real processes begin and end: errors at the start, secrets, health, signals.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use pathway_testkit::{Layout, Services, eventually};

const SECRET: &str = "a canary that must not be seen by anybody";

/// The binaries, and what each is called in the environment.
const ALL: [&str; 5] = ["processor", "datasync", "analytics", "notifications", "up"];

fn command(name: &str, data: &Path) -> Command {
    let here = std::env::current_exe().unwrap();
    let profile = here.parent().and_then(Path::parent).unwrap();
    let mut command = Command::new(profile.join(if name == "up" {
        "pathway".to_owned()
    } else {
        format!("pathway-{name}")
    }));
    if name == "up" {
        command.arg("up");
    }
    command.arg("--data-dir").arg(data).args(["--listen", "127.0.0.1:0"]).stdin(Stdio::null());
    command.env_remove("RUST_LOG");
    command
}

fn variable(name: &str, key: &str) -> String {
    format!("PATHWAY_{}__{key}", name.to_uppercase())
}

/// Runs a process that cannot start, and answers the one line that it says.
fn refused(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{command:?}: {said}");
    assert!(stdout.is_empty());
    assert_eq!(said.trim_end().lines().count(), 1, "one line: {said}");
    said
}

#[test]
fn each_error_at_the_start_is_one_clear_line() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (broken, secret, short) = (
        file("broken.toml", "listen ="),
        file("secret.toml", &format!("[security]\nsecret = '{SECRET}'")),
        file("short", "short"),
    );
    let unknown = file("unknown.toml", "[security]\nsecrte_file = 'x'");
    for name in ALL {
        let of = |key: &str| variable(name, &format!("SECURITY__{key}"));
        let cases: [(&str, Command, &str); 10] = [
            ("a taken port", with(&command(name, &data), &[], &["--listen", &address]), &address),
            (
                "a file that is no TOML",
                with(&command(name, &data), &[], &["--config", &broken]),
                "is not TOML",
            ),
            (
                "an unknown key",
                with(&command(name, &data), &[], &["--config", &unknown]),
                "security.secrte_file",
            ),
            (
                "a file that is not there",
                with(&command(name, &data), &[], &["--config", "/nowhere"]),
                "/nowhere",
            ),
            ("a secret in a file", with(&command(name, &data), &[], &["--config", &secret]), "secret_file"),
            (
                "an unreadable secret",
                with(&command(name, &data), &[(&of("SECRET_FILE"), "/nowhere/secret")], &[]),
                "/nowhere/secret",
            ),
            (
                "a short secret",
                with(&command(name, &data), &[(&of("SECRET_FILE"), &short)], &[]),
                "at least 32",
            ),
            (
                "keys that are not there",
                with(&command(name, &data), &[(&of("JWKS"), "/nowhere/jwks")], &[]),
                "/nowhere/jwks",
            ),
            (
                "an address of health that is none",
                with(&command(name, &data), &[(&of("TLS__HEALTH_LISTEN"), "nowhere")], &[]),
                "health_listen",
            ),
            ("an open address", with(&command(name, &data), &[], &["--listen", "0.0.0.0:0"]), "--insecure"),
        ];
        for (what, mut command, says) in cases {
            let said = refused(&mut command);
            assert!(said.contains(says) && !said.contains("canary"), "{name}, {what}: {said}");
        }
    }
}

/// The same command with more to it; of an option that is given twice the last one counts nowhere, so `--listen` is replaced.
fn with(command: &Command, environment: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut kept: Vec<_> = command.get_args().map(std::ffi::OsStr::to_owned).collect();
    if arguments.first() == Some(&"--listen") {
        let at = kept.iter().position(|argument| argument == "--listen").unwrap();
        kept.drain(at..at + 2);
    }
    let mut again = Command::new(command.get_program());
    again
        .args(kept)
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .env_remove("RUST_LOG");
    again
}

#[test]
fn a_data_directory_in_use_or_closed_is_named() {
    let services = Services::start(Layout::Mesh);
    for name in ["processor", "datasync", "analytics", "notifications"] {
        let said = refused(&mut command(name, &services.data_dir()));
        assert!(said.contains("in use by process"), "{name}: {said}");
    }
    let said = refused(&mut command("up", &services.data_dir()));
    assert!(said.contains("in use by process"), "{said}");
    let file = services.file("no-directory", "");
    let said = refused(&mut command("datasync", &file));
    assert!(said.contains("no-directory"), "{said}");
}

#[test]
fn no_secret_is_printed() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["processor", "datasync", "analytics", "notifications"] {
        let url = "postgres://user:canary@127.0.0.1:1/db";
        let mut command = command(name, directory.path());
        command.env(variable(name, "SECURITY__SECRET"), SECRET).env(variable(name, "STORE__URL"), url);
        let output = command.arg("--print-config").output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && printed.contains("secret = \"***\""), "{printed}");
        assert!(
            printed.contains("postgres://user:***@127.0.0.1:1/db") && !printed.contains("canary"),
            "{printed}"
        );
    }
}

/// A process that says what it does, and what it said.
fn started(name: &str, data: &Path, log: &Path) -> Child {
    let mut command = command(name, data);
    command.env(variable(name, "SECURITY__SECRET"), SECRET).env("RUST_LOG", "trace");
    let child = command.stdout(Stdio::null()).stderr(std::fs::File::create(log).unwrap()).spawn().unwrap();
    eventually(&format!("{name} is ready"), || {
        std::fs::read_to_string(log).ok().filter(|said| said.contains("\"ready\"")).map(drop)
    });
    child
}

fn signal(child: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn a_signal_ends_each_process_well_and_no_log_line_has_a_secret() {
    let directory = tempfile::tempdir().unwrap();
    for name in ALL {
        let (data, log) = (directory.path().join(name), directory.path().join(format!("{name}.log")));
        let mut child = started(name, &data, &log);
        signal(&child, "-TERM");
        assert_eq!(child.wait().unwrap().code(), Some(0), "{name}");
        let said = std::fs::read_to_string(&log).unwrap();
        assert!(said.contains("\"draining\""), "{name}: {said}");
        assert!(!said.contains("canary"), "{name}");
    }
}

#[test]
fn a_closed_secret_is_said_to_be() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    std::fs::write(&path, SECRET).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o000)).unwrap();
    if std::fs::read(&path).is_ok() {
        eprintln!("SKIPPED: this user may read every file, so none is closed to it");
        return;
    }
    let mut command = command("datasync", directory.path());
    let said = refused(command.env("PATHWAY_DATASYNC__SECURITY__SECRET_FILE", &path));
    assert!(said.contains("ermission denied"), "{said}");
}
