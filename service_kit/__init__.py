"""The kit that both services are built from. It knows neither the services nor images."""
