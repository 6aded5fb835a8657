//! Armor (PROTOCOL.sshsig, section 1).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Characters in a line; OpenSSH's own habit, and verifiers take any.
const LINE: usize = 70;

/// A binary signature, as [`Pending::finish`](super::Pending::finish) returns it, in `-----BEGIN SSH SIGNATURE-----`
/// armor.
pub fn armor(signature: &[u8]) -> String {
    let encoded = STANDARD.encode(signature);
    let mut text = String::from("-----BEGIN SSH SIGNATURE-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        // Base64 is ASCII: every place is the border of a character.
        let (line, more) = rest.split_at(LINE.min(rest.len()));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str("-----END SSH SIGNATURE-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_seventy_characters_and_the_last_is_never_empty() {
        // 105 bytes are 140 characters.
        for (bytes, lines) in [(104, 2), (105, 2), (106, 3)] {
            let text = armor(&vec![7; bytes]);
            let middle: Vec<_> = text.lines().filter(|line| !line.starts_with("-----")).collect();
            assert_eq!(middle.len(), lines);
            assert!(middle[..lines - 1].iter().all(|line| line.len() == 70));
            assert!(middle.iter().all(|line| !line.is_empty()));
        }
    }
}
