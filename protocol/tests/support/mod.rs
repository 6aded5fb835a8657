//! The golden vectors: one message of each type, its value here and its frame in `vectors/`.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use chancery_protocol::admin;
use chancery_protocol::agent::{self, Context};
use chancery_protocol::frame::Frame;
use chancery_protocol::hello::{ADMIN_MAGIC, AGENT_MAGIC, FromClient, FromDaemon, Hello, VERSION, Welcome};
use chancery_protocol::{
    Algorithm, ByteBuf, CertificateKind, Extensions, Format, MAX_BATCH, Message, PublicKey, Reason, Refusal,
    Scheme,
};

/// Whether missing vectors are written, and the hexdumps of docs/PROTOCOL.md with them. Vectors that exist are kept for
/// ever and never overwritten.
pub fn writing() -> bool {
    std::env::var_os("CHANCERY_WRITE_VECTORS").is_some_and(|value| value == "1")
}

/// The folder of the vectors.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// What a set of messages says of bytes.
type Judge<T> = Box<dyn Fn(&T) -> bool>;

/// One message as a frame, and how its set of messages treats bytes.
pub struct Vector {
    /// The file's name without `.bin`.
    pub name: &'static str,
    /// The frame that the value encodes to.
    pub encoded: Vec<u8>,
    /// Whether a frame decodes to the value.
    pub is: Judge<Frame>,
    /// Whether the set refuses a body of the value's type.
    pub refuses: Judge<[u8]>,
}

impl Vector {
    fn of<M: Message + PartialEq>(name: &'static str, version: u8, id: u32, message: M) -> Self {
        let mut encoded = BytesMut::new();
        message.put(version, id, &mut encoded).unwrap();
        let encoded = encoded.to_vec();
        let kind = encoded[5];
        Self {
            name,
            encoded,
            is: Box::new(move |frame| {
                (frame.version, frame.kind, frame.id) == (version, kind, id)
                    && M::decode(frame.kind, &frame.body).is_ok_and(|decoded| decoded == message)
            }),
            refuses: Box::new(move |body| M::decode(kind, body).is_err()),
        }
    }

    /// The vector's file.
    pub fn path(&self) -> PathBuf {
        folder().join(format!("{}.bin", self.name))
    }

