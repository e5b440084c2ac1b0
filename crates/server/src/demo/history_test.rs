use super::*;

#[test]
fn blocks_tile_the_span() {
    assert_eq!(blocks(10, 35, 10).collect::<Vec<_>>(), [(10, 20), (20, 30), (30, 35)]);
    assert_eq!(blocks(10, 20, 10).collect::<Vec<_>>(), [(10, 20)]);
    assert_eq!(blocks(10, 10, 10).count(), 0);
}

#[test]
fn a_metric_is_found_by_its_whole_name() {
    let answer = "HTTP/1.1 200 OK\r\n\r\n# HELP a_total A.\r\na_total_more 7\r\na_total 41\n";
    assert_eq!(metric_of(answer, "a_total"), Some(41));
    assert_eq!(metric_of(answer, "a"), None);
}
