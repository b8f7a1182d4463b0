"""The executors that come with Resit: each turns a folder of tests into a listing, and batches into events."""
