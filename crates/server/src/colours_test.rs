use super::*;

/// Matt Zucker's fit of viridis: coefficients for red, green and blue, lowest power first.
const VIRIDIS: [[f64; 7]; 3] = [
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

/// The fit of cividis that d3-scale-chromatic uses.
const CIVIDIS: [[f64; 6]; 3] = [
    [-4.54, -35.34, 2381.73, -6402.7, 7024.72, -2710.57],
    [32.49, 170.73, 52.82, -131.46, 176.58, -67.37],
    [81.24, 442.36, -2482.43, 6167.24, -6614.94, 2475.67],
];

fn polynomial<const N: usize>(of: &[[f64; N]; 3], times: f64, t: f64) -> Rgb {
    of.map(|powers| {
        let value = powers.iter().rev().fold(0.0, |sum, power| sum * t + power);
        (times * value).round().clamp(0.0, 255.0) as u8
    })
}

fn check(table: &Table, of: impl Fn(f64) -> Rgb) {
    for (index, colour) in table.iter().enumerate().skip(1) {
        let wanted = of(index as f64 / 255.0);
        let apart = colour.iter().zip(wanted).map(|(a, b)| a.abs_diff(b)).max();
        assert!(apart <= Some(1), "entry {index}: {colour:?}, not {wanted:?}");
    }
    let light = |colour: Rgb| colour.iter().map(|part| u32::from(*part)).sum::<u32>();
    assert!(light(table[0]) < light(table[1]), "no traffic is darker than the least");
}

#[test]
fn the_tables_are_their_polynomials() {
    check(COLOURS.table(Palette::Viridis), |t| polynomial(&VIRIDIS, 255.0, t));
    check(COLOURS.table(Palette::Cividis), |t| polynomial(&CIVIDIS, 1.0, t));
}

#[test]
fn greys_are_none_of_the_tables_colours() {
    let colours = &*COLOURS;
    for grey in [colours.missing_ground, colours.missing_ink, colours.pending_ground] {
        let is_near = |of: &Rgb| of.iter().zip(grey).all(|(a, b)| a.abs_diff(b) < 8);
        assert!(!colours.table(Palette::Viridis).iter().any(is_near), "{grey:?}");
    }
}

#[test]
fn a_damaged_file_is_none() {
    for (from, to) in [("24012b", "24012"), ("0.05", "much"), ("cividis", "magma")] {
        assert!(read(&TEXT.replacen(from, to, 2)).is_none(), "{from}");
    }
}
