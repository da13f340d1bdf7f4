# At most four values of Accept, and only where an answer depends on it (`.auto`, `format=auto`): thousands of browsers'
# headers are the same few wishes. Decides as transform_service/negotiation.py does, which gets what is left here.

import std;

sub accept_recv {
    if (req.url !~ "(?:^/v1/images/[^/?]*\.|[?&]format=)auto(?:[?&]|$)") {
        unset req.http.Accept;
        return;
    }
    if (req.http.Accept !~ "(?i)image/(?:avif|webp)") {
        set req.http.Accept = "*/*";
        return;
    }
    std.collect(req.http.Accept);
    # How much each is liked: 1 where it is named without a `q`, 0 where it is not named.
    set req.http.X-Avif = "0";
    if (req.http.Accept ~ "(?i)(?:^|,)\s*image/avif\s*(?:[;,]|$)") {
        set req.http.X-Avif = "1";
        if (req.http.Accept ~ "(?i)(?:^|,)\s*image/avif\s*;[^,]*\bq\s*=") {
            set req.http.X-Avif = regsub(req.http.Accept, "(?i)^(?:.*,)?\s*image/avif\s*;[^,]*?\bq\s*=\s*([0-9.]*).*$", "\1");
        }
    }
    set req.http.X-Webp = "0";
    if (req.http.Accept ~ "(?i)(?:^|,)\s*image/webp\s*(?:[;,]|$)") {
        set req.http.X-Webp = "1";
        if (req.http.Accept ~ "(?i)(?:^|,)\s*image/webp\s*;[^,]*\bq\s*=") {
            set req.http.X-Webp = regsub(req.http.Accept, "(?i)^(?:.*,)?\s*image/webp\s*;[^,]*?\bq\s*=\s*([0-9.]*).*$", "\1");
        }
    }
    # How much the original may be liked at most: 1, unless each type or wildcard that could mean it has a lower `q`.
    set req.http.X-Original = "0";
    if (req.http.Accept ~ "(?i)(?:^|,)\s*(?:image/(?:jpeg|png|gif|\*)|\*/\*)\s*(?:,|$|;(?![^,]*\bq\s*=))") {
        set req.http.X-Original = "1";
    } else if (req.http.Accept ~ "(?i)(?:^|,)\s*(?:image/(?:jpeg|png|gif|\*)|\*/\*)\s*;") {
        # The best of several is the first in what browsers send.
        set req.http.X-Original = regsub(req.http.Accept,
            "(?i)^(?:.*?,)??\s*(?:image/(?:jpeg|png|gif|\*)|\*/\*)\s*;[^,]*?\bq\s*=\s*([0-9.]*).*$", "\1");
    }
    call accept_choose;
    unset req.http.X-Avif;
    unset req.http.X-Webp;
    unset req.http.X-Original;
}

# From three qualities to one of four headers. Of an animation AVIF is never made: so WebP is named beside it.
sub accept_choose {
    if (std.real(req.http.X-Avif, 0.0) > 0.0 && std.real(req.http.X-Avif, 0.0) >= std.real(req.http.X-Original, 0.0)
        && std.real(req.http.X-Avif, 0.0) >= std.real(req.http.X-Webp, 0.0)) {
        if (std.real(req.http.X-Webp, 0.0) > 0.0 && std.real(req.http.X-Webp, 0.0) >= std.real(req.http.X-Original, 0.0)) {
            set req.http.Accept = "image/avif,image/webp";
        } else {
            set req.http.Accept = "image/avif";
        }
    } else if (std.real(req.http.X-Webp, 0.0) > 0.0
        && std.real(req.http.X-Webp, 0.0) >= std.real(req.http.X-Original, 0.0)) {
        set req.http.Accept = "image/webp";
    } else {
        set req.http.Accept = "*/*";
    }
}
