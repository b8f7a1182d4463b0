"""The faces over HTTP. A dialect translates and never decides: schemas, routes, errors each."""
