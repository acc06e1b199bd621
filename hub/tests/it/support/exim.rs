//! Debian's own mail server, exim, with a configuration, a queue and a certificate of its own.

use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use secrecy::SecretString;
use serde_json::Value;

/// Starts that are tried: its ports are free when they are chosen, and perhaps not any more when it takes them.
const TRIES: usize = 5;
/// What logs in.
const LOGIN: &str = "tienda:s3creto@";
/// Prints a mail as JSON, read by somebody else's code than wrote it.
const READER: &str = r#"
import base64, email, email.policy, json, sys
mail = email.message_from_binary_file(sys.stdin.buffer, policy=email.policy.default)
part = lambda p: {"type": p.get_content_type(), "disposition": p.get_content_disposition(), "id": p["content-id"], "name": p.get_filename(),
    "text": p.get_content() if p.get_content_maintype() == "text" else None, "base64": base64.b64encode(p.get_payload(decode=True)).decode()}
print(json.dumps({"headers": [[name.lower(), str(value)] for name, value in mail.items()], "defects": [str(d) for p in mail.walk() for d in p.defects],
    "structure": [p.get_content_type() for p in mail.walk()], "parts": [part(p) for p in mail.walk() if not p.is_multipart()]}))
"#;

/// The server. It takes mail for `ana@example.com` and `eva@example.com` from who logs in over TLS.
pub(crate) struct Exim {
    process: Child,
    starttls: u16,
    tls: u16,
    home: tempfile::TempDir,
}

impl Exim {
    /// One that offers this way of logging in.
    pub(crate) fn start(mechanism: &str) -> Self {
        let mut home = tempfile::tempdir().unwrap();
        let owner = owner();
        for directory in ["spool", "log", "mails"] {
            std::fs::create_dir(home.path().join(directory)).unwrap();
        }
        certificate(home.path());
        for _ in 0..TRIES {
            let (starttls, tls) = free_ports();
            let path = home.path().join("exim.conf");
            std::fs::write(&path, configuration(home.path(), starttls, tls, mechanism)).unwrap();
            let mut command = Command::new("/usr/sbin/exim4");
            // Not the test's own: what it made for a connection may end a moment after the test.
            let errors = std::fs::File::create(home.path().join("log/stderr")).unwrap();
            command
                .arg("-C")
                .arg(&path)
                .arg("-bdf")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(errors);
            if let Some((uid, gid)) = owner {
                for name in ["", "spool", "log", "mails", "key.pem", "cert.pem", "exim.conf"] {
                    chown(home.path().join(name), Some(uid), Some(gid)).unwrap();
                }
                command.uid(uid).gid(gid);
            }
            let process = command.spawn().expect("exim is not installed: run scripts/setup.sh");
            let mut exim = Self { process, starttls, tls, home };
            if exim.is_listening() {
                return exim;
            }
            home = std::mem::replace(&mut exim.home, tempfile::tempdir().unwrap());
        }
        panic!("exim does not start: {}", log(home.path()));
    }

    /// Waits until it says that it has both its ports; false when it has ended, since somebody else took one meanwhile.
    /// That a port takes connections would not tell who does.
    fn is_listening(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.log().contains("listening for SMTP") {
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(Instant::now() < deadline, "exim: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        true
    }

    /// By STARTTLS, trusting its certificate.
    pub(crate) fn starttls(&self) -> SecretString {
        url("smtp", LOGIN, self.starttls, &format!("tls=required&ca={}", self.certificate()))
    }

    /// By TLS from the first byte.
    pub(crate) fn tls(&self) -> SecretString {
        url("smtps", LOGIN, self.tls, &format!("ca={}", self.certificate()))
    }

    /// With a password that is not the right one.
    pub(crate) fn with_a_wrong_password(&self) -> SecretString {
        url("smtps", "tienda:hunter22@", self.tls, &format!("ca={}", self.certificate()))
    }

    /// Trusting nobody but the public authorities.
    pub(crate) fn with_an_unknown_certificate(&self) -> SecretString {
        url("smtp", LOGIN, self.starttls, "tls=required")
    }

    fn certificate(&self) -> String {
        self.home.path().join("cert.pem").display().to_string()
    }

    /// The mails that it has delivered.
    pub(crate) fn mails(&self) -> Vec<Value> {
        let Ok(files) = std::fs::read_dir(self.home.path().join("mails/new")) else { return Vec::new() };
        files.map(|file| read(&file.unwrap().path())).collect()
    }

    /// What it says about itself.
    pub(crate) fn log(&self) -> String {
        log(self.home.path())
    }
}

impl Drop for Exim {
    #[expect(clippy::print_stderr, reason = "a test that fails tells what the server said")]
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("exim: {}", self.log());
        }
    }
}

