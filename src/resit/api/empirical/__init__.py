"""The dialect of Empirical's API. It translates and never decides."""
