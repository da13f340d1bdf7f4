"""The kit that both services are built from. It imports neither the services nor `imaging`."""
