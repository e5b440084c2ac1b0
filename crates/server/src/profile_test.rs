#![allow(clippy::unwrap_used)] // tests

use std::hint::black_box;
use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

#[inline(never)]
fn spins_until(stop: &AtomicBool) -> u64 {
    let mut sum = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        for n in 0..1_000_u64 {
            sum = black_box(sum.wrapping_mul(31).wrapping_add(n));
        }
    }
    sum
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_the_time_is_in_the_profile_and_there_is_one_at_a_time() {
    assert!(matches!(take(0).await, Err(ProfileError::Seconds { .. })));
    assert!(matches!(take(MAX_SECONDS + 1).await, Err(ProfileError::Seconds { .. })));
    let stop = Arc::new(AtomicBool::new(false));
    let spinning = {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || spins_until(&stop))
    };
    // On however busy a machine: until it was seen.
    loop {
        let (first, second) = tokio::join!(take(1), take(1));
        assert!(matches!(second, Err(ProfileError::Busy)));
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(&*first.unwrap()).read_to_end(&mut bytes).unwrap();
        let profile = Profile::decode(&*bytes).unwrap();
        assert_eq!(profile.string_table[0], "");
        assert_eq!((profile.sample_type.len(), profile.duration_nanos), (2, 1_000_000_000));
        for sample in &profile.sample {
            let known = |id: &u64| profile.location.iter().any(|location| location.id == *id);
            assert!(sample.location_id.iter().all(known));
            assert_eq!(sample.value[1], sample.value[0] * profile.period);
        }
        if profile.string_table.iter().any(|text| text.contains("spins_until")) {
            break;
        }
    }
    stop.store(true, Ordering::Relaxed);
    spinning.join().unwrap();
}

#[test]
fn the_heap_is_not_empty() {
    let held = black_box(vec![1_u8; 1 << 20]);
    assert!(heap().iter().map(|(_, bytes)| bytes).sum::<u64>() > held.len() as u64);
}
