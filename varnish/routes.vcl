# Which requests are looked up in the cache, and which bypass it.

import std;

sub routes_recv {
    call nodes_routes;
    if (req.method != "GET" && req.method != "HEAD") {
        return (pass);
    }
    # Lists and /info change with every upload and deletion, and health at any time.
    if (req.url ~ "^/v1/(?:images(?:\?|$|/healthcheck|/[^/?]*/info)|transform/healthcheck)") {
        return (pass);
    }
    if (req.http.Range) {
        call routes_range;
        # Part of an original. nginx reads only that part from the disk, while this cache would have
        # to fetch the whole file first.
        if (req.http.Range && req.url ~ "^/v1/images/[^/?.]*(?:\?download(?:=[^&]*)?)?$") {
            return (pass);
        }
    }
    # `*` matches any version. The services can answer it with 304 and without a render, but Varnish
    # only compares tags.
    if (req.http.If-None-Match == "*") {
        return (pass);
    }
    # No response depends on it. If it stayed, Varnish's built-in code would bypass the cache.
    unset req.http.Authorization;
    return (hash);
}

# Ignores anything but a single valid range (RFC 9110, section 14.2), as the services do. Varnish
# itself would answer with an error, and with 503 if a number has more than 64 bits.
sub routes_range {
    if (req.http.Range !~ "^bytes=(?:[0-9]{1,18}-[0-9]{0,18}|-[0-9]{1,18})$") {
        unset req.http.Range;
    } else if (req.http.Range ~ "^bytes=[0-9]+-[0-9]+$"
        && std.integer(regsub(req.http.Range, "^bytes=([0-9]+)-.*$", "\1"), 0)
            > std.integer(regsub(req.http.Range, "^.*-", ""), 0)) {
        unset req.http.Range;
    }
}
