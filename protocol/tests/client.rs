//! The client against daemons of every temper. Each is a script: what it does with one connection after another.

#![cfg(feature = "client")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::BytesMut;
use chancery_protocol::agent::{Agent, Context, Request, Response, Sign, Signatures};
use chancery_protocol::client::{Client, ClientError};
use chancery_protocol::frame::Frame;
use chancery_protocol::hello::{FromClient, FromDaemon, HELLO_VERSION, VERSION, Welcome, agree};
use chancery_protocol::{ByteBuf, Message, Reason, Refusal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

const PATIENCE: Duration = Duration::from_secs(20);

/// A socket of the test's own.
fn socket(test: &str) -> (PathBuf, UnixListener) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}.{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    (path, listener)
}

/// The daemon's end of one connection.
struct Line {
    stream: UnixStream,
    input: BytesMut,
}

impl Line {
    /// Accepts a connection and reads its hello.
    async fn accept(listener: &UnixListener) -> (Self, FromClient) {
        let (stream, _) = listener.accept().await.unwrap();
        let mut line = Self { stream, input: BytesMut::new() };
        let frame = line.frame().await;
        assert_eq!(frame.version, HELLO_VERSION);
        let hello = FromClient::decode(frame.kind, &frame.body).unwrap();
        (line, hello)
    }

    /// The same, and answers as a daemon of this version does.
    async fn welcome(listener: &UnixListener) -> Self {
        let (mut line, FromClient::Hello(hello)) = Self::accept(listener).await;
        let version = agree(hello.min_version, hello.max_version).unwrap();
        line.hello(FromDaemon::Welcome(terms(version))).await;
        line
    }

    async fn frame(&mut self) -> Frame {
        loop {
            if let Some(frame) = Frame::take(&mut self.input).unwrap() {
                return frame;
            }
            assert_ne!(self.stream.read_buf(&mut self.input).await.unwrap(), 0, "the client left");
        }
    }

    /// The next request: its id, and the first byte of its first digest, by which the test tells requests apart.
    async fn request(&mut self) -> (u32, u8) {
        let frame = self.frame().await;
        assert_eq!(frame.version, VERSION);
        match Request::decode(frame.kind, &frame.body).unwrap() {
            Request::Sign(sign) => (frame.id, sign.digests[0][0]),
            other => panic!("{}", other.name()),
        }
    }

    async fn hello(&mut self, message: FromDaemon) {
        let mut out = BytesMut::new();
        message.put(HELLO_VERSION, 0, &mut out).unwrap();
        self.stream.write_all(&out).await.unwrap();
    }

    async fn answer(&mut self, id: u32, response: Response) {
        let mut out = BytesMut::new();
        response.put(VERSION, id, &mut out).unwrap();
        self.stream.write_all(&out).await.unwrap();
    }
}

fn terms(version: u8) -> Welcome {
    Welcome {
        version,
        max_frame: 65_536,
        max_batch: 64,
        max_in_flight: 8,
        software: "a test".to_owned(),
        extensions: vec![],
    }
}

/// A request for one signature; `mark` tells it from others.
fn sign(mark: u8) -> Sign {
    Sign {
        key: "k".parse().unwrap(),
        scheme: 0,
        digests: vec![ByteBuf::from(vec![mark; 32])],
        context: Context::default(),
        extensions: vec![],
    }
}

/// The "signature" over a request with this mark.
fn signature(mark: u8) -> Response {
    Response::Signatures(Signatures { signatures: vec![ByteBuf::from([mark])] })
}

#[tokio::test]
async fn answers_out_of_order_reach_those_who_asked() {
    let (path, listener) = socket("order");
    let daemon = tokio::spawn(async move {
        let mut line = Line::welcome(&listener).await;
        let mut requests = Vec::new();
        for _ in 0..3 {
            requests.push(line.request().await);
        }
        for (id, mark) in requests.into_iter().rev() {
            line.answer(id, signature(mark)).await;
        }
        line
    });
    let client = Client::<Agent>::connect(&path, PATIENCE).await.unwrap();
    let (one, two, three) = tokio::join!(client.sign(sign(1)), client.sign(sign(2)), client.sign(sign(3)));
    assert_eq!([one.unwrap(), two.unwrap(), three.unwrap()], [[[1]], [[2]], [[3]]]);
    daemon.await.unwrap();
}

