//! Seeds. A seed that once found something gets a test of its own name.

use veritee_sim::{Summary, run};

#[test]
fn the_guarantee_holds_against_a_hostile_host() {
    let mut all = Summary::default();
    for seed in 0..40 {
        let summary = run(seed, 1_500);
        all.accepted += summary.accepted;
        all.repelled += summary.repelled;
        all.restarts += summary.restarts;
        all.epochs += summary.epochs;
        all.crashes += summary.crashes;
    }
    // A run in which nothing happens proves nothing.
    assert!(all.accepted > 3_000, "{all:?}");
    assert!(all.repelled > 10_000, "{all:?}");
    assert!(all.restarts > 100 && all.epochs > 1_500 && all.crashes > 500, "{all:?}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    assert_eq!(run(7, 500), run(7, 500));
}
