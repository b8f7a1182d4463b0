"""Services driven by the broker and the clock: dispatch, ingest, answers to workers, the reconciler."""
