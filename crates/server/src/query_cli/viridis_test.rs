#![allow(clippy::unwrap_used)] // tests

use super::VIRIDIS;

/// Coefficients for red, green and blue, lowest power first.
const COEFFICIENTS: [[f64; 7]; 3] = [
    [
        0.2777273272234177,
        0.1050930431085774,
        -0.3308618287255563,
        -4.634230498983486,
        6.228269936347081,
        4.776384997670288,
        -5.435455855934631,
    ],
    [
        0.005407344544966578,
        1.404613529898575,
        0.214847559468213,
        -5.799100973351585,
        14.17993336680509,
        -13.74514537774601,
        4.645852612178535,
    ],
    [
        0.3340998053353061,
        1.384590162594685,
        0.09509516302823659,
        -19.33244095627987,
        56.69055060068105,
        -65.35303263337234,
        26.3124352495832,
    ],
];

fn viridis(t: f64) -> [u8; 3] {
    COEFFICIENTS.map(|powers| {
        let value = powers.iter().rev().fold(0.0, |sum, power| sum * t + power);
        (255.0 * value).round().clamp(0.0, 255.0) as u8
    })
}

#[test]
fn the_table_is_the_polynomial() {
    for (index, colour) in VIRIDIS.iter().enumerate().skip(1) {
        assert_eq!(*colour, viridis(index as f64 / 255.0), "entry {index}");
    }
}

#[test]
fn no_traffic_is_darker_than_the_least() {
    assert_eq!(VIRIDIS[0], viridis(0.0).map(|part| (f64::from(part) * 0.5).round() as u8));
    let light = |colour: [u8; 3]| colour.iter().map(|part| u32::from(*part)).sum::<u32>();
    assert!(light(VIRIDIS[0]) < light(VIRIDIS[1]));
}

#[test]
fn the_page_has_the_same_table() {
    let tables: serde_json::Value =
        serde_json::from_str(include_str!("../../ui/colours.json")).unwrap();
    let page: Vec<String> = serde_json::from_value(tables["viridis"].clone()).unwrap();
    let terminal: Vec<String> = VIRIDIS.iter().map(hex::encode).collect();
    assert_eq!(page, terminal);
}
