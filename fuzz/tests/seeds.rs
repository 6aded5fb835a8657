//! Every seed, and every input that once broke a decoder, without a fuzzer.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fs;
use std::path::Path;

use chancery_fuzz::DECODERS;

#[test]
fn every_decoder_survives_its_seeds_and_their_beginnings() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    for (name, decode) in DECODERS {
        let mut count = 0;
        for seed in fs::read_dir(seeds.join(name)).unwrap() {
            let bytes = fs::read(seed.unwrap().path()).unwrap();
            decode(&bytes);
            // Cut short anywhere; of long ones, at a hundred places.
            for end in (0..bytes.len()).step_by(bytes.len().div_ceil(100).max(1)) {
                decode(&bytes[..end]);
            }
            count += 1;
        }
        assert!(count > 0, "no seeds for {name}");
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
