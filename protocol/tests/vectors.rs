//! The golden vectors of `vectors/`: what shipped stays readable, and is written the same for ever.
//!
//! `CHANCERY_WRITE_VECTORS=1 cargo test -p chancery-protocol --test vectors` writes the vectors of new messages, and
//! the hexdumps of docs/PROTOCOL.md. It never changes a vector that exists.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod support;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use bytes::BytesMut;
use chancery_protocol::frame::Frame;
use chancery_protocol::hello::{FromClient, FromDaemon};
use chancery_protocol::{Message, admin, agent};
use support::{folder, vectors, writing};

#[test]
fn every_vector_decodes_to_its_value_and_encodes_to_its_bytes() {
    for vector in vectors() {
        assert!((vector.is)(&vector.frame()), "{} decodes to something else", vector.name);
        assert_eq!(hex::encode(&vector.encoded), hex::encode(vector.bytes()), "{}", vector.name);
    }
}

#[test]
fn every_message_type_has_a_vector_and_every_vector_a_value() {
    let files: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let named: BTreeSet<String> = vectors().iter().map(|vector| format!("{}.bin", vector.name)).collect();
    assert_eq!(files, named);

    let shown = |prefix: &str| -> BTreeSet<u8> {
        vectors()
            .iter()
            .filter(|vector| vector.name.starts_with(prefix))
            .map(|vector| vector.frame().kind)
            .collect()
    };
    assert_eq!(
        shown("hello-"),
        [types_of::<FromClient>(), types_of::<FromDaemon>()].concat().into_iter().collect()
    );
    assert_eq!(
        shown("agent-"),
        [types_of::<agent::Request>(), types_of::<agent::Response>()].concat().into_iter().collect()
    );
    assert_eq!(
        shown("admin-"),
        [types_of::<admin::Request>(), types_of::<admin::Response>()].concat().into_iter().collect()
    );
}

/// The type numbers that a set of messages knows.
fn types_of<M: Message>() -> Vec<u8> {
    let knows =
        |kind: &u8| !matches!(M::decode(*kind, &[]), Err(chancery_protocol::BadMessage::UnknownType(_)));
    (0..=u8::MAX).filter(knows).collect()
}

#[test]
fn a_vector_cut_anywhere_is_refused() {
    for vector in vectors() {
        let (bytes, body) = (vector.bytes(), vector.frame().body);
        for end in 0..bytes.len() {
            let mut cut = BytesMut::from(&bytes[..end]);
            assert_eq!(Frame::take(&mut cut), Ok(None), "{} cut to {end} bytes is no frame yet", vector.name);
        }
        for end in 0..body.len() {
            assert!((vector.refuses)(&body[..end]), "{} with a body of {end} bytes", vector.name);
        }
    }
}

#[test]
fn a_byte_behind_a_body_is_refused() {
    for vector in vectors() {
        for byte in [0, 1, 0xff] {
            let body = [&vector.frame().body[..], &[byte]].concat();
            assert!((vector.refuses)(&body), "{} with {byte:#04x} behind it", vector.name);
        }
    }
}

#[test]
fn no_request_of_one_socket_is_one_of_the_other() {
    for vector in vectors() {
        let Frame { kind, body, .. } = vector.frame();
        let served = [
            agent::Request::decode(kind, &body).is_ok(),
            admin::Request::decode(kind, &body).is_ok(),
            FromClient::decode(kind, &body).is_ok(),
        ];
        assert!(served.iter().filter(|&&served| served).count() <= 1, "{}", vector.name);
    }
}

#[test]
fn the_hexdumps_of_the_document_are_the_vectors() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/PROTOCOL.md");
    let document = fs::read_to_string(&path).unwrap();
    let shown = with_hexdumps(&document);
    if writing() {
        fs::write(&path, shown).unwrap();
        return;
    }
    for vector in vectors() {
        assert!(
            document.contains(&format!("{FENCE}{}.bin\n", vector.name)),
            "PROTOCOL.md does not show {}",
            vector.name
        );
    }
    // Line by line, so that a failure shows the line.
    for (number, (told, due)) in document.lines().zip(shown.lines()).enumerate() {
        assert_eq!(told, due, "docs/PROTOCOL.md:{}", number + 1);
    }
    assert_eq!(document, shown);
}

/// How a hexdump begins; the vector's file name follows.
const FENCE: &str = "```hexdump ";

/// The document with each block of a vector filled anew.
fn with_hexdumps(document: &str) -> String {
    let (mut out, mut inside) = (String::new(), false);
    for line in document.lines() {
        if inside && line != "```" {
            continue;
        }
        inside = false;
        out.push_str(line);
        out.push('\n');
        if let Some(file) = line.strip_prefix(FENCE) {
            inside = true;
            let bytes = fs::read(folder().join(file))
                .unwrap_or_else(|error| panic!("PROTOCOL.md shows {file}: {error}"));
            out.push_str(&hexdump(&bytes));
        }
    }
    out
}

/// Offset, sixteen bytes, and what of them is text.
fn hexdump(bytes: &[u8]) -> String {
    let mut out = String::new();
    for (line, chunk) in bytes.chunks(16).enumerate() {
        let hex = chunk.iter().map(|&byte| hex::encode([byte])).collect::<Vec<_>>().join(" ");
        let text: String =
            chunk.iter().map(|&b| if b.is_ascii_graphic() { char::from(b) } else { '.' }).collect();
        writeln!(out, "{:04x}  {hex:<47}  {text}", line * 16).unwrap();
    }
    out
}
