use blake2::digest::{KeyInit as _, Mac as _};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::blake2b::Stream;
use super::*;

const S32: &[u8] = b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f";
const S16: &[u8] = b"0123456789abcdef";
const S0: &[u8] = b"";

/// Secret, algorithm, input, hash.
const VECTORS: &[(&[u8], &str, &str, &str)] = &[
    (S32, "BLAKE2B-256-128", "hello, kopia", "7b7ad35482ba7ed207eb198b5af66c82"),
    (S32, "BLAKE2B-256-128", "", "4e51e7a913fc80137da52880fecca175"),
    (S32, "BLAKE2B-256", "hello, kopia", "7b7ad35482ba7ed207eb198b5af66c82749fce7c631ec55afe21e6528cd982e9"),
    (S32, "BLAKE2B-256", "", "4e51e7a913fc80137da52880fecca175bf81e117d5c68126dc2774033517ea0d"),
    (S32, "BLAKE2S-128", "hello, kopia", "09a8f0301fdca7724bd1934b18648947"),
    (S32, "BLAKE2S-128", "", "9536f9b267655743dee97b8a670f9f53"),
    (S32, "BLAKE2S-256", "hello, kopia", "c79a477d214a25acc297e83df6bf88c72230daf77fe3d53c8306210335104aa6"),
    (S32, "BLAKE2S-256", "", "48a8997da407876b3d79c0d92325ad3b89cbb754d86ab71aee047ad345fd2c49"),
    (S32, "BLAKE3-256", "hello, kopia", "4fee8675ecb4b65641fcbcbac7939a03cf3475f419377a5a0d482902c62ee178"),
    (S32, "BLAKE3-256", "", "73492b19995d71cdb1e9d74decc09809eb732f1b00bc95c27cb15f9dd4d6478f"),
    (S32, "BLAKE3-256-128", "hello, kopia", "4fee8675ecb4b65641fcbcbac7939a03"),
    (S32, "BLAKE3-256-128", "", "73492b19995d71cdb1e9d74decc09809"),
    (S32, "HMAC-SHA256", "hello, kopia", "7f3d0308a541f1e1fc51cf75c1df3aa1d72eb14200568ccc4c64b83983f218e3"),
    (S32, "HMAC-SHA256", "", "d38b42096d80f45f826b44a9d5607de72496a415d3f4a1a8c88e3bb9da8dc1cb"),
    (S32, "HMAC-SHA256-128", "hello, kopia", "7f3d0308a541f1e1fc51cf75c1df3aa1"),
    (S32, "HMAC-SHA256-128", "", "d38b42096d80f45f826b44a9d5607de7"),
    (S32, "HMAC-SHA224", "hello, kopia", "e18e6d777a86cdedadba6819c4bd941f14e462bc46823026563723c2"),
    (S32, "HMAC-SHA224", "", "2a7430f93bb5456d155c654063c7074aa70c01936a6c0e53a9f9407f"),
    (S32, "HMAC-SHA3-224", "hello, kopia", "200aa377f4939577fb2fc0fa5f9505fdf34674a61f3fc9998af216b2"),
    (S32, "HMAC-SHA3-224", "", "2e37c6fd64fd8a04653d260323bc726482d8cb6b4d9e59e02bd58cd9"),
    (
        S32,
        "HMAC-SHA3-256",
        "hello, kopia",
        "6e46c2b16fb0928a346f885c201c064afb92696230b7d3216d86517b81307a85",
    ),
    (S32, "HMAC-SHA3-256", "", "50ab1606034383fe4b3b4bc0a341a82e40ac85e455cdfeed4cac902a7b8ccfc1"),
    (S16, "BLAKE2B-256-128", "hello, kopia", "9500e1c7034eda78564a523f53ba7890"),
    (S16, "BLAKE2B-256-128", "", "bb15a8d39254ae1e047af5048db790eb"),
    (S16, "BLAKE2B-256", "hello, kopia", "9500e1c7034eda78564a523f53ba78908ac446516ebe6da4f69abe787b201e19"),
    (S16, "BLAKE2B-256", "", "bb15a8d39254ae1e047af5048db790eb55be8a642259b42e9a45f098079c6ef0"),
    (S16, "BLAKE2S-128", "hello, kopia", "6a48921b356f6f59d776101c4097e8b6"),
    (S16, "BLAKE2S-128", "", "4b447595ab3bdbd11b81a88918db567a"),
    (S16, "BLAKE2S-256", "hello, kopia", "9cc438d7155c46020dd8c36a44edf518755368ff2cd789dfdc015cfdf2bfd40f"),
    (S16, "BLAKE2S-256", "", "cd9cf9dac0533670b231e351dbda65ced1917126d77f480124873e007fefd41f"),
    (S16, "BLAKE3-256", "hello, kopia", "d0622534aec5e347358c2cf8eff32a65b3f22490592852ceb71f9c93fdaa18d3"),
    (S16, "BLAKE3-256", "", "6c2107cbf5eedc53befb215403f37e6dbfbefe49b3dd7edc96e73a12ec41783f"),
    (S16, "BLAKE3-256-128", "hello, kopia", "d0622534aec5e347358c2cf8eff32a65"),
    (S16, "BLAKE3-256-128", "", "6c2107cbf5eedc53befb215403f37e6d"),
    (S16, "HMAC-SHA256", "hello, kopia", "8ce43c4e9a193b1dcfa69e2aad59162f52f613704d71f46d91f6f50673e1c9d4"),
    (S16, "HMAC-SHA256", "", "496dc93fa2d26eae500ec0bc37a122706b88f8963cebf0899d0245fae313e241"),
    (S16, "HMAC-SHA256-128", "hello, kopia", "8ce43c4e9a193b1dcfa69e2aad59162f"),
    (S16, "HMAC-SHA256-128", "", "496dc93fa2d26eae500ec0bc37a12270"),
    (S16, "HMAC-SHA224", "hello, kopia", "5afb0b812f36402533e1da2a1762a5a9908f7667db6a1f28be84e5c7"),
    (S16, "HMAC-SHA224", "", "661e3ad0761c2f252facc2476dc60749e741b2b8e84caa9c9bb6ba62"),
    (S16, "HMAC-SHA3-224", "hello, kopia", "64cf1ce4e3f45f58807072f8674599363c1327a19c30e37c4006f92d"),
    (S16, "HMAC-SHA3-224", "", "b7a5fa239e579a085d0b62dbc50e2e21c157296ffd2315b3b0fe6218"),
    (
        S16,
        "HMAC-SHA3-256",
        "hello, kopia",
        "78556b525b96f398b5379a85d60030737e7abe2f6d9b850d13b76e996ad2425e",
    ),
    (S16, "HMAC-SHA3-256", "", "7c77fee2b2cd800739a399fb496bfe50faa862fd7d461997c08dbe65652a33a9"),
    (S0, "BLAKE2B-256-128", "hello, kopia", "861d0bbf4c741e9e4de3dff7ac58962e"),
    (S0, "BLAKE2B-256-128", "", "0e5751c026e543b2e8ab2eb06099daa1"),
    (S0, "BLAKE2B-256", "hello, kopia", "861d0bbf4c741e9e4de3dff7ac58962e1dd1a06d37da4a1643d348b0f7fe3cbe"),
    (S0, "BLAKE2B-256", "", "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"),
    (S0, "BLAKE2S-256", "hello, kopia", "a0125ccbabc2f827264bf9e960e2e1bdd3f202ea4eca71d0b58ae217735db215"),
    (S0, "BLAKE2S-256", "", "69217a3079908094e11121d042354a7c1f55b6482ca1a51e1b250dfd1ed0eef9"),
    (S0, "BLAKE3-256", "hello, kopia", "b7a569f5a5456adb23c532266ffca49a6a192f3b57bb9271450dde2f0894c8d2"),
    (S0, "BLAKE3-256", "", "5992c5e400784ae8b682fc5345a12c32658ee66f3bfa5f91b685c38bf27ed5b3"),
    (S0, "BLAKE3-256-128", "hello, kopia", "b7a569f5a5456adb23c532266ffca49a"),
    (S0, "BLAKE3-256-128", "", "5992c5e400784ae8b682fc5345a12c32"),
    (S0, "HMAC-SHA256", "hello, kopia", "694c956018b12cf3e7b16a79c3597bcdf3d8033683c504db5bd51d2ba7e40c30"),
    (S0, "HMAC-SHA256", "", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"),
    (S0, "HMAC-SHA256-128", "hello, kopia", "694c956018b12cf3e7b16a79c3597bcd"),
    (S0, "HMAC-SHA256-128", "", "b613679a0814d9ec772f95d778c35fc5"),
    (S0, "HMAC-SHA224", "hello, kopia", "b4bc0ea7e3c5102996e65180f9ffafbc04d6258cca1d140e6fc840de"),
    (S0, "HMAC-SHA224", "", "5ce14f72894662213e2748d2a6ba234b74263910cedde2f5a9271524"),
    (S0, "HMAC-SHA3-224", "hello, kopia", "9a8b1c480c00037a08282b7508c83680e8a8ed90f97dd238ba919b07"),
    (S0, "HMAC-SHA3-224", "", "1b9044e0d5bb4ef944bc00f1b26c483ac3e222f4640935d089a49083"),
    (S0, "HMAC-SHA3-256", "hello, kopia", "0524854c20f14ea913c956c6ac04dc100ed0de762ab3b27d235f695c4b04cf4b"),
    (S0, "HMAC-SHA3-256", "", "e841c164e5b4f10c9f3985587962af72fd607a951196fc92fb3a5251941784ea"),
];

fn hash(secret: &[u8], name: &str, data: &[u8]) -> String {
    hex::encode(&*KeyedHash::new(HashAlgorithm::parse(name).unwrap(), secret).unwrap().hash(data))
}

/// Traps 7 and 8 are among them: truncated against short digests, and BLAKE3 with short keys.
#[test]
fn trap_07_and_08_vectors_of_every_hash() {
    for (secret, name, input, expected) in VECTORS {
        assert_eq!(hash(secret, name, input.as_bytes()), *expected, "{name} of {input:?}");
    }
    let fox = b"The quick brown fox jumps over the lazy dog";
    let object = "6bbb74fef0699e516fb96252d8280c1c7f3492e12de9ec6d79c3c9c39b7b0063";
    assert_eq!(hash(b"a-repository-testing-hmac-secret", "HMAC-SHA256", fox), object);
    assert_eq!(hash(b"key", "HMAC-SHA256-128", fox), "f7bc83f430538424b13298e6aa6fb143");
    assert_eq!(hash(b"", "BLAKE2B-256-128", &[1, 2, 3]), "11c0e79b71c3976ccd0c02d1310e2516");
}

#[test]
fn streams_together_are_the_same_as_one_by_one() {
    let all: Vec<Vec<u8>> = (0..23).map(|n| vec![n; usize::from(n) * 137]).collect();
    // All, and so few of the longest that they do not fill a register.
    let inputs = std::iter::once(&all[..]).chain((1..8).map(|few| &all[23 - few..]));
    for (algorithm, inputs) in HashAlgorithm::all().flat_map(|a| inputs.clone().map(move |i| (a, i))) {
        let keyed = KeyedHash::new(algorithm, S16).unwrap();
        // Pieces of uneven lengths, also empty ones, and streams that end before others.
        for piece in [1, 64, 128, 300, 5000] {
            let mut streams: Vec<HashStream> = inputs.iter().map(|_| keyed.start()).collect();
            for round in 0..all[22].len().div_ceil(piece) {
                let rest = inputs.iter().map(|i| i.get(round * piece..).unwrap_or_default());
                let pieces = rest.map(|rest| &rest[..piece.min(rest.len())]);
                HashStream::update_many(streams.iter_mut().zip(pieces));
            }
            for (stream, input) in streams.into_iter().zip(inputs) {
                let hash = stream.finish();
                assert_eq!(hash, keyed.hash(input), "{algorithm:?} in pieces of {piece}");
                assert_eq!(hash.len(), algorithm.output_len());
            }
        }
    }
}

#[test]
fn names_and_keys_that_cannot_be() {
    assert!(HashAlgorithm::parse("MD5").is_err());
    assert!(KeyedHash::new(HashAlgorithm::Blake2s128, b"").is_err());
    assert!(KeyedHash::new(HashAlgorithm::Blake2s256, &[0; 33]).is_err());
    assert!(KeyedHash::new(HashAlgorithm::Blake2b256, &[0; 65]).is_err());
    for algorithm in HashAlgorithm::all() {
        assert_eq!(HashAlgorithm::parse(algorithm.name()), Ok(algorithm));
    }
}

/// Alone, a stream goes through the plain rounds; beside others, through those of the registers, where there are any.
#[test]
fn lanes_of_our_own_agree_with_blake2b_simd() {
    let strategy = (
        proptest::collection::vec(any::<u8>(), 0..=64),
        proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..1500), 1..20),
        1..700_usize,
    );
    let mut runner = TestRunner::new(ProptestConfig::with_cases(200));
    let result = runner.run(&strategy, |(key, inputs, piece)| {
        let mut streams = vec![Stream::new(&key); inputs.len()];
        for from in (0..1500).step_by(piece) {
            let pieces = inputs.iter().map(|input| {
                let rest = input.get(from..).unwrap_or_default();
                &rest[..piece.min(rest.len())]
            });
            Stream::update_many(streams.iter_mut().zip(pieces).collect());
        }
        for (stream, input) in streams.iter().zip(&inputs) {
            let expected = blake2b_simd::Params::new().hash_length(32).key(&key).hash(input);
            prop_assert_eq!(&stream.finish()[..], expected.as_bytes());
        }
        Ok(())
    });
    result.unwrap();
}

proptest! {
    #[test]
    fn blake2_agrees_with_an_oracle(
        key in proptest::collection::vec(any::<u8>(), 1..=32), data in proptest::collection::vec(any::<u8>(), 0..500),
    ) {
        type B2b = blake2::Blake2bMac<blake2::digest::consts::U32>;
        type B2s = blake2::Blake2sMac<blake2::digest::consts::U16>;
        let mut b2b = B2b::new_from_slice(&key).unwrap();
        b2b.update(&data);
        prop_assert_eq!(hash(&key, "BLAKE2B-256", &data), hex::encode(b2b.finalize().into_bytes()));
        let mut b2s = B2s::new_from_slice(&key).unwrap();
        b2s.update(&data);
        prop_assert_eq!(hash(&key, "BLAKE2S-128", &data), hex::encode(b2s.finalize().into_bytes()));
    }
}
