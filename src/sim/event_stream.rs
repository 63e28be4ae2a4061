//! Amazon's event stream framing (`application/vnd.amazon.eventstream`, as Smithy's documents give it): lengths,
//! headers, payload, and checksums over both. Writes only. Pure.

use bytes::Bytes;

/// Type of a header's value that is text.
const TEXT: u8 = 7;
/// The reversed polynomial of CRC-32 (ISO-HDLC), as zlib has it.
const POLYNOMIAL: u32 = 0xedb8_8320;
const PRELUDE_BYTES: usize = 12;
const CHECKSUM_BYTES: usize = 4;

/// An event with a JSON payload.
pub(super) fn event(name: &str, payload: &str) -> Bytes {
    message(
        &[(":event-type", name), (":content-type", "application/json"), (":message-type", "event")],
        payload,
    )
}

/// An error within a stream.
pub(super) fn exception(name: &str, payload: &str) -> Bytes {
    let kind = (":message-type", "exception");
    message(&[(":exception-type", name), (":content-type", "application/json"), kind], payload)
}

fn message(headers: &[(&str, &str)], payload: &str) -> Bytes {
    let mut head = Vec::new();
    for (name, value) in headers {
        head.push(name.len() as u8);
        head.extend_from_slice(name.as_bytes());
        head.push(TEXT);
        head.extend_from_slice(&(value.len() as u16).to_be_bytes());
        head.extend_from_slice(value.as_bytes());
    }
    let total = PRELUDE_BYTES + head.len() + payload.len() + CHECKSUM_BYTES;
    let mut message = Vec::with_capacity(total);
    message.extend_from_slice(&(total as u32).to_be_bytes());
    message.extend_from_slice(&(head.len() as u32).to_be_bytes());
    message.extend_from_slice(&crc32(&message).to_be_bytes());
    message.extend_from_slice(&head);
    message.extend_from_slice(payload.as_bytes());
    message.extend_from_slice(&crc32(&message).to_be_bytes());
    message.into()
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standard() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_message_has_its_lengths_headers_and_payload() {
        let message = event("e", "{}");
        let word = |at: usize| u32::from_be_bytes(message[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!((word(0), word(8)), (message.len(), crc32(&message[..8]) as usize));
        assert_eq!(word(message.len() - 4), crc32(&message[..message.len() - 4]) as usize);
        assert!(message[12..].starts_with(b"\x0b:event-type\x07\x00\x01e"));
        assert_eq!(&message[12 + word(4)..message.len() - 4], b"{}");
    }
}
