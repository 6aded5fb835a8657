//! Every seed, and every input that once broke a decoder, without a fuzzer.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fs;
use std::path::Path;

use chancery_fuzz::DECODERS;

/// A file, and what of it is fed to a decoder.
type Seed = (String, Vec<u8>);

fn files(folder: &str) -> Vec<Seed> {
    let Ok(entries) = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)) else { return vec![] };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.map(|path| (path.display().to_string(), fs::read(&path).unwrap())).collect()
}

/// The decoder's own seeds, and the golden messages and sample packages that are meant for it. fuzz.sh takes the same.
fn seeds(decoder: &str) -> Vec<Seed> {
    let mut seeds = files(&format!("seeds/{decoder}"));
    let vectors = || files("../protocol/vectors").into_iter();
    match decoder {
        "frame" => seeds.extend(vectors()),
        "rpm" => {
            let packages = files("../tests/samples").into_iter();
            seeds
                .extend(packages.filter(|(name, _)| Path::new(name).extension().is_some_and(|e| e == "rpm")));
        }
        "hello" | "agent_request" | "agent_response" | "admin_request" | "admin_response" => {
            let (service, _) = decoder.split_once('_').unwrap_or((decoder, ""));
            let ours = vectors().filter(|(name, _)| name.contains(&format!("vectors/{service}-")));
            seeds.extend(ours.map(|(name, frame)| (name, [&frame[5..6], &frame[12..]].concat())));
        }
        _ => {}
    }
    seeds
}

#[test]
fn every_decoder_survives_its_seeds_and_their_beginnings() {
    for (decoder, decode) in DECODERS {
        let seeds = seeds(decoder);
        assert!(!seeds.is_empty(), "no seeds for {decoder}");
        for (name, bytes) in seeds {
            eprintln!("{decoder}: {name}");
            decode(&bytes);
            // Cut short anywhere; a long one at a hundred places.
            for end in (0..bytes.len()).step_by(bytes.len().div_ceil(100).max(1)) {
                decode(&bytes[..end]);
            }
        }
    }
}

#[test]
fn every_decoder_has_a_target() {
    let mut targets: Vec<_> = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("targets"))
        .unwrap()
        .map(|target| target.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let mut names = DECODERS.map(|(name, _)| name.to_owned());
    targets.sort();
    names.sort();
    assert_eq!(targets, names);
}
