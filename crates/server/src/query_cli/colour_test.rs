use super::*;
use crate::colours::COLOURS;

#[test]
fn the_scale_is_logarithmic_and_keeps_none_apart() {
    let scale = Scale::new(10_000);
    assert_eq!(scale.level(0), 0);
    assert_eq!(scale.level(10_000), 255);
    assert!(scale.level(1) > 5);
    assert!((scale.fraction(100) - 0.5).abs() < 1e-9);
    let mut last = 0;
    for shade in 0..=10_000 {
        let level = scale.level(shade);
        assert!(level >= last, "{shade}");
        last = level;
    }
    assert_eq!(scale.level(u64::MAX), 255, "beyond the maximum is the maximum");
}

#[test]
fn extreme_scales_are_whole() {
    assert_eq!(Scale::new(1).level(1), 255);
    assert_eq!(Scale::new(0).level(0), 0);
    let widest = Scale::new(u64::MAX);
    assert_eq!(widest.level(u64::MAX), 255);
    assert!(widest.level(1) < widest.level(1 << 32));
}

#[test]
fn the_ramp_uses_every_character_once_and_in_order() {
    let mut seen: Vec<char> = (0..=1_000).map(|at| character_at(f64::from(at) / 1_000.0)).collect();
    seen.dedup();
    assert_eq!(seen, RAMP);
    assert_eq!(character(0, true), '·');
    assert_eq!(character(0, false), '0');
    assert_eq!(character(255, false), '8');
    assert_eq!(character(COLOURS.entry(0.0), false), '1');
}

#[test]
fn signs_can_be_read_on_every_colour() {
    let light = |[red, green, blue]: Rgb| {
        0.299 * f64::from(red) + 0.587 * f64::from(green) + 0.114 * f64::from(blue)
    };
    for level in 0..=255 {
        let ground = colour(level);
        let distance = (light(ground) - light(ink_on(ground))).abs();
        assert!(distance > 60.0, "{level}: {distance}");
    }
}

#[test]
fn no_grey_of_a_gap_is_a_colour_of_the_table() {
    let saturation = |rgb: Rgb| rgb.iter().max().unwrap() - rgb.iter().min().unwrap();
    for grey in [COLOURS.missing_ground, COLOURS.missing_ink, MISSING_HALF, COLOURS.pending_ground]
    {
        assert!(saturation(grey) < 10);
    }
    assert!((0..=255).all(|level| saturation(colour(level)) > 30));
}

#[test]
fn sequences_are_short_and_closed() {
    let mut painter = Painter::default();
    painter.put('a', Some([1, 2, 3]), None);
    painter.put('b', Some([1, 2, 3]), None);
    painter.put('c', None, Some([4, 5, 6]));
    assert_eq!(painter.finish(), "\x1b[38;2;1;2;3mab\x1b[0m\x1b[48;2;4;5;6mc\x1b[0m");
    let mut painter = Painter::default();
    painter.dim("x", ColourMode::TrueColour);
    painter.plain("y");
    assert_eq!(painter.finish(), "\x1b[2mx\x1b[0my");
    let mut painter = Painter::default();
    painter.dim("x", ColourMode::Plain);
    assert_eq!(painter.finish(), "x");
}
