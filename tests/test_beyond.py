"""Holds penalties and lottery tickets (section 10) to slow formulas."""

import dataclasses
import itertools
import types

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

SIZES = (784, 20, 10, 10)


@pytest.fixture
def masks(nb: types.ModuleType) -> list[np.ndarray]:
    """Draws masks for two trials of the tickets' network.

    Args:
        nb: The notebook's definitions.

    Returns:
        Three matrices with half of their weights, other ones in each trial.
    """
    rng = np.random.default_rng(7)
    shapes = [(2, *shape) for shape in itertools.pairwise(nb.TICKET_SIZES)]
    counts = [np.prod(shape[1:]) // 2 for shape in shapes]
    return nb.keep_largest([rng.random(shape) for shape in shapes], counts)


def test_penalty_formula(
    nb: types.ModuleType, weights: list[np.ndarray]
) -> None:
    """Factors times magnitudes or norms, of every matrix but the last."""
    rng = np.random.default_rng(0)
    by_weight = [rng.random(matrix.shape) for matrix in weights[:-1]]
    by_unit = [rng.random(matrix.shape[1]) for matrix in weights[:-1]]
    for factors, axis in ((by_weight, None), (by_unit, 0)):
        expected = sum(
            np.sum(
                factor
                * (
                    np.abs(matrix)
                    if axis is None
                    else np.sqrt((matrix**2).sum(axis=axis))
                )
            )
            for factor, matrix in zip(factors, weights[:-1], strict=True)
        )
        tensors = [tf.constant(factor, tf.float32) for factor in factors]
        found = nb.penalty_loss(weights, tensors)
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_penalty_has_a_gradient_at_zero(nb: types.ModuleType) -> None:
    """A column of zeros does not turn the gradient into NaN."""
    dead, last = tf.Variable(tf.zeros((3, 2))), tf.Variable(tf.ones((2, 1)))
    with tf.GradientTape() as tape:
        loss = nb.penalty_loss([dead, last], [tf.ones(2)])
    np.testing.assert_array_equal(tape.gradient(loss, dead), np.zeros((3, 2)))


def test_shrink_all(nb: types.ModuleType) -> None:
    """The plain penalties have one strength everywhere, all the time."""
    for scores, shape in ((nb.weight_scores, (3, 4)), (nb.unit_scores, (4,))):
        for progress in (0, 0.3, 1):
            factors = nb.shrink_all(scores, 0.2)(nb.TOY, progress)
            np.testing.assert_array_equal(
                factors, np.full(shape, 0.2, np.float32)
            )


@pytest.mark.parametrize("method", ["weight", "unit"])
@pytest.mark.parametrize(
    ("progress", "share"), [(0, 0), (0.25, 25), (0.5, 50), (0.75, 50), (1, 50)]
)
def test_shrink_smallest(
    nb: types.ModuleType, method: str, progress: float, share: float
) -> None:
    """What pruning would remove is penalised, and nothing else."""
    matrix = np.random.default_rng(0).normal(size=(30, 40))
    scores = nb.METHODS[method]
    penalise = nb.shrink_smallest(scores, 0.2, share=50)
    gone = nb.keep_mask(scores(matrix), share) == 0
    expected = np.where(gone, np.float32(0.2), 0)
    np.testing.assert_array_equal(penalise(matrix, progress), expected)


def test_penalties_are_renewed_before_each_epoch(
    nb: types.ModuleType, dataset: object
) -> None:
    """They see the current weights of every matrix but the last."""
    seen = []

    def record(matrix: tf.Variable, progress: float) -> np.ndarray:
        """Notes the matrix and the progress, and penalises nothing."""
        seen.append((matrix.numpy(), progress))
        return np.zeros(matrix.shape)

    options = {"epochs": 4, "sizes": SIZES, "batch_size": 50}
    weights, _ = nb.train(dataset, 0, **options, penalise=record)
    assert [progress for _, progress in seen] == [
        *(0, 0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75)
    ]
    initial = nb.init_weights(0, SIZES)
    for index in (0, 1):
        np.testing.assert_array_equal(seen[index][0], initial[index])
        assert (seen[index][0] != seen[index + 2][0]).any()
    # A penalty of zero changes nothing.
    plain, _ = nb.train(dataset, 0, **options)
    for one, other in zip(weights, plain, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("method", ["weight", "unit"])
def test_penalty_prepares_for_pruning(
    nb: types.ModuleType, dataset: object, method: str
) -> None:
    """The penalised share loses its energy, and the network still learns."""
    scores = nb.METHODS[method]
    strength = {"weight": 0.01, "unit": 0.1}[method]
    options = {"epochs": 20, "sizes": (784, 60, 60, 10), "batch_size": 50}
    lost = []
    for penalise in (None, nb.shrink_smallest(scores, strength, share=50)):
        weights, _ = nb.train(dataset, 0, **options, penalise=penalise)
        pruned = nb.prune(weights, 50, scores)
        lost.append(nb.measure(weights, pruned, dataset.test)["energy"])
    assert lost[1] < lost[0] / 4, lost
    assert nb.accuracy(pruned, dataset.test.images, dataset.test.labels) > 80


def test_furthest_k(nb: types.ModuleType) -> None:
    """The largest k that is good enough, 0 if there is none."""
    curve = pd.Series({0: 98.0, 50: 97.0, 80: 97.5, 90: 40.0})
    assert nb.furthest_k(curve, 97.5) == 80
    assert nb.furthest_k(curve, 97.6) == 0
    assert nb.furthest_k(curve, 99) == 0
    assert nb.furthest_k(curve, 10) == 90


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        (0.5, {"penalty": "far and better", "k": 90, "k without": 50}),
        (1.4, {"penalty": "far and better", "k": 90, "k without": 90}),
        (0.0, {"penalty": "best when dense", "k": 0, "k without": 0}),
    ],
)
def test_choose_penalty(
    nb: types.ModuleType, points: float, expected: dict[str, object]
) -> None:
    """The smallest copy wins, then the more accurate one; never "none"."""
    curves = pd.DataFrame(
        {
            "none": [98.0, 97.9, 96.7],
            "none, decayed": [99.0, 99.0, 99.0],
            "best when dense": [99.0, 97.0, 50.0],
            "far": [97.6, 97.5, 97.5],
            "far and better": [97.5, 97.6, 97.6],
            "too weak": [97.0, 96.5, 96.5],
        },
        index=[0, 50, 90],
    ).T
    assert nb.choose_penalty(curves, points) == expected


