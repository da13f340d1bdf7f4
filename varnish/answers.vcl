# What clients see of all this.

import std;

sub answers_deliver {
    # Varnish compares with one tag; a client may name several, one of which is enough (304).
    if (req.http.If-None-Match && resp.http.ETag && std.strstr(req.http.If-None-Match, resp.http.ETag)) {
        set req.http.If-None-Match = resp.http.ETag;
    }
    # For the parts only. X-Varnish stays: with it a request is found in varnishlog.
    unset resp.http.Xkey;
    unset resp.http.Via;
    if (obj.hits == 0) {
        set resp.http.X-Cache = "MISS";
        # Varnish's own.
        if (!resp.http.X-Request-ID) {
            set resp.http.X-Request-ID = req.http.X-Request-ID;
        }
    } else {
        if (obj.ttl > 0s) {
            set resp.http.X-Cache = "HIT";
        } else {
            set resp.http.X-Cache = "STALE";
        }
        # An object carries the id of the request that made it, and how it was made, which is old news.
        set resp.http.X-Request-ID = req.http.X-Request-ID;
        unset resp.http.Server-Timing;
        unset resp.http.Cache-Status;
    }
    call node_deliver;
}
