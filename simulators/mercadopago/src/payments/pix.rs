//! The code of a Pix payment, in the format banks read: tag, length, value, and a CRC-16 at the end.

use super::model::Payment;

/// The text behind the QR code. It is well formed, but no bank knows its key.
pub(super) fn code(payment: &Payment) -> String {
    let account = field("00", "br.gov.bcb.pix") + &field("01", "simulador@trastienda.test");
    let reference = field("05", &format!("mpqrinter{}", payment.id));
    let body = [
        field("00", "01"),
        field("26", &account),
        field("52", "0000"),
        field("53", "986"),
        field("54", &payment.amount.text()),
        field("58", "BR"),
        field("59", "Trastienda"),
        field("60", "Sao Paulo"),
        field("62", &reference),
        "6304".to_owned(),
    ]
    .concat();
    let crc = crc16(body.as_bytes());
    format!("{body}{crc:04X}")
}

fn field(tag: &str, value: &str) -> String {
    format!("{tag}{:02}{value}", value.len())
}

/// CRC-16 with polynomial 0x1021, beginning at 0xFFFF.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_standard_one() {
        assert_eq!(crc16(b"123456789"), 0x29B1);
    }

    #[test]
    fn a_field_says_how_long_it_is() {
        assert_eq!(field("58", "BR"), "5802BR");
    }
}