def test_mean_lost(nb: types.ModuleType) -> None:
    """Each seed is compared with its own dense network."""
    dense = pd.DataFrame(
        {"dataset": "A", "seed": [0, 1], "accuracy": [98.0, 96.0]}
    ).set_index(["dataset", "seed"])["accuracy"]
    measured = pd.DataFrame(
        {
            "dataset": "A",
            "seed": [0, 1, 0],
            "k": [50, 50, 90],
            "accuracy": [97.0, 94.0, 90.0],
        }
    )
    lost = nb.mean_lost(measured, dense, ["dataset", "k"])
    assert lost.to_dict() == {("A", 50): 1.5, ("A", 90): 8.0}


def test_sweep_penalised(nb: types.ModuleType, dataset: object) -> None:
    """Each network by its own method, on the split that is asked for."""
    weights, _ = nb.train(dataset, 0, epochs=5, sizes=SIZES, batch_size=50)
    spoilt = dataclasses.replace(
        dataset,
        test=nb.Split(dataset.test.images, 9 - dataset.test.labels),
    )
    rows = nb.sweep_penalised(
        {
            ("toy", 3, "unit", "all"): weights,
            ("toy", 3, "weight", "x"): weights,
        },
        {"toy": dataclasses.replace(spoilt, name="toy")},
        split="validation",
    )
    split = dataset.validation
    for method, penalty in (("unit", "all"), ("weight", "x")):
        part = rows[(rows.method == method) & (rows.penalty == penalty)]
        assert part.k.tolist() == nb.SPARSITIES
        assert set(part.seed) == {3}
        for k, percent in zip(part.k, part.accuracy, strict=True):
            pruned = nb.prune(weights, k, nb.METHODS[method])
            assert percent == nb.accuracy(pruned, split.images, split.labels)


def test_shuffle_survivors(
    nb: types.ModuleType, masks: list[np.ndarray]
) -> None:
    """The same values under the same mask, in other places, trial by trial."""
    initial, mask = nb.init_trials([0, 1])[0], masks[0]
    before = initial.numpy().copy()
    shuffled = nb.shuffle_survivors(initial, mask, np.random.default_rng(0))
    np.testing.assert_array_equal(initial, before)
    for trial in (0, 1):
        kept = mask[trial] == 1
        old, new = before[trial][kept], shuffled[trial][kept]
        np.testing.assert_array_equal(np.sort(old), np.sort(new))
        assert (old != new).mean() > 0.9


