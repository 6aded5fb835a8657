//! Runs the binary, and stands in for chanceryd: the real one is tested with it in the crate `tests`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]
#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use bytes::BytesMut;
use chancery_protocol::frame::Frame;
use chancery_protocol::hello::{FromClient, FromDaemon, HELLO_VERSION, Welcome};
use chancery_protocol::{
    Algorithm, ByteBuf, CertificateKind, Format, Message, Reason, Refusal, Scheme, admin, agent,
};
use tempfile::TempDir;

/// What a run of the binary left.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn out(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// Panics with everything that was said unless the run ended with `code`.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", String::from_utf8_lossy(&self.stdout), self.stderr);
        self
    }
}

/// A folder to work in, and the binary in it.
pub(crate) struct Bench {
    pub(crate) dir: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, contents).unwrap();
        path
    }

    /// Runs `chancery` in the folder, with sockets in it.
    pub(crate) fn run(&self, line: &str) -> Run {
        self.run_with(line, b"")
    }

    pub(crate) fn run_with(&self, line: &str, stdin: &[u8]) -> Run {
        let mut child = self.spawn(line);
        // A run that fails early reads nothing.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        Self::wait(child)
    }

    pub(crate) fn spawn(&self, line: &str) -> Child {
        Command::new(env!("CARGO_BIN_EXE_chancery"))
            .args(line.split_whitespace())
            .current_dir(self.dir.path())
            .env("CHANCERY_SOCKET", self.path("agent.sock"))
            .env("CHANCERY_ADMIN_SOCKET", self.path("admin.sock"))
            .env_remove("CHANCERY_BUILD_ID")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    pub(crate) fn wait(child: Child) -> Run {
        let output = child.wait_with_output().unwrap();
        Run {
            code: output.status.code().unwrap(),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs a foreign tool; its output if it succeeds.
#[track_caller]
pub(crate) fn tool(program: &str, args: &[&str], dir: &Path) -> Vec<u8> {
    let output = Command::new(program).args(args).current_dir(dir).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{program} is missing: {error}"));
    assert!(
        output.status.success(),
        "{program} {args:?}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Stands in for chanceryd, with one key `release` that OpenSSL signs with.
pub(crate) struct Fake {
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) signed: Arc<Mutex<Vec<agent::Context>>>,
    pub(crate) behaviour: Arc<Mutex<Behaviour>>,
    /// Requests to sign so far.
    pub(crate) asked: Arc<AtomicUsize>,
}

/// What the stand-in does.
#[derive(Debug, Clone)]
pub(crate) struct Behaviour {
    pub(crate) algorithm: Algorithm,
    pub(crate) created: Option<u32>,
    pub(crate) formats: Vec<Format>,
    pub(crate) certificate: Option<Vec<u8>>,
    /// How it answers requests to sign.
    pub(crate) refuse: Option<Reason>,
    /// Answers with the signature of another digest.
    pub(crate) wrong_signatures: bool,
    /// Answers no request to sign.
    pub(crate) silent: bool,
    pub(crate) token_state: &'static str,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::Rsa2048,
            created: Some(1_790_000_000),
            formats: Format::ALL.to_vec(),
            certificate: None,
            refuse: None,
            wrong_signatures: false,
            silent: false,
            token_state: "ready",
        }
    }
}

impl Fake {
    pub(crate) fn start(bench: &Bench, behaviour: Behaviour) -> Self {
        let dir = bench.dir.path().to_owned();
        let options: &[&str] = match behaviour.algorithm {
            Algorithm::Rsa2048 => &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
            Algorithm::Ed25519 => &["-algorithm", "ED25519"],
            other => panic!("no {other} here"),
        };
        tool("openssl", &[&["genpkey", "-quiet", "-out", "key.pem"], options].concat(), &dir);
        let fake = Self {
            connections: Arc::default(),
            signed: Arc::default(),
            behaviour: Arc::new(Mutex::new(behaviour)),
            asked: Arc::default(),
        };
        let daemon = Daemon {
            spki: tool("openssl", &["pkey", "-in", "key.pem", "-pubout", "-outform", "DER"], &dir),
            dir,
            signed: Arc::clone(&fake.signed),
            behaviour: Arc::clone(&fake.behaviour),
            asked: Arc::clone(&fake.asked),
        };
        let connections = Arc::clone(&fake.connections);
        daemon.clone().listen(bench.path("agent.sock"), connections, Daemon::agent);
        daemon.listen(bench.path("admin.sock"), Arc::default(), Daemon::admin);
        fake
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.behaviour.lock().unwrap());
    }
}

#[derive(Clone)]
struct Daemon {
    dir: PathBuf,
    spki: Vec<u8>,
    signed: Arc<Mutex<Vec<agent::Context>>>,
    behaviour: Arc<Mutex<Behaviour>>,
    asked: Arc<AtomicUsize>,
}

impl Daemon {
    fn listen<Q: Message, A: Message>(
        self,
        socket: PathBuf,
        count: Arc<AtomicUsize>,
        answer: fn(&Self, Q) -> A,
    ) {
        let listener = UnixListener::bind(socket).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
                let daemon = self.clone();
                thread::spawn(move || daemon.serve(stream.unwrap(), answer));
            }
        });
    }

    fn serve<Q: Message, A: Message>(&self, mut stream: UnixStream, answer: fn(&Self, Q) -> A) {
        let mut input = BytesMut::new();
        let mut greeted = false;
        loop {
            let mut out = BytesMut::new();
            while let Some(frame) = Frame::take(&mut input).unwrap() {
                if greeted {
                    let request = Q::decode(frame.kind, &frame.body).unwrap();
                    answer(self, request).put(1, frame.id, &mut out).unwrap();
                } else {
                    let FromClient::Hello(_) = FromClient::decode(frame.kind, &frame.body).unwrap();
                    let welcome = Welcome {
                        version: 1,
                        max_frame: 65536,
                        max_batch: 64,
                        max_in_flight: 256,
                        software: "stand-in".into(),
                        extensions: vec![],
                    };
                    FromDaemon::Welcome(welcome).put(HELLO_VERSION, frame.id, &mut out).unwrap();
                    greeted = true;
                }
            }
            let mut buffer = [0; 4096];
            if stream.write_all(&out).is_err() {
                return;
            }
            match stream.read(&mut buffer) {
                Ok(read) if read > 0 => input.extend_from_slice(&buffer[..read]),
                _ => return,
            }
        }
    }

    fn agent(&self, request: agent::Request) -> agent::Response {
        let behaviour = self.behaviour.lock().unwrap().clone();
        let refused = |reason| agent::Response::Refused(Refusal::new(reason, ""));
        match request {
            agent::Request::ListKeys(_) => agent::Response::Keys(agent::Keys {
                keys: vec![agent::KeySummary {
                    name: "release".parse().unwrap(),
                    algorithm: Some(behaviour.algorithm.code()),
                }],
                more: false,
            }),
            agent::Request::DescribeKey(ask) if ask.key.as_str() == "release" => {
                agent::Response::KeyDescription(self.describe("release", &behaviour))
            }
            agent::Request::FetchCertificate(_) => match behaviour.certificate {
                Some(bytes) => agent::Response::Certificate(agent::Certificate {
                    kind: CertificateKind::Openpgp.code(),
                    bytes: ByteBuf::from(bytes),
                }),
                None => refused(Reason::NotPermitted),
            },
            agent::Request::Sign(ask) if ask.key.as_str() == "release" => {
                self.asked.fetch_add(1, Ordering::SeqCst);
                while self.behaviour.lock().unwrap().silent {
                    thread::park();
                }
                if let Some(reason) = behaviour.refuse {
                    return refused(reason);
                }
                self.signed.lock().unwrap().push(ask.context);
                let scheme = Scheme::from_code(ask.scheme).unwrap();
                let sign = |digest: &ByteBuf| {
                    let mut digest = digest.to_vec();
                    digest[0] ^= u8::from(behaviour.wrong_signatures);
                    ByteBuf::from(self.sign(scheme, &digest))
                };
                agent::Response::Signatures(agent::Signatures {
                    signatures: ask.digests.iter().map(sign).collect(),
                })
            }
            _ => refused(Reason::NotPermitted),
        }
    }

    fn admin(&self, request: admin::Request) -> admin::Response {
        let behaviour = self.behaviour.lock().unwrap().clone();
        match request {
            admin::Request::Status(_) => admin::Response::StatusReport(admin::StatusReport {
                software: "stand-in".into(),
                uptime: 1,
                keys: 1,
                policy_fault: String::new(),
                connections: 1,
                signatures: 0,
                refusals: 0,
                tokens: vec![admin::TokenStatus {
                    name: "soft".into(),
                    state: behaviour.token_state.into(),
                    since: 5,
                    workers_ready: 0,
                    workers: 1,
                    queued: 0,
                    in_flight: 0,
                    signatures: 0,
                    restarts: 0,
                    last_error: String::new(),
                }],
                audit: admin::AuditStatus {
                    file: "audit.jsonl".into(),
                    sequence: 0,
                    head: "00".into(),
                    fault: String::new(),
                },
                extensions: vec![],
            }),
            admin::Request::GenerateKey(ask) if ask.name.as_str() == "release" => {
                admin::Response::Refused(Refusal::new(Reason::Exists, "key `release` exists already"))
            }
            admin::Request::GenerateKey(ask) => {
                admin::Response::KeyDescription(self.describe(ask.name.as_str(), &behaviour))
            }
            admin::Request::StoreCertificate(ask) => {
                self.behaviour.lock().unwrap().certificate = Some(ask.bytes.into_vec());
                admin::Response::Done(admin::Done { message: "stored".into() })
            }
            admin::Request::Reload(_) => {
                admin::Response::Done(admin::Done { message: "1 key in force".into() })
            }
        }
    }

    fn describe(&self, name: &str, behaviour: &Behaviour) -> agent::KeyDescription {
        agent::KeyDescription {
            name: name.parse().unwrap(),
            description: "for tests".into(),
            algorithm: behaviour.algorithm.code(),
            public_key: ByteBuf::from(self.spki.clone()),
            schemes: behaviour.algorithm.schemes().map(Scheme::code).collect(),
            formats: behaviour.formats.iter().map(|format| format.code()).collect(),
            created: behaviour.created,
            not_after: None,
            uri: None,
            certificates: behaviour.certificate.iter().map(|_| CertificateKind::Openpgp.code()).collect(),
            extensions: vec![],
        }
    }

    fn sign(&self, scheme: Scheme, digest: &[u8]) -> Vec<u8> {
        let file = tempfile::NamedTempFile::new_in(&self.dir).unwrap();
        fs::write(file.path(), digest).unwrap();
        let input = file.path().to_str().unwrap();
        let hash = format!("digest:{}", scheme.hash().unwrap());
        let options: &[&str] = match scheme {
            Scheme::RsaPkcs1Sha256 | Scheme::RsaPkcs1Sha384 | Scheme::RsaPkcs1Sha512 => {
                &["-pkeyopt", &hash, "-pkeyopt", "rsa_padding_mode:pkcs1"]
            }
            _ => &["-rawin"],
        };
        tool(
            "openssl",
            &[&["pkeyutl", "-sign", "-inkey", "key.pem", "-in", input], options].concat(),
            &self.dir,
        )
    }
}
