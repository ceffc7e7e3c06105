"""Holds the experiments of section 8 to slow formulas and known cases."""

import itertools
import types

import matplotlib.figure
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf


@pytest.mark.parametrize("method", ["weight", "unit"])
def test_random_scores(nb: types.ModuleType, method: str) -> None:
    """They are fixed for a matrix, differ between matrices, ignore values."""
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(200, 300)).astype(np.float32)
    scores = nb.METHODS[method]
    drawn = nb.at_random(scores)(matrix)
    assert drawn.shape == scores(matrix).shape
    np.testing.assert_array_equal(drawn, nb.at_random(scores)(matrix.copy()))
    assert not np.array_equal(drawn, nb.at_random(scores)(-matrix))
    correlation = np.corrcoef(drawn.flat, scores(matrix).flat)[0, 1]
    assert abs(correlation) < 0.2


@pytest.mark.parametrize("method", ["weight", "unit"])
def test_largest_first(
    nb: types.ModuleType, weights: list[np.ndarray], method: str
) -> None:
    """The largest half goes where the smallest half stayed."""
    scores = nb.METHODS[method]
    small_gone = nb.prune(weights, 50, scores)
    large_gone = nb.prune(weights, 50, nb.largest_first(scores))
    even = slice(3)  # The fourth matrix has five units; half of them is 2.5.
    for one, other, matrix in zip(
        small_gone[even], large_gone[even], weights[even], strict=True
    ):
        np.testing.assert_array_equal(one + other, matrix)
        assert nb.sum_of_squares(one) > nb.sum_of_squares(other)