def test_widths_left(nb: types.ModuleType, weights: list[np.ndarray]) -> None:
    """Inputs, the units that are left, and the logits."""
    assert nb.widths_left(weights, 0) == [12, 20, 20, 10, 5, 10]
    assert nb.widths_left(weights, 80) == [12, 4, 4, 2, 1, 10]


def test_init_trials(nb: types.ModuleType) -> None:
    """Every trial is a network of its own seed."""
    stacks = nb.init_trials([3, 5])
    for trial, seed in enumerate((3, 5)):
        alone = nb.init_weights(seed, nb.TICKET_SIZES)
        for matrix, stack in zip(alone, stacks, strict=True):
            np.testing.assert_array_equal(stack[trial], matrix)


def test_deal_batches(nb: types.ModuleType) -> None:
    """No image twice in an epoch, and another order for each trial."""
    batches = nb.deal_batches(count=130, steps=5, trials=2).numpy()
    assert batches.shape == (5, 2, nb.TICKET_BATCH)
    for trial in (0, 1):
        for epoch in (0, 1):
            images = batches[2 * epoch : 2 * epoch + 2, trial]
            assert len(np.unique(images)) == images.size
    assert (batches[0, 0] != batches[0, 1]).any()
    assert (batches[0, 0] != batches[2, 0]).any()


def test_rounds_take_their_share_of_the_survivors(
    nb: types.ModuleType, masks: list[np.ndarray]
) -> None:
    """Counts are exact, masks nested, and the smallest magnitudes go."""
    rng = np.random.default_rng(1)
    for _ in range(3):
        weights = [rng.normal(size=m.shape) * m for m in masks]
        # Survivors that are exactly zero still go after what is gone.
        weights[0][weights[0] < 0.3] = 0
        after = nb.prune_survivors(weights, masks)
        for weight, old, new, rate in zip(
            weights, masks, after, nb.TICKET_RATES, strict=True
        ):
            assert (new <= old).all()
            for trial in (0, 1):
                before = int(old[trial].sum())
                assert new[trial].sum() == round(before * (1 - rate / 100))
                magnitudes = np.abs(weight[trial])
                gone = (old[trial] == 1) & (new[trial] == 0)
                kept = new[trial] == 1
                assert magnitudes[gone].max() <= magnitudes[kept].min()
        masks = after


def test_rates_are_those_of_the_paper(nb: types.ModuleType) -> None:
    """20 % a round, 10 % in the last matrix; 3.6 % are left after 15."""
    assert nb.TICKET_RATES == (20, 20, 10)
    counts = [784 * 300, 300 * 100, 100 * 10]
    left = sum(
        count * (1 - rate / 100) ** 15
        for count, rate in zip(counts, nb.TICKET_RATES, strict=True)
    )
    assert round(100 * left / sum(counts), 1) == 3.6


def test_rewind(nb: types.ModuleType, masks: list[np.ndarray]) -> None:
    """Survivors have their initial bits, all others are zero."""
    initial = nb.init_trials([0, 1])
    for new, old, mask in zip(
        nb.rewind(initial, masks), initial, masks, strict=True
    ):
        expected = np.where(mask == 1, old.numpy(), 0)
        assert (new.numpy() + 0.0).tobytes() == expected.tobytes()


def test_trials(
    nb: types.ModuleType, dataset: object, masks: list[np.ndarray]
) -> None:
    """Masked weights stay zero, others move; trials are independent."""
    initial = nb.init_trials([0, 1])
    copies = [matrix.numpy().copy() for matrix in initial]
    batches = nb.deal_batches(600, steps=30, trials=2)
    trained, table = nb.train_trials(
        initial, masks, dataset, batches, interval=10
    )
    for matrix, mask, start, copy in zip(
        trained, masks, initial, copies, strict=True
    ):
        matrix = matrix.numpy()
        assert not matrix[mask == 0].any()
        moved = matrix != copy
        # Some pixels or units are silent, so not every weight moves.
        assert moved[mask == 1].mean() > 0.5
        np.testing.assert_array_equal(start, copy)
    assert table.trial.tolist() == [0, 1]
    np.testing.assert_allclose(table.remaining, 50, atol=0.01)
    for trial in (0, 1):
        matrices = [matrix[trial] for matrix in trained]
        test = dataset.test
        assert table.accuracy[trial] == nb.accuracy(
            matrices, test.images, test.labels
        )
    neighbour = nb.init_trials([0, 2])
    others = [np.stack([mask[0], 1 - mask[1]]) for mask in masks]
    again, _ = nb.train_trials(neighbour, others, dataset, batches)
    for one, other in zip(again, trained, strict=True):
        np.testing.assert_allclose(one[0], other[0], atol=1e-5)
        assert not np.allclose(one[1], other[1], atol=1e-5)


