use aes_gcm::aead::{AeadInOut, KeyInit};
use proptest::prelude::*;

use super::aead::portable;
use super::*;

const MASTER: &[u8] = b"01234567890123456789012345678901";
/// Cipher and stored bytes.
type Sample = (&'static str, &'static str);

/// The iv, the plaintext, and what each cipher makes of it.
const SAMPLES: [(&[u8], &[u8], [Sample; 7]); 2] = [
    (
        b"aabbccddeeffgghhiijjkkllmmnnoopp",
        b"foo",
        [
            ("AES256-GCM-HMAC-SHA256", "e43ba07f85a6d70c5f1102ca06cf19c597e5f91e527b21f00fb76e8bec3fd1"),
            (
                "CHACHA20-POLY1305-HMAC-SHA256",
                "118359f3d4d589d939efbbc3168ae4c77c51bcebce6845fe6ef5d11342faa6",
            ),
            ("AES-128-CTR", "54cd8d"),
            ("AES-192-CTR", "2d084b"),
            ("AES-256-CTR", "8a580a"),
            ("SALSA20", "bf5ec3"),
            ("SALSA20-HMAC", "8bf37fd9ec69843c3c2ac2a2cfdd59f36077206a15289efde640d0e677d03e6ac8f8ec"),
        ],
    ),
    (
        b"00000000000000000000000000000000",
        b"quick brown fox jumps over the lazy dog",
        [
            (
                "AES256-GCM-HMAC-SHA256",
                "eaad755a238f1daa4052db2e5ccddd934790b6cca415b3ccfd46ac5746af33d9d30f4400ffa9eb3a64fb1ce21b888c12c0\
                 43bf6787d4a5c15ad10f21f6a6027ee3afe0",
            ),
            (
                "CHACHA20-POLY1305-HMAC-SHA256",
                "836d2ba87892711077adbdbe1452d3b2c590bbfdf6fd3387dc6810220a32ec19de862e1a4f865575e328424b5f178afac1\
                 b7eeff11494f719d119b7ebb924d1d0846a3",
            ),
            ("AES-128-CTR", "974c5c1782076e3de7255deabe8706a509b5772a8b7a8e7f83d01de7098c945934417071ec5351"),
            ("AES-192-CTR", "1200e755ec14125e87136b5281957895eeb429be673b2241da261f949283aea59fd2fa64387764"),
            ("AES-256-CTR", "39f13367828efb5fb22b97865ca0dbaad352d0c1a3083ff056bc771b812239445ed8af022f3760"),
            ("SALSA20", "65ce12b14739aecbf9e6a9b9b9c4a72ffa8886fe0b071c0abdfb3d3e5c336b90f9af411ba69faf"),
            (
                "SALSA20-HMAC",
                "a1dc47f250def4d97a422d505fb5e9a9a13699762cb32cfe7705982fa68ce71f54544ab932a1045fb0601087159954d563\
                 f0de0aaa15690d93ea63748bf91889e577daeeed5cf8",
            ),
        ],
    ),
];

#[test]
fn samples_of_every_cipher() {
    for (iv, plain, samples) in SAMPLES {
        for (name, stored) in samples {
            let cipher = ContentCipher::new(name, MASTER).unwrap();
            let mut bytes = hex::decode(stored).unwrap();
            assert_eq!(bytes.len(), plain.len() + cipher.overhead(), "{name}");
            assert_eq!(cipher.open_in_place(iv, &mut bytes).unwrap(), plain, "{name}");
            if cipher.is_authenticated() {
                for i in 0..stored.len() / 2 {
                    let mut bad = hex::decode(stored).unwrap();
                    bad[i] ^= 0x40;
                    assert_eq!(
                        cipher.open_in_place(iv, &mut bad),
                        Err(Error::NotAuthentic),
                        "{name} byte {i}"
                    );
                }
            }
        }
    }
}

/// Traps 1 and 4: salt "encryption" with empty info; the iv selects the key and is associated data, not the nonce.
#[test]
fn trap_01_and_04_the_whole_chain() {
    let master: Vec<u8> = (0x20..0x40).collect();
    let iv = hex::decode("7b7ad35482ba7ed207eb198b5af66c82").unwrap();
    for (name, stored) in [
        (
            "AES256-GCM-HMAC-SHA256",
            "a0a1a2a3a4a5a6a7a8a9aaab3c8257339bc5ffb4702000989799298a3f03f82bb888ff6e9f6531ac",
        ),
        (
            "CHACHA20-POLY1305-HMAC-SHA256",
            "a0a1a2a3a4a5a6a7a8a9aaab03d99d8719a650b2777af5987b571b18bfe78132ac0093ea94114e84",
        ),
    ] {
        let cipher = ContentCipher::new(name, &master).unwrap();
        let mut bytes = hex::decode(stored).unwrap();
        assert_eq!(cipher.open_in_place(&iv, &mut bytes).unwrap(), b"hello, kopia");
    }
}

#[test]
fn short_items_and_unknown_names_are_refused() {
    let cipher = ContentCipher::new("AES256-GCM-HMAC-SHA256", MASTER).unwrap();
    assert_eq!(cipher.open_in_place(&[0; 16], &mut [0; 27]), Err(Error::TooShort { len: 27 }));
    assert!(matches!(ContentCipher::new("ROT13", MASTER), Err(Error::UnsupportedAlgorithm { .. })));
    assert!(matches!(ContentCipher::new("AES-256-CTR", b"short"), Err(Error::ShortKey { .. })));
}

proptest! {
    /// The two implementations open the same items and refuse the same damage.
    #[test]
    fn implementations_agree(
        key: [u8; 32], nonce: [u8; 12], aad in proptest::collection::vec(any::<u8>(), 0..40),
        plain in proptest::collection::vec(any::<u8>(), 0..300), flip in any::<Option<u16>>(),
    ) {
        for cipher in [Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305] {
            let mut text = plain.clone();
            let tag = match cipher {
                Cipher::Aes256Gcm => aes_gcm::Aes256Gcm::new(&key.into())
                    .encrypt_inout_detached(&nonce.into(), &aad, text.as_mut_slice().into()).unwrap(),
                Cipher::ChaCha20Poly1305 => chacha20poly1305::ChaCha20Poly1305::new(&key.into())
                    .encrypt_inout_detached(&nonce.into(), &aad, text.as_mut_slice().into()).unwrap(),
            };
            let mut stored = [&nonce[..], &text, &tag].concat();
            if let Some(flip) = flip {
                let at = usize::from(flip) % stored.len();
                stored[at] ^= 1;
            }
            let mut again = stored.clone();
            let fast = Aead::new(cipher, &key).open_in_place(&aad, &mut stored).map(|p| p.to_vec());
            let portable = portable::Aead::new(cipher, &key).open_in_place(&aad, &mut again).map(|p| p.to_vec());
            prop_assert_eq!(&fast, &portable);
            prop_assert_eq!(fast.ok(), if flip.is_some() { None } else { Some(plain.clone()) });
        }
    }
}
