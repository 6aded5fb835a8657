//! Text as OpenPGP signs it (RFC 9580, sections 5.2.1.2 and 7.2): lines that end in CR LF.

use std::io::{BufRead, Read};

use super::Error;

/// The longest line, in bytes, that gpg 2.2 reads in text (`MAX_LINELEN` of its armor and text filters, less what it
/// needs for the line's end); longer ones it cuts, and the signature is then bad.
const MAX_LINE: usize = 19_990;

/// One line of a text.
pub(super) struct Line<'a> {
    /// The line without its end.
    pub(super) text: &'a [u8],
    /// What ended the line in the input: `\n`, `\r\n`, or nothing at the end of the text.
    pub(super) end: &'a [u8],
}

impl<'a> Line<'a> {
    /// The text without the blanks (space and tab) at its end, which a cleartext signature does not cover.
    pub(super) fn trimmed(&self) -> &'a [u8] {
        let kept =
            self.text.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(0, |last| last + 1);
        &self.text[..kept]
    }
}

/// Hands each line of `input` on, holding one at a time.
pub(super) fn each_line(
    input: impl BufRead,
    mut line: impl FnMut(&Line<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut input = input;
    let mut buffer = Vec::new();
    for number in 1.. {
        buffer.clear();
        // One byte more than a line and its end may have, so that a longer one is noticed and never held.
        let limit = MAX_LINE as u64 + 3;
        input.by_ref().take(limit).read_until(b'\n', &mut buffer).map_err(Error::Read)?;
        if buffer.is_empty() {
            break;
        }
        let end = if buffer.ends_with(b"\r\n") { 2 } else { usize::from(buffer.ends_with(b"\n")) };
        let (text, end) = buffer.split_at(buffer.len() - end);
        if text.len() > MAX_LINE {
            return Err(Error::LineTooLong { line: number, limit: MAX_LINE });
        }
        if text.contains(&b'\r') {
            return Err(Error::StrayCarriageReturn { line: number });
        }
        line(&Line { text, end })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line as `text|trimmed|end`.
    fn lines(input: &[u8]) -> Result<Vec<String>, Error> {
        let mut lines = Vec::new();
        each_line(input, |line| {
            let parts =
                [line.text, line.trimmed(), line.end].map(|part| String::from_utf8_lossy(part).into_owned());
            lines.push(parts.join("|"));
            Ok(())
        })?;
        Ok(lines)
    }

    #[test]
    fn lines_keep_their_text_and_lose_their_end() {
        let cases = [
            ("", &[][..]),
            ("\n", &["||\n"]),
            ("a", &["a|a|"]),
            ("a \t\r\nb", &["a \t|a|\r\n", "b|b|"]),
            (" \t\n\n", &[" \t||\n", "||\n"]),
            ("\r\n", &["||\r\n"]),
        ];
        for (input, expected) in cases {
            assert_eq!(lines(input.as_bytes()).unwrap(), expected, "{input:?}");
        }
    }

    #[test]
    fn a_line_of_the_greatest_length_is_read_and_a_longer_one_refused() {
        for end in ["", "\n", "\r\n"] {
            let longest = ["x".repeat(MAX_LINE).as_str(), end].concat();
            assert!(lines(longest.as_bytes()).is_ok(), "{end:?}");
            let longer = ["first\nx", longest.as_str()].concat();
            assert!(matches!(lines(longer.as_bytes()), Err(Error::LineTooLong { line: 2, .. })), "{end:?}");
        }
    }

    #[test]
    fn a_carriage_return_inside_a_line_is_refused() {
        for text in ["a\rb\n", "a\r\r\n", "a\r", "a\n\r \r\n"] {
            assert!(matches!(lines(text.as_bytes()), Err(Error::StrayCarriageReturn { .. })), "{text:?}");
        }
    }
}
