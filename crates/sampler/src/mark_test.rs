use keyviz_lineage::{KeyRange, Step};

use super::*;
use crate::total;

#[test]
fn a_forwarded_operation_is_counted_by_the_first_node_only() {
    let nodes = [1, 2].map(|_| Sampler::new(Step::MINUTE, 0));
    let handles = nodes.each_ref().map(|node| node.register(1, 1, KeyRange::all()));
    let at_first = handles[0].observe_once(Mark::New, b"k", Op::Read, 1);
    let forwarded = Mark::from_byte(at_first.to_byte());
    assert_eq!(forwarded, Mark::Sampled);
    assert_eq!(handles[1].observe_once(forwarded, b"k", Op::Read, 1), Mark::Sampled);
    nodes[1].observe_once(forwarded, 1, b"k", Op::Read, 1);
    nodes[1].observe_once(Mark::default(), 1, b"k", Op::Write, 1);
    let totals = nodes.map(|node| total(&node.flush(60_000)));
    assert_eq!(totals.map(|total| (total.reads, total.writes)), [(1, 0), (0, 1)]);
}

#[test]
fn bytes_of_later_versions_were_counted() {
    let marks = [0, 1, 2, 255].map(Mark::from_byte);
    assert_eq!(marks, [Mark::New, Mark::Sampled, Mark::Sampled, Mark::Sampled]);
}
