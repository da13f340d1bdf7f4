<?php

/** Signs a path with its query. `$expires` is in seconds since 1970. */
function sign(string $secret, string $target, ?int $expires = null): string
{
    $target .= (str_contains($target, '?') ? '&' : '?') . 'key=' . substr($secret, 3, 12);
    if ($expires !== null) {
        $target .= "&expires=$expires";
    }
    $text = preg_replace('~^/(v1/)?images?/~', '/v1/images/', $target);
    $text = preg_replace('~^/transform\?~', '/v1/transform?', $text);
    if (str_contains($text, '&widths=')) {
        $text = preg_replace('~([?&](thumb|w|width)=)[^&]*~', '$1*', $text);
    }
    if (str_contains($text, '&presets=')) {
        $text = preg_replace('~([?&]preset=)[^&]*~', '$1*', $text);
    }
    $digest = hash_hmac('sha256', $text, substr($secret, 16), true);
    return "$target&signature=" . rtrim(strtr(base64_encode($digest), '+/', '-_'), '=');
}

$secret = getenv('SIGNING_SECRET') ?: exit("SIGNING_SECRET is not set\n");
echo sign($secret, ...array_slice($argv, 1)), "\n";
