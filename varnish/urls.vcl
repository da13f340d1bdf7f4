# One spelling for each URL, so that a response is cached once. The order of the query never
# changes, since it is the order of the chain.

sub urls_recv {
    # With the version, and plural, as in nginx (conf.d/routes.conf). Other paths stay as they are.
    if (req.url !~ "^/v1/(?:images|transform|names)[/?]") {
        if (req.url ~ "^/(?:v1/)?images?(?:[/?]|$)") {
            set req.url = regsub(req.url, "^/(?:v1/)?images?", "/v1/images");
        } else if (req.url ~ "^/(?:v1/)?(?:transform|names|keys|uploads|sign|spaces|audit|usage|me|deletions|webhooks)(?:[/?]|$)") {
            set req.url = regsub(req.url, "^/(?:v1/)?", "/v1/");
        }
    }
    # Tracking parameters do not affect the image.
    if (req.url ~ "[?&](?:utm_|gclid|fbclid)") {
        set req.url = regsuball(req.url, "&(?:utm_[^=&]*|gclid|fbclid)(?:=[^&]*)?(?=&|$)", "");
        set req.url = regsub(req.url, "^([^?]*\?)(?:utm_[^=&]*|gclid|fbclid)(?:=[^&]*)?(?:&|$)", "\1");
        set req.url = regsub(req.url, "^([^?]*)\?$", "\1");
    }
}

sub urls_hash {
    hash_data(req.url);
    # Without the host, which the built-in code would add. The API is found by its paths, and no
    # response depends on the host.
    return (lookup);
}
