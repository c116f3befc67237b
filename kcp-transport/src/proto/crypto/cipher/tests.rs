//! Bytes recorded from kcp-go, and what must hold for any packet under any cipher.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

/// A file of `tests/interop/vectors`.
macro_rules! vectors {
    ($name:literal) => {
        serde_json::from_str::<Value>(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/interop/vectors/",
            $name
        )))
        .unwrap()
    };
}

fn hex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap();
    (0..digits.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap())
        .collect()
}

fn array<const N: usize>(bytes: &[u8]) -> &[u8; N] {
    bytes.try_into().unwrap()
}

/// The cipher of this kcptun name with a given key instead of a passphrase.
fn with_key(name: &str, key: &[u8]) -> Cipher {
    match name {
        "aes" => Cipher::aes_256(array(key)),
        "aes-128" => Cipher::aes_128(array(key)),
        "aes-192" => Cipher::aes_192(array(key)),
        "aes-128-gcm" => Cipher::aes_128_gcm(array(key)),
        "salsa20" => Cipher::salsa20(array(key)),
        "blowfish" => Cipher::blowfish(key).unwrap(),
        "twofish" => Cipher::twofish(key).unwrap(),
        "cast5" => Cipher::cast5(array(key)),
        "3des" => Cipher::triple_des(array(key)),
        "tea" => Cipher::tea(array(key)),
        "xtea" => Cipher::xtea(array(key)),
        "sm4" => Cipher::sm4(array(key)),
        "xor" => Cipher::xor(key),
        "none" => Cipher::none(),
        "null" => Cipher::null(),
        "aes-256-gcm" => Cipher::aes_256_gcm(array(key)),
        name => panic!("unknown cipher {name}"),
    }
}

/// All ciphers, made once: deriving keys is slow on purpose.
fn ciphers() -> &'static [Cipher] {
    static CIPHERS: std::sync::LazyLock<Vec<Cipher>> = std::sync::LazyLock::new(|| {
        let kcptun = Cipher::KCPTUN_NAMES
            .iter()
            .map(|name| Cipher::kcptun(name, "it's a secrect").unwrap());
        kcptun.chain([Cipher::aes_256_gcm(&[9; 32])]).collect()
    });
    &CIPHERS
}

/// Inner packets laid out as datagrams with gaps between them.
fn lay_out(cipher: &Cipher, inner: &[Vec<u8>]) -> (Vec<u8>, Vec<Span>) {
    let (mut buffer, mut packets) = (Vec::new(), Vec::new());
    for inner in inner {
        buffer.resize(buffer.len() + 3, 0xee);
        let start = buffer.len();
        buffer.resize(start + cipher.header_len(), 0);
        buffer.extend(inner);
        buffer.resize(buffer.len() + cipher.tag_len(), 0);
        packets.push(Span {
            start: start as u32,
            len: (buffer.len() - start) as u32,
        });
    }
    (buffer, packets)
}

fn seal_one(cipher: &Cipher, nonces: &mut Nonces, inner: &[u8]) -> Vec<u8> {
    let (mut buffer, packets) = lay_out(cipher, &[inner.to_vec()]);
    cipher.seal(nonces, &mut buffer, &packets);
    buffer[packets[0].range()].to_vec()
}

#[test]
fn keys_are_derived_as_by_kcptun() {
    let file = vectors!("kdf.json");
    assert_eq!(
        kdf::kcptun_key(file["password"].as_str().unwrap().as_bytes())[..],
        hex(&file["pbkdf2"])
    );
    for case in file["pbkdf2_others"].as_array().unwrap() {
        assert_eq!(
            kdf::kcptun_key(case["password"].as_str().unwrap().as_bytes())[..],
            hex(&case["dk"])
        );
    }
    let xor = &file["xor"];
    assert_eq!(
        kdf::xor_table::<1_500>(&hex(&xor["input_key"]))[..],
        hex(&xor["table"])
    );
}

