# Reduces Accept to one of four values, and removes it unless the response depends on it (`.auto`,
# `format=auto`, `fm=auto`). Thousands of different browser headers express the same few
# preferences. The rules are those of transform_service/http/negotiation.py, which receives the
# reduced header.

import std;

sub accept_recv {
    if (req.url !~ "(?:^/v1/images/[^/?]*\.|[?&](?:format|fm)=)auto(?:[?&]|$)") {
        unset req.http.Accept;
        return;
    }
    if (req.http.Accept !~ "(?i)image/(?:avif|webp)") {
        set req.http.Accept = "*/*";
        return;
    }
    std.collect(req.http.Accept);
    # The quality of each format: 1 if it is named without a `q`, 0 if it is not named.
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
    # The highest quality that the original's format may have: 1, unless every type or wildcard that
    # could match it has a lower `q`.
    set req.http.X-Original = "0";
    if (req.http.Accept ~ "(?i)(?:^|,)\s*(?:image/(?:jpeg|png|gif|\*)|\*/\*)\s*(?:,|$|;(?![^,]*\bq\s*=))") {
        set req.http.X-Original = "1";
    } else if (req.http.Accept ~ "(?i)(?:^|,)\s*(?:image/(?:jpeg|png|gif|\*)|\*/\*)\s*;") {
        # If several match, browsers send the best one first.
        set req.http.X-Original = regsub(req.http.Accept,
            "(?i)^(?:.*?,)??\s*(?:image/(?:jpeg|png|gif|\*)|\*/\*)\s*;[^,]*?\bq\s*=\s*([0-9.]*).*$", "\1");
    }
    call accept_choose;
    unset req.http.X-Avif;
    unset req.http.X-Webp;
    unset req.http.X-Original;
}

# From three qualities to one of four headers. An animation never becomes AVIF, so WebP is named as
# well.
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
