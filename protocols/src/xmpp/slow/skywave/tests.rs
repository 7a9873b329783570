use super::world::{CALM, Troubles, run};

const BAD: Troubles = Troubles {
    lose: 150_000,
    double: 100_000,
    late: 150_000,
    cut: 50_000,
    flip: 50_000,
    lie: 500_000,
    down: 10_000,
    crash: 10_000,
    refuse: 20_000,
};

#[test]
fn all_arrives_once_and_in_order_on_a_calm_medium() {
    let arrived: usize = (0..20).map(|seed| run(seed, CALM, 200, 40)).sum();
    assert!(arrived > 1_000, "{arrived}");
}

#[test]
fn all_arrives_once_and_in_order_whatever_happens() {
    let arrived: usize = (0..60).map(|seed| run(seed, BAD, 300, 40)).sum();
    assert!(arrived > 3_000, "{arrived}");
}

/// Crashes alone, far more often.
#[test]
fn restarts_lose_and_repeat_nothing() {
    let troubles = Troubles { crash: 100_000, ..CALM };
    (1_000..1_030).for_each(|seed| {
        run(seed, troubles, 200, 30);
    });
}

/// Alterations alone: each is dropped, none is taken.
#[test]
fn nothing_altered_is_taken() {
    let troubles = Troubles { flip: 400_000, cut: 200_000, ..CALM };
    (2_000..2_030).for_each(|seed| {
        run(seed, troubles, 200, 30);
    });
}

/// The long run, a thousand seeds to a test: `cargo test -p skywave-protocols --lib -- --ignored skywave::tests::long_run`.
mod long_run {
    use super::*;

    fn thousand(number: u64) {
        (1_000 * number..1_000 * (number + 1)).for_each(|seed| {
            run(seed, BAD, 300, 40);
        });
    }

    #[test]
    #[ignore = "takes minutes; the others are its beginning"]
    fn of_the_first_thousand() {
        thousand(0);
    }

    #[test]
    #[ignore = "takes minutes; the others are its beginning"]
    fn of_the_second_thousand() {
        thousand(1);
    }

    #[test]
    #[ignore = "takes minutes; the others are its beginning"]
    fn of_the_third_thousand() {
        thousand(2);
    }

    #[test]
    #[ignore = "takes minutes; the others are its beginning"]
    fn of_the_fourth_thousand() {
        thousand(3);
    }

    #[test]
    #[ignore = "takes minutes; the others are its beginning"]
    fn of_the_fifth_thousand() {
        thousand(4);
    }
}
