# This node's health check, for load balancers and name servers in front of several nodes.

sub node_recv {
    if (req.url == "/cache/healthcheck") {
        call nodes_health;
    }
}

sub node_deliver {
    call nodes_deliver;
}
