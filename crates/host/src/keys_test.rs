use super::*;

#[test]
fn a_sealed_record_comes_back() {
    let bytes = seal(NODE_META, &("n1", 7u64)).unwrap();
    assert_eq!(unseal::<(String, u64)>(NODE_META, &bytes).unwrap(), ("n1".to_owned(), 7));
}

#[test]
fn every_flipped_bit_and_every_cut_is_named() {
    let bytes = seal(NODE_META, &("n1", 7u64)).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let error = unseal::<(String, u64)>(NODE_META, &bad).unwrap_err().to_string();
        assert!(error.contains("!admin|host|meta|node"), "{error}");
    }
    for length in 0..bytes.len() {
        assert!(unseal::<(String, u64)>(NODE_META, &bytes[..length]).is_err());
    }
}

#[test]
fn a_newer_format_is_refused() {
    let mut bytes = vec![2, b'{', b'}'];
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    let error = unseal::<serde_json::Value>(RANGES, &bytes).unwrap_err().to_string();
    assert!(error.contains("format 2"), "{error}");
}

#[test]
fn the_namespace_ends_where_it_should() {
    assert!(is_reserved(b"!admin|") && is_reserved(b"!admin|\xff\xff"));
    assert!(!is_reserved(b"!admin") && !is_reserved(RESERVED_END) && !is_reserved(b"!admin{"));
    assert!(&b"!admin|\xff\xff\xff"[..] < RESERVED_END);
}
