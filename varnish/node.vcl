# This node's own health, for whoever spreads requests over several: a load balancer, a name server that checks.

sub node_recv {
    if (req.url == "/cache/healthcheck") {
        call nodes_health;
    }
}

sub node_deliver {
    call nodes_deliver;
}
