//! Bytes as hexadecimal digits.

/// The bytes as lower-case digits.
pub fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS[usize::from(nibble)];
    let mut text = vec![0; bytes.len() * 2];
    for (pair, byte) in text.as_chunks_mut().0.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
    String::from_utf8(text).unwrap_or_default()
}

/// The bytes of digits in either case; `None` if there are other characters or half a byte.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    pairs.iter().map(|[high, low]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_pairs_of_digits_are_decoded() {
        assert_eq!(decode(""), Some(Vec::new()));
        assert_eq!(decode("00fF"), Some(vec![0, 255]));
        for text in ["0", "000", "0g", "+1", " 1", "é"] {
            assert_eq!(decode(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn encoded_bytes_are_decoded_again(bytes: Vec<u8>) {
            let text = encode(&bytes);
            prop_assert!(text.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit)));
            prop_assert_eq!(decode(&text), Some(bytes));
        }
    }
}
