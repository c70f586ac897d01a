"""The forest of `benchmarks/replay.py`, as `stream-al replay --model` takes it."""

from river import forest

model = forest.ARFClassifier(n_models=10, seed=1)
