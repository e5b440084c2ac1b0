use super::*;

#[test]
fn times_and_numbers() {
    assert_eq!(minutes(Duration::from_millis(22_900)), "00:22");
    assert_eq!(minutes(Duration::from_secs(3_725)), "62:05");
    assert_eq!(
        [grouped(0), grouped(999), grouped(1_000), grouped(1_234_567)],
        ["0", "999", "1,000", "1,234,567"]
    );
    assert_eq!(
        [count(0, "column"), count(1, "column"), count(2_000, "column")],
        ["0 columns", "1 column", "2,000 columns"]
    );
}
