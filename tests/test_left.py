"""Holds choosing, refitting and what follows to slow formulas."""

import notebook_definitions as nb
import numpy as np
import pytest
import tensorflow as tf

assert_close = np.testing.assert_allclose
IMAGES = np.random.default_rng(5).normal(size=(500, 12)).astype(np.float32)
IMAGES[:, 3] = 0  # A dead pixel.
KINDS = [np.float16, np.float32, np.float64, tf.constant, tf.Variable]


def rank_slowly(activations: np.ndarray, outputs: np.ndarray) -> list[int]:
    """Adds the unit with which least squares leave the smallest residual."""
    chosen = []
    while len(chosen) < activations.shape[1]:
        left = {}
        for unit in {*range(activations.shape[1])} - {*chosen}:
            inputs = activations[:, [*chosen, unit]]
            fit = np.linalg.lstsq(inputs, outputs, rcond=None)[0]
            left[unit] = np.sum((outputs - inputs @ fit) ** 2)
        chosen.append(min(left, key=left.get))
    return chosen


def test_rank_units() -> None:
    """Another unit first, dead or redundant ones ranked, inputs changed."""
    draw = np.random.default_rng(0).normal
    activations = draw(size=(60, 4)) @ draw(size=(4, 9)) + draw(size=(60, 9))
    outputs = activations @ draw(size=(9, 5)) + draw(size=(60, 5))
    before = activations.copy(), outputs.copy()
    ranks = nb.rank_units(tf.constant(activations), outputs)
    order = rank_slowly(activations, outputs)
    assert [ranks[unit] for unit in order] == [*range(9, 0, -1)]
    few = nb.rank_units(activations, outputs, 3)
    assert few.tolist() == np.where(ranks > 6, ranks, 0).tolist()
    assert (activations == before[0]).all() and (outputs == before[1]).all()
    activations[:, order[8]] = 3 * activations[:, order[0]]  # Nothing new.
    activations[:, order[1]] = 0
    ranks = nb.rank_units(activations, outputs)
    assert ranks[order[1]] == 0 == min(ranks[[order[0], order[8]]])
    assert sorted(ranks) == [0, 0, *range(3, 10)]
    for wrong in ((activations[:9], outputs), (activations[:0], outputs[:0]),
                  (activations, outputs[:, 0]), (activations * np.nan, outputs),
                  (activations, outputs * np.inf)):  # fmt: skip
        with pytest.raises(ValueError, match="Pass|NaN"):
            nb.rank_units(*wrong)


def test_rank_layers(network: list) -> None:
    """Ranked by outputs before the ReLU, or of another matrix."""
    outputs = [y.numpy() for y in nb.layer_outputs(network, IMAGES)]
    for layer, ranks in enumerate(nb.rank_layers(network, IMAGES)):
        hidden, read = np.maximum(outputs[layer], 0), outputs[layer + 1]
        assert (ranks == nb.rank_units(hidden, read)).all()


def refit_slowly(network: list, copy: list) -> list[np.ndarray]:
    """Solves ridge regression for one unit after the other."""
    dense, inputs, refitted = IMAGES.astype(float), IMAGES.astype(float), []
    for matrix, left in zip(network, copy, strict=True):
        targets, result, used = dense @ matrix, left + 0.0, inputs.any(axis=0)
        root = np.sqrt(1e-3 * np.sum(inputs**2) / max(used.sum(), 1))
        for unit in range(matrix.shape[1]):
            rows = np.flatnonzero((left[:, unit] != 0) & used)
            design = np.vstack([inputs[:, rows], root * np.eye(len(rows))])
            right = np.append(targets[:, unit], root * left[rows, unit])
            result[rows, unit] = np.linalg.lstsq(design, right, rcond=None)[0]
        refitted.append(result)
        dense, inputs = np.maximum(targets, 0), np.maximum(inputs @ result, 0)
    return refitted


@pytest.mark.parametrize("k", [0, 25, 60, 90, 100])
@pytest.mark.parametrize("rule", [nb.weight_scores, nb.unit_scores])
def test_refit(rule: object, k: float, network: list) -> None:
    """Wrong targets, inputs, ridge or support; a dense network changed."""
    copy = nb.prune(network, k, rule)
    found = nb.refit(network, [matrix.copy() for matrix in copy], IMAGES)
    slow = refit_slowly(network, copy)
    for matrix, expected, left in zip(found, slow, copy, strict=True):
        assert not matrix[left == 0].any()
        assert_close(matrix, expected, rtol=5e-3, atol=5e-3)
        assert k or matrix.tobytes() == left.tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_refit_kinds(kind: object, network: list) -> None:
    """A kind of matrix refused, or one that is written to in place."""
    images, copy = IMAGES.copy(), nb.prune(network, 60, nb.unit_scores)
    given = [kind(matrix) for matrix in (*network, *copy)]
    before = [np.array(matrix) for matrix in given]
    found = nb.refit(given[:5], given[5:], images)
    for matrix, same in zip((*given, images), (*before, IMAGES), strict=True):
        assert (np.asarray(matrix) == same).all()
    assert_close(found[0], refit_slowly(before[:5], before[5:])[0], 0.01, 0.01)