fn url(scheme: &str, login: &str, port: u16, query: &str) -> SecretString {
    SecretString::from(format!("{scheme}://{login}localhost:{port}?{query}"))
}

fn read(mail: &Path) -> Value {
    let file = std::fs::File::open(mail).unwrap();
    let output = Command::new("/usr/bin/python3").args(["-c", READER]).stdin(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Whom it runs as when the tests are root: then nothing that it does can need more.
fn owner() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt as _;
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        return None;
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|line| line.starts_with("Debian-exim:"));
    let fields: Vec<&str> = line.expect("exim is not installed: run scripts/setup.sh").split(':').collect();
    Some((fields[2].parse().unwrap(), fields[3].parse().unwrap()))
}

fn log(home: &Path) -> String {
    let read = |name| std::fs::read_to_string(home.join("log").join(name)).unwrap_or_default();
    ["stderr", "mainlog", "paniclog", "rejectlog"].map(read).join("\n")
}

/// Two that nobody has now.
fn free_ports() -> (u16, u16) {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [one, other] = listeners.map(|listener| listener.local_addr().unwrap().port());
    (one, other)
}

/// For `localhost`.
fn certificate(home: &Path) {
    let path = |name: &str| home.join(name).display().to_string();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", &path("key.pem"), "-out", &path("cert.pem")])
        .stderr(Stdio::null())
        .status();
    assert!(made.unwrap().success());
}

fn configuration(home: &Path, starttls: u16, tls: u16, mechanism: &str) -> String {
    let home = home.display();
    let login = if mechanism == "PLAIN" {
        "server_condition = ${if and{{eq{$auth2}{tienda}}{eq{$auth3}{s3creto}}}}\n  server_set_id = $auth2"
    } else {
        "server_prompts = Username:: : Password::\n  server_condition = ${if and{{eq{$auth1}{tienda}}{eq{$auth2}{s3creto}}}}\n  server_set_id = $auth1"
    };
    format!(
        "primary_hostname = mx.example.com
spool_directory = {home}/spool
log_file_path = {home}/log/%slog
pid_file_path = {home}/exim.pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {starttls} : {tls}
daemon_startup_retries = 0
tls_on_connect_ports = {tls}
tls_advertise_hosts = *
tls_certificate = {home}/cert.pem
tls_privatekey = {home}/key.pem
auth_advertise_hosts = *
accept_8bitmime = true
host_lookup =
rfc1413_hosts =
rfc1413_query_timeout = 0s
deliver_drop_privilege = true
acl_smtp_rcpt = recipient
acl_smtp_data = accept

begin acl
recipient:
  deny !authenticated = *
       message = 5.7.1 log in first
  deny !encrypted = *
       message = 5.7.1 not without TLS
  deny !verify = recipient
       message = 5.1.1 there is no such mailbox here
  accept

begin routers
mailbox:
  driver = accept
  domains = example.com
  local_parts = ana : eva
  transport = maildir

begin transports
maildir:
  driver = appendfile
  maildir_format
  directory = {home}/mails
  create_directory

begin authenticators
login:
  driver = plaintext
  public_name = {mechanism}
  {login}
  server_advertise_condition = ${{if def:tls_in_cipher}}
"
    )
}