#[test]
fn kcptun_names_take_the_slices_of_the_key_that_kcptun_gives_them() {
    let file = vectors!("kdf.json");
    let passphrase = file["password"].as_str().unwrap();
    let slices = file["slices"].as_object().unwrap();
    assert_eq!(slices.len(), Cipher::KCPTUN_NAMES.len());
    for (name, slice) in slices {
        let key = if slice.is_null() {
            Vec::new()
        } else {
            hex(slice)
        };
        let named = Cipher::kcptun(name, passphrase).unwrap();
        let keyed = with_key(name, &key);
        assert_eq!(named.name(), name);
        let seal = |cipher| seal_one(cipher, &mut Nonces::new([5; 32]), &[1; 100]);
        assert_eq!(seal(&named), seal(&keyed), "{name}");
    }
}

#[test]
fn packets_are_encrypted_as_by_kcp_go() {
    for case in vectors!("crypt.json")["ciphers"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let cipher = with_key(name, &hex(&case["key"]));
        let Scheme::Checked(inside) = &cipher.scheme else {
            panic!("{name} is no such cipher")
        };
        for vector in case["vectors"].as_array().unwrap() {
            let (plain, encrypted) = (hex(&vector["plain"]), hex(&vector["cipher"]));
            // Once alone, and as many at once as share the lockstep.
            for count in [1, 2, 3, 8, 9] {
                let mut buffer = plain.repeat(count);
                let len = plain.len() as u32;
                let packets: Vec<_> = (0..count as u32)
                    .map(|i| Span {
                        start: i * len,
                        len,
                    })
                    .collect();
                inside.encrypt(&mut buffer, &packets);
                assert_eq!(
                    buffer,
                    encrypted.repeat(count),
                    "{name}, {len} bytes, {count} at once"
                );
            }
            let mut decrypted = encrypted;
            inside.decrypt(&mut decrypted);
            assert_eq!(decrypted, plain, "{name}");
        }
    }
}

#[test]
fn datagrams_of_kcp_go_are_opened_and_ours_are_the_same() {
    for case in vectors!("packet.json")["cases"].as_array().unwrap() {
        let name = case["cipher"].as_str().unwrap();
        if name == "aes-192-gcm" {
            // kcp-go has it, kcptun cannot choose it, and `ring` lacks it.
            continue;
        }
        let key = if case["key"].is_string() {
            hex(&case["key"])
        } else {
            Vec::new()
        };
        let cipher = with_key(name, &key);
        let (inner, wire) = (hex(&case["inner"]), hex(&case["wire"]));

        let mut datagram = wire.clone();
        let range = cipher.open(&mut datagram).unwrap();
        assert_eq!(datagram[range], inner, "{name}");

        let (mut buffer, packets) = lay_out(&cipher, &[inner]);
        let mut nonce = if case["nonce"].is_string() {
            hex(&case["nonce"])
        } else {
            Vec::new()
        };
        nonce.resize(16, 0);
        cipher.seal(
            &mut Nonces::repeating(*array(&nonce)),
            &mut buffer,
            &packets,
        );
        assert_eq!(buffer[packets[0].range()], wire, "{name}");
    }
}

#[test]
fn a_name_that_kcptun_does_not_know_is_an_error() {
    for name in ["", "AES", "aes-256", "aes-256-gcm", "des"] {
        let error = Cipher::kcptun(name, "key").unwrap_err();
        assert_eq!(
            error,
            crate::error::ConfigError::UnknownCipher(name.to_owned())
        );
    }
}

#[test]
fn blowfish_takes_keys_of_1_to_56_bytes() {
    assert!((1..=56).all(|len| Cipher::blowfish(&vec![1; len]).is_ok()));
    for actual in [0, 57] {
        let error = Cipher::blowfish(&vec![1; actual]).unwrap_err();
        assert_eq!(error, key_length("blowfish", "1 to 56", actual));
    }
    let seal = |key| {
        seal_one(
            &Cipher::blowfish(key).unwrap(),
            &mut Nonces::new([5; 32]),
            &[1; 100],
        )
    };
    assert_eq!(seal(b"ab".as_slice()), seal(b"abab"));
    assert_ne!(seal(b"ab".as_slice()), seal(b"abc"));
}

#[test]
fn twofish_takes_keys_of_three_lengths() {
    for actual in 0..=40 {
        let cipher = Cipher::twofish(&vec![1; actual]).map(|cipher| cipher.name());
        let expected = match actual {
            16 | 24 | 32 => Ok("twofish"),
            _ => Err(key_length("twofish", "16, 24 or 32", actual)),
        };
        assert_eq!(cipher, expected);
    }
}

