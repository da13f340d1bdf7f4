# What clients see of all this.

sub answers_deliver {
    # For the parts only.
    unset resp.http.Xkey;
    unset resp.http.X-Varnish;
    unset resp.http.Via;
    # An object carries the id of the request that made it.
    set resp.http.X-Request-ID = req.http.X-Request-ID;
    if (obj.hits == 0) {
        set resp.http.X-Cache = "MISS";
    } else if (obj.ttl <= 0s) {
        set resp.http.X-Cache = "STALE";
    } else {
        set resp.http.X-Cache = "HIT";
    }
    if (obj.hits > 0) {
        # How long its making took is old news.
        unset resp.http.Server-Timing;
    }
    call node_deliver;
}