#[tokio::test]
async fn requests_that_a_broken_connection_left_unanswered_are_asked_again() {
    let (path, listener) = socket("broken");
    let daemon = tokio::spawn(async move {
        let mut line = Line::welcome(&listener).await;
        let (id, mark) = line.request().await;
        line.request().await;
        line.answer(id, signature(mark)).await;
        drop(line);
        let mut line = Line::welcome(&listener).await;
        let (id, again) = line.request().await;
        assert_ne!(again, mark, "the answered request is not asked again");
        line.answer(id, signature(again)).await;
        line
    });
    let client = Client::<Agent>::connect(&path, PATIENCE).await.unwrap();
    let (one, two) = tokio::join!(client.sign(sign(1)), client.sign(sign(2)));
    assert_eq!([one.unwrap(), two.unwrap()], [[[1]], [[2]]]);
    daemon.await.unwrap();
}

#[tokio::test]
async fn a_refusal_that_says_later_is_tried_again_and_another_is_not() {
    let (path, listener) = socket("later");
    let daemon = tokio::spawn(async move {
        let mut line = Line::welcome(&listener).await;
        let later = Refusal::new(Reason::TokenUnavailable, "later").retry_after(Duration::from_millis(1));
        let (id, _) = line.request().await;
        line.answer(id, Response::Refused(later)).await;
        let (id, mark) = line.request().await;
        line.answer(id, signature(mark)).await;
        let (id, _) = line.request().await;
        line.answer(id, Response::Refused(Refusal::new(Reason::NotPermitted, "no"))).await;
        line
    });
    let client = Client::<Agent>::connect(&path, PATIENCE).await.unwrap();
    assert_eq!(client.sign(sign(1)).await.unwrap(), [[1]]);
    let refused = client.sign(sign(2)).await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused(refusal) if refusal.reason() == Reason::NotPermitted));
    daemon.await.unwrap();
}

#[tokio::test]
async fn a_daemon_of_other_versions_only_is_told_of() {
    let (path, listener) = socket("versions");
    let daemon = tokio::spawn(async move {
        let (mut line, FromClient::Hello(hello)) = Line::accept(&listener).await;
        let theirs = format!("no protocol version between {} and {}", hello.min_version, hello.max_version);
        line.hello(FromDaemon::Refused(Refusal::new(Reason::Unsupported, theirs))).await;
        let (mut line, _) = Line::accept(&listener).await;
        line.hello(FromDaemon::Welcome(terms(9))).await;
    });
    let refused = Client::<Agent>::connect(&path, PATIENCE).await.err().unwrap();
    assert_eq!(refused.to_string(), "no protocol version between 1 and 1");
    let stranger = Client::<Agent>::connect(&path, PATIENCE).await.err().unwrap();
    assert!(
        matches!(&stranger, ClientError::Protocol { what, .. } if what.contains("version 9")),
        "{stranger}"
    );
    daemon.await.unwrap();
}

#[tokio::test]
async fn no_more_requests_are_in_flight_than_the_daemon_takes() {
    let (path, listener) = socket("flight");
    let daemon = tokio::spawn(async move {
        let mut line = Line::welcome(&listener).await;
        for _ in 0..2 {
            let mut requests = Vec::new();
            for _ in 0..8 {
                requests.push(line.request().await);
            }
            assert!(Frame::take(&mut line.input).unwrap().is_none(), "a ninth request came before an answer");
            for (id, mark) in requests {
                line.answer(id, signature(mark)).await;
            }
        }
        line
    });
    let client = Client::<Agent>::connect(&path, PATIENCE).await.unwrap();
    let asked: Vec<_> = (0..16)
        .map(|mark| {
            let client = client.clone();
            tokio::spawn(async move { client.sign(sign(mark)).await.unwrap() == [[mark]] })
        })
        .collect();
    for answer in asked {
        assert!(answer.await.unwrap());
    }
    daemon.await.unwrap();
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_an_error_at_once() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nobody-made-this-socket");
    let missing = Client::<Agent>::connect(&path, PATIENCE).await.err().unwrap();
    assert!(
        matches!(missing, ClientError::Connect { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    );
}
