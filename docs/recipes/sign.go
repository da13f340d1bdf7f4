package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"regexp"
	"strings"
)

var (
	images    = regexp.MustCompile(`^/(?:v1/)?images?/`)
	transform = regexp.MustCompile(`^/transform\?`)
	width     = regexp.MustCompile(`([?&](?:thumb|w|width)=)[^&]*`)
	preset    = regexp.MustCompile(`([?&]preset=)[^&]*`)
)

// sign signs a path with its query. expires is in seconds since 1970; if it is empty, the URL never expires.
func sign(secret, target, expires string) string {
	separator := "?"
	if strings.Contains(target, "?") {
		separator = "&"
	}
	target += separator + "key=" + secret[3:15]
	if expires != "" {
		target += "&expires=" + expires
	}
	text := transform.ReplaceAllString(images.ReplaceAllString(target, "/v1/images/"), "/v1/transform?")
	if strings.Contains(text, "&widths=") {
		text = width.ReplaceAllString(text, "${1}*")
	}
	if strings.Contains(text, "&presets=") {
		text = preset.ReplaceAllString(text, "${1}*")
	}
	digest := hmac.New(sha256.New, []byte(secret[16:]))
	digest.Write([]byte(text))
	return target + "&signature=" + base64.RawURLEncoding.EncodeToString(digest.Sum(nil))
}

func main() {
	arguments := append(os.Args[1:], "")
	fmt.Println(sign(os.Getenv("SIGNING_SECRET"), arguments[0], arguments[1]))
}
