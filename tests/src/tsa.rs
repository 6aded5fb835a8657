//! A timestamp server: `openssl ts` behind a small HTTP server on the loopback, which can be told to behave badly.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::process::run;

/// The policy by which timestamps are made, and another one that the server has.
pub const POLICIES: [&str; 2] = ["1.2.3.4.1", "1.2.3.4.2"];
/// What the server sends.
const REPLY: &str = "application/timestamp-reply";

/// How a request is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manner {
    /// By `openssl ts`.
    Properly,
    /// By this status and these further header lines.
    Status(u16, &'static str),
    /// Not at all; the connection stays open.
    Never,
    /// By what was answered before.
    Replay,
    /// By `openssl ts`, said to be of another type.
    OfType(&'static str),
    /// By these bytes.
    Bytes(Vec<u8>),
}

/// A server that ends when it is dropped.
pub struct Tsa {
    address: SocketAddr,
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

/// What the server's thread works with.
struct Desk {
    folder: TempDir,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How the next requests are answered; properly behind that.
    next: VecDeque<Manner>,
    /// How all are answered, if that is told.
    always: Option<Manner>,
    /// When requests came.
    requests: Vec<Instant>,
    last: Vec<u8>,
    /// Connections that are never answered.
    held: Vec<TcpStream>,
    ended: bool,
}

impl Tsa {
    /// Starts a server with an authority of its own.
    #[track_caller]
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        prepare(folder.path());
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let desk = Arc::new(Desk { folder, state: Mutex::default() });
        let thread = std::thread::spawn({
            let desk = Arc::clone(&desk);
            move || desk.serve(&listener)
        });
        Self { address, desk, thread: Some(thread) }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}/tsr", self.address)
    }

    /// The certificate of its authority, in PEM.
    pub fn ca(&self) -> PathBuf {
        self.desk.folder.path().join("ca.pem")
    }

    /// How the next requests are answered; those behind them properly.
    pub fn next(&self, manners: impl IntoIterator<Item = Manner>) {
        self.desk.state().next.extend(manners);
    }

    /// How all requests are answered from now on.
    pub fn always(&self, manner: Manner) {
        self.desk.state().always = Some(manner);
    }

    /// When requests came, since the last look.
    pub fn requests(&self) -> Vec<Instant> {
        std::mem::take(&mut self.desk.state().requests)
    }
}

impl Drop for Tsa {
    fn drop(&mut self) {
        self.desk.state().ended = true;
        // Wakes the thread.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Desk {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, listener: &TcpListener) {
        for connection in listener.incoming() {
            if self.state().ended {
                return;
            }
            // Who goes away in the middle is the test's matter.
            let _ = connection.and_then(|connection| self.answer(connection));
        }
    }

    fn answer(&self, mut connection: TcpStream) -> io::Result<()> {
        connection.set_read_timeout(Some(Duration::from_secs(20)))?;
        let query = read(&connection)?;
        let manner = {
            let mut state = self.state();
            state.requests.push(Instant::now());
            state.next.pop_front().or_else(|| state.always.clone()).unwrap_or(Manner::Properly)
        };
        let (status, lines, kind, body) = match manner {
            Manner::Properly => (200, "", REPLY, self.reply(&query)),
            Manner::Status(status, lines) => (status, lines, "text/plain", b"no".to_vec()),
            Manner::Replay => (200, "", REPLY, self.state().last.clone()),
            Manner::OfType(kind) => (200, "", kind, self.reply(&query)),
            Manner::Bytes(bytes) => (200, "", REPLY, bytes),
            Manner::Never => {
                self.state().held.push(connection);
                return Ok(());
            }
        };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} Said\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{lines}Connection: close\r\n\r\n"
        );
        connection.write_all(head.as_bytes())?;
        connection.write_all(&body)
    }

    /// What `openssl ts` answers.
    fn reply(&self, query: &[u8]) -> Vec<u8> {
        let folder = self.folder.path();
        fs::write(folder.join("query"), query).expect("the query");
        let mut command = Command::new("openssl");
        command.args(["ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query", "-out", "reply"]);
        run(command.current_dir(folder)).succeeded();
        let reply = fs::read(folder.join("reply")).expect("a reply");
        self.state().last.clone_from(&reply);
        reply
    }
}

/// Reads a request; the body of one that is no timestamp query is a failed test.
fn read(connection: &TcpStream) -> io::Result<Vec<u8>> {
    let mut reader = BufReader::new(connection);
    let (mut length, mut is_query) = (0, false);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim().to_ascii_lowercase();
        match line.split_once(':') {
            Some(("content-length", value)) => length = value.trim().parse().unwrap_or(0),
            Some(("content-type", value)) => is_query = value.trim() == "application/timestamp-query",
            _ if line.is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    if is_query { Ok(body) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// An authority, a certificate for timestamps, and the settings of `openssl ts`.
#[track_caller]
fn prepare(folder: &Path) {
    let script = "
        openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 3650 -subj '/CN=Timestamp authority'
        openssl req -newkey rsa:2048 -nodes -keyout tsa.key -out tsa.csr -subj '/CN=Timestamps of a test'
        openssl x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -extfile extensions -out tsa.pem
    ";
    let [policy, other] = POLICIES;
    let settings = format!(
        "[tsa]\ndefault_tsa = t\n[t]\nserial = serial\ncrypto_device = builtin\nsigner_cert = tsa.pem\ncerts = ca.pem\n\
         signer_key = tsa.key\nsigner_digest = sha256\ndefault_policy = {policy}\nother_policies = {other}\n\
         digests = sha256, sha384, sha512\naccuracy = secs:1\nordering = yes\ntsa_name = yes\n\
         ess_cert_id_chain = no\ness_cert_id_alg = sha256\n"
    );
    let extensions = "extendedKeyUsage = critical, timeStamping\nkeyUsage = critical, digitalSignature\n\
        basicConstraints = CA:false\n";
    for (name, text) in [("tsa.cnf", settings.as_str()), ("extensions", extensions), ("serial", "01\n")] {
        fs::write(folder.join(name), text).expect("the settings of a TSA");
    }
    run(Command::new("sh").args(["-e", "-c", script]).current_dir(folder)).succeeded();
}
