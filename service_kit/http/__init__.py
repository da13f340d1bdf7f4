"""HTTP: the server, what every response has, uploads, delivery, metrics and traces."""