def test_stop_is_the_step_of_least_validation_loss(
    nb: types.ModuleType,
    dataset: object,
    masks: list[np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is measured on validation images, after every interval."""
    asked = []
    losses = iter([[3, 3], [1, 2], [2, 1], [9, 9]])

    def measure(weights: list[tf.Variable], split: object) -> pd.DataFrame:
        """Notes the split and returns the next losses."""
        asked.append(split)
        return pd.DataFrame({"loss": next(losses), "accuracy": [0, 0]})

    monkeypatch.setattr(nb, "evaluate_trials", measure)
    batches = nb.deal_batches(600, steps=30, trials=2)
    _, table = nb.train_trials(
        nb.init_trials([0, 1]), masks, dataset, batches, interval=10
    )
    assert table.best_step.tolist() == [20, 30]
    assert all(split is dataset.validation for split in asked[:-1])
    assert asked[-1] is dataset.test


def test_learning_rate_reaches_the_optimiser(
    nb: types.ModuleType,
    dataset: object,
    masks: list[np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first step of Adam is as long as the learning rate."""
    initial = nb.init_trials([0, 1])
    batches = nb.deal_batches(600, steps=1, trials=2)
    for rate in (0.0, 0.0012, 0.1):
        monkeypatch.setattr(nb, "TICKET_LEARNING_RATE", rate)
        trained, _ = nb.train_trials(initial, masks, dataset, batches)
        step = np.abs(trained[-1] - nb.rewind(initial, masks)[-1])
        np.testing.assert_allclose(step.max(), rate, rtol=0.02)


def test_find_tickets(nb: types.ModuleType, dataset: object) -> None:
    """Each round trains the rewound survivors of the round before."""
    initial = nb.init_trials([0, 1])
    batches = nb.deal_batches(600, steps=20, trials=2)
    masks, dense, table = nb.find_tickets(initial, dataset, batches, rounds=2)
    assert len(masks) == 3
    assert all(mask.all() for mask in masks[0])
    expected = dense
    for number in (0, 1):
        trained, _ = nb.train_trials(initial, masks[number], dataset, batches)
        for one, other in zip(
            nb.prune_survivors(trained, masks[number]),
            masks[number + 1],
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)
        if number == 0:
            for one, other in zip(trained, expected, strict=True):
                np.testing.assert_array_equal(one, other)
    assert table["round"].tolist() == [0, 0, 1, 1, 2, 2]
    np.testing.assert_allclose(
        table.remaining.unique(), [100, 80.04, 64.07], atol=0.01
    )


def test_controls_have_the_counts_of_the_tickets(
    nb: types.ModuleType, masks: list[np.ndarray]
) -> None:
    """Each differs from the ticket in one thing only."""
    rng = np.random.default_rng(2)
    dense = [tf.Variable(rng.normal(size=mask.shape)) for mask in masks]
    initial, fresh = nb.init_trials([0, 1]), nb.init_trials([2, 3])
    controls = nb.control_trials(masks, dense, initial, fresh)
    assert set(controls) == {
        "fresh values",
        "shuffled values",
        "random mask",
        "one shot",
    }
    shuffled, under = controls["shuffled values"]
    assert under is masks
    for one, other in zip(shuffled, initial, strict=True):
        np.testing.assert_array_equal(np.sort(one, None), np.sort(other, None))
    assert controls["fresh values"][0] is fresh
    for one, other in zip(controls["fresh values"][1], masks, strict=True):
        np.testing.assert_array_equal(one, other)
    for name in ("random mask", "one shot"):
        values, drawn = controls[name]
        assert values is initial
        for one, other, matrix in zip(drawn, masks, dense, strict=True):
            for trial in (0, 1):
                assert one[trial].sum() == other[trial].sum()
                magnitudes = np.abs(matrix[trial].numpy())
                kept = magnitudes[one[trial] == 1].min()
                gone = magnitudes[one[trial] == 0].max()
                assert (kept >= gone) == (name == "one shot")
        assert (drawn[0][0] != drawn[0][1]).any()
