"""The parts of the reader of untrusted pickles; its one door is vultus.readers.safe_pickle."""
