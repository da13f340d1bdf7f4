#!/bin/sh
# Usage: configure.sh FOLDER
# Writes listen.conf, and from the templates next to this script main.conf, limits.conf and
# rates.conf, into FOLDER. An unset or empty variable takes its default, in parentheses. An invalid
# value ends the script with status 2.
#   MAX_UPLOAD_BYTES    largest upload, in the services' notation: 67108864, 64MiB, 100MB (64MiB)
#   UPLOADS_PER_MINUTE  uploads that one client may send (120)
#   PATH_PREFIX         path below which clients reach the service, for error texts
#   RENDERS_PER_SECOND  variants that one client may request, not counting Varnish's hits (50)
#   GRACE_SECONDS       how long open requests may take to finish when nginx stops (300)
set -eu
templates=$(dirname "$0")
folder=$1

# The bytes of a form around its file. The services allow the same (service_kit/http/uploads.py).
form=1048576

refuse() { # NAME VALUE EXPECTED
  printf '%s\n' "$1='$2': use $3" >&2
  exit 2
}

number() { # NAME VALUE: prints the value if it is a whole number above 0
  case $2 in
  '' | *[!0-9]* | 0*) refuse "$1" "$2" "a whole number, 1 or more" ;;
  esac
  echo "$2"
}

# Prints the number of bytes in a size. The grammar and the rounding are those of pydantic's
# ByteSize, with which the services read the same variable: k and kB are 1000, KiB is 1024. This one
# is stricter: nothing may follow the unit, and the size must be below 8 PiB, where awk's numbers
# stop being exact.
bytes() { # NAME VALUE
  SIZE=$2 awk 'BEGIN {
    size = tolower(ENVIRON["SIZE"])
    gsub(/^[ \t\r]+|[ \t\r]+$/, "", size)
    if (size ~ /^[0-9]+(_[0-9]+)+$/) gsub(/_/, "", size)
    if (!match(size, /^[0-9]*[.]?[0-9]+/)) exit 1
    count = substr(size, 1, RLENGTH) + 0
    unit = substr(size, RLENGTH + 1)
    sub(/^[ \t\r]+/, "", unit)
    if (unit !~ /^(b|bit|[kmgtpe](i?b|i?bit)?)?$/) exit 1
    factor = 1
    if (unit ~ /^[kmgtpe]/)
      for (power = index("kmgtpe", substr(unit, 1, 1)); power > 0; power--)
        factor *= unit ~ /^.i/ ? 1024 : 1000
    if (unit ~ /bit$/) factor /= 8
    size = int(count * factor)
    if (size < 1 || size > 9007199254740991) exit 1
    printf "%.0f\n", size
  }' || refuse "$1" "$2" "a size above 0 and below 8PiB, such as 67108864, 64MiB or 100MB"
}

upload=$(bytes MAX_UPLOAD_BYTES "${MAX_UPLOAD_BYTES:-64MiB}")
uploads=$(number UPLOADS_PER_MINUTE "${UPLOADS_PER_MINUTE:-120}")
renders=$(number RENDERS_PER_SECOND "${RENDERS_PER_SECOND:-50}")
prefix=${PATH_PREFIX:-}
case $prefix in
'') ;;
[!/]* | */ | *[!A-Za-z0-9._~/-]*)
  refuse PATH_PREFIX "$prefix" "a path with a slash in front and none at the end, such as /images-api" ;;
esac
grace=$(number GRACE_SECONDS "${GRACE_SECONDS:-300}")
for file in main.conf limits.conf rates.conf; do
  sed -e "s/[$]{MAX_UPLOAD_BYTES}/$upload/" \
    -e "s/[$]{MAX_BODY_BYTES}/$((upload + form))/" \
    -e "s/[$]{UPLOADS_PER_MINUTE}/$uploads/" \
    -e "s/[$]{RENDERS_PER_SECOND}/$renders/" \
    -e "s|[$]{PATH_PREFIX}|$prefix|" \
    -e "s/[$]{GRACE_SECONDS}/$grace/" \
    "$templates/$file.template" >"$folder/$file"
done

# The kernel may lack IPv6.
{
  echo 'listen 8080 default_server;'
  [ ! -e /proc/net/if_inet6 ] || echo 'listen [::]:8080 default_server;'
} >"$folder/listen.conf"