def test_inputs_are_rows(
    nb: types.ModuleType, weights: list[np.ndarray]
) -> None:
    """Pruning inputs zeroes the rows of the smallest norms."""
    pruned = nb.prune(weights, 50, nb.input_scores)
    for before, after in zip(weights[:-1], pruned[:-1], strict=True):
        norms = [np.sqrt(np.sum(row**2)) for row in before]
        gone = np.argsort(norms)[: len(before) // 2]
        expected = before.copy()
        expected[gone] = 0
        np.testing.assert_array_equal(after, expected)
    np.testing.assert_array_equal(pruned[-1], weights[-1])


def test_one_sparsity_for_each_matrix(
    nb: types.ModuleType, weights: list[np.ndarray]
) -> None:
    """A list of sparsities prunes each matrix by its own."""
    pruned = nb.prune(weights, [0, 50, 0, 100], nb.weight_scores)
    assert nb.count_zeros(pruned) == [0, 200, 0, 50, 0]
    with pytest.raises(ValueError, match="broadcast"):
        nb.prune(weights, [50, 50], nb.weight_scores)


def test_energy_is_a_mean_over_matrices(nb: types.ModuleType) -> None:
    """Each pruned matrix counts the same, whatever its scale or size."""
    trained = [np.ones((4, 10)), 7 * np.ones((10, 10)), np.ones((10, 10))]
    pruned = [matrix.copy() for matrix in trained]
    pruned[0][:, :2] = 0  # A fifth of the first matrix,
    pruned[1][:, :6] = 0  # three fifths of the second.
    split = nb.Split(np.ones((3, 4)), np.zeros(3, np.int32))
    assert nb.measure(trained, pruned, split)["energy"] == pytest.approx(40)


def test_spread(nb: types.ModuleType) -> None:
    """Variation and smallest half of four units with norms 2, 2, 6, 6."""
    found = nb.spread(np.diag([2.0, -6, 2, 6]), nb.unit_scores)
    assert found["variation"] == pytest.approx(50)
    assert found["smallest half"] == pytest.approx(100 * 8 / 80)


def test_dataset_panels(nb: types.ModuleType) -> None:
    """One panel or two: each has its name, one axis of accuracy for all."""
    for names in (["MNIST"], ["MNIST", "Fashion"]):
        figure, panels = nb.dataset_panels(names, height=3)
        assert list(panels) == names
        assert [axis.get_title() for axis in figure.axes] == names
        panels[names[-1]].set_ylim(0, 50)
        assert panels[names[0]].get_ylim() == (0, 50)
        assert panels[names[0]].get_ylabel() == "test accuracy (%)"
        assert figure.get_figheight() == 3


def test_set_log_axis(nb: types.ModuleType) -> None:
    """Labels are plain numbers, at the ticks that were asked for."""
    axis = matplotlib.figure.Figure().subplots()
    nb.set_log_axis(axis, (9, 1.5), [5, 2, 2.5])
    axis.figure.canvas.draw()
    labels = [label.get_text() for label in axis.get_xticklabels()]
    minor = [label.get_text() for label in axis.get_xticklabels(minor=True)]
    assert labels == ["5", "2", "2.5"]
    assert not any(minor)
    assert axis.get_xlim() == (9, 1.5)
    assert axis.get_xscale() == "log"


def test_affordable_rank(nb: types.ModuleType) -> None:
    """Two factors fit into what is left, and one rank more would not."""
    assert nb.affordable_rank((1000, 1000), 90) == 50
    for shape in [(784, 1000), (500, 200), (3, 4)]:
        for k in (0, 25, 50, 90, 99, 100):
            rank = nb.affordable_rank(shape, k)
            left = (1 - k / 100) * shape[0] * shape[1] + 1e-6
            assert rank * sum(shape) <= left < (rank + 1) * sum(shape) + 1e-5


def test_stored_values(nb: types.ModuleType) -> None:
    """Two factors of rank 50 and 1, and the last matrix whole."""
    shapes = [(1000, 1000), (1000, 10), (10, 10)]
    weights = [np.ones(shape) for shape in shapes]
    assert nb.stored_values(weights, 90) == 50 * 2000 + 0 * 1010 + 100
    assert nb.stored_values(weights[1:], 80) == 1 * 1010 + 100


@pytest.mark.parametrize("sparsity", [25, 60, 99])
def test_truncation_is_the_best_of_its_rank(
    nb: types.ModuleType, weights: list[np.ndarray], sparsity: float
) -> None:
    """What is lost are the squares of the dropped singular values."""
    truncated = nb.truncate(nb.decompose(weights), sparsity)
    assert len(truncated) == len(weights) - 1
    for matrix, low in zip(weights, truncated, strict=False):
        rank = nb.affordable_rank(matrix.shape, sparsity)
        assert np.linalg.matrix_rank(low) == rank
        values = np.linalg.svd(matrix, compute_uv=False)
        lost = np.sum(np.square(values[rank:]))
        assert nb.sum_of_squares(matrix - low) == pytest.approx(lost, rel=1e-3)


def test_origins(nb: types.ModuleType) -> None:
    """A learned direction is counted; the rest is the initial draw."""
    rng = np.random.default_rng(0)
    initial = [rng.normal(size=(60, 40)), np.ones((40, 10))]
    learned = 0.6 * np.outer(rng.normal(size=60), rng.normal(size=40))
    trained = [initial[0] + learned, initial[1]]
    (found,) = nb.trace_origins(
        trained, initial, nb.decompose(trained), sparsity=95
    )
    assert found["matrix"] == "1: 60×40"
    assert (found["above initial"], found["rank kept"]) == (1, 1)
    assert found["dropped part"] > 0.9
    assert found["kept part"] < 0.6


@pytest.mark.parametrize("k", [0, 50, 80])
def test_size_of_unit_pruning(
    nb: types.ModuleType, weights: list[np.ndarray], k: float
) -> None:
    """It is the size of the network of the remaining widths."""
    widths = [12, *(n - round(n * k / 100) for n in (20, 20, 10, 5)), 10]
    left = sum(m * n for m, n in itertools.pairwise(widths))
    total = sum(matrix.size for matrix in weights)
    found = nb.size_left(weights, k, nb.unit_scores)
    assert found == pytest.approx(100 * left / total)


def test_points_below(nb: types.ModuleType) -> None:
    """Weight pruning is interpolated where the other lies, not beyond."""
    copies = pd.DataFrame(
        [
            ("weight", 80.0, 20.0),
            ("weight", 20.0, 90.0),
            ("weight", 50.0, 70.0),
            ("unit", 35.0, 70.0),
            ("unit", 90.0, 25.0),
        ],
        columns=["method", "energy", "accuracy"],
    )
    found = nb.points_below(copies, "energy")
    assert found[:4].tolist() == [0, 0, 0, 80 - 70]
    assert np.isnan(found[4])


def test_rank_correlation(nb: types.ModuleType) -> None:
    """Only the order counts."""
    copies = pd.DataFrame({"energy": [1, 2, 3, 90], "accuracy": [9, 8, 7, 0]})
    assert nb.rank_correlation(copies, "energy") == pytest.approx(-1)
    copies["accuracy"] = [9, 7, 8, 0]
    assert nb.rank_correlation(copies, "energy") == pytest.approx(-0.8)


def test_distance_moved(nb: types.ModuleType) -> None:
    """A matrix that doubled has moved by 100 %; the last does not count."""
    initial = [np.ones((3, 3)), 5 * np.ones((3, 3)), np.ones((3, 2))]
    trained = [2 * initial[0], initial[1], 9 * initial[2]]
    assert nb.distance_moved(trained, initial) == pytest.approx(50)


def test_scale_is_chosen_on_validation_images(
    nb: types.ModuleType, dataset: object
) -> None:
    """Shrunk logits get their factor back, whatever the test labels are."""
    weights, _ = nb.train(
        dataset, 0, epochs=20, sizes=(784, 30, 10), batch_size=50
    )
    shrunk = [weights[0], weights[1] / 4]
    found = nb.restore_scale(shrunk, dataset)
    plain = nb.restore_scale(weights, dataset)
    assert found["factor"] >= 4
    assert found["rescaled"] < found["loss"]
    assert found["rescaled"] <= plain["loss"]
    wrong = nb.Split(dataset.test.images, (dataset.test.labels + 1) % 10)
    other = nb.Dataset("toy", dataset.train, dataset.validation, wrong)
    assert nb.restore_scale(shrunk, other)["factor"] == found["factor"]
    logits = tf.constant([[0.5, -0.5]])
    loss = nb.rescaled_loss(logits, 2, np.array([0], np.int32))
    assert loss == pytest.approx(np.log1p(np.exp(-2)))
