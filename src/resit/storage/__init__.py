"""The database: tables, the transactions that services work in, reads, and one tree of migrations."""
