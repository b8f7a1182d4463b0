"""Use cases: what faces, broker and clock may ask for. One request or ingest batch is one transaction."""