    /// The file's bytes. A missing one is written first, if that was asked for.
    pub fn bytes(&self) -> Vec<u8> {
        let path = self.path();
        if writing() && !path.exists() {
            fs::write(&path, &self.encoded).unwrap();
        }
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The file as one frame.
    pub fn frame(&self) -> Frame {
        let mut buffer = BytesMut::from(&self.bytes()[..]);
        let frame = Frame::take(&mut buffer).unwrap().unwrap();
        assert!(buffer.is_empty(), "{}: bytes follow the frame", self.name);
        frame
    }
}

/// Every vector, in the order of docs/PROTOCOL.md.
pub fn vectors() -> Vec<Vector> {
    [hello(), agent_requests(), agent_responses(), admin_requests(), admin_responses()]
        .into_iter()
        .flatten()
        .collect()
}

fn hello() -> Vec<Vector> {
    let hello = |magic, software: &str| {
        FromClient::Hello(Hello {
            magic,
            min_version: 1,
            max_version: 1,
            software: software.to_owned(),
            extensions: none(),
        })
    };
    let welcome = FromDaemon::Welcome(Welcome {
        version: 1,
        max_frame: 65_536,
        max_batch: u16::try_from(MAX_BATCH).unwrap(),
        max_in_flight: 256,
        software: "chanceryd 0.1.0".to_owned(),
        extensions: none(),
    });
    let refused =
        Refusal::new(Reason::Unsupported, "chanceryd 0.1.0 speaks no protocol version between 2 and 9");
    vec![
        Vector::of("hello-agent", 0, 0, hello(AGENT_MAGIC, "chancery 0.1.0")),
        Vector::of("hello-admin", 0, 0, hello(ADMIN_MAGIC, "chancery 0.1.0")),
        Vector::of("hello-welcome", 0, 0, welcome),
        Vector::of("hello-refused", 0, 0, FromDaemon::Refused(refused)),
    ]
}

fn agent_requests() -> Vec<Vector> {
    let sign = agent::Sign {
        key: "release".parse().unwrap(),
        scheme: Scheme::RsaPkcs1Sha256.code(),
        digests: vec![count(0x00, 32), count(0x80, 32)],
        context: Context {
            format: Format::Rpm.code(),
            artifact: "bash-5.2.15-1.x86_64.rpm".to_owned(),
            artifact_digest: ByteBuf::new(),
            build: "build-4711".to_owned(),
        },
        extensions: none(),
    };
    let sign_message = agent::SignMessage {
        key: "repo".parse().unwrap(),
        scheme: Scheme::Ed25519.code(),
        message: ByteBuf::from(b"hello\n"),
        context: Context {
            format: Format::Raw.code(),
            artifact: String::new(),
            artifact_digest: count(0x40, 32),
            build: String::new(),
        },
        extensions: vec![(1, ByteBuf::from([0xaa, 0xbb]))],
    };
    let list = agent::ListKeys { after: Some("release".parse().unwrap()) };
    let describe = agent::DescribeKey { key: "release".parse().unwrap() };
    let fetch =
        agent::FetchCertificate { key: "release".parse().unwrap(), kind: CertificateKind::X509.code() };
    vec![
        Vector::of("agent-sign", VERSION, 1, agent::Request::Sign(sign)),
        Vector::of("agent-sign-message", VERSION, 2, agent::Request::SignMessage(sign_message)),
        Vector::of("agent-list-keys", VERSION, 3, agent::Request::ListKeys(list)),
        Vector::of("agent-describe-key", VERSION, 4, agent::Request::DescribeKey(describe)),
        Vector::of("agent-fetch-certificate", VERSION, 5, agent::Request::FetchCertificate(fetch)),
    ]
}

fn agent_responses() -> Vec<Vector> {
    let signatures = agent::Signatures { signatures: vec![count(0x00, 64)] };
    let keys = agent::Keys {
        keys: vec![
            agent::KeySummary {
                name: "release".parse().unwrap(),
                algorithm: Some(Algorithm::Rsa4096.code()),
            },
            agent::KeySummary { name: "repo".parse().unwrap(), algorithm: None },
        ],
        more: false,
    };
    let certificate = agent::Certificate {
        kind: CertificateKind::Openpgp.code(),
        bytes: ByteBuf::from([0xc6, 0x33, 0x04]),
    };
    let refusal = Refusal::new(Reason::TokenUnavailable, "the token cannot sign now")
        .retry_after(std::time::Duration::from_secs(1));
    vec![
        Vector::of("agent-signatures", VERSION, 2, agent::Response::Signatures(signatures)),
        Vector::of("agent-keys", VERSION, 3, agent::Response::Keys(keys)),
        Vector::of("agent-key-description", VERSION, 4, agent::Response::KeyDescription(description())),
        Vector::of("agent-certificate", VERSION, 5, agent::Response::Certificate(certificate)),
        Vector::of("agent-refused", VERSION, 1, agent::Response::Refused(refusal)),
    ]
}

fn admin_requests() -> Vec<Vector> {
    let generate = admin::GenerateKey {
        name: "repo".parse().unwrap(),
        algorithm: Algorithm::Ed25519.code(),
        token: String::new(),
        description: "signs repositories".to_owned(),
        allow: vec!["user:build".to_owned(), "group:farm".to_owned()],
        formats: vec![Format::Openpgp.code()],
        extensions: none(),
    };
    let store = admin::StoreCertificate {
        key: "repo".parse().unwrap(),
        kind: CertificateKind::Openpgp.code(),
        bytes: ByteBuf::from([0xc6, 0x33, 0x04]),
    };
    vec![
        Vector::of("admin-status", VERSION, 1, admin::Request::Status(admin::Status { extensions: none() })),
        Vector::of("admin-generate-key", VERSION, 2, admin::Request::GenerateKey(generate)),
        Vector::of("admin-store-certificate", VERSION, 3, admin::Request::StoreCertificate(store)),
        Vector::of("admin-reload", VERSION, 4, admin::Request::Reload(admin::Reload { extensions: none() })),
    ]
}

fn admin_responses() -> Vec<Vector> {
    let report = admin::StatusReport {
        software: "chanceryd 0.1.0".to_owned(),
        uptime: 86_400,
        keys: 2,
        policy_fault: String::new(),
        connections: 3,
        signatures: 4168,
        refusals: 1,
        tokens: vec![admin::TokenStatus {
            name: "main".to_owned(),
            state: "ready".to_owned(),
            since: 86_399,
            workers_ready: 2,
            workers: 2,
            queued: 0,
            in_flight: 1,
            signatures: 4168,
            restarts: 0,
            last_error: String::new(),
        }],
        audit: admin::AuditStatus {
            file: "/var/log/chancery/audit-00000000000000000001.jsonl".to_owned(),
            sequence: 8342,
            head: "0123456789abcdef".repeat(4),
            fault: String::new(),
        },
        extensions: none(),
    };
    let done = admin::Done { message: "the policy is in force: 2 keys".to_owned() };
    let refusal = Refusal::new(Reason::NotPermitted, "you are not an operator of this daemon");
    vec![
        Vector::of("admin-status-report", VERSION, 1, admin::Response::StatusReport(report)),
        Vector::of("admin-key-description", VERSION, 2, admin::Response::KeyDescription(description())),
        Vector::of("admin-done", VERSION, 4, admin::Response::Done(done)),
        Vector::of("admin-refused", VERSION, 3, admin::Response::Refused(refusal)),
    ]
}

fn description() -> agent::KeyDescription {
    let point = std::array::from_fn(|index| u8::try_from(index).unwrap());
    agent::KeyDescription {
        name: "repo".parse().unwrap(),
        description: "signs repositories".to_owned(),
        algorithm: Algorithm::Ed25519.code(),
        public_key: ByteBuf::from(PublicKey::Ed25519 { point }.to_spki().unwrap()),
        schemes: vec![Scheme::Ed25519Sha256.code(), Scheme::Ed25519Sha512.code()],
        formats: vec![Format::Openpgp.code(), Format::Rpm.code()],
        created: Some(1_795_446_000),
        not_after: Some(1_893_456_000),
        uri: Some("pkcs11:token=chancery;object=repo;type=private".to_owned()),
        certificates: vec![CertificateKind::Openpgp.code()],
        extensions: none(),
    }
}

fn none() -> Extensions {
    Extensions::new()
}

/// `length` bytes that count up from `first`.
fn count(first: u8, length: u8) -> ByteBuf {
    ByteBuf::from((0..length).map(|index| first.wrapping_add(index)).collect::<Vec<_>>())
}
