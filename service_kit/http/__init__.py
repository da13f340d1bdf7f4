"""HTTP: the server, common headers and errors, uploads, delivery, the request log, metrics and traces."""
