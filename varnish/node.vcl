# This node's health checks, for orchestrators, and for load balancers and name servers in front of
# several nodes. Neither looks at nginx: hits do not need it.

sub node_recv {
    if (req.url ~ "^/(?:cache/healthcheck|readyz)(?:\?|$)") {
        call nodes_health;
    }
    # A node that is leaving is alive.
    if (req.url ~ "^/healthz(?:\?|$)") {
        return (synth(200, "okay"));
    }
}

sub node_deliver {
    call nodes_deliver;
}
