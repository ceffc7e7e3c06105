"""Holds choosing, refitting and what follows to slow formulas."""

import itertools
from unittest import mock

import notebook_definitions as nb
import numpy as np
import pytest
import tensorflow as tf

assert_close = np.testing.assert_allclose
DRAW = np.random.default_rng(0).normal
ACTIVATIONS = DRAW(size=(60, 4)) @ DRAW(size=(4, 9)) + DRAW(size=(60, 9))
OUTPUTS = ACTIVATIONS @ DRAW(size=(9, 5)) + DRAW(size=(60, 5))
IMAGES = DRAW(size=(500, 12)).astype(np.float32)
IMAGES[:, 3] = 0  # A dead pixel.


def test_rank_units() -> None:
    """The next unit is the one with which least squares err least.

    Units that are dead, or copies of a chosen one, get a 0.
    """
    scores = nb.rank_units(ACTIVATIONS, OUTPUTS)
    order = []
    for score in range(9, 0, -1):
        errors = {}
        for unit in {*range(9)} - {*order}:
            inputs = ACTIVATIONS[:, [*order, unit]]
            fit = np.linalg.lstsq(inputs, OUTPUTS, rcond=None)[0]
            errors[unit] = np.sum((OUTPUTS - inputs @ fit) ** 2)
        order.append(min(errors, key=errors.get))
        assert scores[order[-1]] == score
    few = nb.rank_units(ACTIVATIONS, OUTPUTS, 3)
    assert (few == np.where(scores > 6, scores, 0)).all()
    activations = ACTIVATIONS.copy()
    activations[:, order[8]] = 3 * activations[:, order[0]]
    activations[:, order[1]] = 0
    scores = nb.rank_units(activations, OUTPUTS)
    assert scores[order[1]] == 0 == min(scores[[order[0], order[8]]])
    assert sorted(scores) == [0, 0, *range(3, 10)]


def test_rank_units_refuses() -> None:
    """Shapes that do not fit, no images and NaN are refused."""
    for wrong in [(ACTIVATIONS[:9], OUTPUTS), (ACTIVATIONS[:0], OUTPUTS[:0]),
                  (ACTIVATIONS, OUTPUTS[:, 0]), (ACTIVATIONS * np.nan, OUTPUTS),
                  (ACTIVATIONS, OUTPUTS * np.inf)]:
        with pytest.raises(ValueError, match="Pass|finite"):
            nb.rank_units(*wrong)


def test_rank_layers(network: list) -> None:
    """Units are ranked for the matrix that reads them, as many as stay."""
    outputs = [array.numpy() for array in nb.layer_outputs(network, IMAGES)]
    found = nb.rank_layers(network, IMAGES, 60)
    for i, count in enumerate([8, 8, 4, 2]):
        scores = nb.rank_units(outputs[i].clip(0), outputs[i + 1], count)
        assert (found[i] == scores).all() and len(found) == 4


@pytest.mark.parametrize("k", [0, 60, 100])
@pytest.mark.parametrize("rule", nb.RULES.values())
def test_refit(rule: object, k: float, network: list) -> None:
    """At the minimum the slope is 0 for all weights that are left."""
    copy = nb.prune(network, k, rule)
    before = [matrix.copy() for matrix in copy]
    refitted = nb.refit(network, copy, IMAGES)
    wanted = inputs = IMAGES.astype(float)
    for matrix, pruned, same, found in zip(network, copy, before, refitted,
                                           strict=True):
        target = wanted @ matrix
        penalty = 1e-3 * np.sum(inputs**2) / max(1, inputs.any(axis=0).sum())
        slope = inputs.T @ (target - inputs @ found)
        slope -= penalty * (found - pruned)
        scale = 1e-6 * np.linalg.norm(inputs) * np.linalg.norm(target)
        assert np.abs(slope[pruned != 0]).max(initial=0) <= scale
        assert not found[pruned == 0].any() and (pruned == same).all()
        wanted, inputs = target.clip(0), (inputs @ found).clip(0)


