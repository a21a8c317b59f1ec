"""The parts of the reader of untrusted pickles; its one door is vultus.datasets.safe_pickle."""
