"""Holds directions and errors of layers to slow formulas."""

import notebook_definitions as nb
import numpy as np
import pytest

assert_close = np.testing.assert_allclose
DRAW = np.random.default_rng(0).normal
OUTPUTS = 5 + DRAW(size=(300, 8)) @ (DRAW(size=(8, 8)) * 0.6 ** np.arange(8))
IMAGES = DRAW(size=(200, 12)).astype(np.float32)


def misalign_slowly(first: np.ndarray, second: np.ndarray) -> float:
    """Computes 1 - cos²."""
    product = np.sum(first * second) ** 2
    return 1 - product / (np.sum(first**2) * np.sum(second**2))


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_directions(share: float) -> None:
    """Not the fewest, means not removed, or axes that miss the variance."""
    centred = OUTPUTS - OUTPUTS.mean(axis=0)
    _, lengths, rows = np.linalg.svd(centred, full_matrices=False)
    shares = np.cumsum(lengths**2) / np.sum(lengths**2)
    best = rows[: 1 + np.flatnonzero(shares >= share)[0]]
    axes = nb.principal_axes(OUTPUTS, share)
    assert_close(axes @ axes.T, best.T @ best, atol=1e-9)
    assert axes.shape[1] == nb.directions(OUTPUTS, share) == len(best)
    assert nb.directions(OUTPUTS[:, :1]) == 1
    assert nb.directions(np.ones((9, 4))) == 0


@pytest.mark.parametrize("size", [0, 0.3, 0.9])
def test_add_error(size: float) -> None:
    """An error of another size or direction, or mere shrinkage kept."""
    error = DRAW(size=OUTPUTS.shape) - 2 * OUTPUTS
    changed = nb.add_error(OUTPUTS, error, size)
    assert_close(misalign_slowly(OUTPUTS, changed), size, atol=1e-9)
    assert_close(nb.misalignment(3 * changed, OUTPUTS), size, atol=1e-9)
    rest = error - np.sum(error * OUTPUTS) / np.sum(OUTPUTS**2) * OUTPUTS
    scale = np.linalg.norm(changed - OUTPUTS) / np.linalg.norm(rest)
    assert_close(changed - OUTPUTS, rest * scale, atol=1e-9)


def test_make_errors() -> None:
    """Another share lost, units of the wrong side, noise that overlaps."""
    matrix, inputs = DRAW(size=(40, 20)).astype("f4"), np.eye(40, dtype="f4")
    axes = np.linalg.qr(DRAW(size=(20, 5)))[0].astype("f4")
    made = nb.make_errors(inputs, matrix, axes, 0)
    other = nb.make_errors(inputs, matrix, axes, 1)
    assert all((made[kind] != other[kind]).any() for kind in made)
    for kind in ("weights", "units"):
        assert np.count_nonzero(made[kind]) == 640
        assert_close(made[kind], -matrix * (made[kind] != 0))
    turned, units = made["units, rotated"], made["units"]
    assert np.count_nonzero(units.any(axis=1)) == 32
    assert_close(turned @ turned.T, units @ units.T, atol=1e-4)
    assert np.abs(turned - units).max() > 1
    inside, outside = made["noise inside"], made["noise outside"]
    assert_close(inside @ axes @ axes.T, inside, atol=1e-5)
    assert_close(outside @ axes, 0, atol=1e-5)
    assert np.var(inside + outside) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("k", [0, 40, 60])
def test_mix_errors(k: float, network: list) -> None:
    """Other matrices, units of the wrong layer, size and direction mixed."""
    kept = {"weights": [nb.keep_mask(np.abs(w), k) for w in network[1:-1]],
            "units": [nb.keep_mask(np.linalg.norm(w, axis=0), k)[:, None]
                      for w in network[:-2]]}  # fmt: skip
    for of, other in (("weights", "units"), ("units", "weights")):
        inner = [w * mask for w, mask in zip(network[1:-1], kept[of])]
        matrices = [network[0], *inner, network[-1]]
        pruned = [y.numpy() for y in nb.layer_outputs(matrices, IMAGES)]
        rows = pruned[-1].any(axis=1)  # Without those that only tie at 0.
        split = nb.Split(IMAGES[rows], pruned[-1][rows].argmax(axis=1))
        slow = [misalign_slowly(y[rows].clip(0) @ w, after[rows])
                for y, w, after in zip(pruned, network[1:-1], pruned[1:])]
        found = nb.mix_errors(network, split, k, of, of)
        assert found[1:] == pytest.approx(slow, abs=1e-5)
        percent, *sizes = nb.mix_errors(network, split, k, of, other)
        assert sizes[0] == pytest.approx(slow[0], abs=1e-5)
        assert found[0] > 99
        assert percent < 95 or k == 0


def test_compare_errors(network: list, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another matrix's outputs or draw, no ReLU, untrained mixed up."""
    monkeypatch.setattr(nb, "SIZES", [12, 20, 20, 10, 5, 10])
    rows = nb.compare_errors(network, IMAGES, 2, 2)
    clean = nb.layer_outputs(network, IMAGES)[2].numpy()
    inputs = nb.layer_outputs(network, IMAGES)[1].numpy().clip(0)
    axes = nb.principal_axes(clean, 0.99)
    made = [(seed, kind, error) for seed in (0, 1) for kind, error in
            nb.make_errors(inputs, network[2], axes.astype("f4"), seed).items()]
    for row, (seed, kind, error) in zip(rows, made, strict=True):
        changed = nb.add_error(clean, error, 0.3)
        share = np.sum(((changed - clean) @ axes) ** 2)
        share *= 100 / np.sum((changed - clean) ** 2)
        found = [share, 100 * axes.shape[1] / 10]
        for of in (network, nb.init_weights(1000 + seed, nb.SIZES)):
            pair = [nb.forward(of[3:], y.clip(0)) for y in (clean, changed)]
            pair = [y - np.mean(y, axis=1, keepdims=True) for y in pair]
            found.append(misalign_slowly(*pair))
            if of is network:
                first, second = (np.argmax(y, axis=1) for y in pair)
        found.append(100 * np.mean(first != second))
        assert row[:2] == ["3", kind]
        assert_close(row[2:], found, rtol=1e-2, atol=1e-3)
