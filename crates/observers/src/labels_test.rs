use std::thread;

use super::*;

#[test]
fn the_first_names_have_their_own() {
    let names = Names::new(2);
    assert_eq!(
        ["a", "b", "c", "a", "b", "d"].map(|n| names.label(n)),
        ["a", "b", OTHER, "a", "b", OTHER]
    );
}

#[test]
fn names_that_are_none_take_no_place() {
    let names = Names::new(1);
    assert_eq!(names.label(""), OTHER);
    assert_eq!(names.label(&"x".repeat(MAX_NAME_BYTES + 1)), OTHER);
    assert_eq!(names.label(&"x".repeat(MAX_NAME_BYTES)).len(), MAX_NAME_BYTES);
}

#[test]
fn threads_together_do_not_pass_the_limit() {
    let names = Names::new(10);
    thread::scope(|scope| {
        for thread in 0..4 {
            let names = &names;
            scope.spawn(move || {
                for n in 0..100 {
                    names.label(&format!("{thread}-{n}"));
                }
            });
        }
    });
    assert_eq!(names.known.read().unwrap().len(), 10);
}
