# Ranges, and the conditions that Varnish does not check itself (RFC 9110, sections 13 and 14).

import std;

sub conditions_recv {
    if (req.http.Range) {
        # Only GET has ranges. Anything but a single valid range is ignored, as by the services.
        # Varnish itself would answer with an error.
        if (req.method != "GET" || req.http.Range !~ "^bytes=(?:[0-9]+-[0-9]*|-[0-9]+)$") {
            unset req.http.Range;
        } else {
            call conditions_numbers;
        }
    }
    # A variant may have been rendered again meanwhile, with the same ETag and other bytes (ADR 67).
    if (req.http.If-Range && req.url !~ "^/v1/images/[^/?.]*(?:\?download(?:=[^&]*)?)?$") {
        unset req.http.Range;
    }
    if (!req.http.Range) {
        unset req.http.If-Range;
    }
}

# VCL knows numbers of up to 15 digits, Varnish of up to 64 bits.
sub conditions_numbers {
    set req.http.Range = regsuball(req.http.Range, "([=-])0+(?=[0-9])", "\1");
    # The last zero bytes are outside of any image, like a start that no image reaches.
    if (req.http.Range ~ "^bytes=(?:-0$|[0-9]{16,}-)") {
        set req.http.Range = "bytes=999999999999999-";
    }
    set req.http.Range = regsub(req.http.Range, "^bytes=-[0-9]{16,}$", "bytes=-999999999999999");
    set req.http.Range = regsub(req.http.Range, "-[0-9]{16,}$", "-");
    if (req.http.Range ~ "^bytes=[0-9]+-[0-9]+$"
        && std.integer(regsub(req.http.Range, "^bytes=([0-9]+)-.*$", "\1"), 0)
            > std.integer(regsub(req.http.Range, "^.*-", ""), 0)) {
        unset req.http.Range;
    }
}

# Part of an original that is not in the cache. nginx reads only that part from the disk, while this
# cache would have to fetch the whole file first.
sub conditions_miss {
    if (req.http.Range && req.url ~ "^/v1/images/[^/?.]*(?:\?download(?:=[^&]*)?)?$") {
        return (pass);
    }
}

sub conditions_deliver {
    if (resp.status == 200) {
        call conditions_match;
        call conditions_range;
    }
}

sub conditions_match {
    if (req.http.If-Match) {
        std.collect(req.http.If-Match);
        # A weak tag matches nothing.
        set req.http.If-Match = regsuball(req.http.If-Match, {"W/"[^"]*""}, "");
        if (req.http.If-Match != "*" && (!resp.http.ETag || !std.strstr(req.http.If-Match, resp.http.ETag))) {
            return (synth(412, "If-Match does not list the ETag of the image; request it without the header"));
        }
    } else if (req.http.If-Unmodified-Since && resp.http.Last-Modified) {
        # An invalid date is ignored.
        if (std.time(resp.http.Last-Modified, now)
            > std.time(req.http.If-Unmodified-Since, std.time(resp.http.Last-Modified, now))) {
            return (synth(412, "the image is newer than If-Unmodified-Since says; request it without the header"));
        }
    }
}

# Varnish would answer a range outside of the image with the headers of the image.
sub conditions_range {
    if (!req.http.Range || !resp.http.Content-Length) {
        return;
    }
    if (req.http.If-Range && req.http.If-Range != resp.http.ETag && req.http.If-Range != resp.http.Last-Modified) {
        unset req.http.Range;
        return;
    }
    if (req.http.If-None-Match && resp.http.ETag && std.strstr(req.http.If-None-Match, resp.http.ETag)) {
        return; # 304
    }
    if (req.http.Range !~ "^bytes=-" && std.integer(regsub(req.http.Range, "^bytes=([0-9]+)-.*$", "\1"), 0)
        >= std.integer(resp.http.Content-Length, 0)) {
        set req.http.X-Length = resp.http.Content-Length;
        return (synth(416, "the range starts outside of the image, which is " + resp.http.Content-Length + " bytes"));
    }
}
