# Names (docs/library.md): a request for a name is looked up twice: first which image the name shows, and
# then the picture, by the ID of that image.

import std;

# Comes after everything that changes the URL.
sub names_recv {
    unset req.http.X-Named;
    unset req.http.X-Shown;
    unset req.http.X-Stale;
    if (req.url !~ "^/v1/names/[^?]" || req.url ~ "^[^?]*/versions(?:\?|$)"
        || (req.method != "GET" && req.method != "HEAD")) {
        return;
    }
    call bodies_recv;
    call nodes_routes;
    # A name may show an older image than before, so dates say nothing.
    unset req.http.If-Modified-Since;
    unset req.http.If-Unmodified-Since;
    if (req.http.If-Range && req.http.If-Range !~ {"^""}) {
        unset req.http.If-Range;
        unset req.http.Range;
    }
    set req.http.X-Named = req.url;
    set req.url = regsub(regsub(req.url, "\?.*$", ""), "^/v1/", "/internal/");
    # While nginx does not answer, what was known counts.
    if (std.healthy(nginx.backend())) {
        set req.grace = 0s;
    }
    return (hash);
}

# After the answer has come: the same request again, for the picture.
sub names_resume {
    if (req.restarts > 0 && req.http.X-Stale == "wanted") {
        set req.http.X-Stale = "tried";
        set req.grace = 24h;
        return (hash);
    }
    if (req.restarts > 0 && req.http.X-Shown) {
        set req.url = regsub(req.http.X-Named, "^/v1/names/[^?]+", "/v1/images/" + req.http.X-Shown);
        unset req.http.X-Shown;
        set req.grace = 7d;
        call routes_picture;
    }
}

sub names_fetch {
    unset bereq.http.X-Named;
    unset bereq.http.X-Stale;
    if (bereq.url ~ "^/internal/names/") {
        set bereq.http.X-Begun = std.time2real(now, 0.0);
    }
}

# Comes before access_response.
sub names_response {
    if (bereq.url !~ "^/internal/names/") {
        return;
    }
    # A change waits 0.3 s for answers that are on their way (storage_service/names.py). Nobody may get a later
    # one from this cache.
    if (beresp.status >= 500) {
        # It must not replace what was known.
        return (abandon);
    }
    if (beresp.status != 200 || beresp.http.Cache-Control ~ "no-store"
        || std.time2real(now, 0.0) - std.real(bereq.http.X-Begun, 0.0) > 0.1) {
        set beresp.ttl = 1s;
        set beresp.grace = 0s;
        set beresp.keep = 0s;
        set beresp.uncacheable = true;
    } else {
        set beresp.grace = 24h;
        set beresp.keep = 0s;
    }
    return (deliver);
}

# Comes first in vcl_deliver.
sub names_shown {
    if (!req.http.X-Named || req.url !~ "^/internal/names/") {
        return;
    }
    if (resp.http.Image-Id) {
        set req.http.X-Shown = resp.http.Image-Id;
        return (restart);
    }
}

# Nobody knows. What was known counts, as nobody can change it either. Comes first in vcl_synth.
sub names_synth {
    if (req.http.X-Named && req.url ~ "^/internal/names/" && resp.status == 503 && !req.http.X-Stale) {
        set req.http.X-Stale = "wanted";
        return (restart);
    }
}

# The picture may be another one at any time.
sub names_deliver {
    if (!req.http.X-Named) {
        return;
    }
    unset resp.http.Last-Modified;
    unset resp.http.CDN-Cache-Control;
    unset resp.http.Age;
    if (resp.http.Cache-Control ~ "\bprivate\b" && resp.http.Cache-Control !~ "no-store") {
        set resp.http.Cache-Control = "private, no-cache";
    } else if (resp.http.Cache-Control && resp.http.Cache-Control !~ "no-store") {
        set resp.http.Cache-Control = "public, no-cache";
    }
}
