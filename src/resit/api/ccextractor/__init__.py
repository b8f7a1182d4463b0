"""The dialect of the CCExtractor Sample Platform's API. It translates and never decides."""