#[test]
fn debug_and_display_show_the_name_and_not_the_key() {
    let cipher = Cipher::xor(b"hunter2");
    assert_eq!(format!("{cipher:?}"), r#"Cipher("xor")"#);
    assert_eq!(format!("{cipher:>5}"), "  xor");
}

#[test]
fn only_gcm_is_authenticated() {
    for cipher in ciphers() {
        assert_eq!(
            cipher.is_authenticated(),
            cipher.name().ends_with("-gcm"),
            "{cipher}"
        );
    }
}

#[test]
fn a_damaged_byte_anywhere_is_noticed() {
    for cipher in ciphers().iter().filter(|cipher| cipher.name() != "null") {
        let sealed = seal_one(cipher, &mut Nonces::new([5; 32]), &[1; 60]);
        for i in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[i] ^= 0x10;
            let opened = cipher.open(&mut damaged);
            let expected = match (cipher.protection(), cipher.name()) {
                (Protection::Authenticated, _) => Err(OpenError::BadTag),
                // The checksum leaves out the nonce. What is damaged here spoils nothing but that.
                (_, "none" | "xor") if i < 16 => Ok(20..80),
                (_, "salsa20") if (8..16).contains(&i) => Ok(20..80),
                (_, "3des" | "blowfish" | "cast5" | "tea" | "xtea") if i < 8 => Ok(20..80),
                _ => Err(OpenError::BadChecksum),
            };
            assert_eq!(opened, expected, "{cipher}, byte {i}");
        }
    }
}

#[test]
fn what_cannot_hold_header_and_tag_is_too_short() {
    for cipher in ciphers() {
        let least = cipher.header_len() + cipher.tag_len();
        for len in 0..least {
            assert_eq!(
                cipher.open(&mut vec![0; len]),
                Err(OpenError::TooShort),
                "{cipher}, {len} bytes"
            );
        }
        let mut empty = seal_one(cipher, &mut Nonces::new([5; 32]), &[]);
        assert_eq!(
            cipher.open(&mut empty),
            Ok(cipher.header_len()..cipher.header_len()),
            "{cipher}"
        );
    }
}

#[test]
fn an_empty_batch_is_sealed_into_nothing() {
    for cipher in ciphers() {
        cipher.seal(&mut Nonces::new([5; 32]), &mut [], &[]);
    }
}

fn any_cipher() -> impl Strategy<Value = &'static Cipher> {
    proptest::sample::select(ciphers().iter().collect::<Vec<_>>())
}

fn any_batch() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let equal = (0..20_usize, 0..1_480_usize, any::<u8>())
        .prop_map(|(count, len, byte)| vec![vec![byte; len]; count]);
    prop_oneof![
        equal,
        vec(vec(any::<u8>(), 0..300), 0..20),
        vec(vec(any::<u8>(), 0..1_480), 0..12)
    ]
}

proptest! {
    #[test]
    fn a_sealed_batch_opens_to_what_it_was(cipher in any_cipher(), batch in any_batch()) {
        let (mut buffer, packets) = lay_out(cipher, &batch);
        cipher.seal(&mut Nonces::new([5; 32]), &mut buffer, &packets);
        for (packet, inner) in packets.iter().zip(&batch) {
            let datagram = &mut buffer[packet.range()];
            let range = cipher.open(datagram).unwrap();
            prop_assert_eq!(&datagram[range], &inner[..]);
        }
    }

    #[test]
    fn a_batch_becomes_the_same_bytes_as_its_packets_one_by_one(cipher in any_cipher(), batch in any_batch()) {
        let (mut together, packets) = lay_out(cipher, &batch);
        let mut one_by_one = together.clone();
        cipher.seal(&mut Nonces::new([5; 32]), &mut together, &packets);
        let mut nonces = Nonces::new([5; 32]);
        for packet in packets {
            cipher.seal(&mut nonces, &mut one_by_one, &[packet]);
        }
        // Equal gaps too: nothing outside the packets was touched.
        prop_assert_eq!(together, one_by_one);
    }

    #[test]
    fn anything_at_all_can_be_opened_without_a_panic(cipher in any_cipher(), mut datagram in vec(any::<u8>(), 0..3_000)) {
        let len = datagram.len();
        if let Ok(inner) = cipher.open(&mut datagram) {
            prop_assert!(inner.start <= inner.end && inner.end <= len);
        }
    }
}
