"""The classifiers [I/O]: texts in, probabilities of negative, neutral and positive out.

Both models know English only, take texts that `normal.py` prepared, and lie in `bundled/` with their model cards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import NotReady
from pipeline.texts.labels import Probabilities

BUNDLED = Path(__file__).with_name("bundled")
#: Word pieces that a model reads of a text: what the transformer was trained with, and what bounds the time of one.
MAX_TOKENS = 128
#: Texts in one run of the transformer; bigger ones lose more to padding and cache than they gain (measured).
BATCH = 32

Ids = NDArray[np.int64]


class Classifier(Protocol):
    """What label asks of a model."""

    @property
    def tier(self) -> str:
        """Its tier in `labels.TIERS`: part of the scale of sentiment, so never changed for other weights' sake."""

    @property
    def model(self) -> str:
        """The first 12 hexadecimal digits of the SHA-256 of its weights."""

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        """[n, 3] float32: negative, neutral, positive; rows sum to 1."""


#: Makes the classifiers of a child, by tier ("minilm", "static").
Factory = Callable[[], dict[str, Classifier]]


def bundled() -> dict[str, Classifier]:
    """The two models of the package.

    Raises:
        NotReady: a file is missing.
    """
    return {"minilm": MiniLm(), "static": Static()}


class MiniLm:
    """Three layers of MiniLM, distilled, int8, on one thread of ONNX runtime: 88 % of SST-2, about 1,300 texts/s.

    Activations are quantised per tensor when it runs, so the other texts of a batch and the padding move a
    probability a little (see the model card). A label is therefore computed once and stored; nothing recomputes it.
    """

    tier = "minilm"

    def __init__(self, folder: Path = BUNDLED / "minilm-cx-l3") -> None:
        weights = _read(folder / "model.int8.onnx")
        self.model = _short_hash(weights)
        self._tokenizer = _tokenizer()
        runtime: Any = import_module("onnxruntime")  # here, since the parent imports this file for its words only
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session: Any = runtime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        """See `Classifier`; runs batches of similar length."""
        ids = [self._tokenizer.encode(text).ids for text in texts]
        order = sorted(range(len(ids)), key=lambda at: len(ids[at]))
        logits = np.empty((len(ids), 3), np.float32)
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            logits[rows] = self._run([ids[at] for at in rows])
        return _softmax(logits)

    def _run(self, ids: list[list[int]]) -> NDArray[np.float32]:
        lengths = np.array([len(row) for row in ids])
        mask = np.arange(lengths.max()) < lengths[:, None]
        tokens = np.zeros(mask.shape, np.int64)
        tokens[mask] = np.concatenate([np.array(row, np.int64) for row in ids])
        feed = {"input_ids": tokens, "attention_mask": mask.astype(np.int64)}
        # 31 logits; those after the third are emotions, which the model card says not to use.
        logits: NDArray[np.float32] = self._session.run(["logits"], feed)[0][:, :3]
        return logits


class Static:
    """Mean of trained word-piece vectors through a small network, and weights of hashed runs of 2 and 3 of them.

    The weights came without code; what the arrays mean was found by fitting hypotheses to them (model card).
    """

    tier = "static"
    #: Runs of pieces (a, b) and (a, b, c) share 2^18 rows: a sum of multiples, times 2^64 / golden ratio, top 18 bits.
    _RUNS: tuple[tuple[tuple[int, ...], int], ...] = (((31337, 1), 0), ((1000003, 31337, 1), 7))
    _GOLDEN, _SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(46)

    def __init__(self, folder: Path = BUNDLED / "static") -> None:
        path = folder / "weights.npz"
        self.model = _short_hash(_read(path))
        self._tokenizer = _tokenizer()
        with np.load(path, allow_pickle=False) as arrays:
            self._vectors = arrays["Q"].astype(np.float32) * arrays["sc"].astype(np.float32)
            self._runs = arrays["Wb"].astype(np.float32)
            self._hidden, self._hidden_bias = arrays["h"].T.copy(), arrays["hb"]
            self._out, self._out_bias = arrays["o"].T.copy(), arrays["ob"]
            self._temperature = np.float32(arrays["T"])

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        """See `Classifier`."""
        ids = [self._tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
        lengths = np.array([len(row) for row in ids], np.int64)
        flat = np.array([token for row in ids for token in row], np.int64)
        owner = np.repeat(np.arange(len(ids)), lengths)
        hidden = np.maximum(self._mean(flat, lengths) @ self._hidden + self._hidden_bias, 0)
        runs = self._run_logits(flat, owner, len(ids)) / np.sqrt(np.maximum(lengths, 1))[:, None]
        logits = hidden @ self._out + self._out_bias + runs
        return _softmax((logits / self._temperature).astype(np.float32))

    def _mean(self, flat: Ids, lengths: Ids) -> NDArray[np.float32]:
        mean = np.zeros((len(lengths), self._vectors.shape[1]), np.float32)
        some = lengths > 0
        if some.any():
            starts = (np.cumsum(lengths) - lengths)[some]
            mean[some] = np.add.reduceat(self._vectors[flat], starts, axis=0) / lengths[some, None]
        return mean

    def _run_logits(self, flat: Ids, owner: Ids, texts: int) -> NDArray[np.float64]:
        pieces = flat.astype(np.uint64)
        logits = np.zeros((texts, 3))
        for factors, salt in self._RUNS:
            within = np.flatnonzero(owner[: 1 - len(factors)] == owner[len(factors) - 1 :])
            mixed = np.full(len(within), salt, np.uint64)
            for place, factor in enumerate(factors):
                mixed += pieces[within + place] * np.uint64(factor)
            weights = self._runs[(mixed * self._GOLDEN >> self._SHIFT).astype(np.int64)]
            logits += np.stack([np.bincount(owner[within], weights[:, at], texts) for at in range(3)], axis=1)
        return logits


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotReady(
            f"The model file {path} cannot be read ({error}); run `git checkout -- pipeline/texts`."
        ) from error


def _tokenizer() -> Any:
    tokenizer: Any = import_module("tokenizers").Tokenizer.from_str(_read(BUNDLED / "tokenizer.json").decode())
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


def _short_hash(weights: bytes) -> str:
    return hashlib.sha256(weights).hexdigest()[:12]


def _softmax(logits: NDArray[np.float32]) -> Probabilities:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    probabilities: Probabilities = shares / shares.sum(axis=1, keepdims=True)
    return probabilities
