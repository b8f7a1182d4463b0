"""The web page: server-rendered, live where something moves, and without a rule of its own."""
