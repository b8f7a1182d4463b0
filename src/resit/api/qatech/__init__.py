"""The dialect of QA.tech's API. It translates and never decides."""
