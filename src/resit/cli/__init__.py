"""The command line: words in, HTTP out; everything it knows comes from a server."""