def test_refit_refuses(network: list) -> None:
    """Wrong shapes, no images or NaN, taken for a network or an IndexError."""
    copy = nb.prune(network, 50, nb.unit_scores)
    wrong = [nb.compact(copy)[0], copy[:-1], [*copy, copy[-1]], copy[1:]]
    wrong = [(of, IMAGES) for of in (*wrong, [*copy[:-1], copy[-1] * np.nan])]
    wrong += [(copy, IMAGES[:0]), (copy, IMAGES[:, :9]), (copy, IMAGES[0])]
    wrong += [(copy, IMAGES + np.nan), (copy, IMAGES + np.inf)]
    for of, images in wrong:
        for arguments in ((network, of, images), (of, network, images)):
            with pytest.raises(ValueError, match="Pass|NaN"):
                nb.refit(*arguments)


def test_adapt(dataset: nb.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """A student that does not come nearer, or that is asked for other odds."""
    teacher, images = nb.init_weights(0, (784, 40, 10)), dataset.train.images
    monkeypatch.setattr(nb, "datasets", {"a": dataset}, raising=False)
    monkeypatch.setattr(nb, "networks", {("a", 1): teacher}, raising=False)
    copy = nb.prune(teacher, 50, nb.unit_scores)
    small = nb.compact(copy, keep_inputs=True)[0]
    student = nb.adapt(("a", 1), small, images, 100)
    monkeypatch.setattr(
        nb, "train", lambda of, *_, start, **__: (of.train.labels, start))
    labels = np.arange(len(images))
    assert nb.adapt(("a", 1), small, images, 1, labels) is labels
    monkeypatch.setattr(nb, "train", lambda *_, start, **__: (start, None))
    begin = nb.adapt(("a", 1), small, images, 1)
    goal, before, after = nb.forward(teacher, images) / 2, *(
        nb.forward(of, images) for of in (begin, student))  # fmt: skip
    assert_close(before, nb.forward(small, images) / 2, 1e-4, 1e-5)
    goal, before, after = map(tf.nn.softmax, (goal, before, after))
    assert np.abs(after - goal).mean() < 0.5 * np.abs(before - goal).mean()


def test_find_ticket(dataset: nb.Dataset,
                     monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """Trained values kept, or a weight that goes and comes back."""
    starts = []

    def reverse(*_: object, start: list, **__: object) -> tuple[list, None]:
        starts.append(start)
        return [np.where(w != 0, 9 - w, 0) for w in start], None

    monkeypatch.setattr(nb, "train", reverse)
    initial, ticket = nb.find_ticket(dataset, 0, 10, 3)
    drawn = nb.init_weights(0, nb.LENET)
    found = [np.count_nonzero(of[0]) for of in (*starts, ticket)]
    expected = [initial[0].size * 0.8**i for i in range(4)]
    assert found == pytest.approx(expected, abs=1)
    for w, whole, first in zip(ticket, initial, drawn, strict=True):
        assert (whole == first).all()
        assert (w[w != 0] == first[w != 0]).all()
    assert (ticket[-1] == drawn[-1]).all()
    assert ticket[0].max() < drawn[0][ticket[0] == 0].min()


def test_shuffle_ticket(network: list) -> None:
    """Weights lost, changed in place, or elsewhere than the name says."""
    ticket = nb.prune(network, 60, nb.weight_scores)
    before = [matrix.copy() for matrix in ticket]
    for name, start in nb.shuffle_ticket(ticket, 0).items():
        assert start[-1] is ticket[-1]
        for w, t, same in zip(start[:4], ticket, before, strict=False):
            assert (t == same).all() and (w != t).any()
            axis = 1 if name == "rows shuffled" else None
            assert_close(np.sort(abs(w), axis), np.sort(abs(t), axis))
            places = name in ("values shuffled", "magnitudes shuffled")
            assert ((w == 0) == (t == 0)).all() == places
            signs = name == "magnitudes shuffled"
            assert (np.sign(w) == np.sign(t)).all() == signs
