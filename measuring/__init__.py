"""What benchmarks and load tests share: servers, processes, clients, photos, percentiles, figures."""
