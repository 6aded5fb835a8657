//! SSH's own encoding (RFC 4251, section 5), written only: nothing is decoded here.

/// Appends a `string`: its length in 32 bits, big-endian, and its bytes.
pub(super) fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    // Numbers of keys, names and signatures: nothing here is near 4 GiB.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend(length.to_be_bytes());
    out.extend(bytes);
}

/// Appends a positive `mpint`: no leading zeros but one where the first bit would read as a sign.
pub(super) fn mpint(out: &mut Vec<u8>, number: &[u8]) {
    let zeros = number.iter().take_while(|&&byte| byte == 0).count();
    let number = &number[zeros..];
    match number.first() {
        Some(&first) if first & 0x80 != 0 => string(out, &[&[0], number].concat()),
        _ => string(out, number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_examples_of_the_standard() {
        // RFC 4251, section 5.
        for (number, written) in [
            (&[0, 0][..], &[0, 0, 0, 0][..]),
            (
                &[0x09, 0xa3, 0x78, 0xf9, 0xb2, 0xe3, 0x32, 0xa7],
                &[0, 0, 0, 8, 0x09, 0xa3, 0x78, 0xf9, 0xb2, 0xe3, 0x32, 0xa7],
            ),
            (&[0, 0, 0x80], &[0, 0, 0, 2, 0, 0x80]),
        ] {
            let mut out = Vec::new();
            mpint(&mut out, number);
            assert_eq!(out, written);
        }
    }
}
