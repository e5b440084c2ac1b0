//! Several nodes against one that recorded everything: the same random histories and questions as the
//! matrix's own tests, each source's columns split and repeated over three nodes.

use std::sync::Arc;

use keyviz_lineage::unix_hour;

use super::{Cells, Gathered, Outline, Part};
use crate::matrix::matrix_within;
use crate::reading::Limits;
use crate::world_test::{Sent, World};
use crate::{Matrix, MatrixRequest, QueryError};

/// Which of three nodes a boot sent the columns of one window to; at least one.
fn nodes_of(sent: &Sent<'_>, salt: u64) -> u64 {
    let key =
        sent.node.bytes().fold(salt ^ sent.boot as u64, |sum, byte| sum * 31 + u64::from(byte));
    let mixed = (key ^ sent.start_ms ^ sent.step.ms()).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    1 + mixed % 7
}

fn split(world: &World, salt: u64) -> Vec<World> {
    let of = |node: u64| {
        let columns = world.columns.iter();
        let own: Vec<_> = columns.filter(|sent| nodes_of(sent, salt) >> node & 1 == 1).collect();
        world.having(&own)
    };
    (0..3).map(of).collect()
}

fn outline(world: &World) -> Part {
    let hours = 0..=unix_hour(world.now_ms) + 48;
    Part::Told(Arc::new(Outline::read(world, &world.graph, hours).unwrap()))
}

fn ask(nodes: &[World], request: &MatrixRequest, limits: Limits) -> Result<Matrix, QueryError> {
    let parts: Vec<Part> = nodes.iter().map(outline).collect();
    let mut gathered = Gathered::new(&parts, nodes[0].now_ms);
    let plan = gathered.plan_within(request, limits)?;
    let cells = nodes.iter().map(|node| Cells::read(node, &node.graph, &plan)).collect();
    gathered.take(plan.series, cells);
    gathered.answer(request, &plan)
}

fn check(world: &World, request: &MatrixRequest, limits: Limits) {
    // Each node could have damage of its own.
    let mut world = world.clone();
    (world.damaged_blocks, world.damaged_coverage, world.damaged_index) = Default::default();
    let world = &world;
    let expected = matrix_within(world, &world.graph, request, limits);
    for salt in 0..2 {
        let nodes = split(world, salt + world.now_ms);
        for order in [[0, 1, 2], [2, 0, 1]] {
            let nodes: Vec<World> = order.iter().map(|&at| nodes[at].clone()).collect();
            match (&expected, ask(&nodes, request, limits)) {
                (Ok(expected), Ok(answer)) => assert_eq!(&answer, expected),
                (expected, answer) => assert_eq!(expected.is_err(), answer.is_err()),
            }
        }
    }
}

#[test]
fn sources_split_and_repeated_over_nodes_give_the_answer_of_one_that_heard_everything() {
    crate::matrix_test::run(|world, request| {
        check(world, request, Limits { narrow_sources: usize::MAX, ..Limits::default() });
    });
}

#[test]
fn so_do_they_from_roll_ups() {
    crate::matrix_test::run(|world, request| {
        check(world, request, Limits { narrow_sources: 0, ..Limits::default() });
    });
}
