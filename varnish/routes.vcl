# What is looked up here, and what goes past.

import std;

sub routes_recv {
    call nodes_routes;
    if (req.method != "GET" && req.method != "HEAD") {
        return (pass);
    }
    # Facts and lists change with every upload and deletion, health with every second.
    if (req.url ~ "^/v1/(?:images(?:\?|$|/healthcheck|/[^/?]*/info)|transform/healthcheck)") {
        return (pass);
    }
    if (req.http.Range) {
        call routes_range;
        # A part of an original: nginx reads just that from the disk, this cache would have to fetch all of it first.
        if (req.http.Range && req.url ~ "^/v1/images/[^/?.]*$") {
            return (pass);
        }
    }
    # Whichever there is: the services know (304, without a render), Varnish compares tags only.
    if (req.http.If-None-Match == "*") {
        return (pass);
    }
    # No answer depends on it. Left in, the built-in code would let everything with it past the cache.
    unset req.http.Authorization;
    return (hash);
}

# What is no single range is ignored (RFC 9110, 14.2), as the services do; Varnish would answer it with an error.
sub routes_range {
    if (req.http.Range !~ "^bytes=(?:[0-9]+-[0-9]*|-[0-9]+)$") {
        unset req.http.Range;
    } else if (req.http.Range ~ "^bytes=[0-9]+-[0-9]+$"
        && std.integer(regsub(req.http.Range, "^bytes=([0-9]+)-.*$", "\1"), 0)
            > std.integer(regsub(req.http.Range, "^.*-", ""), 0)) {
        unset req.http.Range;
    }
}
