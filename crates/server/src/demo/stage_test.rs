use super::*;

#[test]
fn ports_are_two_free_ones_below_the_outgoing_ones() {
    let [grpc, http] = free_ports().unwrap();
    assert_ne!(grpc, http);
    assert!(grpc.port() >= FIRST_PORT && http.port() >= FIRST_PORT);
    let both = [TcpListener::bind(grpc), TcpListener::bind(http)];
    assert!(both.iter().all(Result::is_ok));
}

#[test]
fn the_systems_own_range_is_respected_where_it_leaves_room() {
    assert_eq!(first_outgoing_port("32768\t60999\n"), 32_768);
    assert_eq!(first_outgoing_port("40000 60999"), 40_000);
    assert_eq!(first_outgoing_port("1024 65535"), FIRST_OUTGOING_PORT);
    assert_eq!(first_outgoing_port(""), FIRST_OUTGOING_PORT);
}