@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_refit_refuses(network: list) -> None:
    """Other shapes, no images and NaN are refused."""
    copy = nb.prune(network, 50, nb.unit_scores)
    bad = [*network[:2], network[2] * np.nan, *network[3:]]
    small, _ = nb.compact(copy)
    for wrong in [
            (network, small, IMAGES), (network, copy[:-1], IMAGES),
            (bad, copy, IMAGES), (network, bad, IMAGES),
            (network, copy, IMAGES[:0]), (network, copy, IMAGES[:, :9])]:
        with pytest.raises(ValueError, match="Pass|finite"):
            nb.refit(*wrong)


def test_distill(network: list, monkeypatch: pytest.MonkeyPatch) -> None:
    """The compacted copy is trained to give the halved logits' shares."""
    monkeypatch.setattr(nb, "train", lambda *args, **_: args)
    copy = nb.prune(network, 50, nb.unit_scores)
    start, split, steps = nb.distill(network, copy, IMAGES, 60)
    assert [len(matrix) for matrix in start] == [12, 10, 10, 5, 3]
    assert split.images is IMAGES and steps == 60
    given = tf.nn.softmax(nb.forward(start, IMAGES))
    for shares, teacher in [(split.labels, network), (given, copy)]:
        powers = np.exp(nb.forward(teacher, IMAGES).numpy() / 2)
        slow = powers / powers.sum(axis=1, keepdims=True)
        assert_close(shares, slow, atol=1e-5)


def test_shift_images() -> None:
    """Each image is moved in all ways by up to two pixels."""
    images = np.zeros((3, 28, 28), np.float32)
    images[:, 2:-2, 2:-2] = np.random.default_rng(8).random((3, 24, 24))
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2)))
    slow = []
    for down, right in itertools.product(range(5), repeat=2):
        slow += [*padded[:, down : down + 28, right : right + 28]]
    shifted = nb.shift_images(images.reshape(3, 784))
    assert sorted(map(bytes, shifted)) == sorted(map(bytes, slow))


def test_find_ticket(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ticket keeps first weights; a fifth of the rest goes each time."""
    train = mock.Mock(side_effect=lambda start, *_: [
        np.where(matrix != 0, 9 - matrix, 0) for matrix in start])
    monkeypatch.setattr(nb, "train", train)  # The smallest become the largest.
    monkeypatch.setattr(nb, "LENET", [30, 20, 10])
    initial = nb.init_weights(4, nb.LENET)
    ticket = nb.find_ticket("split", 4, 50, 3)
    for call, left in zip(train.call_args_list, [600, 480, 384], strict=True):
        assert np.count_nonzero(call.args[0][0]) == left
        assert call.args[1:] == ("split", 50, 4)
    assert np.count_nonzero(ticket[0]) == 307 and ticket[1].all()
    for drawn, kept in zip(initial, ticket, strict=True):
        assert (kept == np.where(kept != 0, drawn, 0)).all()
    assert ticket[0].max() < initial[0][ticket[0] == 0].min()


def test_shuffle_ticket(network: list) -> None:
    """All weights are kept, elsewhere, where the name says."""
    ticket = nb.prune(network, 60, nb.weight_scores)
    shuffled = nb.shuffle_ticket(ticket, 0)
    other = nb.shuffle_ticket(ticket, 1)
    for name, start in shuffled.items():
        assert (start[4] == ticket[4]).all() and len(start) == 5
        for i in range(4):
            assert (start[i] != ticket[i]).any()
            assert (start[i] != other[name][i]).any()
    for i in range(4):
        old = ticket[i]
        new = shuffled["magnitudes shuffled"][i]
        assert (np.sign(new) == np.sign(old)).all()
        assert (np.sort(abs(new), None) == np.sort(abs(old), None)).all()
        new = shuffled["values shuffled"][i]
        assert ((new == 0) == (old == 0)).all()
        assert (np.sign(new) != np.sign(old)).any()
        assert (np.sort(new, None) == np.sort(old, None)).all()
        new = shuffled["rows shuffled"][i]
        assert ((new == 0) != (old == 0)).any()
        assert (np.sort(new, axis=1) == np.sort(old, axis=1)).all()
