//! What decoders do with bytes that nobody sane has written, and how two sides find a version.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod support;

use bytes::BytesMut;
use chancery_protocol::frame::{Frame, MAX_BODY};
use chancery_protocol::hello::{FromClient, FromDaemon, VERSION, agree};
use chancery_protocol::{Message, admin, agent};
use proptest::prelude::*;
use support::vectors;

/// Decodes `body` as every set of messages; what decodes has to survive its own encoding.
fn decode_as_everything(kind: u8, body: &[u8]) {
    survives::<FromClient>(kind, body);
    survives::<FromDaemon>(kind, body);
    survives::<agent::Request>(kind, body);
    survives::<agent::Response>(kind, body);
    survives::<admin::Request>(kind, body);
    survives::<admin::Response>(kind, body);
}

/// Bytes need not come back the same (integers may be written longer than needed), but values must.
fn survives<M: Message + PartialEq>(kind: u8, body: &[u8]) {
    let Ok(message) = M::decode(kind, body) else { return };
    let mut out = BytesMut::new();
    message.put(VERSION, 7, &mut out).unwrap();
    let frame = Frame::take(&mut out).unwrap().unwrap();
    assert!(frame.kind == kind && out.is_empty());
    assert!(M::decode(frame.kind, &frame.body).is_ok_and(|again| again == message), "type {kind:#04x}");
}

/// Every type number that means something somewhere, and some that do not.
fn kinds() -> impl Strategy<Value = u8> {
    let known: Vec<u8> = vectors().iter().map(|vector| vector.frame().kind).collect();
    prop_oneof![9 => prop::sample::select(known), 1 => any::<u8>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn any_bytes_are_decoded_or_refused_without_panic(
        kind in kinds(),
        body in prop::collection::vec(any::<u8>(), 0..256),
    ) {
        decode_as_everything(kind, &body);
    }

    #[test]
    fn a_vector_changed_anywhere_is_decoded_or_refused_without_panic(
        vector in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let vectors = vectors();
        let mut frame = vector.get(&vectors).frame();
        for (at, byte) in changes {
            if !frame.body.is_empty() {
                let at = at.index(frame.body.len());
                frame.body[at] = byte;
            }
        }
        decode_as_everything(frame.kind, &frame.body);
    }

    #[test]
    fn the_version_that_is_agreed_lies_in_both_ranges(min in any::<u8>(), max in any::<u8>()) {
        match agree(min, max) {
            Some(version) => prop_assert!(version == VERSION && min <= version && version <= max),
            None => prop_assert!(VERSION < min || max < VERSION),
        }
    }
}

#[test]
fn the_longest_body_of_every_byte_is_refused_without_panic() {
    for byte in [0x00, 0x01, 0x7f, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff] {
        let body = vec![byte; MAX_BODY];
        for kind in 0..=u8::MAX {
            decode_as_everything(kind, &body);
        }
    }
}

#[test]
fn two_of_the_same_version_agree_and_the_future_is_met_halfway() {
    for (min, max, agreed) in [
        (VERSION, VERSION, Some(1)),
        (0, 200, Some(1)),
        (1, 9, Some(1)),
        (0, 0, None),
        (2, 9, None),
        (9, 2, None),
    ] {
        assert_eq!(agree(min, max), agreed, "{min}..={max}");
    }
}
