use super::*;

#[test]
fn ids_come_back_and_damage_does_not() {
    for count in [1, 2, 255, SLOTS] {
        let ids: Vec<LineageId> =
            (0..count as u128).map(|id| LineageId::from_u128(id << 64 | 7)).collect();
        let value = encode(&ids);
        assert_eq!(value.len(), 5 + 16 * count);
        assert_eq!(decode(&value), Ok(ids));
        for at in 0..value.len() {
            let mut spoiled = value.clone();
            spoiled[at] ^= 1;
            assert!(decode(&spoiled).is_err() && decode(&value[..at]).is_err());
        }
    }
    for bytes in [0, 1, 15, 17, 16 * (SLOTS + 1)] {
        assert!(decode(&envelope::seal(VERSION, &vec![0; bytes])).is_err());
    }
}
